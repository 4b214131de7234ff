//! One listener for every face: layers, health, reflection, drain.

mod admit;
mod call;
mod cors;
mod health;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::middleware::from_fn_with_state;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tonic::service::Routes;
use tonic_web::GrpcWebLayer;
use tower::{Layer, ServiceExt, service_fn};
use tower_http::cors::CorsLayer;

use crate::auth::KeyRing;
use crate::error::Cause;
use crate::service::Service;
use crate::store::Store;
use crate::{grpc, rest};
use admit::Gate;
use call::{Call, Face, Wire};
pub use cors::Origins;
use health::Health;

/// How long the server works on things.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// The most time for one call; its own `grpc-timeout` may be shorter.
    pub request: Duration,
    /// The most time for calls that are under way when the server stops.
    pub drain: Duration,
}

/// The server, bound to its address.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    drain: Duration,
    faces: Faces,
    health: Health,
    keys: Arc<KeyRing>,
}

/// The way from a request to its handler, on each face.
#[derive(Debug, Clone)]
struct Faces {
    grpc: Router,
    rest: Router,
    cors: Option<CorsLayer>,
}

impl Server {
    /// Binds to an address; port 0 takes a free one. Nothing is served before [`Server::run`], and to the pages
    /// of other origins only when they are named.
    ///
    /// # Errors
    ///
    /// That the address cannot be bound.
    pub async fn bind(
        listen: SocketAddr,
        timeouts: Timeouts,
        origins: Option<Origins>,
        store: Store,
        keys: KeyRing,
    ) -> Result<Self, Cause> {
        let listener = TcpListener::bind(listen)
            .await
            .map_err(|error| format!("cannot listen on {listen}: {error}; set LISTEN to a free address"))?;
        let address = listener.local_addr()?;
        let keys = Arc::new(keys);
        let (health, health_server) = Health::new().await;
        let gate = |face| {
            let gate = Gate { keys: keys.clone(), request_timeout: timeouts.request, face };
            from_fn_with_state(Arc::new(gate), admit::admit)
        };

        let service = Service::new(store);
        let grpc = Routes::new(health_server)
            .add_service(grpc::reflection_v1()?)
            .add_service(grpc::reflection_v1alpha()?)
            .into_axum_router()
            .fallback_service(
                Routes::new(grpc::server(service.clone())).into_axum_router().layer(gate(Face::Grpc)),
            );
        let rest = health
            .probes()
            .merge(rest::description())
            .method_not_allowed_fallback(rest::other_method)
            .fallback_service(rest::routes(service).layer(gate(Face::Rest)));
        let faces = Faces { grpc, rest, cors: origins.map(cors::layer) };
        Ok(Self { listener, address, drain: timeouts.drain, faces, health, keys })
    }

    /// The address that the server is bound to.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` is done. Then it accepts nothing more, and waits for the calls that are under way
    /// for as long as it may.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        self.health.beat(&self.keys).await;
        let heart = tokio::spawn(self.health.clone().watch(self.keys.clone()));
        tracing::info!(address = %self.address, "serving");

        let connections = self.accept(stop).await;
        drop(self.listener);
        heart.abort();
        // A beat that is under way may not tell of anything after the drain has.
        if let Err(error) = heart.await
            && error.is_panic()
        {
            tracing::error!(%error, "the database was not watched any more");
        }
        self.health.drain().await;
        tracing::info!("stopping");
        if tokio::time::timeout(self.drain, connections.shutdown()).await.is_err() {
            tracing::warn!(seconds = self.drain.as_secs(), "calls were cut off that took too long to finish");
        }
    }

    async fn accept(&self, stop: impl Future<Output = ()>) -> GracefulShutdown {
        let connections = GracefulShutdown::new();
        let protocol = protocol();
        let mut stop = std::pin::pin!(stop);
        loop {
            let accepted = tokio::select! {
                () = &mut stop => return connections,
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) => serve(stream, &protocol, self.faces.clone(), &connections),
                Err(error) => {
                    // Such as too many open files, which pass when connections close.
                    tracing::error!(%error, "a connection was not accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }
}

/// HTTP/1.1, and HTTP/2 with prior knowledge.
fn protocol() -> auto::Builder<TokioExecutor> {
    /// The most time for the head of an HTTP/1.1 request.
    const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
    /// How often a silent HTTP/2 connection is asked whether it still lives, and how long it may take.
    const KEEP_ALIVE: Duration = Duration::from_secs(30);
    /// The most calls at once on one HTTP/2 connection.
    const MAX_STREAMS: u32 = 256;

    let mut protocol = auto::Builder::new(TokioExecutor::new());
    protocol.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    protocol
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .max_concurrent_streams(MAX_STREAMS);
    protocol
}

fn serve(
    stream: TcpStream,
    protocol: &auto::Builder<TokioExecutor>,
    faces: Faces,
    connections: &GracefulShutdown,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection keeps Nagle's algorithm");
    }
    let service = service_fn(move |request| faces.clone().call(request));
    let connection =
        protocol.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service)).into_owned();
    let connection = connections.watch(connection);
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection broke");
        }
    });
}

impl Faces {
    async fn call(mut self, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
        let request = call::receive(request);
        let Some(cors) = self.cors.take().filter(|_| cors::concerns(&request)) else {
            return self.route(request).await;
        };
        let preflight = (request.method() == Method::OPTIONS).then(|| Call::begin(Face::Rest, &request));
        let response =
            cors.layer(service_fn(move |request| self.clone().route(request))).oneshot(request).await?;
        Ok(match preflight {
            Some(call) => call.answer(response),
            None => response,
        })
    }

    async fn route(self, mut request: Request<Body>) -> Result<Response<Body>, Infallible> {
        match Wire::of(&request) {
            Wire::Grpc => follow(Face::Grpc, self.grpc, request).await,
            Wire::GrpcWeb(content_type) => {
                // The translation knows no other spelling.
                request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
                let grpc = service_fn(move |request: Request<tonic::body::Body>| {
                    follow(Face::Grpc, self.grpc.clone(), request.map(Body::new))
                });
                Ok(GrpcWebLayer::new().layer(grpc).oneshot(request).await?.map(Body::new))
            }
            Wire::Http => follow(Face::Rest, self.rest, request).await,
        }
    }
}

/// One call on its way through its face, and its line in the log.
async fn follow(face: Face, router: Router, request: Request<Body>) -> Result<Response<Body>, Infallible> {
    let mut call = Call::begin(face, &request);
    let path = request.uri().path().to_owned();
    let response = router.oneshot(request).await?;
    call.note_caller(&response);
    let response = match face {
        Face::Grpc => grpc::finish(response, &path, call.request_id()),
        Face::Rest => rest::finish(response, call.request_id()),
    };
    Ok(call.answer(response))
}
