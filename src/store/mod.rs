//! All SQL. Maps PostgreSQL's errors to [`Error`], or to [`StartupError`] at start.
//!
//! A module uses only those after it: `replica`, `maintenance`, `keys`, `groups`, `exec`, `connect`, `errors`. The methods
//! of [`Store`] stand beside their SQL.

mod connect;
mod errors;
mod exec;
mod groups;
mod keys;
mod maintenance;
mod replica;

pub use connect::{Database, PoolState, StoreOptions};
pub use errors::StartupError;
pub(crate) use groups::CONNECTIONS_PER_WORKER;
pub use groups::{BatchCreateOutcome, CreateOutcome, GroupStream, ParentCheck};
pub use maintenance::{Export, SoundImport, verify};
pub(crate) use replica::{PROBE_INTERVAL, PROBE_TIMEOUT};

use std::sync::Arc;

use tokio::sync::watch;

use crate::domain::{Consistency, Reader};
use crate::error::Error;
use crate::telemetry::Counts;
use connect::Pool;
use groups::{BatcherMetrics, GroupReader};
use maintenance::NameSearch;
use replica::Replica;

/// The database and its connections. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    database: Database,
    options: StoreOptions,
    pool: Pool,
    /// A separate pool for the health probe and the refresh of API keys, so that they do not wait behind calls.
    watch: Pool,
    reader: GroupReader,
    replica: Option<Replica>,
    /// Shared by all threads.
    name_search: Arc<watch::Sender<NameSearch>>,
}

impl Store {
    /// Connects, checks the server, and runs the missing migrations. Several services may do so at once.
    pub async fn open(database: &Database, options: &StoreOptions) -> Result<Self, StartupError> {
        let reader = GroupReader::new(database, options)?;
        let pool = reader.pool.clone();
        let store = Self {
            database: database.clone(),
            options: options.clone(),
            watch: database.pool(options, 1, pool.breaker())?,
            pool,
            reader,
            replica: None,
            name_search: Arc::default(),
        };
        store.migrate().await?;
        Ok(store)
    }

    /// Adds a read replica for lists that may lag. While it is unavailable, all lists are read from the primary.
    pub fn with_replica(self, database: &Database) -> Result<Self, StartupError> {
        Ok(Self { replica: Some(Replica::start(database, &self.options)?), ..self })
    }

    /// Returns a store for the thread of this runtime, with read batchers and their connections of its own.
    pub fn for_this_thread(&self) -> Result<Self, StartupError> {
        let reader = self.reader.for_this_thread(&self.database, &self.options)?;
        let replica =
            self.replica.as_ref().map(|replica| replica.for_this_thread(&self.options)).transpose()?;
        Ok(Self { reader, replica, ..self.clone() })
    }

    /// Returns a pool of one connection for work in the background, which takes none of those for calls. It is closed when
    /// it is dropped.
    pub(crate) fn background_pool(&self) -> Result<Pool, Error> {
        self.database.pool(&self.options, 1, self.watch.breaker()).map_err(Error::internal)
    }

    /// Closes the connections. Later calls fail with [`Error::Unavailable`].
    pub fn close(&self) {
        self.pool.close();
        self.watch.close();
        if let Some(replica) = &self.replica {
            replica.close();
        }
    }

    /// Returns the state of each pool. Those of all threads are added up.
    #[must_use]
    pub fn pools(&self) -> Vec<PoolState> {
        let mut pools = vec![self.reader.pool_state("calls"), self.watch.state("watch")];
        pools.extend(self.reader.batcher_metrics.pool_state("reads"));
        pools.extend(self.replica.iter().flat_map(Replica::pools));
        pools
    }

    /// Returns the number of reads per statement, by the kind of the read.
    #[must_use]
    pub fn batch_sizes(&self) -> Vec<(&'static str, Counts)> {
        let readers = self.replica.iter().map(|replica| &replica.reader).chain([&self.reader]);
        BatcherMetrics::batch_sizes(readers.map(|reader| &reader.batcher_metrics))
    }

    /// Reads from the replica, if the consistency allows it and the replica has an answer, and else from the primary.
    async fn read<T, F>(&self, reader: Reader, read: impl Fn(GroupReader) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        if let (Consistency::MayLag, Some(replica)) = (reader.consistency, &self.replica)
            && let Some(done) = replica.read(&read).await
        {
            return done;
        }
        read(self.reader.clone()).await
    }
}
