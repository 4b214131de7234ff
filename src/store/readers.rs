//! The reads of all threads, and what metrics tell of them and of the connections.

use std::sync::{Arc, Mutex, PoisonError};

use super::pool::{Breaker, Pool, PoolState};
use super::reads::{BatchSizes, CONNECTIONS, Reads};
use super::standby::Standby;
use super::{Database, Limits, OpenError, Store};
use crate::histogram::{Counts, Histogram};

/// The reads of all threads on a server. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Readers(Arc<Mutex<Vec<Reader>>>);

/// Those of one thread.
#[derive(Debug, Clone)]
struct Reader {
    pool: Pool,
    sizes: Arc<BatchSizes>,
}

impl Readers {
    /// Starts the reads of one more thread, by connections of its own.
    pub(super) fn start(
        &self,
        database: &Database,
        limits: &Limits,
        breaker: &Breaker,
    ) -> Result<Reads, OpenError> {
        let pool = database.pool(limits, CONNECTIONS, breaker)?;
        let reads = Reads::start(&pool, limits.statement_timeout);
        let reader = Reader { pool, sizes: reads.sizes.clone() };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(reader);
        Ok(reads)
    }

    fn all(&self) -> Vec<Reader> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn state(&self, name: &'static str) -> Option<PoolState> {
        self.all().iter().map(|reader| reader.pool.state(name)).reduce(PoolState::and)
    }
}

impl Store {
    /// The connections at present, of all threads together.
    #[must_use]
    pub fn pools(&self) -> Vec<PoolState> {
        let mut pools = vec![self.pool.state("calls"), self.watch.state("watch")];
        pools.extend(self.lists.readers().state("reads"));
        if let Some(lists) = self.standby.as_ref().map(Standby::lists) {
            pools.push(lists.pool().state("standby_calls"));
            pools.extend(lists.readers().state("standby_reads"));
        }
        pools
    }

    /// How many reads of one group each statement answered, and how many of its ancestors, on all servers and
    /// threads together.
    #[must_use]
    pub fn batch_sizes(&self) -> Vec<(&'static str, Counts)> {
        let standby = self.standby.as_ref().map(|standby| standby.lists().readers().all());
        let readers = [self.lists.readers().all(), standby.unwrap_or_default()].concat();
        let counts =
            |of: fn(&BatchSizes) -> &Histogram| Counts::of(readers.iter().map(|reader| of(&reader.sizes)));
        let (groups, chains) = (counts(|sizes| &sizes.groups), counts(|sizes| &sizes.chains));
        [("get", groups), ("chain", chains)]
            .into_iter()
            .filter_map(|(name, counts)| Some((name, counts?)))
            .collect()
    }
}
