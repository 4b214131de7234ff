//! Parsers of single settings.

use std::fmt::Display;
use std::net::{SocketAddr, ToSocketAddrs};
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::thread::available_parallelism;
use std::time::Duration;

use jiff::SignedDuration;

use crate::domain::{Mode, Secret};
use crate::listen::ListenAddress;
use crate::store::Database;
use crate::telemetry::LogFormat;

/// Returns the addresses of a host, IPv4 first.
pub(super) fn addresses(text: &str) -> Result<Vec<SocketAddr>, String> {
    let resolved = text.to_socket_addrs().map_err(|error| {
        format!(
            "{text:?} is not a valid address and port: {error}; use one such as 127.0.0.1:8080, [::]:8080 or localhost:8080"
        )
    })?;
    let mut addresses: Vec<SocketAddr> = resolved.collect();
    addresses.sort_unstable();
    addresses.dedup();
    Ok(addresses)
}

/// Returns `None` for an empty text.
pub(super) fn optional_addresses(text: &str) -> Result<Option<Vec<SocketAddr>>, String> {
    if text.is_empty() { Ok(None) } else { addresses(text).map(Some) }
}

pub(super) fn listen_address(text: &str) -> Result<ListenAddress, String> {
    match text.strip_prefix("unix:") {
        Some("") => Err("the path is missing; use one such as unix:/run/customer-groups/api.sock".to_owned()),
        Some(path) => Ok(ListenAddress::Unix(path.into())),
        None => match *addresses(text)? {
            [first, ref others @ ..] => Ok(ListenAddress::Tcp(first, others.to_vec())),
            [] => Err(format!("{text:?} has no address")),
        },
    }
}

pub(super) fn database(text: &str) -> Result<Database, String> {
    if text.is_empty() {
        return Err(empty("unset it for the private PostgreSQL"));
    }
    text.parse()
}

pub(super) fn replica(text: &str, primary: Option<&str>) -> Result<Database, String> {
    if text.is_empty() {
        return Err(empty("unset it"));
    }
    if primary.is_none() {
        return Err(
            "the private PostgreSQL has no read replicas; set DATABASE_URL to their primary, too".to_owned()
        );
    }
    text.parse()
}

fn empty(remedy: &str) -> String {
    format!("it is empty; use a URL such as postgres://user:password@host:5432/database, or {remedy}")
}

pub(super) fn key(mode: Mode, text: &str) -> Result<Secret, String> {
    let remedy = format!("use one such as `echo {}$(openssl rand -hex 16)` prints", mode.prefix());
    Secret::parse(mode, text).map_err(|problem| format!("{problem}; {remedy}"))
}

pub(super) fn mode(text: &str) -> Result<Mode, String> {
    Mode::parse(text).ok_or_else(|| format!("{text:?} is not a valid mode; use test or live"))
}

pub(super) fn boolean(text: &str) -> Result<bool, String> {
    text.to_ascii_lowercase().parse().map_err(|_| format!("{text:?} is neither true nor false"))
}

pub(super) fn log_format(text: &str) -> Result<LogFormat, String> {
    match text {
        "pretty" => Ok(LogFormat::Pretty),
        "json" => Ok(LogFormat::Json),
        _ => Err(format!("{text:?} is not a valid log format; use pretty or json")),
    }
}

/// Parses a whole number. `things` is the noun for the message.
pub(super) fn number<T: FromStr + PartialOrd + Display>(
    things: &str,
    range: RangeInclusive<T>,
    text: &str,
) -> Result<T, String> {
    let number = text.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| {
        format!("{text:?} is not a valid number of {things}; use {} to {}", range.start(), range.end())
    })
}

/// Returns the given number of threads, or the number of cores.
pub(super) fn workers(text: Option<&str>) -> Result<NonZeroUsize, String> {
    const MAX: NonZeroUsize = NonZeroUsize::new(1000).unwrap();
    match text {
        None => Ok(available_parallelism().unwrap_or(NonZeroUsize::MIN).min(MAX)),
        Some(text) => number("threads", NonZeroUsize::MIN..=MAX, text),
    }
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    // PostgreSQL counts in milliseconds, and 0 means no limit.
    const MIN: Duration = Duration::from_millis(1);
    const MAX: Duration = Duration::from_hours(24);
    let duration = text.parse::<SignedDuration>().ok().and_then(|duration| Duration::try_from(duration).ok());
    duration.filter(|duration| (MIN..=MAX).contains(duration)).ok_or_else(|| {
        format!("{text:?} is not a valid time; use one such as 500ms, 5s or 2m, from 1ms to 24h")
    })
}
