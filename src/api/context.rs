//! The context of one call, which every handler receives as an argument.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use http::{HeaderMap, HeaderValue};
use tokio::time::Instant;

use super::error::{LogRecord, Refusal};
use super::headers;
use crate::auth::KeyCache;
use crate::domain::{Digest, Principal, Reader, find_key, request_id};
use crate::error::Error;
use crate::fair_share::{FairShare, SharePermit};
use crate::service::Writer;
use crate::telemetry::is_losing_lines;

/// The largest request or response that is not counted, in bytes.
const SMALL: usize = 16 << 10;

/// The state that the layers of one call share, from its first byte to its last.
#[derive(Debug)]
pub(crate) struct CallState {
    request_id: HeaderValue,
    /// The error that the call failed with, for the access log.
    error: OnceLock<LogRecord>,
    /// Whether the request's body broke off.
    is_aborted: AtomicBool,
    /// Whether the request's body was given up because too much is in memory.
    is_over_limit: AtomicBool,
    /// The bytes that the call keeps in memory.
    buffers: Mutex<Option<SharePermit>>,
}

impl CallState {
    pub(crate) fn new(headers: &HeaderMap) -> Arc<Self> {
        let request_id = request_id_of(headers);
        Arc::new(Self {
            request_id,
            error: OnceLock::new(),
            is_aborted: AtomicBool::new(false),
            is_over_limit: AtomicBool::new(false),
            buffers: Mutex::default(),
        })
    }

    pub(crate) fn request_id(&self) -> &str {
        self.request_id.to_str().unwrap_or_default()
    }

    pub(crate) fn request_id_header(&self) -> HeaderValue {
        self.request_id.clone()
    }

    /// Records an error for the access log. The first one counts.
    pub(crate) fn record_error(&self, error: &Error) {
        self.error.get_or_init(|| LogRecord::of(error));
    }

    pub(crate) fn error(&self) -> Option<&LogRecord> {
        self.error.get()
    }

    pub(crate) fn refusal(&self) -> Option<Refusal> {
        self.error()?.refusal
    }

    pub(crate) fn abort_body(&self) {
        self.is_over_limit.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_over_limit(&self) -> bool {
        self.is_over_limit.load(Ordering::Relaxed)
    }

    fn keep_buffer(&self, permit: SharePermit) {
        let mut buffers = self.buffers.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *buffers {
            Some(kept) => kept.merge(permit),
            None => *buffers = Some(permit),
        }
    }

    pub(crate) fn abort(&self) {
        self.is_aborted.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_aborted(&self) -> bool {
        self.is_aborted.load(Ordering::Relaxed)
    }
}

/// An admitted call: its principal, request id and deadline. Only admission creates one.
#[derive(Debug, Clone)]
pub(crate) struct CallContext {
    pub(crate) principal: Principal,
    pub(crate) keys: Arc<KeyCache>,
    pub(crate) buffers: FairShare,
    /// Whether no change may be made while the audit log loses lines.
    pub(crate) is_audit_required: bool,
    pub(crate) deadline: Instant,
    pub(crate) state: Arc<CallState>,
}

impl CallContext {
    /// Fails if the key was revoked during the call. Long responses ask before each part.
    pub(crate) fn check_key(&self) -> Result<(), Error> {
        if self.keys.is_revoked(self.principal.digest) {
            return Err(Error::KeyInvalid("this API key was revoked during the call".to_owned()));
        }
        Ok(())
    }

    /// Returns the digest of the caller's API key.
    pub(crate) fn caller(&self) -> Digest {
        self.principal.digest
    }

    /// Returns the reader of a list.
    pub(crate) fn reader(&self, headers: &HeaderMap) -> Reader {
        Reader { key: self.principal.digest, consistency: headers::consistency(headers) }
    }

    /// Counts bytes of the call's request, after those `before`, or of its complete response. They count until the call
    /// ends, since its caller decides when they leave memory. Small ones are not counted: the number of calls limits them.
    /// Fails with [`Error::Overloaded`] when the share of the key, or the whole limit, is used up.
    pub(crate) fn buffer(&self, before: usize, bytes: usize) -> Result<(), Error> {
        let bytes = match before {
            _ if before + bytes <= SMALL => return Ok(()),
            ..=SMALL => before + bytes,
            _ => bytes,
        };
        let bytes = u32::try_from(bytes).map_err(|_| Error::Overloaded)?;
        let permit = self.buffers.try_acquire(self.principal.digest, bytes).ok_or(Error::Overloaded)?;
        self.state.keep_buffer(permit);
        Ok(())
    }

    /// Returns the permission to write, or [`Error::KeyReadOnly`], or [`Error::NotAuditable`].
    pub(crate) fn writer(&self) -> Result<Writer, Error> {
        if self.is_audit_required && is_losing_lines() {
            // When it can be written, lines are lost no longer.
            tracing::warn!(target: "audit", "changes are refused: lines of the audit log are lost");
            return Err(Error::NotAuditable);
        }
        Writer::new(self.principal, self.state.request_id())
    }
}

/// Returns the caller's id if it is safe in headers and logs: 1 to 128 letters, digits and any of `-_.:`, and no
/// API key. Otherwise generates one.
fn request_id_of(headers: &HeaderMap) -> HeaderValue {
    const MAX_LENGTH: usize = 128;
    let is_safe = |id: &&HeaderValue| {
        (1..=MAX_LENGTH).contains(&id.len())
            && id.as_bytes().iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(byte))
            && id.to_str().is_ok_and(|id| find_key(id).is_none())
    };
    let generate = || HeaderValue::try_from(request_id()).unwrap_or(HeaderValue::from_static("none"));
    headers.get(headers::REQUEST_ID).filter(is_safe).cloned().unwrap_or_else(generate)
}
