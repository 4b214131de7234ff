//! The explorer: a page that shows the tree in a browser and calls the service over gRPC-Web, as `web/` builds it.

use axum::Router;
use axum::middleware::{map_request, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderName, IF_NONE_MATCH, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, StatusCode};
use sha2::{Digest as _, Sha256};
use tower_http::compression::CompressionLayer;

use crate::rest::accept_uncompressed;

// The files, by their paths: `FILES: [(&str, &[u8]); N]`.
include!(concat!(env!("OUT_DIR"), "/explorer.rs"));

/// The page itself. Where in the tree it stands is in the fragment, so that there is one alone.
const PAGE: &str = "/index.html";

/// Where the files are whose names change with what is in them.
const ASSETS: &str = "/assets/";

/// What holds for every file: nothing but the explorer's own scripts run, nothing is fetched from elsewhere, and no
/// other page may show it in a frame.
const PROTECTION: [(HeaderName, HeaderValue); 3] = [
    (
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        ),
    ),
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
];

/// The files, with the page at `/`. They need no API key, since nothing of the tree is in them.
pub fn router() -> Router {
    let (mut page, mut files) = (Router::new(), Router::new());
    for (path, content) in FILES {
        match path {
            // Not compressed: its etag is for the bytes as they are sent, and it is small.
            PAGE => {
                page = page.route("/", get(async move |headers: HeaderMap| answer_page(&headers, content)));
            }
            _ => files = files.route(path, get(async move || answer_file(path, content))),
        }
    }
    let compressed = files.layer(CompressionLayer::new()).layer(map_request(accept_uncompressed));
    page.merge(compressed).layer(map_response(protect))
}

/// The page, which is asked for anew each time, and sent only to those who do not have it.
fn answer_page(headers: &HeaderMap, content: &'static [u8]) -> Response {
    let version = Sha256::digest(content).iter().take(8).fold(0, |bits, byte| bits << 8 | u64::from(*byte));
    let etag = format!("\"{version:016x}\"");
    let is_known = headers.get_all(IF_NONE_MATCH).iter().any(|known| known.as_bytes() == etag.as_bytes());
    let head = [(ETAG, etag), (CACHE_CONTROL, "no-cache".to_owned())];
    if is_known {
        return (StatusCode::NOT_MODIFIED, head).into_response();
    }
    (head, [(CONTENT_TYPE, "text/html; charset=utf-8")], content).into_response()
}

/// A file that the page asks for. What is in one under [`ASSETS`] never changes, since its name would.
fn answer_file(path: &str, content: &'static [u8]) -> Response {
    let is_asset = path.starts_with(ASSETS);
    let caching = if is_asset { "public, max-age=31536000, immutable" } else { "no-cache" };
    ([(CONTENT_TYPE, content_type(path)), (CACHE_CONTROL, caching)], content).into_response()
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "text/plain; charset=utf-8",
    }
}

async fn protect(mut response: Response) -> Response {
    response.headers_mut().extend(PROTECTION);
    response
}
