//! Long lists, on their way from the database to a reader in constant memory.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout;

use super::Limits;
use super::connection::{Statement, Streaming, Values};
use super::pool::Pool;
use super::rows::{GROUP_AFTER_TOTAL, group, has_group, total};
use crate::domain::{CustomerGroup, List, Page};
use crate::error::Error;

/// How many groups are handed on at once, so that handing on costs little.
const PART: usize = 64;

/// The groups of a list, part by part. When it is dropped, PostgreSQL works on it no more.
#[derive(Debug)]
pub struct Groups(Source);

#[derive(Debug)]
enum Source {
    /// All of it is there.
    Whole(Option<List>),
    /// It is on its way.
    Coming(mpsc::Receiver<Result<Part, Error>>),
}

/// Some groups of a list that is on its way.
#[derive(Debug)]
struct Part {
    list: List,
    is_last: bool,
}

impl From<List> for Groups {
    fn from(list: List) -> Self {
        Self(Source::Whole(Some(list)))
    }
}

impl Groups {
    /// The next part of the list; `None` after the last one. What a part says of the whole list holds only in the
    /// last one.
    ///
    /// # Errors
    ///
    /// What every statement can end in; [`Error::Timeout`] also when this was not called for too long.
    pub async fn next(&mut self) -> Option<Result<List, Error>> {
        match &mut self.0 {
            Source::Whole(list) => list.take().map(Ok),
            Source::Coming(parts) => {
                // Without the last part it is not whole: whoever handed it on has given up.
                let part = parts.recv().await.unwrap_or(Err(Error::Timeout));
                if part.as_ref().map_or(true, |part| part.is_last) {
                    self.0 = Source::Whole(None);
                }
                Some(part.map(|part| part.list))
            }
        }
    }

    /// Whether all of it is there.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        matches!(self.0, Source::Whole(_))
    }
}

/// The connections that long lists may use.
#[derive(Debug, Clone)]
pub(super) struct Streams {
    pool: Pool,
    /// Half of the pool, so that slow readers leave room for others.
    permits: Arc<Semaphore>,
    /// How long is waited for a permit.
    wait: Duration,
    /// How long neither PostgreSQL nor the reader may keep the other waiting.
    patience: Duration,
}

impl Streams {
    pub(super) fn new(pool: Pool, limits: &Limits) -> Self {
        let permits = Arc::new(Semaphore::new(limits.pool_size.div_ceil(2)));
        Self { pool, permits, wait: limits.pool_timeout, patience: limits.statement_timeout }
    }

    /// Asks for a list; `None` when the group that it belongs to does not exist.
    pub(super) async fn start(
        &self,
        statement: Statement,
        values: &Values<'_>,
        page: Page,
    ) -> Result<Option<Groups>, Error> {
        let permit = timeout(self.wait, self.permits.clone().acquire_owned());
        let permit = permit.await.map_err(|_elapsed| Error::Overloaded)?.map_err(Error::internal)?;
        let mut rows = Streaming::start(&self.pool, statement, values).await?;
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
        let mut list =
            Coming { rows, _permit: permit, page, total, given: 0, has_more: false, part: Vec::new() };
        list.take(&first)?;
        let (sender, parts) = mpsc::channel(1);
        let patience = self.patience;
        tokio::spawn(async move {
            // A reader who is gone needs nothing more.
            tokio::select! {
                () = sender.closed() => {}
                () = list.hand_on(&sender, patience) => {}
            }
        });
        Ok(Some(Groups(Source::Coming(parts))))
    }
}

/// A list that is being read.
struct Coming {
    rows: Streaming,
    /// Given back with the connection: what waits for its reader after that keeps nobody else waiting.
    _permit: OwnedSemaphorePermit,
    page: Page,
    /// The number of groups in the whole list; `None` when it is that of the groups that come.
    total: Option<i64>,
    given: usize,
    has_more: bool,
    part: Vec<CustomerGroup>,
}

impl Coming {
    async fn hand_on(mut self, reader: &mpsc::Sender<Result<Part, Error>>, patience: Duration) {
        loop {
            let part = match timeout(patience, self.fill()).await {
                Ok(Ok(true)) => Ok(Part { list: self.list(0), is_last: false }),
                Ok(Ok(false)) => {
                    let last = self.last().await.map(|list| Part { list, is_last: true });
                    // A reader who is gone needs nothing more.
                    drop(reader.send(last).await);
                    return;
                }
                Ok(Err(error)) => Err(error),
                Err(_elapsed) => Err(Error::Timeout),
            };
            let failed = part.is_err();
            let sent = timeout(patience, reader.send(part)).await;
            if failed || !matches!(sent, Ok(Ok(()))) {
                return;
            }
        }
    }

    /// Reads until a part is full; `false` when nothing more comes.
    async fn fill(&mut self) -> Result<bool, Error> {
        while self.part.len() < PART {
            let Some(row) = self.rows.next().await? else { return Ok(false) };
            self.take(&row)?;
        }
        Ok(true)
    }

    fn take(&mut self, row: &tokio_postgres::Row) -> Result<(), Error> {
        if !has_group(row, GROUP_AFTER_TOTAL)? {
            return Ok(());
        }
        if self.page.limit.is_some_and(|limit| self.given >= limit as usize) {
            self.has_more = true;
            return Ok(());
        }
        self.given += 1;
        self.part.push(group(row, GROUP_AFTER_TOTAL)?);
        Ok(())
    }

    fn list(&mut self, total: i32) -> List {
        let data = std::mem::replace(&mut self.part, Vec::with_capacity(PART));
        List { data, has_more: self.has_more, total }
    }

    async fn last(mut self) -> Result<List, Error> {
        let total = match self.total {
            Some(total) => i32::try_from(total),
            None => i32::try_from(self.given),
        };
        let list = self.list(total.map_err(Error::internal)?);
        self.rows.finish().await?;
        Ok(list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_list_that_nobody_hands_on_any_more_ends_in_an_error() {
        let (sender, parts) = mpsc::channel(1);
        let mut groups = Groups(Source::Coming(parts));
        let list = List { data: Vec::new(), has_more: false, total: 0 };
        sender.send(Ok(Part { list, is_last: false })).await.unwrap();
        drop(sender);
        assert!(matches!(groups.next().await, Some(Ok(_))));
        assert!(matches!(groups.next().await, Some(Err(Error::Timeout))));
        assert!(groups.next().await.is_none());
    }
}
