//! Lists from a standby, which may be behind, and from the primary where a standby has no answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use deadpool_postgres::PoolError;
use tokio::time::sleep;

use super::connection::{Statement, beat};
use super::failure::Failure;
use super::lists::Lists;
use super::{Database, Limits, OpenError, Store};
use crate::domain::Freshness;
use crate::error::Error;

/// How often a standby is asked whether it answers, and how long it may take.
const PERIOD: Duration = Duration::from_millis(500);
const PATIENCE: Duration = Duration::from_millis(700);

/// What a standby can do that has the tables by now.
const TRY: Statement = Statement::new("try standby", "select from customer_group limit 1");

/// Where lists are read that may be behind.
#[derive(Debug, Clone)]
pub(super) struct Standby {
    database: Database,
    lists: Lists,
    /// Whether nothing is asked of it at present, by any thread.
    is_away: Arc<AtomicBool>,
}

impl Standby {
    fn new(database: &Database, limits: &Limits) -> Result<Self, OpenError> {
        let lists = Lists::new(database, limits)?;
        Ok(Self { database: database.clone(), lists, is_away: Arc::default() })
    }

    /// The same for the thread of this runtime.
    pub(super) fn reading_here(&self, limits: &Limits) -> Result<Self, OpenError> {
        Ok(Self { lists: self.lists.reading_here(&self.database, limits)?, ..self.clone() })
    }

    /// The lists of its server.
    pub(super) fn lists(&self) -> &Lists {
        &self.lists
    }

    /// Closes the connections.
    pub(super) fn close(&self) {
        self.lists.close();
    }

    /// What it answers, when that can be told to the caller.
    async fn ask<T>(&self, read: impl Future<Output = Result<T, Error>>) -> Option<Result<T, Error>> {
        match read.await {
            // Whoever had to wait here is not sent to wait at the primary, too.
            done @ (Ok(_) | Err(Error::Overloaded | Error::Timeout)) => Some(done),
            Err(error) => {
                // Otherwise it is only behind: the primary may know a group that it does not know yet.
                if matches!(error, Error::Unavailable(_) | Error::Internal(_)) {
                    self.leave_alone(&error);
                }
                None
            }
        }
    }

    /// Asks nothing of it until it works again.
    fn leave_alone(&self, error: &Error) {
        if !self.is_away.swap(true, Ordering::Relaxed) {
            let (database, cause) = (&self.database, error.record().cause);
            tracing::warn!(%database, cause, "the standby has no answer: lists are read from the primary");
        }
    }

    /// Asks it again and again whether it works, until its connections are closed. One that has gone silent is left
    /// by those who wait for it.
    async fn watch(self) {
        loop {
            sleep(PERIOD).await;
            match beat(self.lists.pool(), TRY, PATIENCE).await {
                Ok(_) if self.is_away.swap(false, Ordering::Relaxed) => {
                    tracing::info!(database = %self.database, "lists are read from the standby again");
                }
                Ok(_) => {}
                Err(Failure::Connect(PoolError::Closed)) => return,
                Err(failure) => self.leave_alone(&failure.into()),
            }
        }
    }
}

impl Store {
    /// The same with a standby, from which those lists are read that may be behind. Nothing is written there, and
    /// when it cannot be reached, now or later, all lists are read from the primary.
    ///
    /// # Errors
    ///
    /// That there can be no such connections.
    pub fn with_standby(self, standby: &Database) -> Result<Self, OpenError> {
        let standby = Standby::new(standby, &self.limits)?;
        tokio::spawn(standby.clone().watch());
        Ok(Self { standby: Some(standby), ..self })
    }

    /// Reads a list from where it may be read. What is refused is refused by the primary, which knows every group.
    pub(super) async fn read<T, F>(&self, freshness: Freshness, read: impl Fn(Lists) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        if let (Freshness::MayLag, Some(standby)) = (freshness, &self.standby)
            && !standby.is_away.load(Ordering::Relaxed)
            && let Some(done) = standby.ask(read(standby.lists.clone())).await
        {
            return done;
        }
        read(self.lists.clone()).await
    }
}
