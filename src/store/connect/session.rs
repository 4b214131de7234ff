//! Settings of every session, so that neither side waits for long for the other one after a failure.

use std::time::Duration;

use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, Error as PgError};

use super::StoreOptions;

/// The longest time that sent data may stay unacknowledged.
const USER_TIMEOUT: Duration = Duration::from_secs(5);

/// TCP keepalive: the idle time before the first probe, the interval of probes, and their number.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(10);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(2);
const KEEPALIVE_COUNT: u32 = 3;

/// A statement must see what was committed before it began, even if it waited for a lock in its transaction. Moves
/// rely on that.
pub(crate) const ISOLATION: (&str, &str) = ("default_transaction_isolation", "read committed");

/// Settings that make the statements fast.
pub(crate) const PLANS: [(&str, &str); 5] = [
    // One plan fits all values of every statement, and planning again takes longer than most statements run.
    ("plan_cache_mode", "force_generic_plan"),
    // A plan is often made while the tables are empty, and must still be good when they are full: index scans and
    // nested loops.
    ("enable_seqscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("jit", "off"),
];

/// Adds the settings. Those in the connection string stay.
pub(crate) fn configure(config: &mut Config, options: &StoreOptions) {
    if config.get_application_name().is_none() {
        config.application_name(env!("CARGO_PKG_NAME"));
    }
    let given = config.get_options().unwrap_or_default();
    config.options(format!("{given} {}", server_options(options.statement_timeout)));

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

/// Returns the command-line options of the server process.
fn server_options(statement_timeout: Duration) -> String {
    let timeout = statement_timeout.as_millis();
    let (idle, interval) = (KEEPALIVE_IDLE.as_secs(), KEEPALIVE_INTERVAL.as_secs());
    let own = [
        // A statement does not outlive its call for long.
        format!("statement_timeout={timeout}"),
        // A waiting statement blocks those behind it in the queue. A streamed list has no other limit.
        format!("lock_timeout={timeout}"),
        // A transaction is sent as a whole. If the rest is lost, its locks must not stay.
        "idle_in_transaction_session_timeout=5s".to_owned(),
        // Detects a service that is cut off.
        format!("tcp_keepalives_idle={idle}"),
        format!("tcp_keepalives_interval={interval}"),
        format!("tcp_keepalives_count={KEEPALIVE_COUNT}"),
    ];
    let shared = [ISOLATION].into_iter().chain(PLANS);
    let shared = shared.map(|(name, value)| format!("{name}={}", value.replace(' ', "\\ ")));
    format!("-c {}", own.into_iter().chain(shared).collect::<Vec<_>>().join(" -c "))
}

/// Makes PostgreSQL end a statement when its client is gone. Some systems do not support this setting, and would refuse
/// it as an option of the connection.
pub(crate) async fn set_up(client: &Client) -> Result<(), PgError> {
    let unsupported = [SqlState::INVALID_PARAMETER_VALUE, SqlState::UNDEFINED_OBJECT];
    match client.batch_execute("set client_connection_check_interval = '1s'").await {
        Err(error) if error.code().is_some_and(|state| unsupported.contains(state)) => Ok(()),
        done => done,
    }
}
