//! The gRPC protocol: converts messages to domain types, calls the service, and converts back.

mod convert;
mod descriptor;
mod descriptor_index;
mod handlers;
mod lists;
mod reflection;
mod status;

use axum::body::Body;
use http::{Request, Response};
use tonic::codec::CompressionEncoding::{Gzip, Zstd};
use tonic::server::NamedService;
use tower::Service as _;

pub use convert::{list, new_batch, new_group, update};
pub use descriptor::DESCRIPTOR;
pub(crate) use descriptor::{MAX_PUBLIC_REQUEST_BYTES, public_rpcs, rpcs, with_reflection};
pub(crate) use status::{error_response, trailers, translate};

use crate::api::{AnyBody, CallContext};
use crate::service::Service;
use handlers::Handlers;
use pb::customer_group_service_server::CustomerGroupServiceServer;

/// The generated messages, client and server of `overplane.setup.v1`.
#[allow(clippy::all, clippy::pedantic, missing_docs, unreachable_pub)]
pub mod pb {
    tonic::include_proto!("overplane.setup.v1");
}

pub(crate) const SERVICE: &str = <CustomerGroupServiceServer<Handlers> as NamedService>::NAME;

/// The `CustomerGroupService`.
#[derive(Debug)]
pub(crate) struct Server {
    service: Service,
    max_request_bytes: usize,
}

impl Server {
    pub(crate) fn new(service: Service, max_request_bytes: usize) -> Self {
        Self { service, max_request_bytes }
    }

    /// Serves one call. The handlers are created with its context, so that no handler can run without one.
    pub(crate) async fn call<B: AnyBody>(&self, context: CallContext, request: Request<B>) -> Response<Body> {
        let (uri, state) = (request.uri().clone(), context.state.clone());
        let handlers = Handlers::new(self.service.clone(), context);
        let mut server = CustomerGroupServiceServer::new(handlers)
            .max_decoding_message_size(self.max_request_bytes)
            .accept_compressed(Gzip)
            .accept_compressed(Zstd)
            .send_compressed(Gzip)
            .send_compressed(Zstd);
        let Ok(response) = server.call(request).await;
        translate(response.map(Body::new), &uri, self.max_request_bytes, &state)
    }
}
