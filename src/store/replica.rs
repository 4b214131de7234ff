//! Read replica: lists that may lag are read from it while it answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use deadpool_postgres::PoolError;
use tokio::time::sleep;

use crate::error::Error;
use crate::store::connect::{Database, Pool, PoolState, StoreOptions};
use crate::store::errors::{StartupError, StoreError};
use crate::store::exec::{Statement, probe};
use crate::store::groups::GroupReader;
use crate::telemetry::catch_task_panic;

/// The interval of probes of the primary and of replicas.
pub(crate) const PROBE_INTERVAL: Duration = Duration::from_millis(500);
pub(crate) const PROBE_TIMEOUT: Duration = Duration::from_millis(700);

/// Works on a replica that has the tables.
const PROBE: Statement = Statement::new("try standby", "select from customer_group limit 1");

/// A read replica (PostgreSQL standby). Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Replica {
    database: Database,
    pub(crate) reader: GroupReader,
    /// A separate pool for the probe, so that it does not wait behind calls.
    watch: Pool,
    /// Shared by all threads.
    is_unavailable: Arc<AtomicBool>,
}

impl Replica {
    /// Connects lazily, and probes the replica until its pool is closed.
    pub(crate) fn start(database: &Database, options: &StoreOptions) -> Result<Self, StartupError> {
        let reader = GroupReader::new(database, options)?;
        let watch = database.pool(options, 1, reader.pool.breaker())?;
        let replica = Self { database: database.clone(), reader, watch, is_unavailable: Arc::default() };
        tokio::spawn(replica.clone().probe_until_closed());
        Ok(replica)
    }

    pub(crate) fn for_this_thread(&self, options: &StoreOptions) -> Result<Self, StartupError> {
        Ok(Self { reader: self.reader.for_this_thread(&self.database, options)?, ..self.clone() })
    }

    /// Closes the connections and stops the probe.
    pub(crate) fn close(&self) {
        self.reader.pool.close();
        self.watch.close();
    }

    /// Returns the state of each pool. Those of all threads are added up.
    pub(crate) fn pools(&self) -> Vec<PoolState> {
        let mut pools = vec![self.reader.pool_state("standby_calls"), self.watch.state("standby_watch")];
        pools.extend(self.reader.batcher_metrics.pool_state("standby_reads"));
        pools
    }

    /// Reads from the replica; `None` when the primary must be asked.
    pub(crate) async fn read<T, F: Future<Output = Result<T, Error>>>(
        &self,
        read: impl Fn(GroupReader) -> F,
    ) -> Option<Result<T, Error>> {
        if self.is_unavailable.load(Ordering::Relaxed) {
            return None;
        }
        match read(self.reader.clone()).await {
            // A call that has waited for the replica must not wait for the primary, too.
            done @ (Ok(_) | Err(Error::Overloaded | Error::Timeout)) => Some(done),
            Err(error) => {
                // Any other error may come from the lag: the primary may have a group that the replica lacks.
                if matches!(error, Error::Unavailable(_) | Error::Internal(_)) {
                    self.mark_unavailable(&error);
                }
                None
            }
        }
    }

    /// Stops reads until a probe succeeds.
    fn mark_unavailable(&self, error: &Error) {
        if !self.is_unavailable.swap(true, Ordering::Relaxed) {
            let (database, cause) = (&self.database, error.cause());
            tracing::warn!(%database, cause, "read replica unavailable; lists are read from the primary");
        }
    }

    async fn probe_until_closed(self) {
        loop {
            sleep(PROBE_INTERVAL).await;
            let probed = probe(&self.watch, PROBE, PROBE_TIMEOUT);
            match catch_task_panic("replica probe", probed).await {
                Ok(Ok(_)) if self.is_unavailable.swap(false, Ordering::Relaxed) => {
                    tracing::info!(database = %self.database, "read replica available again");
                }
                Ok(Ok(_)) => {}
                Ok(Err(StoreError::Connect(PoolError::Closed))) => return,
                Ok(Err(error)) => self.mark_unavailable(&error.into()),
                Err(panic) => self.mark_unavailable(&Error::internal(panic)),
            }
        }
    }
}
