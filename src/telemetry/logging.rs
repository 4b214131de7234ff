//! Log set-up. A thread of its own writes the log: a standard error that is full, closed or not read blocks no call and
//! ends no process. Lines that cannot be written are dropped and counted.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
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

/// The most lines that wait for the writer.
const MAX_QUEUE: usize = 16_384;

/// The log of the process.
struct Log {
    format: LogFormat,
    overflowing: ErrorCounter,
    /// Until [`finish`].
    writer: Mutex<Option<WorkerGuard>>,
}

static LOG: OnceLock<Log> = OnceLock::new();

/// Lines that standard error has refused.
static FAILED: AtomicU64 = AtomicU64::new(0);

/// The number of dropped lines when a line was last written.
static DROPPED_BEFORE: AtomicU64 = AtomicU64::new(0);

/// Starts to write the log to standard error. Panics are logged, too.
pub fn init(format: LogFormat, filter: EnvFilter) {
    let writer = NonBlockingBuilder::default().lossy(true).buffered_lines_limit(MAX_QUEUE);
    let (writer, guard) = writer.thread_name("log").finish(StandardError);
    let log = Log { format, overflowing: writer.error_counter(), writer: Mutex::new(Some(guard)) };
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(writer);
    match format {
        LogFormat::Pretty => lines.with_target(false).init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
    LOG.get_or_init(|| log);
    install_panic_hook();
}

/// Reports why a service failed: in its log, or as a line on standard error if there is no log yet.
pub(crate) fn report_failure(cause: &str) {
    match LOG.get().map(|log| log.format) {
        Some(LogFormat::Json) => tracing::error!(cause, "failed"),
        // Not printed: a standard error that nobody reads would block the end of the process.
        Some(LogFormat::Pretty) => tracing::error!("{cause}"),
        None => print(format_args!("error: {cause}")),
    }
}

/// Prints a line for people on standard error. If that is closed or full, nobody reads it.
pub(crate) fn print(line: std::fmt::Arguments<'_>) {
    drop(writeln!(io::stderr(), "{line}"));
}

/// Writes the lines that wait, for a second at most. Later lines are lost.
pub(crate) fn finish() {
    if let Some(log) = LOG.get() {
        drop(log.writer.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

/// Returns the number of lines that were dropped.
pub(crate) fn dropped_lines() -> u64 {
    let overflowing = LOG.get().map_or(0, |log| log.overflowing.dropped_lines() as u64);
    overflowing + FAILED.load(Ordering::Relaxed)
}

/// Whether lines were dropped, and none was written since.
pub(crate) fn is_losing_lines() -> bool {
    dropped_lines() > DROPPED_BEFORE.load(Ordering::Relaxed)
}

/// Standard error, whose errors are counted.
struct StandardError;

impl Write for StandardError {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match io::stderr().write_all(line) {
            Ok(()) => DROPPED_BEFORE.store(dropped_lines(), Ordering::Relaxed),
            Err(_) => drop(FAILED.fetch_add(1, Ordering::Relaxed)),
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
