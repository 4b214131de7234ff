//! Permits of which one API key can take only a share, so that no caller takes those of all others.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::domain::Digest;
use crate::error::Error;

/// Permits for all API keys together, and a share of them for each. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct FairShare(Arc<Permits>);

#[derive(Debug)]
struct Permits {
    all: Arc<Semaphore>,
    of_one_key: usize,
    /// The most calls of one key that wait.
    max_waiting: usize,
    /// The share of each key that ever had a permit. The keys are few, since callers cannot make any.
    by_key: RwLock<HashMap<Digest, Arc<Share>>>,
    waiting: AtomicUsize,
}

#[derive(Debug)]
struct Share {
    permits: Arc<Semaphore>,
    waiting: AtomicUsize,
}

/// Permits in use. Dropping it returns them.
#[derive(Debug)]
pub(crate) struct SharePermit {
    of_key: OwnedSemaphorePermit,
    of_all: OwnedSemaphorePermit,
}

impl FairShare {
    pub(crate) fn new(all: usize, of_one_key: usize, max_waiting: usize) -> Self {
        Self(Arc::new(Permits {
            all: Arc::new(Semaphore::new(all)),
            of_one_key,
            max_waiting,
            by_key: RwLock::default(),
            waiting: AtomicUsize::new(0),
        }))
    }

    /// Takes permits at once; `None` if too few are left, in the share of the key or in all.
    pub(crate) fn try_acquire(&self, key: Digest, permits: u32) -> Option<SharePermit> {
        self.try_acquire_in(&self.share(key), permits)
    }

    fn try_acquire_in(&self, share: &Share, permits: u32) -> Option<SharePermit> {
        let of_key = share.permits.clone().try_acquire_many_owned(permits).ok()?;
        let of_all = self.0.all.clone().try_acquire_many_owned(permits).ok()?;
        Some(SharePermit { of_key, of_all })
    }

    /// Waits for a permit, first for one in the share of the key. Fails with [`Error::Overloaded`] if too many calls of
    /// the key wait.
    pub(crate) async fn acquire(&self, key: Digest) -> Result<SharePermit, Error> {
        let share = self.share(key);
        if let Some(permit) = self.try_acquire_in(&share, 1) {
            return Ok(permit);
        }
        let _waiting_for_key = Waiting::begin(&share.waiting);
        if share.waiting.load(Ordering::Relaxed) > self.0.max_waiting {
            return Err(Error::Overloaded);
        }
        let _waiting = Waiting::begin(&self.0.waiting);
        let of_key = share.permits.clone().acquire_owned().await.map_err(Error::internal)?;
        let of_all = self.0.all.clone().acquire_owned().await.map_err(Error::internal)?;
        Ok(SharePermit { of_key, of_all })
    }

    /// The number of calls that wait.
    pub(crate) fn waiting(&self) -> usize {
        self.0.waiting.load(Ordering::Relaxed)
    }

    fn share(&self, key: Digest) -> Arc<Share> {
        let by_key = &self.0.by_key;
        if let Some(share) = by_key.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return share.clone();
        }
        let new = || {
            let permits = Arc::new(Semaphore::new(self.0.of_one_key));
            Arc::new(Share { permits, waiting: AtomicUsize::new(0) })
        };
        let mut by_key = by_key.write().unwrap_or_else(PoisonError::into_inner);
        by_key.entry(key).or_insert_with(new).clone()
    }
}

/// Counts a call that waits, until it is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn begin(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl SharePermit {
    /// Adds permits of the same key and kind.
    pub(crate) fn merge(&mut self, other: Self) {
        self.of_key.merge(other.of_key);
        self.of_all.merge(other.of_all);
    }
}
