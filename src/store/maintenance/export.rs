//! Export of all customer groups, or of a subtree.

use std::pin::Pin;

use deadpool_postgres::Object;
use futures_util::TryStreamExt;
use tokio_postgres::RowStream;

use super::migrate;
use super::verify::BEGIN;
use crate::domain::{CustomerGroup, GroupId};
use crate::error::chain;
use crate::store::connect::{CircuitBreaker, Database, StoreOptions};
use crate::store::errors::StartupError;
use crate::store::groups::rows::{columns, group};

/// Returns a group and all its descendants. Ends also if they contain a cycle.
fn subtree_sql() -> String {
    format!(
        "with recursive subtree as (
             select $1::uuid as id
             union
             select g.id from subtree join customer_group g on g.parent_id = subtree.id
         )
         select {} from subtree join customer_group g using (id) order by g.id",
        columns("g")
    )
}

/// All groups in one snapshot, in the order of their creation. Services may run meanwhile.
pub struct Export {
    rows: Pin<Box<RowStream>>,
    _connection: Object,
}

impl Export {
    /// Starts to read all groups, or one and its descendants. Returns `None` if there is no such group.
    pub async fn begin(
        database: &Database,
        options: &StoreOptions,
        within: Option<GroupId>,
    ) -> Result<Option<Self>, StartupError> {
        let connection = database.pool(options, 1, &CircuitBreaker::default())?.get_anyway().await?;
        connection.batch_execute(BEGIN).await?;
        migrate::check(&connection).await?;
        let rows = match within.map(GroupId::uuid) {
            None => {
                let groups = format!("select {} from customer_group g order by g.id", columns("g"));
                connection.query_raw(&groups, [] as [&str; 0]).await?
            }
            Some(id) => {
                let found = connection.query("select from customer_group where id = $1", &[&id]).await?;
                if found.is_empty() {
                    return Ok(None);
                }
                connection.query_raw(&subtree_sql(), [id]).await?
            }
        };
        Ok(Some(Self { rows: Box::pin(rows), _connection: connection }))
    }

    /// Returns the next group; `None` after the last one.
    pub async fn next(&mut self) -> Result<Option<CustomerGroup>, StartupError> {
        let Some(row) = self.rows.try_next().await? else { return Ok(None) };
        group(&row, 0)
            .map(Some)
            .map_err(|error| StartupError::Corrupt(error.cause().unwrap_or_else(|| chain(&error))))
    }
}
