//! Refusing costs as much as serving a small call does. So that callers who go on calling leave time for serving,
//! a connection on which calls were refused is not read for a while: what they send waits on their own side.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::error::RETRY_SECONDS;

/// The time between two refusals of a worker, when there are more than for a moment: some 5 % of its time go into
/// them then.
const BETWEEN: Duration = Duration::from_micros(200);

/// How long a connection is not read at the most: as long as a refusal asks its caller to wait.
const LONGEST: Duration = Duration::from_secs(RETRY_SECONDS);

/// Gives the refusals of a worker their turns.
#[derive(Debug, Clone, Default)]
pub(super) struct Pace(Arc<Mutex<Option<Instant>>>);

/// Until when a connection is not read.
#[derive(Debug)]
pub(super) struct Hold {
    pace: Pace,
    until: Mutex<Option<Instant>>,
}

impl Pace {
    fn next_turn(&self) -> Instant {
        let (now, mut last) = (Instant::now(), lock(&self.0));
        let next = last.map_or(now, |last| (last + BETWEEN).clamp(now, now + LONGEST));
        *last = Some(next);
        next
    }
}

impl Hold {
    pub(super) fn new(pace: Pace) -> Self {
        Self { pace, until: Mutex::default() }
    }

    /// Notes that a call was refused.
    pub(super) fn note_refusal(&self) {
        *lock(&self.until) = Some(self.pace.next_turn());
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A connection that is read only when it is not held.
pub(super) struct Paced<S> {
    stream: S,
    hold: Arc<Hold>,
    pause: Option<Pin<Box<Sleep>>>,
}

impl<S> Paced<S> {
    pub(super) fn new(stream: S, hold: Arc<Hold>) -> Self {
        Self { stream, hold, pause: None }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
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
            let Some(until) = lock(&self.hold.until).take() else { break };
            self.pause = Some(Box::pin(sleep_until(until)));
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
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
    fn refusals_that_come_together_have_their_turns_one_after_the_other() {
        const TURNS: u32 = 100;
        let pace = Pace::default();
        let turns: Vec<Instant> = (0..TURNS).map(|_| pace.next_turn()).collect();
        assert!(turns[0] <= Instant::now(), "the first waits for nothing");
        assert!(turns.windows(2).all(|two| two[1] - two[0] >= BETWEEN));
    }

    #[test]
    fn no_turn_is_further_away_than_a_refusal_asks_its_caller_to_wait() {
        let pace = Pace::default();
        let turns = LONGEST.as_micros() / BETWEEN.as_micros() + 1000;
        let last = (0..turns).map(|_| pace.next_turn()).next_back().unwrap();
        assert!(last <= Instant::now() + LONGEST);
    }
}
