//! The `grpc-timeout` header.

use std::time::Duration;

use http::HeaderMap;

use crate::api::headers::GRPC_TIMEOUT;
use crate::domain::{Violation, ViolationKind, excerpt};
use crate::error::Error;

/// Reads `grpc-timeout`: up to eight digits and a unit, by the [gRPC protocol][http2].
///
/// [http2]: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
pub(super) fn grpc_timeout(headers: &HeaderMap) -> Result<Option<Duration>, Error> {
    let Some(header) = headers.get(GRPC_TIMEOUT) else { return Ok(None) };
    let duration = header.to_str().ok().and_then(parse_timeout);
    duration.map(Some).ok_or_else(|| {
        let value = excerpt(&String::from_utf8_lossy(header.as_bytes()));
        let description =
            format!("grpc-timeout is {value}; give up to 8 digits and one of the units H, M, S, m, u, n");
        Error::Invalid(Violation::new(GRPC_TIMEOUT.as_str(), ViolationKind::Invalid, description).into())
    })
}

fn parse_timeout(text: &str) -> Option<Duration> {
    const MAX_DIGITS: usize = 8;
    let (unit, digits) = text.as_bytes().split_last()?;
    if digits.is_empty() || digits.len() > MAX_DIGITS || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number: u64 = str::from_utf8(digits).ok()?.parse().ok()?;
    match unit {
        b'H' => Some(Duration::from_secs(number * 3600)),
        b'M' => Some(Duration::from_secs(number * 60)),
        b'S' => Some(Duration::from_secs(number)),
        b'm' => Some(Duration::from_millis(number)),
        b'u' => Some(Duration::from_micros(number)),
        b'n' => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_has_up_to_eight_digits_and_a_unit() {
        for (text, duration) in [
            ("1H", Some(Duration::from_hours(1))),
            ("2M", Some(Duration::from_mins(2))),
            ("3S", Some(Duration::from_secs(3))),
            ("4m", Some(Duration::from_millis(4))),
            ("5u", Some(Duration::from_micros(5))),
            ("99999999n", Some(Duration::from_nanos(99_999_999))),
            ("0S", Some(Duration::ZERO)),
            ("", None),
            ("S", None),
            ("5", None),
            ("5s", None),
            ("+5S", None),
            ("-5S", None),
            ("1.5S", None),
            ("123456789S", None),
        ] {
            assert_eq!(parse_timeout(text), duration, "{text:?}");
        }
    }
}
