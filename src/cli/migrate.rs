//! The `migrate` command.

use super::shared::{at, on_database};
use super::{ExposedSecrets, Failure, prepare_process};
use crate::config::CommandSettings;
use crate::store::Store;
use crate::telemetry::print;

/// Brings the tables of the database up to date, as each start of a service does.
pub(super) async fn run(settings: CommandSettings, exposed: &ExposedSecrets) -> Result<bool, Failure> {
    let config = settings.parse()?;
    prepare_process(config.log, exposed);
    on_database(&config.database, async |database| {
        let failed = |error| at(database, &error);
        let store = Store::open(database, &config.database.options).await.map_err(failed)?;
        store.prepare_name_search().await.map_err(failed)?;
        print(format_args!("The database is up to date."));
        Ok(())
    })
    .await?;
    Ok(true)
}
