//! Errors that keep a database from being used, for the operator.

use deadpool_postgres::PoolError;
use refinery::error::Kind;
use tokio_postgres::Error as PgError;
use tokio_postgres::error::SqlState;
use tokio_rustls::rustls::{CertificateError, Error as TlsError};

use crate::store::errors::{is_connection_lost, is_tls_refused, is_wrong_server, pg_message, tls_error};

/// The reason why a database cannot be used: PostgreSQL's own message and the remedy, for the operator. The text
/// follows the name of the database.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages describe the variants")]
pub enum StartupError {
    #[error("its server cannot be reached ({0}); start it, or correct the host and port in DATABASE_URL")]
    Unreachable(String),
    #[error(
        "its server offers no encryption (SSL); set ssl = on in its postgresql.conf, or sslmode=disable in DATABASE_URL \
         if the network is trusted"
    )]
    TlsRefused,
    #[error(
        "its server's certificate is not trusted ({0}); set sslrootcert in DATABASE_URL to the certificate that signed \
         it, or correct the server's ssl_cert_file"
    )]
    Untrusted(String),
    #[error(
        "its server's certificate is for another name ({0}); use a host in DATABASE_URL that the certificate names, or \
         sslmode=verify-ca if every server with a certificate of that sslrootcert is trusted"
    )]
    WrongName(String),
    #[error(
        "the connection to its server cannot be encrypted ({0}); correct sslmode, sslcert and sslkey in DATABASE_URL"
    )]
    NotEncrypted(String),
    #[error(
        "its server accepts no writes ({0}); name the primary in DATABASE_URL, and with several hosts, add \
         target_session_attrs=read-write"
    )]
    ReadOnly(String),
    #[error(
        "the login is refused ({0}); correct the user and password in DATABASE_URL, or the server's pg_hba.conf"
    )]
    LoginRefused(String),
    #[error("{0}; create it with `createdb --encoding=UTF8 --template=template0`, or correct DATABASE_URL")]
    Missing(String),
    #[error(
        "{0}; run `customer-groups migrate` as a user who owns the schema, as after `alter schema public owner to …`"
    )]
    NotOwner(String),
    #[error("it is PostgreSQL {0}; use version 14 or newer")]
    TooOld(String),
    #[error("it is encoded in {0}; create one with `createdb --encoding=UTF8 --template=template0`")]
    NotUtf8(String),
    /// Tables are missing or old, and the command must not migrate them.
    #[error("{0}; start this version of the service on it once to migrate it, or correct DATABASE_URL")]
    NotMigrated(String),
    #[error(
        "its connections come from a pooler in transaction mode that loses prepared statements; use PgBouncer 1.21 or \
         newer and set max_prepared_statements above 0, or set pool_mode = session in pgbouncer.ini"
    )]
    StatementsLost,
    #[error("{0}; add ignore_startup_parameters = options to pgbouncer.ini")]
    OptionsRefused(String),
    #[error(
        "its transactions are {0} by default; run `alter role current_user set default_transaction_isolation = 'read \
         committed'` as the user in DATABASE_URL"
    )]
    Isolation(String),
    #[error("its tables cannot be migrated: {0}")]
    Migration(String),
    #[error("its table customer_group_migration is damaged: {0}; restore the table from a backup")]
    MigrationTable(String),
    /// The missing objects, and why they cannot be created.
    #[error(
        "it lacks {0}, and the user in DATABASE_URL cannot create it ({1}); run `customer-groups migrate` as the owner \
             of the schema"
    )]
    ObjectsMissing(String, String),
    #[error("{0}; run `customer-groups verify`, which lists every invalid row and its remedy")]
    Corrupt(String),
    /// During an import, a parent was deleted, or another group got one of the ids.
    #[error("its groups were changed by another program while the file was checked ({0}); import it again")]
    Outrun(String),
    #[error("{0}")]
    Other(String),
}

impl StartupError {
    fn of(error: &PgError) -> Self {
        let message = pg_message(error);
        if let Some(error) = tls_error(error) {
            return Self::of_tls(error, message);
        }
        match error.code() {
            Some(&SqlState::INVALID_CATALOG_NAME) => Self::Missing(message),
            Some(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION | &SqlState::INVALID_PASSWORD) => {
                Self::LoginRefused(message)
            }
            // PostgreSQL hides a schema that the user may not use.
            Some(&SqlState::INSUFFICIENT_PRIVILEGE | &SqlState::INVALID_SCHEMA_NAME) => {
                Self::NotOwner(message)
            }
            // PgBouncer uses one state for everything that it refuses.
            Some(&SqlState::PROTOCOL_VIOLATION) if message.contains("unsupported startup parameter") => {
                Self::OptionsRefused(message)
            }
            Some(&SqlState::READ_ONLY_SQL_TRANSACTION) => Self::ReadOnly(message),
            None if is_tls_refused(error) => Self::TlsRefused,
            None if is_wrong_server(error) => Self::ReadOnly(message),
            None if is_connection_lost(error) => Self::Unreachable(message),
            Some(_) | None => Self::Other(message),
        }
    }

    fn of_tls(error: &TlsError, message: String) -> Self {
        match error {
            TlsError::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            ) => Self::WrongName(message),
            TlsError::InvalidCertificate(_) => Self::Untrusted(message),
            _ => Self::NotEncrypted(message),
        }
    }
}

impl From<PoolError> for StartupError {
    /// Maps the errors of a connection attempt.
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Backend(error) => match Self::of(&error) {
                // At login, the missing privilege is the one to connect.
                Self::NotOwner(message) => Self::LoginRefused(message),
                // There is no state when the client itself cannot log in, such as without a password.
                Self::Other(message) if error.code().is_none() => Self::LoginRefused(message),
                known => known,
            },
            PoolError::Timeout(_) => Self::Unreachable("it did not answer within CONNECT_TIMEOUT".to_owned()),
            PoolError::Closed | PoolError::NoRuntimeSpecified | PoolError::PostCreateHook(_) => {
                Self::Other(error.to_string())
            }
        }
    }
}

impl From<PgError> for StartupError {
    fn from(error: PgError) -> Self {
        Self::of(&error)
    }
}

impl From<refinery::Error> for StartupError {
    fn from(error: refinery::Error) -> Self {
        let Kind::Connection(step, cause) = error.kind() else { return Self::Migration(error.to_string()) };
        match cause.downcast_ref().map(Self::of) {
            Some(Self::Other(message)) => Self::Migration(format!("{step}: {message}")),
            Some(known) => known,
            None => Self::Migration(format!("{step}: {cause}")),
        }
    }
}
