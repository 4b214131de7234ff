//! The cache of known API keys. It has no expiry: the health probe (`router/health.rs`) replaces it every 500 ms.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};
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
}

impl KeyCache {
    /// Creates a cache with only the configured key.
    pub fn new(store: Store, mode: Mode, configured: Option<&Secret>) -> Self {
        let configured = configured.map(Secret::digest);
        Self { store, mode, configured, known: RwLock::default() }
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
            self.known.write().unwrap_or_else(PoisonError::into_inner).insert(digest, principal);
        }
        Ok(found)
    }

    /// Replaces the cached keys by the active keys in the database. After an error they stay.
    pub(crate) async fn refresh(&self, timeout: Duration) -> Result<(), Error> {
        let keys = self.store.active_keys(timeout).await?;
        let keys = keys.into_iter().map(|principal| (principal.digest, principal)).collect();
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = keys;
        Ok(())
    }

    pub(crate) fn clear(&self) {
        self.known.write().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
