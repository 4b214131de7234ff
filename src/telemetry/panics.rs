//! Panics: each is logged once with its location, and is an error where it is caught.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::panic::{self, AssertUnwindSafe};
use std::pin::pin;

use futures_util::FutureExt;

thread_local! {
    /// Whether this thread currently runs inside [`catch_panic`]. If so, the caller of `catch_panic` reports the panic,
    /// and the hook does not.
    static IS_CAUGHT: Cell<bool> = const { Cell::new(false) };
    /// The location of the last panic of this thread.
    static LOCATION: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// A caught panic, with its location when the hook is installed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("panicked{}: {message}", location.as_ref().map(|location| format!(" at {location}")).unwrap_or_default())]
pub(crate) struct Panic {
    location: Option<String>,
    message: String,
}

impl Panic {
    /// Reads the payload that `catch_unwind` returns on the thread that panicked.
    pub(crate) fn new(payload: &(dyn Any + Send)) -> Self {
        Self { location: LOCATION.take(), message: message(payload).to_owned() }
    }
}

/// Makes panics go to the log instead of standard error.
pub(super) fn install_panic_hook() {
    panic::set_hook(Box::new(|info| {
        let location = info.location().map(ToString::to_string);
        if !IS_CAUGHT.get() {
            tracing::error!(location, cause = message(info.payload()), "panicked");
        }
        LOCATION.set(location);
    }));
}

/// Runs work and catches its panic. The caller logs it. The work is pinned by the caller: the future of a call is large,
/// and a future that takes another one by value holds it twice.
pub(crate) async fn catch_panic<T>(mut work: impl Future<Output = T> + Unpin) -> Result<T, Panic> {
    let polled = poll_fn(|context| {
        let was_caught = IS_CAUGHT.replace(true);
        let _restore = scopeguard::guard((), |()| IS_CAUGHT.set(was_caught));
        work.poll_unpin(context)
    });
    AssertUnwindSafe(polled).catch_unwind().await.map_err(|payload| Panic::new(&*payload))
}

/// Runs a part of a background task, and catches and logs its panic, so that the task can go on.
pub(crate) async fn catch_task_panic<T>(
    task: &'static str,
    work: impl Future<Output = T>,
) -> Result<T, Panic> {
    let done = catch_panic(pin!(work)).await;
    if let Err(panic) = &done {
        tracing::error!(task, cause = %panic, "background task panicked");
    }
    done
}

fn message(payload: &(dyn Any + Send)) -> &str {
    match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
        (Some(message), _) => message,
        (None, Some(message)) => message,
        (None, None) => "unknown cause",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_caught_panic_has_its_location_and_message() {
        install_panic_hook();
        let caught: Result<(), _> = catch_panic(pin!(async { panic!("{} groups", 3) })).await;
        let cause = caught.unwrap_err().to_string();
        assert!(cause.starts_with("panicked at src/telemetry/panics.rs:"), "{cause}");
        assert!(cause.ends_with(": 3 groups"), "{cause}");
        assert!(!IS_CAUGHT.get());
        assert_eq!(catch_panic(pin!(async { 3 })).await.unwrap(), 3);
    }
}
