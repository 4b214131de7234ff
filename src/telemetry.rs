//! Logs: set-up only.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// How a line of the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// One JSON object a line, for programs.
    Json,
}

/// What is logged when `RUST_LOG` does not say: everything of this service, and of the libraries only what
/// it does not tell itself.
pub const DEFAULT_FILTER: &str = "info,deadpool.postgres=error,refinery_core=warn,tokio_postgres=warn";

/// Writes what passes the filter to standard error from now on.
pub fn init(format: LogFormat, filter: EnvFilter) {
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Pretty => lines.with_target(false).init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
}
