//! Log set-up.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use super::panics::install_panic_hook;

/// The format of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
}

/// The filter when `RUST_LOG` is not set: everything of this service, and only those messages of libraries that
/// the service does not log itself.
pub const DEFAULT_FILTER: &str = "info,deadpool.postgres=error,refinery_core=warn,tokio_postgres=warn";

/// Starts to write the log to standard error. Panics are logged, too.
pub fn init(format: LogFormat, filter: EnvFilter) {
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Pretty => lines.with_target(false).init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
    install_panic_hook();
}
