//! A limit for messages that would otherwise fill the log.

use std::time::{Duration, Instant};

/// Permits one message a second.
#[derive(Debug, Default)]
pub(crate) struct LogLimit {
    last: Option<Instant>,
}

impl LogLimit {
    /// Whether a message may be logged now.
    pub(crate) fn permits(&mut self) -> bool {
        const INTERVAL: Duration = Duration::from_secs(1);
        let is_permitted = self.last.is_none_or(|last| last.elapsed() >= INTERVAL);
        if is_permitted {
            self.last = Some(Instant::now());
        }
        is_permitted
    }
}
