//! Reset of HTTP/2 streams whose caller does not read. The HTTP library waits for such a caller without a timeout, and
//! so the task of the stream is given up.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use hyper::rt::Executor;
use tokio::time::{Instant, sleep};

use super::activity::Activity;

tokio::task_local! {
    /// The progress of the stream that this task serves.
    static CURRENT: Arc<WriteProgress>;
}

/// The progress of a response, as far as its caller has allowed it to be sent.
#[derive(Debug, Default)]
pub(super) struct WriteProgress {
    /// Whether the next part of the response waits for the caller, not for the service.
    is_waiting: AtomicBool,
    /// The parts that were handed over: the head, and frames of data.
    parts: AtomicUsize,
}

impl WriteProgress {
    /// Returns the progress of the stream of this task; `None` over HTTP/1.
    pub(super) fn current() -> Option<Arc<Self>> {
        CURRENT.try_with(Arc::clone).ok()
    }

    /// Records that a part was handed over, and that the next one waits for the caller.
    pub(super) fn record_part(&self) {
        self.parts.fetch_add(1, Ordering::Relaxed);
        self.is_waiting.store(true, Ordering::Relaxed);
    }

    /// Records that the caller waits for the service.
    pub(super) fn record_demand(&self) {
        self.is_waiting.store(false, Ordering::Relaxed);
    }

    /// Waits until the response has waited for its caller for this time. Must be polled whenever the stream is.
    async fn stalled(&self, timeout: Duration) {
        let (mut timer, mut seen) = (pin!(sleep(timeout)), None);
        poll_fn(|context| {
            if !self.is_waiting.load(Ordering::Relaxed) {
                return Poll::Pending;
            }
            let parts = self.parts.load(Ordering::Relaxed);
            if seen.replace(parts) != Some(parts) {
                timer.as_mut().reset(Instant::now() + timeout);
            }
            timer.as_mut().poll(context)
        })
        .await;
    }
}

/// The parts that are freed with the stream: the head, and the frame for which there is no room.
const HELD_BACK: usize = 2;

/// Runs each stream of an HTTP/2 connection as a task of its own. A stream without write progress for `timeout` is reset.
/// The library keeps the data that it has taken, one frame, until the connection ends; so its connection is ended, too.
#[derive(Debug, Clone)]
pub(super) struct StreamExecutor {
    pub(super) timeout: Duration,
    pub(super) connection: Arc<Activity>,
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for StreamExecutor {
    fn execute(&self, stream: F) {
        tokio::spawn(run(stream, self.timeout, self.connection.clone()));
    }
}

async fn run(stream: impl Future<Output = ()>, timeout: Duration, connection: Arc<Activity>) {
    let progress = Arc::<WriteProgress>::default();
    let stream = CURRENT.scope(progress.clone(), stream);
    tokio::select! {
        biased;
        () = stream => return,
        () = progress.stalled(timeout) => {}
    }
    tracing::debug!("stream reset: its caller does not read");
    if progress.parts.load(Ordering::Relaxed) > HELD_BACK {
        connection.record_stall();
    }
}
