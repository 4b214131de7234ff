//! Statements on pooled connections, each prepared once per connection.

use std::ops::Deref;
use std::pin::Pin;
use std::time::Duration;

use deadpool_postgres::Object;
use futures_util::TryStreamExt;
use futures_util::future::{join4, try_join};
use scopeguard::ScopeGuard;
use tokio::time::timeout;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Error as PgError, Row, RowStream};

use super::failure::{Failure, error_type, is_away};
use super::pool::Pool;
use super::tls::Tls;
use crate::traces::{self, Trace};

/// How often a transaction that lost against another one is tried.
const ATTEMPTS: usize = 4;

/// How long PostgreSQL may take to end a statement that nobody waits for.
const ABANDON_TIMEOUT: Duration = Duration::from_secs(1);

/// A statement.
#[derive(Debug, Clone, Copy)]
pub(super) struct Statement {
    /// What it is called in traces.
    pub(super) name: &'static str,
    pub(super) sql: &'static str,
}

impl Statement {
    pub(super) const fn new(name: &'static str, sql: &'static str) -> Self {
        Self { name, sql }
    }

    /// Its span in the trace of the call that it is for, when that is sampled.
    fn span(self) -> Option<traces::Statement> {
        Trace::current()?.statement(self.name, 1)
    }
}

/// Ends the span of a statement, with the error that it ended in.
fn end(span: Option<traces::Statement>, error: Option<&PgError>) {
    if let Some(span) = span {
        span.end(error.map(error_type));
    }
}

/// The values of a statement's parameters, in order.
pub(super) type Values<'a> = [&'a (dyn ToSql + Sync)];

/// Runs one statement.
pub(super) async fn query(
    pool: &Pool,
    statement: Statement,
    values: &Values<'_>,
) -> Result<Vec<Row>, Failure> {
    run(lease(pool).await?, statement, values).await
}

/// Runs one statement to find out whether the database answers, and tells the breaker. What is not answered in time
/// is given up with its connection, so that nothing waits for it.
pub(super) async fn beat(pool: &Pool, statement: Statement, patience: Duration) -> Result<Vec<Row>, Failure> {
    let asked = timeout(patience, async {
        let close: fn(Lent) = |lent| drop(Object::take(lent.object));
        let lent = Lent { object: pool.get_anyway().await?, tls: pool.tls().clone() };
        run(scopeguard::guard(lent, close), statement, &[]).await
    });
    let rows = asked.await.unwrap_or(Err(Failure::Silent));
    if rows.as_ref().err().is_none_or(Failure::is_answer) {
        pool.breaker().note_answer();
    } else {
        pool.breaker().note_miss();
    }
    rows
}

async fn run(connection: Lease, statement: Statement, values: &Values<'_>) -> Result<Vec<Row>, Failure> {
    let span = statement.span();
    let rows = async {
        let statement = connection.prepare_cached(statement.sql).await?;
        connection.query(&statement, values).await
    }
    .await;
    end(span, rows.as_ref().err());
    give_back(connection, rows)
}

/// Runs one statement that writes, again when it lost against another transaction.
pub(super) async fn write(
    pool: &Pool,
    statement: Statement,
    values: &Values<'_>,
) -> Result<Vec<Row>, Failure> {
    retry(|| query(pool, statement, values)).await.map_err(Failure::of_write)
}

/// Runs one statement that writes while no other one runs under the same advisory lock, again when it lost
/// against another transaction.
pub(super) async fn write_under_lock(
    pool: &Pool,
    lock: i64,
    statement: Statement,
    values: &Values<'_>,
) -> Result<Vec<Row>, Failure> {
    retry(|| lock_and_query(pool, lock, statement, values)).await.map_err(Failure::of_write)
}

/// One transaction in one round trip. The lock is taken by a statement of its own, so that the second one sees
/// what was committed under the lock before.
async fn lock_and_query(
    pool: &Pool,
    lock: i64,
    statement: Statement,
    values: &Values<'_>,
) -> Result<Vec<Row>, Failure> {
    const LOCK: &str = "select pg_advisory_xact_lock($1)";
    let connection = lease(pool).await?;
    let span = statement.span();
    let rows = async {
        let (take_lock, statement) =
            try_join(connection.prepare_cached(LOCK), connection.prepare_cached(statement.sql)).await?;
        // Each is sent when it is first polled, and they are polled in this order: all go out at once, and a
        // caller who leaves while they are under way cannot leave half a transaction.
        let (begun, locked, rows, committed) = join4(
            connection.batch_execute("begin"),
            connection.query(&take_lock, &[&lock]),
            connection.query(&statement, values),
            connection.batch_execute("commit"),
        )
        .await;
        begun.and(locked).and(rows).and_then(|rows| committed.map(|()| rows))
    }
    .await;
    end(span, rows.as_ref().err());
    give_back(connection, rows)
}

/// A statement whose rows are read while they come, for as long as it takes. It keeps its connection to itself,
/// and when it is dropped before its end, PostgreSQL works on it no more.
pub(super) struct Streaming {
    lease: Lease,
    rows: Pin<Box<RowStream>>,
    /// It ends with the last row.
    span: Option<traces::Statement>,
}

impl Streaming {
    /// Sends the statement.
    pub(super) async fn start(
        pool: &Pool,
        statement: Statement,
        values: &Values<'_>,
    ) -> Result<Self, Failure> {
        // How long a reader takes is not PostgreSQL's to bound.
        const BEGIN: &str = "begin; set local statement_timeout = 0; \
             set local idle_in_transaction_session_timeout = 0";
        let lease = lease(pool).await?;
        let span = statement.span();
        let rows = async {
            let statement = lease.prepare_cached(statement.sql).await?;
            // Sent in this order, as they are polled.
            let rows = lease.query_raw(&statement, values.iter().copied());
            try_join(lease.batch_execute(BEGIN), rows).await
        };
        match rows.await {
            Ok(((), rows)) => Ok(Self { rows: Box::pin(rows), lease, span }),
            Err(error) => {
                end(span, Some(&error));
                Err(error.into())
            }
        }
    }

    /// The next row; `None` after the last one.
    pub(super) async fn next(&mut self) -> Result<Option<Row>, Failure> {
        let row = self.rows.try_next().await;
        if let Err(error) = &row {
            end(self.span.take(), Some(error));
        }
        Ok(row?)
    }

    /// Gives the connection back. Rows that were not read are thrown away, so there had better be few.
    pub(super) async fn finish(self) -> Result<(), Failure> {
        let Self { lease, rows, span } = self;
        drop(rows);
        end(span, None);
        let committed = lease.batch_execute("commit").await;
        give_back(lease, committed)
    }
}

async fn retry<T, F: Future<Output = Result<T, Failure>>>(work: impl Fn() -> F) -> Result<T, Failure> {
    for _ in 1..ATTEMPTS {
        match work().await {
            Err(failure) if failure.is_conflict() => {}
            done => return done,
        }
    }
    work().await.map_err(Failure::at_last)
}

/// A connection on loan. Dropped before it is given back, because its caller went away, it is abandoned.
type Lease = ScopeGuard<Lent, fn(Lent)>;

/// A connection, and what another one to the same server is made with.
struct Lent {
    object: Object,
    tls: Tls,
}

impl Deref for Lent {
    type Target = Object;

    fn deref(&self) -> &Object {
        &self.object
    }
}

async fn lease(pool: &Pool) -> Result<Lease, Failure> {
    let lent = Lent { object: pool.get().await?, tls: pool.tls().clone() };
    Ok(scopeguard::guard(lent, |lent| drop(tokio::spawn(abandon(lent)))))
}

/// Gives a connection back with what was done on it. One that is gone is not given to its next user, who could
/// be the first to notice; nor is one on which something else went wrong than what PostgreSQL says itself, since what
/// comes next on it could be anything.
fn give_back<T>(lease: Lease, done: Result<T, PgError>) -> Result<T, Failure> {
    let Lent { object, .. } = ScopeGuard::into_inner(lease);
    if done.as_ref().is_err_and(|error| is_away(error) || error.as_db_error().is_none()) {
        drop(Object::take(object));
    }
    Ok(done?)
}

/// Ends what PostgreSQL still does for nobody on a connection, and closes it. Until then it counts as in use, so
/// that callers who give up cannot make more connections than the pool may have. It is not used again, since
/// PostgreSQL may take the request to cancel late, and would then end its next user's statement.
async fn abandon(Lent { object, tls }: Lent) {
    let token = object.cancel_token();
    // A connection that breaks meanwhile needs no request to cancel, which may find no way either.
    let ended = try_join(token.cancel_query(tls), object.batch_execute(""));
    // How it ended is of no interest: the statement that nobody waits for, or the connection, is gone.
    drop(timeout(ABANDON_TIMEOUT, ended).await);
    drop(Object::take(object));
}
