//! Who tries API keys that are none. An address that goes on with it is slowed, so that guessing costs it time and the
//! database nothing. Keys that are known open the service meanwhile, also from there.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::error::Error;

/// How many may come at once from an address that sent none for a while.
const BURST: u32 = 100;

/// After how long one more may come.
const INTERVAL: Duration = Duration::from_secs(1);

/// How far ahead those that came at once can be counted: half a minute more than the burst.
const HORIZON: Duration = Duration::from_secs(130);

/// Until when each address has used up what it may send, by the
/// [generic cell rate algorithm](https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm). One that is not in here
/// has used up nothing.
#[derive(Debug, Default)]
pub(super) struct Guesses(Mutex<HashMap<IpAddr, Instant>>);

impl Guesses {
    /// Whether one more may come from an address.
    ///
    /// # Errors
    ///
    /// [`Error::GuessLimited`].
    pub(super) fn allow(&self, address: IpAddr) -> Result<(), Error> {
        let wait = self.wait(network(address), Instant::now());
        if wait.is_zero() { Ok(()) } else { Err(Error::GuessLimited(wait)) }
    }

    /// Counts a key that is none.
    pub(super) fn count(&self, address: IpAddr) {
        self.count_at(network(address), Instant::now());
    }

    /// Forgets the addresses that may send as many again as any other.
    pub(super) fn tidy(&self) {
        let now = Instant::now();
        self.lock().retain(|_, used_up_until| *used_up_until > now);
    }

    fn wait(&self, network: IpAddr, now: Instant) -> Duration {
        let used_up_until = self.lock().get(&network).copied().unwrap_or(now);
        used_up_until.saturating_duration_since(now).saturating_sub(INTERVAL * (BURST - 1))
    }

    fn count_at(&self, network: IpAddr, now: Instant) {
        let mut networks = self.lock();
        let used_up_until = networks.entry(network).or_insert(now);
        *used_up_until = ((*used_up_until).max(now) + INTERVAL).min(now + HORIZON);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one caller has for certain: an address of IPv4, or a whole subnet of IPv6 (RFC 4291, section 2.5.4).
fn network(address: IpAddr) -> IpAddr {
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
        let (guesses, one, now) = (Guesses::default(), address("192.0.2.1"), Instant::now());
        for _ in 0..BURST {
            assert_eq!(guesses.wait(one, now), Duration::ZERO);
            guesses.count_at(one, now);
        }
        assert_eq!(guesses.wait(one, now), INTERVAL);
        assert_eq!(guesses.wait(one, now + INTERVAL), Duration::ZERO);
        guesses.count_at(one, now + INTERVAL);
        assert_eq!(guesses.wait(one, now + INTERVAL), INTERVAL);
        assert_eq!(guesses.wait(address("192.0.2.2"), now), Duration::ZERO, "another address");
    }

    #[test]
    fn however_many_come_at_once_the_wait_has_an_end() {
        let (guesses, one, now) = (Guesses::default(), address("192.0.2.1"), Instant::now());
        for _ in 0..10_000 {
            guesses.count_at(one, now);
        }
        assert_eq!(guesses.wait(one, now), Duration::from_secs(31));
    }

    #[test]
    fn addresses_that_one_caller_may_have_at_will_count_as_one() {
        assert_eq!(network(address("2001:db8::1")), network(address("2001:db8::ffff:0:0:2")));
        assert_ne!(network(address("2001:db8::1")), network(address("2001:db8:0:1::1")));
        assert_eq!(network(address("::ffff:192.0.2.1")), address("192.0.2.1"));
        assert_ne!(network(address("192.0.2.1")), network(address("192.0.2.2")));
    }

    #[test]
    fn who_may_send_as_many_as_any_other_is_forgotten() {
        let (guesses, now) = (Guesses::default(), Instant::now());
        guesses.count(address("192.0.2.1"));
        guesses.0.lock().unwrap().insert(address("192.0.2.2"), now);
        guesses.tidy();
        assert_eq!(guesses.0.lock().unwrap().keys().collect::<Vec<_>>(), [&address("192.0.2.1")]);
    }
}
