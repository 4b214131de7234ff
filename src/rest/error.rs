//! Errors as the documented JSON body.

use axum::Json;
use axum::body::Body;
use axum::response::IntoResponse;
use http::header::{ACCEPT, ACCEPT_ENCODING, ALLOW, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Method, Response, StatusCode, Uri};
use serde::Serialize;

use super::input::JSON_PATCH;
use crate::api::{CallState, mapping};
use crate::domain::excerpt;
use crate::error::{Error, SUPPORTED_ENCODINGS};

/// The media types that a PATCH accepts (RFC 5789, section 3.1).
const ACCEPT_PATCH: HeaderName = HeaderName::from_static("accept-patch");

#[derive(Serialize)]
pub(super) struct ErrorBody<'a> {
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

impl<'a> ErrorBody<'a> {
    pub(super) fn new(error: &'a Error, request_id: &'a str) -> Self {
        let mapping = mapping(error);
        let param = if let Error::Invalid(violations) = error { violations.only() } else { None };
        let param = param.map(|only| only.field.as_str());
        let message = error.message(request_id);
        Self { error: ErrorObject { r#type: mapping.kind, code: mapping.code, message, param, request_id } }
    }
}

/// Renders an error for the caller, and records it for the access log.
pub(crate) fn error_response(error: &Error, state: &CallState) -> Response<Body> {
    state.record_error(error);
    let body = Json(ErrorBody::new(error, state.request_id()));
    let mut response = (mapping(error).http, body).into_response();
    if let Some((name, value)) = header(error) {
        response.headers_mut().insert(name, value);
    }
    response
}

/// Returns the header that an error needs beside its body (RFC 9110, sections 10.2, 11.6.1 and 15.5.16).
pub(super) fn header(error: &Error) -> Option<(HeaderName, HeaderValue)> {
    if mapping(error).http == StatusCode::UNAUTHORIZED {
        return Some((WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")));
    }
    if matches!(error, Error::GrpcNotPost(_)) {
        return Some((ALLOW, HeaderValue::from_static("POST")));
    }
    if matches!(error, Error::EncodingUnsupported(_)) {
        return Some((ACCEPT_ENCODING, HeaderValue::from_static(SUPPORTED_ENCODINGS)));
    }
    if let Error::MediaTypeUnsupported(_, supported) = error {
        let name = if *supported == JSON_PATCH { ACCEPT_PATCH } else { ACCEPT };
        return Some((name, HeaderValue::from_static(supported)));
    }
    error.retry_after().map(|seconds| (RETRY_AFTER, seconds.into()))
}

/// Renders the errors of the router: 404 for a path and 405 for a method without a handler.
pub(crate) fn explain(
    response: Response<Body>,
    method: &Method,
    uri: &Uri,
    state: &CallState,
) -> Response<Body> {
    match response.status() {
        _ if state.error().is_some() => response,
        StatusCode::NOT_FOUND => {
            error_response(&Error::RouteUnknown(format!("{method} {}", excerpt(uri.path()))), state)
        }
        StatusCode::METHOD_NOT_ALLOWED => {
            let allow = response.headers().get(ALLOW).cloned();
            let mut rendered = if method == Method::OPTIONS {
                StatusCode::NO_CONTENT.into_response()
            } else {
                let method = excerpt(method.as_str());
                let text = format!("the path does not support {method}; use a method of the Allow header");
                error_response(&Error::MethodNotAllowed(text), state)
            };
            let is_patch =
                |allow: &HeaderValue| allow.to_str().is_ok_and(|methods| methods.contains("PATCH"));
            if method == Method::OPTIONS && allow.as_ref().is_some_and(is_patch) {
                // RFC 5789, section 3.1.
                rendered.headers_mut().insert(ACCEPT_PATCH, HeaderValue::from_static(JSON_PATCH));
            }
            rendered.headers_mut().extend(allow.map(|allow| (ALLOW, allow)));
            rendered
        }
        _ => response,
    }
}
