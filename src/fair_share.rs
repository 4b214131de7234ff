//! Permits of which one API key can take only a share, so that no caller takes those of all others.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

use crate::domain::Digest;

/// Permits for all API keys together, and a share of them for each. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct FairShare(Arc<Permits>);

#[derive(Debug)]
struct Permits {
    all: Arc<Semaphore>,
    of_one_key: usize,
    /// The share of each key that ever had a permit. The keys are few, since callers cannot make any.
    by_key: RwLock<HashMap<Digest, Arc<Semaphore>>>,
}

/// Permits in use. Dropping it returns them.
#[derive(Debug)]
pub(crate) struct SharePermit {
    of_key: OwnedSemaphorePermit,
    of_all: OwnedSemaphorePermit,
}

impl FairShare {
    pub(crate) fn new(all: usize, of_one_key: usize) -> Self {
        Self(Arc::new(Permits { all: Arc::new(Semaphore::new(all)), of_one_key, by_key: RwLock::default() }))
    }

    /// Takes permits at once; `None` if too few are left, in the share of the key or in all.
    pub(crate) fn try_acquire(&self, key: Digest, permits: u32) -> Option<SharePermit> {
        let of_key = self.share(key).try_acquire_many_owned(permits).ok()?;
        let of_all = self.0.all.clone().try_acquire_many_owned(permits).ok()?;
        Some(SharePermit { of_key, of_all })
    }

    /// Waits for a permit, first for one in the share of the key. Fails never, since no semaphore is closed.
    pub(crate) async fn acquire(&self, key: Digest) -> Result<SharePermit, AcquireError> {
        let of_key = self.share(key).acquire_owned().await?;
        let of_all = self.0.all.clone().acquire_owned().await?;
        Ok(SharePermit { of_key, of_all })
    }

    fn share(&self, key: Digest) -> Arc<Semaphore> {
        let by_key = &self.0.by_key;
        if let Some(share) = by_key.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return share.clone();
        }
        let mut by_key = by_key.write().unwrap_or_else(PoisonError::into_inner);
        by_key.entry(key).or_insert_with(|| Arc::new(Semaphore::new(self.0.of_one_key))).clone()
    }
}

impl SharePermit {
    /// Adds permits of the same key and kind.
    pub(crate) fn merge(&mut self, other: Self) {
        self.of_key.merge(other.of_key);
        self.of_all.merge(other.of_all);
    }
}
