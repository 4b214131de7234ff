//! The newest id, from which the generator of ids goes on.

use uuid::Uuid;

use crate::domain::follow;
use crate::error::Error;
use crate::store::Store;
use crate::store::exec::{Statement, query};
use crate::store::groups::rows::read;

const NEWEST: Statement = Statement::new(
    "find newest group",
    "select id from customer_group where id < $1 order by id desc limit 1",
);

impl Store {
    /// Lets new ids follow those in the database.
    pub(crate) async fn follow_newest_id(&self) -> Result<(), Error> {
        let mut below = Some(Uuid::max());
        while let Some(bound) = below.take() {
            if let Some(row) = query(&self.pool, NEWEST, &[&bound]).await?.first() {
                below = follow(read::<Uuid>(row, 0)?);
            }
        }
        Ok(())
    }
}
