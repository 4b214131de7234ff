//! The rate limit of unknown API keys from one address, so that guessing costs the database nothing. Known keys are not
//! limited.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::error::Error;

/// The number of unknown keys that an address may send at once.
const BURST: u32 = 100;

/// The time after which one more is allowed.
const INTERVAL: Duration = Duration::from_secs(1);

/// The theoretical arrival time of each address, by the [generic cell rate algorithm][gcra].
///
/// [gcra]: https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm
#[derive(Debug, Default)]
pub(super) struct FailedAuthLimiter(Mutex<HashMap<IpAddr, Instant>>);

impl FailedAuthLimiter {
    /// Counts an unknown key, or returns [`Error::FailedAuthLimited`]. Called before the lookup, so that a call that is
    /// cancelled counts as well.
    pub(super) fn take(&self, address: IpAddr) -> Result<(), Error> {
        self.take_at(network(address), Instant::now()).map_err(Error::FailedAuthLimited)
    }

    /// Reverts [`Self::take`], for a key that turned out to be valid.
    pub(super) fn give_back(&self, address: IpAddr) {
        if let Some(arrival) = self.lock().get_mut(&network(address)) {
            *arrival = arrival.checked_sub(INTERVAL).unwrap_or(*arrival);
        }
    }

    /// Removes the addresses that have their whole burst again.
    pub(super) fn remove_expired(&self) {
        let now = Instant::now();
        self.lock().retain(|_, arrival| *arrival > now);
    }

    /// The error is the time to wait.
    fn take_at(&self, network: IpAddr, now: Instant) -> Result<(), Duration> {
        let mut networks = self.lock();
        let arrival = networks.entry(network).or_insert(now);
        let wait = arrival.saturating_duration_since(now).saturating_sub(INTERVAL * (BURST - 1));
        if !wait.is_zero() {
            return Err(wait);
        }
        *arrival = (*arrival).max(now) + INTERVAL;
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The addresses that one caller can use: an IPv4 address, or an IPv6 subnet (RFC 4291, section 2.5.4).
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_burst_is_allowed_and_then_one_in_each_interval() {
        let (limiter, one, now) = (FailedAuthLimiter::default(), address("192.0.2.1"), Instant::now());
        for _ in 0..BURST {
            assert_eq!(limiter.take_at(one, now), Ok(()));
        }
        assert_eq!(limiter.take_at(one, now), Err(INTERVAL));
        assert_eq!(limiter.take_at(one, now + INTERVAL), Ok(()));
        assert_eq!(limiter.take_at(one, now + INTERVAL), Err(INTERVAL));
        assert_eq!(limiter.take_at(address("192.0.2.2"), now), Ok(()), "another address");
    }

    #[test]
    fn a_valid_key_does_not_count() {
        let (limiter, one) = (FailedAuthLimiter::default(), address("192.0.2.1"));
        for _ in 0..10 * BURST {
            limiter.take(one).unwrap();
            limiter.give_back(one);
        }
        limiter.remove_expired();
        assert!(limiter.0.lock().unwrap().is_empty());
    }

    #[test]
    fn addresses_of_one_subnet_count_as_one() {
        assert_eq!(network(address("2001:db8::1")), network(address("2001:db8::ffff:0:0:2")));
        assert_ne!(network(address("2001:db8::1")), network(address("2001:db8:0:1::1")));
        assert_eq!(network(address("::ffff:192.0.2.1")), address("192.0.2.1"));
        assert_ne!(network(address("192.0.2.1")), network(address("192.0.2.2")));
    }

    #[test]
    fn an_address_with_its_whole_burst_is_removed() {
        let (limiter, now) = (FailedAuthLimiter::default(), Instant::now());
        limiter.take(address("192.0.2.1")).unwrap();
        limiter.0.lock().unwrap().insert(address("192.0.2.2"), now);
        limiter.remove_expired();
        assert_eq!(limiter.0.lock().unwrap().keys().collect::<Vec<_>>(), [&address("192.0.2.1")]);
    }
}
