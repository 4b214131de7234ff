//! Batched reads of groups and of their ancestors.

use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use tokio_postgres::Row;
use uuid::Uuid;

use super::rows::{column, columns, group, read, statement};
use crate::domain::{CustomerGroup, Field, GroupId};
use crate::error::Error;
use crate::store::connect::{CircuitBreaker, Database, Pool, PoolState, StoreOptions};
use crate::store::errors::StartupError;
use crate::store::exec::{ReadBatcher, Statement};
use crate::telemetry::{Counts, Histogram};

/// Connections of each worker beside the pool, for reads of one group and of ancestors.
pub(crate) const CONNECTIONS_PER_WORKER: usize = 2;

/// Returns the groups with the ids `$1`.
pub(super) static GET: LazyLock<Statement> = LazyLock::new(|| {
    let group = columns("g");
    statement("get groups by id", format!("select {group} from customer_group g where id = any($1)"))
});

/// Returns the groups with the ids `$1` and their ancestors, up to a distance that few trees have.
static GET_PATH: LazyLock<Statement> = LazyLock::new(|| {
    let (group, walk) = (columns("g"), columns("walk"));
    let sql = format!(
        "with recursive walk as (
             select g.id as asked, 0 as distance, {group}
             from customer_group g where g.id = any($1)
             union all
             select walk.asked, walk.distance + 1, {group}
             from walk join customer_group g on g.id = walk.parent_id where walk.distance < 100
         )
         select asked, {walk} from walk order by asked, distance"
    );
    statement("get groups with ancestors", sql)
});

/// The ancestors of a group, its parent first.
#[derive(Debug, Clone)]
pub(crate) struct AncestorPath {
    pub(crate) groups: Vec<CustomerGroup>,
    /// Whether the path reaches the root.
    pub(crate) is_complete: bool,
}

/// The read batchers of one thread. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct ReadBatchers {
    groups: ReadBatcher<CustomerGroup>,
    paths: ReadBatcher<AncestorPath>,
}

impl ReadBatchers {
    pub(crate) async fn get(&self, id: GroupId) -> Result<CustomerGroup, Error> {
        self.groups.read(id.uuid()).await?.ok_or_else(|| Error::not_found(id))
    }

    pub(crate) async fn ancestor_path(&self, id: GroupId) -> Result<AncestorPath, Error> {
        self.paths.read(id.uuid()).await?.ok_or_else(|| Error::not_found(id))
    }
}

/// The metrics of the read batchers of all threads on a server. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct BatcherMetrics(Arc<Mutex<Vec<ThreadMetrics>>>);

#[derive(Debug, Clone)]
struct ThreadMetrics {
    pool: Pool,
    group_sizes: Arc<Histogram>,
    path_sizes: Arc<Histogram>,
}

impl BatcherMetrics {
    /// Starts the read batchers of one more thread, with a pool of their own.
    pub(crate) fn start_batchers(
        &self,
        database: &Database,
        options: &StoreOptions,
        breaker: &CircuitBreaker,
    ) -> Result<ReadBatchers, StartupError> {
        let pool = database.pool(options, CONNECTIONS_PER_WORKER, breaker)?;
        let groups = ReadBatcher::start(pool.clone(), options.statement_timeout, *GET, parse_group);
        let paths = ReadBatcher::start(pool.clone(), options.statement_timeout, *GET_PATH, parse_path);
        let (group_sizes, path_sizes) = (groups.sizes().clone(), paths.sizes().clone());
        let metrics = ThreadMetrics { pool, group_sizes, path_sizes };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(metrics);
        Ok(ReadBatchers { groups, paths })
    }

    pub(crate) fn pool_state(&self, name: &'static str) -> Option<PoolState> {
        self.threads().iter().map(|thread| thread.pool.state(name)).reduce(PoolState::add)
    }

    fn threads(&self) -> Vec<ThreadMetrics> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the number of reads per statement on several servers, by the kind of the read.
    pub(crate) fn batch_sizes<'a>(servers: impl Iterator<Item = &'a Self>) -> Vec<(&'static str, Counts)> {
        let threads: Vec<_> = servers.flat_map(Self::threads).collect();
        let groups = Counts::of(threads.iter().map(|thread| &*thread.group_sizes));
        let paths = Counts::of(threads.iter().map(|thread| &*thread.path_sizes));
        let sizes = [("get", groups), ("chain", paths)].into_iter();
        sizes.filter_map(|(kind, counts)| Some((kind, counts?))).collect()
    }
}

fn parse_group(rows: &[Row]) -> Result<CustomerGroup, Error> {
    let row = rows.first().ok_or_else(|| Error::internal("a group has no row"))?;
    group(row, 0)
}

fn parse_path(rows: &[Row]) -> Result<AncestorPath, Error> {
    let (_, ancestors) = rows.split_first().ok_or_else(|| Error::internal("an ancestor path has no row"))?;
    let groups = ancestors.iter().map(|row| group(row, 1)).collect::<Result<Vec<_>, _>>()?;
    let top = rows.last().map(|row| read::<Option<Uuid>>(row, 1 + column(Field::ParentId))).transpose()?;
    Ok(AncestorPath { groups, is_complete: top.flatten().is_none() })
}
