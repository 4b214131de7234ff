//! The metrics, on a listener of their own: it is served by the main thread, so that it answers also when those that
//! serve calls have too many.

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

use super::scrape::Scrape;
use crate::error::Cause;

/// The most connections at once; more are closed.
const MAX_CONNECTIONS: usize = 16;

/// The most time for a request and its answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long nothing is accepted after that failed, as when too many files are open.
const PAUSE: Duration = Duration::from_millis(50);

/// The listener, bound to its address.
#[derive(Debug)]
pub(super) struct Admin {
    listener: TcpListener,
    address: SocketAddr,
}

impl Admin {
    /// Binds to an address.
    ///
    /// # Errors
    ///
    /// That the address cannot be bound.
    pub(super) async fn bind(listen: SocketAddr) -> Result<Self, Cause> {
        let listener = TcpListener::bind(listen).await.map_err(|error| {
            format!(
                "cannot listen on {listen} for metrics: {error}; set ADMIN_LISTEN to a free address, or to nothing for \
                 no metrics"
            )
        })?;
        Ok(Self { address: listener.local_addr()?, listener })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers for ever, on a connection for each request and a few at once: who is here needs no key, and may not take
    /// from callers what they need.
    pub(super) async fn serve(self, scrape: Scrape) {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(scrape));
        let router = Router::new().route("/metrics", get(metrics)).with_state(Arc::new(registry));
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        loop {
            let accepted = self.listener.accept().await;
            match (accepted, places.clone().try_acquire_owned()) {
                (Ok((stream, _)), Ok(place)) => {
                    let service = TowerToHyperService::new(router.clone());
                    let served = http1::Builder::new()
                        .keep_alive(false)
                        .serve_connection(TokioIo::new(stream), service);
                    tokio::spawn(async move {
                        if let Ok(Err(error)) = timeout(PATIENCE, served).await {
                            tracing::debug!(%error, "a connection for metrics broke");
                        }
                        drop(place);
                    });
                }
                (Ok(_), Err(_full)) => {}
                (Err(error), _) => {
                    tracing::error!(%error, "a connection for metrics was not accepted");
                    sleep(PAUSE).await;
                }
            }
        }
    }
}

/// In the format of OpenMetrics for those who ask for it, and otherwise in that of Prometheus.
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
        tracing::error!(%error, "the metrics cannot be written");
        StatusCode::INTERNAL_SERVER_ERROR
    })
}
