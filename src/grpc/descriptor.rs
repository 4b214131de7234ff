//! The descriptors of all gRPC services, and reflection.

use prost::Message;
use prost_types::FileDescriptorSet;
use tonic::service::Routes;
use tonic_reflection::server::Builder;

use crate::error::BoxError;

/// The encoded `FileDescriptorSet` of the API with all imports and `google.api.http` rules.
pub const DESCRIPTOR: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptor.bin"));

/// The largest request message of health and reflection, in bytes: their requests are names.
pub(crate) const MAX_PUBLIC_REQUEST_BYTES: usize = 16 << 10;

/// Returns the names of the RPCs of the API, as in `package.Service/Method`.
pub(crate) fn rpcs() -> Result<Vec<String>, BoxError> {
    names(&[DESCRIPTOR])
}

/// Returns the names of the RPCs of health and reflection, which need no API key.
pub(crate) fn public_rpcs() -> Result<Vec<String>, BoxError> {
    names(&[
        tonic_health::pb::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
    ])
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

/// Adds the reflection service, also in the version of older clients.
pub(crate) fn with_reflection(routes: Routes) -> Result<Routes, BoxError> {
    let reflection = || {
        Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTOR)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            // Not a service, but clients need it to show the details of an error.
            .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
    };
    let (v1, v1alpha) = (reflection().build_v1()?, reflection().build_v1alpha()?);
    Ok(routes
        .add_service(v1.max_decoding_message_size(MAX_PUBLIC_REQUEST_BYTES))
        .add_service(v1alpha.max_decoding_message_size(MAX_PUBLIC_REQUEST_BYTES)))
}
