//! The one error type, without wire types.

use std::fmt;
use std::time::Duration;

use crate::domain::{GroupId, Violations, excerpt};

/// The cause of an error. Only the log shows it.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The largest response in one message, in bytes: the default limit of gRPC clients.
pub const MAX_RESPONSE_BYTES: usize = 4 * 1024 * 1024;

/// The encodings of a request, as `Accept-Encoding` names them.
pub const SUPPORTED_ENCODINGS: &str = "gzip, zstd, identity";

/// The number of seconds after which a temporary error is worth a retry.
pub const RETRY_SECONDS: u64 = 1;

/// Every way in which a call can fail. The text is for the caller and never contains the cause.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages describe the variants")]
pub enum Error {
    #[error("{0}")]
    Invalid(Violations),
    /// No customer group has this id, or one of these ids. They are quoted and shortened; see [`Error::not_found`].
    #[error("no customer group has the id {0}; it may have been deleted")]
    NotFound(String),
    #[error("{0} has children; delete or move them first")]
    HasChildren(GroupId),
    #[error(
        "{0} has another version than the change is for; read it again and send its etag unchanged, with the quotes"
    )]
    EtagMismatch(GroupId),
    /// The idempotency key, quoted and shortened, was used for another request.
    #[error("the idempotency key {0} was used for another request; repeat that request or use a new key")]
    IdempotencyKeyReused(String),
    #[error("an API key is required; send it as `Authorization: Bearer <key>`")]
    KeyMissing,
    /// The API key is malformed, unknown or revoked.
    #[error("{0}")]
    KeyInvalid(String),
    #[error("this API key is read-only; use a key that may write")]
    KeyReadOnly,
    /// The path does not have this method. Only REST returns it.
    #[error("{0}")]
    MethodNotAllowed(String),
    /// A gRPC request with another method, quoted and shortened.
    #[error("gRPC requests use POST, not {0}; send POST")]
    GrpcNotPost(String),
    #[error("the transfer coding {0} is not supported; send the body in chunks, or with its length")]
    TransferCodingUnsupported(String),
    #[error("there is no {0}")]
    RouteUnknown(String),
    #[error("the request is larger than {0} bytes; send a smaller one")]
    BodyTooLarge(usize),
    /// The response would be larger than 4 MiB. The text is the remedy.
    #[error("the response is larger than {MAX_RESPONSE_BYTES} bytes, the limit for one message; {0}")]
    AnswerTooLarge(&'static str),
    #[error("the request cannot be decoded: {0}")]
    Undecodable(String),
    #[error("the request cannot be decoded: {0}; send it with {SUPPORTED_ENCODINGS}")]
    EncodingUnsupported(String),
    /// The content type, quoted and shortened, or that it is missing; and the supported ones. Only REST returns it.
    #[error("the request cannot be decoded: its content type is {0}; send {1}")]
    MediaTypeUnsupported(String, &'static str),
    /// A proxy has converted the request, for example.
    #[error(
        "gRPC needs HTTP/2, and this request came over HTTP/1.1; use HTTP/2 on the whole way, or gRPC-Web"
    )]
    GrpcOverHttp1,
    #[error("the headers are larger than {0} bytes; send smaller ones")]
    HeadersTooLarge(u32),
    #[error("too many concurrent calls; retry in a moment")]
    Overloaded,
    #[error("too many calls with this API key; retry in {} s", whole_seconds(*.0))]
    RateLimited(Duration),
    #[error("too many unknown API keys came from your address; retry in {} s", whole_seconds(*.0))]
    FailedAuthLimited(Duration),
    /// The database is unavailable. Nothing was changed.
    #[error("the database is unavailable; retry in a moment")]
    Unavailable(#[source] BoxError),
    /// Lines of the log are lost, and the operator requires the audit log. Nothing was changed.
    #[error("changes cannot be recorded in the audit log; retry in a moment")]
    NotAuditable,
    /// The database became unavailable before it answered a write.
    #[error("the database became unavailable during the call; the change may or may not have been saved")]
    Interrupted(#[source] BoxError),
    #[error("the call exceeded its deadline; a change may or may not have been saved")]
    Timeout,
    #[error("an internal error occurred")]
    Internal(#[source] BoxError),
}

impl Error {
    /// Returns [`Error::NotFound`] with the id quoted and shortened.
    pub fn not_found(id: impl fmt::Display) -> Self {
        Self::NotFound(excerpt(&id.to_string()))
    }

    /// Returns [`Error::Internal`] with its cause.
    pub fn internal(cause: impl Into<BoxError>) -> Self {
        Self::Internal(cause.into())
    }

    /// Returns the causes of a fault of the service or of the database, for the log.
    #[must_use]
    pub fn cause(&self) -> Option<String> {
        std::error::Error::source(self).map(chain)
    }

    /// Whether a write that failed with this error may have been saved.
    #[must_use]
    pub fn outcome_is_unknown(&self) -> bool {
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
            | Self::GrpcNotPost(_)
            | Self::TransferCodingUnsupported(_)
            | Self::RouteUnknown(_)
            | Self::BodyTooLarge(_)
            | Self::AnswerTooLarge(_)
            | Self::Undecodable(_)
            | Self::EncodingUnsupported(_)
            | Self::MediaTypeUnsupported(..)
            | Self::GrpcOverHttp1
            | Self::HeadersTooLarge(_)
            | Self::Overloaded
            | Self::RateLimited(_)
            | Self::FailedAuthLimited(_)
            | Self::NotAuditable
            | Self::Unavailable(_) => false,
        }
    }

    /// Returns the number of seconds after which a retry can succeed; `None` where a retry alone does not help.
    #[must_use]
    pub fn retry_after(&self) -> Option<u64> {
        if let Self::RateLimited(wait) | Self::FailedAuthLimited(wait) = self {
            return Some(whole_seconds(*wait));
        }
        matches!(self, Self::Overloaded | Self::NotAuditable | Self::Unavailable(_) | Self::Interrupted(_))
            .then_some(RETRY_SECONDS)
    }

    /// Returns the text for the caller. For a fault of the service it contains the request id.
    #[must_use]
    pub fn message(&self, request_id: &str) -> String {
        if matches!(self, Self::Internal(_)) {
            format!("{self}; quote the request id {request_id} when you report it")
        } else {
            self.to_string()
        }
    }
}

/// Returns the time in seconds, rounded up.
fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

impl From<Violations> for Error {
    fn from(violations: Violations) -> Self {
        Self::Invalid(violations)
    }
}

/// Returns the text of an error and of all its causes, for the log.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}
