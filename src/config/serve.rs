//! Settings of `serve`.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::str::FromStr;

use clap::Args;

use super::database::{DatabaseConfig, DatabaseSettings, DatabaseSource, LogConfig, LogSettings};
use super::limits::LimitSettings;
use super::tls::TlsSettings;
use super::traces::TraceSettings;
use super::{Checked, ModeSettings, Problems, parse};
use crate::domain::{Mode, Secret};
use crate::listen::{ListenAddress, ServerOptions, Timeouts};
use crate::router::Origins;
use crate::store::{CONNECTIONS_PER_WORKER, Database, StoreOptions};
use crate::telemetry::traces::TraceOptions;

const LISTEN: &str = "LISTEN";
const ADMIN_LISTEN: &str = "ADMIN_LISTEN";
const CORS_ORIGINS: &str = "CORS_ORIGINS";
const WORKERS: &str = "WORKERS";
const API_KEY: &str = "API_KEY";
const AUDIT_REQUIRED: &str = "AUDIT_REQUIRED";
const DATABASE_READ_URL: &str = "DATABASE_READ_URL";
const POOL_SIZE: &str = "POOL_SIZE";
const POOL_QUEUE: &str = "POOL_QUEUE";
const POOL_TIMEOUT: &str = "POOL_TIMEOUT";
const REQUEST_TIMEOUT: &str = "REQUEST_TIMEOUT";
const DRAIN_TIMEOUT: &str = "DRAIN_TIMEOUT";
const HEADER_TIMEOUT: &str = "HEADER_TIMEOUT";
const IDLE_TIMEOUT: &str = "IDLE_TIMEOUT";
const MAX_CONNECTION_AGE: &str = "MAX_CONNECTION_AGE";

/// The settings of `serve` as given.
#[derive(Debug, Args)]
pub(crate) struct ServeSettings {
    #[command(flatten)]
    network: NetworkSettings,

    #[command(flatten)]
    mode: ModeSettings,

    /// An additional API key with write access that is not stored: 24 characters or more, with the prefix sk_test_, or
    /// sk_live_ in live mode. `ps` shows a flag to every user; prefer the environment
    #[arg(long, env = API_KEY, hide_env_values = true, value_name = "KEY", help_heading = "API keys")]
    api_key: Option<String>,

    #[command(flatten)]
    database: DatabaseSettings,

    #[command(flatten)]
    pool: PoolSettings,

    #[command(flatten)]
    timeouts: TimeoutSettings,

    #[command(flatten)]
    limits: LimitSettings,

    #[command(flatten)]
    tls: TlsSettings,

    #[command(flatten)]
    traces: TraceSettings,

    #[command(flatten)]
    log: LogSettings,

    /// Whether to refuse changes while lines of the log, and so of the audit log, are lost: true or false
    #[arg(long, env = AUDIT_REQUIRED, default_value = "false", value_name = "BOOLEAN", help_heading = "Log")]
    audit_required: String,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Network")]
struct NetworkSettings {
    /// Address or host name, and port, of the service, or unix: and the path of a Unix socket; port 0 selects a free one,
    /// which is logged
    #[arg(long, env = LISTEN, default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
    listen: String,

    /// Address or host name, and port, of the metrics, at /metrics, without authentication; port 0 selects a free one, which is logged;
    /// an empty value disables them
    #[arg(long, env = ADMIN_LISTEN, default_value = "127.0.0.1:9090", value_name = "ADDRESS")]
    admin_listen: String,

    /// Origins whose pages may call the service from a browser (CORS), separated by commas, or * for all
    #[arg(long, env = CORS_ORIGINS, value_name = "ORIGINS")]
    cors_origins: Option<String>,

    /// Number of threads that serve connections, 1 to 1000 [default: one for each core]
    #[arg(long, env = WORKERS, value_name = "NUMBER")]
    workers: Option<String>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Database")]
struct PoolSettings {
    /// URL of the read replicas of DATABASE_URL, for lists [default: all reads use DATABASE_URL]
    #[arg(long, env = DATABASE_READ_URL, hide_env_values = true, value_name = "URL")]
    database_read_url: Option<String>,

    /// Maximum number of pooled connections to PostgreSQL, 1 to 1000; the service also opens one for health and keys,
    /// and two for each worker
    #[arg(long, env = POOL_SIZE, default_value = "16", value_name = "NUMBER")]
    pool_size: String,

    /// Maximum number of calls that wait for a pooled connection, 1 to 1000000; further calls are rejected
    #[arg(long, env = POOL_QUEUE, default_value = "2048", value_name = "NUMBER")]
    pool_queue: String,

    /// Timeout for a call that waits for a pooled connection
    #[arg(long, env = POOL_TIMEOUT, default_value = "5s", value_name = "TIME")]
    pool_timeout: String,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Timeouts")]
struct TimeoutSettings {
    /// Timeout for a call; a caller may request a shorter one. A long list may take longer, but may not stall for as long.
    /// Also for a caller that does not read its response
    #[arg(long = "request-timeout", env = REQUEST_TIMEOUT, default_value = "30s", value_name = "TIME")]
    request: String,

    /// Timeout for calls in progress when the service stops (graceful shutdown)
    #[arg(long = "drain-timeout", env = DRAIN_TIMEOUT, default_value = "25s", value_name = "TIME")]
    drain: String,

    /// Timeout for a TLS handshake, for the headers of a request, and for the first request of a connection
    #[arg(long = "header-timeout", env = HEADER_TIMEOUT, default_value = "10s", value_name = "TIME")]
    header: String,

    /// Timeout for a connection without a call; longer than that of a load balancer in front of the service
    #[arg(long = "idle-timeout", env = IDLE_TIMEOUT, default_value = "120s", value_name = "TIME")]
    idle: String,

    /// Maximum age of a connection, 10 % more or less; its calls finish, and its caller connects again
    #[arg(long = "max-connection-age", env = MAX_CONNECTION_AGE, default_value = "30m", value_name = "TIME")]
    age: String,
}

/// The validated settings of `serve`.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) database: DatabaseConfig,
    /// The read replicas.
    pub(crate) replica: Option<Database>,
    pub(crate) mode: Mode,
    pub(crate) api_key: Option<Secret>,
    pub(crate) server: ServerOptions,
    pub(crate) traces: Option<TraceOptions>,
}

impl Config {
    /// Returns the settings, or every problem, one line each; and those of the log if they are valid.
    pub(crate) fn parse(settings: ServeSettings) -> (Result<Self, Vec<String>>, Option<LogConfig>) {
        let mut problems = Problems::default();
        let network = settings.network.check(&mut problems);
        let mode = settings.mode.check(&mut problems);
        let api_key = check_api_key(settings.api_key.as_deref(), mode, &mut problems);
        let (pool_size, pool_queue) = settings.pool.check_size(&mut problems);
        let database = settings.database.check_url(&mut problems);
        let replica = settings.pool.check_replica(settings.database.url(), &mut problems);
        let pool_timeout = problems.duration(POOL_TIMEOUT, &settings.pool.pool_timeout);
        let connect_timeout = settings.database.check_connect_timeout(&mut problems);
        let timeouts = settings.timeouts.check(&mut problems);
        let limits = settings.limits.check(&mut problems);
        let per_key = settings.limits.check_connections(&mut problems);
        let traces = settings.traces.check(&mut problems);
        let tls = settings.tls.check(&mut problems);
        let log = settings.log.check(&mut problems);
        let is_audit_required = problems.check(AUDIT_REQUIRED, parse::boolean(&settings.audit_required));

        let config = || {
            let (listen, admin, origins, workers) = network?;
            let timeouts = timeouts?;
            let (long_lists_per_key, searches_per_key) = per_key?;
            let options = StoreOptions {
                pool_size: pool_size?,
                pool_queue: pool_queue?,
                pool_timeout: pool_timeout?,
                long_lists_per_key,
                searches_per_key,
                connect_timeout: connect_timeout?,
                statement_timeout: timeouts.request,
            };
            let worker_connections = CONNECTIONS_PER_WORKER * workers.get();
            let database = settings.database.into_config(database?, options, worker_connections);
            let is_embedded = matches!(database.source, DatabaseSource::Embedded(_));
            let (tls, limits, is_audit_required) = (tls?, limits?, is_audit_required?);
            let server = ServerOptions {
                listen,
                tls,
                admin,
                is_embedded,
                workers,
                timeouts,
                limits,
                origins,
                is_audit_required,
            };
            let (replica, mode, api_key, traces) = (replica?, mode?, api_key?, traces?);
            Some(Self { database, replica, mode, api_key, server, traces })
        };
        let config = config();
        (problems.finish(config), log)
    }
}

/// The addresses of the service and of the metrics, the origins and the number of workers.
type Network = (ListenAddress, Option<Vec<SocketAddr>>, Option<Origins>, NonZeroUsize);

impl NetworkSettings {
    fn check(&self, problems: &mut Problems) -> Option<Network> {
        let listen = problems.check(LISTEN, parse::listen_address(&self.listen));
        let admin = problems.check(ADMIN_LISTEN, parse::optional_addresses(&self.admin_listen));
        let origins = self.cors_origins.as_deref().map(Origins::from_str).transpose();
        let origins = problems.check(CORS_ORIGINS, origins);
        let workers = problems.check(WORKERS, parse::workers(self.workers.as_deref()));
        Some((listen?, admin?, origins?, workers?))
    }
}

fn check_api_key(text: Option<&str>, mode: Option<Mode>, problems: &mut Problems) -> Checked<Option<Secret>> {
    let Some(text) = text else { return Some(None) };
    // With an invalid mode, a key of either mode is valid.
    let mode = mode.or(Mode::of(text)).unwrap_or(Mode::Test);
    problems.check(API_KEY, parse::key(mode, text)).map(Some)
}

impl PoolSettings {
    fn check_size(&self, problems: &mut Problems) -> (Option<usize>, Option<usize>) {
        let size = problems.check(POOL_SIZE, parse::number("connections", 1..=1000, &self.pool_size));
        let queue = problems.check(POOL_QUEUE, parse::number("calls", 1..=1_000_000, &self.pool_queue));
        (size, queue)
    }

    fn check_replica(&self, primary: Option<&str>, problems: &mut Problems) -> Checked<Option<Database>> {
        let replica = self.database_read_url.as_deref().map(|url| parse::replica(url, primary)).transpose();
        problems.check(DATABASE_READ_URL, replica)
    }
}

impl TimeoutSettings {
    fn check(&self, problems: &mut Problems) -> Option<Timeouts> {
        let request = problems.duration(REQUEST_TIMEOUT, &self.request);
        let drain = problems.duration(DRAIN_TIMEOUT, &self.drain);
        let header = problems.duration(HEADER_TIMEOUT, &self.header);
        let idle = problems.duration(IDLE_TIMEOUT, &self.idle);
        let age = problems.duration(MAX_CONNECTION_AGE, &self.age);
        Some(Timeouts { header: header?, request: request?, idle: idle?, age: age?, drain: drain? })
    }
}
