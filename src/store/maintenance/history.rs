//! The table of the migrations that have run.

use jiff::Timestamp;
use refinery::Migration;
use tokio_postgres::{Client, Row};

use super::migrate::TABLE;
use crate::store::errors::StartupError;

/// How far a database is migrated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// No migration has run.
    Empty,
    /// Some of the known migrations have not run.
    Old,
    /// All known migrations have run, and perhaps others of a newer release.
    UpToDate,
}

/// Reads and checks the table: the library that owns it takes every row for valid.
pub(super) async fn progress(client: &Client, known: &[Migration]) -> Result<Progress, StartupError> {
    let exists = client.query_one("select to_regclass($1) is not null", &[&TABLE]).await?;
    if !exists.try_get(0)? {
        return Ok(Progress::Empty);
    }
    let sql = format!("select version, name, applied_on, checksum from {TABLE} order by version");
    let rows = client.query(&sql, &[]).await?;
    let mut versions = Vec::with_capacity(rows.len());
    for row in &rows {
        let version: i32 = row.try_get(0)?;
        if !is_valid(row) {
            return Err(damaged(version, "has no valid name, time or checksum"));
        }
        versions.push(version);
    }
    let Some(last) = versions.last() else { return Ok(Progress::Empty) };
    for migration in known {
        if migration.version() > *last {
            return Ok(Progress::Old);
        }
        if !versions.contains(&migration.version()) {
            return Err(damaged(migration.version(), "is missing"));
        }
    }
    Ok(Progress::UpToDate)
}

fn damaged(version: i32, problem: &str) -> StartupError {
    StartupError::MigrationTable(format!("the row of version {version} {problem}"))
}

/// Whether the columns have the forms of the library: a text, a time as in RFC 3339, and a whole number.
fn is_valid(row: &Row) -> bool {
    let text = |column| row.try_get::<_, &str>(column).ok();
    let is_time = |time: &str| time.as_bytes().get(10) == Some(&b'T') && time.parse::<Timestamp>().is_ok();
    text(1).is_some()
        && text(2).is_some_and(is_time)
        && text(3).is_some_and(|checksum| checksum.parse::<u64>().is_ok())
}
