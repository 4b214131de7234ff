//! PostgreSQL's errors, mapped for callers and for the operator.

mod startup_error;
mod store_error;

pub use startup_error::StartupError;
pub(crate) use store_error::{
    StoreError, error_type, is_connection_lost, is_tls_refused, is_unavailable, is_wrong_server, pg_message,
    tls_error,
};
