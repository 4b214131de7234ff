//! The limit of open connections from one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::admission::network;

/// Counts the open connections of each address, or IPv6 subnet, by the clones of a permit.
#[derive(Debug)]
pub(super) struct AddressLimiter {
    max: NonZeroUsize,
    open: Mutex<HashMap<IpAddr, Weak<()>>>,
}

impl AddressLimiter {
    pub(super) fn new(max: NonZeroUsize) -> Self {
        Self { max, open: Mutex::default() }
    }

    /// Returns a permit, to be kept as long as the connection is open; `None` when its address has too many.
    pub(super) fn permit(&self, address: IpAddr) -> Option<Arc<()>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.len() == open.capacity() {
            // Before the map grows.
            open.retain(|_, permits| permits.strong_count() > 0);
        }
        let permits = open.entry(network(address)).or_default();
        let permit = permits.upgrade().unwrap_or_default();
        // This one is counted, too.
        if permits.strong_count() > self.max.get() {
            return None;
        }
        *permits = Arc::downgrade(&permit);
        Some(permit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_has_its_own_limit_and_a_closed_connection_frees_its_place() {
        let limiter = AddressLimiter::new(NonZeroUsize::new(2).unwrap());
        let (one, other) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let (first, _second) = (limiter.permit(one), limiter.permit(one));
        assert!(first.is_some() && limiter.permit(one).is_none() && limiter.permit(other).is_some());
        drop(first);
        assert!(limiter.permit(one).is_some());
    }
}
