//! Reads of groups from one server.

use std::time::Duration;

use super::read_batchers::{BatcherMetrics, ReadBatchers};
use crate::store::connect::{CircuitBreaker, Database, Pool, PoolShares, PoolState, StoreOptions};
use crate::store::errors::StartupError;

/// Reads groups from one server, the primary or a replica. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct GroupReader {
    pub(crate) pool: Pool,
    /// The shares of `pool` of each kind of calls, and of each API key.
    pub(crate) shares: PoolShares,
    /// The longest time of a long list without progress, by PostgreSQL or by the reader.
    pub(super) patience: Duration,
    /// The read batchers of this thread.
    pub(super) batchers: ReadBatchers,
    pub(crate) batcher_metrics: BatcherMetrics,
}

impl GroupReader {
    pub(crate) fn new(database: &Database, options: &StoreOptions) -> Result<Self, StartupError> {
        let pool = database.pool(options, options.pool_size, &CircuitBreaker::default())?;
        let batcher_metrics = BatcherMetrics::default();
        let batchers = batcher_metrics.start_batchers(database, options, pool.breaker())?;
        let shares = PoolShares::new(options);
        Ok(Self { pool, shares, patience: options.statement_timeout, batchers, batcher_metrics })
    }

    /// Returns the state of the pool. Calls that wait for their turn wait for a connection, too.
    pub(crate) fn pool_state(&self, name: &'static str) -> PoolState {
        let state = self.pool.state(name);
        PoolState { waiting: state.waiting + self.shares.waiting(), ..state }
    }

    /// Returns a reader for the thread of this runtime, with read batchers of its own.
    pub(crate) fn for_this_thread(
        &self,
        database: &Database,
        options: &StoreOptions,
    ) -> Result<Self, StartupError> {
        let batchers = self.batcher_metrics.start_batchers(database, options, self.pool.breaker())?;
        Ok(Self { batchers, ..self.clone() })
    }
}
