//! A worker thread with its share of the connections, and with its own connections to PostgreSQL. A read needs no other
//! thread, and reads that arrive together are batched.

use std::io;
use std::sync::Arc;
use std::thread;

use tokio::runtime::Builder;
use tokio::sync::{mpsc, oneshot};

use super::Timeouts;
use super::connection::Connections;
use super::listener::Arrival;
use super::tls::Tls;
use crate::admission::Limits;
use crate::error::BoxError;
use crate::router::Router;

/// Counts an open connection: of its worker, and of its address.
pub(super) type ConnectionPermit = (Arc<()>, Arc<()>);

/// Handle of a thread that serves connections.
#[derive(Debug)]
pub(super) struct Worker {
    arrivals: mpsc::UnboundedSender<(Arrival, ConnectionPermit)>,
    /// Its clones count the open connections.
    open: Arc<()>,
    drained: oneshot::Receiver<bool>,
    /// The thread ends when this is dropped.
    end: oneshot::Sender<()>,
}

impl Worker {
    /// Starts the thread, and creates the router in the thread's own runtime.
    pub(super) async fn start(
        router: impl FnOnce() -> Result<Router, BoxError> + Send + 'static,
        timeouts: Timeouts,
        limits: &Limits,
        tls: Option<Tls>,
    ) -> Result<Self, BoxError> {
        let (arrivals, arriving) = mpsc::unbounded_channel();
        let ((started, starting), (done, drained)) = (oneshot::channel(), oneshot::channel());
        let (end, ended) = oneshot::channel::<()>();
        let connections = Connections::new(timeouts, *limits, tls);
        let work = move || {
            let runtime = match Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return drop(started.send(Err(start_error(&error)))),
            };
            runtime.block_on(async move {
                let router = match router() {
                    Ok(router) => Arc::new(router),
                    Err(cause) => return drop(started.send(Err(cause))),
                };
                drop(started.send(Ok(())));
                let in_time = connections.serve_all(arriving, router).await;
                // Fails when the server was dropped.
                let _dropped = done.send(in_time);
                // This thread may drive connections of the pool that calls on other threads still use.
                drop(ended.await);
            });
        };
        let thread = thread::Builder::new().name("worker".to_owned()).spawn(work);
        thread.map_err(|error| start_error(&error))?;
        starting.await??;
        Ok(Self { arrivals, open: Arc::new(()), drained, end })
    }

    /// The number of its open connections; `None` when the thread has ended.
    pub(super) fn load(&self) -> Option<usize> {
        (!self.arrivals.is_closed()).then(|| Arc::strong_count(&self.open) - 1)
    }

    pub(super) fn take(&self, arrival: Arrival, of_address: Arc<()>) -> io::Result<()> {
        self.arrivals
            .send((arrival, (self.open.clone(), of_address)))
            .map_err(|_| io::Error::other("the worker thread has ended"))
    }

    /// Waits until the open connections have ended or the drain timeout has passed. Returns whether they ended in time,
    /// and a handle that keeps the thread alive.
    pub(super) async fn drain(self) -> (bool, oneshot::Sender<()>) {
        drop(self.arrivals);
        (self.drained.await.unwrap_or(false), self.end)
    }
}

fn start_error(error: &io::Error) -> BoxError {
    format!("a worker thread cannot be started: {error}; set WORKERS to a smaller number").into()
}
