//! One call: its request id, and its one line in the log.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use axum::body::{Body, Bytes};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tonic::Code;
use tracing::Level;

use crate::auth::Caller;
use crate::domain::request_id;
use crate::error::Record;

pub(super) const REQUEST_ID: &str = "x-request-id";
const GRPC_STATUS: &str = "grpc-status";

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
    method: String,
    request_id: String,
    begun: Instant,
    end: End,
    cut_off: CutOff,
    key: Option<String>,
    record: Option<Record>,
}

/// How a call ended, so far.
#[derive(Debug, Clone, Copy)]
enum End {
    /// Its caller went away first.
    Cancelled,
    Grpc(Code),
    Http(StatusCode),
}

impl Call {
    pub(super) fn begin<B>(face: Face, request: &Request<B>) -> Self {
        let path = request.uri().path();
        let method = match face {
            Face::Grpc => path.trim_start_matches('/').to_owned(),
            Face::Rest => format!("{} {path}", request.method()),
        };
        Self {
            face,
            method,
            request_id: given_id(request.headers()).map_or_else(request_id, str::to_owned),
            begun: Instant::now(),
            end: End::Cancelled,
            cut_off: request.extensions().get().cloned().unwrap_or_default(),
            key: None,
            record: None,
        }
    }

    pub(super) fn request_id(&self) -> &str {
        &self.request_id
    }

    /// Takes who made the call from the response of the gate.
    pub(super) fn note_caller<B>(&mut self, response: &Response<B>) {
        let caller = response.extensions().get::<Caller>();
        self.key = caller.map(|caller| caller.key.map_or_else(|| "API_KEY".to_owned(), |id| id.to_string()));
    }

    /// Gives the response the request id, and follows its body to the end.
    pub(super) fn answer(mut self, mut response: Response<Body>) -> Response<Body> {
        if let Ok(id) = HeaderValue::from_str(&self.request_id) {
            response.headers_mut().insert(REQUEST_ID, id);
        }
        self.record = response.extensions_mut().remove();
        match self.face {
            Face::Grpc => self.note_grpc_status(response.headers()),
            Face::Rest => self.end = End::Http(response.status()),
        }
        response.map(|body| Body::new(Followed { body, call: self }))
    }

    fn note_grpc_status(&mut self, headers: &HeaderMap) {
        if let Some(status) = headers.get(GRPC_STATUS) {
            self.end = End::Grpc(Code::from_bytes(status.as_bytes()));
        }
    }

    /// What only looks at the service is of no interest to anyone who does not look for it.
    fn level(&self) -> Level {
        let looks = [
            "OPTIONS ",
            "grpc.health.",
            "grpc.reflection.",
            "GET /livez",
            "GET /readyz",
            "GET /docs",
            "GET /openapi.json",
        ];
        match &self.record {
            Some(record) => record.level,
            None if looks.iter().any(|method| self.method.starts_with(method)) => Level::DEBUG,
            None => Level::INFO,
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if self.cut_off.0.load(Ordering::Relaxed) {
            (self.end, self.record) = (End::Cancelled, None);
        }
        let (method, request_id) = (self.method.as_str(), self.request_id.as_str());
        let code = match &self.end {
            End::Cancelled => code_name(Code::Cancelled),
            End::Grpc(code) => code_name(*code),
            End::Http(status) => status.as_str(),
        };
        // To the microsecond.
        let duration_ms = (self.begun.elapsed().as_secs_f64() * 1e6).round() / 1e3;
        let key = self.key.as_deref();
        let reason = self.record.as_ref().map(|record| record.reason);
        let cause = self.record.as_ref().and_then(|record| record.cause.as_deref());
        macro_rules! line {
            ($level:expr) => {
                tracing::event!($level, method, code, duration_ms, request_id, key, reason, cause, "call")
            };
        }
        match self.level() {
            Level::ERROR => line!(Level::ERROR),
            Level::WARN => line!(Level::WARN),
            Level::INFO => line!(Level::INFO),
            _ => line!(Level::DEBUG),
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
        let content_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let essence = content_type.unwrap_or_default().split(';').next().unwrap_or_default();
        let essence = essence.trim().to_ascii_lowercase();
        match essence.strip_prefix("application/grpc") {
            Some(rest) if rest.is_empty() || rest.starts_with('+') => Self::Grpc,
            Some(_) if request.method() == Method::POST => {
                let known = WEB.into_iter().find(|known| *known == essence);
                known.map_or(Self::Http, Self::GrpcWeb)
            }
            Some(_) | None => Self::Http,
        }
    }
}

/// The caller's own request id, when it is safe in a header and in a log: 1 to 128 letters, digits and any of
/// `-_.:`.
fn given_id(headers: &HeaderMap) -> Option<&str> {
    const MAX_LENGTH: usize = 128;
    let id = headers.get(REQUEST_ID)?.to_str().ok()?;
    let sane = (1..=MAX_LENGTH).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte));
    sane.then_some(id)
}

/// The canonical name of a gRPC code.
fn code_name(code: Code) -> &'static str {
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

/// Whether the request's body broke off, since its caller went away. Whatever is answered then, nobody gets it.
#[derive(Debug, Clone, Default)]
struct CutOff(Arc<AtomicBool>);

/// Takes a request from the connection, so that its call knows when it is cut off.
pub(super) fn receive(request: Request<Incoming>) -> Request<Body> {
    let cut_off = CutOff::default();
    let (mut parts, body) = request.into_parts();
    parts.extensions.insert(cut_off.clone());
    let body = body.map_err(move |error| {
        cut_off.0.store(true, Ordering::Relaxed);
        error
    });
    Request::from_parts(parts, Body::new(body))
}

pin_project_lite::pin_project! {
    /// A response's body, with the call that it ends.
    struct Followed {
        #[pin]
        body: Body,
        call: Call,
    }
}

impl HttpBody for Followed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.project();
        let frame = ready!(this.body.poll_frame(context));
        if let Some(Ok(frame)) = &frame
            && let Some(trailers) = frame.trailers_ref()
        {
            this.call.note_grpc_status(trailers);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
