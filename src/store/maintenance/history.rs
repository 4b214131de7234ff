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
        let known = known.iter().find(|migration| migration.version() == version);
        if !is_valid(row, known) {
            return Err(damaged(version, "has not the name, time and checksum of a migration"));
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

/// Whether the columns are those of a migration: a name, a time as in RFC 3339, and a checksum.
fn is_valid(row: &Row, known: Option<&Migration>) -> bool {
    let text = |column| row.try_get::<_, &str>(column).ok();
    let is_time = |time: &str| time.as_bytes().get(10) == Some(&b'T') && time.parse::<Timestamp>().is_ok();
    let (name, checksum) = (text(1), text(3).and_then(|checksum| checksum.parse::<u64>().ok()));
    text(2).is_some_and(is_time)
        && match known {
            Some(known) => name == Some(known.name()) && checksum == Some(known.checksum()),
            // Of a newer release.
            None => name.is_some() && checksum.is_some(),
        }
}
