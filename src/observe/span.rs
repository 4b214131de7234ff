//! The span of a call, by the semantic conventions of OpenTelemetry 1.44. It takes only the caller's trace context from
//! the request, not the path or other headers.

use std::borrow::Cow;
use std::time::Instant;

use http::{HeaderMap, HeaderName};
use opentelemetry::KeyValue;
use opentelemetry::propagation::Extractor;
use tonic::Code;

use super::call::End;
use super::endpoints::{self, Endpoint, Endpoints, OTHER};
use crate::api::code_name;
use crate::telemetry::traces::Trace;

/// Begins the span at the start of the call; `None` when the call is not sampled.
pub(super) fn begin(
    endpoints: &Endpoints,
    endpoint: Endpoint,
    started: Instant,
    headers: &HeaderMap,
) -> Option<Trace> {
    Trace::begin(&Headers(headers), started, || match endpoint {
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

/// Whether a code reports a fault of the server.
fn is_fault(code: Code) -> bool {
    use Code::{DataLoss, DeadlineExceeded, Internal, Unavailable, Unimplemented, Unknown};
    matches!(code, Unknown | DeadlineExceeded | Unimplemented | Internal | Unavailable | DataLoss)
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}
