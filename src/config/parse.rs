//! The forms of single settings.

use std::fmt::Display;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::thread::available_parallelism;
use std::time::Duration;

use jiff::SignedDuration;

use crate::auth::{Mode, Secret};
use crate::store::Database;
use crate::telemetry::LogFormat;

pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| format!("{text:?} is no address and port, such as 127.0.0.1:8080 or [::]:8080"))
}

/// None for nothing.
pub(super) fn admin(text: &str) -> Result<Option<SocketAddr>, String> {
    if text.is_empty() { Ok(None) } else { address(text).map(Some) }
}

pub(super) fn database(text: &str) -> Result<Database, String> {
    if text.is_empty() {
        return Err(empty("unset it for the private PostgreSQL"));
    }
    text.parse()
}

pub(super) fn standby(text: &str, primary: Option<&str>) -> Result<Database, String> {
    if text.is_empty() {
        return Err(empty("unset it"));
    }
    if primary.is_none() {
        return Err(
            "the private PostgreSQL has no standbys; set DATABASE_URL to their primary, too".to_owned()
        );
    }
    text.parse()
}

fn empty(remedy: &str) -> String {
    format!("it is empty; {remedy}, or give one such as postgres://user:password@host:5432/database")
}

pub(super) fn key(mode: Mode, text: &str) -> Result<Secret, String> {
    let remedy = format!("give one such as `echo {}$(openssl rand -hex 16)` prints", mode.prefix());
    Secret::parse(mode, text).map_err(|problem| format!("{problem}; {remedy}"))
}

pub(super) fn mode(text: &str) -> Result<Mode, String> {
    Mode::parse(text).ok_or_else(|| format!("{text:?} is no mode; give test or live"))
}

pub(super) fn log_format(text: &str) -> Result<LogFormat, String> {
    match text {
        "pretty" => Ok(LogFormat::Pretty),
        "json" => Ok(LogFormat::Json),
        _ => Err(format!("{text:?} is no form of log; give pretty or json")),
    }
}

/// A whole number in that range of those things.
pub(super) fn number<T: FromStr + PartialOrd + Display>(
    things: &str,
    range: RangeInclusive<T>,
    text: &str,
) -> Result<T, String> {
    let number = text.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| {
        format!("{text:?} is no number of {things}; give {} to {}", range.start(), range.end())
    })
}

/// As many threads as are asked for, or as can run at once.
pub(super) fn workers(text: Option<&str>) -> Result<NonZeroUsize, String> {
    const MAX: NonZeroUsize = NonZeroUsize::new(1000).unwrap();
    match text {
        None => Ok(available_parallelism().unwrap_or(NonZeroUsize::MIN).min(MAX)),
        Some(text) => number("threads", NonZeroUsize::MIN..=MAX, text),
    }
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    // PostgreSQL counts in milliseconds, and takes 0 for no limit.
    const MIN: Duration = Duration::from_millis(1);
    const MAX: Duration = Duration::from_hours(24);
    let duration = text.parse::<SignedDuration>().ok().and_then(|duration| Duration::try_from(duration).ok());
    duration
        .filter(|duration| (MIN..=MAX).contains(duration))
        .ok_or_else(|| format!("{text:?} is no time; give one such as 500ms, 5s or 2m, from 1ms to 24h"))
}
