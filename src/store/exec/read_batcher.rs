//! Batches of reads: reads that arrive during a statement are answered together by the next one.
//!
//! A read that begins after a write was acknowledged sees that write, since a statement answers only reads that arrived
//! before it was sent.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_postgres::{Error as PgError, Row};
use uuid::Uuid;

use super::{Statement, query};
use crate::error::Error;
use crate::store::connect::Pool;
use crate::store::errors::StoreError;
use crate::telemetry::traces::Trace;
use crate::telemetry::{Histogram, catch_task_panic};

/// The most reads of one statement, so that no read waits long for others.
const MAX_BATCH: usize = 256;

/// The buckets of the number of reads per statement.
const SIZES: [u64; 9] = [1, 2, 4, 8, 16, 32, 64, 128, MAX_BATCH as u64];

type ReadResult<T> = Result<Option<T>, Error>;

/// A read, with the span of its call when that is sampled.
struct Read {
    id: Uuid,
    trace: Option<Trace>,
}

/// Handle for submitting reads. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct ReadBatcher<T> {
    queue: mpsc::UnboundedSender<(Read, oneshot::Sender<ReadResult<T>>)>,
    sizes: Arc<Histogram>,
}

impl<T: Send + 'static> ReadBatcher<T> {
    /// Starts to answer reads, one statement at a time, until all handles are dropped. The statement takes the ids as
    /// `$1`, and its rows begin with the id that they answer. A statement that takes longer than `patience` is given up.
    pub(crate) fn start(
        pool: Pool,
        patience: Duration,
        statement: Statement,
        parse: fn(&[Row]) -> Result<T, Error>,
    ) -> Self {
        Self::spawn(move |reads| {
            let pool = pool.clone();
            async move { answer(&pool, patience, statement, parse, &reads).await }
        })
    }

    fn spawn<F>(answer: impl Fn(Vec<Read>) -> F + Send + 'static) -> Self
    where
        F: Future<Output = Vec<ReadResult<T>>> + Send,
    {
        let (queue, mut arrived) = mpsc::unbounded_channel::<(Read, oneshot::Sender<ReadResult<T>>)>();
        let batcher = Self { queue, sizes: Arc::new(Histogram::new(&SIZES)) };
        let sizes = batcher.sizes.clone();
        tokio::spawn(async move {
            let mut batch = Vec::with_capacity(MAX_BATCH);
            while arrived.recv_many(&mut batch, MAX_BATCH).await > 0 {
                // The callers of the others have gone away.
                batch.retain(|(_, caller)| !caller.is_closed());
                if batch.is_empty() {
                    continue;
                }
                sizes.record(batch.len() as u64);
                let (reads, callers): (Vec<_>, Vec<_>) = batch.drain(..).unzip();
                let answers = catch_task_panic("read batcher", answer(reads)).await;
                let answers = answers.unwrap_or_else(|panic| {
                    callers.iter().map(|_| Err(Error::internal(panic.clone()))).collect()
                });
                for (caller, answer) in callers.into_iter().zip(answers) {
                    // The caller may have gone away.
                    drop(caller.send(answer));
                }
            }
        });
        batcher
    }

    /// Reads by an id; `None` when the statement has no row for it.
    pub(crate) async fn read(&self, id: Uuid) -> ReadResult<T> {
        let (caller, answer) = oneshot::channel();
        let read = Read { id, trace: Trace::current() };
        self.queue.send((read, caller)).map_err(|_| Error::internal("the read batcher has stopped"))?;
        answer.await.map_err(Error::internal)?
    }

    /// Returns the histogram of the reads per statement.
    pub(crate) fn sizes(&self) -> &Arc<Histogram> {
        &self.sizes
    }
}

async fn answer<T>(
    pool: &Pool,
    patience: Duration,
    statement: Statement,
    parse: fn(&[Row]) -> Result<T, Error>,
    reads: &[Read],
) -> Vec<ReadResult<T>> {
    let ids: Vec<Uuid> = reads.iter().map(|read| read.id).collect();
    // The trace of each call has a span of the statement.
    let begin = |read: &Read| read.trace.as_ref()?.statement(statement.name, ids.len());
    let spans: Vec<_> = reads.iter().filter_map(begin).collect();
    let rows = timeout(patience, query(pool, statement, &[&ids])).await;
    let rows = rows.unwrap_or(Err(StoreError::Timeout));
    for span in spans {
        span.end(rows.as_ref().err().map(StoreError::error_type));
    }
    let found = rows.and_then(|rows| Ok(by_id(rows)?));
    let answer = |read: &Read| match &found {
        Ok(found) => found.get(&read.id).map(|rows| parse(rows)).transpose(),
        Err(error) => Err(error.into()),
    };
    reads.iter().map(answer).collect()
}

fn by_id(rows: Vec<Row>) -> Result<HashMap<Uuid, Vec<Row>>, PgError> {
    let mut found: HashMap<_, Vec<_>> = HashMap::with_capacity(rows.len());
    for row in rows {
        found.entry(row.try_get(0)?).or_default().push(row);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_fails_its_own_reads_and_no_later_ones() {
        let batcher = ReadBatcher::spawn(|reads| async move {
            let answer = |read: &Read| {
                assert!(!read.id.is_nil(), "the row cannot be parsed");
                Ok(Some(read.id))
            };
            reads.iter().map(answer).collect()
        });
        let error = batcher.read(Uuid::nil()).await.unwrap_err();
        assert!(error.cause().unwrap().ends_with("the row cannot be parsed"), "{error:?}");
        assert_eq!(batcher.read(Uuid::max()).await.unwrap(), Some(Uuid::max()));
    }
}
