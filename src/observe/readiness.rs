//! Readiness: the state behind `/readyz`, the health service and the metrics.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Ready,
    /// The last probe of the database failed. Also the initial status.
    DatabaseUnavailable,
    /// The server is stopping. No other status follows.
    Draining,
}

/// Handle of the readiness status. Cheap to clone: all clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Readiness {
    status: watch::Sender<Status>,
    /// Whether the last probe of the database succeeded, also while the server drains.
    is_database_up: Arc<AtomicBool>,
}

impl Default for Readiness {
    fn default() -> Self {
        Self { status: watch::Sender::new(Status::DatabaseUnavailable), is_database_up: Arc::default() }
    }
}

impl Readiness {
    pub(crate) fn status(&self) -> Status {
        *self.status.borrow()
    }

    /// Returns a receiver of the status and its changes.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    /// Sets the status, and returns whether it changed.
    pub(crate) fn set(&self, status: Status) -> bool {
        self.status.send_replace(status) != status
    }

    pub(crate) fn set_database_up(&self, is_up: bool) {
        self.is_database_up.store(is_up, Ordering::Relaxed);
    }

    pub(super) fn is_database_up(&self) -> bool {
        self.is_database_up.load(Ordering::Relaxed)
    }
}
