//! The server: one listener for both protocols, and the worker threads that serve its connections.

mod activity;
mod address_limiter;
mod caller_stream;
mod connection;
mod preface;
mod request_body;
mod response_body;
mod throttle;
mod tls;
mod worker;
mod write_progress;

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use sd_notify::NotifyState;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;

pub use tls::{Tls, TlsFiles};

use crate::admission::{Admission, Limits, PublicLimits};
use crate::auth::KeyCache;
use crate::error::{BoxError, Error};
use crate::observe::{AllCallMetrics, MetricsExporter, MetricsServer, Refusals};
use crate::router::{Health, Origins, SharedRoutes};
use crate::store::Store;
use crate::telemetry::LogLimit;
use address_limiter::AddressLimiter;
use worker::Worker;

/// The settings of the server.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// The address to listen on; port 0 selects a free one.
    pub listen: SocketAddr,
    /// TLS for its connections; `None` leaves them unencrypted.
    pub tls: Option<Tls>,
    /// The address of the metrics server; port 0 selects a free one.
    pub admin: Option<SocketAddr>,
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

/// The connections that wait to be accepted; the system reduces it to its own limit (`net.core.somaxconn`). Any more are
/// dropped, and their clients wait a second and longer before they try again.
const BACKLOG: u32 = 65_535;

/// The longest time for what is written after the last call.
const LAST_WRITE: Duration = Duration::from_secs(2);

/// The server, bound to its address.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
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
        let listener = listen_on(listen)
            .map_err(|error| format!("cannot listen on {listen}: {error}; set LISTEN to a free address"))?;
        let address = listener.local_addr()?;
        let (timeouts, limits) = (options.timeouts, options.limits);
        let admission = Arc::new(Admission::new(&limits, timeouts.request, keys, options.is_audit_required));
        let kept = store.clone();
        let (health, refusals) = (Health::new().await, Arc::new(Refusals::default()));
        let (origins, refused) = (options.origins, refusals.clone());
        let (shared, endpoints) = SharedRoutes::new(
            admission.clone(),
            &health,
            origins,
            limits.request_bytes,
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
                Some((MetricsServer::bind(listen).await?, exporter))
            }
            None => None,
        };
        Ok(Self {
            listener,
            address,
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

    /// Returns the address of the listener.
    pub fn address(&self) -> SocketAddr {
        self.address
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
        tracing::info!(address = %self.address, "serving");
        notify(NotifyState::Ready);

        tokio::select! {
            () = self.accept(stop) => {}
            () = self.refusals.log() => {}
            () = self.watch_certificates() => {}
            () = self.run_maintenance() => {}
        }
        probes.abort();
        // No probe may report a status after the drain has begun.
        drop(probes.await);
        self.health.clone().drain().await;
        self.accept(tokio::time::sleep(LAST_CALL)).await;
        if let Err(error) = self.accept_waiting() {
            tracing::error!(%error, "last connections not accepted");
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
        if self.tls.is_none() && !self.address.ip().to_canonical().is_loopback() {
            tracing::warn!(
                address = %self.address,
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

    async fn watch_certificates(&self) {
        match &self.tls {
            Some(tls) => tls.clone().watch().await,
            None => std::future::pending().await,
        }
    }

    async fn accept(&self, stop: impl Future<Output = ()>) {
        let (mut stop, mut limit) = (std::pin::pin!(stop), LogLimit::default());
        loop {
            let accepted = tokio::select! {
                () = &mut stop => return,
                accepted = self.listener.accept() => accepted,
            };
            let handed_over = accepted.and_then(|(stream, address)| self.hand_over(stream, address));
            if let Err(error) = handed_over {
                // For example too many open files: other connections must close first.
                if limit.permits() {
                    tracing::error!(%error, "connections not accepted");
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }

    /// Accepts the connections in the backlog, which the system would reset when the listener closes. Calls `accept`
    /// directly, because the runtime may not have been notified of the last ones yet.
    fn accept_waiting(&self) -> io::Result<()> {
        let listener = std::net::TcpListener::from(self.listener.as_fd().try_clone_to_owned()?);
        loop {
            match listener.accept() {
                Ok((stream, address)) => {
                    stream.set_nonblocking(true)?;
                    self.hand_over(TcpStream::from_std(stream)?, address)?;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// Hands a connection to the worker with the fewest connections. Closes it if too many are open, in all or from its
    /// address.
    fn hand_over(&self, stream: TcpStream, address: SocketAddr) -> io::Result<()> {
        let loads = || self.workers.iter().filter_map(|worker| Some((worker.load()?, worker)));
        let open: usize = loads().map(|(load, _)| load).sum();
        let permit =
            if open < self.max_connections.get() { self.addresses.permit(address.ip()) } else { None };
        let Some(permit) = permit else {
            self.refusals.count_connection();
            return Ok(());
        };
        let least = loads().min_by_key(|(load, _)| *load);
        let (_, worker) = least.ok_or_else(|| io::Error::other("no worker thread is left"))?;
        worker.take(stream, permit)
    }
}

fn listen_on(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // Else a restart would wait for the closed connections of the last run.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
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
