//! The path of every request to its handler: the layers of one call, in the order in which a request meets them.
//!
//! 1. The spelling of the path, and CORS for requests of browsers
//! 2. The wire format: gRPC, gRPC-Web (translated to gRPC) or HTTP
//! 3. The record of the call: request id, metrics, access log; and its panics
//! 4. Checks of the request's head
//! 5. Public endpoints: health, reflection, probes, the API description and the explorer
//! 6. Admission: authentication, rate limit, concurrency limit, deadline
//! 7. The span of the call, and its timeout
//! 8. The protocol: gRPC or REST

mod cors;
mod counted_body;
mod explorer;
mod health;
mod health_rpc;
mod limited_body;
mod pages;
mod request_head;
mod wire_format;

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use axum::body::Body;
use axum::response::IntoResponse;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use tokio::time::{Instant, timeout, timeout_at};
use tonic::service::Routes;
use tonic_web::GrpcWebLayer;
use tower::{Layer, Service as _, ServiceExt, service_fn};
use tower_http::cors::CorsLayer;

pub use cors::Origins;
pub(crate) use health::Health;

use crate::admission::{Admission, Limits, PublicLimits, PublicPermit};
use crate::api::{AnyBody, CallContext, CallState, Protocol};
use crate::error::{BoxError, Error};
use crate::observe::{Call, CallMetrics, Endpoints, Names, Refusals};
use crate::service::Service;
use crate::store::Store;
use crate::telemetry::catch_panic;
use crate::{grpc, rest};
use counted_body::CountedBody;
use limited_body::LimitedBody;
use wire_format::WireFormat;

/// The part of the router that all threads share.
#[derive(Debug, Clone)]
pub(crate) struct SharedRoutes {
    admission: Arc<Admission>,
    public_limits: PublicLimits,
    /// Health and reflection.
    public_grpc: axum::Router,
    /// The probes, the API description and the explorer.
    public_rest: axum::Router,
    cors: Option<CorsLayer>,
    max_request_bytes: usize,
    max_header_bytes: u32,
    has_tls: bool,
    refusals: Arc<Refusals>,
}

/// The router of a worker thread.
#[derive(Debug)]
pub(crate) struct Router {
    shared: SharedRoutes,
    grpc: grpc::Server,
    rest: rest::Server,
    metrics: Arc<CallMetrics>,
}

/// The origin of a request.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    /// The peer address of the connection.
    pub(crate) address: IpAddr,
    pub(crate) state: Arc<CallState>,
}

impl SharedRoutes {
    /// Returns the shared routes, and the names of all endpoints.
    pub(crate) fn new(
        admission: Arc<Admission>,
        health: &Health,
        origins: Option<Origins>,
        limits: &Limits,
        public_limits: PublicLimits,
        has_tls: bool,
        refusals: Arc<Refusals>,
    ) -> Result<(Self, Endpoints), BoxError> {
        let (public_rest, public_paths) = public_routes(health);
        let shared = Self {
            admission,
            public_limits,
            public_grpc: grpc::with_reflection(Routes::new(health_rpc::server(health.readiness().clone())))?,
            public_rest,
            cors: origins.map(cors::layer),
            max_request_bytes: limits.request_bytes,
            max_header_bytes: limits.header_bytes,
            has_tls,
            refusals,
        };
        Ok((shared, endpoints(public_paths)?))
    }

    /// Returns the router of a thread, with the thread's store and call metrics.
    pub(crate) fn over(self, store: Store, metrics: Arc<CallMetrics>) -> Router {
        let (service, max_request_bytes) = (Service::new(store), self.max_request_bytes);
        Router {
            shared: self,
            grpc: grpc::Server::new(service.clone(), max_request_bytes),
            rest: rest::Server::new(service, max_request_bytes),
            metrics,
        }
    }
}

impl Router {
    /// Serves a request: the path and CORS, then the other layers.
    pub(crate) async fn serve<B: AnyBody>(
        self: Arc<Self>,
        mut request: Request<B>,
        origin: Origin,
    ) -> Response<Body> {
        request_head::normalize(&mut request);
        let Some(cors) = self.shared.cors.clone().filter(|_| cors::concerns(&request)) else {
            return self.route(request, origin).await;
        };
        let is_preflight = request.method() == Method::OPTIONS;
        let begin = || Call::begin(Protocol::Rest, &request, origin.state.clone(), &self.metrics);
        let preflight = is_preflight.then(begin);
        let route = move |request| {
            let (router, origin) = (self.clone(), origin.clone());
            async move { Ok::<_, Infallible>(router.route(request, origin).await) }
        };
        let Ok(response) = Box::pin(cors.layer(service_fn(route)).oneshot(request)).await;
        match preflight {
            Some(call) => call.respond(response),
            None => response,
        }
    }

    async fn route<B: AnyBody>(self: Arc<Self>, mut request: Request<B>, origin: Origin) -> Response<Body> {
        let wire_format = WireFormat::of(&request);
        match wire_format {
            WireFormat::Grpc | WireFormat::Http => self.observe(wire_format, request, origin).await,
            WireFormat::GrpcWeb(content_type) => {
                // The translation accepts only this spelling.
                request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
                let grpc = service_fn(move |request: Request<tonic::body::Body>| {
                    let (router, origin) = (self.clone(), origin.clone());
                    async move { Ok::<_, Infallible>(router.observe(wire_format, request, origin).await) }
                });
                // Boxed like all rare paths, so that the future of frequent ones stays small.
                let Ok(response) = Box::pin(GrpcWebLayer::new().layer(grpc).oneshot(request)).await;
                response.map(Body::new)
            }
        }
    }

    /// Records the call: metrics and access log.
    async fn observe<B: AnyBody>(
        &self,
        wire_format: WireFormat,
        request: Request<B>,
        origin: Origin,
    ) -> Response<Body> {
        let Origin { address, state } = origin;
        let protocol = wire_format.protocol();
        let mut call = Call::begin(protocol, &request, state, &self.metrics);
        let answered = catch_panic(pin!(self.answer(&mut call, wire_format, request, address))).await;
        let mut response =
            answered.unwrap_or_else(|panic| error_response(protocol, &Error::internal(panic), &call.state));
        self.protect(protocol, response.headers_mut());
        if let Some(refusal) = call.state.refusal() {
            self.shared.refusals.count(refusal);
        }
        call.respond(response)
    }

    /// Adds the headers by which a browser keeps no data, guesses no types, and later does not fall back to HTTP.
    fn protect(&self, protocol: Protocol, headers: &mut HeaderMap) {
        const A_YEAR: HeaderValue = HeaderValue::from_static("max-age=31536000");
        if protocol == Protocol::Rest {
            headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
            // Files have rules of their own.
            headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        }
        if self.shared.has_tls {
            headers.insert(STRICT_TRANSPORT_SECURITY, A_YEAR);
        }
    }

    async fn answer<B: AnyBody>(
        &self,
        call: &mut Call,
        wire_format: WireFormat,
        request: Request<B>,
        address: IpAddr,
    ) -> Response<Body> {
        if let Err(error) = request_head::check(&request, wire_format, self.shared.max_header_bytes) {
            return error_response(call.protocol, &error, &call.state);
        }
        if request_head::is_for_the_server(&request) {
            return StatusCode::NO_CONTENT.into_response();
        }
        if call.is_public() {
            let served = Box::pin(self.public(call, request)).await;
            return served.unwrap_or_else(|error| error_response(call.protocol, &error, &call.state));
        }
        match self.shared.admission.admit(call, request.headers(), address).await {
            Ok((context, permit)) => {
                let response = self.handle(call, context, request).await;
                drop(permit);
                response
            }
            Err(error) => error_response(call.protocol, &error, &call.state),
        }
    }

    async fn public<B: AnyBody>(
        &self,
        call: &mut Call,
        request: Request<B>,
    ) -> Result<Response<Body>, Error> {
        let PublicPermit { place, time } = self.shared.public_limits.admit(request.uri().path())?;
        call.keep_permit(place);
        let (method, uri, begun) = (request.method().clone(), request.uri().clone(), Instant::now());
        let (protocol, request) = (call.protocol, request.map(Body::new));
        let served = async {
            match protocol {
                Protocol::Grpc => {
                    let Ok(response) = self.shared.public_grpc.clone().call(request).await;
                    grpc::translate(response, &uri, grpc::MAX_PUBLIC_REQUEST_BYTES, &call.state)
                }
                Protocol::Rest => {
                    let Ok(response) = self.shared.public_rest.clone().call(request).await;
                    rest::explain(response, &method, &uri, &call.state)
                }
            }
        };
        let response = timeout(time, served).await.map_err(|_elapsed| Error::Timeout)?;
        Ok(LimitedBody::wrap(response, begun + time, protocol, &call.state))
    }

    /// Calls the handler, within the deadline and the span of the call.
    async fn handle<B: AnyBody>(
        &self,
        call: &mut Call,
        context: CallContext,
        request: Request<B>,
    ) -> Response<Body> {
        // After admission, so that only callers with a key can have calls traced.
        let trace = call.begin_span(request.headers());
        let (protocol, deadline) = (call.protocol, context.deadline);
        let request = request.map(|body| CountedBody::new(body, context.clone()));
        let response = async {
            match protocol {
                Protocol::Grpc => self.grpc.call(context, request).await,
                Protocol::Rest => self.rest.call(context, request).await,
            }
        };
        let mut answered = pin!(timeout_at(deadline, response));
        let handled = pin!(poll_fn(|task| match answered.as_mut().poll(task) {
            Poll::Pending if call.state.is_over_limit() => Poll::Ready(Err(Error::Overloaded)),
            polled => polled.map(|answered| answered.map_err(|_elapsed| Error::Timeout)),
        }));
        let handled = match trace {
            Some(trace) => trace.around(handled).await,
            None => handled.await,
        };
        handled.unwrap_or_else(|error| error_response(protocol, &error, &call.state))
    }
}

/// The probes, the API description and the explorer, and their paths.
fn public_routes(health: &Health) -> (axum::Router, Vec<String>) {
    let ((probes, mut paths), (description, of_description), (explorer, of_explorer)) =
        (health.probes(), rest::description(), explorer::routes());
    paths.extend(of_description.into_iter().chain(of_explorer));
    let pages = pages::secured(pages::compressed_once(description).merge(explorer));
    (probes.merge(pages), paths)
}

/// The names of all endpoints.
fn endpoints(public_paths: Vec<String>) -> Result<Endpoints, BoxError> {
    let rpcs = Names { protected: grpc::rpcs()?, public: grpc::public_rpcs()? };
    let paths = Names { protected: rest::paths(), public: public_paths };
    Endpoints::new(rpcs, paths, rest::COLLECTION)
}

fn error_response(protocol: Protocol, error: &Error, state: &CallState) -> Response<Body> {
    match protocol {
        Protocol::Grpc => grpc::error_response(error, state),
        Protocol::Rest => rest::error_response(error, state),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::{Endpoint, OTHER};

    fn all() -> Endpoints {
        endpoints(public_routes(&Health::default()).1).unwrap()
    }

    #[test]
    fn every_path_has_the_template_of_its_handler() {
        let endpoints = all();
        for (path, template) in [
            ("/livez", Some("/livez")),
            ("/docs/", Some("/docs/")),
            ("/docs/index.html", Some("/docs/{*page}")),
            ("/docs/a/b.js", Some("/docs/{*page}")),
            ("/api/setup/customer-group", Some("/api/setup/customer-group")),
            ("/api/setup/customer-group/", Some("/api/setup/customer-group")),
            ("/api/setup/customer-group:batchGet", Some("/api/setup/customer-group:batchGet")),
            ("/api/setup/customer-group/x", Some("/api/setup/customer-group/{id}")),
            ("/api/setup/customer-group/x/children", Some("/api/setup/customer-group/{id}/children")),
            ("/api/setup/customer-group/children", Some("/api/setup/customer-group/{id}")),
            ("/api/setup/customer-group//children", Some("/api/setup/customer-group/{id}/children")),
            ("/api/setup/customer-group/x/", None),
            ("/api/setup/customer-group/x/y", None),
            ("/livez/", None),
            ("/", Some("/")),
            ("/assets/index-0a1b2c3d.js", Some("/assets/{file}")),
            ("/assets/", None),
            ("//", None),
        ] {
            let Endpoint::Path { method: 0, route } = endpoints.of(Protocol::Rest, &Method::GET, path) else {
                panic!("{path} is no path");
            };
            assert_eq!(endpoints.route(route), template, "{path}");
        }
    }

    #[test]
    fn every_rpc_has_its_name_and_all_others_one_together() {
        let endpoints = all();
        let name = |path: &str| match endpoints.of(Protocol::Grpc, &Method::POST, path) {
            Endpoint::Rpc(place) => endpoints.rpc(place),
            Endpoint::Path { .. } => panic!("{path} is a path"),
        };
        for known in [
            "overplane.setup.v1.CustomerGroupService/GetCustomerGroup",
            "overplane.setup.v1.CustomerGroupService/StreamCustomerGroupDescendants",
            "grpc.health.v1.Health/Check",
            "grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
            "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        ] {
            assert_eq!(name(&format!("/{known}")), known);
        }
        for other in ["/overplane.setup.v1.CustomerGroupService/Nonsense", "/nonsense", "/", ""] {
            assert_eq!(name(other), OTHER);
        }
    }
}
