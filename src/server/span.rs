//! The span of a call, by the semantic conventions of OpenTelemetry 1.44. What callers send is no part of it but for
//! its place in a trace: neither paths nor headers.

use std::borrow::Cow;
use std::time::Instant;

use http::HeaderMap;
use opentelemetry::KeyValue;
use opentelemetry::propagation::Extractor;
use tonic::Code;

use super::call::{End, code_name};
use super::endpoints::{self, Endpoint, Endpoints, OTHER};
use crate::traces::Trace;

/// Begins it, as of when the call began; `None` when that is not sampled.
pub(super) fn begin(
    endpoints: &Endpoints,
    endpoint: Endpoint,
    begun: Instant,
    headers: &HeaderMap,
) -> Option<Trace> {
    Trace::begin(&Headers(headers), begun, || match endpoint {
        Endpoint::Rpc(rpc) => {
            let rpc = endpoints.rpc(rpc).to_owned();
            let name = if rpc == OTHER { Cow::Borrowed("grpc") } else { Cow::Owned(rpc.clone()) };
            (name, vec![KeyValue::new("rpc.system.name", "grpc"), KeyValue::new("rpc.method", rpc)])
        }
        Endpoint::Path { method, route } => {
            let method = endpoints::method(method);
            let mut attributes = vec![KeyValue::new("http.request.method", method)];
            let mut name = Cow::Borrowed(if method == OTHER { "HTTP" } else { method });
            if let Some(route) = endpoints.route(route) {
                name = format!("{name} {route}").into();
                attributes.push(KeyValue::new("http.route", route.to_owned()));
            }
            (name, attributes)
        }
    })
}

/// Ends it.
pub(super) fn end(trace: Trace, endpoint: Endpoint, end: End) {
    match (endpoint, end) {
        (Endpoint::Rpc(_), end) => {
            let code = end.code();
            let status = KeyValue::new("rpc.response.status_code", code_name(code));
            trace.end(vec![status], is_fault(code).then(|| code_name(code).into()));
        }
        (Endpoint::Path { .. }, End::Http(status)) => {
            let error = status.is_server_error().then(|| status.as_str().to_owned().into());
            trace.end(vec![KeyValue::new("http.response.status_code", i64::from(status.as_u16()))], error);
        }
        (Endpoint::Path { .. }, End::Cancelled | End::Grpc(_)) => {
            trace.end(Vec::new(), Some("cancelled".into()));
        }
    }
}

/// Whether it is the server that a code is about.
fn is_fault(code: Code) -> bool {
    match code {
        Code::Unknown
        | Code::DeadlineExceeded
        | Code::Unimplemented
        | Code::Internal
        | Code::Unavailable
        | Code::DataLoss => true,
        Code::Ok
        | Code::Cancelled
        | Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::ResourceExhausted
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unauthenticated => false,
    }
}

/// Where the caller's trace is.
struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}
