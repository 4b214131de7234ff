//! The `verify` command.

use std::io::{self, Write};

use super::shared::{at, on_database};
use super::{ExposedSecrets, Failure, prepare_process};
use crate::config::{CommandSettings, DatabaseConfig};
use crate::error::BoxError;
use crate::store;

pub(super) async fn run(settings: CommandSettings, exposed: &ExposedSecrets) -> Result<bool, Failure> {
    let config = settings.parse()?;
    prepare_process(config.log, exposed);
    Ok(verify(&config.database).await?)
}

/// Prints one line for each problem. Returns whether there are none.
async fn verify(config: &DatabaseConfig) -> Result<bool, BoxError> {
    let report = on_database(config, async |database| {
        store::verify(database, &config.options).await.map_err(|error| at(database, &error))
    })
    .await?;
    let mut out = io::stdout().lock();
    if report.findings.is_empty() {
        writeln!(out, "{} customer groups were checked, and nothing is wrong", report.groups)?;
    }
    for finding in &report.findings {
        writeln!(out, "{finding}")?;
    }
    out.flush()?;
    Ok(report.findings.is_empty())
}
