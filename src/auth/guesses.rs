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

/// Until when each address has used up what it may send, by the
/// [generic cell rate algorithm](https://en.wikipedia.org/wiki/Generic_cell_rate_algorithm). One that is not in here
/// has used up nothing.
#[derive(Debug, Default)]
pub(super) struct Guesses(Mutex<HashMap<IpAddr, Instant>>);

impl Guesses {
    /// Takes what one key costs that may be none, before anyone is asked for it: whoever goes away meanwhile has
    /// guessed, too.
    ///
    /// # Errors
    ///
    /// [`Error::GuessLimited`].
    pub(super) fn take(&self, address: IpAddr) -> Result<(), Error> {
        self.take_at(network(address), Instant::now()).map_err(Error::GuessLimited)
    }

    /// Gives it back, since it was no guess.
    pub(super) fn give_back(&self, address: IpAddr) {
        if let Some(used_up_until) = self.lock().get_mut(&network(address)) {
            *used_up_until = used_up_until.checked_sub(INTERVAL).unwrap_or(*used_up_until);
        }
    }

    /// Forgets the addresses that may send as many again as any other.
    pub(super) fn tidy(&self) {
        let now = Instant::now();
        self.lock().retain(|_, used_up_until| *used_up_until > now);
    }

    /// How long to wait is the error.
    fn take_at(&self, network: IpAddr, now: Instant) -> Result<(), Duration> {
        let mut networks = self.lock();
        let used_up_until = networks.entry(network).or_insert(now);
        let wait = used_up_until.saturating_duration_since(now).saturating_sub(INTERVAL * (BURST - 1));
        if !wait.is_zero() {
            return Err(wait);
        }
        *used_up_until = (*used_up_until).max(now) + INTERVAL;
        Ok(())
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
            assert_eq!(guesses.take_at(one, now), Ok(()));
        }
        assert_eq!(guesses.take_at(one, now), Err(INTERVAL));
        assert_eq!(guesses.take_at(one, now + INTERVAL), Ok(()));
        assert_eq!(guesses.take_at(one, now + INTERVAL), Err(INTERVAL));
        assert_eq!(guesses.take_at(address("192.0.2.2"), now), Ok(()), "another address");
    }

    #[test]
    fn what_was_no_guess_is_given_back() {
        let (guesses, one) = (Guesses::default(), address("192.0.2.1"));
        for _ in 0..10 * BURST {
            guesses.take(one).unwrap();
            guesses.give_back(one);
        }
        guesses.tidy();
        assert!(guesses.0.lock().unwrap().is_empty());
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
        guesses.take(address("192.0.2.1")).unwrap();
        guesses.0.lock().unwrap().insert(address("192.0.2.2"), now);
        guesses.tidy();
        assert_eq!(guesses.0.lock().unwrap().keys().collect::<Vec<_>>(), [&address("192.0.2.1")]);
    }
}
