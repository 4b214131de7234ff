//! The way from a request to its handler, on each face.

use std::convert::Infallible;
use std::error::Error;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response};
use http_body::Body as HttpBody;
use hyper::body::Incoming;
use tonic::service::Routes;
use tonic_web::GrpcWebLayer;
use tower::{Layer, Service as _, ServiceExt, service_fn};
use tower_http::cors::CorsLayer;

use super::admit::Gate;
use super::call::{Call, Face, Wire};
use super::health::Health;
use super::limits::Refusals;
use super::meter::Meter;
use super::received::{Connection, Origin, Received};
use super::{Options, cors};
use crate::auth::KeyRing;
use crate::error::{Cause, Record, Refusal};
use crate::service::Service;
use crate::store::Store;
use crate::{explorer, grpc, rest};

/// What the faces of all threads have in common.
#[derive(Debug, Clone)]
pub(super) struct Common {
    gate: Arc<Gate>,
    rest: Router<rest::Context>,
    /// Health and reflection.
    public_grpc: Router,
    /// The probes, the description and the explorer.
    public_rest: Router,
    cors: Option<CorsLayer>,
    max_request_bytes: usize,
    refusals: Arc<Refusals>,
}

/// What serves the requests of a thread's connections.
#[derive(Debug)]
pub(super) struct Faces {
    common: Common,
    grpc: grpc::Server,
    rest: Router,
    meter: Arc<Meter>,
}

impl Common {
    pub(super) fn new(
        options: &Options,
        keys: Arc<KeyRing>,
        health: &Health,
        refusals: Arc<Refusals>,
    ) -> Result<Self, Cause> {
        let (rest, description) = rest::routers();
        Ok(Self {
            gate: Arc::new(Gate::new(options, keys)),
            rest,
            public_grpc: Routes::new(health.rpc())
                .add_service(grpc::reflection_v1()?)
                .add_service(grpc::reflection_v1alpha()?)
                .into_axum_router(),
            public_rest: health
                .probes()
                .merge(description)
                .merge(explorer::router())
                .method_not_allowed_fallback(rest::other_method)
                .fallback(rest::unknown),
            cors: options.origins.clone().map(cors::layer),
            max_request_bytes: options.limits.request_bytes,
            refusals,
        })
    }

    /// The faces over a thread's store, whose calls are counted by the thread's meter.
    pub(super) fn over(self, store: Store, meter: Arc<Meter>) -> Faces {
        let service = Service::new(store);
        let max_request_bytes = self.max_request_bytes;
        let rest =
            self.rest.clone().with_state(rest::Context { service: service.clone(), max_request_bytes });
        Faces { common: self, grpc: grpc::server(service, max_request_bytes), rest, meter }
    }
}

impl Faces {
    pub(super) async fn call(
        self: Arc<Self>,
        request: Request<Incoming>,
        connection: Arc<Connection>,
    ) -> Result<Response<Body>, Infallible> {
        let (request, origin) = Received::request(request, connection);
        let Some(cors) = self.common.cors.clone().filter(|_| cors::concerns(&request)) else {
            return Ok(self.route(request, origin).await);
        };
        let is_preflight = request.method() == Method::OPTIONS;
        let preflight = is_preflight.then(|| Call::begin(Face::Rest, &request, origin.clone(), &self.meter));
        let route = move |request| {
            let (faces, origin) = (self.clone(), origin.clone());
            async move { Ok::<_, Infallible>(faces.route(request, origin).await) }
        };
        let response = Box::pin(cors.layer(service_fn(route)).oneshot(request)).await?;
        Ok(match preflight {
            Some(call) => call.answer(response),
            None => response,
        })
    }

    async fn route<B>(self: Arc<Self>, mut request: Request<B>, origin: Origin) -> Response<Body>
    where
        B: HttpBody<Data = Bytes, Error: Error + Send + Sync> + Send + 'static,
    {
        match Wire::of(&request) {
            Wire::Grpc => self.follow(Face::Grpc, request, origin).await,
            Wire::GrpcWeb(content_type) => {
                // The translation knows no other spelling.
                request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
                let grpc = service_fn(move |request: Request<tonic::body::Body>| {
                    let (faces, origin) = (self.clone(), origin.clone());
                    async move { Ok::<_, Infallible>(faces.follow(Face::Grpc, request, origin).await) }
                });
                // In a box, as all that is rare, so that what is frequent is small to move.
                let Ok(response) = Box::pin(GrpcWebLayer::new().layer(grpc).oneshot(request)).await;
                response.map(Body::new)
            }
            Wire::Http => self.follow(Face::Rest, request, origin).await,
        }
    }

    /// One call on its way through its face, and its line in the log.
    async fn follow<B>(&self, face: Face, request: Request<B>, origin: Origin) -> Response<Body>
    where
        B: HttpBody<Data = Bytes, Error: Error + Send + Sync> + Send + 'static,
    {
        let mut call = Call::begin(face, &request, origin, &self.meter);
        let response = match (face, call.is_public()) {
            (Face::Grpc, true) => Box::pin(serve(&self.common.public_grpc, request)).await,
            (Face::Rest, true) => Box::pin(serve(&self.common.public_rest, request)).await,
            (Face::Grpc, false) => {
                let serve = |request| async {
                    let Ok(response) = self.grpc.clone().call(request).await;
                    response.map(Body::new)
                };
                self.common.gate.admit(&mut call, request, serve).await
            }
            (Face::Rest, false) => {
                self.common.gate.admit(&mut call, request, |request| serve(&self.rest, request)).await
            }
        };
        let response = match face {
            Face::Grpc => {
                grpc::finish(response, call.path(), call.request_id(), self.common.max_request_bytes)
            }
            Face::Rest => rest::finish(response, call.request_id()),
        };
        match response.extensions().get().and_then(|record: &Record| record.refusal) {
            Some(refusal @ Refusal::Overload) => {
                self.common.refusals.count(refusal);
                call.note_refusal();
            }
            // The connection is read on: it may be a proxy's, and have others' calls on it.
            Some(refusal @ Refusal::Guess) => self.common.refusals.count(refusal),
            None => {}
        }
        call.answer(response)
    }
}

async fn serve<B>(router: &Router, request: Request<B>) -> Response<Body>
where
    B: HttpBody<Data = Bytes, Error: Error + Send + Sync> + Send + 'static,
{
    let Ok(response) = router.clone().call(request.map(Body::new)).await;
    response
}
