//! Cross-origin resource sharing: pages of other origins that may read responses ([CORS protocol][fetch]).
//!
//! [fetch]: https://fetch.spec.whatwg.org/#http-cors-protocol

use std::str::FromStr;
use std::time::Duration;

use http::header::{ACCESS_CONTROL_REQUEST_METHOD, ETAG, LOCATION, ORIGIN, RETRY_AFTER};
use http::{HeaderName, HeaderValue, Method, Request};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};
use url::Url;

use crate::api::headers::{GRPC_STATUS, IDEMPOTENT_REPLAYED, REQUEST_ID};

/// How long a browser may cache a preflight response. No browser caches it longer.
const MAX_AGE: Duration = Duration::from_hours(2);

/// The origins whose pages may call the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origins {
    /// All origins.
    Any,
    /// Only these origins.
    OneOf(Vec<HeaderValue>),
}

impl FromStr for Origins {
    type Err = String;

    /// Parses `*`, or origins separated by commas, each as browsers send it (RFC 6454, section 6.2).
    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim() {
            "*" => return Ok(Self::Any),
            "" => {
                return Err("it is empty; unset it, or use origins such as https://shop.example".to_owned());
            }
            _ => {}
        }
        text.split(',').map(|origin| parse(origin.trim())).collect::<Result<_, _>>().map(Self::OneOf)
    }
}

fn parse(origin: &str) -> Result<HeaderValue, String> {
    let is_origin =
        |url: &Url| matches!(url.scheme(), "http" | "https") && url.origin().ascii_serialization() == origin;
    Url::parse(origin)
        .ok()
        // A URL may contain a star. It would look like a wildcard, which CORS does not have.
        .filter(|url| is_origin(url) && !origin.contains('*'))
        .and_then(|_| HeaderValue::try_from(origin).ok())
        .ok_or_else(|| {
            format!(
                "{origin:?} is not a valid origin; use * or origins as browsers send them, such as \
                 https://shop.example, separated by commas, without a path, a final slash or a default port"
            )
        })
}

/// The layer that answers preflights and adds the CORS headers to responses.
pub(super) fn layer(origins: Origins) -> CorsLayer {
    let origins = match origins {
        Origins::Any => AllowOrigin::any(),
        Origins::OneOf(origins) => AllowOrigin::list(origins),
    };
    CorsLayer::new()
        .allow_origin(origins)
        .allow_methods([Method::GET, Method::HEAD, Method::POST, Method::PATCH, Method::DELETE])
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers([
            GRPC_STATUS,
            HeaderName::from_static("grpc-message"),
            HeaderName::from_static("grpc-status-details-bin"),
            IDEMPOTENT_REPLAYED,
            REQUEST_ID,
            ETAG,
            LOCATION,
            RETRY_AFTER,
        ])
        .max_age(MAX_AGE)
}

/// Returns whether a request must pass the layer: an `OPTIONS` request without CORS headers is not a preflight.
pub(super) fn concerns<B>(request: &Request<B>) -> bool {
    let headers = request.headers();
    request.method() != Method::OPTIONS
        || (headers.contains_key(ORIGIN) && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_a_star_or_a_list() {
        assert_eq!("*".parse(), Ok(Origins::Any));
        let two = ["https://shop.example", "http://localhost:5173"];
        let list = Origins::OneOf(two.map(HeaderValue::from_static).to_vec());
        assert_eq!("https://shop.example, http://localhost:5173".parse(), Ok(list));
    }

    #[test]
    fn an_empty_setting_is_rejected() {
        assert!(" ".parse::<Origins>().unwrap_err().contains("unset it"));
    }

    #[test]
    fn text_that_no_browser_sends_is_not_a_valid_origin() {
        for text in [
            "https://shop.example/",
            "https://shop.example/path",
            "https://shop.example,",
            "https://Shop.example",
            "https://shop.example:443",
            "http://user@shop.example",
            "shop.example",
            "//shop.example",
            "ftp://shop.example",
            "https://shop.example,*",
            "null",
            "https://*.example",
            "https://shop.example:99999",
        ] {
            assert!(text.parse::<Origins>().unwrap_err().contains("is not a valid origin"), "{text}");
        }
    }
}
