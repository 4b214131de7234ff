//! A thread with its share of the connections. What a read needs is there: its connection, its handler, and a
//! connection of the thread's own to PostgreSQL. So nothing waits for another thread to wake up, and what arrives
//! together is answered together.

use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::Builder;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{interval, sleep, timeout};

use super::faces::Faces;
use super::pace::{Hold, Pace, Paced};
use super::received::Connection;
use super::tls::{self, Protocol, Tls};
use super::{LAST_CALL, Limits, Timeouts};
use crate::error::Cause;

/// A connection, and what counts it as open.
type Arrival = (TcpStream, Arc<()>);

/// The way to a thread that serves connections.
#[derive(Debug)]
pub(super) struct Worker {
    arrivals: mpsc::UnboundedSender<Arrival>,
    /// Counts the open connections, by its clones.
    open: Arc<()>,
    drained: oneshot::Receiver<bool>,
    /// The thread ends when this is dropped.
    end: oneshot::Sender<()>,
}

impl Worker {
    /// Starts the thread. What it needs is made in its own runtime.
    ///
    /// # Errors
    ///
    /// That the system has no more threads or files, or what the faces end in.
    pub(super) async fn start(
        faces: impl FnOnce() -> Result<Faces, Cause> + Send + 'static,
        timeouts: Timeouts,
        limits: &Limits,
        tls: Option<Tls>,
    ) -> Result<Self, Cause> {
        let (arrivals, arriving) = mpsc::unbounded_channel();
        let ((started, starting), (done, drained)) = (oneshot::channel(), oneshot::channel());
        let (end, ended) = oneshot::channel::<()>();
        let connections = Connections::new(timeouts, limits, tls);
        let work = move || {
            let runtime = match Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return drop(started.send(Err(cannot_start(&error)))),
            };
            runtime.block_on(async move {
                let faces = match faces() {
                    Ok(faces) => Arc::new(faces),
                    Err(cause) => return drop(started.send(Err(cause))),
                };
                drop(started.send(Ok(())));
                let in_time = connections.serve_all(arriving, faces).await;
                // Nobody waits any more when the server is gone itself.
                let _gone = done.send(in_time);
                // The connections of the pool may be driven by this thread, while calls on others still use them.
                drop(ended.await);
            });
        };
        let thread = thread::Builder::new().name("worker".to_owned()).spawn(work);
        thread.map_err(|error| cannot_start(&error))?;
        starting.await??;
        Ok(Self { arrivals, open: Arc::new(()), drained, end })
    }

    /// How many connections it has; `None` when it can take none any more.
    pub(super) fn load(&self) -> Option<usize> {
        (!self.arrivals.is_closed()).then(|| Arc::strong_count(&self.open) - 1)
    }

    /// Takes a connection over.
    ///
    /// # Errors
    ///
    /// That the thread is gone.
    pub(super) fn take(&self, stream: tokio::net::TcpStream) -> io::Result<()> {
        let stream = stream.into_std()?;
        self.arrivals
            .send((stream, self.open.clone()))
            .map_err(|_| io::Error::other("the thread for it is gone"))
    }

    /// Takes no more connections, and waits until the open ones are done or the time for it is up. Answers
    /// whether they were done in time, and what keeps the thread.
    pub(super) async fn drain(self) -> (bool, oneshot::Sender<()>) {
        drop(self.arrivals);
        (self.drained.await.unwrap_or(false), self.end)
    }
}

fn cannot_start(error: &io::Error) -> Cause {
    format!("a thread that serves cannot be started: {error}; set WORKERS to a smaller number").into()
}

/// How connections are served.
struct Connections {
    protocol: auto::Builder<TokioExecutor>,
    timeouts: Timeouts,
    tls: Option<Tls>,
    pace: Pace,
}

impl Connections {
    /// HTTP/1.1 and HTTP/2: which of them is told by what comes first, over TLS by what was agreed on.
    fn new(timeouts: Timeouts, limits: &Limits, tls: Option<Tls>) -> Self {
        /// How often a silent HTTP/2 connection is asked whether it still lives, and how long it may take.
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
        Self { protocol, timeouts, tls, pace: Pace::default() }
    }

    /// Serves until no more connections come, and answers whether the open ones were done in time then.
    async fn serve_all(self, mut arriving: mpsc::UnboundedReceiver<Arrival>, faces: Arc<Faces>) -> bool {
        let (connections, drain) = (GracefulShutdown::new(), watch::Sender::new(()));
        let pulse = tokio::spawn(pulse());
        while let Some((stream, open)) = arriving.recv().await {
            match tokio::net::TcpStream::from_std(stream) {
                Ok(stream) => {
                    self.serve(stream, open, faces.clone(), connections.watcher(), drain.subscribe());
                }
                Err(error) => tracing::error!(%error, "a connection was not taken over"),
            }
        }
        sleep(LAST_CALL).await;
        drop(drain);
        let in_time = timeout(self.timeouts.drain, connections.shutdown()).await.is_ok();
        pulse.abort();
        in_time
    }

    fn serve(
        &self,
        stream: tokio::net::TcpStream,
        open: Arc<()>,
        faces: Arc<Faces>,
        watcher: Watcher,
        drain: watch::Receiver<()>,
    ) {
        // Nothing comes any more from a caller who has no address.
        let Ok(address) = stream.peer_addr() else { return };
        if let Err(error) = configure(&stream, self.timeouts.request) {
            tracing::debug!(%error, "a connection keeps its defaults");
        }
        let (protocol, patience) = (self.protocol.clone(), self.timeouts.header);
        let hold = Arc::new(Hold::new(self.pace.clone()));
        let connection = Arc::new(Connection { address: address.ip(), hold });
        // Two tasks, so that the one without TLS is no larger for it.
        match self.tls.as_ref().map(Tls::acceptor) {
            None => drop(tokio::spawn(async move {
                if in_time(begin(&stream), patience, drain).await.is_some() {
                    serve_connection(&protocol, stream, connection, faces, watcher).await;
                }
                drop(open);
            })),
            Some(acceptor) => drop(tokio::spawn(async move {
                let accepted = in_time(tls::accept(acceptor, stream), patience, drain).await;
                if let Some((agreed, stream)) = accepted {
                    let protocol = match agreed {
                        Protocol::Http1 => protocol.http1_only(),
                        Protocol::Http2 => protocol.http2_only(),
                    };
                    serve_connection(&protocol, stream, connection, faces, watcher).await;
                }
                drop(open);
            })),
        }
    }
}

async fn serve_connection(
    protocol: &auto::Builder<TokioExecutor>,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    connection: Arc<Connection>,
    faces: Arc<Faces>,
    watcher: Watcher,
) {
    // Each call of HTTP/2 is moved into a task of its own, which a box makes cheap.
    let stream = TokioIo::new(Paced::new(stream, connection.hold.clone()));
    let service = service_fn(move |request| Box::pin(faces.clone().call(request, connection.clone())));
    let served = protocol.serve_connection(stream, service).into_owned();
    if let Err(error) = watcher.watch(served).await {
        tracing::debug!(%error, "a connection broke");
    }
}

/// How a connection begins, unless that takes too long or the last call for it is over.
async fn in_time<T>(
    begun: impl Future<Output = io::Result<T>>,
    patience: Duration,
    mut drain: watch::Receiver<()>,
) -> Option<T> {
    let begun = tokio::select! {
        biased;
        begun = timeout(patience, begun) => begun.unwrap_or_else(|late| Err(late.into())),
        _ = drain.changed() => Err(io::Error::other("the server stops")),
    };
    begun
        .inspect_err(|error| tracing::debug!(%error, "a connection was closed before its first request"))
        .ok()
}

/// Sends what there is without delay, and closes a connection whose caller has taken none of it for so long (`tcp(7)`).
fn configure(stream: &tokio::net::TcpStream, patience: Duration) -> io::Result<()> {
    stream.set_nodelay(true)?;
    #[cfg(target_os = "linux")]
    socket2::SockRef::from(stream).set_tcp_user_timeout(Some(patience))?;
    Ok(())
}

/// What HTTP/2 begins with (RFC 9113, section 3.4).
pub(super) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Waits until it can be told which protocol comes on a connection, as it is told without a limit of time.
async fn begin(stream: &tokio::net::TcpStream) -> io::Result<()> {
    /// What is there already does not wake anyone up again.
    const PAUSE: Duration = Duration::from_millis(10);

    let mut bytes = [0; PREFACE.len()];
    loop {
        let length = stream.peek(&mut bytes).await?;
        let is_part = (1..PREFACE.len()).contains(&length)
            && bytes.get(..length).is_some_and(|come| PREFACE.starts_with(come));
        if !is_part {
            return Ok(());
        }
        sleep(PAUSE).await;
    }
}

/// A timer that is always due before those of calls. The runtime interrupts itself, by a system call, for each new
/// timer that is due before all others.
async fn pulse() {
    let mut pulse = interval(Duration::from_secs(1));
    loop {
        pulse.tick().await;
    }
}
