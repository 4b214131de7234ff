//! Settings of the database and of the log: the ones that every command has.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use nix::unistd::geteuid;
use tracing_subscriber::EnvFilter;

use super::environment::check_libpq;
use super::{Checked, Problems, parse};
use crate::embedded::EmbeddedOptions;
use crate::store::{Database, StoreOptions};
use crate::telemetry::{DEFAULT_FILTER, LogFormat};

const DATABASE_URL: &str = "DATABASE_URL";
const CONNECT_TIMEOUT: &str = "CONNECT_TIMEOUT";
const LOG_FORMAT: &str = "LOG_FORMAT";
const RUST_LOG: &str = "RUST_LOG";

// The options of a command that has no settings for them. They equal the defaults of `serve`.
const POOL_SIZE: usize = 16;
const POOL_QUEUE: usize = 2048;
const POOL_TIMEOUT: Duration = Duration::from_secs(5);
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(30);

/// Connections of the private PostgreSQL beside those of the pool and the workers: for health, commands and tools.
const SPARE_CONNECTIONS: usize = 32;

/// The settings of a command that works on the database.
#[derive(Debug, Args)]
pub(crate) struct CommandSettings {
    #[command(flatten)]
    database: DatabaseSettings,

    #[command(flatten)]
    log: LogSettings,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Database")]
pub(super) struct DatabaseSettings {
    /// URL of PostgreSQL 14 or newer, as postgres://user:password@host:port/database, or for a Unix socket
    /// postgres://user@%2Fvar%2Frun%2Fpostgresql/database. `ps` shows a flag to every user; with a password, prefer the
    /// environment [default: a private PostgreSQL in the data folder]
    #[arg(long, env = DATABASE_URL, global = true, hide_env_values = true, value_name = "URL")]
    database_url: Option<String>,

    /// Data folder: the private PostgreSQL and the first API keys [default: ./data; for root
    /// /var/lib/customer-groups]
    #[arg(long, env = "DATA_DIR", global = true, value_name = "FOLDER")]
    data_dir: Option<PathBuf>,

    /// Folder of postgres and initdb [default: found in /usr/lib/postgresql and PATH]
    #[arg(long, env = "PG_BIN_DIR", global = true, value_name = "FOLDER")]
    pg_bin_dir: Option<PathBuf>,

    /// Timeout for connecting to PostgreSQL, such as 5s or 500ms; every time is from 1ms to 24h
    #[arg(long, env = CONNECT_TIMEOUT, global = true, default_value = "5s", value_name = "TIME")]
    connect_timeout: String,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Log")]
pub(super) struct LogSettings {
    /// Format of the log on standard error: pretty or json
    #[arg(long, env = LOG_FORMAT, global = true, default_value = "pretty", value_name = "FORMAT")]
    log_format: String,

    /// Filter of the log, such as info,customer_groups=debug
    #[arg(long, env = RUST_LOG, global = true, default_value = DEFAULT_FILTER, value_name = "FILTER")]
    log: String,
}

/// The validated settings of a command that works on the database.
#[derive(Debug)]
pub(crate) struct CommandConfig {
    pub(crate) database: DatabaseConfig,
    pub(crate) log: LogConfig,
}

#[derive(Debug)]
pub(crate) struct DatabaseConfig {
    pub(crate) source: DatabaseSource,
    pub(crate) data_dir: PathBuf,
    pub(crate) options: StoreOptions,
}

#[derive(Debug, Clone)]
pub(crate) enum DatabaseSource {
    /// A database of DATABASE_URL.
    External(Database),
    /// A private PostgreSQL in the data folder.
    Embedded(EmbeddedOptions),
}

#[derive(Debug)]
pub(crate) struct LogConfig {
    pub(crate) format: LogFormat,
    pub(crate) filter: EnvFilter,
}

impl CommandSettings {
    /// Returns every problem of the settings, one line each.
    pub(crate) fn parse(self) -> Result<CommandConfig, Vec<String>> {
        let mut problems = Problems::default();
        let config = self.check(&mut problems);
        problems.finish(config)
    }

    pub(super) fn check(self, problems: &mut Problems) -> Option<CommandConfig> {
        let database = self.database.check_url(problems);
        let connect_timeout = self.database.check_connect_timeout(problems);
        let log = self.log.check(problems);
        let options = StoreOptions {
            pool_size: POOL_SIZE,
            pool_queue: POOL_QUEUE,
            pool_timeout: POOL_TIMEOUT,
            long_lists_per_key: None,
            searches_per_key: None,
            connect_timeout: connect_timeout?,
            statement_timeout: STATEMENT_TIMEOUT,
        };
        Some(CommandConfig { database: self.database.into_config(database?, options, 0), log: log? })
    }
}

impl DatabaseSettings {
    pub(super) fn url(&self) -> Option<&str> {
        self.database_url.as_deref()
    }

    pub(super) fn check_url(&self, problems: &mut Problems) -> Checked<Option<Database>> {
        check_libpq(self.url().is_some(), problems);
        problems.check(DATABASE_URL, self.url().map(parse::database).transpose())
    }

    pub(super) fn check_connect_timeout(&self, problems: &mut Problems) -> Option<Duration> {
        problems.duration(CONNECT_TIMEOUT, &self.connect_timeout)
    }

    pub(super) fn into_config(
        self,
        database: Option<Database>,
        options: StoreOptions,
        worker_connections: usize,
    ) -> DatabaseConfig {
        let data_dir = self.data_dir.unwrap_or_else(default_data_dir);
        let source = match database {
            Some(database) => DatabaseSource::External(database),
            None => DatabaseSource::Embedded(EmbeddedOptions {
                data_dir: data_dir.clone(),
                bin_dir: self.pg_bin_dir,
                max_connections: options.pool_size + worker_connections + SPARE_CONNECTIONS,
            }),
        };
        DatabaseConfig { source, data_dir, options }
    }
}

impl LogSettings {
    pub(super) fn check(&self, problems: &mut Problems) -> Option<LogConfig> {
        let format = problems.check(LOG_FORMAT, parse::log_format(&self.log_format));
        let filter = problems.check(RUST_LOG, EnvFilter::from_str(&self.log));
        // With an invalid filter, the problems are reported in the format all the same.
        Some(LogConfig { format: format?, filter: filter.unwrap_or_else(|| EnvFilter::new(DEFAULT_FILTER)) })
    }
}

/// PostgreSQL cannot run as root, and its user cannot enter root's own folders.
fn default_data_dir() -> PathBuf {
    if geteuid().is_root() { "/var/lib/customer-groups".into() } else { "./data".into() }
}
