//! Waits at start, which the log names when they last.

use std::time::{Duration, Instant};

/// The time after which a wait is logged.
const SLOW: Duration = Duration::from_secs(1);

/// A wait that is logged once if it takes more than a second.
#[derive(Debug)]
pub(crate) struct SlowWait {
    begun: Instant,
    /// The awaited event; `None` once it is logged.
    what: Option<String>,
}

impl SlowWait {
    pub(crate) fn new(what: String) -> Self {
        Self { begun: Instant::now(), what: Some(what) }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Logs the wait if it is slow. To be called now and then.
    pub(crate) fn note(&mut self) {
        if self.elapsed() > SLOW
            && let Some(what) = self.what.take()
        {
            tracing::info!("waiting for {what}");
        }
    }
}

/// Waits for a future, and calls `note` if it takes more than a second.
pub(crate) async fn noting_slowness<T>(work: impl Future<Output = T>, note: impl AsyncFnOnce()) -> T {
    let noting = async {
        tokio::time::sleep(SLOW).await;
        note().await;
        std::future::pending().await
    };
    tokio::select! {
        done = work => done,
        never = noting => never,
    }
}
