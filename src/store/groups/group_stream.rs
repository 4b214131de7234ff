//! Long lists, streamed from the database to a reader in constant memory.

use std::mem;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_postgres::Row;

use super::group_reader::GroupReader;
use super::rows::{GROUP_AFTER_TOTAL, group, has_group, total};
use crate::domain::{CustomerGroup, Digest, GroupList, Page};
use crate::error::Error;
use crate::store::connect::Turn;
use crate::store::exec::{RowStream, Statement, Values};
use crate::telemetry::catch_task_panic;

/// The number of groups in a chunk, so that sending costs little per group.
const CHUNK: usize = 64;

/// The groups of a list, chunk by chunk. Dropped before its end, it cancels the statement.
#[derive(Debug)]
pub struct GroupStream(Source);

#[derive(Debug)]
enum Source {
    InMemory(Option<GroupList>),
    Streamed(mpsc::Receiver<Result<Chunk, Error>>),
}

#[derive(Debug)]
struct Chunk {
    list: GroupList,
    is_last: bool,
}

impl From<GroupList> for GroupStream {
    fn from(list: GroupList) -> Self {
        Self(Source::InMemory(Some(list)))
    }
}

impl GroupStream {
    /// Returns the next chunk; `None` after the last one. `total` and `has_more` are valid only in the last one.
    /// Fails with [`Error::Timeout`] when the reader was too slow.
    pub async fn next(&mut self) -> Option<Result<GroupList, Error>> {
        match &mut self.0 {
            Source::InMemory(list) => list.take().map(Ok),
            Source::Streamed(chunks) => {
                // Without a last chunk, the sender has given up.
                let chunk = chunks.recv().await.unwrap_or(Err(Error::Timeout));
                if chunk.as_ref().map_or(true, |chunk| chunk.is_last) {
                    self.0 = Source::InMemory(None);
                }
                Some(chunk.map(|chunk| chunk.list))
            }
        }
    }

    /// Whether the whole list is in memory.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        matches!(self.0, Source::InMemory(_))
    }
}

impl GroupReader {
    /// Starts to stream a list; `None` when the group that it belongs to does not exist.
    pub(super) async fn stream(
        &self,
        statement: Statement,
        values: &Values<'_>,
        page: Page,
        key: Digest,
    ) -> Result<Option<GroupStream>, Error> {
        let turn = self.shares.long_list(key).await?;
        let mut rows = RowStream::start(&self.pool, statement, values).await?;
        let Some(first) = rows.next().await? else {
            rows.finish().await?;
            return Ok(None);
        };
        let total = match total(&first) {
            Ok(total) => total,
            Err(error) => {
                rows.finish().await?;
                return Err(error);
            }
        };
        let mut stream =
            StreamingList { rows, _turn: turn, page, total, sent: 0, has_more: false, chunk: Vec::new() };
        stream.add(&first)?;
        let (sender, chunks) = mpsc::channel(1);
        let patience = self.patience;
        tokio::spawn(async move {
            tokio::select! {
                // The reader has gone away.
                () = sender.closed() => {}
                done = catch_task_panic("list stream", stream.forward(&sender, patience)) => {
                    if let Err(panic) = done {
                        drop(sender.send(Err(Error::internal(panic))).await);
                    }
                }
            }
        });
        Ok(Some(GroupStream(Source::Streamed(chunks))))
    }
}

/// A list while it is read from the database.
struct StreamingList {
    rows: RowStream,
    /// Released with the connection, before the last chunk waits for its reader.
    _turn: Turn,
    page: Page,
    /// The number of groups in the whole list; `None` when it is that of the streamed groups.
    total: Option<i64>,
    sent: usize,
    has_more: bool,
    chunk: Vec<CustomerGroup>,
}

impl StreamingList {
    async fn forward(mut self, reader: &mpsc::Sender<Result<Chunk, Error>>, patience: Duration) {
        loop {
            let chunk = match timeout(patience, self.fill()).await {
                Ok(Ok(true)) => Ok(Chunk { list: self.take_list(0), is_last: false }),
                Ok(Ok(false)) => {
                    let last = self.finish().await.map(|list| Chunk { list, is_last: true });
                    // The reader may have gone away.
                    drop(reader.send(last).await);
                    return;
                }
                Ok(Err(error)) => Err(error),
                Err(_elapsed) => Err(Error::Timeout),
            };
            let failed = chunk.is_err();
            let sent = timeout(patience, reader.send(chunk)).await;
            if failed || !matches!(sent, Ok(Ok(()))) {
                return;
            }
        }
    }

    /// Reads until the chunk is full; `false` after the last row.
    async fn fill(&mut self) -> Result<bool, Error> {
        while self.chunk.len() < CHUNK {
            let Some(row) = self.rows.next().await? else { return Ok(false) };
            self.add(&row)?;
        }
        Ok(true)
    }

    fn add(&mut self, row: &Row) -> Result<(), Error> {
        if !has_group(row, GROUP_AFTER_TOTAL)? {
            return Ok(());
        }
        if self.page.limit.is_some_and(|limit| self.sent >= limit as usize) {
            self.has_more = true;
            return Ok(());
        }
        self.sent += 1;
        self.chunk.push(group(row, GROUP_AFTER_TOTAL)?);
        Ok(())
    }

    fn take_list(&mut self, total: i32) -> GroupList {
        let data = mem::replace(&mut self.chunk, Vec::with_capacity(CHUNK));
        GroupList { data, has_more: self.has_more, total }
    }

    async fn finish(mut self) -> Result<GroupList, Error> {
        let total = match self.total {
            Some(total) => i32::try_from(total),
            None => i32::try_from(self.sent),
        };
        let list = self.take_list(total.map_err(Error::internal)?);
        self.rows.finish().await?;
        Ok(list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stream_without_its_last_chunk_ends_in_an_error() {
        let (sender, chunks) = mpsc::channel(1);
        let mut groups = GroupStream(Source::Streamed(chunks));
        let list = GroupList { data: Vec::new(), has_more: false, total: 0 };
        sender.send(Ok(Chunk { list, is_last: false })).await.unwrap();
        drop(sender);
        assert!(matches!(groups.next().await, Some(Ok(_))));
        assert!(matches!(groups.next().await, Some(Err(Error::Timeout))));
        assert!(groups.next().await.is_none());
    }
}
