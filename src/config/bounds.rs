//! The settings of how much the service takes on.

use std::num::{NonZeroU32, NonZeroUsize};
use std::str::FromStr;

use clap::Args;

use super::{Problems, parse};
use crate::server::{Limits, Rate};

/// Those of the settings that keep one caller from taking what others need.
#[derive(Debug, Args)]
#[command(next_help_heading = "Settings of bounds")]
pub(super) struct Bounds {
    /// The most open connections from callers, 1 to 1000000; those that come when there are so many are closed
    #[arg(long, env = "MAX_CONNECTIONS", global = true, default_value = "10000", value_name = "NUMBER")]
    max_connections: String,

    /// The most calls at once on one HTTP/2 connection, 1 to 10000; its caller waits before it sends more
    #[arg(long, env = "MAX_STREAMS", global = true, default_value = "256", value_name = "NUMBER")]
    max_streams: String,

    /// The most calls at once, 1 to 1000000; those that come when there are so many are refused
    #[arg(long, env = "MAX_CALLS", global = true, default_value = "4096", value_name = "NUMBER")]
    max_calls: String,

    /// The largest message of a request in bytes, 1024 to 1073741824
    #[arg(long, env = "MAX_REQUEST_BYTES", global = true, default_value = "4194304", value_name = "BYTES")]
    max_request_bytes: String,

    /// The largest line and headers of a request in bytes, 8192 to 1048576
    #[arg(long, env = "MAX_HEADER_BYTES", global = true, default_value = "16384", value_name = "BYTES")]
    max_header_bytes: String,

    /// How often each API key may be used on this replica, as in 100/s, 3000/m or 50000/h [default: no limit]
    #[arg(long, env = "RATE_LIMIT", global = true, value_name = "RATE")]
    rate_limit: Option<String>,
}

impl Bounds {
    pub(super) fn parse(&self, problems: &mut Problems) -> Option<Limits> {
        const ONE: NonZeroUsize = NonZeroUsize::MIN;
        const MILLION: NonZeroUsize = NonZeroUsize::new(1_000_000).unwrap();
        const STREAMS: NonZeroU32 = NonZeroU32::new(10_000).unwrap();

        let connections = parse::number("connections", ONE..=MILLION, &self.max_connections);
        let connections = problems.check("MAX_CONNECTIONS", connections);
        let streams = parse::number("calls", NonZeroU32::MIN..=STREAMS, &self.max_streams);
        let streams = problems.check("MAX_STREAMS", streams);
        let calls = problems.check("MAX_CALLS", parse::number("calls", ONE..=MILLION, &self.max_calls));
        let request_bytes = parse::number("bytes", 1 << 10..=1 << 30, &self.max_request_bytes);
        let request_bytes = problems.check("MAX_REQUEST_BYTES", request_bytes);
        let header_bytes = parse::number("bytes", 8 << 10..=1 << 20, &self.max_header_bytes);
        let header_bytes = problems.check("MAX_HEADER_BYTES", header_bytes);
        let rate = problems.check("RATE_LIMIT", self.rate_limit.as_deref().map(Rate::from_str).transpose());
        Some(Limits {
            connections: connections?,
            streams: streams?,
            calls: calls?,
            request_bytes: request_bytes?,
            header_bytes: header_bytes?,
            rate: rate?,
        })
    }
}
