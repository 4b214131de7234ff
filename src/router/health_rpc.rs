//! The [health protocol][protocol] of gRPC.
//!
//! [protocol]: https://github.com/grpc/grpc/blob/master/doc/health-checking.md

use futures_util::stream::{self, BoxStream, Stream, StreamExt};
use tokio::sync::watch;
use tonic::codec::CompressionEncoding::{Gzip, Zstd};
use tonic::{Request, Response, Status as RpcStatus, async_trait};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use crate::grpc;
use crate::observe::{Readiness, Status};

/// The services that have a health: `""` is the server as a whole.
const SERVICES: [&str; 2] = ["", grpc::SERVICE];

pub(super) fn server(readiness: Readiness) -> HealthServer<HealthService> {
    HealthServer::new(HealthService(readiness))
        .max_decoding_message_size(grpc::MAX_PUBLIC_REQUEST_BYTES)
        .accept_compressed(Gzip)
        .accept_compressed(Zstd)
}

/// The health of all services, which is that of the database and of the server.
#[derive(Debug)]
pub(super) struct HealthService(Readiness);

#[async_trait]
impl Health for HealthService {
    type WatchStream = BoxStream<'static, Result<HealthCheckResponse, RpcStatus>>;

    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, RpcStatus> {
        let service = request.into_inner().service;
        if is_known(&service) {
            Ok(Response::new(response(serving(self.0.status()))))
        } else {
            Err(RpcStatus::not_found(format!("there is no service {service:?}")))
        }
    }

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, RpcStatus> {
        let statuses = statuses(self.0.subscribe(), is_known(&request.into_inner().service));
        Ok(Response::new(statuses.map(|status| Ok(response(status))).boxed()))
    }
}

fn is_known(service: &str) -> bool {
    SERVICES.contains(&service)
}

fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status as i32 }
}

fn serving(status: Status) -> ServingStatus {
    match status {
        Status::Ready => ServingStatus::Serving,
        Status::DatabaseUnavailable | Status::Draining => ServingStatus::NotServing,
    }
}

/// The status of a service, and its changes until the server stops. An unknown service may appear later, so its stream
/// stays open, too.
fn statuses(readiness: watch::Receiver<Status>, is_known: bool) -> impl Stream<Item = ServingStatus> {
    stream::unfold((readiness, None), move |(mut readiness, sent)| async move {
        loop {
            let current = *readiness.borrow_and_update();
            let status = if is_known { serving(current) } else { ServingStatus::ServiceUnknown };
            if sent != Some(status) {
                return Some((status, (readiness, Some(status))));
            }
            if current == Status::Draining {
                return None;
            }
            readiness.changed().await.ok()?;
        }
    })
}
