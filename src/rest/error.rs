//! Errors as the documented JSON body.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::response::IntoResponse;
use http::header::{ALLOW, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use super::openapi::{error_codes, error_types};
use crate::error::Error;

/// The body of every error.
#[derive(Serialize, ToSchema)]
#[schema(as = Error)]
pub(super) struct ErrorBody<'a> {
    error: ErrorObject<'a>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ErrorObject)]
struct ErrorObject<'a> {
    #[schema(schema_with = error_types)]
    r#type: &'a str,
    #[schema(schema_with = error_codes)]
    code: &'a str,
    /// What went wrong, with which value, and what to do, for people.
    message: String,
    /// The one field or parameter that is to blame, if there is one.
    #[schema(required)]
    param: Option<&'a str>,
    /// By which the request is found in the log.
    request_id: &'a str,
}

impl<'a> ErrorBody<'a> {
    pub(super) fn new(error: &'a Error, request_id: &'a str) -> Self {
        let answer = error.answer();
        let (message, param) = (error.message(request_id), param(error));
        Self { error: ErrorObject { r#type: answer.kind, code: answer.code, message, param, request_id } }
    }
}

/// Writes the error that a response carries as the caller shall see it. Leaves what the log says of it in the
/// response's extensions.
#[must_use]
pub fn finish(mut response: Response<Body>, request_id: &str) -> Response<Body> {
    match response.extensions_mut().remove::<Arc<Error>>() {
        Some(error) => {
            let mut rendered = render(&error, request_id);
            if let Some(allow) = response.headers_mut().remove(ALLOW) {
                rendered.headers_mut().insert(ALLOW, allow);
            }
            rendered
        }
        None => response,
    }
}

fn render(error: &Error, request_id: &str) -> Response<Body> {
    let mut response = (error.answer().http, Json(ErrorBody::new(error, request_id))).into_response();
    if let Some((name, value)) = header(error) {
        response.headers_mut().insert(name, value);
    }
    response.extensions_mut().insert(error.record());
    response
}

/// What an error needs beside its body (RFC 9110, sections 11.6.1 and 10.2.3).
pub(super) fn header(error: &Error) -> Option<(HeaderName, HeaderValue)> {
    if error.answer().http == StatusCode::UNAUTHORIZED {
        return Some((WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")));
    }
    error.retry_after().map(|seconds| (RETRY_AFTER, seconds.into()))
}

/// The one field that is to blame.
fn param(error: &Error) -> Option<&str> {
    match error {
        Error::Invalid(violations) => violations.only().map(|only| only.field.as_str()),
        Error::NotFound(_)
        | Error::HasChildren(_)
        | Error::EtagMismatch(_)
        | Error::IdempotencyKeyReused(_)
        | Error::KeyMissing
        | Error::KeyInvalid(_)
        | Error::KeyReadOnly
        | Error::MethodNotAllowed(_)
        | Error::RouteUnknown(_)
        | Error::BodyTooLarge(_)
        | Error::AnswerTooLarge(_)
        | Error::Undecodable(_)
        | Error::EncodingUnsupported(_)
        | Error::Overloaded
        | Error::RateLimited(_)
        | Error::GuessLimited(_)
        | Error::Unavailable(_)
        | Error::Interrupted(_)
        | Error::Timeout
        | Error::Internal(_) => None,
    }
}
