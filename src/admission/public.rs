//! Limits of the calls that need no API key, so that callers without one leave the service to others.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::Error;

/// The maximum of concurrent public calls, from the first byte of a request to the last byte of its response.
const MAX_CALLS: usize = 256;

/// The maximum of concurrent probes, which answer at once. No other call can take these places.
const MAX_PROBES: usize = 64;

/// The paths of probes over HTTP and gRPC. A stream of changes of the health is no probe: it lasts.
const PROBES: [&str; 3] = ["/livez", "/readyz", "/grpc.health.v1.Health/Check"];

/// The permits of public calls.
#[derive(Debug, Clone)]
pub(crate) struct PublicPermits {
    calls: Arc<Semaphore>,
    probes: Arc<Semaphore>,
}

impl Default for PublicPermits {
    fn default() -> Self {
        let permits = |number| Arc::new(Semaphore::new(number));
        Self { calls: permits(MAX_CALLS), probes: permits(MAX_PROBES) }
    }
}

impl PublicPermits {
    /// Returns a permit, to be kept until the call ends, or [`Error::Overloaded`].
    pub(crate) fn permit(&self, path: &str) -> Result<OwnedSemaphorePermit, Error> {
        let permits = if PROBES.contains(&path) { &self.probes } else { &self.calls };
        permits.clone().try_acquire_owned().map_err(|_| Error::Overloaded)
    }
}
