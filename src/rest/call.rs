//! The call as a handler receives it.

use axum::body::Body;
use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{Response, StatusCode};

use super::Handlers;
use super::error::error_response;
use crate::api::CallContext;
use crate::error::Error;
use crate::service::Service;

/// The first argument of every handler. Axum passes the context only in the request's extensions, where
/// [`Server::call`](super::Server::call) puts it.
pub(super) struct Call {
    pub(super) service: Service,
    pub(super) max_request_bytes: usize,
    pub(super) context: CallContext,
}

impl FromRequestParts<Handlers> for Call {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, handlers: &Handlers) -> Result<Self, StatusCode> {
        let context = parts.extensions.remove().ok_or(StatusCode::INTERNAL_SERVER_ERROR)?;
        let Handlers { service, max_request_bytes } = handlers.clone();
        Ok(Self { service, max_request_bytes, context })
    }
}

impl Call {
    /// Calls a handler's body, and renders its error.
    pub(super) async fn respond(
        self,
        handle: impl AsyncFnOnce(&Self) -> Result<Response<Body>, Error>,
    ) -> Response<Body> {
        handle(&self).await.unwrap_or_else(|error| error_response(&error, &self.context.state))
    }
}
