//! Errors to gRPC statuses with `google.rpc` details (AIP-193).

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::Response;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};

use crate::domain::excerpt;
use crate::error::Error;

/// The `domain` of every `ErrorInfo`.
const DOMAIN: &str = "overplane.dev";

impl From<Error> for Status {
    /// Carries the error to [`finish`], which knows the request id.
    fn from(error: Error) -> Self {
        let mut status = Self::new(error.answer().grpc, "");
        status.set_source(Arc::new(error));
        status
    }
}

/// Writes the error that a response carries, or that the library made itself, as the caller shall see it.
/// Leaves what the log says of it in the response's extensions.
#[must_use]
pub fn finish(
    mut response: Response<Body>,
    path: &str,
    request_id: &str,
    max_request_bytes: usize,
) -> Response<Body> {
    if let Some(error) = response.extensions_mut().remove::<Arc<Error>>() {
        return render(&error, request_id);
    }
    let made = response.extensions_mut().remove::<Status>();
    let Some(status) = made.or_else(|| Status::from_header_map(response.headers())) else {
        return response;
    };
    if let Some(error) = status.source().and_then(|source| source.downcast_ref::<Error>()) {
        return render(error, request_id);
    }
    match of_library(&status, path, max_request_bytes) {
        Some(error) => render(&error, request_id),
        None => response,
    }
}

/// What a status of the library itself means. None of these codes is one that it gives for another reason.
fn of_library(status: &Status, path: &str, max_request_bytes: usize) -> Option<Error> {
    let message = status.message().to_owned();
    match status.code() {
        Code::Unimplemented if message.is_empty() => {
            Some(Error::RouteUnknown(format!("method {}", excerpt(path))))
        }
        Code::Unimplemented => Some(Error::EncodingUnsupported(message)),
        Code::OutOfRange => Some(Error::BodyTooLarge(max_request_bytes)),
        Code::Internal => Some(Error::Undecodable(message)),
        _ => None,
    }
}

fn render(error: &Error, request_id: &str) -> Response<Body> {
    let mut response = of(error, request_id).into_http::<Body>();
    response.extensions_mut().insert(error.record());
    response
}

/// The error as the caller shall see it.
pub(super) fn of(error: &Error, request_id: &str) -> Status {
    let answer = error.answer();
    let mut details = ErrorDetails::with_error_info(answer.code.to_ascii_uppercase(), DOMAIN, []);
    if let Error::Invalid(violations) = error {
        let violations = violations.as_slice().iter();
        details.set_bad_request(
            violations
                .map(|violation| FieldViolation::new(&violation.field, &violation.description))
                .collect::<Vec<_>>(),
        );
    }
    if let Some(seconds) = error.retry_after() {
        details.set_retry_info(Some(Duration::from_secs(seconds)));
    }
    Status::with_error_details(answer.grpc, error.message(request_id), details)
}
