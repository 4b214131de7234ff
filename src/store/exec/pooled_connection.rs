//! Connections in use.

use std::ops::Deref;
use std::time::Duration;

use deadpool_postgres::Object;
use futures_util::future::try_join;
use scopeguard::ScopeGuard;
use tokio::time::timeout;
use tokio_postgres::Error as PgError;

use crate::store::connect::{Pool, Tls};
use crate::store::errors::{StoreError, is_unavailable};

/// Time limit for cancelling a statement.
const ABANDON_TIMEOUT: Duration = Duration::from_secs(1);

/// A connection in use. If the call is cancelled, it is dropped without [`release`], and its guard runs.
pub(super) type PooledConnection = ScopeGuard<Connection, fn(Connection)>;

/// A connection, and the TLS connector that a request to cancel its statement needs.
pub(super) struct Connection {
    object: Object,
    tls: Tls,
}

impl Deref for Connection {
    type Target = Object;

    fn deref(&self) -> &Object {
        &self.object
    }
}

/// Returns a connection whose statement is cancelled when the caller goes away.
pub(super) async fn acquire(pool: &Pool) -> Result<PooledConnection, StoreError> {
    let connection = Connection { object: pool.get().await?, tls: pool.tls().clone() };
    Ok(scopeguard::guard(connection, |connection| drop(tokio::spawn(abandon(connection)))))
}

/// Returns a connection that is closed when the probe is given up, so that no call waits for it.
pub(super) async fn acquire_for_probe(pool: &Pool) -> Result<PooledConnection, StoreError> {
    let connection = Connection { object: pool.get_anyway().await?, tls: pool.tls().clone() };
    Ok(scopeguard::guard(connection, |connection| drop(Object::take(connection.object))))
}

/// Returns a connection to its pool, and returns the result of its statement. Closes a broken connection instead. Also
/// closes it after an error that PostgreSQL did not send, because its state is unknown.
pub(super) fn release<T>(connection: PooledConnection, done: Result<T, PgError>) -> Result<T, StoreError> {
    let Connection { object, .. } = ScopeGuard::into_inner(connection);
    if done.as_ref().is_err_and(|error| is_unavailable(error) || error.as_db_error().is_none()) {
        drop(Object::take(object));
    }
    Ok(done?)
}

/// Cancels the statement on a connection and closes the connection. Until then it counts as in use, so that callers who
/// go away cannot cause more connections than the pool allows. It is not used again: PostgreSQL may handle the
/// cancellation late, and would end the next user's statement.
async fn abandon(Connection { object, tls }: Connection) {
    let token = object.cancel_token();
    // If the connection breaks meanwhile, the cancellation is not needed, and might not get through.
    let ended = try_join(token.cancel_query(tls), object.batch_execute(""));
    // Both results mean the same: the statement, or the connection, has ended.
    drop(timeout(ABANDON_TIMEOUT, ended).await);
    drop(Object::take(object));
}
