//! Errors as the contract defines them.

use serde_json::Value;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::support::http::HttpResponse;
use crate::support::{fields, reason};

/// An error: its code, and the fields that it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    pub code: String,
    /// All invalid fields over gRPC. Over REST, the field if it is the only invalid one.
    pub fields: Vec<String>,
    /// The message.
    pub message: String,
}

/// The error table of the contract: code, gRPC code, HTTP status, type.
#[rustfmt::skip]
const TABLE: [(&str, Code, u16, &str); 22] = [
    ("parameter_invalid", Code::InvalidArgument, 400, "invalid_request_error"),
    ("parameter_missing", Code::InvalidArgument, 400, "invalid_request_error"),
    ("parameter_unknown", Code::InvalidArgument, 400, "invalid_request_error"),
    // gRPC only: there is no JSON. Over REST, gRPC's own rules for invalid protobuf do not apply.
    ("body_malformed", Code::Internal, 400, "invalid_request_error"),
    ("parent_not_found", Code::InvalidArgument, 400, "invalid_request_error"),
    ("parent_cycle", Code::InvalidArgument, 400, "invalid_request_error"),
    ("api_key_missing", Code::Unauthenticated, 401, "authentication_error"),
    ("api_key_invalid", Code::Unauthenticated, 401, "authentication_error"),
    ("api_key_read_only", Code::PermissionDenied, 403, "permission_error"),
    ("resource_missing", Code::NotFound, 404, "invalid_request_error"),
    ("route_unknown", Code::Unimplemented, 404, "invalid_request_error"),
    ("method_not_allowed", Code::Unimplemented, 405, "invalid_request_error"),
    ("has_children", Code::FailedPrecondition, 409, "invalid_request_error"),
    ("etag_mismatch", Code::Aborted, 412, "invalid_request_error"),
    ("idempotency_key_reused", Code::FailedPrecondition, 409, "idempotency_error"),
    ("body_too_large", Code::ResourceExhausted, 413, "invalid_request_error"),
    ("content_type_unsupported", Code::Unimplemented, 415, "invalid_request_error"),
    ("overloaded", Code::ResourceExhausted, 429, "rate_limit_error"),
    ("rate_limited", Code::ResourceExhausted, 429, "rate_limit_error"),
    ("unavailable", Code::Unavailable, 503, "api_error"),
    ("timeout", Code::DeadlineExceeded, 504, "api_error"),
    ("internal", Code::Internal, 500, "api_error"),
];

fn row(code: &str) -> (Code, u16, &'static str) {
    let row =
        TABLE.iter().find(|row| row.0 == code).unwrap_or_else(|| panic!("{code} is not in the contract"));
    (row.1, row.2, row.3)
}

impl ApiError {
    /// Reads a status and checks its details against the contract.
    pub fn from_grpc(status: &Status) -> Self {
        let code = reason(status).to_lowercase();
        assert_eq!(status.code(), row(&code).0, "{code}");
        let retry = status.get_details_retry_info().is_some();
        assert_eq!(retry, ["overloaded", "rate_limited", "unavailable"].contains(&&*code), "{code}");
        let invalid = status.code() == Code::InvalidArgument;
        let fields = if invalid { fields(status) } else { Vec::new() };
        Self { code, fields, message: status.message().to_owned() }
    }

    /// Reads an error body and checks it and the headers against the contract.
    pub fn from_rest(response: &HttpResponse) -> Self {
        let body = response.json();
        let text = |name: &str| body["error"][name].as_str().map(str::to_owned);
        let code = text("code").unwrap();
        let (_, status, kind) = row(&code);
        assert_eq!((response.status.as_u16(), text("type").as_deref()), (status, Some(kind)), "{code}");
        assert_eq!(text("request_id").unwrap(), response.headers["x-request-id"]);
        let names: Vec<&String> = body["error"].as_object().map(|error| error.keys().collect()).unwrap();
        assert_eq!(names, ["code", "message", "param", "request_id", "type"]);
        for (name, statuses) in
            [("www-authenticate", [401, 401]), ("allow", [405, 405]), ("retry-after", [429, 503])]
        {
            assert_eq!(response.headers.contains_key(name), statuses.contains(&status), "{name} on {status}");
        }
        let fields = match &body["error"]["param"] {
            Value::Null => Vec::new(),
            param => vec![param.as_str().unwrap().to_owned()],
        };
        Self { code, fields, message: text("message").unwrap() }
    }
}
