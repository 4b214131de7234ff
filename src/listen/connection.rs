//! The connections of a worker thread.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::time::{interval, sleep, timeout};

use super::body::RequestBody;
use super::preface::await_preface;
use super::throttle::{ConnectionThrottle, Throttle, ThrottledStream};
use super::tls::{self, Tls};
use super::worker::Arrival;
use super::{LAST_CALL, Timeouts};
use crate::admission::Limits;
use crate::api::{CallState, Refusal};
use crate::router::{Origin, Router};

/// The settings of all connections, and their throttle.
pub(super) struct Connections {
    protocol: auto::Builder<TokioExecutor>,
    timeouts: Timeouts,
    tls: Option<Tls>,
    throttle: Throttle,
}

struct Connection {
    address: IpAddr,
    throttle: Arc<ConnectionThrottle>,
    router: Arc<Router>,
}

impl Connections {
    /// HTTP/1.1 and HTTP/2, detected by the first bytes, and over TLS by ALPN.
    pub(super) fn new(timeouts: Timeouts, limits: &Limits, tls: Option<Tls>) -> Self {
        /// The interval of pings on a silent HTTP/2 connection, and their timeout.
        const KEEP_ALIVE: Duration = Duration::from_secs(30);

        let mut protocol = auto::Builder::new(TokioExecutor::new());
        protocol
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(timeouts.header)
            .max_buf_size(limits.header_bytes as usize);
        protocol
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE)
            .max_concurrent_streams(limits.streams.get())
            .max_header_list_size(limits.header_bytes);
        Self { protocol, timeouts, tls, throttle: Throttle::default() }
    }

    /// Serves until no more connections arrive. Returns whether all calls ended within the drain timeout.
    pub(super) async fn serve_all(
        self,
        mut arriving: mpsc::UnboundedReceiver<Arrival>,
        router: Arc<Router>,
    ) -> bool {
        let (connections, drain) = (GracefulShutdown::new(), watch::Sender::new(()));
        let early_timer = tokio::spawn(keep_early_timer());
        while let Some((stream, open)) = arriving.recv().await {
            match TcpStream::from_std(stream) {
                Ok(stream) => {
                    self.serve(stream, open, router.clone(), connections.watcher(), drain.subscribe());
                }
                Err(error) => tracing::error!(%error, "connection not accepted"),
            }
        }
        sleep(LAST_CALL).await;
        drop(drain);
        let in_time = timeout(self.timeouts.drain, connections.shutdown()).await.is_ok();
        early_timer.abort();
        in_time
    }

    fn serve(
        &self,
        stream: TcpStream,
        open: Arc<()>,
        router: Arc<Router>,
        watcher: Watcher,
        drain: watch::Receiver<()>,
    ) {
        // A caller without an address has disconnected.
        let Ok(address) = stream.peer_addr() else { return };
        if let Err(error) = configure(&stream, self.timeouts.request) {
            tracing::debug!(%error, "connection keeps its default options");
        }
        let (protocol, timeout) = (self.protocol.clone(), self.timeouts.header);
        let throttle = Arc::new(ConnectionThrottle::new(self.throttle.clone()));
        let connection = Arc::new(Connection { address: address.ip(), throttle, router });
        let acceptor = self.tls.as_ref().map(Tls::acceptor);
        tokio::spawn(async move {
            if let Some(acceptor) = acceptor {
                // Boxed, so that a connection without TLS uses no memory for it.
                let accepted = Box::pin(in_time(tls::accept(acceptor, stream), timeout, drain)).await;
                if let Some((is_http2, stream)) = accepted {
                    let protocol = if is_http2 { protocol.http2_only() } else { protocol.http1_only() };
                    Box::pin(connection.serve(&protocol, stream, watcher)).await;
                }
            } else if in_time(await_preface(&stream), timeout, drain).await.is_some() {
                connection.serve(&protocol, stream, watcher).await;
            }
            drop(open);
        });
    }
}

impl Connection {
    async fn serve(
        self: Arc<Self>,
        protocol: &auto::Builder<TokioExecutor>,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        watcher: Watcher,
    ) {
        let stream = TokioIo::new(ThrottledStream::new(stream, self.throttle.clone()));
        // HTTP/2 moves each call into a task of its own. A box makes the move cheap.
        let service = service_fn(move |request| Box::pin(self.clone().call(request)));
        let served = protocol.serve_connection(stream, service).into_owned();
        if let Err(error) = watcher.watch(served).await {
            tracing::debug!(%error, "connection failed");
        }
    }

    async fn call(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, std::convert::Infallible> {
        let state = CallState::new(request.headers());
        let origin = Origin { address: self.address, state: state.clone() };
        let request = RequestBody::wrap(request, state.clone());
        let response = self.router.clone().serve(request, origin).await;
        if state.refusal() == Some(Refusal::Overload) {
            self.throttle.record_refusal();
        }
        Ok(response)
    }
}

/// Waits for the start of a connection, until the timeout or [`LAST_CALL`] has passed.
async fn in_time<T>(
    start: impl Future<Output = io::Result<T>>,
    time_limit: Duration,
    mut drain: watch::Receiver<()>,
) -> Option<T> {
    let started = tokio::select! {
        biased;
        started = timeout(time_limit, start) => started.unwrap_or_else(|elapsed| Err(elapsed.into())),
        _ = drain.changed() => Err(io::Error::other("the server is stopping")),
    };
    started.inspect_err(|error| tracing::debug!(%error, "connection closed before its first request")).ok()
}

/// Disables Nagle's algorithm, and closes a connection whose caller acknowledges nothing for `timeout` (`tcp(7)`).
fn configure(stream: &TcpStream, timeout: Duration) -> io::Result<()> {
    stream.set_nodelay(true)?;
    #[cfg(target_os = "linux")]
    socket2::SockRef::from(stream).set_tcp_user_timeout(Some(timeout))?;
    Ok(())
}

/// Keeps one timer that expires before those of calls: a new timer that expires before all others costs the runtime a
/// system call.
async fn keep_early_timer() {
    let mut ticks = interval(Duration::from_secs(1));
    loop {
        ticks.tick().await;
    }
}
