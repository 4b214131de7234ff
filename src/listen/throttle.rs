//! Throttling of connections whose calls were refused. A refusal costs as much as a small call, so an overloaded worker
//! does not read such a connection for a while: its requests wait on the caller's side.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use crate::error::RETRY_SECONDS;

/// The interval of refusals of an overloaded worker, which spends about 5 % of its time on them.
const INTERVAL: Duration = Duration::from_micros(200);

/// The longest time for which a connection is not read: as long as a refusal asks its caller to wait.
const MAX_PAUSE: Duration = Duration::from_secs(RETRY_SECONDS);

/// The time of the last refusal that a worker has scheduled.
#[derive(Debug, Clone, Default)]
pub(super) struct Throttle(Arc<Mutex<Option<Instant>>>);

/// Records the refusals of a connection. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct RefusalRecord {
    throttle: Throttle,
    /// The time until which the connection is not read.
    until: Arc<Mutex<Option<Instant>>>,
}

/// The reading side of a [`RefusalRecord`].
#[derive(Debug)]
pub(super) struct ConnectionThrottle {
    until: Arc<Mutex<Option<Instant>>>,
    pause: Option<Pin<Box<Sleep>>>,
}

impl Throttle {
    fn schedule(&self) -> Instant {
        let (now, mut last) = (Instant::now(), lock(&self.0));
        let next = last.map_or(now, |last| (last + INTERVAL).clamp(now, now + MAX_PAUSE));
        *last = Some(next);
        next
    }
}

impl RefusalRecord {
    pub(super) fn new(throttle: Throttle) -> Self {
        Self { throttle, until: Arc::default() }
    }

    pub(super) fn add(&self) {
        *lock(&self.until) = Some(self.throttle.schedule());
    }

    pub(super) fn throttle(&self) -> ConnectionThrottle {
        ConnectionThrottle { until: self.until.clone(), pause: None }
    }
}

impl ConnectionThrottle {
    /// Waits until the connection may be read.
    pub(super) fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(context));
                self.pause = None;
            }
            let Some(until) = lock(&self.until).take() else { return Poll::Ready(()) };
            self.pause = Some(Box::pin(sleep_until(until)));
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn simultaneous_refusals_are_scheduled_one_after_the_other() {
        const REFUSALS: u32 = 100;
        let throttle = Throttle::default();
        let times: Vec<Instant> = (0..REFUSALS).map(|_| throttle.schedule()).collect();
        assert!(times[0] <= Instant::now(), "the first waits for nothing");
        assert!(times.windows(2).all(|two| two[1] - two[0] >= INTERVAL));
    }

    #[test]
    fn no_pause_is_longer_than_a_refusal_asks_its_caller_to_wait() {
        let throttle = Throttle::default();
        let times = MAX_PAUSE.as_micros() / INTERVAL.as_micros() + 1000;
        let last = (0..times).map(|_| throttle.schedule()).next_back().unwrap();
        assert!(last <= Instant::now() + MAX_PAUSE);
    }
}
