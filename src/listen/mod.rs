//! The server: one listener for both protocols, and the worker threads that serve its connections.

mod activity;
mod address_limiter;
mod caller_stream;
mod connection;
mod listener;
mod preface;
mod request_body;
mod response_body;
mod throttle;
mod tls;
mod worker;
mod write_progress;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use sd_notify::NotifyState;
use tokio::time::timeout;

pub use listener::ListenAddress;
pub use tls::{Tls, TlsFiles};

use crate::admission::{Admission, Limits, PublicLimits};
use crate::auth::KeyCache;
use crate::error::{BoxError, Error};
use crate::observe::{AllCallMetrics, MetricsExporter, MetricsServer, Refusals};
use crate::router::{Health, Origins, SharedRoutes};
use crate::store::Store;
use crate::telemetry::LogLimit;
use address_limiter::AddressLimiter;
use listener::{Arrival, Listener, ListeningSocket};
use worker::Worker;

/// The settings of the server.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// Where to listen.
    pub listen: ListenAddress,
    /// TLS for its connections; `None` leaves them unencrypted.
    pub tls: Option<Tls>,
    /// The addresses of the metrics server, which listens on the first free one; port 0 selects a free port.
    pub admin: Option<Vec<SocketAddr>>,
    /// Whether the database is the private one; the metrics show it.
    pub is_embedded: bool,
    /// The number of threads that serve connections.
    pub workers: NonZeroUsize,
    /// Time limits.
    pub timeouts: Timeouts,
    /// Limits of size, number and rate.
    pub limits: Limits,
    /// The origins whose pages may call the server.
    pub origins: Option<Origins>,
    /// Whether no change may be made while lines of the log, and so of the audit log, are lost.
    pub is_audit_required: bool,
}

/// The time limits of the server.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// For the TLS handshake, for the first request of a connection, and for the headers of a request.
    pub header: Duration,
    /// For one call; its `grpc-timeout` may be shorter. Also for a response whose caller does not read.
    pub request: Duration,
    /// For a connection without a call, until it is closed.
    pub idle: Duration,
    /// For a connection, until it takes no more calls; varied by 10 % up or down.
    pub age: Duration,
    /// For the calls in progress when the server stops.
    pub drain: Duration,
}

/// The grace period at shutdown. The server still accepts connections for this time. After that, the last connections
/// have the same time to send their first request.
const LAST_CALL: Duration = Duration::from_millis(200);

/// The longest time for what is written after the last call.
const LAST_WRITE: Duration = Duration::from_secs(2);

/// The server, bound to its address.
#[derive(Debug)]
pub struct Server {
    listener: Listener,
    tls: Option<Tls>,
    drain: Duration,
    max_connections: NonZeroUsize,
    addresses: AddressLimiter,
    refusals: Arc<Refusals>,
    workers: Vec<Worker>,
    health: Health,
    admission: Arc<Admission>,
    store: Store,
    metrics: Option<(MetricsServer, MetricsExporter)>,
}

impl Server {
    /// Binds to an address. Nothing is served before [`Server::run`]. Fails if an address is in use or a thread cannot
    /// be started.
    pub async fn bind(options: ServerOptions, store: Store, keys: KeyCache) -> Result<Self, BoxError> {
        let listen = options.listen;
        let listener = Listener::bind(&listen)
            .map_err(|error| format!("cannot listen on {listen}: {error}; set LISTEN to a free address"))?;
        let (timeouts, limits) = (options.timeouts, options.limits);
        let admission = Arc::new(Admission::new(&limits, timeouts.request, keys, options.is_audit_required));
        let kept = store.clone();
        let (health, refusals) = (Health::default(), Arc::new(Refusals::default()));
        let (origins, refused) = (options.origins, refusals.clone());
        let (shared, endpoints) = SharedRoutes::new(
            admission.clone(),
            &health,
            origins,
            &limits,
            PublicLimits::new(timeouts.request, timeouts.age),
            options.tls.is_some(),
            refused,
        )?;
        let (mut workers, mut calls) = (Vec::new(), AllCallMetrics::new(endpoints));
        for _ in 0..options.workers.get() {
            let (shared, store, metrics) = (shared.clone(), store.clone(), calls.add());
            let router = move || Ok(shared.over(store.for_this_thread()?, metrics));
            workers.push(Worker::start(router, timeouts, &limits, options.tls.clone()).await?);
        }
        let metrics = match options.admin {
            Some(listen) => {
                let (refusals, readiness) = (refusals.clone(), health.readiness().clone());
                let is_embedded = options.is_embedded;
                let certificate_end = options.tls.as_ref().map(Tls::not_after);
                let exporter =
                    MetricsExporter { calls, refusals, readiness, store, is_embedded, certificate_end };
                Some((MetricsServer::bind(&listen).await?, exporter))
            }
            None => None,
        };
        Ok(Self {
            listener,
            tls: options.tls,
            drain: timeouts.drain,
            max_connections: limits.connections,
            addresses: AddressLimiter::new(limits.connections_per_address),
            refusals,
            workers,
            health,
            admission,
            store: kept,
            metrics,
        })
    }

    /// Returns the address of the listener, with the selected port.
    pub fn address(&self) -> &ListenAddress {
        self.listener.address()
    }

    /// Returns the address of the metrics server.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.metrics.as_ref().map(|(server, _)| server.address())
    }

    /// Serves until `stop` is done. Then reports that it is stopping, closes the listener, and waits for the calls in
    /// progress, at most for the drain timeout.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        // Also during the drain.
        let _metrics = self.metrics.take().map(|(server, exporter)| {
            tracing::info!(address = %server.address(), "serving metrics");
            scopeguard::guard(tokio::spawn(server.serve(exporter)), |server| server.abort())
        });
        self.health.probe(&self.admission).await;
        let probes = tokio::spawn(self.health.clone().watch(self.admission.clone()));
        self.warn_if_unencrypted();
        tracing::info!(address = %self.address(), "serving");
        notify(NotifyState::Ready);

        tokio::select! {
            () = self.accept(stop) => {}
            () = self.refusals.log() => {}
            () = self.watch_certificates() => {}
            () = self.run_maintenance() => {}
            () = self.prepare_name_search() => {}
        }
        probes.abort();
        // No probe may report a status after the drain has begun.
        drop(probes.await);
        self.health.drain();
        self.accept(tokio::time::sleep(LAST_CALL)).await;
        for socket in self.listener.sockets() {
            // The system would reset the connections that wait when the socket closes.
            if let Err(error) = self.accept_waiting(socket) {
                tracing::error!(%error, "last connections not accepted");
            }
        }
        drop(self.listener);
        tracing::info!("stopping");
        notify(NotifyState::Stopping);
        let drained = join_all(self.workers.into_iter().map(Worker::drain)).await;
        let recorded = timeout(LAST_WRITE, self.admission.record_key_use()).await;
        log_failure("the last use of API keys is not recorded", recorded.unwrap_or(Err(Error::Timeout)));
        if !drained.iter().all(|(in_time, _)| *in_time) {
            tracing::warn!(seconds = self.drain.as_secs(), "calls aborted: drain timeout exceeded");
        }
    }

    fn warn_if_unencrypted(&self) {
        let is_local = match self.address() {
            ListenAddress::Tcp(first, others) => {
                [first].into_iter().chain(others).all(|address| address.ip().to_canonical().is_loopback())
            }
            ListenAddress::Unix(_) => true,
        };
        if self.tls.is_none() && !is_local {
            tracing::warn!(
                address = %self.address(),
                "connections are not encrypted; set TLS_CERT and TLS_KEY, or use a proxy that terminates TLS"
            );
        }
    }

    /// Removes expired records and records the use of API keys, at once and then every minute.
    async fn run_maintenance(&self) {
        const INTERVAL: Duration = Duration::from_mins(1);
        loop {
            let removed = self.store.remove_expired_records().await;
            log_failure("expired idempotency records are not removed", removed);
            log_failure("the use of API keys is not recorded", self.admission.record_key_use().await);
            tokio::time::sleep(INTERVAL).await;
        }
    }

    /// Tries until it succeeds. Does not return.
    async fn prepare_name_search(&self) {
        const INTERVAL: Duration = Duration::from_mins(1);
        while let Err(error) = self.store.prepare_name_search().await {
            tracing::warn!(
                %error,
                "search by name is not prepared; until it is, searches ignore only case; another attempt follows"
            );
            tokio::time::sleep(INTERVAL).await;
        }
        std::future::pending::<()>().await;
    }

    async fn watch_certificates(&self) {
        match &self.tls {
            Some(tls) => tls.clone().watch().await,
            None => std::future::pending().await,
        }
    }

    async fn accept(&self, stop: impl Future<Output = ()>) {
        let accepting = join_all(self.listener.sockets().iter().map(|socket| self.accept_from(socket)));
        tokio::select! {
            () = stop => {}
            _ = accepting => {}
        }
    }

    async fn accept_from(&self, socket: &ListeningSocket) -> Infallible {
        let mut limit = LogLimit::default();
        loop {
            let accepted = socket.accept().await.and_then(|arrival| self.hand_over(arrival));
            if let Err(error) = accepted.and_then(|()| self.accept_waiting(socket)) {
                // For example too many open files: other connections must close first.
                if limit.permits() {
                    tracing::error!(%error, "connections not accepted");
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Accepts the connections that already wait: all at the default `net.core.somaxconn`, yet never so many that the
    /// other tasks of this thread are delayed.
    fn accept_waiting(&self, socket: &ListeningSocket) -> io::Result<()> {
        const BATCH: usize = 4096;
        for _ in 0..BATCH {
            match socket.accept_waiting()? {
                Some(arrival) => self.hand_over(arrival)?,
                None => break,
            }
        }
        Ok(())
    }

    /// Hands a connection to the worker with the fewest connections. Closes it if too many are open, in all or from its
    /// address.
    fn hand_over(&self, arrival: Arrival) -> io::Result<()> {
        let loads = || self.workers.iter().filter_map(|worker| Some((worker.load()?, worker)));
        let open: usize = loads().map(|(load, _)| load).sum();
        let permit =
            if open < self.max_connections.get() { self.addresses.permit(arrival.address()) } else { None };
        let Some(permit) = permit else {
            self.refusals.count_connection();
            return Ok(());
        };
        let least = loads().min_by_key(|(load, _)| *load);
        let (_, worker) = least.ok_or_else(|| io::Error::other("no worker thread is left"))?;
        worker.take(arrival, permit)
    }
}

fn log_failure(what: &str, done: Result<(), Error>) {
    if let Err(error) = done {
        tracing::warn!(cause = error.cause().unwrap_or_else(|| error.to_string()), "{what}");
    }
}

/// Tells the service manager, as systemd's `Type=notify` requires; without one it does nothing.
fn notify(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "the service manager cannot be notified; see NOTIFY_SOCKET");
    }
}
