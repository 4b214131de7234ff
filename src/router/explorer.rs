//! The explorer: a page that shows the tree in a browser and calls the service over gRPC-Web. Built from `web/`.

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, StatusCode};
use sha2::{Digest as _, Sha256};

use super::pages::compressed_once;

// The files, by their paths: `FILES: [(&str, &[u8]); N]`.
include!(concat!(env!("OUT_DIR"), "/explorer.rs"));

const PAGE: &str = "/index.html";

/// The folder of the files whose names contain a hash of their content.
const ASSETS: &str = "/assets/";

/// Returns the routes of the files, with the page at `/`, and their paths. They need no API key: they contain no data.
pub(super) fn routes() -> (Router, Vec<String>) {
    let (mut page, mut files) = (Router::new(), Router::new());
    let mut paths = vec![format!("{ASSETS}{{file}}")];
    for (path, content) in FILES {
        if path == PAGE {
            // Not compressed: it is small, and its strong etag identifies the bytes as sent.
            page = page.route("/", get(async move |headers: HeaderMap| serve_page(&headers, content)));
            paths.push("/".to_owned());
            continue;
        }
        files = files.route(path, get(async move || serve_file(path, content)));
        if !path.starts_with(ASSETS) {
            paths.push(path.to_owned());
        }
    }
    (page.merge(compressed_once(files)), paths)
}

/// Browsers revalidate the page each time, and download it only when it has changed.
fn serve_page(headers: &HeaderMap, content: &'static [u8]) -> Response {
    let version = Sha256::digest(content).iter().take(8).fold(0, |bits, byte| bits << 8 | u64::from(*byte));
    let etag = format!("\"{version:016x}\"");
    let is_known = headers.get_all(IF_NONE_MATCH).iter().any(|known| known.as_bytes() == etag.as_bytes());
    let head = [(ETAG, etag), (CACHE_CONTROL, "no-cache".to_owned())];
    if is_known {
        return (StatusCode::NOT_MODIFIED, head).into_response();
    }
    (head, [(CONTENT_TYPE, "text/html; charset=utf-8")], content).into_response()
}

/// Browsers cache files in [`ASSETS`] for ever.
fn serve_file(path: &str, content: &'static [u8]) -> Response {
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
