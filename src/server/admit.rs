//! What every call but the public ones goes through: whether there is a place for it, its key, and its time.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::IntoResponse;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use super::Options;
use super::call::{Call, Face};
use super::limits::Rates;
use crate::auth::{Caller, KeyRing};
use crate::domain::{Violation, ViolationKind, excerpt};
use crate::error::Error;

const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// What decides who comes in and for how long.
#[derive(Debug)]
pub(super) struct Gate {
    keys: Arc<KeyRing>,
    request_timeout: Duration,
    /// The places for calls.
    places: Arc<Semaphore>,
    rates: Option<Rates>,
}

impl Gate {
    pub(super) fn new(options: &Options, keys: Arc<KeyRing>) -> Self {
        Self {
            keys,
            request_timeout: options.timeouts.request,
            places: Arc::new(Semaphore::new(options.limits.calls.get())),
            rates: options.limits.rate.map(Rates::new),
        }
    }

    /// Lets a call in for which there is a place, and which has a key, and ends it when its time is up. The caller
    /// is left in the extensions of the request.
    pub(super) async fn admit<B, F>(
        &self,
        call: &mut Call,
        mut request: Request<B>,
        serve: impl FnOnce(Request<B>) -> F,
    ) -> Response<Body>
    where
        F: Future<Output = Response<Body>>,
    {
        // Before all else: a call that is refused may cost next to nothing.
        let Ok(place) = self.places.clone().try_acquire_owned() else {
            return Error::Overloaded.into_response();
        };
        call.keep(place);
        let asked = match call.face() {
            Face::Grpc => grpc_timeout(request.headers()),
            Face::Rest => Ok(None),
        };
        let allowed = match asked {
            Ok(Some(asked)) => asked.min(self.request_timeout),
            Ok(None) | Err(_) => self.request_timeout,
        };
        let deadline = Instant::now() + allowed;
        let authorization = request.headers().get(AUTHORIZATION).cloned();
        let authorization = authorization.as_ref().map(HeaderValue::as_bytes);
        let principal =
            match timeout_at(deadline, self.keys.authenticate(authorization, call.address())).await {
                Ok(Ok(principal)) => principal,
                Ok(Err(error)) => return error.into_response(),
                Err(_elapsed) => return Error::Timeout.into_response(),
            };
        call.note_principal(principal);
        if let Some(Err(error)) = self.rates.as_ref().map(|rates| rates.count(principal.digest)) {
            return error.into_response();
        }
        let caller = Caller { principal, request_id: call.request_id().to_owned() };
        request.extensions_mut().insert(caller);
        match asked {
            Ok(_) => {
                // Not before the caller is known, so that nobody else can have calls traced.
                let trace = call.begin_trace(request.headers());
                let served = timeout_at(deadline, serve(request));
                let served = match trace {
                    // In a box, as all that is rare.
                    Some(trace) => Box::pin(trace.around(served)).await,
                    None => served.await,
                };
                served.unwrap_or_else(|_elapsed| Error::Timeout.into_response())
            }
            Err(error) => error.into_response(),
        }
    }
}

impl IntoResponse for Error {
    /// Carries the error to the face that the response leaves by, which writes it.
    fn into_response(self) -> Response<Body> {
        let mut response = Response::<Body>::default();
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}

/// Reads `grpc-timeout`: up to eight digits and a unit, by the [gRPC protocol][http2].
///
/// [http2]: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
fn grpc_timeout(headers: &HeaderMap) -> Result<Option<Duration>, Error> {
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
