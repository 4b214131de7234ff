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
use hyper_util::server::graceful::GracefulShutdown;
use tokio::runtime::Builder;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{interval, timeout};

use super::faces::Faces;
use crate::error::Cause;

/// The way to a thread that serves connections.
#[derive(Debug)]
pub(super) struct Worker {
    streams: mpsc::UnboundedSender<TcpStream>,
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
        drain: Duration,
    ) -> Result<Self, Cause> {
        let (streams, arriving) = mpsc::unbounded_channel();
        let ((started, starting), (done, drained)) = (oneshot::channel(), oneshot::channel());
        let (end, ended) = oneshot::channel::<()>();
        let open = Arc::new(());
        let held = open.clone();
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
                let in_time = serve_all(arriving, faces, held, drain).await;
                // Nobody waits any more when the server is gone itself.
                let _gone = done.send(in_time);
                // The connections of the pool may be driven by this thread, while calls on others still use them.
                drop(ended.await);
            });
        };
        let thread = thread::Builder::new().name("worker".to_owned()).spawn(work);
        thread.map_err(|error| cannot_start(&error))?;
        starting.await??;
        Ok(Self { streams, open, drained, end })
    }

    /// The more, the more connections it has; `None` when it can take none any more.
    pub(super) fn load(&self) -> Option<usize> {
        (!self.streams.is_closed()).then(|| Arc::strong_count(&self.open))
    }

    /// Takes a connection over.
    ///
    /// # Errors
    ///
    /// That the thread is gone.
    pub(super) fn take(&self, stream: tokio::net::TcpStream) -> io::Result<()> {
        let stream = stream.into_std()?;
        self.streams.send(stream).map_err(|_| io::Error::other("the thread for it is gone"))
    }

    /// Takes no more connections, and waits until the open ones are done or the time for it is up. Answers
    /// whether they were done in time, and what keeps the thread.
    pub(super) async fn drain(self) -> (bool, oneshot::Sender<()>) {
        drop(self.streams);
        (self.drained.await.unwrap_or(false), self.end)
    }
}

fn cannot_start(error: &io::Error) -> Cause {
    format!("a thread that serves cannot be started: {error}; set WORKERS to a smaller number").into()
}

/// Serves until no more connections come, and answers whether the open ones were done in time then.
async fn serve_all(
    mut arriving: mpsc::UnboundedReceiver<TcpStream>,
    faces: Arc<Faces>,
    open: Arc<()>,
    drain: Duration,
) -> bool {
    let (protocol, connections) = (protocol(), GracefulShutdown::new());
    let pulse = tokio::spawn(pulse());
    while let Some(stream) = arriving.recv().await {
        match tokio::net::TcpStream::from_std(stream) {
            Ok(stream) => serve(stream, &protocol, faces.clone(), open.clone(), &connections),
            Err(error) => tracing::error!(%error, "a connection was not taken over"),
        }
    }
    let in_time = timeout(drain, connections.shutdown()).await.is_ok();
    pulse.abort();
    in_time
}

/// A timer that is always due before those of calls. The runtime interrupts itself, by a system call, for each new
/// timer that is due before all others.
async fn pulse() {
    let mut pulse = interval(Duration::from_secs(1));
    loop {
        pulse.tick().await;
    }
}

/// HTTP/1.1, and HTTP/2 with prior knowledge.
fn protocol() -> auto::Builder<TokioExecutor> {
    /// The most time for the head of an HTTP/1.1 request.
    const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
    /// How often a silent HTTP/2 connection is asked whether it still lives, and how long it may take.
    const KEEP_ALIVE: Duration = Duration::from_secs(30);
    /// The most calls at once on one HTTP/2 connection.
    const MAX_STREAMS: u32 = 256;

    let mut protocol = auto::Builder::new(TokioExecutor::new());
    protocol.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    protocol
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .max_concurrent_streams(MAX_STREAMS);
    protocol
}

fn serve(
    stream: tokio::net::TcpStream,
    protocol: &auto::Builder<TokioExecutor>,
    faces: Arc<Faces>,
    open: Arc<()>,
    connections: &GracefulShutdown,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection keeps Nagle's algorithm");
    }
    // Each call of HTTP/2 is moved into a task of its own, which a box makes cheap.
    let service = service_fn(move |request| Box::pin(faces.clone().call(request)));
    let connection = protocol.serve_connection(TokioIo::new(stream), service).into_owned();
    let connection = connections.watch(connection);
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection broke");
        }
        drop(open);
    });
}
