//! Export of all customer groups.

use std::pin::Pin;

use deadpool_postgres::Object;
use futures_util::TryStreamExt;
use tokio_postgres::RowStream;

use super::migrate;
use super::verify::BEGIN;
use crate::domain::CustomerGroup;
use crate::error::chain;
use crate::store::connect::{CircuitBreaker, Database, StoreOptions};
use crate::store::errors::StartupError;
use crate::store::groups::rows::{columns, group};

/// All groups in one snapshot, in the order of their creation. Services may run meanwhile.
pub struct Export {
    rows: Pin<Box<RowStream>>,
    _connection: Object,
}

impl Export {
    /// Starts to read.
    pub async fn begin(database: &Database, options: &StoreOptions) -> Result<Self, StartupError> {
        let connection = database.pool(options, 1, &CircuitBreaker::default())?.get_anyway().await?;
        connection.batch_execute(BEGIN).await?;
        migrate::check(&connection).await?;
        let groups = format!("select {} from customer_group g order by g.id", columns("g"));
        let rows = Box::pin(connection.query_raw(&groups, [] as [&str; 0]).await?);
        Ok(Self { rows, _connection: connection })
    }

    /// Returns the next group; `None` after the last one.
    pub async fn next(&mut self) -> Result<Option<CustomerGroup>, StartupError> {
        let Some(row) = self.rows.try_next().await? else { return Ok(None) };
        group(&row, 0)
            .map(Some)
            .map_err(|error| StartupError::Corrupt(error.cause().unwrap_or_else(|| chain(&error))))
    }
}
