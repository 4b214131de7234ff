//! The readiness of the server, by a probe of the database at short intervals, and the HTTP probes.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use http::StatusCode;
use tokio::time::sleep;

use crate::admission::Admission;
use crate::observe::{Readiness, Status};
use crate::store::{PROBE_INTERVAL, PROBE_TIMEOUT};

/// The pause after a failed probe. Shorter, because callers wait for the recovery.
const RETRY_INTERVAL: Duration = Duration::from_millis(100);

/// The paths of [`Health::probes`].
const LIVEZ: &str = "/livez";
const READYZ: &str = "/readyz";

#[derive(Debug, Clone, Default)]
pub(crate) struct Health {
    readiness: Readiness,
}

impl Health {
    pub(crate) fn readiness(&self) -> &Readiness {
        &self.readiness
    }

    /// Returns the routes of liveness and readiness, and their paths.
    pub(super) fn probes(&self) -> (Router, Vec<String>) {
        let routes = Router::new().route(LIVEZ, get("ok\n")).route(READYZ, get(readyz));
        (routes.with_state(self.readiness.clone()), [LIVEZ, READYZ].map(str::to_owned).to_vec())
    }

    pub(crate) async fn watch(self, admission: Arc<Admission>) {
        loop {
            let pause = match self.readiness.status() {
                Status::DatabaseUnavailable => RETRY_INTERVAL,
                Status::Ready | Status::Draining => PROBE_INTERVAL,
            };
            sleep(pause).await;
            self.probe(&admission).await;
        }
    }

    /// Probes the database by reading the API keys. A revoked key is refused within two timeouts and an interval: less
    /// than two seconds, as documented.
    pub(crate) async fn probe(&self, admission: &Admission) {
        let failure = match admission.refresh_keys(PROBE_TIMEOUT).await {
            Ok(()) => None,
            Err(error) => Some(error.cause().unwrap_or_else(|| error.to_string())),
        };
        let status = if failure.is_none() { Status::Ready } else { Status::DatabaseUnavailable };
        self.readiness.set_database_up(failure.is_none());
        if self.readiness.set(status) {
            match failure {
                None => tracing::info!("database available"),
                Some(cause) => tracing::warn!(cause, "database unavailable"),
            }
        }
    }

    /// Reports that the server is stopping. This also ends all watch streams.
    pub(crate) fn drain(&self) {
        self.readiness.set(Status::Draining);
    }
}

async fn readyz(State(readiness): State<Readiness>) -> (StatusCode, &'static str) {
    match readiness.status() {
        Status::Ready => (StatusCode::OK, "ok\n"),
        Status::DatabaseUnavailable => (StatusCode::SERVICE_UNAVAILABLE, "the database is unavailable\n"),
        Status::Draining => (StatusCode::SERVICE_UNAVAILABLE, "the service is stopping\n"),
    }
}
