//! The one error type, and the one table of what callers see of it.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::StatusCode;
use tonic::Code;

use crate::domain::{GroupId, ViolationKind, Violations, excerpt};

/// Why something failed, as far as only the log may know.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// The largest message that is answered, in bytes: what gRPC's clients take unless they are told otherwise.
pub const MAX_ANSWER_BYTES: usize = 4 * 1024 * 1024;

/// After how many seconds what passes by itself is worth another try.
pub const RETRY_SECONDS: u64 = 1;

/// Everything that a call can end in but its answer. The text is for the caller: it never has the cause of
/// a fault of ours in it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Fields or parameters are wrong.
    #[error("{0}")]
    Invalid(Violations),
    /// There is no customer group with this id, or with any of these, which are quoted and cut; see
    /// [`Error::not_found`].
    #[error("no customer group has the id {0}; it may have been deleted")]
    NotFound(String),
    /// A group with children was to be deleted.
    #[error("{0} has children; delete or move them first")]
    HasChildren(GroupId),
    /// The group is not in the version that the change was meant for.
    #[error(
        "{0} is not in the version that the change is for; read it again, and send its etag as it is, with its quotes"
    )]
    EtagMismatch(GroupId),
    /// An idempotency key, which is quoted and cut, was used before for something else.
    #[error("the idempotency key {0} was used for another request; repeat that one, or take a new key")]
    IdempotencyKeyReused(String),
    /// The call has no API key.
    #[error("an API key is needed; send it as `Authorization: Bearer <key>`")]
    KeyMissing,
    /// The API key is not one that opens this service.
    #[error("{0}")]
    KeyInvalid(String),
    /// A key that may only read was used to write.
    #[error("this API key may only read; use one that may write")]
    KeyReadOnly,
    /// The path has no such method. REST alone can say so.
    #[error("{0}")]
    MethodNotAllowed(String),
    /// There is no such method or path.
    #[error("there is no {0}")]
    RouteUnknown(String),
    /// The request is larger than this, in bytes.
    #[error("the request is larger than {0} bytes; send less")]
    BodyTooLarge(usize),
    /// The answer is larger than [`MAX_ANSWER_BYTES`]; this is what to do about it. Only where it must be one message.
    #[error(
        "the answer is larger than {MAX_ANSWER_BYTES} bytes, the most that clients take in one message; {0}"
    )]
    AnswerTooLarge(&'static str),
    /// The bytes of the request are not a message of its type.
    #[error("the request cannot be read: {0}")]
    Undecodable(String),
    /// The request is encoded in a way that the service does not read.
    #[error("the request cannot be read: {0}")]
    EncodingUnsupported(String),
    /// Too many calls at once.
    #[error("too many calls at once; try again in a moment")]
    Overloaded,
    /// The API key has been used too often. It may be used again after this time.
    #[error("too many calls with this API key; its next one may come in {} s", whole_seconds(*.0))]
    RateLimited(Duration),
    /// Too many API keys that are none came from the address of the caller. The next one may come after this time.
    #[error("too many unknown API keys came from your address; the next one may come in {} s", whole_seconds(*.0))]
    GuessLimited(Duration),
    /// The database cannot be reached. Nothing was changed.
    #[error("the database is away; try again in a moment")]
    Unavailable(#[source] Cause),
    /// The database went away before it answered a write.
    #[error("the database went away during the call; whether a change was made is not known")]
    Interrupted(#[source] Cause),
    /// The call's time was up.
    #[error("the call ran out of time; whether a change was made is not known")]
    Timeout,
    /// A fault of ours.
    #[error("something went wrong on our side")]
    Internal(#[source] Cause),
}

/// What a caller's program sees of an error, on each face.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// The canonical gRPC code.
    pub grpc: Code,
    /// The HTTP status.
    pub http: StatusCode,
    /// REST's `type`.
    pub kind: &'static str,
    /// REST's `code`; in upper case it is the reason in gRPC's `ErrorInfo`.
    pub code: &'static str,
}

impl Error {
    /// There is no customer group with this id, or text.
    #[must_use]
    pub fn not_found(id: &str) -> Self {
        Self::NotFound(excerpt(id))
    }

    /// A fault of ours with its cause.
    pub fn internal(cause: impl Into<Cause>) -> Self {
        Self::Internal(cause.into())
    }

    /// The table.
    #[must_use]
    pub fn answer(&self) -> Answer {
        const REQUEST: &str = "invalid_request_error";
        const AUTHENTICATION: &str = "authentication_error";
        const IDEMPOTENCY: &str = "idempotency_error";
        const PERMISSION: &str = "permission_error";
        const RATE_LIMIT: &str = "rate_limit_error";
        const API: &str = "api_error";

        let (grpc, http, kind, code) = match self {
            Self::Invalid(violations) => {
                let code = match violations.kind() {
                    ViolationKind::Invalid => "parameter_invalid",
                    ViolationKind::Missing => "parameter_missing",
                    ViolationKind::Unknown => "parameter_unknown",
                    ViolationKind::ParentNotFound => "parent_not_found",
                    ViolationKind::ParentCycle => "parent_cycle",
                };
                (Code::InvalidArgument, StatusCode::BAD_REQUEST, REQUEST, code)
            }
            Self::NotFound(_) => (Code::NotFound, StatusCode::NOT_FOUND, REQUEST, "resource_missing"),
            Self::HasChildren(_) => (Code::FailedPrecondition, StatusCode::CONFLICT, REQUEST, "has_children"),
            Self::EtagMismatch(_) => {
                (Code::Aborted, StatusCode::PRECONDITION_FAILED, REQUEST, "etag_mismatch")
            }
            Self::IdempotencyKeyReused(_) => {
                (Code::FailedPrecondition, StatusCode::CONFLICT, IDEMPOTENCY, "idempotency_key_reused")
            }
            Self::KeyMissing => {
                (Code::Unauthenticated, StatusCode::UNAUTHORIZED, AUTHENTICATION, "api_key_missing")
            }
            Self::KeyInvalid(_) => {
                (Code::Unauthenticated, StatusCode::UNAUTHORIZED, AUTHENTICATION, "api_key_invalid")
            }
            Self::KeyReadOnly => {
                (Code::PermissionDenied, StatusCode::FORBIDDEN, PERMISSION, "api_key_read_only")
            }
            Self::MethodNotAllowed(_) => {
                (Code::Unimplemented, StatusCode::METHOD_NOT_ALLOWED, REQUEST, "method_not_allowed")
            }
            Self::RouteUnknown(_) => (Code::Unimplemented, StatusCode::NOT_FOUND, REQUEST, "route_unknown"),
            Self::BodyTooLarge(_) => {
                (Code::ResourceExhausted, StatusCode::PAYLOAD_TOO_LARGE, REQUEST, "body_too_large")
            }
            Self::AnswerTooLarge(_) => {
                (Code::ResourceExhausted, StatusCode::BAD_REQUEST, REQUEST, "answer_too_large")
            }
            // gRPC's own status page gives INTERNAL to a request that is no protobuf:
            // https://grpc.io/docs/guides/status-codes/
            Self::Undecodable(_) => (Code::Internal, StatusCode::BAD_REQUEST, REQUEST, "body_malformed"),
            Self::EncodingUnsupported(_) => {
                (Code::Unimplemented, StatusCode::UNSUPPORTED_MEDIA_TYPE, REQUEST, "content_type_unsupported")
            }
            Self::Overloaded => {
                (Code::ResourceExhausted, StatusCode::TOO_MANY_REQUESTS, RATE_LIMIT, "overloaded")
            }
            Self::RateLimited(_) | Self::GuessLimited(_) => {
                (Code::ResourceExhausted, StatusCode::TOO_MANY_REQUESTS, RATE_LIMIT, "rate_limited")
            }
            Self::Unavailable(_) | Self::Interrupted(_) => {
                (Code::Unavailable, StatusCode::SERVICE_UNAVAILABLE, API, "unavailable")
            }
            Self::Timeout => (Code::DeadlineExceeded, StatusCode::GATEWAY_TIMEOUT, API, "timeout"),
            Self::Internal(_) => (Code::Internal, StatusCode::INTERNAL_SERVER_ERROR, API, "internal"),
        };
        Answer { grpc, http, kind, code }
    }

    /// After which time, in whole seconds, the same call may be made again with a better chance; `None` where that
    /// is not a matter of time.
    #[must_use]
    pub fn retry_after(&self) -> Option<u64> {
        if let Self::RateLimited(wait) | Self::GuessLimited(wait) = self {
            return Some(whole_seconds(*wait));
        }
        let passing = [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE];
        passing.contains(&self.answer().http).then_some(RETRY_SECONDS)
    }

    /// Whether a write that ends in it may have been done all the same.
    #[must_use]
    pub fn leaves_open(&self) -> bool {
        match self {
            Self::Interrupted(_) | Self::Timeout | Self::Internal(_) => true,
            Self::Invalid(_)
            | Self::NotFound(_)
            | Self::HasChildren(_)
            | Self::EtagMismatch(_)
            | Self::IdempotencyKeyReused(_)
            | Self::KeyMissing
            | Self::KeyInvalid(_)
            | Self::KeyReadOnly
            | Self::MethodNotAllowed(_)
            | Self::RouteUnknown(_)
            | Self::BodyTooLarge(_)
            | Self::AnswerTooLarge(_)
            | Self::Undecodable(_)
            | Self::EncodingUnsupported(_)
            | Self::Overloaded
            | Self::RateLimited(_)
            | Self::GuessLimited(_)
            | Self::Unavailable(_) => false,
        }
    }

    /// What the log says of it.
    #[must_use]
    pub fn record(&self) -> Record {
        use tracing::Level;
        let (level, cause, refusal) = match self {
            Self::Internal(cause) => (Level::ERROR, Some(chain(&**cause)), None),
            Self::Unavailable(cause) | Self::Interrupted(cause) => (Level::WARN, Some(chain(&**cause)), None),
            Self::Timeout => (Level::WARN, None, None),
            Self::Overloaded => (Level::DEBUG, None, Some(Refusal::Overload)),
            Self::GuessLimited(_) => (Level::DEBUG, None, Some(Refusal::Guess)),
            Self::Invalid(_)
            | Self::NotFound(_)
            | Self::HasChildren(_)
            | Self::EtagMismatch(_)
            | Self::IdempotencyKeyReused(_)
            | Self::KeyMissing
            | Self::KeyInvalid(_)
            | Self::KeyReadOnly
            | Self::MethodNotAllowed(_)
            | Self::RouteUnknown(_)
            | Self::BodyTooLarge(_)
            | Self::AnswerTooLarge(_)
            | Self::Undecodable(_)
            | Self::EncodingUnsupported(_)
            | Self::RateLimited(_) => (Level::INFO, None, None),
        };
        Record { reason: self.answer().code, level, cause, refusal }
    }

    /// The text for the caller. Only a fault of ours needs the request id in it.
    #[must_use]
    pub fn message(&self, request_id: &str) -> String {
        if matches!(self, Self::Internal(_)) {
            format!("{self}; quote the request id {request_id} when you report it")
        } else {
            self.to_string()
        }
    }
}

/// The least number of seconds in which a time has passed.
fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

/// What the log says of an error.
#[derive(Debug, Clone)]
pub struct Record {
    /// The reason, as the caller saw it.
    pub reason: &'static str,
    /// How much an operator should care.
    pub level: tracing::Level,
    /// What caused it, where that is more than the caller was told.
    pub cause: Option<String>,
    /// Set for what an operator wants to know the number of, rather than of each.
    pub refusal: Option<Refusal>,
}

/// Why calls are refused of which there may be very many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// There are too many at once.
    Overload,
    /// Too many API keys that are none came from where they come from.
    Guess,
}

/// What the log says of an error that comes when the answer has already begun.
#[derive(Debug, Clone, Default)]
pub struct LateRecord(Arc<OnceLock<Record>>);

impl LateRecord {
    /// Keeps what is to be said of the error, if it is the first.
    pub fn set(&self, error: &Error) {
        self.0.get_or_init(|| error.record());
    }

    /// What is to be said, if there was an error.
    #[must_use]
    pub fn get(&self) -> Option<&Record> {
        self.0.get()
    }
}

impl From<Violations> for Error {
    fn from(violations: Violations) -> Self {
        Self::Invalid(violations)
    }
}

/// Writes an error with everything that caused it, for the log.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}
