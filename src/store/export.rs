//! All customer groups, for a file.

use std::pin::Pin;

use deadpool_postgres::Object;
use futures_util::TryStreamExt;
use tokio_postgres::RowStream;

use super::pool::Breaker;
use super::rows::{columns, group};
use super::verify::BEGIN;
use super::{Database, Limits, OpenError, migrate};
use crate::domain::CustomerGroup;
use crate::error::chain;

const GROUPS: &str = concat!("select ", columns!("g"), " from customer_group g order by g.id");

/// All groups as they are at one instant, also while services run on the database, in the order of their creation.
pub struct Export {
    rows: Pin<Box<RowStream>>,
    _connection: Object,
}

impl Export {
    /// Begins to read. Changes nothing.
    ///
    /// # Errors
    ///
    /// Those of [`verify`](super::verify).
    pub async fn begin(database: &Database, limits: &Limits) -> Result<Self, OpenError> {
        let connection = database.pool(limits, 1, &Breaker::default())?.get_anyway().await?;
        connection.batch_execute(BEGIN).await?;
        migrate::check(&connection).await?;
        let rows = Box::pin(connection.query_raw(GROUPS, [] as [&str; 0]).await?);
        Ok(Self { rows, _connection: connection })
    }

    /// The next group; `None` after the last one. PostgreSQL reads on only as fast as this is called.
    ///
    /// # Errors
    ///
    /// [`OpenError::Corrupt`], and those of [`Export::begin`].
    pub async fn next(&mut self) -> Result<Option<CustomerGroup>, OpenError> {
        let Some(row) = self.rows.try_next().await? else { return Ok(None) };
        group(&row, 0).map(Some).map_err(|error| {
            let cause = error.record().cause;
            OpenError::Corrupt(cause.unwrap_or_else(|| chain(&error)))
        })
    }
}
