//! One call: its request id, and its one line in the log.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use axum::body::{Body, Bytes};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;
use tonic::Code;
use tracing::Level;

use super::endpoints::Endpoint;
use super::meter::Meter;
use super::received::Origin;
use super::span;
use crate::auth::Principal;
use crate::domain::{self, request_id};
use crate::error::{LateRecord, Record};
use crate::traces::Trace;

pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static(domain::REQUEST_ID);
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// How a request is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wire {
    /// As gRPC.
    Grpc,
    /// As gRPC for browsers, in binary or in text: with this content type.
    GrpcWeb(&'static str),
    /// As anything else.
    Http,
}

/// Which way a request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Face {
    /// To the RPCs.
    Grpc,
    /// To the documented paths.
    Rest,
}

/// A call from its first to its last byte. Its line is written when it is dropped, so that it also has one
/// when its caller goes away.
#[derive(Debug)]
pub(super) struct Call {
    face: Face,
    meter: Arc<Meter>,
    endpoint: Endpoint,
    method: Method,
    uri: Uri,
    request_id: HeaderValue,
    begun: Instant,
    end: End,
    origin: Origin,
    principal: Option<Principal>,
    record: Option<Record>,
    late: Option<LateRecord>,
    /// With its span, when it is sampled.
    trace: Option<Trace>,
    /// Its place among those that are under way.
    place: Option<OwnedSemaphorePermit>,
}

/// How a call ended, so far.
#[derive(Debug, Clone, Copy)]
pub(super) enum End {
    /// Its caller went away first.
    Cancelled,
    Grpc(Code),
    Http(StatusCode),
}

impl End {
    /// That of an RPC, which has a code also when its caller went away.
    pub(super) fn code(self) -> Code {
        match self {
            Self::Grpc(code) => code,
            Self::Cancelled | Self::Http(_) => Code::Cancelled,
        }
    }
}

impl Call {
    pub(super) fn begin<B>(face: Face, request: &Request<B>, origin: Origin, meter: &Arc<Meter>) -> Self {
        let endpoint = meter.endpoints().of(face, request.method(), request.uri().path());
        meter.begin(endpoint);
        Self {
            face,
            meter: meter.clone(),
            endpoint,
            method: request.method().clone(),
            uri: request.uri().clone(),
            request_id: given_id(request.headers()).unwrap_or_else(new_id),
            begun: Instant::now(),
            end: End::Cancelled,
            origin,
            principal: None,
            record: None,
            late: None,
            trace: None,
            place: None,
        }
    }

    /// Begins its span, when it is sampled, and answers the trace that it belongs to.
    pub(super) fn begin_trace(&mut self, headers: &HeaderMap) -> Option<Trace> {
        self.trace = span::begin(self.meter.endpoints(), self.endpoint, self.begun, headers);
        self.trace.clone()
    }

    pub(super) fn face(&self) -> Face {
        self.face
    }

    pub(super) fn path(&self) -> &str {
        self.uri.path()
    }

    pub(super) fn request_id(&self) -> &str {
        self.request_id.to_str().unwrap_or_default()
    }

    /// Whether it needs no API key: it only looks at the service.
    pub(super) fn is_public(&self) -> bool {
        const SERVICES: [&str; 3] = [
            "/grpc.health.v1.Health/",
            "/grpc.reflection.v1.ServerReflection/",
            "/grpc.reflection.v1alpha.ServerReflection/",
        ];
        let path = self.path();
        match self.face {
            Face::Grpc => SERVICES.iter().any(|service| path.starts_with(service)),
            Face::Rest => self.meter.endpoints().is_public(self.endpoint),
        }
    }

    /// Takes a place until its end.
    pub(super) fn keep(&mut self, place: OwnedSemaphorePermit) {
        self.place = Some(place);
    }

    pub(super) fn note_principal(&mut self, principal: Principal) {
        self.principal = Some(principal);
    }

    /// Where it came from.
    pub(super) fn address(&self) -> IpAddr {
        self.origin.connection.address
    }

    /// Notes that it was refused with whoever sent it.
    pub(super) fn note_refusal(&self) {
        self.origin.connection.hold.note_refusal();
    }

    /// Gives the response the request id, and follows its body to the end.
    pub(super) fn answer(mut self, mut response: Response<Body>) -> Response<Body> {
        response.headers_mut().insert(REQUEST_ID, self.request_id.clone());
        self.record = response.extensions_mut().remove();
        self.late = response.extensions_mut().remove();
        match self.face {
            Face::Grpc => self.note_grpc_status(response.headers()),
            Face::Rest => self.end = End::Http(response.status()),
        }
        response.map(|body| Body::new(Followed { body, is_under_way: false, call: self }))
    }

    fn note_grpc_status(&mut self, headers: &HeaderMap) {
        if let Some(status) = headers.get(GRPC_STATUS) {
            self.end = End::Grpc(Code::from_bytes(status.as_bytes()));
        }
    }

    /// What the log says of the error that it ended in.
    fn record(&self) -> Option<&Record> {
        self.record.as_ref().or_else(|| self.late.as_ref()?.get())
    }

    /// What only looks at the service is of no interest to anyone who does not look for it.
    fn level(&self) -> Level {
        match self.record() {
            Some(record) => record.level,
            None if self.is_public() || self.method == Method::OPTIONS => Level::DEBUG,
            None => Level::INFO,
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if self.origin.cut_off.happened() {
            (self.end, self.record, self.late) = (End::Cancelled, None, None);
        }
        let method = match self.face {
            Face::Grpc => self.path().trim_start_matches('/').to_owned(),
            Face::Rest => format!("{} {}", self.method, self.path()),
        };
        let request_id = self.request_id();
        let code = match &self.end {
            End::Cancelled => code_name(Code::Cancelled),
            End::Grpc(code) => code_name(*code),
            End::Http(status) => status.as_str(),
        };
        let duration = self.begun.elapsed();
        self.meter.end(self.endpoint, self.end, duration);
        let trace_id = self.trace.as_ref().map(|trace| tracing::field::display(trace.id()));
        // To the microsecond.
        let duration_ms = (duration.as_secs_f64() * 1e6).round() / 1e3;
        let key = self.principal.as_ref().map(Principal::name);
        let reason = self.record().map(|record| record.reason);
        let cause = self.record().and_then(|record| record.cause.as_deref());
        macro_rules! line {
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
            Level::ERROR => line!(Level::ERROR),
            Level::WARN => line!(Level::WARN),
            Level::INFO => line!(Level::INFO),
            _ => line!(Level::DEBUG),
        }
        if let Some(trace) = self.trace.take() {
            span::end(trace, self.endpoint, self.end);
        }
    }
}

impl Wire {
    /// Tells by the content type, as the [gRPC][grpc] and [gRPC-Web][web] protocols say.
    ///
    /// [grpc]: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
    /// [web]: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md
    pub(super) fn of<B>(request: &Request<B>) -> Self {
        const WEB: [&str; 4] = [
            "application/grpc-web",
            "application/grpc-web+proto",
            "application/grpc-web-text",
            "application/grpc-web-text+proto",
        ];
        const GRPC: &str = "application/grpc";
        let content_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let essence = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
        let (kind, rest) = essence.split_at_checked(GRPC.len()).unwrap_or_default();
        if !kind.eq_ignore_ascii_case(GRPC) {
            return Self::Http;
        }
        if rest.is_empty() || rest.starts_with('+') {
            return Self::Grpc;
        }
        let known = WEB.into_iter().find(|known| known.eq_ignore_ascii_case(essence));
        known.filter(|_| request.method() == Method::POST).map_or(Self::Http, Self::GrpcWeb)
    }
}

/// The caller's own request id, when it is safe in a header and in a log: 1 to 128 letters, digits and any of
/// `-_.:`.
fn given_id(headers: &HeaderMap) -> Option<HeaderValue> {
    const MAX_LENGTH: usize = 128;
    let id = headers.get(REQUEST_ID)?;
    let sane = (1..=MAX_LENGTH).contains(&id.len())
        && id.as_bytes().iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(byte));
    sane.then(|| id.clone())
}

fn new_id() -> HeaderValue {
    HeaderValue::try_from(request_id()).unwrap_or(HeaderValue::from_static("none"))
}

/// The canonical name of a gRPC code.
pub(super) fn code_name(code: Code) -> &'static str {
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

pin_project_lite::pin_project! {
    /// A response's body, with the call that it ends.
    struct Followed {
        #[pin]
        body: Body,
        is_under_way: bool,
        call: Call,
    }

    impl PinnedDrop for Followed {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if *this.is_under_way {
                this.call.end = End::Cancelled;
            }
        }
    }
}

impl HttpBody for Followed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let mut this = self.project();
        *this.is_under_way = true;
        let frame = ready!(this.body.as_mut().poll_frame(context));
        if let Some(Ok(frame)) = &frame
            && let Some(trailers) = frame.trailers_ref()
        {
            this.call.note_grpc_status(trailers);
        }
        *this.is_under_way =
            matches!(&frame, Some(Ok(frame)) if frame.is_data()) && !this.body.is_end_stream();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
