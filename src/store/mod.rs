//! All SQL. PostgreSQL's errors end here: what leaves is an [`Error`](crate::error::Error), or
//! at start an [`OpenError`].

mod batch;
mod connection;
mod create;
mod cycles;
mod export;
mod failure;
mod groups;
mod import;
mod keys;
mod lists;
mod migrate;
mod open;
mod pool;
mod pooler;
mod readers;
mod reads;
mod rows;
mod session;
mod sslmode;
mod standby;
mod stream;
mod tls;
mod verify;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, QueueMode, RecyclingMethod, Runtime, Timeouts};
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

pub use batch::BatchInsertion;
pub use create::Insertion;
pub use export::Export;
pub use groups::ParentCheck;
pub use import::{Import, SoundImport};
pub use open::OpenError;
pub use pool::PoolState;
pub use stream::Groups;
pub use verify::{Report, verify};

use crate::error::Cause;
use lists::Lists;
use pool::{Breaker, Connector, Pool};
use standby::Standby;
use tls::Tls;

/// Where the database is, how to log in, and how the connections are encrypted.
#[derive(Clone)]
pub struct Database {
    config: Box<Config>,
    tls: Tls,
}

/// How many connections are made, and how long is waited for them.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The most connections for calls, at least 1. More are kept: one for health and keys, and two for each
    /// [`Store::reading_here`].
    pub pool_size: usize,
    /// The most calls that wait for a free connection, at least 1. Those that come when there are so many are
    /// refused.
    pub pool_queue: usize,
    /// How long a call waits for a free connection.
    pub pool_timeout: Duration,
    /// How long making a connection may take.
    pub connect_timeout: Duration,
    /// How long PostgreSQL works on one statement, and how long the statement waits for a lock.
    pub statement_timeout: Duration,
}

/// The database, with its connections. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    database: Database,
    limits: Limits,
    pool: Pool,
    /// Apart from the others, so that health and revoked keys do not wait behind calls.
    watch: Pool,
    /// For reads of lists, and of one group.
    lists: Lists,
    /// For reads of lists that may be behind.
    standby: Option<Standby>,
}

impl FromStr for Database {
    type Err = String;

    /// Reads a [connection string or URI][libpq], and the files of certificates that it names.
    ///
    /// [libpq]: https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING
    fn from_str(text: &str) -> Result<Self, String> {
        // What the parser says may quote the text, and the text may hold a password.
        let (text, encryption) = sslmode::take(text);
        let mut config: Config = text
            .parse()
            .map_err(|_| "it cannot be read; give one such as postgres://user:password@host:5432/database")?;
        if config.get_hosts().is_empty() {
            let forms = "postgres://user@host/database or postgres://user@%2Fvar%2Frun%2Fpostgresql/database";
            return Err(format!("it names no host; give one, as in {forms}"));
        }
        let (mode, tls) = encryption.parse()?;
        // PostgreSQL offers no encryption there.
        let is_socket = |host: &Host| matches!(host, Host::Unix(_));
        let sockets = config.get_hosts().iter().filter(|host| is_socket(host)).count();
        if sockets > 0 && sockets < config.get_hosts().len() && mode == SslMode::Require {
            return Err(
                "connections on a Unix socket are not encrypted; name no other hosts beside it, or give \
                        sslmode=prefer"
                    .to_owned(),
            );
        }
        config.ssl_mode(if sockets == config.get_hosts().len() { SslMode::Disable } else { mode });
        Ok(Self { config: Box::new(config), tls })
    }
}

impl Database {
    /// The database of that name behind a Unix socket in `folder`, for a user who needs no password.
    #[must_use]
    pub fn on_socket(folder: &std::path::Path, user: &str, database: &str) -> Self {
        let mut config = Config::new();
        config.host_path(folder).user(user).dbname(database).ssl_mode(SslMode::Disable);
        Self { config: Box::new(config), tls: Tls::default() }
    }

    /// Whether the server takes connections; `false` while it is not there, starting or stopping.
    ///
    /// # Errors
    ///
    /// Why it takes none, when it would not do so later either.
    pub async fn ping(&self) -> Result<bool, Cause> {
        match self.config.connect(self.tls.clone()).await {
            Ok(_) => Ok(true),
            Err(error) if failure::is_away(&error) => Ok(false),
            Err(error) => Err(failure::said(&error).into()),
        }
    }

    fn pool(&self, limits: &Limits, size: usize, breaker: &Breaker) -> Result<Pool, OpenError> {
        let mut config = Config::clone(&self.config);
        session::configure(&mut config, limits);
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let connector = Connector { tls: self.tls.clone(), breaker: breaker.clone() };
        let manager = Manager::from_connect(config, connector.clone(), recycling);
        let timeouts = Timeouts {
            wait: Some(limits.pool_timeout),
            create: Some(limits.connect_timeout),
            recycle: Some(limits.connect_timeout),
        };
        let lent = deadpool_postgres::Pool::builder(manager)
            .max_size(size)
            .timeouts(timeouts)
            // The connection that was used last has everything at hand.
            .queue_mode(QueueMode::Lifo)
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| OpenError::Other(error.to_string()))?;
        Ok(Pool::new(lent, limits.pool_queue, connector))
    }
}

impl fmt::Display for Database {
    /// Where it is, without user and password: `db.example:5432/groups`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, host) in self.config.get_hosts().iter().enumerate() {
            let separator = if index == 0 { "" } else { "," };
            let port =
                self.config.get_ports().get(index).or(self.config.get_ports().first()).unwrap_or(&5432);
            match host {
                Host::Tcp(name) => write!(f, "{separator}{name}:{port}")?,
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

impl Store {
    /// Connects, checks that the server can be used, and brings its tables up to date. Several services may
    /// do so at once.
    ///
    /// # Errors
    ///
    /// That the server cannot be reached or does not let the user in, that there is no such database, that it
    /// is too old or not in UTF-8, or that the user may not, or could not, bring its tables up to date.
    pub async fn open(database: &Database, limits: &Limits) -> Result<Self, OpenError> {
        let lists = Lists::new(database, limits)?;
        let pool = lists.pool().clone();
        let store = Self {
            database: database.clone(),
            limits: limits.clone(),
            watch: database.pool(limits, 1, pool.breaker())?,
            pool,
            lists,
            standby: None,
        };
        store.migrate().await?;
        Ok(store)
    }

    /// The same for the thread of this runtime: its reads of one group and of
    /// ancestors go out together, by connections of its own.
    ///
    /// # Errors
    ///
    /// That there can be no such connection.
    pub fn reading_here(&self) -> Result<Self, OpenError> {
        let lists = self.lists.reading_here(&self.database, &self.limits)?;
        let standby = self.standby.as_ref().map(|standby| standby.reading_here(&self.limits)).transpose()?;
        Ok(Self { lists, standby, ..self.clone() })
    }

    /// Closes the connections. Calls that come after end in
    /// [`Error::Unavailable`](crate::error::Error::Unavailable).
    pub fn close(&self) {
        self.lists.close();
        self.watch.close();
        if let Some(standby) = &self.standby {
            standby.close();
        }
    }
}
