//! Migrations.

use std::time::Duration;

use tokio_postgres::Client;

use crate::store::Store;
use crate::store::connect::{StoreOptions, check_pooler};
use crate::store::errors::StartupError;

refinery::embed_migrations!("src/store/migrations");

/// The oldest supported PostgreSQL, as `server_version_num`.
const OLDEST_VERSION: i32 = 140_000;

/// The advisory lock of migrations: `cg_migr` in ASCII.
const MIGRATION_LOCK: i64 = 0x63_67_5f_6d_69_67_72;

const SERVER: &str = "select current_setting('server_version_num')::int, current_setting('server_version'), \
     current_setting('server_encoding')";

const HAS_MIGRATIONS: &str = "select to_regclass('customer_group_migration') is not null";

const LAST_MIGRATION: &str = "select coalesce(max(version), 0)::bigint from customer_group_migration";

const HAS_NAME_INDEX: &str = "select exists (select from pg_index
    where indexrelid = to_regclass('customer_group_name_idx') and indisvalid)";

/// Checks that no migration is missing. Runs none.
pub(crate) async fn check(client: &Client) -> Result<(), StartupError> {
    let has_migrations: bool = client.query_one(HAS_MIGRATIONS, &[]).await?.try_get(0)?;
    if !has_migrations {
        return Err(StartupError::NotMigrated("it has no tables of this service".to_owned()));
    }
    let last: i64 = client.query_one(LAST_MIGRATION, &[]).await?.try_get(0)?;
    let known =
        migrations::runner().get_migrations().iter().map(|migration| i64::from(migration.version())).max();
    if known.is_some_and(|known| last < known) {
        return Err(StartupError::NotMigrated("its tables are older than this program".to_owned()));
    }
    Ok(())
}

impl Store {
    /// Runs the missing migrations, one service at a time. Ignores unknown migrations. They are from a newer release,
    /// and this release keeps working with them.
    pub(crate) async fn migrate(&self) -> Result<(), StartupError> {
        // A migration may take long, and so may the wait for the lock.
        let options = StoreOptions { statement_timeout: Duration::ZERO, ..self.options.clone() };
        let pool = self.database.pool(&options, 2, self.watch.breaker())?;
        let (mut client, lock) = (pool.get_anyway().await?, pool.get_anyway().await?);

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
        lock.batch_execute(&format!(
            "begin; set local idle_in_transaction_session_timeout = 0; select pg_advisory_xact_lock({MIGRATION_LOCK})"
        ))
        .await?;
        migrations::runner()
            .set_abort_missing(false)
            .set_migration_table_name("customer_group_migration")
            .run_async(&mut **client)
            .await?;
        lock.batch_execute("commit").await?;

        let has_name_index: bool = client.query_one(HAS_NAME_INDEX, &[]).await?.try_get(0)?;
        if !has_name_index {
            tracing::warn!(
                "no index for searches by name, which read every name; let an administrator run `create extension \
                 pg_trgm`, and create customer_group_name_idx as in docs/operations.md"
            );
        }
        Ok(())
    }
}
