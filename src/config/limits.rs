//! Settings of the limits that keep one caller from taking the capacity of others.

use std::num::{NonZeroU32, NonZeroUsize};
use std::str::FromStr;

use clap::Args;

use super::{Problems, parse};
use crate::admission::{Limits, Rate};

const MAX_CONNECTIONS: &str = "MAX_CONNECTIONS";
const MAX_CONNECTIONS_PER_ADDRESS: &str = "MAX_CONNECTIONS_PER_ADDRESS";
const MAX_STREAMS: &str = "MAX_STREAMS";
const MAX_CALLS: &str = "MAX_CALLS";
const MAX_CALLS_PER_KEY: &str = "MAX_CALLS_PER_KEY";
const MAX_LONG_LISTS_PER_KEY: &str = "MAX_LONG_LISTS_PER_KEY";
const MAX_SEARCHES_PER_KEY: &str = "MAX_SEARCHES_PER_KEY";
const MAX_REQUEST_BYTES: &str = "MAX_REQUEST_BYTES";
const MAX_HEADER_BYTES: &str = "MAX_HEADER_BYTES";
const MAX_BUFFERED_BYTES: &str = "MAX_BUFFERED_BYTES";
const RATE_LIMIT: &str = "RATE_LIMIT";

#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
pub(super) struct LimitSettings {
    /// Maximum number of open connections from callers, 1 to 1000000; further connections are closed
    #[arg(long, env = MAX_CONNECTIONS, default_value = "10000", value_name = "NUMBER")]
    max_connections: String,

    /// Maximum number of open connections from one address, or one IPv6 /64 subnet, 1 to 1000000; further connections are
    /// closed [default: half of MAX_CONNECTIONS]
    #[arg(long, env = MAX_CONNECTIONS_PER_ADDRESS, value_name = "NUMBER")]
    max_connections_per_address: Option<String>,

    /// Maximum number of concurrent calls on one HTTP/2 connection, 1 to 10000; its caller waits before sending more
    #[arg(long, env = MAX_STREAMS, default_value = "256", value_name = "NUMBER")]
    max_streams: String,

    /// Maximum number of concurrent calls, 1 to 1000000; further calls are rejected
    #[arg(long, env = MAX_CALLS, default_value = "4096", value_name = "NUMBER")]
    max_calls: String,

    /// Maximum number of concurrent calls with one API key, 1 to 1000000; further calls are rejected [default: half of
    /// MAX_CALLS]
    #[arg(long, env = MAX_CALLS_PER_KEY, value_name = "NUMBER")]
    max_calls_per_key: Option<String>,

    /// Maximum number of long lists that are streamed to one API key at a time, 1 to 1000; further ones wait for
    /// POOL_TIMEOUT [default: half of those to all keys, which are half of POOL_SIZE]
    #[arg(long, env = MAX_LONG_LISTS_PER_KEY, value_name = "NUMBER")]
    max_long_lists_per_key: Option<String>,

    /// Maximum number of searches by name, and of pages of descendants, for one API key at a time, 1 to 1000; further ones
    /// wait for POOL_TIMEOUT [default: half of those for all keys, which are a quarter of POOL_SIZE]
    #[arg(long, env = MAX_SEARCHES_PER_KEY, value_name = "NUMBER")]
    max_searches_per_key: Option<String>,

    /// Maximum size of a request message in bytes, 1024 to 1073741824
    #[arg(long, env = MAX_REQUEST_BYTES, default_value = "4194304", value_name = "BYTES")]
    max_request_bytes: String,

    /// Maximum size of the request line and the headers in bytes, 8192 to 1048576
    #[arg(long, env = MAX_HEADER_BYTES, default_value = "16384", value_name = "BYTES")]
    max_header_bytes: String,

    /// Maximum size of all large requests and responses in memory in bytes, 16777216 to 4294967295, of which one API key can
    /// use half; further ones are rejected
    #[arg(long, env = MAX_BUFFERED_BYTES, default_value = "67108864", value_name = "BYTES")]
    max_buffered_bytes: String,

    /// Maximum rate of calls with one API key on this replica, such as 100/s, 3000/m or 50000/h [default: no limit]
    #[arg(long, env = RATE_LIMIT, value_name = "RATE")]
    rate_limit: Option<String>,
}

impl LimitSettings {
    pub(super) fn check(&self, problems: &mut Problems) -> Option<Limits> {
        const ONE: NonZeroUsize = NonZeroUsize::MIN;
        const MILLION: NonZeroUsize = NonZeroUsize::new(1_000_000).unwrap();
        const STREAMS: NonZeroU32 = NonZeroU32::new(10_000).unwrap();

        let connections = parse::number("connections", ONE..=MILLION, &self.max_connections);
        let connections = problems.check(MAX_CONNECTIONS, connections);
        let of_address = self.max_connections_per_address.as_deref();
        let of_address = of_address.map(|text| parse::number("connections", ONE..=MILLION, text)).transpose();
        let of_address = problems.check(MAX_CONNECTIONS_PER_ADDRESS, of_address);
        let streams = parse::number("calls", NonZeroU32::MIN..=STREAMS, &self.max_streams);
        let streams = problems.check(MAX_STREAMS, streams);
        let calls = problems.check(MAX_CALLS, parse::number("calls", ONE..=MILLION, &self.max_calls));
        let of_key = self.max_calls_per_key.as_deref();
        let of_key = of_key.map(|text| parse::number("calls", ONE..=MILLION, text)).transpose();
        let of_key = problems.check(MAX_CALLS_PER_KEY, of_key);
        let request_bytes = parse::number("bytes", 1 << 10..=1 << 30, &self.max_request_bytes);
        let request_bytes = problems.check(MAX_REQUEST_BYTES, request_bytes);
        let header_bytes = parse::number("bytes", 8 << 10..=1 << 20, &self.max_header_bytes);
        let header_bytes = problems.check(MAX_HEADER_BYTES, header_bytes);
        let buffered = parse::number("bytes", 16 << 20..=u32::MAX, &self.max_buffered_bytes);
        let buffered = problems
            .check(MAX_BUFFERED_BYTES, buffered.and_then(|bytes| holds_request(bytes, request_bytes)));
        let rate = problems.check(RATE_LIMIT, self.rate_limit.as_deref().map(Rate::from_str).transpose());
        Some(Limits {
            connections: connections?,
            connections_per_address: of_address?.unwrap_or(half(connections?)),
            streams: streams?,
            calls: calls?,
            calls_per_key: of_key?.unwrap_or(half(calls?)),
            buffered_bytes: buffered?,
            request_bytes: request_bytes?,
            header_bytes: header_bytes?,
            rate: rate?,
        })
    }

    /// Returns the maximum of connections to PostgreSQL for the long lists of an API key, and for its searches.
    pub(super) fn check_connections(
        &self,
        problems: &mut Problems,
    ) -> Option<(Option<usize>, Option<usize>)> {
        let parse = |text: &String| parse::number("connections", 1..=1000, text);
        let long_lists = self.max_long_lists_per_key.as_ref().map(parse).transpose();
        let searches = self.max_searches_per_key.as_ref().map(parse).transpose();
        let long_lists = problems.check(MAX_LONG_LISTS_PER_KEY, long_lists);
        let searches = problems.check(MAX_SEARCHES_PER_KEY, searches);
        long_lists.zip(searches)
    }
}

/// Checks that half of the limit, the share of one API key, holds the largest request.
fn holds_request(bytes: u32, request_bytes: Option<usize>) -> Result<u32, String> {
    match request_bytes {
        Some(request) if request > bytes as usize / 2 => {
            Err(format!("half of {bytes} bytes is less than MAX_REQUEST_BYTES; use at least {}", request * 2))
        }
        Some(_) | None => Ok(bytes),
    }
}

fn half(number: NonZeroUsize) -> NonZeroUsize {
    NonZeroUsize::new(number.get().div_ceil(2)).unwrap_or(number)
}
