//! The plain HTTP face: probes, and errors as JSON.

mod error;

use axum::Router;
use axum::extract::{OriginalUri, State};
use axum::routing::get;
use http::{Method, StatusCode};
use tokio::sync::watch;

pub use error::finish;

use crate::domain::excerpt;
use crate::error::Error;
use crate::server::Readiness;

/// The paths that need no API key: whether the process lives, and whether it can serve.
pub fn probes(readiness: watch::Receiver<Readiness>) -> Router {
    Router::new().route("/livez", get("ok")).route("/readyz", get(readyz)).with_state(readiness)
}

async fn readyz(State(readiness): State<watch::Receiver<Readiness>>) -> (StatusCode, &'static str) {
    match *readiness.borrow() {
        Readiness::Ready => (StatusCode::OK, "ok"),
        Readiness::DatabaseAway => (StatusCode::SERVICE_UNAVAILABLE, "the database is away"),
        Readiness::Draining => (StatusCode::SERVICE_UNAVAILABLE, "the service is stopping"),
    }
}

/// What is answered where there is no route.
pub async fn unknown(method: Method, OriginalUri(uri): OriginalUri) -> Error {
    Error::RouteUnknown(format!("{method} {}", excerpt(uri.path())))
}
