//! Errors as the documented JSON body.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::response::IntoResponse;
use http::header::{ALLOW, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use serde::Serialize;

use crate::error::Error;

#[derive(Serialize)]
struct ErrorBody<'a> {
    error: ErrorObject<'a>,
}

#[derive(Serialize)]
struct ErrorObject<'a> {
    r#type: &'a str,
    code: &'a str,
    message: String,
    param: Option<&'a str>,
    request_id: &'a str,
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
    let answer = error.answer();
    let body = ErrorBody {
        error: ErrorObject {
            r#type: answer.kind,
            code: answer.code,
            message: error.message(request_id),
            param: param(error),
            request_id,
        },
    };
    let mut response = (answer.http, Json(body)).into_response();
    let header = match answer.http {
        StatusCode::UNAUTHORIZED => Some((WWW_AUTHENTICATE, "Bearer")),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => Some((RETRY_AFTER, "1")),
        _ => None,
    };
    if let Some((name, value)) = header {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response.extensions_mut().insert(error.record());
    response
}

/// The one field that is to blame.
fn param(error: &Error) -> Option<&str> {
    match error {
        Error::Invalid(violations) => match violations.as_slice() {
            [only] => Some(&only.field),
            _ => None,
        },
        Error::NotFound(_)
        | Error::HasChildren(_)
        | Error::EtagMismatch(_)
        | Error::IdempotencyKeyReused
        | Error::KeyMissing
        | Error::KeyInvalid(_)
        | Error::KeyReadOnly
        | Error::MethodNotAllowed(_)
        | Error::RouteUnknown(_)
        | Error::BodyTooLarge(_)
        | Error::Undecodable(_)
        | Error::EncodingUnsupported(_)
        | Error::Overloaded
        | Error::Unavailable(_)
        | Error::Timeout
        | Error::Internal(_) => None,
    }
}
