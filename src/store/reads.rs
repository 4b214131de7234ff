//! Point reads, asked together: those that come while a statement is under way go out with the next one.
//!
//! A read that begins after a write was acknowledged sees it, since no statement answers a read that came after
//! it was sent.

use std::collections::HashMap;
use std::time::Duration;

use deadpool_postgres::Pool;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_postgres::Row;
use uuid::Uuid;

use super::connection::query;
use super::rows::{columns, group, read};
use crate::domain::{CustomerGroup, GroupId};
use crate::error::Error;

const GET: &str = concat!("select ", columns!("g"), " from customer_group g where id = any($1)");

/// The most groups that one statement is asked for, so that nobody waits long for others.
const MAX_BATCH: usize = 256;

type Answer = Result<Option<CustomerGroup>, Error>;

struct Read {
    id: Uuid,
    answer: oneshot::Sender<Answer>,
}

/// The way in. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Reads(mpsc::UnboundedSender<Read>);

impl Reads {
    /// Reads by the pool from now on, one statement at a time, until nobody can ask any more. A statement that
    /// takes longer than `patience` is given up.
    pub(super) fn start(pool: Pool, patience: Duration) -> Self {
        let (sender, queue) = mpsc::unbounded_channel();
        tokio::spawn(serve(pool, patience, queue));
        Self(sender)
    }

    /// One group; `None` when there is none.
    pub(super) async fn get(&self, id: GroupId) -> Answer {
        let (answer, answered) = oneshot::channel();
        self.0.send(Read { id: id.uuid(), answer }).map_err(|_| Error::internal("nobody reads any more"))?;
        answered.await.map_err(Error::internal)?
    }
}

async fn serve(pool: Pool, patience: Duration, mut queue: mpsc::UnboundedReceiver<Read>) {
    let mut reads = Vec::with_capacity(MAX_BATCH);
    while queue.recv_many(&mut reads, MAX_BATCH).await > 0 {
        // Nobody waits for the answer to those.
        reads.retain(|read| !read.answer.is_closed());
        if reads.is_empty() {
            continue;
        }
        let ids: Vec<Uuid> = reads.iter().map(|read| read.id).collect();
        let asked = timeout(patience, query(&pool, GET, &[&ids])).await;
        let found = asked.as_ref().map(|rows| rows.as_ref().map(|rows| by_id(rows)));
        for Read { id, answer } in reads.drain(..) {
            let answered = match &found {
                Ok(Ok(Ok(rows))) => rows.get(&id).map(|row| group(row, 0)).transpose(),
                Ok(Ok(Err(error))) => Err(Error::internal(error.to_string())),
                Ok(Err(failure)) => Err(Error::from(*failure)),
                Err(_elapsed) => Err(Error::Timeout),
            };
            // Who is gone by now needs no answer.
            drop(answer.send(answered));
        }
    }
}

fn by_id(rows: &[Row]) -> Result<HashMap<Uuid, &Row>, Error> {
    rows.iter().map(|row| Ok((read(row, 0)?, row))).collect()
}
