//! Counters of refused connections and calls. The log summarises them once a second: a line for each would be more load
//! on an overloaded server.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::interval;

use crate::api::Refusal;

#[derive(Debug, Default)]
pub(crate) struct Refusals {
    pub(super) connections: AtomicU64,
    pub(super) overloads: AtomicU64,
    pub(super) failed_auths: AtomicU64,
    pub(super) unauthenticated: AtomicU64,
}

impl Refusals {
    pub(crate) fn count_connection(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count(&self, refusal: Refusal) {
        let count = match refusal {
            Refusal::Overload => &self.overloads,
            Refusal::FailedAuth => &self.failed_auths,
            Refusal::Unauthenticated => &self.unauthenticated,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// Logs the new refusals once a second. Never returns.
    pub(crate) async fn log(&self) {
        const PERIOD: Duration = Duration::from_secs(1);
        let counts = [
            (
                &self.connections,
                "connections refused: MAX_CONNECTIONS, or MAX_CONNECTIONS_PER_ADDRESS of one address, are open",
            ),
            (&self.overloads, "calls refused: too many at once"),
            (&self.failed_auths, "calls refused: too many unknown API keys from their addresses"),
            (&self.unauthenticated, "calls refused: without a valid API key"),
        ];
        let (mut ticks, mut logged) = (interval(PERIOD), [0; 4]);
        loop {
            ticks.tick().await;
            for ((count, message), logged) in counts.iter().zip(&mut logged) {
                let now = count.load(Ordering::Relaxed);
                if now > *logged {
                    tracing::warn!(count = now - *logged, "{message}");
                }
                *logged = now;
            }
        }
    }
}
