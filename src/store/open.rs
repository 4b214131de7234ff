//! Why the database cannot be used, told to the one who starts the service.

use deadpool_postgres::PoolError;
use refinery::error::Kind;
use tokio_postgres::Error as PgError;
use tokio_postgres::error::SqlState;

use tokio_rustls::rustls::{CertificateError, Error as TlsError};

use super::failure::{is_cut_off, is_unsuited, is_without_tls, said, tls_error};

/// Why a database cannot be used. The text is for an operator, and goes after the place of the database; it
/// has PostgreSQL's own words in it, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Nobody answers at its address.
    #[error("its server cannot be reached ({0}); start it, or correct the host and port in DATABASE_URL")]
    Unreachable(String),
    /// The server does not encrypt, and the connection string asks for it.
    #[error(
        "its server offers no encryption (SSL); set ssl = on in its postgresql.conf, or give sslmode=disable in \
         DATABASE_URL where nobody can listen on the way"
    )]
    WithoutTls,
    /// The server's certificate is not signed by one that is trusted, or not valid for another reason.
    #[error(
        "its server's certificate is not trusted ({0}); give the certificate that it is signed by as sslrootcert in \
         DATABASE_URL, or correct the server's ssl_cert_file"
    )]
    Untrusted(String),
    /// The server's certificate is another host's.
    #[error(
        "its server's certificate is for another name ({0}); give a host in DATABASE_URL that it is for, or sslmode=verify-ca \
         where every server with a certificate of that sslrootcert may be trusted"
    )]
    WrongName(String),
    /// The connection could not be encrypted for another reason, such as a certificate that the server wants.
    #[error(
        "the connection to its server cannot be encrypted ({0}); correct sslmode, sslcert and sslkey in DATABASE_URL"
    )]
    NotEncrypted(String),
    /// The server takes no writes.
    #[error(
        "its server takes no writes ({0}); name the primary in DATABASE_URL, and where there are several hosts, add \
         target_session_attrs=read-write"
    )]
    ReadOnly(String),
    /// The server does not let the user in.
    #[error(
        "the login is refused ({0}); correct the user and password in DATABASE_URL, or the server's pg_hba.conf"
    )]
    LoginRefused(String),
    /// The server has no such database.
    #[error("{0}; create it with `createdb --encoding=UTF8 --template=template0`, or correct DATABASE_URL")]
    Missing(String),
    /// The user may not make or change the tables.
    #[error("{0}; the user in DATABASE_URL must own the schema, as after `alter schema public owner to …`")]
    NotOwner(String),
    /// The server is older than what the service is made for.
    #[error("it is PostgreSQL {0}; this service needs 14 or newer")]
    TooOld(String),
    /// It cannot hold every text.
    #[error("it is encoded in {0}; create one with `createdb --encoding=UTF8 --template=template0`")]
    NotUtf8(String),
    /// It lacks tables that this program needs, and must not be given them.
    #[error("{0}; start this version of the service on it once, which makes them, or correct DATABASE_URL")]
    NotMigrated(String),
    /// A pooler shares sessions between its connections, and loses their prepared statements.
    #[error(
        "its connections come from a pooler in transaction mode that loses prepared statements; take PgBouncer 1.21 or \
         newer and set max_prepared_statements above 0, or set pool_mode = session in pgbouncer.ini"
    )]
    StatementsLost,
    /// A pooler does not pass the settings of the sessions on.
    #[error("{0}; add ignore_startup_parameters = options to pgbouncer.ini")]
    OptionsRefused(String),
    /// Its transactions see too little of what others commit.
    #[error(
        "its transactions are {0} by default; run `alter role current_user set default_transaction_isolation = 'read \
         committed'` as the user in DATABASE_URL"
    )]
    Isolation(String),
    /// A migration failed.
    #[error("its tables cannot be brought up to date: {0}")]
    Migration(String),
    /// It holds what this service cannot have stored.
    #[error("{0}; `customer-groups verify` says what to do")]
    Corrupt(String),
    /// While an import was checked, a parent was deleted, or another group got one of its ids.
    #[error("its groups were changed by someone else while the file was checked ({0}); import it again")]
    Outrun(String),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl OpenError {
    fn of(error: &PgError) -> Self {
        let said = said(error);
        if let Some(error) = tls_error(error) {
            return Self::of_tls(error, said);
        }
        match error.code() {
            Some(&SqlState::INVALID_CATALOG_NAME) => Self::Missing(said),
            Some(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION | &SqlState::INVALID_PASSWORD) => {
                Self::LoginRefused(said)
            }
            // Without the right to use it, a schema is as good as none.
            Some(&SqlState::INSUFFICIENT_PRIVILEGE | &SqlState::INVALID_SCHEMA_NAME) => Self::NotOwner(said),
            // PgBouncer has one state for whatever it refuses.
            Some(&SqlState::PROTOCOL_VIOLATION) if said.contains("unsupported startup parameter") => {
                Self::OptionsRefused(said)
            }
            Some(&SqlState::READ_ONLY_SQL_TRANSACTION) => Self::ReadOnly(said),
            None if is_without_tls(error) => Self::WithoutTls,
            None if is_unsuited(error) => Self::ReadOnly(said),
            None if is_cut_off(error) => Self::Unreachable(said),
            Some(_) | None => Self::Other(said),
        }
    }

    fn of_tls(error: &TlsError, said: String) -> Self {
        match error {
            TlsError::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            ) => Self::WrongName(said),
            TlsError::InvalidCertificate(_) => Self::Untrusted(said),
            _ => Self::NotEncrypted(said),
        }
    }
}

impl From<PoolError> for OpenError {
    /// What making a connection ends in.
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Backend(error) => match Self::of(&error) {
                // The right that is missing here is the one to connect.
                Self::NotOwner(said) => Self::LoginRefused(said),
                // There is no state when the client itself finds that it cannot log in, as without a password.
                Self::Other(said) if error.code().is_none() => Self::LoginRefused(said),
                known => known,
            },
            PoolError::Timeout(_) => Self::Unreachable("it did not answer within CONNECT_TIMEOUT".to_owned()),
            PoolError::Closed | PoolError::NoRuntimeSpecified | PoolError::PostCreateHook(_) => {
                Self::Other(error.to_string())
            }
        }
    }
}

impl From<PgError> for OpenError {
    fn from(error: PgError) -> Self {
        Self::of(&error)
    }
}

impl From<refinery::Error> for OpenError {
    fn from(error: refinery::Error) -> Self {
        let Kind::Connection(step, cause) = error.kind() else { return Self::Migration(error.to_string()) };
        match cause.downcast_ref().map(Self::of) {
            Some(Self::Other(said)) => Self::Migration(format!("{step}: {said}")),
            Some(known) => known,
            None => Self::Migration(format!("{step}: {cause}")),
        }
    }
}
