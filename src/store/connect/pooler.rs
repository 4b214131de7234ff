//! Checks of a pooler in front of PostgreSQL.

use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::session::{ISOLATION, PLANS};
use crate::store::errors::StartupError;

/// Returns the settings that differ from the wanted ones, each with its actual value.
const DIFFERENT: &str = "select wanted.name, wanted.setting, s.setting
     from unnest($1::text[], $2::text[]) wanted (name, setting) join pg_settings s using (name)
     where s.setting <> wanted.setting";

/// Checks that prepared statements survive a transaction, and that the sessions have the settings. Missing settings
/// that only make statements fast are logged.
pub(crate) async fn check_pooler(client: &Client, other: &Client) -> Result<(), StartupError> {
    const SESSION: &str = "select pg_backend_pid()";
    let statement = client.prepare(SESSION).await?;
    // A pooler that shares sessions gives this one to the transaction, and another to the statement after it.
    other.batch_execute("begin").await?;
    let found = client.query_one(&statement, &[]).await;
    other.batch_execute("rollback").await?;
    match found {
        Err(error) if error.code() == Some(&SqlState::INVALID_SQL_STATEMENT_NAME) => {
            return Err(StartupError::StatementsLost);
        }
        found => found?,
    };
    let (names, values): (Vec<&str>, Vec<&str>) = [ISOLATION].into_iter().chain(PLANS).unzip();
    let mut missing = Vec::new();
    for row in client.query(DIFFERENT, &[&names, &values]).await? {
        let (name, wanted, found): (&str, &str, &str) = (row.get(0), row.get(1), row.get(2));
        if name == ISOLATION.0 {
            return Err(StartupError::Isolation(found.to_owned()));
        }
        missing.push(format!("alter role current_user set {name} = {wanted};"));
    }
    if !missing.is_empty() {
        let run = missing.join(" ");
        tracing::warn!(run, "PostgreSQL lacks settings that make statements fast; a pooler may drop them");
    }
    Ok(())
}
