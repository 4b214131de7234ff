//! What every session with PostgreSQL is set to, so that neither side waits for long for one that is gone.

use std::time::Duration;

use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, Error as PgError};

use super::Limits;

/// How long what was sent may stay unacknowledged by the other machine.
const USER_TIMEOUT: Duration = Duration::from_secs(5);

/// After how long a silence the other machine is asked whether it is there, how often then, and how many times.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(10);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(2);
const KEEPALIVE_COUNT: u32 = 3;

/// A statement must see what was committed before it began, also when it waited for a lock in its transaction: moves
/// rest on that.
pub(super) const ISOLATION: (&str, &str) = ("default_transaction_isolation", "read committed");

/// What makes the statements fast.
pub(super) const PLANS: [(&str, &str); 5] = [
    // One plan fits all values of every statement here, and making another takes longer than most run.
    ("plan_cache_mode", "force_generic_plan"),
    // It is often made while the tables are empty, and must still be good when they are not: by the indexes, group
    // by group.
    ("enable_seqscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("jit", "off"),
];

/// Completes the settings. What the operator gave for the connection stays.
pub(super) fn configure(config: &mut Config, limits: &Limits) {
    if config.get_application_name().is_none() {
        config.application_name(env!("CARGO_PKG_NAME"));
    }
    let given = config.get_options().unwrap_or_default();
    config.options(format!("{given} {}", options(limits.statement_timeout)));
    // One that does not answer leaves time for those after it.
    let hosts = u32::try_from(config.get_hosts().len()).unwrap_or(u32::MAX).max(1);
    config.connect_timeout(limits.connect_timeout / hosts);

    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(USER_TIMEOUT);
    }
    if config.get_keepalives_idle() == Config::new().get_keepalives_idle() {
        config.keepalives_idle(KEEPALIVE_IDLE);
    }
    if config.get_keepalives_interval().is_none() {
        config.keepalives_interval(KEEPALIVE_INTERVAL);
    }
    if config.get_keepalives_retries().is_none() {
        config.keepalives_retries(KEEPALIVE_COUNT);
    }
}

/// The settings of the server's side.
fn options(statement_timeout: Duration) -> String {
    let timeout = statement_timeout.as_millis();
    let (idle, interval) = (KEEPALIVE_IDLE.as_secs(), KEEPALIVE_INTERVAL.as_secs());
    let own = [
        // A statement may not outlive the call that asked for it by long.
        format!("statement_timeout={timeout}"),
        // Nor wait in a queue, where it would hold up others behind it. A long list has no other bound.
        format!("lock_timeout={timeout}"),
        // All of a transaction is sent at once. One whose rest does not come holds its locks for nobody.
        "idle_in_transaction_session_timeout=5s".to_owned(),
        // A service that is cut off from its database is one that is gone.
        format!("tcp_keepalives_idle={idle}"),
        format!("tcp_keepalives_interval={interval}"),
        format!("tcp_keepalives_count={KEEPALIVE_COUNT}"),
    ];
    let shared = [ISOLATION].into_iter().chain(PLANS);
    let shared = shared.map(|(name, value)| format!("{name}={}", value.replace(' ', "\\ ")));
    format!("-c {}", own.into_iter().chain(shared).collect::<Vec<_>>().join(" -c "))
}

/// Lets PostgreSQL end a statement whose service is gone. A server that cannot notice, on some systems and before
/// version 14, would refuse a connection that begins with the setting.
pub(super) async fn set_up(client: &Client) -> Result<(), PgError> {
    let cannot = [SqlState::INVALID_PARAMETER_VALUE, SqlState::UNDEFINED_OBJECT];
    match client.batch_execute("set client_connection_check_interval = '1s'").await {
        Err(error) if error.code().is_some_and(|state| cannot.contains(state)) => Ok(()),
        done => done,
    }
}
