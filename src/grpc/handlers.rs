//! The RPCs.

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use prost::Message;
use tonic::metadata::MetadataMap;
use tonic::{Extensions, Request, Response, Status};

use super::convert::{self, TreeListRequest};
use super::lists::{self, Collected};
use super::pb::customer_group_service_server::CustomerGroupService;
use super::{pb, status};
use crate::api::CallContext;
use crate::api::headers;
use crate::domain::TreeList;
use crate::error::{Error, MAX_RESPONSE_BYTES};
use crate::service::{BatchCreated, Created, GroupStream, Service};

/// The remedies for a list that is too long for one message.
const PAGES: &str = "read it in pages with limit and starting_after";
const STREAM: &str = "call StreamCustomerGroupDescendants, or read it in pages with limit and starting_after";

type RpcResult<T> = Result<Response<T>, Status>;

/// The handlers of one call.
#[derive(Debug)]
pub(super) struct Handlers {
    service: Service,
    context: CallContext,
}

impl Handlers {
    pub(super) fn new(service: Service, context: CallContext) -> Self {
        Self { service, context }
    }

    /// Renders the error of a call.
    async fn respond<T>(
        &self,
        work: impl Future<Output = Result<Response<T>, Error>> + Send,
    ) -> RpcResult<T> {
        work.await.map_err(|error| status::render(&error, &self.context.state))
    }

    async fn tree_list(
        &self,
        list: TreeList,
        request: Request<impl Into<TreeListRequest>>,
    ) -> Result<GroupStream, Error> {
        let reader = self.context.reader(request.metadata().as_ref());
        let TreeListRequest { id, page } = request.into_inner().into();
        self.service.tree_list(list, &id, page, reader).await
    }

    async fn collect<T: From<Collected>>(
        &self,
        list: TreeList,
        request: Request<impl Into<TreeListRequest> + Send>,
        remedy: &'static str,
    ) -> RpcResult<T> {
        self.respond(async {
            let groups = self.tree_list(list, request).await?;
            Ok(Response::new(Collected::from(groups, &self.context, remedy).await?.into()))
        })
        .await
    }
}

/// Returns the response with one object. It is not compressed: it is small.
fn object<T>(message: impl Into<T>) -> Response<T> {
    uncompressed(Response::new(message.into()))
}

fn uncompressed<T>(mut response: Response<T>) -> Response<T> {
    response.disable_compression();
    response
}

fn created<T>(message: impl Into<T>, is_replayed: bool) -> Response<T> {
    let metadata = MetadataMap::from_headers(headers::replayed(is_replayed));
    Response::from_parts(metadata, message.into(), Extensions::new())
}

#[tonic::async_trait]
impl CustomerGroupService for Handlers {
    async fn get_customer_group(
        &self,
        request: Request<pb::GetCustomerGroupRequest>,
    ) -> RpcResult<pb::CustomerGroup> {
        self.respond(async { Ok(object(self.service.get(&request.get_ref().id).await?)) }).await
    }

    async fn list_customer_groups(
        &self,
        request: Request<pb::ListCustomerGroupsRequest>,
    ) -> RpcResult<pb::ListCustomerGroupsResponse> {
        self.respond(async {
            let reader = self.context.reader(request.metadata().as_ref());
            let list = self.service.list(convert::list(request.into_inner()), reader).await?;
            Ok(Response::new(Collected::from(list.into(), &self.context, PAGES).await?.into()))
        })
        .await
    }

    async fn create_customer_group(
        &self,
        request: Request<pb::CreateCustomerGroupRequest>,
    ) -> RpcResult<pb::CustomerGroup> {
        self.respond(async {
            let key = headers::idempotency_key(request.metadata().as_ref());
            let (writer, input) = (self.context.writer()?, convert::new_group(request.into_inner()));
            let Created { group, replayed } = self.service.create(&writer, input, key).await?;
            Ok(uncompressed(created(group, replayed)))
        })
        .await
    }

    async fn update_customer_group(
        &self,
        request: Request<pb::UpdateCustomerGroupRequest>,
    ) -> RpcResult<pb::CustomerGroup> {
        self.respond(async {
            let (writer, message) = (self.context.writer()?, request.into_inner());
            let (id, preconditions, input) = convert::update(message)?;
            let group = self.service.update(&writer, &id, input, &preconditions).await?;
            Ok(object(group))
        })
        .await
    }

    async fn delete_customer_group(
        &self,
        request: Request<pb::DeleteCustomerGroupRequest>,
    ) -> RpcResult<pb::DeleteCustomerGroupResponse> {
        self.respond(async {
            let (writer, message) = (self.context.writer()?, request.into_inner());
            let preconditions = convert::preconditions(&message.etag);
            let id = self.service.delete(&writer, &message.id, &preconditions).await?;
            Ok(object(pb::DeleteCustomerGroupResponse { id: id.to_string(), deleted: true }))
        })
        .await
    }

    async fn batch_create_customer_groups(
        &self,
        request: Request<pb::BatchCreateCustomerGroupsRequest>,
    ) -> RpcResult<pb::BatchCreateCustomerGroupsResponse> {
        self.respond(async {
            let key = headers::idempotency_key(request.metadata().as_ref());
            let (writer, input) = (self.context.writer()?, convert::new_batch(request.into_inner())?);
            let BatchCreated { groups, replayed } = self.service.batch_create(&writer, input, key).await?;
            Ok(created(groups, replayed))
        })
        .await
    }

    async fn batch_get_customer_groups(
        &self,
        request: Request<pb::BatchGetCustomerGroupsRequest>,
    ) -> RpcResult<pb::BatchGetCustomerGroupsResponse> {
        self.respond(async {
            let ids = convert::ids(request.into_inner());
            let groups: pb::BatchGetCustomerGroupsResponse =
                self.service.batch_get(ids, self.context.caller()).await?.into();
            let size = groups.encoded_len();
            if size > MAX_RESPONSE_BYTES {
                return Err(Error::AnswerTooLarge("read fewer groups in one call"));
            }
            self.context.buffer(0, size)?;
            Ok(Response::new(groups))
        })
        .await
    }

    async fn list_customer_group_children(
        &self,
        request: Request<pb::ListCustomerGroupChildrenRequest>,
    ) -> RpcResult<pb::ListCustomerGroupChildrenResponse> {
        self.collect(TreeList::Children, request, PAGES).await
    }

    async fn list_customer_group_ancestors(
        &self,
        request: Request<pb::ListCustomerGroupAncestorsRequest>,
    ) -> RpcResult<pb::ListCustomerGroupAncestorsResponse> {
        self.collect(TreeList::Ancestors, request, PAGES).await
    }

    async fn list_customer_group_descendants(
        &self,
        request: Request<pb::ListCustomerGroupDescendantsRequest>,
    ) -> RpcResult<pb::ListCustomerGroupDescendantsResponse> {
        self.collect(TreeList::Descendants, request, STREAM).await
    }

    type StreamCustomerGroupDescendantsStream = BoxStream<'static, Result<pb::CustomerGroup, Status>>;

    async fn stream_customer_group_descendants(
        &self,
        request: Request<pb::StreamCustomerGroupDescendantsRequest>,
    ) -> RpcResult<Self::StreamCustomerGroupDescendantsStream> {
        self.respond(async {
            let groups = self.tree_list(TreeList::Descendants, request).await?;
            Ok(Response::new(lists::one_by_one(groups, self.context.clone()).boxed()))
        })
        .await
    }
}
