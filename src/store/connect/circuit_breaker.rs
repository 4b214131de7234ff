//! Circuit breaker of all pools of a server.  A server that stops closes its connections, so waiting calls fail at
//! once. A server that hangs, or is behind a network that drops all packets, does not close them. Only the health probe
//! detects this; the breaker then closes the connections. It logs nothing: the health probe of the router logs the
//! outage.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio::task::AbortHandle;

/// The number of failed probes in a row that opens the breaker. The second probe uses a new connection, so that neither
/// a slow answer nor one broken connection ends all calls.
const MAX_FAILURES: usize = 2;

/// The failed probes of a server, and its connections. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct CircuitBreaker {
    /// Failed probes in a row.
    failures: watch::Sender<usize>,
    connections: Arc<Mutex<Vec<ToHost>>>,
}

/// A connection, and the index of its host.
#[derive(Debug)]
struct ToHost {
    host: usize,
    connection: AbortHandle,
}

impl Default for CircuitBreaker {
    fn default() -> Self {
        Self { failures: watch::Sender::new(0), connections: Arc::default() }
    }
}

impl CircuitBreaker {
    pub(crate) fn record_success(&self) {
        self.failures.send_replace(0);
    }

    /// Counts a failed probe. When the breaker opens, it closes every connection, and the statements on them fail as
    /// on a broken connection: no connection is used again after such a time.
    pub(crate) fn record_failure(&self) {
        self.failures.send_modify(|failures| *failures = failures.saturating_add(1));
        if *self.failures.borrow() >= MAX_FAILURES {
            for ToHost { connection, .. } in self.connections().drain(..) {
                connection.abort();
            }
        }
    }

    /// Returns when the breaker is open, at once or later.
    pub(crate) async fn opened(&self) {
        let mut failures = self.failures.subscribe();
        // This fails only without a sender, and there is one here.
        drop(failures.wait_for(|failures| *failures >= MAX_FAILURES).await);
    }

    /// Makes the breaker close this connection to a host when it opens.
    pub(crate) fn add(&self, host: usize, connection: AbortHandle) {
        let mut connections = self.connections();
        connections.retain(|other| !other.connection.is_finished());
        connections.push(ToHost { host, connection });
    }

    /// Closes the connections to all other hosts, if a probe has failed. They may be silent, and the breaker does not
    /// open once a probe has succeeded on this host.
    pub(crate) fn leave_other_hosts(&self, host: usize) {
        if *self.failures.borrow() == 0 {
            return;
        }
        for other in self.connections().extract_if(.., |other| other.host != host) {
            other.connection.abort();
        }
    }

    fn connections(&self) -> MutexGuard<'_, Vec<ToHost>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
