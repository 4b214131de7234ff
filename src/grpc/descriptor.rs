//! The descriptors of all gRPC services, and reflection.

use std::sync::Arc;

use axum::body::Body;
use http::{Request, Uri};
use prost::Message;
use prost_types::FileDescriptorSet;
use tonic::codec::CompressionEncoding::{Gzip, Zstd};
use tonic::service::Routes;
use tonic_reflection::pb::v1::server_reflection_server::ServerReflectionServer;
use tower::ServiceExt;

use super::descriptor_index::DescriptorIndex;
use super::reflection::Reflection;
use crate::error::BoxError;

/// The encoded `FileDescriptorSet` of the API with all imports and annotations.
pub const DESCRIPTOR: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptor.bin"));

/// The largest request message of health and reflection, in bytes: their requests are names.
pub(crate) const MAX_PUBLIC_REQUEST_BYTES: usize = 16 << 10;

/// The descriptors of health and reflection.
const PUBLIC: [&[u8]; 3] = [
    tonic_health::pb::FILE_DESCRIPTOR_SET,
    tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
    tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
];

/// Returns the names of the RPCs of the API, as in `package.Service/Method`.
pub(crate) fn rpcs() -> Result<Vec<String>, BoxError> {
    names(&[DESCRIPTOR])
}

/// Returns the names of the RPCs of health and reflection, which need no API key.
pub(crate) fn public_rpcs() -> Result<Vec<String>, BoxError> {
    names(&PUBLIC)
}

fn names(sets: &[&[u8]]) -> Result<Vec<String>, BoxError> {
    let mut rpcs = Vec::new();
    for set in sets {
        for file in FileDescriptorSet::decode(*set)?.file {
            for service in &file.service {
                let name = |method: &str| format!("{}.{}/{method}", file.package(), service.name());
                rpcs.extend(service.method.iter().map(|method| name(method.name())));
            }
        }
    }
    Ok(rpcs)
}

/// Adds the reflection service, also under the name that older clients use, whose messages are the same.
pub(crate) fn with_reflection(routes: Routes) -> Result<axum::Router, BoxError> {
    const METHOD: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
    const OLD_METHOD: &str = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";
    // The details of errors belong to no service, but clients need them, too.
    let sets = [&[DESCRIPTOR, tonic_types::pb::FILE_DESCRIPTOR_SET], PUBLIC.as_slice()].concat();
    let reflection = ServerReflectionServer::new(Reflection(Arc::new(DescriptorIndex::of(&sets)?)))
        .max_decoding_message_size(MAX_PUBLIC_REQUEST_BYTES)
        .accept_compressed(Gzip)
        .accept_compressed(Zstd);
    let of_old_clients = reflection.clone().map_request(|mut request: Request<Body>| {
        *request.uri_mut() = Uri::from_static(METHOD);
        request
    });
    Ok(routes.add_service(reflection).into_axum_router().route_service(OLD_METHOD, of_old_clients))
}
