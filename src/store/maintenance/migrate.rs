//! Migrations.

use std::time::Duration;

use deadpool_postgres::Object;
use tokio_postgres::Client;

use super::history::{Progress, progress};
use super::name_search::NameSearch;
use super::objects;
use crate::store::Store;
use crate::store::connect::{StoreOptions, check_pooler};
use crate::store::errors::StartupError;
use crate::telemetry::noting_slowness;

refinery::embed_migrations!("src/store/migrations");

/// The table of refinery, the library that runs the migrations.
pub(super) const TABLE: &str = "customer_group_migration";

/// The oldest supported PostgreSQL, as `server_version_num`.
const OLDEST_VERSION: i32 = 140_000;

/// The advisory lock of migrations: `cg_migr` in ASCII.
const MIGRATION_LOCK: i64 = 0x63_67_5f_6d_69_67_72;

const SERVER: &str = "select current_setting('server_version_num')::int, current_setting('server_version'), \
     current_setting('server_encoding')";

/// Returns the sessions that the session `$1` waits for.
const BLOCKERS: &str = "select coalesce(string_agg(format('process %s (%s, %s, %s)', pid,
        coalesce(nullif(application_name, ''), 'no name'), usename, state), ', '), '')
     from pg_stat_activity where pid = any(pg_blocking_pids($1))";

/// Checks that no migration is missing. Runs none.
pub(crate) async fn check(client: &Client) -> Result<(), StartupError> {
    let problem = match progress(client, &known()).await? {
        Progress::Empty => "it has no tables of this service",
        Progress::Old => "its tables are older than this program",
        Progress::UpToDate => return Ok(()),
    };
    Err(StartupError::NotMigrated(problem.to_owned()))
}

/// The migrations of this program, the oldest first.
fn known() -> Vec<refinery::Migration> {
    let mut known = migrations::runner().get_migrations().clone();
    known.sort();
    known
}

impl Store {
    /// Runs the missing migrations, one service at a time, and creates missing objects. Ignores unknown migrations. They
    /// are from a newer release, and this release keeps working with them. Needs no right to create anything when nothing
    /// is missing.
    pub(crate) async fn migrate(&self) -> Result<(), StartupError> {
        // A migration may take long, and so may the wait for the lock.
        let options = StoreOptions { statement_timeout: Duration::ZERO, ..self.options.clone() };
        let pool = self.database.pool(&options, 2, self.watch.breaker())?;
        let waiting = async || tracing::info!(database = %self.database, "waiting for the database");
        let (mut client, lock) = noting_slowness(
            async { Ok::<_, StartupError>((pool.get_anyway().await?, pool.get_anyway().await?)) },
            waiting,
        )
        .await?;

        let row = client.query_one(SERVER, &[]).await?;
        let (number, version, encoding): (i32, &str, &str) = (row.get(0), row.get(1), row.get(2));
        if number < OLDEST_VERSION {
            return Err(StartupError::TooOld(version.to_owned()));
        }
        if encoding != "UTF8" {
            return Err(StartupError::NotUtf8(encoding.to_owned()));
        }

        check_pooler(&client, &lock).await?;

        // A transaction's lock, since behind a pooler the session may serve another client's next transaction.
        let take_lock = format!(
            "begin; set local idle_in_transaction_session_timeout = 0; select pg_advisory_xact_lock({MIGRATION_LOCK})"
        );
        let pid = backend(&lock).await?;
        let note = async || note_blockers("another service, which migrates the database", pid, &client).await;
        noting_slowness(lock.batch_execute(&take_lock), note).await?;
        let pid = backend(&client).await?;
        let note = async || note_blockers("a migration", pid, &lock).await;
        noting_slowness(run(&mut client), note).await?;
        lock.batch_execute("commit").await?;
        self.name_search.send_replace(NameSearch::read(&client).await?);
        Ok(())
    }
}

async fn run(client: &mut Object) -> Result<(), StartupError> {
    if progress(client, &known()).await? != Progress::UpToDate {
        migrations::runner()
            .set_abort_missing(false)
            .set_migration_table_name(TABLE)
            .run_async(&mut ***client)
            .await?;
    }
    objects::create_missing(client).await
}

/// The process of a session.
async fn backend(client: &Client) -> Result<i32, StartupError> {
    Ok(client.query_one("select pg_backend_pid()", &[]).await?.try_get(0)?)
}

/// Logs a slow step, and which sessions it waits for, as another session sees it.
async fn note_blockers(step: &str, pid: i32, observer: &Client) {
    let blockers = observer.query_one(BLOCKERS, &[&pid]).await.and_then(|row| row.try_get::<_, String>(0));
    match blockers {
        Ok(blockers) => tracing::info!(blockers, "waiting for {step}"),
        Err(error) => tracing::info!(%error, "waiting for {step}; what it waits for is unknown"),
    }
}
