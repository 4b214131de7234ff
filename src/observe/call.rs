//! The record of one call: its access log line, metrics and span.

use std::borrow::Cow;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use axum::body::{Body, Bytes};
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;
use tonic::Code;
use tracing::Level;

use super::endpoints::Endpoint;
use super::metrics::CallMetrics;
use super::span;
use crate::api::headers::{GRPC_STATUS, REQUEST_ID};
use crate::api::{CallState, LogRecord, Protocol, code_name};
use crate::domain::{Principal, cut, redacted};
use crate::telemetry::traces::Trace;

/// A call from its first to its last byte. Dropping it writes the log line, so that a cancelled call has one too.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) protocol: Protocol,
    metrics: Arc<CallMetrics>,
    endpoint: Endpoint,
    method: Method,
    uri: Uri,
    pub(crate) state: Arc<CallState>,
    started: Instant,
    end: End,
    principal: Option<Principal>,
    /// Set when the call is sampled.
    trace: Option<Trace>,
    /// The permit of a public call.
    permit: Option<OwnedSemaphorePermit>,
}

/// The outcome of a call.
#[derive(Debug, Clone, Copy)]
pub(super) enum End {
    /// The caller disconnected. Also the initial value.
    Cancelled,
    Grpc(Code),
    Http(StatusCode),
}

impl End {
    /// The code of an RPC, also of a cancelled one.
    pub(super) fn code(self) -> Code {
        match self {
            Self::Grpc(code) => code,
            Self::Cancelled | Self::Http(_) => Code::Cancelled,
        }
    }
}

impl Call {
    pub(crate) fn begin<B>(
        protocol: Protocol,
        request: &Request<B>,
        state: Arc<CallState>,
        metrics: &Arc<CallMetrics>,
    ) -> Self {
        let endpoint = metrics.endpoints().of(protocol, request.method(), request.uri().path());
        metrics.begin(endpoint);
        Self {
            protocol,
            metrics: metrics.clone(),
            endpoint,
            method: request.method().clone(),
            uri: request.uri().clone(),
            state,
            started: Instant::now(),
            end: End::Cancelled,
            principal: None,
            trace: None,
            permit: None,
        }
    }

    /// Begins the span if the call is sampled, and returns its trace.
    pub(crate) fn begin_span(&mut self, headers: &HeaderMap) -> Option<Trace> {
        self.trace = span::begin(self.metrics.endpoints(), self.endpoint, self.started, headers);
        self.trace.clone()
    }

    /// Whether the call needs no API key.
    pub(crate) fn is_public(&self) -> bool {
        self.metrics.endpoints().is_public(self.endpoint, self.uri.path())
    }

    /// Keeps the permit of a public call until the call ends.
    pub(crate) fn keep_permit(&mut self, permit: Option<OwnedSemaphorePermit>) {
        self.permit = permit;
    }

    pub(crate) fn set_principal(&mut self, principal: Principal) {
        self.principal = Some(principal);
    }

    /// Adds the request id to the response. The call ends with the response's body.
    pub(crate) fn respond(mut self, mut response: Response<Body>) -> Response<Body> {
        response.headers_mut().insert(REQUEST_ID, self.state.request_id_header());
        match self.protocol {
            Protocol::Grpc => self.record_grpc_status(response.headers()),
            Protocol::Rest => self.end = End::Http(response.status()),
        }
        response.map(|body| Body::new(TrackedBody { body, is_incomplete: false, call: self }))
    }

    fn record_grpc_status(&mut self, headers: &HeaderMap) {
        if let Some(status) = headers.get(GRPC_STATUS) {
            self.end = End::Grpc(Code::from_bytes(status.as_bytes()));
        }
    }

    /// The error to log; `None` if the request was aborted, because the caller does not receive the response.
    fn error(&self) -> Option<&LogRecord> {
        self.state.error().filter(|_| !self.state.is_aborted())
    }

    /// Probes and preflights are frequent and of little interest.
    fn level(&self) -> Level {
        match self.error() {
            Some(error) => error.level,
            None if self.is_public() || self.method == Method::OPTIONS => Level::DEBUG,
            None => Level::INFO,
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if self.state.is_aborted() {
            self.end = End::Cancelled;
        }
        let path = logged(self.uri.path());
        let method = match self.protocol {
            Protocol::Grpc => path.trim_start_matches('/').to_owned(),
            Protocol::Rest => format!("{} {path}", cut(self.method.as_str())),
        };
        let request_id = self.state.request_id();
        let code = match &self.end {
            End::Cancelled => code_name(Code::Cancelled),
            End::Grpc(code) => code_name(*code),
            End::Http(status) => status.as_str(),
        };
        let duration = self.started.elapsed();
        self.metrics.end(self.endpoint, self.end, duration);
        let trace_id = self.trace.as_ref().map(|trace| tracing::field::display(trace.id()));
        // Rounded to microseconds.
        let duration_ms = (duration.as_secs_f64() * 1e6).round() / 1e3;
        let key = self.principal.as_ref().map(Principal::name);
        let reason = self.error().map(|error| error.reason);
        let cause = self.error().and_then(|error| error.cause.as_deref());
        macro_rules! log {
            ($level:expr) => {
                tracing::event!(
                    $level,
                    method,
                    code,
                    duration_ms,
                    request_id,
                    trace_id,
                    key,
                    reason,
                    cause,
                    "call"
                )
            };
        }
        match self.level() {
            Level::ERROR => log!(Level::ERROR),
            Level::WARN => log!(Level::WARN),
            Level::INFO => log!(Level::INFO),
            _ => log!(Level::DEBUG),
        }
        if let Some(trace) = self.trace.take() {
            span::end(trace, self.endpoint, self.end);
        }
    }
}

/// The beginning of a path without API keys: the caller decides what it contains.
fn logged(path: &str) -> Cow<'_, str> {
    /// Longer than the path of any group.
    const MAX_BYTES: usize = 256;
    redacted(&path[..path.floor_char_boundary(MAX_BYTES)])
}

/// A response body, which ends its call.
struct TrackedBody {
    body: Body,
    is_incomplete: bool,
    call: Call,
}

impl Drop for TrackedBody {
    fn drop(&mut self) {
        if self.is_incomplete {
            self.call.end = End::Cancelled;
        }
    }
}

impl HttpBody for TrackedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.is_incomplete = true;
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if let Some(Ok(frame)) = &frame
            && let Some(trailers) = frame.trailers_ref()
        {
            self.call.record_grpc_status(trailers);
        }
        self.is_incomplete =
            matches!(&frame, Some(Ok(frame)) if frame.is_data()) && !self.body.is_end_stream();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
