//! Connection pools.

use std::pin::Pin;

use deadpool_postgres::{Connect, Object, PoolError, Status};
use scopeguard::ScopeGuard;
use tokio::task::JoinHandle;
use tokio_postgres::{Client, Config, Error as PgError};

use super::hosts::Hosts;
use super::session::set_up;
use super::{CircuitBreaker, Tls};
use crate::store::errors::StoreError;

/// A connection pool with a bounded queue. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Pool {
    connections: deadpool_postgres::Pool,
    /// The most calls that wait for a connection.
    queue: usize,
    connector: Connector,
}

impl Pool {
    pub(crate) fn new(connections: deadpool_postgres::Pool, queue: usize, connector: Connector) -> Self {
        Self { connections, queue, connector }
    }

    /// Returns a connection. Fails when the queue is full, and when the circuit breaker is open or opens meanwhile.
    pub(crate) async fn get(&self) -> Result<Object, StoreError> {
        if self.connections.status().waiting >= self.queue {
            return Err(StoreError::QueueFull);
        }
        tokio::select! {
            biased;
            () = self.breaker().opened() => Err(StoreError::Silent),
            object = self.connections.get() => Ok(object?),
        }
    }

    /// Bypasses the circuit breaker; used by the health probe and by commands that run without one.
    pub(crate) async fn get_anyway(&self) -> Result<Object, PoolError> {
        self.connections.get().await
    }

    /// Closes the idle connections.
    pub(crate) fn close_idle(&self) {
        self.connections.retain(|_, _| false);
    }

    /// Makes every connection prepare its statements again. Those in use do so from their next statement on.
    pub(crate) fn forget_statements(&self) {
        self.connections.manager().statement_caches.clear();
    }

    pub(crate) fn close(&self) {
        self.connections.close();
    }

    pub(crate) fn state(&self, name: &'static str) -> PoolState {
        let Status { max_size, size, available, waiting } = self.connections.status();
        PoolState { name, used: size.saturating_sub(available), idle: available, max: max_size, waiting }
    }

    pub(crate) fn breaker(&self) -> &CircuitBreaker {
        &self.connector.breaker
    }

    pub(crate) fn tls(&self) -> &Tls {
        &self.connector.tls
    }
}

/// The number of connections of a pool, or of several pools of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolState {
    /// The kind of the pool.
    pub name: &'static str,
    /// Connections in use.
    pub used: usize,
    /// Open connections that are not in use.
    pub idle: usize,
    /// The most connections.
    pub max: usize,
    /// Calls that wait for a connection.
    pub waiting: usize,
}

impl PoolState {
    /// Adds up the states of two pools of one kind.
    pub(crate) fn add(self, other: Self) -> Self {
        Self {
            name: self.name,
            used: self.used + other.used,
            idle: self.idle + other.idle,
            max: self.max + other.max,
            waiting: self.waiting + other.waiting,
        }
    }
}

/// Opens the connections of pools. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Connector {
    pub(super) hosts: Hosts,
    pub(super) tls: Tls,
    pub(super) breaker: CircuitBreaker,
}

impl Connect for Connector {
    /// Connects to one of the hosts, each of which has its own configuration.
    fn connect(
        &self,
        _of_all_hosts: &Config,
    ) -> Pin<Box<dyn Future<Output = Result<(Client, JoinHandle<()>), PgError>> + Send + '_>> {
        Box::pin(async move {
            let (host, (client, connection)) = self.hosts.connect(&self.tls).await?;
            let driver = tokio::spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "database connection broken");
                }
            });
            self.breaker.add(host, driver.abort_handle());
            if !self.hosts.is_random {
                self.breaker.leave_other_hosts(host);
            }
            // Without this, the driver of a failed set-up would wait until its last bytes are sent.
            let driver = scopeguard::guard(driver, |driver| driver.abort());
            set_up(&client).await?;
            Ok((client, ScopeGuard::into_inner(driver)))
        })
    }
}
