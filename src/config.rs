//! Settings: flags and environment variables to one typed [`Config`], every mistake reported at once.

mod bounds;
mod parse;
#[cfg(test)]
mod tests;
mod tls;
mod traces;

use std::fmt::Display;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use nix::unistd::geteuid;
use tracing_subscriber::EnvFilter;

use crate::auth::{Mode, Secret};
use crate::embedded;
use crate::server::{self, Origins, Timeouts};
use crate::store::{Database, Limits};
use crate::telemetry::{DEFAULT_FILTER, LogFormat};
use bounds::Bounds;
use tls::Encryption;
use traces::Traces;

/// The settings as they were given, each a flag with an environment variable.
#[derive(Debug, Args)]
#[command(next_help_heading = "Settings")]
pub struct Settings {
    /// PostgreSQL 14 or newer, as postgres://user:password@host:port/database; without it a private
    /// PostgreSQL is started in the data folder. On a Unix socket:
    /// postgres://user@%2Fvar%2Frun%2Fpostgresql/database
    #[arg(long, env = "DATABASE_URL", global = true, hide_env_values = true, value_name = "URL")]
    database_url: Option<String>,

    /// Folder of the private PostgreSQL and the first API key [default: ./data, for root
    /// /var/lib/customer-groups]
    #[arg(long, env = "DATA_DIR", global = true, value_name = "FOLDER")]
    data_dir: Option<PathBuf>,

    /// Folder of postgres and initdb [default: the newest of /usr/lib/postgresql/*/bin, then PATH]
    #[arg(long, env = "PG_BIN_DIR", global = true, value_name = "FOLDER")]
    pg_bin_dir: Option<PathBuf>,

    /// Which API keys are taken: test (sk_test_…) or live (sk_live_…)
    #[arg(long, env = "MODE", global = true, default_value = "test", value_name = "MODE")]
    mode: String,

    /// How long connecting to PostgreSQL may take, such as 5s or 500ms; all times are from 1ms to 24h
    #[arg(long, env = "CONNECT_TIMEOUT", global = true, default_value = "5s", value_name = "TIME")]
    connect_timeout: String,

    /// Form of the log on standard error: pretty or json
    #[arg(long, env = "LOG_FORMAT", global = true, default_value = "pretty", value_name = "FORMAT")]
    log_format: String,

    /// What is logged, as in info,customer_groups=debug
    #[arg(long, env = "RUST_LOG", global = true, default_value = DEFAULT_FILTER, value_name = "FILTER")]
    log: String,

    #[command(flatten)]
    serving: Serving,
}

/// Those of the settings that only serving needs. Other commands take them too, and have no use for them.
#[derive(Debug, Args)]
#[command(next_help_heading = "Settings for serving")]
struct Serving {
    /// Standbys of DATABASE_URL, in the same form, from which lists are read; without it all is read from DATABASE_URL
    #[arg(long, env = "DATABASE_READ_URL", global = true, hide_env_values = true, value_name = "URL")]
    database_read_url: Option<String>,

    /// Address and port to listen on; port 0 takes a free one, which is logged
    #[arg(long, env = "LISTEN", global = true, default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
    listen: String,

    /// Address and port of the metrics, at /metrics, for those who may see them without a key; port 0 takes a free one,
    /// which is logged, and an empty one switches them off
    #[arg(
        long,
        env = "ADMIN_LISTEN",
        global = true,
        default_value = "127.0.0.1:9090",
        value_name = "ADDRESS"
    )]
    admin_listen: String,

    /// One more API key that may write and is kept in no table: 24 characters or more that begin with
    /// sk_test_, or sk_live_ in live mode
    #[arg(long, env = "API_KEY", global = true, hide_env_values = true, value_name = "KEY")]
    api_key: Option<String>,

    /// Origins whose pages may call the service from a browser, with commas between them, or * for all
    #[arg(long, env = "CORS_ORIGINS", global = true, value_name = "ORIGINS")]
    cors_origins: Option<String>,

    /// Threads that serve connections, 1 to 1000 [default: one for each core]
    #[arg(long, env = "WORKERS", global = true, value_name = "NUMBER")]
    workers: Option<String>,

    /// The most connections to PostgreSQL for calls, 1 to 1000; more are used: one for health and keys, and two
    /// of each worker for reads of one group and of ancestors
    #[arg(long, env = "POOL_SIZE", global = true, default_value = "16", value_name = "NUMBER")]
    pool_size: String,

    /// The most calls that wait for a free connection, 1 to 1000000; those that come when there are so many are refused
    #[arg(long, env = "POOL_QUEUE", global = true, default_value = "2048", value_name = "NUMBER")]
    pool_queue: String,

    /// How long a call waits for a free connection
    #[arg(long, env = "POOL_TIMEOUT", global = true, default_value = "5s", value_name = "TIME")]
    pool_timeout: String,

    /// How long a call may take; a caller may ask for less, and a long list that has begun may take longer, but not
    /// stand still for so long
    #[arg(long, env = "REQUEST_TIMEOUT", global = true, default_value = "30s", value_name = "TIME")]
    request_timeout: String,

    /// How long calls that are under way may take when the service is stopped
    #[arg(long, env = "DRAIN_TIMEOUT", global = true, default_value = "25s", value_name = "TIME")]
    drain_timeout: String,

    /// How long the handshake of TLS may take, the headers of a request, and the first request of a connection to begin
    #[arg(long, env = "HEADER_TIMEOUT", global = true, default_value = "10s", value_name = "TIME")]
    header_timeout: String,

    #[command(flatten)]
    bounds: Bounds,

    #[command(flatten)]
    encryption: Encryption,

    #[command(flatten)]
    traces: Traces,
}

/// Where the database is.
#[derive(Debug, Clone)]
pub enum Source {
    /// At a server that someone else runs.
    Given(Database),
    /// In a private PostgreSQL.
    Embedded(embedded::Options),
}

/// The settings as they are used.
#[derive(Debug)]
pub struct Config {
    /// Where the database is.
    pub source: Source,
    /// Standbys of it.
    pub standby: Option<Database>,
    /// The folder of the private PostgreSQL and the first API key.
    pub data_dir: PathBuf,
    /// Which keys are taken.
    pub mode: Mode,
    /// The key that is in no table.
    pub api_key: Option<Secret>,
    /// Connections, and how long is waited for them.
    pub limits: Limits,
    /// How the server serves.
    pub server: server::Options,
    /// Where traces go, if anywhere.
    pub traces: Option<crate::traces::Options>,
    /// How the log is written.
    pub log_format: LogFormat,
    /// What is logged.
    pub log_filter: EnvFilter,
}

/// What is wrong with the settings.
#[derive(Debug, Default)]
struct Problems(Vec<String>);

impl Problems {
    /// Keeps what is wrong with the setting of that name.
    fn check<T>(&mut self, name: &str, parsed: Result<T, impl Display>) -> Option<T> {
        parsed.map_err(|problem| self.0.push(format!("{name}: {problem}"))).ok()
    }

    fn duration(&mut self, name: &str, text: &str) -> Option<Duration> {
        self.check(name, parse::duration(text))
    }
}

impl Config {
    /// Reads the settings.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with them, a line each.
    pub fn parse(settings: Settings) -> Result<Self, Vec<String>> {
        let serving = &settings.serving;
        let mut problems = Problems::default();
        let listen = problems.check("LISTEN", parse::address(&serving.listen));
        let admin = problems.check("ADMIN_LISTEN", parse::admin(&serving.admin_listen));
        let origins = serving.cors_origins.as_deref().map(Origins::from_str).transpose();
        let origins = problems.check("CORS_ORIGINS", origins);
        let workers = problems.check("WORKERS", parse::workers(serving.workers.as_deref()));
        let mode = problems.check("MODE", parse::mode(&settings.mode));
        let api_key = match (&serving.api_key, mode) {
            (Some(text), mode) => {
                // With a mode that is no mode, the key may still be one of either.
                let mode = mode.or(Mode::of(text)).unwrap_or(Mode::Test);
                problems.check("API_KEY", parse::key(mode, text)).map(Some)
            }
            (None, _) => Some(None),
        };
        let pool_size =
            problems.check("POOL_SIZE", parse::number("connections", 1..=1000, &serving.pool_size));
        let pool_queue =
            problems.check("POOL_QUEUE", parse::number("calls", 1..=1_000_000, &serving.pool_queue));
        let database = settings.database_url.as_deref().map(parse::database).transpose();
        let database = problems.check("DATABASE_URL", database);
        let standby = serving.database_read_url.as_deref();
        let standby = standby.map(|url| parse::standby(url, settings.database_url.as_deref())).transpose();
        let standby = problems.check("DATABASE_READ_URL", standby);
        let pool_timeout = problems.duration("POOL_TIMEOUT", &serving.pool_timeout);
        let connect_timeout = problems.duration("CONNECT_TIMEOUT", &settings.connect_timeout);
        let request = problems.duration("REQUEST_TIMEOUT", &serving.request_timeout);
        let drain = problems.duration("DRAIN_TIMEOUT", &serving.drain_timeout);
        let header = problems.duration("HEADER_TIMEOUT", &serving.header_timeout);
        let bounds = serving.bounds.parse(&mut problems);
        let traces = serving.traces.endpoint().map(|url| serving.traces.parse(url, &mut problems).ok_or(()));
        let tls = settings.serving.encryption.parse();
        let tls = tls.map_err(|found| problems.0.extend(found)).ok();
        let log_format = problems.check("LOG_FORMAT", parse::log_format(&settings.log_format));
        let log_filter = problems.check("RUST_LOG", EnvFilter::from_str(&settings.log));

        let config = || {
            let data_dir = settings.data_dir.unwrap_or_else(default_data_dir);
            let (pool_size, workers, request) = (pool_size?, workers?, request?);
            let source = match database? {
                Some(database) => Source::Given(database),
                None => Source::Embedded(embedded::Options {
                    data_dir: data_dir.clone(),
                    bin_dir: settings.pg_bin_dir,
                    connections: embedded_connections(pool_size, workers),
                }),
            };
            let is_embedded = matches!(source, Source::Embedded(_));
            let limits = Limits {
                pool_size,
                pool_queue: pool_queue?,
                pool_timeout: pool_timeout?,
                connect_timeout: connect_timeout?,
                statement_timeout: request,
            };
            Some(Self {
                source,
                standby: standby?,
                data_dir,
                mode: mode?,
                api_key: api_key?,
                limits,
                server: server::Options {
                    listen: listen?,
                    tls: tls?,
                    admin: admin?,
                    is_embedded,
                    workers,
                    timeouts: Timeouts { header: header?, request, drain: drain? },
                    limits: bounds?,
                    origins: origins?,
                },
                traces: traces.transpose().ok()?,
                log_format: log_format?,
                log_filter: log_filter?,
            })
        };
        config().ok_or(problems.0)
    }
}

/// Root's own folders are closed to the user that PostgreSQL then runs as.
fn default_data_dir() -> PathBuf {
    if geteuid().is_root() { "/var/lib/customer-groups".into() } else { "./data".into() }
}

/// The pool's, two of each worker, and some for health, for people, for `keys` and for `pgbench`.
fn embedded_connections(pool_size: usize, workers: NonZeroUsize) -> usize {
    pool_size + 2 * workers.get() + 32
}
