//! Pools of connections, and the circuit breaker that they share.
//!
//! A server that is stopped ends its connections, and whoever waits on them is told. One that is stuck, or behind a
//! network that loses everything, ends nothing. Only the heartbeat tells it from one that is busy, and the breaker
//! then ends what waits.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use deadpool_postgres::{Connect, Object, PoolError, Status};
use scopeguard::ScopeGuard;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinHandle};
use tokio_postgres::{Client, Config, Error as PgError};

use super::failure::Failure;
use super::session::set_up;
use super::tls::Tls;

/// How many beats in a row are missed before the database counts as away: the second one goes out on a new
/// connection, so that neither a slow answer nor one broken connection ends everyone's work.
const MISSES: usize = 2;

/// Connections that are lent. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Pool {
    lent: deadpool_postgres::Pool,
    /// The most who wait for one.
    queue: usize,
    connector: Connector,
}

impl Pool {
    pub(super) fn new(lent: deadpool_postgres::Pool, queue: usize, connector: Connector) -> Self {
        Self { lent, queue, connector }
    }

    /// A connection, unless too many wait for one, or the database is away or goes away meanwhile.
    pub(super) async fn get(&self) -> Result<Object, Failure> {
        if self.lent.status().waiting >= self.queue {
            return Err(Failure::QueueFull);
        }
        let mut missed = self.breaker().missed.subscribe();
        tokio::select! {
            biased;
            _away = missed.wait_for(|missed| *missed >= MISSES) => Err(Failure::Silent),
            object = self.lent.get() => Ok(object?),
        }
    }

    /// A connection for the one who finds out whether the database is away.
    pub(super) async fn get_anyway(&self) -> Result<Object, PoolError> {
        self.lent.get().await
    }

    /// Closes the connections that nobody has.
    pub(super) fn renew(&self) {
        self.lent.retain(|_, _| false);
    }

    /// Its connections at present.
    pub(super) fn state(&self, name: &'static str) -> PoolState {
        let Status { max_size, size, available, waiting } = self.lent.status();
        PoolState { name, used: size.saturating_sub(available), idle: available, max: max_size, waiting }
    }

    pub(super) fn breaker(&self) -> &Breaker {
        &self.connector.breaker
    }

    /// What other connections to the same server are made with.
    pub(super) fn tls(&self) -> &Tls {
        &self.connector.tls
    }

    pub(super) fn close(&self) {
        self.lent.close();
    }
}

/// The connections of a pool, or of several of one kind, at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolState {
    /// What they are for.
    pub name: &'static str,
    /// How many are lent.
    pub used: usize,
    /// How many are open and not lent.
    pub idle: usize,
    /// The most that there may be.
    pub max: usize,
    /// How many wait for one.
    pub waiting: usize,
}

impl PoolState {
    /// Those of both.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            name: self.name,
            used: self.used + other.used,
            idle: self.idle + other.idle,
            max: self.max + other.max,
            waiting: self.waiting + other.waiting,
        }
    }
}

/// What the heartbeat knows of the database, and the connections that it ends. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Breaker {
    /// How many beats in a row got no answer.
    missed: watch::Sender<usize>,
    connections: Arc<Mutex<Vec<AbortHandle>>>,
}

impl Default for Breaker {
    fn default() -> Self {
        Self { missed: watch::Sender::new(0), connections: Arc::default() }
    }
}

impl Breaker {
    /// Notes that the database has answered.
    pub(super) fn note_answer(&self) {
        self.missed.send_replace(0);
    }

    /// Notes that it has not. When it counts as away, every connection is closed at once, and what waits on it ends
    /// as on one that broke: nothing that went through such a time is used again.
    pub(super) fn note_miss(&self) {
        self.missed.send_modify(|missed| *missed = missed.saturating_add(1));
        if *self.missed.borrow() >= MISSES {
            for connection in self.lock().drain(..) {
                connection.abort();
            }
        }
    }

    fn keep(&self, connection: AbortHandle) {
        let mut connections = self.lock();
        connections.retain(|connection| !connection.is_finished());
        connections.push(connection);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<AbortHandle>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes the connections of pools. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Connector {
    pub(super) tls: Tls,
    pub(super) breaker: Breaker,
}

impl Connect for Connector {
    fn connect(
        &self,
        config: &Config,
    ) -> Pin<Box<dyn Future<Output = Result<(Client, JoinHandle<()>), PgError>> + Send + '_>> {
        let config = config.clone();
        Box::pin(async move {
            let (client, connection) = config.connect(self.tls.clone()).await?;
            let driver = tokio::spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "a connection to the database broke");
                }
            });
            self.breaker.keep(driver.abort_handle());
            // Left alone, it would wait for its last bytes to be taken.
            let driver = scopeguard::guard(driver, |driver| driver.abort());
            set_up(&client).await?;
            Ok((client, ScopeGuard::into_inner(driver)))
        })
    }
}
