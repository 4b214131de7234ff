//! Admission control: authentication, rate limit, concurrency limit, deadline. Public calls have limits of their
//! own.

mod failed_auth;
mod grpc_timeout;
mod limits;
mod public;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use http::header::AUTHORIZATION;
use tokio::time::{Instant, timeout_at};

pub(crate) use failed_auth::network;
pub use limits::{Limits, Rate};
pub(crate) use public::{PublicLimits, PublicPermit};

use crate::api::{CallContext, Protocol};
use crate::auth::KeyCache;
use crate::domain::{Principal, Secret};
use crate::error::Error;
use crate::fair_share::{FairShare, SharePermit};
use crate::observe::Call;
use crate::telemetry::catch_task_panic;
use failed_auth::FailedAuthLimiter;
use grpc_timeout::grpc_timeout;
use limits::RateLimits;

#[derive(Debug)]
pub(crate) struct Admission {
    keys: Arc<KeyCache>,
    failed_auth: FailedAuthLimiter,
    request_timeout: Duration,
    permits: FairShare,
    /// The bytes of large requests and responses in memory.
    buffers: FairShare,
    rates: Option<RateLimits>,
    is_audit_required: bool,
}

impl Admission {
    pub(crate) fn new(
        limits: &Limits,
        request_timeout: Duration,
        keys: KeyCache,
        is_audit_required: bool,
    ) -> Self {
        let bytes = limits.buffered_bytes as usize;
        Self {
            keys: Arc::new(keys),
            failed_auth: FailedAuthLimiter::default(),
            request_timeout,
            permits: FairShare::new(limits.calls.get(), limits.calls_per_key.get(), 0),
            buffers: FairShare::new(bytes, bytes / 2, 0),
            is_audit_required,
            rates: limits.rate.map(RateLimits::new),
        }
    }

    /// Admits a call if its API key is valid and within its rate, and a permit is free, in its share and in all. The permit
    /// is for the work of the call, until its response is complete in memory or begins to be streamed.
    pub(crate) async fn admit(
        &self,
        call: &mut Call,
        headers: &HeaderMap,
        address: IpAddr,
    ) -> Result<(CallContext, SharePermit), Error> {
        let timeout = match call.protocol {
            Protocol::Grpc => grpc_timeout(headers),
            Protocol::Rest => Ok(None),
        };
        let requested = timeout.as_ref().ok().copied().flatten();
        let allowed = requested.map_or(self.request_timeout, |requested| requested.min(self.request_timeout));
        let deadline = Instant::now() + allowed;
        let authenticated = timeout_at(deadline, self.authenticate(headers, address)).await;
        let principal = authenticated.map_err(|_elapsed| Error::Timeout)??;
        call.set_principal(principal);
        if let Some(rates) = &self.rates {
            rates.count(principal.digest)?;
        }
        // After authentication: callers without a key learn nothing else, and take nothing from others.
        let permit = self.permits.try_acquire(principal.digest, 1).ok_or(Error::Overloaded)?;
        timeout?;
        let (keys, buffers, state) = (self.keys.clone(), self.buffers.clone(), call.state.clone());
        let is_audit_required = self.is_audit_required;
        Ok((CallContext { principal, keys, buffers, is_audit_required, deadline, state }, permit))
    }

    /// Returns the principal of the `Authorization` header (RFC 6750). Unknown keys are rate limited by address.
    async fn authenticate(&self, headers: &HeaderMap, address: IpAddr) -> Result<Principal, Error> {
        let header = headers.get(AUTHORIZATION).ok_or(Error::KeyMissing)?;
        if headers.get_all(AUTHORIZATION).iter().any(|other| other != header) {
            return Err(Error::KeyInvalid(
                "there are two different Authorization headers; send one".to_owned(),
            ));
        }
        let parse = |text| Secret::parse(self.keys.mode(), text).map_err(Error::KeyInvalid);
        let digest = bearer(header.as_bytes()).and_then(parse).map(|key| key.digest());
        if let Some(known) = digest.as_ref().ok().and_then(|digest| self.keys.recall(*digest)) {
            return Ok(known);
        }
        self.failed_auth.take(address)?;
        // Boxed, so that the futures of calls with a known key stay small.
        let found = Box::pin(self.keys.look_up(digest?)).await;
        if !matches!(found, Ok(None)) {
            self.failed_auth.give_back(address);
        }
        found?.ok_or_else(|| Error::KeyInvalid("this API key is unknown or revoked".to_owned()))
    }

    /// Records in the database which API keys were used since the last time.
    pub(crate) async fn record_key_use(&self) -> Result<(), Error> {
        self.keys.record_use().await
    }

    /// Reads the active keys again. If the database does not answer, clears the cache: any key may be revoked by now.
    pub(crate) async fn refresh_keys(&self, timeout: Duration) -> Result<(), Error> {
        self.failed_auth.remove_expired();
        let refreshed = catch_task_panic("health probe", self.keys.refresh(timeout)).await;
        let refreshed = refreshed.unwrap_or_else(|panic| Err(Error::internal(panic)));
        if refreshed.is_err() {
            self.keys.clear();
        }
        refreshed
    }
}

/// Returns the token of `Bearer <token>`; the scheme's case does not matter (RFC 9110, section 11.1).
fn bearer(header: &[u8]) -> Result<&str, Error> {
    let malformed = || Error::KeyInvalid("the Authorization header is not `Bearer <key>`".to_owned());
    let (scheme, token) =
        str::from_utf8(header).ok().and_then(|text| text.split_once(' ')).ok_or_else(malformed)?;
    if scheme.eq_ignore_ascii_case("bearer") { Ok(token.trim()) } else { Err(malformed()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheme_is_read_in_any_case() {
        for header in ["Bearer k", "bearer k", "BEARER  k "] {
            assert_eq!(bearer(header.as_bytes()).unwrap(), "k");
        }
        for header in ["", "Bearer", "Basic k", "k", "Bearer\tk"] {
            assert!(bearer(header.as_bytes()).is_err(), "{header:?}");
        }
    }
}
