//! Which pages of other origins a browser lets read the answers (the [CORS protocol][fetch]).
//!
//! [fetch]: https://fetch.spec.whatwg.org/#http-cors-protocol

use std::str::FromStr;
use std::time::Duration;

use http::header::{ACCESS_CONTROL_REQUEST_METHOD, ETAG, LOCATION, ORIGIN, RETRY_AFTER};
use http::{HeaderName, HeaderValue, Method, Request, Uri};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

use super::call::REQUEST_ID;

/// How long a browser may keep the answer to a preflight; none keeps it longer.
const MAX_AGE: Duration = Duration::from_hours(2);

/// The origins whose pages may call the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origins {
    /// Every one.
    Any,
    /// These.
    OneOf(Vec<HeaderValue>),
}

impl FromStr for Origins {
    type Err = String;

    /// Reads `*`, or origins with commas between them, each as browsers write it (RFC 6454, section 6.2).
    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim() {
            "*" => return Ok(Self::Any),
            "" => {
                return Err("it is empty; unset it, or give origins such as https://shop.example".to_owned());
            }
            _ => {}
        }
        text.split(',').map(|origin| parse(origin.trim())).collect::<Result<_, _>>().map(Self::OneOf)
    }
}

fn parse(origin: &str) -> Result<HeaderValue, String> {
    let as_browsers_write = |uri: &Uri| {
        let (scheme, authority) = (uri.scheme_str()?, uri.authority()?.as_str());
        let default_port = if scheme == "https" { ":443" } else { ":80" };
        let port_is_one = uri.host() == Some(authority) || uri.port_u16().is_some();
        let plain = !authority.contains(['@', '*']) && !authority.ends_with(default_port) && port_is_one;
        plain.then(|| format!("{scheme}://{authority}").to_ascii_lowercase())
    };
    let written = origin.parse().ok().as_ref().and_then(as_browsers_write);
    written
        .filter(|written| written == origin && origin.starts_with("http"))
        .and_then(|written| HeaderValue::try_from(written).ok())
        .ok_or_else(|| {
            format!(
                "{origin:?} is no origin as browsers write it; give * or origins such as https://shop.example, with \
                 commas between, without a path or a slash at the end, and without the port that the scheme has anyway"
            )
        })
}

/// What answers preflights, and tells browsers what they may show to a page.
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
            HeaderName::from_static("grpc-status"),
            HeaderName::from_static("grpc-message"),
            HeaderName::from_static("grpc-status-details-bin"),
            HeaderName::from_static("idempotent-replayed"),
            REQUEST_ID,
            ETAG,
            LOCATION,
            RETRY_AFTER,
        ])
        .max_age(MAX_AGE)
}

/// Whether the layer is to see the request: an `OPTIONS` of someone who asks what a path takes is no preflight.
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
    fn an_empty_setting_is_told_so() {
        assert!(" ".parse::<Origins>().unwrap_err().contains("unset it"));
    }

    #[test]
    fn what_no_browser_sends_is_no_origin() {
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
            assert!(text.parse::<Origins>().unwrap_err().contains("is no origin"), "{text}");
        }
    }
}
