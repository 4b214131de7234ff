//! A database: address, login and encryption.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, QueueMode, RecyclingMethod, Runtime, Timeouts};
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

use super::hosts::{Hosts, PreferredHost, port};
use super::{CircuitBreaker, Connector, Pool, Tls, session, sslmode};
use crate::error::BoxError;
use crate::store::errors::{StartupError, is_unavailable, pg_message};

/// Address, login and encryption of a database.
#[derive(Clone)]
pub struct Database {
    config: Box<Config>,
    tls: Tls,
    preferred: PreferredHost,
}

/// Limits of connections and statements.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// The most connections for calls, at least 1. Health and keys use one more, and each thread's batched reads two.
    pub pool_size: usize,
    /// The most calls that wait for a free connection, at least 1. Further calls are refused.
    pub pool_queue: usize,
    /// The longest wait for a free connection.
    pub pool_timeout: Duration,
    /// The most connections for the long lists of one API key, at least 1; by default half of those for long lists.
    pub long_lists_per_key: Option<usize>,
    /// The most connections for the searches of one API key, at least 1; by default half of those for searches.
    pub searches_per_key: Option<usize>,
    /// The longest time to open a connection.
    pub connect_timeout: Duration,
    /// The longest run time of a statement, and its longest wait for a lock.
    pub statement_timeout: Duration,
}

impl FromStr for Database {
    type Err = String;

    /// Parses a [connection string or URI][libpq], and reads the certificate files that it names.
    ///
    /// [libpq]: https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING
    fn from_str(text: &str) -> Result<Self, String> {
        // A file that an editor has written ends in a new line.
        let text = text.trim_end_matches(['\r', '\n']);
        let (text, encryption) = sslmode::split(text)?;
        // The parser's error may quote the text, and the text may contain a password.
        let mut config: Config = text
            .parse()
            .map_err(|_| "it cannot be parsed; use the form postgres://user:password@host:5432/database")?;
        check_hosts(&config)?;
        let (mode, tls) = encryption.parse()?;
        // PostgreSQL offers no encryption on Unix sockets.
        let is_socket = |host: &Host| matches!(host, Host::Unix(_));
        let sockets = config.get_hosts().iter().filter(|host| is_socket(host)).count();
        if sockets > 0 && sockets < config.get_hosts().len() && mode == SslMode::Require {
            return Err("connections on a Unix socket are not encrypted; remove the other hosts, or use \
                        sslmode=prefer"
                .to_owned());
        }
        config.ssl_mode(if sockets == config.get_hosts().len() { SslMode::Disable } else { mode });
        Ok(Self { config: Box::new(config), tls, preferred: PreferredHost::default() })
    }
}

impl Database {
    /// Returns the database behind the Unix socket in `folder`, for a user without a password.
    #[must_use]
    pub fn on_socket(folder: &std::path::Path, user: &str, database: &str) -> Self {
        let mut config = Config::new();
        config.host_path(folder).user(user).dbname(database).ssl_mode(SslMode::Disable);
        Self { config: Box::new(config), tls: Tls::default(), preferred: PreferredHost::default() }
    }

    /// Returns whether the address contains a password.
    pub fn has_password(&self) -> bool {
        self.config.get_password().is_some()
    }

    /// Whether the server accepts connections; `false` while it is unavailable, starting or stopping.
    /// Fails with an error that does not pass by itself.
    pub async fn ping(&self) -> Result<bool, BoxError> {
        match self.config.connect(self.tls.clone()).await {
            Ok(_) => Ok(true),
            Err(error) if is_unavailable(&error) => Ok(false),
            Err(error) => Err(pg_message(&error).into()),
        }
    }

    pub(crate) fn pool(
        &self,
        options: &StoreOptions,
        size: usize,
        breaker: &CircuitBreaker,
    ) -> Result<Pool, StartupError> {
        let mut config = Config::clone(&self.config);
        session::configure(&mut config, options);
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let hosts = Hosts::new(&config, &self.preferred, options.connect_timeout);
        let connector = Connector { hosts, tls: self.tls.clone(), breaker: breaker.clone() };
        let manager = Manager::from_connect(config, connector.clone(), recycling);
        let timeouts = Timeouts {
            wait: Some(options.pool_timeout),
            create: Some(options.connect_timeout),
            recycle: Some(options.connect_timeout),
        };
        let pool = deadpool_postgres::Pool::builder(manager)
            .max_size(size)
            .timeouts(timeouts)
            // The connection that was used last has warm caches.
            .queue_mode(QueueMode::Lifo)
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| StartupError::Other(error.to_string()))?;
        Ok(Pool::new(pool, options.pool_queue, connector))
    }
}

/// Checks that each host has a port and an address, or that all share them.
fn check_hosts(config: &Config) -> Result<(), String> {
    let (hosts, ports) = (config.get_hosts().len(), config.get_ports().len());
    let addresses = config.get_hostaddrs().len();
    if hosts == 0 {
        let forms = "postgres://user@host/database or postgres://user@%2Fvar%2Frun%2Fpostgresql/database";
        return Err(format!("it names no host; add one, as in {forms}"));
    }
    if ports > 1 && ports != hosts {
        return Err(format!("it names {hosts} hosts and {ports} ports; name one port, or one for each host"));
    }
    if addresses > 0 && addresses != hosts {
        return Err(format!(
            "it names {hosts} hosts and {addresses} addresses; name one hostaddr for each host, or none"
        ));
    }
    Ok(())
}

impl fmt::Display for Database {
    /// Writes the address without user and password: `db.example:5432/groups`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, host) in self.config.get_hosts().iter().enumerate() {
            let separator = if index == 0 { "" } else { "," };
            match host {
                Host::Tcp(name) => write!(f, "{separator}{name}:{}", port(&self.config, index))?,
                Host::Unix(folder) => write!(f, "{separator}{}", folder.display())?,
            }
        }
        write!(f, "/{}", self.config.get_dbname().unwrap_or_default())
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Database({self})")
    }
}
