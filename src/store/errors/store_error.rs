//! Errors of statements, and what they mean to a caller.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::io;

use deadpool_postgres::{PoolError, TimeoutType};
use tokio_postgres::Error as PgError;
use tokio_postgres::error::SqlState;
use tokio_rustls::rustls::Error as TlsError;

use crate::error::{Error, chain};

/// Every way in which a statement can fail.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error("no connection to the database")]
    Connect(#[from] PoolError),
    #[error("too many calls wait for a connection to the database")]
    QueueFull,
    /// The circuit breaker is open, or a probe got no answer in time.
    #[error("the database does not answer")]
    Silent,
    #[error("a statement took too long")]
    Timeout,
    #[error("a statement failed")]
    Query(#[from] PgError),
    /// The connection broke before a write was answered. The write may have been committed.
    #[error("a write was not answered")]
    Interrupted(#[source] PgError),
    /// A transaction conflicted with others in every attempt.
    #[error("a transaction conflicted with others in every attempt")]
    Conflict(#[source] PgError),
    /// The idempotency key, quoted and shortened, has the record of another request.
    #[error("the idempotency key {0} was used for another request")]
    KeyReused(String),
}

impl StoreError {
    /// Whether the foreign key of that name was violated. Since PostgreSQL 18 the restricting side has a state of
    /// its own.
    pub(crate) fn violates_foreign_key(&self, constraint: &str) -> bool {
        let Self::Query(error) = self else { return false };
        let states = [SqlState::FOREIGN_KEY_VIOLATION, SqlState::RESTRICT_VIOLATION];
        error
            .as_db_error()
            .is_some_and(|error| states.contains(error.code()) && error.constraint() == Some(constraint))
    }

    /// Whether the transaction conflicted with another one and may be retried as a whole.
    pub(crate) fn is_conflict(&self) -> bool {
        matches!(self, Self::Query(error) if is_conflict(error))
    }

    /// Whether PostgreSQL no longer accepts a prepared statement: its columns have other types now, or the session has
    /// lost it. PostgreSQL detects both before it runs the statement.
    pub(crate) fn is_stale_plan(&self) -> bool {
        let states = [SqlState::FEATURE_NOT_SUPPORTED, SqlState::INVALID_SQL_STATEMENT_NAME];
        matches!(self, Self::Query(error) if error.code().is_some_and(|state| states.contains(state)))
    }

    /// Maps a serialization failure or a deadlock after the last retry.
    pub(crate) fn after_last_retry(self) -> Self {
        match self {
            Self::Query(error) if is_conflict(&error) => Self::Conflict(error),
            other => other,
        }
    }

    /// Maps a broken connection for a statement that writes.
    pub(crate) fn of_write(self) -> Self {
        match self {
            Self::Query(error) if is_session_ended(&error) => Self::Interrupted(error),
            other => other,
        }
    }

    /// Whether PostgreSQL sent this error, so that the database is alive.
    pub(crate) fn is_answer(&self) -> bool {
        matches!(self, Self::KeyReused(_))
            || self.pg_error().is_some_and(|error| error.as_db_error().is_some())
    }

    /// Returns the `error.type` of a span.
    pub(crate) fn error_type(&self) -> Cow<'static, str> {
        match self {
            Self::KeyReused(_) => "idempotency_key_reused".into(),
            Self::Timeout => "timeout".into(),
            other => other.pg_error().map_or("connection".into(), error_type),
        }
    }

    fn pg_error(&self) -> Option<&PgError> {
        match self {
            Self::Connect(PoolError::Backend(error))
            | Self::Query(error)
            | Self::Interrupted(error)
            | Self::Conflict(error) => Some(error),
            Self::Connect(_) | Self::QueueFull | Self::Silent | Self::Timeout | Self::KeyReused(_) => None,
        }
    }
}

impl From<&StoreError> for Error {
    /// Maps the errors that no constraint of the statement explains.
    fn from(error: &StoreError) -> Self {
        let cause = || chain(error);
        match error {
            StoreError::QueueFull
            | StoreError::Conflict(_)
            | StoreError::Connect(PoolError::Timeout(TimeoutType::Wait)) => Self::Overloaded,
            // Even a refused login is no fault of the call. The text of the pool would repeat the cause.
            StoreError::Connect(PoolError::Backend(error)) => Self::Unavailable(pg_message(error).into()),
            StoreError::Connect(
                PoolError::Timeout(TimeoutType::Create | TimeoutType::Recycle) | PoolError::Closed,
            )
            | StoreError::Silent => Self::Unavailable(cause().into()),
            StoreError::Connect(PoolError::NoRuntimeSpecified | PoolError::PostCreateHook(_)) => {
                Self::internal(cause())
            }
            StoreError::Interrupted(_) => Self::Interrupted(cause().into()),
            StoreError::Timeout => Self::Timeout,
            StoreError::Query(error) if is_timeout(error) => Self::Timeout,
            // A read conflicts only on a replica, with the replay of a change to the rows that it reads.
            StoreError::Query(error) if is_unavailable(error) || is_conflict(error) => {
                Self::Unavailable(cause().into())
            }
            StoreError::Query(_) => Self::internal(cause()),
            StoreError::KeyReused(key) => Self::IdempotencyKeyReused(key.clone()),
        }
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Self::from(&error)
    }
}

/// Returns the `error.type` of a span: the SQLSTATE, or `connection` when there was no answer.
pub(crate) fn error_type(error: &PgError) -> Cow<'static, str> {
    error.code().map_or(Cow::Borrowed("connection"), |state| state.code().to_owned().into())
}

/// Returns PostgreSQL's message, or the cause in the client library, whose errors show only their kind.
pub(crate) fn pg_message(error: &PgError) -> String {
    match (error.as_db_error(), error.source()) {
        (Some(error), _) => error.message().to_owned(),
        (None, Some(cause)) => cause.to_string(),
        (None, None) => error.to_string(),
    }
}

/// Whether the server is unreachable, starting, stopping, out of resources, ending sessions, or read-only.
pub(crate) fn is_unavailable(error: &PgError) -> bool {
    const INSUFFICIENT_RESOURCES: &str = "53";
    is_session_ended(error)
        || error.code().is_some_and(|state| {
            *state == SqlState::READ_ONLY_SQL_TRANSACTION || state.code().starts_with(INSUFFICIENT_RESOURCES)
        })
}

/// Whether the session ended, so that the result of its statement is unknown.
fn is_session_ended(error: &PgError) -> bool {
    const CONNECTION_EXCEPTION: &str = "08";
    const OPERATOR_INTERVENTION: &str = "57P";
    error.code().map_or_else(
        || is_connection_lost(error),
        |state| {
            *state == SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT
                || state.code().starts_with(CONNECTION_EXCEPTION)
                || state.code().starts_with(OPERATOR_INTERVENTION)
        },
    )
}

/// Whether the connection could not be made, or broke.
pub(crate) fn is_connection_lost(error: &PgError) -> bool {
    error.is_closed() || error.source().is_some_and(<dyn StdError>::is::<io::Error>)
}

fn is_conflict(error: &PgError) -> bool {
    let states = [SqlState::T_R_SERIALIZATION_FAILURE, SqlState::T_R_DEADLOCK_DETECTED];
    error.code().is_some_and(|state| states.contains(state))
}

fn is_timeout(error: &PgError) -> bool {
    let states = [SqlState::QUERY_CANCELED, SqlState::LOCK_NOT_AVAILABLE];
    error.code().is_some_and(|state| states.contains(state))
}

/// Returns the TLS error of a connection attempt.
pub(crate) fn tls_error(error: &PgError) -> Option<&TlsError> {
    error.source()?.downcast_ref::<io::Error>()?.get_ref()?.downcast_ref()
}

/// Whether the server accepts only unencrypted connections. The client library marks it only by its text.
pub(crate) fn is_tls_refused(error: &PgError) -> bool {
    error.source().is_some_and(|cause| cause.to_string() == "server does not support TLS")
}

/// Whether the server does not match `target_session_attrs`.
pub(crate) fn is_wrong_server(error: &PgError) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
    cause.is_some_and(|cause| cause.kind() == io::ErrorKind::PermissionDenied)
}
