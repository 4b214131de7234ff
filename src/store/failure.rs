//! What PostgreSQL's errors mean to a caller.

use std::error::Error as StdError;
use std::io;

use deadpool_postgres::{PoolError, TimeoutType};
use tokio_postgres::Error as PgError;
use tokio_postgres::error::SqlState;

use crate::error::Error;

/// Why a piece of work was not done.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// There was no connection to do it on.
    #[error("no connection to the database")]
    Connect(#[from] PoolError),
    /// A statement failed.
    #[error("a statement failed")]
    Query(#[from] PgError),
}

impl Failure {
    /// Whether the foreign key of that name was violated. Since PostgreSQL 18 the restricting side has a
    /// state of its own.
    pub(super) fn violates_foreign_key(&self, constraint: &str) -> bool {
        let Self::Query(error) = self else { return false };
        let states = [SqlState::FOREIGN_KEY_VIOLATION, SqlState::RESTRICT_VIOLATION];
        error
            .as_db_error()
            .is_some_and(|error| states.contains(error.code()) && error.constraint() == Some(constraint))
    }

    /// Whether the transaction lost against another one and may be tried again as a whole.
    pub(super) fn is_conflict(&self) -> bool {
        let Self::Query(error) = self else { return false };
        let states = [SqlState::T_R_SERIALIZATION_FAILURE, SqlState::T_R_DEADLOCK_DETECTED];
        error.code().is_some_and(|state| states.contains(state))
    }
}

impl From<Failure> for Error {
    /// What is left when no constraint that the statement knows is to blame.
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Connect(PoolError::Timeout(TimeoutType::Wait)) => Self::Overloaded,
            // Whatever the reason is, a login that is refused included, it is no fault of the call.
            Failure::Connect(
                PoolError::Timeout(TimeoutType::Create | TimeoutType::Recycle)
                | PoolError::Backend(_)
                | PoolError::Closed,
            ) => Self::Unavailable(failure.into()),
            Failure::Connect(PoolError::NoRuntimeSpecified | PoolError::PostCreateHook(_)) => {
                Self::internal(failure)
            }
            Failure::Query(ref error) => match error.code() {
                Some(state) if is_away(state) => Self::Unavailable(failure.into()),
                Some(state) if is_timeout(state) => Self::Timeout,
                None if is_broken_connection(error) => Self::Unavailable(failure.into()),
                Some(_) | None => Self::internal(failure),
            },
        }
    }
}

/// States of a server that is starting, stopping, out of resources, or not the one that takes writes.
fn is_away(state: &SqlState) -> bool {
    const CONNECTION_EXCEPTION: &str = "08";
    const INSUFFICIENT_RESOURCES: &str = "53";
    let states = [
        SqlState::ADMIN_SHUTDOWN,
        SqlState::CRASH_SHUTDOWN,
        SqlState::CANNOT_CONNECT_NOW,
        SqlState::READ_ONLY_SQL_TRANSACTION,
    ];
    let code = state.code();
    code.starts_with(CONNECTION_EXCEPTION)
        || code.starts_with(INSUFFICIENT_RESOURCES)
        || states.contains(state)
}

fn is_timeout(state: &SqlState) -> bool {
    [SqlState::QUERY_CANCELED, SqlState::LOCK_NOT_AVAILABLE].contains(state)
}

/// Whether the connection could not be made or was lost.
fn is_broken_connection(error: &PgError) -> bool {
    error.is_closed() || error.source().is_some_and(<dyn StdError>::is::<io::Error>)
}
