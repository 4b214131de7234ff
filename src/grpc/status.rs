//! Errors as gRPC statuses with `google.rpc` details (AIP-193).

use std::time::Duration;

use axum::body::Body;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Response, Uri};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};

use crate::api::headers::GRPC_ACCEPT_ENCODING;
use crate::api::{CallState, mapping};
use crate::domain::excerpt;
use crate::error::Error;

/// The `domain` of every `ErrorInfo`.
const DOMAIN: &str = "overplane.dev";

/// Renders an error for the caller, and records it for the access log.
pub(super) fn render(error: &Error, state: &CallState) -> Status {
    state.record_error(error);
    let mapping = mapping(error);
    let mut details = ErrorDetails::with_error_info(mapping.code.to_ascii_uppercase(), DOMAIN, []);
    if let Error::Invalid(violations) = error {
        let violations = violations.as_slice().iter();
        let violations =
            violations.map(|violation| FieldViolation::new(&violation.field, &violation.description));
        details.set_bad_request(violations.collect::<Vec<_>>());
    }
    if let Some(seconds) = error.retry_after() {
        details.set_retry_info(Some(Duration::from_secs(seconds)));
    }
    let message = error.message(state.request_id());
    Status::with_error_details(mapping.grpc, message, details)
}

/// Renders an error that no handler returned, as a response without a body.
pub(crate) fn error_response(error: &Error, state: &CallState) -> Response<Body> {
    render(error, state).into_http()
}

/// Renders an error that ends a stream, as its trailers.
pub(crate) fn trailers(error: &Error, state: &CallState) -> HeaderMap {
    let mut headers = error_response(error, state).into_parts().0.headers;
    headers.remove(CONTENT_TYPE);
    headers
}

/// Renders the errors of the library, for requests that reach no handler.
pub(crate) fn translate(
    response: Response<Body>,
    uri: &Uri,
    max_request_bytes: usize,
    state: &CallState,
) -> Response<Body> {
    if state.error().is_some() {
        return response;
    }
    let error = Status::from_header_map(response.headers())
        .and_then(|status| library_error(&status, uri.path(), max_request_bytes));
    let Some(error) = error else { return response };
    let mut rendered = error_response(&error, state);
    // Names the supported encodings when the one of the request is not.
    let accepted = response.headers().get(GRPC_ACCEPT_ENCODING);
    rendered.headers_mut().extend(accepted.map(|accepted| (GRPC_ACCEPT_ENCODING, accepted.clone())));
    rendered
}

/// Converts a status of the library, which uses each of these codes for one reason only.
fn library_error(status: &Status, path: &str, max_request_bytes: usize) -> Option<Error> {
    let message = status.message().to_owned();
    match status.code() {
        Code::Unimplemented if message.is_empty() => {
            Some(Error::RouteUnknown(format!("method {}", excerpt(path))))
        }
        Code::Unimplemented => Some(Error::EncodingUnsupported(message)),
        // The second one while a message is decompressed.
        Code::OutOfRange | Code::ResourceExhausted => Some(Error::BodyTooLarge(max_request_bytes)),
        Code::Internal => Some(Error::Undecodable(message)),
        _ => None,
    }
}
