//! The connections of a worker thread.

use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, interval, sleep, timeout};
use tokio_util::either::Either;

use super::activity::{Activity, Expiry};
use super::caller_stream::CallerStream;
use super::listener::{Arrival, CallerSocket};
use super::preface::read_preface;
use super::request_body::RequestBody;
use super::response_body::ResponseBody;
use super::throttle::{RefusalRecord, Throttle};
use super::tls::Tls;
use super::worker::ConnectionPermit;
use super::write_progress::StreamExecutor;
use super::{LAST_CALL, Timeouts};
use crate::admission::Limits;
use crate::api::{CallState, Refusal};
use crate::router::{Origin, Router};

/// The settings of all connections, and their throttle.
pub(super) struct Connections {
    timeouts: Timeouts,
    limits: Limits,
    tls: Option<Tls>,
    throttle: Throttle,
}

struct Connection {
    address: IpAddr,
    activity: Arc<Activity>,
    refusals: RefusalRecord,
    router: Arc<Router>,
}

/// The end of the server, as its connections see it.
#[derive(Clone)]
struct Drain {
    /// Closed when the connections are to end.
    begun: watch::Receiver<()>,
    /// Closed when all connections have ended.
    _open: mpsc::Sender<Infallible>,
}

impl Connections {
    pub(super) fn new(timeouts: Timeouts, limits: Limits, tls: Option<Tls>) -> Self {
        Self { timeouts, limits, tls, throttle: Throttle::default() }
    }

    /// HTTP/1.1 and HTTP/2 on one connection.
    fn protocol(&self, connection: Arc<Activity>) -> auto::Builder<StreamExecutor> {
        /// The interval of pings on a silent HTTP/2 connection, and their timeout.
        const KEEP_ALIVE: Duration = Duration::from_secs(30);
        /// The bytes that a caller may send before its call reads them: the protocol's default (RFC 9113, section
        /// 6.9.2), not the library's.
        const STREAM_WINDOW: u32 = (1 << 16) - 1;
        /// The library answers larger headers without a gRPC status, so that it gets this multiple of the limit. The router
        /// checks the limit itself.
        const HEADER_MARGIN: u32 = 4;

        let mut protocol = auto::Builder::new(StreamExecutor { timeout: self.timeouts.request, connection });
        protocol
            .http1()
            .timer(TokioTimer::new())
            // The activity of the connection limits this time: the library's limit would also end idle connections.
            .header_read_timeout(None)
            .max_buf_size(self.limits.header_bytes as usize);
        protocol
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE)
            .initial_stream_window_size(STREAM_WINDOW)
            .max_concurrent_streams(self.limits.streams.get())
            .max_header_list_size(self.limits.header_bytes * HEADER_MARGIN);
        protocol
    }

    /// Serves until no more connections arrive. Returns whether all calls ended within the drain timeout.
    pub(super) async fn serve_all(
        self,
        mut arriving: mpsc::UnboundedReceiver<(Arrival, ConnectionPermit)>,
        router: Arc<Router>,
    ) -> bool {
        let (drain, begun) = watch::channel(());
        let (open, mut ended) = mpsc::channel(1);
        let draining = Drain { begun, _open: open };
        let early_timer = tokio::spawn(keep_early_timer());
        while let Some((arrival, permit)) = arriving.recv().await {
            let address = arrival.address();
            match arrival.into_stream() {
                Ok(stream) => self.serve(stream, address, permit, router.clone(), draining.clone()),
                Err(error) => tracing::error!(%error, "connection not accepted"),
            }
        }
        sleep(LAST_CALL).await;
        drop((drain, draining));
        let in_time = timeout(self.timeouts.drain, ended.recv()).await.is_ok();
        early_timer.abort();
        in_time
    }

    fn serve(
        &self,
        stream: CallerSocket,
        address: IpAddr,
        permit: ConnectionPermit,
        router: Arc<Router>,
        mut drain: Drain,
    ) {
        if let Err(error) = configure(&stream, self.timeouts.request) {
            tracing::debug!(%error, "connection keeps its default options");
        }
        let timeouts = self.timeouts;
        let activity = Arc::new(Activity::new(timeouts, Instant::now() + jittered(timeouts.age)));
        let protocol = self.protocol(activity.clone());
        let refusals = RefusalRecord::new(self.throttle.clone());
        let connection = Arc::new(Connection { address, activity, refusals, router });
        let acceptor = self.tls.as_ref().map(Tls::acceptor);
        tokio::spawn(async move {
            if let Some(acceptor) = acceptor {
                let accept = async {
                    let mut stream = acceptor.accept(stream).await?;
                    let preface = read_preface(&mut stream).await?;
                    Ok((stream, preface))
                };
                // Boxed, so that a connection without TLS uses no memory for it.
                if let Some((stream, preface)) = Box::pin(in_time(accept, timeouts.header, &mut drain)).await
                {
                    Box::pin(connection.serve(protocol, stream, preface, timeouts, drain)).await;
                }
            } else {
                let mut stream = stream;
                let preface = in_time(read_preface(&mut stream), timeouts.header, &mut drain).await;
                if let Some(preface) = preface {
                    connection.serve(protocol, stream, preface, timeouts, drain).await;
                }
            }
            drop(permit);
        });
    }
}

impl Connection {
    async fn serve(
        self: Arc<Self>,
        protocol: auto::Builder<StreamExecutor>,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        (is_http2, start): (bool, Vec<u8>),
        timeouts: Timeouts,
        mut drain: Drain,
    ) {
        let protocol = if is_http2 { protocol.http2_only() } else { protocol.http1_only() };
        let (activity, throttle) = (self.activity.clone(), self.refusals.throttle());
        let of_requests = (!is_http2).then(|| activity.clone());
        let stream = CallerStream::new(stream, start, throttle, of_requests, timeouts.request);
        // HTTP/2 moves each call into a task of its own. A box makes the move cheap.
        let service = service_fn(move |request| Box::pin(self.clone().call(request)));
        let mut served = pin!(protocol.serve_connection(TokioIo::new(stream), service));
        let mut finishing = None;
        loop {
            tokio::select! {
                biased;
                done = served.as_mut() => {
                    if let Err(error) = done {
                        tracing::debug!(%error, "connection failed");
                    }
                    return;
                }
                _ = drain.begun.changed(), if finishing.is_none() => {}
                expiry = activity.expired(finishing) => match expiry {
                    Expiry::Finish => {}
                    Expiry::Close => return,
                },
            }
            served.as_mut().graceful_shutdown();
            finishing = Some(Instant::now());
        }
    }

    async fn call(self: Arc<Self>, request: Request<Incoming>) -> Result<Response<ResponseBody>, Infallible> {
        let (call, version) = (self.activity.begin_call(), request.version());
        let state = CallState::new(request.headers());
        let origin = Origin { address: self.address, state: state.clone() };
        let request = RequestBody::wrap(request, state.clone());
        let response = self.router.clone().serve(request, origin).await;
        if state.refusal() == Some(Refusal::Overload) {
            self.refusals.add();
        }
        Ok(ResponseBody::wrap(response, version, call))
    }
}

/// Waits for the start of a connection, until the timeout or [`LAST_CALL`] has passed.
async fn in_time<T>(
    start: impl Future<Output = io::Result<T>>,
    time_limit: Duration,
    drain: &mut Drain,
) -> Option<T> {
    let started = tokio::select! {
        biased;
        started = timeout(time_limit, start) => started.unwrap_or_else(|elapsed| Err(elapsed.into())),
        _ = drain.begun.changed() => Err(io::Error::other("the server is stopping")),
    };
    started.inspect_err(|error| tracing::debug!(%error, "connection closed before its first request")).ok()
}

/// Varies a time by 10 % up or down, so that connections that were opened together are not closed together.
fn jittered(time: Duration) -> Duration {
    // Without random bits, the time itself is right, too.
    let part = getrandom::u32().map_or(0.5, |bits| f64::from(bits) / f64::from(u32::MAX));
    time.mul_f64(0.9 + 0.2 * part)
}

/// Disables Nagle's algorithm, and closes a connection whose caller acknowledges nothing for `timeout` (`tcp(7)`).
fn configure(stream: &CallerSocket, timeout: Duration) -> io::Result<()> {
    match stream {
        Either::Left(stream) => {
            stream.set_nodelay(true)?;
            #[cfg(target_os = "linux")]
            socket2::SockRef::from(stream).set_tcp_user_timeout(Some(timeout))?;
        }
        Either::Right(_unix) => {}
    }
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
