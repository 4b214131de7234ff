//! The [reflection protocol][protocol] of gRPC, by which clients ask a server for its API.
//!
//! [protocol]: https://github.com/grpc/grpc/blob/master/doc/server-reflection.md

use std::sync::Arc;

use futures_util::stream::{BoxStream, StreamExt};
use tonic::{Code, Request, Response, Status, Streaming, async_trait};
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1::server_reflection_server::ServerReflection;
use tonic_reflection::pb::v1::{
    ErrorResponse, ExtensionNumberResponse, FileDescriptorResponse, ListServiceResponse,
    ServerReflectionRequest, ServerReflectionResponse, ServiceResponse,
};

use super::descriptor_index::DescriptorIndex;

/// The reflection service. A question without an answer gets an `error_response`, and the stream goes on.
#[derive(Debug)]
pub(super) struct Reflection(pub(super) Arc<DescriptorIndex>);

#[async_trait]
impl ServerReflection for Reflection {
    type ServerReflectionInfoStream = BoxStream<'static, Result<ServerReflectionResponse, Status>>;

    async fn server_reflection_info(
        &self,
        requests: Request<Streaming<ServerReflectionRequest>>,
    ) -> Result<Response<Self::ServerReflectionInfoStream>, Status> {
        let index = self.0.clone();
        let responses =
            requests.into_inner().map(move |request| request.map(|request| respond(&index, request)));
        Ok(Response::new(responses.boxed()))
    }
}

fn respond(index: &DescriptorIndex, request: ServerReflectionRequest) -> ServerReflectionResponse {
    let response = answer(index, request.message_request.as_ref()).unwrap_or_else(|(code, error_message)| {
        MessageResponse::ErrorResponse(ErrorResponse { error_code: code as i32, error_message })
    });
    ServerReflectionResponse {
        valid_host: request.host.clone(),
        original_request: Some(request),
        message_response: Some(response),
    }
}

fn answer(
    index: &DescriptorIndex,
    request: Option<&MessageRequest>,
) -> Result<MessageResponse, (Code, String)> {
    let unknown = |what: String| (Code::NotFound, format!("there is no {what}"));
    let file = |found: Option<&[u8]>, what: String| {
        let found = found.ok_or_else(|| unknown(what))?.to_vec();
        Ok(MessageResponse::FileDescriptorResponse(FileDescriptorResponse {
            file_descriptor_proto: vec![found],
        }))
    };
    match request {
        Some(MessageRequest::FileByFilename(name)) => file(index.file(name), format!("file {name:?}")),
        Some(MessageRequest::FileContainingSymbol(name)) => {
            file(index.symbol(name), format!("symbol {name:?}"))
        }
        Some(MessageRequest::FileContainingExtension(extension)) => {
            let (name, number) = (&extension.containing_type, extension.extension_number);
            file(index.extension(name, number), format!("extension {number} of {name:?}"))
        }
        Some(MessageRequest::AllExtensionNumbersOfType(name)) => {
            index.symbol(name).ok_or_else(|| unknown(format!("type {name:?}")))?;
            Ok(MessageResponse::AllExtensionNumbersResponse(ExtensionNumberResponse {
                base_type_name: name.clone(),
                extension_number: index.extensions(name),
            }))
        }
        Some(MessageRequest::ListServices(_)) => {
            let service =
                index.services().iter().map(|name| ServiceResponse { name: name.clone() }).collect();
            Ok(MessageResponse::ListServicesResponse(ListServiceResponse { service }))
        }
        None => Err((Code::InvalidArgument, "the request asks for nothing; set message_request".to_owned())),
    }
}
