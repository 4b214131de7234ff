//! Limits of what the server accepts, and the rate limit of each API key.

use std::num::{NonZeroU32, NonZeroUsize};
use std::str::FromStr;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::domain::Digest;
use crate::error::Error;

/// Limits of size, number and rate.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The maximum of open connections from callers; more are closed.
    pub connections: NonZeroUsize,
    /// The maximum of open connections from one address, or one IPv6 /64 subnet; more are closed.
    pub connections_per_address: NonZeroUsize,
    /// The maximum of concurrent calls on one HTTP/2 connection; more wait (RFC 9113, section 5.1.2).
    pub streams: NonZeroU32,
    /// The maximum of concurrent calls, except public ones; more are refused.
    pub calls: NonZeroUsize,
    /// The maximum of concurrent calls with one API key; more are refused.
    pub calls_per_key: NonZeroUsize,
    /// The maximum size of a request message, in bytes.
    pub request_bytes: usize,
    /// The maximum size of a request's line and headers, in bytes; at least 8192.
    pub header_bytes: u32,
    /// The maximum size of all large requests and responses in memory, in bytes. One API key can use half.
    pub buffered_bytes: u32,
    /// The rate limit of each API key.
    pub rate: Option<Rate>,
}

/// A number of calls per second, minute or hour. A burst may have the same number of calls.
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
            .ok_or_else(|| format!("{text:?} is not a valid rate; use N/s, N/m or N/h, for example 100/s"))
    }
}

/// A rate limiter for each API key.
#[derive(Debug)]
pub(crate) struct RateLimits(DefaultKeyedRateLimiter<Digest>);

impl RateLimits {
    pub(crate) fn new(Rate(quota): Rate) -> Self {
        Self(RateLimiter::keyed(quota))
    }

    /// Counts a call, or returns [`Error::RateLimited`].
    pub(crate) fn count(&self, key: Digest) -> Result<(), Error> {
        self.0
            .check_key(&key)
            .map_err(|next| Error::RateLimited(next.wait_time_from(DefaultClock::default().now())))
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
