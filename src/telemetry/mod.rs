//! Primitives of any module: log set-up, panics, histograms and trace spans.

mod histogram;
mod logging;
mod panics;
pub mod traces;

pub use histogram::{Counts, Histogram};
pub use logging::{DEFAULT_FILTER, LogFormat, init};
pub(crate) use logging::{dropped_lines, finish, print, report_failure};
pub(crate) use panics::{catch_panic, catch_task_panic};
