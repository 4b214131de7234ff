//! The metrics server. It has its own listener, on the main thread, so that it answers while the workers are overloaded.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::routing::get;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use prometheus_client::encoding::{prometheus_text, text};
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::exporter::MetricsExporter;
use crate::error::BoxError;
use crate::telemetry::LogLimit;

/// The maximum of open connections; more are closed.
const MAX_CONNECTIONS: usize = 16;

/// The time limit of a request with its response.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The pause after a failed accept, for example when too many files are open.
const PAUSE: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub(crate) struct MetricsServer {
    listener: TcpListener,
    address: SocketAddr,
}

impl MetricsServer {
    /// Binds to the first of the addresses that is free.
    pub(crate) async fn bind(listen: &[SocketAddr]) -> Result<Self, BoxError> {
        let listener = TcpListener::bind(listen).await.map_err(|error| {
            let listen: Vec<String> = listen.iter().map(ToString::to_string).collect();
            format!(
                "cannot listen on {} for metrics: {error}; set ADMIN_LISTEN to a free address, or leave it empty \
                 for no metrics",
                listen.join(", ")
            )
        })?;
        Ok(Self { address: listener.local_addr()?, listener })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until the task is aborted. Requests need no key, so a small connection limit, with one request for each
    /// connection, protects the resources of callers.
    pub(crate) async fn serve(self, exporter: MetricsExporter) {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(exporter));
        let router = Router::new().route("/metrics", get(metrics)).with_state(Arc::new(registry));
        let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let mut limit = LogLimit::default();
        loop {
            let accepted = self.listener.accept().await;
            match (accepted, permits.clone().try_acquire_owned()) {
                (Ok((stream, _)), Ok(permit)) => {
                    let service = TowerToHyperService::new(router.clone());
                    let served = http1::Builder::new()
                        .keep_alive(false)
                        .serve_connection(TokioIo::new(stream), service);
                    tokio::spawn(async move {
                        if let Ok(Err(error)) = timeout(TIMEOUT, served).await {
                            tracing::debug!(%error, "metrics connection failed");
                        }
                        drop(permit);
                    });
                }
                (Ok(_), Err(_full)) => {}
                (Err(error), _) => {
                    if limit.permits() {
                        tracing::error!(%error, "metrics connections not accepted");
                    }
                    sleep(PAUSE).await;
                }
            }
        }
    }
}

/// Writes the OpenMetrics format if the request accepts it, and otherwise that of Prometheus.
async fn metrics(State(registry): State<Arc<Registry>>, headers: HeaderMap) -> impl IntoResponse {
    const OPEN_METRICS: &str = "application/openmetrics-text";
    let mut accepted = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut body = String::new();
    let (content_type, written) = if accepted.any(|value| value.contains(OPEN_METRICS)) {
        ("application/openmetrics-text; version=1.0.0; charset=utf-8", text::encode(&mut body, &registry))
    } else {
        (prometheus_text::CONTENT_TYPE, prometheus_text::encode(&mut body, &registry))
    };
    written.map(|()| ([(CONTENT_TYPE, content_type)], body)).map_err(|error| {
        tracing::error!(%error, "metrics not written");
        StatusCode::INTERNAL_SERVER_ERROR
    })
}
