//! Limits of the calls that need no API key, so that callers without one leave the service to others.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::Error;

/// The maximum of concurrent public calls, from the first byte of a request to the last byte of its response.
const MAX_CALLS: usize = 256;

/// The maximum of concurrent probes, which answer at once. No other call can take these places.
const MAX_PROBES: usize = 64;

/// The paths of probes over HTTP and gRPC. A stream of changes of the health is no probe: it lasts.
const PROBES: [&str; 3] = ["/livez", "/readyz", "/grpc.health.v1.Health/Check"];

/// The RPC whose clients keep it open, to learn of changes of the health.
const WATCH: &str = "/grpc.health.v1.Health/Watch";

/// The limits of public calls. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct PublicLimits {
    calls: Arc<Semaphore>,
    probes: Arc<Semaphore>,
    /// The longest time until a response begins, and the longest time of a stream.
    pub(crate) response: Duration,
    watch: Duration,
}

impl PublicLimits {
    pub(crate) fn new(response: Duration, watch: Duration) -> Self {
        let permits = |number| Arc::new(Semaphore::new(number));
        Self { calls: permits(MAX_CALLS), probes: permits(MAX_PROBES), response, watch }
    }

    /// Returns the longest time of an RPC.
    pub(crate) fn time(&self, path: &str) -> Duration {
        if path == WATCH { self.watch } else { self.response }
    }

    /// Returns a permit, to be kept until the call ends, or [`Error::Overloaded`].
    pub(crate) fn permit(&self, path: &str) -> Result<OwnedSemaphorePermit, Error> {
        let permits = if PROBES.contains(&path) { &self.probes } else { &self.calls };
        permits.clone().try_acquire_owned().map_err(|_| Error::Overloaded)
    }
}
