//! Execution of statements: retries, stale plans, the read batcher and row streams.

mod pooled_connection;
mod read_batcher;
mod row_stream;
mod statement;

pub(crate) use read_batcher::ReadBatcher;
pub(crate) use row_stream::RowStream;
pub(crate) use statement::{Statement, Values, probe, query, write, write_under_lock};
