//! How much the server takes on, and what it says of what it refuses.

use std::num::{NonZeroU32, NonZeroUsize};
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use tokio::time::interval;

use crate::auth::Digest;
use crate::error::{Error, Refusal};

/// How much the server takes on at once, and how large it may be.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The most open connections from callers. Those that come when there are so many are closed.
    pub connections: NonZeroUsize,
    /// The most calls at once on one HTTP/2 connection. Its caller waits before it sends more (RFC 9113,
    /// section 5.1.2).
    pub streams: NonZeroU32,
    /// The most calls at once, but for the public ones. Those that come when there are so many are refused.
    pub calls: NonZeroUsize,
    /// The largest message of a request, in bytes.
    pub request_bytes: usize,
    /// The largest line and headers of a request, in bytes; at least 8192.
    pub header_bytes: u32,
    /// How often each API key may be used; as often as it likes without one.
    pub rate: Option<Rate>,
}

/// So many calls in a second, a minute or an hour; so many may come at once, when none came for as long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate(Quota);

impl FromStr for Rate {
    type Err = String;

    /// Reads a number from 1 to 2^32 - 1, a slash, and one of `s`, `m`, `h`.
    fn from_str(text: &str) -> Result<Self, String> {
        let quota = text.split_once('/').and_then(|(number, unit)| {
            let number: NonZeroU32 = number.parse().ok()?;
            match unit {
                "s" => Some(Quota::per_second(number)),
                "m" => Some(Quota::per_minute(number)),
                "h" => Some(Quota::per_hour(number)),
                _ => None,
            }
        });
        quota
            .map(Self)
            .ok_or_else(|| format!("{text:?} is no rate; give calls per s, m or h, such as 100/s or 3000/m"))
    }
}

/// Who has been calling how often, for each API key.
#[derive(Debug)]
pub(super) struct Rates(DefaultKeyedRateLimiter<Digest>);

impl Rates {
    pub(super) fn new(Rate(quota): Rate) -> Self {
        Self(RateLimiter::keyed(quota))
    }

    /// Counts a call.
    ///
    /// # Errors
    ///
    /// [`Error::RateLimited`].
    pub(super) fn count(&self, key: Digest) -> Result<(), Error> {
        self.0
            .check_key(&key)
            .map_err(|next| Error::RateLimited(next.wait_time_from(DefaultClock::default().now())))
    }
}

/// How much was refused. A line for each would be one more load on a server that has too many.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    connections: AtomicU64,
    calls: AtomicU64,
    guesses: AtomicU64,
}

impl Refusals {
    pub(super) fn count_connection(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count(&self, refusal: Refusal) {
        let count = match refusal {
            Refusal::Overload => &self.calls,
            Refusal::Guess => &self.guesses,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    pub(super) fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    pub(super) fn guesses(&self) -> u64 {
        self.guesses.load(Ordering::Relaxed)
    }

    /// Tells of them for ever.
    pub(super) async fn tell(&self) {
        const PERIOD: Duration = Duration::from_secs(1);
        let counts = [
            (&self.connections, "connections were refused: there are MAX_CONNECTIONS"),
            (&self.calls, "calls were refused: there are too many at once"),
            (&self.guesses, "calls were refused: too many unknown API keys came from their addresses"),
        ];
        let (mut ticks, mut told) = (interval(PERIOD), [0; 3]);
        loop {
            ticks.tick().await;
            for ((count, what), told) in counts.iter().zip(&mut told) {
                let now = count.load(Ordering::Relaxed);
                if now > *told {
                    tracing::warn!(count = now - *told, "{what}");
                }
                *told = now;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_number_of_calls_in_a_unit_of_time() {
        let ten = NonZeroU32::new(10).unwrap();
        assert_eq!("10/s".parse(), Ok(Rate(Quota::per_second(ten))));
        assert_eq!("10/m".parse(), Ok(Rate(Quota::per_minute(ten))));
        assert_eq!("10/h".parse(), Ok(Rate(Quota::per_hour(ten))));
        for text in ["", "10", "10/", "/s", "0/s", "-1/s", "1.5/s", "10/d", "10 / s", "4294967296/s"] {
            assert!(text.parse::<Rate>().unwrap_err().contains("100/s"), "{text:?}");
        }
    }
}
