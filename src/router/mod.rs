//! The path of every request to its handler: the layers of one call, in the order in which a request meets them.
//!
//! 1. CORS, for requests of browsers
//! 2. The wire format: gRPC, gRPC-Web (translated to gRPC) or HTTP 3. The record of the call: request id, metrics,
//! access log 4. Public endpoints: health, reflection, probes, the API description and the explorer 5. Admission:
//! concurrency limit, authentication, rate limit, deadline 6. The span of the call, its timeout, and panics 7. The
//! protocol: gRPC or REST

mod cors;
mod explorer;
mod health;
mod wire_format;

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response};
use tokio::time::timeout_at;
use tonic::service::Routes;
use tonic_web::GrpcWebLayer;
use tower::{Layer, Service as _, ServiceExt, service_fn};
use tower_http::cors::CorsLayer;

pub use cors::Origins;
pub(crate) use health::Health;

use crate::admission::Admission;
use crate::api::{AnyBody, CallContext, CallState, Protocol};
use crate::error::{BoxError, Error};
use crate::observe::{Call, CallMetrics, Endpoints, Names, Refusals};
use crate::service::Service;
use crate::store::Store;
use crate::telemetry::catch_panic;
use crate::{grpc, rest};
use wire_format::WireFormat;

/// The part of the router that all threads share.
#[derive(Debug, Clone)]
pub(crate) struct SharedRoutes {
    admission: Arc<Admission>,
    /// Health and reflection.
    public_grpc: axum::Router,
    /// The probes, the API description and the explorer.
    public_rest: axum::Router,
    cors: Option<CorsLayer>,
    max_request_bytes: usize,
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
        max_request_bytes: usize,
        refusals: Arc<Refusals>,
    ) -> Result<(Self, Endpoints), BoxError> {
        let public = [health.probes(), rest::description(), explorer::routes()];
        let (public_rest, paths): (Vec<_>, Vec<_>) = public.into_iter().unzip();
        let rpcs = Names { protected: grpc::rpcs()?, public: grpc::public_rpcs()? };
        let paths = Names { protected: rest::paths(), public: paths.concat() };
        let shared = Self {
            admission,
            public_grpc: grpc::with_reflection(Routes::new(health.rpc()))?.into_axum_router(),
            public_rest: public_rest.into_iter().fold(axum::Router::new(), axum::Router::merge),
            cors: origins.map(cors::layer),
            max_request_bytes,
            refusals,
        };
        Ok((shared, Endpoints::new(rpcs, paths, rest::COLLECTION)?))
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
    /// Serves a request: CORS, then the other layers.
    pub(crate) async fn serve<B: AnyBody>(
        self: Arc<Self>,
        request: Request<B>,
        origin: Origin,
    ) -> Response<Body> {
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
        match WireFormat::of(&request) {
            WireFormat::Grpc => self.observe(Protocol::Grpc, request, origin).await,
            WireFormat::GrpcWeb(content_type) => {
                // The translation accepts only this spelling.
                request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
                let grpc = service_fn(move |request: Request<tonic::body::Body>| {
                    let (router, origin) = (self.clone(), origin.clone());
                    async move { Ok::<_, Infallible>(router.observe(Protocol::Grpc, request, origin).await) }
                });
                // Boxed like all rare paths, so that the future of frequent ones stays small.
                let Ok(response) = Box::pin(GrpcWebLayer::new().layer(grpc).oneshot(request)).await;
                response.map(Body::new)
            }
            WireFormat::Http => self.observe(Protocol::Rest, request, origin).await,
        }
    }

    /// Records the call: metrics and access log.
    async fn observe<B: AnyBody>(
        &self,
        protocol: Protocol,
        request: Request<B>,
        origin: Origin,
    ) -> Response<Body> {
        let Origin { address, state } = origin;
        let mut call = Call::begin(protocol, &request, state, &self.metrics);
        let response = if call.is_public() {
            Box::pin(self.public(&call, request)).await
        } else {
            match self.shared.admission.admit(&mut call, request.headers(), address).await {
                Ok(context) => self.handle(&mut call, context, request).await,
                Err(error) => error_response(protocol, &error, &call.state),
            }
        };
        if let Some(refusal) = call.state.refusal() {
            self.shared.refusals.count(refusal);
        }
        call.respond(response)
    }

    async fn public<B: AnyBody>(&self, call: &Call, request: Request<B>) -> Response<Body> {
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let request = request.map(Body::new);
        match call.protocol {
            Protocol::Grpc => {
                let Ok(response) = self.shared.public_grpc.clone().call(request).await;
                grpc::translate(response, &uri, self.shared.max_request_bytes, &call.state)
            }
            Protocol::Rest => {
                let Ok(response) = self.shared.public_rest.clone().call(request).await;
                rest::explain(response, &method, &uri, &call.state)
            }
        }
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
        let face = async {
            match protocol {
                Protocol::Grpc => self.grpc.call(context, request).await,
                Protocol::Rest => self.rest.call(context, request).await,
            }
        };
        let handled = timeout_at(deadline, catch_panic(face));
        let handled = match trace {
            Some(trace) => Box::pin(trace.around(handled)).await,
            None => handled.await,
        };
        let error = match handled {
            Ok(Ok(response)) => return response,
            Ok(Err(panic)) => Error::internal(panic),
            Err(_elapsed) => Error::Timeout,
        };
        error_response(protocol, &error, &call.state)
    }
}

fn error_response(protocol: Protocol, error: &Error, state: &CallState) -> Response<Body> {
    match protocol {
        Protocol::Grpc => grpc::error_response(error, state),
        Protocol::Rest => rest::error_response(error, state),
    }
}
