//! The cache of known API keys. It has no expiry: the health probe (`router/health.rs`) replaces it every 500 ms.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockWriteGuard};
use std::time::Duration;

use crate::domain::{Digest, KeyId, Mode, Principal, Scope, Secret};
use crate::error::Error;
use crate::store::Store;

/// The cache of API keys. A known key costs no query.
#[derive(Debug)]
pub struct KeyCache {
    store: Store,
    mode: Mode,
    configured: Option<Digest>,
    known: RwLock<HashMap<Digest, Known>>,
    /// The known keys before the last refresh; `None` after a failed one.
    previous: RwLock<Option<HashMap<Digest, Known>>>,
    /// The keys whose use is not yet recorded in the database, besides those that are known as used.
    used: Mutex<HashSet<KeyId>>,
}

#[derive(Debug)]
struct Known {
    principal: Principal,
    /// Whether the key was used since it is known.
    is_used: AtomicBool,
}

impl From<Principal> for Known {
    fn from(principal: Principal) -> Self {
        Self { principal, is_used: AtomicBool::default() }
    }
}

impl KeyCache {
    /// Creates a cache with only the configured key.
    pub fn new(store: Store, mode: Mode, configured: Option<&Secret>) -> Self {
        let configured = configured.map(Secret::digest);
        Self {
            store,
            mode,
            configured,
            known: RwLock::default(),
            previous: RwLock::default(),
            used: Mutex::default(),
        }
    }

    pub(crate) fn mode(&self) -> Mode {
        self.mode
    }

    /// Returns the principal of a key that is cached, and counts as its use.
    pub fn recall(&self, digest: Digest) -> Option<Principal> {
        if self.configured == Some(digest) {
            return Some(Principal { key: None, digest, scope: Scope::Write });
        }
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let Known { principal, is_used } = known.get(&digest)?;
        // Only the first use writes, so that threads do not compete for the key.
        if !is_used.load(Ordering::Relaxed) {
            is_used.store(true, Ordering::Relaxed);
        }
        Some(*principal)
    }

    /// Looks a key up in the database and caches it; `None` when it is unknown, revoked or expired.
    pub async fn look_up(&self, digest: Digest) -> Result<Option<Principal>, Error> {
        let found = self.store.find_key(digest).await?;
        if let Some(principal) = found {
            write(&self.known).insert(digest, Known { principal, is_used: AtomicBool::new(true) });
        }
        Ok(found)
    }

    /// Replaces the cached keys by the active keys in the database. After an error they stay.
    pub(crate) async fn refresh(&self, timeout: Duration) -> Result<(), Error> {
        let keys = self.store.active_keys(timeout).await?;
        let keys = keys.into_iter().map(|principal| (principal.digest, principal.into())).collect();
        let before = std::mem::replace(&mut *write(&self.known), keys);
        self.used().extend(used(&before));
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
        let before = std::mem::take(&mut *write(&self.known));
        self.used().extend(used(&before));
    }

    /// Records in the database which keys were used since the last time. After an error they are recorded the next time.
    pub(crate) async fn record_use(&self) -> Result<(), Error> {
        let keys: HashSet<KeyId> = {
            let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *self.used()).into_iter().chain(used(&known)).collect()
        };
        if keys.is_empty() {
            return Ok(());
        }
        // Also put back when the caller gives up.
        let keys: Vec<KeyId> = keys.into_iter().collect();
        let keys = scopeguard::guard(keys, |keys| self.used().extend(keys));
        self.store.record_key_use(&keys).await?;
        scopeguard::ScopeGuard::into_inner(keys);
        Ok(())
    }

    fn used(&self) -> MutexGuard<'_, HashSet<KeyId>> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the keys that were used, and from now on counts them as not used.
fn used(keys: &HashMap<Digest, Known>) -> impl Iterator<Item = KeyId> {
    let used = keys.values().filter(|known| known.is_used.swap(false, Ordering::Relaxed));
    used.filter_map(|known| known.principal.key)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}
