//! What PostgreSQL's errors mean to a caller.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::io;

use deadpool_postgres::{PoolError, TimeoutType};
use tokio_postgres::Error as PgError;
use tokio_postgres::error::SqlState;
use tokio_rustls::rustls::Error as TlsError;

use crate::error::{Error, chain};

/// Why a piece of work was not done.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// There was no connection to do it on.
    #[error("no connection to the database")]
    Connect(#[from] PoolError),
    /// Too many wait for a connection.
    #[error("too many wait for a connection to the database")]
    QueueFull,
    /// The database is away: it has not answered for a while.
    #[error("the database does not answer")]
    Silent,
    /// A statement failed.
    #[error("a statement failed")]
    Query(#[from] PgError),
    /// The connection broke before a statement that writes was answered. It may have been done.
    #[error("a statement that writes failed")]
    Interrupted(#[source] PgError),
    /// A transaction lost against others, however often it was tried.
    #[error("a transaction lost against others each time")]
    Lost(#[source] PgError),
    /// The idempotency key, which is quoted and cut, has the record of another request.
    #[error("the idempotency key {0} was used for another request")]
    KeyReused(String),
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

    /// The same for a statement that writes.
    pub(super) fn of_write(self) -> Self {
        match self {
            Self::Query(error) if is_broken_off(&error) => Self::Interrupted(error),
            other => other,
        }
    }

    /// Whether it is PostgreSQL that says so, and not the want of an answer.
    pub(super) fn is_answer(&self) -> bool {
        match self {
            Self::Connect(PoolError::Backend(error))
            | Self::Query(error)
            | Self::Interrupted(error)
            | Self::Lost(error) => error.as_db_error().is_some(),
            Self::Connect(_) | Self::QueueFull | Self::Silent => false,
            Self::KeyReused(_) => true,
        }
    }

    /// A name for it.
    pub(super) fn error_type(&self) -> Cow<'static, str> {
        match self {
            Self::Connect(PoolError::Backend(error))
            | Self::Query(error)
            | Self::Interrupted(error)
            | Self::Lost(error) => error_type(error),
            Self::Connect(_) | Self::QueueFull | Self::Silent => "connection".into(),
            Self::KeyReused(_) => "idempotency_key_reused".into(),
        }
    }

    /// Whether the transaction lost against another one and may be tried again as a whole.
    pub(super) fn is_conflict(&self) -> bool {
        let Self::Query(error) = self else { return false };
        is_conflict(error)
    }

    /// The same for someone who tries no more.
    pub(super) fn at_last(self) -> Self {
        match self {
            Self::Query(error) if is_conflict(&error) => Self::Lost(error),
            other => other,
        }
    }
}

impl From<&Failure> for Error {
    /// What is left when no constraint that the statement knows is to blame.
    fn from(failure: &Failure) -> Self {
        let cause = || chain(failure);
        match failure {
            Failure::QueueFull
            | Failure::Lost(_)
            | Failure::Connect(PoolError::Timeout(TimeoutType::Wait)) => Self::Overloaded,
            // Whatever the reason is, a login that is refused included, it is no fault of the call. The pool would
            // say it twice.
            Failure::Connect(PoolError::Backend(error)) => Self::Unavailable(said(error).into()),
            Failure::Connect(
                PoolError::Timeout(TimeoutType::Create | TimeoutType::Recycle) | PoolError::Closed,
            )
            | Failure::Silent => Self::Unavailable(cause().into()),
            Failure::Connect(PoolError::NoRuntimeSpecified | PoolError::PostCreateHook(_)) => {
                Self::internal(cause())
            }
            Failure::Interrupted(_) => Self::Interrupted(cause().into()),
            Failure::Query(error) if is_away(error) => Self::Unavailable(cause().into()),
            Failure::Query(error) if is_timeout(error) => Self::Timeout,
            // What only reads loses to nobody but a standby, when that replays what takes away what is read.
            Failure::Query(error) if is_conflict(error) => Self::Unavailable(cause().into()),
            Failure::Query(_) => Self::internal(cause()),
            Failure::KeyReused(key) => Self::IdempotencyKeyReused(key.clone()),
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::from(&failure)
    }
}

fn is_conflict(error: &PgError) -> bool {
    let states = [SqlState::T_R_SERIALIZATION_FAILURE, SqlState::T_R_DEADLOCK_DETECTED];
    error.code().is_some_and(|state| states.contains(state))
}

/// Whether the server cannot be reached, or is starting, stopping, out of resources, closing connections, or
/// not the one that takes writes.
pub(super) fn is_away(error: &PgError) -> bool {
    const INSUFFICIENT_RESOURCES: &str = "53";
    is_broken_off(error)
        || error.code().is_some_and(|state| {
            *state == SqlState::READ_ONLY_SQL_TRANSACTION || state.code().starts_with(INSUFFICIENT_RESOURCES)
        })
}

/// Whether the connection ended, so that what was asked on it may or may not have been done.
fn is_broken_off(error: &PgError) -> bool {
    const CONNECTION_EXCEPTION: &str = "08";
    const OPERATOR_INTERVENTION: &str = "57P";
    match error.code() {
        Some(state) => {
            *state == SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT
                || [CONNECTION_EXCEPTION, OPERATOR_INTERVENTION]
                    .iter()
                    .any(|class| state.code().starts_with(class))
        }
        None => is_cut_off(error),
    }
}

/// Whether there is no way to the server, or not any more.
pub(super) fn is_cut_off(error: &PgError) -> bool {
    error.is_closed() || error.source().is_some_and(<dyn StdError>::is::<io::Error>)
}

/// What is wrong with the encryption of a connection, or with the certificate of either side.
pub(super) fn tls_error(error: &PgError) -> Option<&TlsError> {
    error.source()?.downcast_ref::<io::Error>()?.get_ref()?.downcast_ref()
}

/// Whether the server takes only connections that are not encrypted. The client has no other mark of it.
pub(super) fn is_without_tls(error: &PgError) -> bool {
    error.source().is_some_and(|cause| cause.to_string() == "server does not support TLS")
}

/// Whether the server is not one that `target_session_attrs` asks for.
pub(super) fn is_unsuited(error: &PgError) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<io::Error>());
    cause.is_some_and(|cause| cause.kind() == io::ErrorKind::PermissionDenied)
}

/// What PostgreSQL said, or else what the client has to say: its errors name themselves only by their kind.
pub(super) fn said(error: &PgError) -> String {
    match (error.as_db_error(), error.source()) {
        (Some(error), _) => error.message().to_owned(),
        (None, Some(cause)) => cause.to_string(),
        (None, None) => error.to_string(),
    }
}

/// A name for what went wrong: PostgreSQL's state, or that there was no answer.
pub(super) fn error_type(error: &PgError) -> Cow<'static, str> {
    error.code().map_or(Cow::Borrowed("connection"), |state| state.code().to_owned().into())
}

fn is_timeout(error: &PgError) -> bool {
    let states = [SqlState::QUERY_CANCELED, SqlState::LOCK_NOT_AVAILABLE];
    error.code().is_some_and(|state| states.contains(state))
}
