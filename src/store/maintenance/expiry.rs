//! The removal of expired idempotency records.

use crate::error::Error;
use crate::store::Store;
use crate::store::exec::{Statement, write};

/// The most records that are removed at once, so that no statement takes long.
const BATCH: u16 = 1000;

/// Skips records that a create takes over at this moment.
const REMOVE: Statement = Statement::new(
    "remove expired idempotency keys",
    "delete from idempotency_key where (api_key_digest, key) in (
         select api_key_digest, key from idempotency_key
         where created_at <= now() - interval '24 hours'
         order by created_at limit $1 for update skip locked)
     returning true",
);

impl Store {
    /// Removes all idempotency records that have expired.
    pub(crate) async fn remove_expired_records(&self) -> Result<(), Error> {
        let pool = self.background_pool()?;
        while write(&pool, REMOVE, &[&i64::from(BATCH)]).await?.len() == usize::from(BATCH) {}
        Ok(())
    }
}
