//! Streams of rows.

use std::pin::Pin;

use futures_util::TryStreamExt;
use futures_util::future::try_join;
use tokio_postgres::Row;

use super::pooled_connection::{PooledConnection, acquire, release};
use super::statement::{Statement, Values, end, with_valid_plans};
use crate::store::connect::Pool;
use crate::store::errors::StoreError;
use crate::telemetry::traces::StatementSpan;

/// The rows of one statement, read one by one without a time limit, on a connection of its own. Dropped before
/// [`RowStream::finish`], it cancels the statement.
pub(crate) struct RowStream {
    connection: PooledConnection,
    rows: Pin<Box<tokio_postgres::RowStream>>,
    /// Ends with the last row.
    span: Option<StatementSpan>,
}

impl RowStream {
    pub(crate) async fn start(
        pool: &Pool,
        statement: Statement,
        values: &Values<'_>,
    ) -> Result<Self, StoreError> {
        with_valid_plans(pool, || Self::try_start(pool, statement, values)).await
    }

    async fn try_start(pool: &Pool, statement: Statement, values: &Values<'_>) -> Result<Self, StoreError> {
        // The time includes the reader's, which PostgreSQL must not limit.
        const BEGIN: &str = "begin; set local statement_timeout = 0; \
             set local idle_in_transaction_session_timeout = 0";
        let connection = acquire(pool).await?;
        let span = statement.span();
        let rows = async {
            let statement = connection.prepare_cached(statement.sql).await?;
            // Sent in this order, as they are polled.
            let rows = connection.query_raw(&statement, values.iter().copied());
            try_join(connection.batch_execute(BEGIN), rows).await
        };
        match rows.await {
            Ok(((), rows)) => Ok(Self { rows: Box::pin(rows), connection, span }),
            Err(error) => {
                end(span, Some(&error));
                Err(error.into())
            }
        }
    }

    /// Returns the next row; `None` after the last one.
    pub(crate) async fn next(&mut self) -> Result<Option<Row>, StoreError> {
        let row = self.rows.try_next().await;
        if let Err(error) = &row {
            end(self.span.take(), Some(error));
        }
        Ok(row?)
    }

    /// Releases the connection. It reads and drops all remaining rows, so there should be few.
    pub(crate) async fn finish(self) -> Result<(), StoreError> {
        let Self { connection, rows, span } = self;
        drop(rows);
        end(span, None);
        let committed = connection.batch_execute("commit").await;
        release(connection, committed)
    }
}
