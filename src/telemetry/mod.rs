//! Primitives of any module: log set-up, panics, histograms and trace spans.

mod histogram;
mod log_limit;
mod logging;
mod panics;
mod slow_wait;
pub mod traces;

pub use histogram::{Counts, Histogram};
pub(crate) use log_limit::LogLimit;
pub use logging::{DEFAULT_FILTER, LogFormat, init};
pub(crate) use logging::{dropped_lines, finish, is_losing_lines, print, report_failure};
pub(crate) use panics::{catch_panic, catch_task_panic};
pub(crate) use slow_wait::{SlowWait, noting_slowness};
