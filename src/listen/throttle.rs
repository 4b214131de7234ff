//! Throttling of connections whose calls were refused. A refusal costs as much as a small call, so an overloaded worker
//! does not read such a connection for a while: its requests wait on the caller's side.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::error::RETRY_SECONDS;

/// The interval of refusals of an overloaded worker, which spends about 5 % of its time on them.
const INTERVAL: Duration = Duration::from_micros(200);

/// The longest time for which a connection is not read: as long as a refusal asks its caller to wait.
const MAX_PAUSE: Duration = Duration::from_secs(RETRY_SECONDS);

/// The time of the last refusal that a worker has scheduled.
#[derive(Debug, Clone, Default)]
pub(super) struct Throttle(Arc<Mutex<Option<Instant>>>);

/// The time until which a connection is not read.
#[derive(Debug)]
pub(super) struct ConnectionThrottle {
    throttle: Throttle,
    until: Mutex<Option<Instant>>,
}

impl Throttle {
    fn schedule(&self) -> Instant {
        let (now, mut last) = (Instant::now(), lock(&self.0));
        let next = last.map_or(now, |last| (last + INTERVAL).clamp(now, now + MAX_PAUSE));
        *last = Some(next);
        next
    }
}

impl ConnectionThrottle {
    pub(super) fn new(throttle: Throttle) -> Self {
        Self { throttle, until: Mutex::default() }
    }

    pub(super) fn record_refusal(&self) {
        *lock(&self.until) = Some(self.throttle.schedule());
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A connection that is not read while it is throttled.
pub(super) struct ThrottledStream<S> {
    stream: S,
    throttle: Arc<ConnectionThrottle>,
    pause: Option<Pin<Box<Sleep>>>,
}

impl<S> ThrottledStream<S> {
    pub(super) fn new(stream: S, throttle: Arc<ConnectionThrottle>) -> Self {
        Self { stream, throttle, pause: None }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ThrottledStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(context));
                self.pause = None;
            }
            let Some(until) = lock(&self.throttle.until).take() else { break };
            self.pause = Some(Box::pin(sleep_until(until)));
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ThrottledStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
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
