//! Shared by both protocols: the error mapping, header names, and the context of a call.

mod context;
mod error;
pub(crate) mod headers;

use std::error::Error;

use axum::body::Bytes;
use http_body::Body;

pub(crate) use context::{CallContext, CallState};
pub(crate) use error::{ErrorMapping, LogRecord, Refusal, code_name, mapping};

/// A request body of any type.
pub(crate) trait AnyBody:
    Body<Data = Bytes, Error: Error + Send + Sync> + Unpin + Send + 'static
{
}

impl<B: Body<Data = Bytes, Error: Error + Send + Sync> + Unpin + Send + 'static> AnyBody for B {}

/// The protocols of the API. gRPC-Web is gRPC in another wire format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Grpc,
    Rest,
}
