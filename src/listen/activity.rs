//! The activity of a connection, and the time at which it is closed for the lack of it or for its age.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, ready};

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::Timeouts;

/// The calls in progress on a connection, or what it waits for without one.
#[derive(Debug)]
pub(super) struct Activity {
    timeouts: Timeouts,
    /// When the connection has reached its maximum age.
    aged: Instant,
    state: Mutex<State>,
    /// Notified when the connection holds data that its caller does not read.
    stalled: Notify,
}

#[derive(Debug)]
struct State {
    calls: usize,
    /// The next step of the caller while there is no call.
    waits_for: Waiting,
    since: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waiting {
    /// The rest of a request's headers, or any first request.
    Headers,
    /// Another request.
    Request,
}

/// The end of a connection whose time is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expiry {
    /// Close it at once.
    Close,
    /// Let its calls finish, and accept no others.
    Finish,
}

impl Activity {
    pub(super) fn new(timeouts: Timeouts, aged: Instant) -> Self {
        let state = State { calls: 0, waits_for: Waiting::Headers, since: Instant::now() };
        Self { timeouts, aged, state: Mutex::new(state), stalled: Notify::new() }
    }

    /// Records that bytes of a request have arrived over HTTP/1. Over HTTP/2 they may be those of a ping.
    pub(super) fn record_bytes(&self) {
        let mut state = self.state();
        if state.calls == 0 && state.waits_for == Waiting::Request {
            (state.waits_for, state.since) = (Waiting::Headers, Instant::now());
        }
    }

    /// Counts a call until the guard is dropped.
    pub(super) fn begin_call(self: &Arc<Self>) -> ActiveCall {
        self.state().calls += 1;
        ActiveCall(self.clone())
    }

    /// Records that the connection holds data that its caller does not read. Only its end frees them.
    pub(super) fn record_stall(&self) {
        self.stalled.notify_one();
    }

    /// Waits until the time of the connection is over. Must be polled whenever the connection is. A connection that is
    /// finishing since some time has the time of a request's headers to close after its last call.
    pub(super) async fn expired(&self, finishing: Option<Instant>) -> Expiry {
        tokio::select! {
            biased;
            expiry = self.timed_out(finishing) => expiry,
            () = self.stalled.notified(), if finishing.is_none() => Expiry::Finish,
        }
    }

    async fn timed_out(&self, finishing: Option<Instant>) -> Expiry {
        let mut timer = pin!(sleep_until(self.aged));
        poll_fn(|context| {
            loop {
                let Some((deadline, expiry)) = self.deadline(finishing) else { return Poll::Pending };
                // A timer that is too early costs less than one that is set anew for each call.
                if timer.deadline() > deadline {
                    timer.as_mut().reset(deadline);
                }
                ready!(timer.as_mut().poll(context));
                if deadline <= Instant::now() {
                    return Poll::Ready(expiry);
                }
                timer.as_mut().reset(deadline);
            }
        })
        .await
    }

    fn deadline(&self, finishing: Option<Instant>) -> Option<(Instant, Expiry)> {
        let State { calls, waits_for, since } = *self.state();
        let Timeouts { header, idle, .. } = self.timeouts;
        let inactive = match (waits_for, finishing) {
            _ if calls > 0 => None,
            (Waiting::Headers, _) => Some((since + header, Expiry::Close)),
            (Waiting::Request, Some(begun)) => Some((since.max(begun) + header, Expiry::Close)),
            (Waiting::Request, None) => Some((since + idle, Expiry::Finish)),
        };
        let aged = finishing.is_none().then_some((self.aged, Expiry::Finish));
        inactive.into_iter().chain(aged).min_by_key(|(deadline, _)| *deadline)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call in progress.
#[derive(Debug)]
pub(super) struct ActiveCall(Arc<Activity>);

impl Drop for ActiveCall {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.calls -= 1;
        if state.calls == 0 {
            (state.waits_for, state.since) = (Waiting::Request, Instant::now());
        }
    }
}
