//! The parts of the crate that its tests, benchmarks and fuzz targets use. Not an API: it changes without notice.

pub use crate::admission::Limits;
pub use crate::auth::KeyCache;
pub use crate::domain::*;
pub use crate::embedded::{Embedded, EmbeddedOptions};
pub use crate::error::{Error, chain};
pub use crate::grpc::{DESCRIPTOR, pb};
pub use crate::listen::{ListenAddress, Server, ServerOptions, Timeouts};
pub use crate::rest::COLLECTION;
pub use crate::store::{Database, StartupError, Store, StoreOptions, verify};

/// The parsing of gRPC messages, for fuzzing.
pub mod grpc {
    pub use crate::grpc::{list, new_batch, new_group, update};
}

/// The parsing of REST requests, for fuzzing.
pub mod rest {
    pub use crate::rest::{body, list_request, page};
}
