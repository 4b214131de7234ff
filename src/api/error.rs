//! The error mapping: one table from each error to its codes in both protocols, and to its log record.

use http::StatusCode;
use tonic::Code;
use tracing::Level;

use crate::domain::ViolationKind;
use crate::error::Error;

/// The codes of an error in both protocols.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ErrorMapping {
    pub(crate) grpc: Code,
    pub(crate) http: StatusCode,
    /// The `type` in REST's error body.
    pub(crate) kind: &'static str,
    /// The `code` in REST's error body; in upper case, the reason in gRPC's `ErrorInfo`.
    pub(crate) code: &'static str,
}

const REQUEST: &str = "invalid_request_error";
const AUTHENTICATION: &str = "authentication_error";
const IDEMPOTENCY: &str = "idempotency_error";
const PERMISSION: &str = "permission_error";
const RATE_LIMIT: &str = "rate_limit_error";
const API: &str = "api_error";

#[rustfmt::skip]
pub(crate) fn mapping(error: &Error) -> ErrorMapping {
    let (grpc, http, kind, code) = match error {
        Error::Invalid(violations) =>
            (Code::InvalidArgument, StatusCode::BAD_REQUEST, REQUEST, match violations.kind() {
                ViolationKind::Invalid => "parameter_invalid",
                ViolationKind::Missing => "parameter_missing",
                ViolationKind::Unknown => "parameter_unknown",
                ViolationKind::ParentNotFound => "parent_not_found",
                ViolationKind::ParentCycle => "parent_cycle",
            }),
        Error::NotFound(_) => (Code::NotFound, StatusCode::NOT_FOUND, REQUEST, "resource_missing"),
        Error::HasChildren(_) => (Code::FailedPrecondition, StatusCode::CONFLICT, REQUEST, "has_children"),
        Error::EtagMismatch(_) => (Code::Aborted, StatusCode::PRECONDITION_FAILED, REQUEST, "etag_mismatch"),
        Error::IdempotencyKeyReused(_) =>
            (Code::FailedPrecondition, StatusCode::CONFLICT, IDEMPOTENCY, "idempotency_key_reused"),
        Error::KeyMissing => (Code::Unauthenticated, StatusCode::UNAUTHORIZED, AUTHENTICATION, "api_key_missing"),
        Error::KeyInvalid(_) => (Code::Unauthenticated, StatusCode::UNAUTHORIZED, AUTHENTICATION, "api_key_invalid"),
        Error::KeyReadOnly => (Code::PermissionDenied, StatusCode::FORBIDDEN, PERMISSION, "api_key_read_only"),
        Error::MethodNotAllowed(_) | Error::GrpcNotPost(_) =>
            (Code::Unimplemented, StatusCode::METHOD_NOT_ALLOWED, REQUEST, "method_not_allowed"),
        Error::TransferCodingUnsupported(_) =>
            (Code::Unimplemented, StatusCode::NOT_IMPLEMENTED, REQUEST, "transfer_coding_unsupported"),
        Error::RouteUnknown(_) => (Code::Unimplemented, StatusCode::NOT_FOUND, REQUEST, "route_unknown"),
        Error::BodyTooLarge(_) =>
            (Code::ResourceExhausted, StatusCode::PAYLOAD_TOO_LARGE, REQUEST, "body_too_large"),
        Error::AnswerTooLarge(_) => (Code::ResourceExhausted, StatusCode::BAD_REQUEST, REQUEST, "answer_too_large"),
        // gRPC itself requires INTERNAL for a request that is not valid protobuf:
        // https://grpc.io/docs/guides/status-codes/
        Error::Undecodable(_) => (Code::Internal, StatusCode::BAD_REQUEST, REQUEST, "body_malformed"),
        Error::EncodingUnsupported(_) | Error::MediaTypeUnsupported(..) =>
            (Code::Unimplemented, StatusCode::UNSUPPORTED_MEDIA_TYPE, REQUEST, "content_type_unsupported"),
        Error::GrpcOverHttp1 =>
            (Code::Unimplemented, StatusCode::HTTP_VERSION_NOT_SUPPORTED, REQUEST, "http_version_unsupported"),
        Error::HeadersTooLarge(_) =>
            (Code::ResourceExhausted, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, REQUEST, "headers_too_large"),
        Error::Overloaded => (Code::ResourceExhausted, StatusCode::TOO_MANY_REQUESTS, RATE_LIMIT, "overloaded"),
        Error::RateLimited(_) | Error::FailedAuthLimited(_) =>
            (Code::ResourceExhausted, StatusCode::TOO_MANY_REQUESTS, RATE_LIMIT, "rate_limited"),
        Error::Unavailable(_) | Error::Interrupted(_) | Error::NotAuditable =>
            (Code::Unavailable, StatusCode::SERVICE_UNAVAILABLE, API, "unavailable"),
        Error::Timeout => (Code::DeadlineExceeded, StatusCode::GATEWAY_TIMEOUT, API, "timeout"),
        Error::Internal(_) => (Code::Internal, StatusCode::INTERNAL_SERVER_ERROR, API, "internal"),
    };
    ErrorMapping { grpc, http, kind, code }
}

/// An error in the access log.
#[derive(Debug, Clone)]
pub(crate) struct LogRecord {
    /// The code that the caller receives.
    pub(crate) reason: &'static str,
    pub(crate) level: Level,
    /// The cause that the caller does not see.
    pub(crate) cause: Option<String>,
    pub(crate) refusal: Option<Refusal>,
}

/// A refusal that may be frequent. The log has a summary instead of a line for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    Overload,
    FailedAuth,
    /// Without a valid API key.
    Unauthenticated,
}

impl LogRecord {
    pub(crate) fn of(error: &Error) -> Self {
        let ErrorMapping { http, kind, code, .. } = mapping(error);
        let refusal = if matches!(error, Error::Overloaded) {
            Some(Refusal::Overload)
        } else if matches!(error, Error::FailedAuthLimited(_)) {
            Some(Refusal::FailedAuth)
        } else {
            (kind == AUTHENTICATION).then_some(Refusal::Unauthenticated)
        };
        let level = match (refusal, kind) {
            (Some(_), _) => Level::DEBUG,
            (None, API) if http == StatusCode::INTERNAL_SERVER_ERROR => Level::ERROR,
            (None, API) => Level::WARN,
            (None, _) => Level::INFO,
        };
        Self { reason: code, level, cause: error.cause(), refusal }
    }
}

/// The canonical name of a gRPC code, as in `google.rpc.Code`.
pub(crate) fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
