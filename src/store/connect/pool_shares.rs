//! The shares of a pool of each kind of calls, and of each API key, so that others always find a connection.

use std::time::Duration;

use tokio::time::timeout;

use super::StoreOptions;
use crate::domain::Digest;
use crate::error::Error;
use crate::fair_share::{FairShare, SharePermit};

/// A turn of a call. Dropping it ends the turn.
#[derive(Debug)]
pub(crate) struct Turn {
    /// Set for a slow kind of calls.
    _of_kind: Option<SharePermit>,
    _of_all: SharePermit,
}

/// The connections of a pool that each kind of calls may use. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct PoolShares {
    /// Lists that are streamed while they are read.
    long_lists: FairShare,
    /// Statements that read far more rows than they return.
    searches: FairShare,
    /// Moves wait for each other in PostgreSQL, each on a connection.
    moves: FairShare,
    /// All calls, also the ones above.
    calls: FairShare,
    /// The longest wait for a turn, the same as for a connection.
    wait: Duration,
}

impl PoolShares {
    pub(crate) fn new(options: &StoreOptions) -> Self {
        let size = options.pool_size;
        // A pool of fewer than four connections cannot spare any.
        let part = |divisor: usize| (size / divisor).max(1);
        let share = |all: usize, of_one_key| FairShare::new(all, of_one_key, options.pool_queue.div_ceil(2));
        let half_or = |all: usize, of_one_key: Option<usize>| of_one_key.unwrap_or(all.div_ceil(2));
        Self {
            long_lists: share(part(2), half_or(part(2), options.long_lists_per_key)),
            searches: share(part(4), half_or(part(4), options.searches_per_key)),
            moves: share(part(8), part(8)),
            calls: share(size, size - size / 4),
            wait: options.pool_timeout,
        }
    }

    pub(crate) async fn long_list(&self, key: Digest) -> Result<Turn, Error> {
        self.turn(Some(&self.long_lists), key).await
    }

    pub(crate) async fn search(&self, key: Digest) -> Result<Turn, Error> {
        self.turn(Some(&self.searches), key).await
    }

    pub(crate) async fn move_below(&self, key: Digest) -> Result<Turn, Error> {
        self.turn(Some(&self.moves), key).await
    }

    pub(crate) async fn call(&self, key: Digest) -> Result<Turn, Error> {
        self.turn(None, key).await
    }

    /// The number of calls that wait for their turn.
    pub(crate) fn waiting(&self) -> usize {
        [&self.long_lists, &self.searches, &self.moves, &self.calls].map(FairShare::waiting).iter().sum()
    }

    async fn turn(&self, kind: Option<&FairShare>, key: Digest) -> Result<Turn, Error> {
        let turn = async {
            let of_kind = match kind {
                Some(kind) => Some(kind.acquire(key).await?),
                None => None,
            };
            Ok(Turn { _of_kind: of_kind, _of_all: self.calls.acquire(key).await? })
        };
        timeout(self.wait, turn).await.unwrap_or(Err(Error::Overloaded))
    }
}
