//! Statements on pooled connections, each prepared once per connection.

use std::time::Duration;

use futures_util::future::{join4, try_join};
use tokio::time::timeout;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Error as PgError, Row};

use super::pooled_connection::{PooledConnection, acquire, acquire_for_probe, release};
use crate::store::connect::Pool;
use crate::store::errors::{StoreError, error_type};
use crate::telemetry::traces::{StatementSpan, Trace};

/// The most attempts of a transaction that conflicts with others.
const ATTEMPTS: usize = 4;

/// The most attempts of a statement whose plan is stale. The second one uses a new plan, which is stale only if the
/// table has changed once more.
const PLAN_ATTEMPTS: usize = 3;

/// A statement and its name in traces.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Statement {
    pub(crate) name: &'static str,
    pub(crate) sql: &'static str,
}

impl Statement {
    pub(crate) const fn new(name: &'static str, sql: &'static str) -> Self {
        Self { name, sql }
    }

    /// Begins its span in the trace of the current call.
    pub(super) fn span(self) -> Option<StatementSpan> {
        Trace::current()?.statement(self.name, 1)
    }
}

/// Ends the span of a statement.
pub(super) fn end(span: Option<StatementSpan>, error: Option<&PgError>) {
    if let Some(span) = span {
        span.end(error.map(error_type));
    }
}

/// The values of a statement's parameters, in order.
pub(crate) type Values<'a> = [&'a (dyn ToSql + Sync)];

/// Runs a statement.
pub(crate) async fn query(
    pool: &Pool,
    statement: Statement,
    values: &Values<'_>,
) -> Result<Vec<Row>, StoreError> {
    with_valid_plans(pool, || async { run(acquire(pool).await?, statement, values).await }).await
}

/// Runs a statement that writes, and retries it after a conflict.
pub(crate) async fn write(
    pool: &Pool,
    statement: Statement,
    values: &Values<'_>,
) -> Result<Vec<Row>, StoreError> {
    retry(|| query(pool, statement, values)).await.map_err(StoreError::of_write)
}

/// Runs a statement that writes while it holds an advisory lock, and retries it after a conflict.
pub(crate) async fn write_under_lock(
    pool: &Pool,
    lock: i64,
    statement: Statement,
    values: &Values<'_>,
) -> Result<Vec<Row>, StoreError> {
    let locked = || with_valid_plans(pool, || lock_and_query(pool, lock, statement, values));
    retry(locked).await.map_err(StoreError::of_write)
}

/// Runs a health probe, and records its result in the circuit breaker. If the probe exceeds `patience`, closes its
/// connection.
pub(crate) async fn probe(
    pool: &Pool,
    statement: Statement,
    patience: Duration,
) -> Result<Vec<Row>, StoreError> {
    let probe = || async { run(acquire_for_probe(pool).await?, statement, &[]).await };
    let rows = timeout(patience, with_valid_plans(pool, probe)).await;
    let rows = rows.unwrap_or(Err(StoreError::Silent));
    if rows.as_ref().err().is_none_or(StoreError::is_answer) {
        pool.breaker().record_success();
    } else {
        pool.breaker().record_failure();
    }
    rows
}

async fn run(
    connection: PooledConnection,
    statement: Statement,
    values: &Values<'_>,
) -> Result<Vec<Row>, StoreError> {
    let rows = traced(statement, async {
        let statement = connection.prepare_cached(statement.sql).await?;
        connection.query(&statement, values).await
    });
    let rows = rows.await;
    release(connection, rows)
}

/// Runs one transaction in one round trip. The lock is taken by a statement of its own, so that the second one sees what
/// was committed under the lock before.
async fn lock_and_query(
    pool: &Pool,
    lock: i64,
    statement: Statement,
    values: &Values<'_>,
) -> Result<Vec<Row>, StoreError> {
    const LOCK: &str = "select pg_advisory_xact_lock($1)";
    let connection = acquire(pool).await?;
    let rows = traced(statement, async {
        let (take_lock, statement) =
            try_join(connection.prepare_cached(LOCK), connection.prepare_cached(statement.sql)).await?;
        // Each is sent at its first poll, so in this order. All are sent at once, so that a cancelled call cannot leave
        // a transaction open.
        let (begun, locked, rows, committed) = join4(
            connection.batch_execute("begin"),
            connection.query(&take_lock, &[&lock]),
            connection.query(&statement, values),
            connection.batch_execute("commit"),
        )
        .await;
        begun.and(locked).and(rows).and_then(|rows| committed.map(|()| rows))
    });
    let rows = rows.await;
    release(connection, rows)
}

async fn traced<T>(
    statement: Statement,
    work: impl Future<Output = Result<T, PgError>>,
) -> Result<T, PgError> {
    let span = statement.span();
    let done = work.await;
    end(span, done.as_ref().err());
    done
}

async fn retry<T, F: Future<Output = Result<T, StoreError>>>(work: impl Fn() -> F) -> Result<T, StoreError> {
    for _ in 1..ATTEMPTS {
        match work().await {
            Err(error) if error.is_conflict() => {}
            done => return done,
        }
    }
    work().await.map_err(StoreError::after_last_retry)
}

/// Repeats work that failed because a plan was stale. All connections of the pool prepare their statements again, since
/// the plans of the others are just as old. Nothing was changed: a stale plan fails before it runs, and its transaction
/// with it.
pub(super) async fn with_valid_plans<T, F>(pool: &Pool, work: impl Fn() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    let mut attempts = 1;
    loop {
        match work().await {
            Err(error) if error.is_stale_plan() && attempts < PLAN_ATTEMPTS => pool.forget_statements(),
            done => return done,
        }
        attempts += 1;
    }
}
