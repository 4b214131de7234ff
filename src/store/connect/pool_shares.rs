//! The shares of a pool of slow kinds of calls, so that other calls always find a connection.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::StoreOptions;
use crate::domain::Digest;
use crate::error::Error;
use crate::fair_share::{FairShare, SharePermit};

/// The connections of a pool that each slow kind of calls may use. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct PoolShares {
    long_lists: FairShare,
    searches: FairShare,
    moves: Arc<Semaphore>,
    /// The longest wait for a turn, the same as for a connection.
    wait: Duration,
}

impl PoolShares {
    pub(crate) fn new(options: &StoreOptions) -> Self {
        // A pool of fewer than four connections cannot spare any.
        let part = |divisor: usize| (options.pool_size / divisor).max(1);
        let fair = |all: usize, of_one_key: Option<usize>| {
            FairShare::new(all, of_one_key.unwrap_or(all.div_ceil(2)))
        };
        Self {
            long_lists: fair(part(2), options.long_lists_per_key),
            searches: fair(part(4), options.searches_per_key),
            moves: Arc::new(Semaphore::new(part(8))),
            wait: options.pool_timeout,
        }
    }

    /// Waits for the turn of a list that is streamed while it is read.
    pub(crate) async fn long_list(&self, key: Digest) -> Result<SharePermit, Error> {
        self.in_time(self.long_lists.acquire(key)).await
    }

    /// Waits for the turn of a statement that reads far more rows than it returns.
    pub(crate) async fn search(&self, key: Digest) -> Result<SharePermit, Error> {
        self.in_time(self.searches.acquire(key)).await
    }

    /// Waits for the turn of a move. Moves wait for each other in PostgreSQL, each on a connection.
    pub(crate) async fn move_below(&self) -> Result<OwnedSemaphorePermit, Error> {
        self.in_time(self.moves.clone().acquire_owned()).await
    }

    async fn in_time<T>(&self, turn: impl Future<Output = Result<T, AcquireError>>) -> Result<T, Error> {
        timeout(self.wait, turn).await.map_err(|_elapsed| Error::Overloaded)?.map_err(Error::internal)
    }
}
