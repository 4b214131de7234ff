//! Reads of groups from one server.

use super::group_stream::StreamPermits;
use super::read_batchers::{BatcherMetrics, ReadBatchers};
use crate::store::connect::{CircuitBreaker, Database, Pool, StoreOptions};
use crate::store::errors::StartupError;

/// Reads groups from one server, the primary or a replica. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct GroupReader {
    pub(crate) pool: Pool,
    /// Streams of long lists, on a share of `pool`.
    pub(super) streams: StreamPermits,
    /// The read batchers of this thread.
    pub(super) batchers: ReadBatchers,
    pub(crate) batcher_metrics: BatcherMetrics,
}

impl GroupReader {
    pub(crate) fn new(database: &Database, options: &StoreOptions) -> Result<Self, StartupError> {
        let pool = database.pool(options, options.pool_size, &CircuitBreaker::default())?;
        let batcher_metrics = BatcherMetrics::default();
        let batchers = batcher_metrics.start_batchers(database, options, pool.breaker())?;
        Ok(Self { streams: StreamPermits::new(pool.clone(), options), pool, batchers, batcher_metrics })
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
