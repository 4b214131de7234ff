//! Whether the service can serve: asked of the database again and again, told to whoever watches.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use http::StatusCode;
use tokio::sync::watch;
use tokio::time::sleep;
use tonic::server::NamedService;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};

use crate::auth::KeyRing;
use crate::grpc;

/// How long after an answer the database is asked again, and how long it may take to answer. A key that is
/// revoked just after one question was asked is refused when the next is answered or given up: after two
/// answers and a pause at the most, less than the two seconds that are promised.
const PERIOD: Duration = Duration::from_millis(500);
const PATIENCE: Duration = Duration::from_millis(700);

/// How long after it did not answer the database is asked again. Callers wait for that.
const RETRY: Duration = Duration::from_millis(100);

/// The services whose health is told: `""` is the server as a whole.
const SERVICES: [&str; 2] = ["", <grpc::Server as NamedService>::NAME];

/// Whether calls can be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Readiness {
    /// They can.
    Ready,
    /// They cannot, until the database is back.
    DatabaseAway,
    /// Not any more: the server is stopping.
    Draining,
}

/// Who tells whether calls can be served.
#[derive(Debug, Clone)]
pub(super) struct Health {
    reporter: HealthReporter,
    readiness: watch::Sender<Readiness>,
    /// Whether the database answered when it was last asked, also while the server stops.
    database_answers: Arc<AtomicBool>,
}

impl Health {
    /// Not ready yet.
    pub(super) async fn new() -> Self {
        let (reporter, _) = tonic_health::server::health_reporter();
        let readiness = watch::Sender::new(Readiness::DatabaseAway);
        let health = Self { reporter, readiness, database_answers: Arc::default() };
        health.tell(ServingStatus::NotServing).await;
        health
    }

    /// Whether calls can be served.
    pub(super) fn is_ready(&self) -> bool {
        *self.readiness.borrow() == Readiness::Ready
    }

    /// Whether the database answered when it was last asked.
    pub(super) fn database_answers(&self) -> bool {
        self.database_answers.load(Ordering::Relaxed)
    }

    /// The RPC service that tells.
    pub(super) fn rpc(&self) -> HealthServer<HealthService> {
        HealthServer::new(HealthService::from_health_reporter(self.reporter.clone()))
    }

    /// The paths that need no API key: whether the process lives, and whether it can serve.
    pub(super) fn probes(&self) -> Router {
        let readiness = self.readiness.subscribe();
        Router::new().route("/livez", get("ok\n")).route("/readyz", get(readyz)).with_state(readiness)
    }

    /// Asks the database for ever.
    pub(super) async fn watch(self, keys: Arc<KeyRing>) {
        loop {
            let pause = match *self.readiness.borrow() {
                Readiness::DatabaseAway => RETRY,
                Readiness::Ready | Readiness::Draining => PERIOD,
            };
            sleep(pause).await;
            self.beat(&keys).await;
        }
    }

    /// Asks the database once, for the keys: a question that must be asked anyway.
    pub(super) async fn beat(&self, keys: &KeyRing) {
        let trouble = match keys.refresh(PATIENCE).await {
            Ok(()) => None,
            Err(error) => Some(error.record().cause.unwrap_or_else(|| error.to_string())),
        };
        let (readiness, status) = match trouble {
            None => (Readiness::Ready, ServingStatus::Serving),
            Some(_) => (Readiness::DatabaseAway, ServingStatus::NotServing),
        };
        self.database_answers.store(trouble.is_none(), Ordering::Relaxed);
        if trouble.is_some() {
            keys.forget();
        }
        if self.readiness.send_replace(readiness) != readiness {
            self.tell(status).await;
            match trouble {
                None => tracing::info!("the database answers"),
                Some(cause) => tracing::warn!(cause, "the database is away"),
            }
        }
    }

    /// Tells everyone that the server is stopping, and ends the streams of those who watch.
    pub(super) async fn drain(mut self) {
        self.readiness.send_replace(Readiness::Draining);
        self.tell(ServingStatus::NotServing).await;
        for service in SERVICES {
            self.reporter.clear_service_status(service).await;
        }
    }

    async fn tell(&self, status: ServingStatus) {
        for service in SERVICES {
            self.reporter.set_service_status(service, status).await;
        }
    }
}

async fn readyz(State(readiness): State<watch::Receiver<Readiness>>) -> (StatusCode, &'static str) {
    match *readiness.borrow() {
        Readiness::Ready => (StatusCode::OK, "ok\n"),
        Readiness::DatabaseAway => (StatusCode::SERVICE_UNAVAILABLE, "the database is away\n"),
        Readiness::Draining => (StatusCode::SERVICE_UNAVAILABLE, "the service is stopping\n"),
    }
}
