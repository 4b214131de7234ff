//! Pages and files that do not change while the service runs: the API description and the explorer.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state, map_request, map_response};
use axum::response::{IntoResponse, Response};
use http::header::{
    ACCEPT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, REFERRER_POLICY,
};
use http::{Method, StatusCode};
use tokio::sync::Mutex;

use crate::api::headers::weighted;
use crate::rest::{accept_uncompressed, compression};

/// Allow only the pages' own scripts and files, and no other page to show them in a frame. The page of the API
/// description has icons in its style sheet (`data:`).
const SECURITY_HEADERS: [(HeaderName, HeaderValue); 2] = [
    (
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        ),
    ),
    (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
];

/// The responses with a file, by its path and whether it is compressed.
type Files = Arc<Mutex<HashMap<(String, bool), (http::response::Parts, Bytes)>>>;

/// Adds the headers of every page.
pub(super) fn secured(routes: Router) -> Router {
    routes.layer(map_response(async |mut response: Response| {
        response.headers_mut().extend(SECURITY_HEADERS);
        response
    }))
}

/// Compresses each file for callers that accept it, and only once: it costs more than any other public call.
pub(super) fn compressed_once(routes: Router) -> Router {
    routes
        .layer(compression())
        .layer(from_fn_with_state(Files::default(), serve))
        .layer(map_request(accept_uncompressed))
}

async fn serve(State(files): State<Files>, mut request: Request, next: Next) -> Response {
    const GZIP: HeaderValue = HeaderValue::from_static("gzip");
    if request.method() != Method::GET {
        return next.run(request).await;
    }
    let file = (request.uri().path().to_owned(), accepts_gzip(&request));
    // Locked while a file is compressed, so that no two calls compress it.
    let mut files = files.lock().await;
    if let Some((parts, content)) = files.get(&file) {
        return Response::from_parts(parts.clone(), Body::from(content.clone()));
    }
    request.headers_mut().remove(ACCEPT_ENCODING);
    if file.1 {
        request.headers_mut().insert(ACCEPT_ENCODING, GZIP);
    }
    let (parts, body) = next.run(request).await.into_parts();
    // Only files exist at few paths. A redirect has no content.
    if parts.status != StatusCode::OK || !parts.headers.contains_key(CONTENT_TYPE) {
        return Response::from_parts(parts, body);
    }
    match to_bytes(body, usize::MAX).await {
        Ok(content) => {
            files.insert(file, (parts.clone(), content.clone()));
            Response::from_parts(parts, Body::from(content))
        }
        Err(error) => {
            tracing::error!(%error, "file not read");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

fn accepts_gzip(request: &Request) -> bool {
    weighted(request.headers(), &ACCEPT_ENCODING).any(|(encoding, _)| encoding.eq_ignore_ascii_case("gzip"))
}
