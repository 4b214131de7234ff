//! The cache of known API keys. It has no expiry: the health probe (`router/health.rs`) replaces it every 500 ms.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock, RwLockWriteGuard};
use std::time::Duration;

use crate::domain::{Digest, Mode, Principal, Scope, Secret};
use crate::error::Error;
use crate::store::Store;

/// The cache of API keys. A known key costs no query.
#[derive(Debug)]
pub struct KeyCache {
    store: Store,
    mode: Mode,
    configured: Option<Digest>,
    known: RwLock<HashMap<Digest, Principal>>,
    /// The known keys before the last refresh; `None` after a failed one.
    previous: RwLock<Option<HashMap<Digest, Principal>>>,
}

impl KeyCache {
    /// Creates a cache with only the configured key.
    pub fn new(store: Store, mode: Mode, configured: Option<&Secret>) -> Self {
        let configured = configured.map(Secret::digest);
        Self { store, mode, configured, known: RwLock::default(), previous: RwLock::default() }
    }

    pub(crate) fn mode(&self) -> Mode {
        self.mode
    }

    /// Returns the principal of a key that is cached.
    pub fn recall(&self, digest: Digest) -> Option<Principal> {
        if self.configured == Some(digest) {
            return Some(Principal { key: None, digest, scope: Scope::Write });
        }
        self.known.read().unwrap_or_else(PoisonError::into_inner).get(&digest).copied()
    }

    /// Looks a key up in the database and caches it; `None` when it is unknown or revoked.
    pub async fn look_up(&self, digest: Digest) -> Result<Option<Principal>, Error> {
        let found = self.store.find_key(digest).await?;
        if let Some(principal) = found {
            write(&self.known).insert(digest, principal);
        }
        Ok(found)
    }

    /// Replaces the cached keys by the active keys in the database. After an error they stay.
    pub(crate) async fn refresh(&self, timeout: Duration) -> Result<(), Error> {
        let keys = self.store.active_keys(timeout).await?;
        let keys = keys.into_iter().map(|principal| (principal.digest, principal)).collect();
        let before = std::mem::replace(&mut *write(&self.known), keys);
        *write(&self.previous) = Some(before);
        Ok(())
    }

    /// Whether a key that was valid is no longer, for calls that last: neither of the last two refreshes has left it. One
    /// alone may have missed a new key. While the database is unavailable, no key is revoked.
    pub(crate) fn is_revoked(&self, digest: Digest) -> bool {
        let previous = self.previous.read().unwrap_or_else(PoisonError::into_inner);
        self.recall(digest).is_none() && previous.as_ref().is_some_and(|keys| !keys.contains_key(&digest))
    }

    pub(crate) fn clear(&self) {
        *write(&self.previous) = None;
        write(&self.known).clear();
    }
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}
