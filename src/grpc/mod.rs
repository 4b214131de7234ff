//! The gRPC face: protobuf to domain, the service, and back.

mod convert;
mod lists;
mod status;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use http::header::CACHE_CONTROL;
use prost::Message;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Request, Response, Status};
use tonic_reflection::server::v1::{ServerReflection, ServerReflectionServer};
use tonic_reflection::server::v1alpha;

pub use convert::{list, new_batch, new_group, update};
pub use status::finish;

use crate::auth::{Caller, Writer};
use crate::domain::{Freshness, IdempotencyKey, PageRequest, Violation, field};
use crate::error::{Cause, Error, LateRecord, MAX_ANSWER_BYTES};
use crate::service::{BatchCreated, Created, Service};
use lists::Collected;
use pb::customer_group_service_server::{CustomerGroupService, CustomerGroupServiceServer};

/// The generated messages, client and server of `overplane.setup.v1`.
#[allow(clippy::all, clippy::pedantic, missing_docs)]
pub mod pb {
    tonic::include_proto!("overplane.setup.v1");
}

/// The encoded `FileDescriptorSet` of the API with everything that it imports, `google.api.http` rules
/// included.
pub const DESCRIPTOR: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptor.bin"));

/// The `CustomerGroupService` over the use cases.
pub type Server = CustomerGroupServiceServer<Handlers>;

/// Makes the service's server, which takes messages of so many bytes at most.
#[must_use]
pub fn server(service: Service, max_request_bytes: usize) -> Server {
    CustomerGroupServiceServer::new(Handlers { service }).max_decoding_message_size(max_request_bytes)
}

/// What the server says of itself to clients that ask, in the current version of the protocol.
///
/// # Errors
///
/// That a descriptor set is broken, which only a broken build has.
pub fn reflection_v1() -> Result<ServerReflectionServer<impl ServerReflection>, Cause> {
    Ok(reflection().build_v1()?)
}

/// The same in the version that older clients speak.
///
/// # Errors
///
/// See [`reflection_v1`].
pub fn reflection_v1alpha() -> Result<v1alpha::ServerReflectionServer<impl v1alpha::ServerReflection>, Cause>
{
    Ok(reflection().build_v1alpha()?)
}

fn reflection() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTOR)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        // Not a service, but what clients need to show the details of an error.
        .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
}

/// What to do about a list that is too long for one message.
const PAGES: &str = "ask for pages of it with limit and starting_after";
const STREAM: &str =
    "call StreamCustomerGroupDescendants, or ask for pages of it with limit and starting_after";

/// The RPCs.
#[derive(Debug)]
pub struct Handlers {
    service: Service,
}

/// Takes the message and the permission to write from a request.
fn writer<T>(request: Request<T>) -> Result<(Writer, T), Error> {
    Ok((caller(&request)?.clone().writer()?, request.into_inner()))
}

/// Who makes the call.
fn caller<T>(request: &Request<T>) -> Result<&Caller, Error> {
    request.extensions().get().ok_or_else(|| Error::internal("a call without a caller"))
}

/// The caller's name for a create.
fn idempotency_key(metadata: &MetadataMap) -> Result<Option<IdempotencyKey>, Violation> {
    let values = metadata.get_all(field::IDEMPOTENCY_KEY);
    IdempotencyKey::parse(values.iter().map(MetadataValue::as_encoded_bytes))
}

/// How up to date the caller wants a list.
fn freshness(metadata: &MetadataMap) -> Freshness {
    let values = metadata.get_all(CACHE_CONTROL.as_str());
    Freshness::parse(values.iter().map(MetadataValue::as_encoded_bytes))
}

/// The answer to a create, which says when it was given before.
fn created<T>(answer: impl Into<T>, replayed: bool) -> Response<T> {
    let mut response = Response::new(answer.into());
    if replayed {
        response.metadata_mut().insert("idempotent-replayed", MetadataValue::from_static("true"));
    }
    response
}

#[tonic::async_trait]
impl CustomerGroupService for Handlers {
    async fn get_customer_group(
        &self,
        request: Request<pb::GetCustomerGroupRequest>,
    ) -> Result<Response<pb::CustomerGroup>, Status> {
        let group = self.service.get(&request.get_ref().id).await?;
        Ok(Response::new(group.into()))
    }

    async fn list_customer_groups(
        &self,
        request: Request<pb::ListCustomerGroupsRequest>,
    ) -> Result<Response<pb::ListCustomerGroupsResponse>, Status> {
        let freshness = freshness(request.metadata());
        let list = self.service.list(convert::list(request.into_inner()), freshness).await?;
        Ok(Response::new(Collected::from(list.into(), PAGES).await?.into()))
    }

    async fn create_customer_group(
        &self,
        request: Request<pb::CreateCustomerGroupRequest>,
    ) -> Result<Response<pb::CustomerGroup>, Status> {
        let key = idempotency_key(request.metadata());
        let (writer, message) = writer(request)?;
        let Created { group, replayed } =
            self.service.create(&writer, convert::new_group(message), key).await?;
        Ok(created(group, replayed))
    }

    async fn update_customer_group(
        &self,
        request: Request<pb::UpdateCustomerGroupRequest>,
    ) -> Result<Response<pb::CustomerGroup>, Status> {
        let (writer, message) = writer(request)?;
        let if_match = convert::if_match(&message.etag);
        let (id, draft) = convert::update(message)?;
        let group = self.service.update(&writer, &id, draft, &if_match).await?;
        Ok(Response::new(group.into()))
    }

    async fn delete_customer_group(
        &self,
        request: Request<pb::DeleteCustomerGroupRequest>,
    ) -> Result<Response<pb::DeleteCustomerGroupResponse>, Status> {
        let (writer, message) = writer(request)?;
        let if_match = convert::if_match(&message.etag);
        let id = self.service.delete(&writer, &message.id, &if_match).await?;
        Ok(Response::new(pb::DeleteCustomerGroupResponse { id: id.to_string(), deleted: true }))
    }

    async fn batch_create_customer_groups(
        &self,
        request: Request<pb::BatchCreateCustomerGroupsRequest>,
    ) -> Result<Response<pb::BatchCreateCustomerGroupsResponse>, Status> {
        let key = idempotency_key(request.metadata());
        let (writer, message) = writer(request)?;
        let BatchCreated { groups, replayed } =
            self.service.batch_create(&writer, convert::new_batch(message)?, key).await?;
        Ok(created(groups, replayed))
    }

    async fn batch_get_customer_groups(
        &self,
        request: Request<pb::BatchGetCustomerGroupsRequest>,
    ) -> Result<Response<pb::BatchGetCustomerGroupsResponse>, Status> {
        let ids = convert::ids(request.into_inner());
        let groups: pb::BatchGetCustomerGroupsResponse = self.service.batch_get(ids).await?.into();
        if groups.encoded_len() > MAX_ANSWER_BYTES {
            return Err(Error::AnswerTooLarge("ask for fewer groups in one call").into());
        }
        Ok(Response::new(groups))
    }

    async fn list_customer_group_children(
        &self,
        request: Request<pb::ListCustomerGroupChildrenRequest>,
    ) -> Result<Response<pb::ListCustomerGroupChildrenResponse>, Status> {
        let freshness = freshness(request.metadata());
        let pb::ListCustomerGroupChildrenRequest { id, limit, offset, starting_after } = request.into_inner();
        let groups =
            self.service.children(&id, PageRequest::new(limit, offset, starting_after), freshness).await?;
        Ok(Response::new(Collected::from(groups, PAGES).await?.into()))
    }

    async fn list_customer_group_ancestors(
        &self,
        request: Request<pb::ListCustomerGroupAncestorsRequest>,
    ) -> Result<Response<pb::ListCustomerGroupAncestorsResponse>, Status> {
        let freshness = freshness(request.metadata());
        let pb::ListCustomerGroupAncestorsRequest { id, limit, offset, starting_after } =
            request.into_inner();
        let groups =
            self.service.ancestors(&id, PageRequest::new(limit, offset, starting_after), freshness).await?;
        Ok(Response::new(Collected::from(groups, PAGES).await?.into()))
    }

    async fn list_customer_group_descendants(
        &self,
        request: Request<pb::ListCustomerGroupDescendantsRequest>,
    ) -> Result<Response<pb::ListCustomerGroupDescendantsResponse>, Status> {
        let freshness = freshness(request.metadata());
        let pb::ListCustomerGroupDescendantsRequest { id, limit, offset, starting_after } =
            request.into_inner();
        let groups =
            self.service.descendants(&id, PageRequest::new(limit, offset, starting_after), freshness).await?;
        Ok(Response::new(Collected::from(groups, STREAM).await?.into()))
    }

    type StreamCustomerGroupDescendantsStream = BoxStream<'static, Result<pb::CustomerGroup, Status>>;

    async fn stream_customer_group_descendants(
        &self,
        request: Request<pb::StreamCustomerGroupDescendantsRequest>,
    ) -> Result<Response<Self::StreamCustomerGroupDescendantsStream>, Status> {
        let (request_id, late) = (caller(&request)?.request_id.clone(), LateRecord::default());
        let freshness = freshness(request.metadata());
        let pb::StreamCustomerGroupDescendantsRequest { id, limit, offset, starting_after } =
            request.into_inner();
        let groups =
            self.service.descendants(&id, PageRequest::new(limit, offset, starting_after), freshness).await?;
        let mut response = Response::new(lists::one_by_one(groups, request_id, late.clone()).boxed());
        response.extensions_mut().insert(late);
        Ok(response)
    }
}
