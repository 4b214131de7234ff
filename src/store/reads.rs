//! Reads of one group and of its ancestors, asked together: those that come while a statement is under way go out
//! with the next one.
//!
//! A read that begins after a write was acknowledged sees it, since no statement answers a read that came after
//! it was sent.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_postgres::Row;
use uuid::Uuid;

use super::connection::{Statement, query};
use super::pool::Pool;
use super::rows::{columns, group, read};
use crate::domain::{CustomerGroup, GroupId};
use crate::error::Error;
use crate::histogram::Histogram;
use crate::traces::Trace;

/// How many connections the reads use.
pub(super) const CONNECTIONS: usize = 2;

/// The groups that are asked for, each of which begins with its id.
pub(super) const GET: Statement = Statement::new(
    "get groups by id",
    concat!("select ", columns!("g"), " from customer_group g where id = any($1)"),
);

/// Each group that is asked for, with its ancestors up to a distance that few trees have.
const CHAIN: Statement = Statement::new(
    "get groups with ancestors",
    concat!(
        "with recursive walk as (
         select g.id as asked, 0 as distance, ",
        columns!("g"),
        " from customer_group g where g.id = any($1)
      union all
      select walk.asked, walk.distance + 1, ",
        columns!("g"),
        " from walk join customer_group g on g.id = walk.parent_id where walk.distance < 100)
     select asked, ",
        columns!("walk"),
        " from walk order by asked, distance"
    ),
);

/// The most groups that one statement is asked for, so that nobody waits long for others.
const MAX_BATCH: usize = 256;

/// The bounds of how many there are in one statement.
const SIZES: [u64; 9] = [1, 2, 4, 8, 16, 32, 64, 128, MAX_BATCH as u64];

type Answer<T> = Result<Option<T>, Error>;

struct Read<T> {
    id: Uuid,
    /// That of its caller, when that is sampled.
    trace: Option<Trace>,
    answer: oneshot::Sender<Answer<T>>,
}

/// The ancestors of a group, its parent first.
#[derive(Debug)]
pub(super) struct Chain {
    pub(super) groups: Vec<CustomerGroup>,
    /// Whether these are all.
    pub(super) is_complete: bool,
}

/// The way in. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Reads {
    groups: mpsc::UnboundedSender<Read<CustomerGroup>>,
    chains: mpsc::UnboundedSender<Read<Chain>>,
    pub(super) sizes: Arc<BatchSizes>,
}

/// How many reads each statement answered.
#[derive(Debug)]
pub(super) struct BatchSizes {
    pub(super) groups: Histogram,
    pub(super) chains: Histogram,
}

impl Reads {
    /// Reads by the pool from now on, one statement of a kind at a time, until nobody can ask any more. A statement
    /// that takes longer than `patience` is given up.
    pub(super) fn start(pool: &Pool, patience: Duration) -> Self {
        let sizes = Arc::new(BatchSizes { groups: Histogram::new(&SIZES), chains: Histogram::new(&SIZES) });
        let (of_groups, of_chains) = (sizes.clone(), sizes.clone());
        Self {
            groups: serve(pool.clone(), patience, GET, first, move |size| of_groups.groups.count(size)),
            chains: serve(pool.clone(), patience, CHAIN, chain, move |size| of_chains.chains.count(size)),
            sizes,
        }
    }

    /// One group; `None` when there is none.
    pub(super) async fn get(&self, id: GroupId) -> Answer<CustomerGroup> {
        ask(&self.groups, id).await
    }

    /// The ancestors of a group; `None` when there is no such group.
    pub(super) async fn chain(&self, id: GroupId) -> Answer<Chain> {
        ask(&self.chains, id).await
    }
}

async fn ask<T>(reads: &mpsc::UnboundedSender<Read<T>>, id: GroupId) -> Answer<T> {
    let (answer, answered) = oneshot::channel();
    reads
        .send(Read { id: id.uuid(), trace: Trace::current(), answer })
        .map_err(|_| Error::internal("nobody reads any more"))?;
    answered.await.map_err(Error::internal)?
}

/// Answers reads by a statement whose rows begin with the id that was asked for, those of one id together.
fn serve<T: Send + 'static>(
    pool: Pool,
    patience: Duration,
    statement: Statement,
    parse: fn(&[Row]) -> Result<T, Error>,
    note_size: impl Fn(u64) + Send + 'static,
) -> mpsc::UnboundedSender<Read<T>> {
    let (sender, mut queue) = mpsc::unbounded_channel::<Read<T>>();
    tokio::spawn(async move {
        let mut reads = Vec::with_capacity(MAX_BATCH);
        while queue.recv_many(&mut reads, MAX_BATCH).await > 0 {
            // Nobody waits for the answer to those.
            reads.retain(|read| !read.answer.is_closed());
            if reads.is_empty() {
                continue;
            }
            note_size(reads.len() as u64);
            let ids: Vec<Uuid> = reads.iter().map(|read| read.id).collect();
            // The trace of each caller has the statement in it.
            let begin = |read: &Read<T>| read.trace.as_ref()?.statement(statement.name, ids.len());
            let spans: Vec<_> = reads.iter().filter_map(begin).collect();
            let asked = timeout(patience, query(&pool, statement, &[&ids])).await;
            for span in spans {
                span.end(match &asked {
                    Ok(Ok(_)) => None,
                    Ok(Err(failure)) => Some(failure.error_type()),
                    Err(_elapsed) => Some("timeout".into()),
                });
            }
            let found = asked.as_ref().map(|rows| rows.as_ref().map(|rows| by_id(rows)));
            for Read { id, answer, .. } in reads.drain(..) {
                let answered = match &found {
                    Ok(Ok(Ok(found))) => found.get(&id).map(|rows| parse(rows)).transpose(),
                    Ok(Ok(Err(error))) => Err(Error::internal(error.to_string())),
                    Ok(Err(failure)) => Err(Error::from(*failure)),
                    Err(_elapsed) => Err(Error::Timeout),
                };
                // Who is gone by now needs no answer.
                drop(answer.send(answered));
            }
        }
    });
    sender
}

fn by_id(mut rows: &[Row]) -> Result<HashMap<Uuid, &[Row]>, Error> {
    let mut found = HashMap::with_capacity(rows.len());
    while let Some(row) = rows.first() {
        let id: Uuid = read(row, 0)?;
        let mut length = 1;
        while let Some(row) = rows.get(length)
            && read::<Uuid>(row, 0)? == id
        {
            length += 1;
        }
        let (of_id, others) = rows.split_at(length);
        found.insert(id, of_id);
        rows = others;
    }
    Ok(found)
}

fn first(rows: &[Row]) -> Result<CustomerGroup, Error> {
    let row = rows.first().ok_or_else(|| Error::internal("a group has no row"))?;
    group(row, 0)
}

/// Reads the rows of a group and of its ancestors.
fn chain(rows: &[Row]) -> Result<Chain, Error> {
    let (_, ancestors) = rows.split_first().ok_or_else(|| Error::internal("a chain has no row"))?;
    let groups = ancestors.iter().map(|row| group(row, 1)).collect::<Result<Vec<_>, _>>()?;
    let top = rows.last().map(|row| read::<Option<Uuid>>(row, 3)).transpose()?;
    Ok(Chain { groups, is_complete: top.flatten().is_none() })
}
