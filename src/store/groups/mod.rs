//! Customer groups: the statements and their rows.

mod create;
mod delete;
mod get;
mod group_reader;
mod group_stream;
mod list;
mod pages;
mod read_batchers;
pub(in crate::store) mod rows;
mod update;
mod walks;

pub(in crate::store) use create::insert;
pub use create::{BatchCreateOutcome, CreateOutcome};
pub(in crate::store) use group_reader::GroupReader;
pub use group_stream::GroupStream;
pub(in crate::store) use read_batchers::BatcherMetrics;
pub(crate) use read_batchers::CONNECTIONS_PER_WORKER;
pub(in crate::store) use update::MOVE_LOCK;
pub use update::ParentCheck;
