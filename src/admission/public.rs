//! Limits of the calls that need no API key, so that callers without one leave the service to others.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::Error;

/// The maximum of concurrent public calls, from the first byte of a request to the last byte of its response.
const MAX_CALLS: usize = 256;

/// The maximum of concurrent streams of the health, which clients keep open.
const MAX_WATCHES: usize = 1024;

/// The maximum of concurrent health checks, whose requests have a body to wait for. No other call can take these places.
const MAX_CHECKS: usize = 64;

/// The longest time of a health check.
const CHECK_TIME: Duration = Duration::from_secs(1);

/// The limits of public calls. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct PublicLimits {
    calls: Arc<Semaphore>,
    watches: Arc<Semaphore>,
    checks: Arc<Semaphore>,
    response_time: Duration,
    watch_time: Duration,
}

/// The limits of a public call.
#[derive(Debug)]
pub(crate) struct PublicPermit {
    /// To be kept until the call ends; `None` for a probe over HTTP, which is answered at once.
    pub(crate) place: Option<OwnedSemaphorePermit>,
    /// The longest time from the first byte of the request to the last byte of the response.
    pub(crate) time: Duration,
}

impl PublicLimits {
    pub(crate) fn new(response_time: Duration, watch_time: Duration) -> Self {
        let permits = |number| Arc::new(Semaphore::new(number));
        let (calls, watches, checks) = (permits(MAX_CALLS), permits(MAX_WATCHES), permits(MAX_CHECKS));
        Self { calls, watches, checks, response_time, watch_time }
    }

    /// Admits a public call, or returns [`Error::Overloaded`].
    pub(crate) fn admit(&self, path: &str) -> Result<PublicPermit, Error> {
        let (places, time) = match path {
            "/livez" | "/readyz" => return Ok(PublicPermit { place: None, time: self.response_time }),
            "/grpc.health.v1.Health/Check" => (&self.checks, CHECK_TIME.min(self.response_time)),
            "/grpc.health.v1.Health/Watch" => (&self.watches, self.watch_time),
            _ => (&self.calls, self.response_time),
        };
        let place = places.clone().try_acquire_owned().map_err(|_| Error::Overloaded)?;
        Ok(PublicPermit { place: Some(place), time })
    }
}
