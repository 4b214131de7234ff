//! What a pooler before PostgreSQL makes of sessions.

use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::OpenError;
use super::session::{ISOLATION, PLANS};

/// Those of the settings that are not as they were asked for, each with what it is.
const OTHERS: &str = "select wanted.name, wanted.setting, s.setting
     from unnest($1::text[], $2::text[]) wanted (name, setting) join pg_settings s using (name)
     where s.setting <> wanted.setting";

/// Checks that prepared statements outlive a transaction, and that the sessions have the settings: what only makes
/// statements fast is missed in the log.
pub(super) async fn check(client: &Client, other: &Client) -> Result<(), OpenError> {
    const SESSION: &str = "select pg_backend_pid()";
    let statement = client.prepare(SESSION).await?;
    // A pooler that shares sessions gives this one to the transaction, and another to the statement after it.
    other.batch_execute("begin").await?;
    let found = client.query_one(&statement, &[]).await;
    other.batch_execute("rollback").await?;
    match found {
        Err(error) if error.code() == Some(&SqlState::INVALID_SQL_STATEMENT_NAME) => {
            return Err(OpenError::StatementsLost);
        }
        found => found?,
    };
    let (names, values): (Vec<&str>, Vec<&str>) = [ISOLATION].into_iter().chain(PLANS).unzip();
    let mut missing = Vec::new();
    for row in client.query(OTHERS, &[&names, &values]).await? {
        let (name, wanted, found): (&str, &str, &str) = (row.get(0), row.get(1), row.get(2));
        if name == ISOLATION.0 {
            return Err(OpenError::Isolation(found.to_owned()));
        }
        missing.push(format!("alter role current_user set {name} = {wanted};"));
    }
    if !missing.is_empty() {
        let run = missing.join(" ");
        tracing::warn!(
            run,
            "PostgreSQL does not get the settings that make statements fast, as behind a pooler"
        );
    }
    Ok(())
}
