//! The REST protocol: routes, converts JSON to domain types, calls the service, and converts back.

mod batch;
mod call;
mod content_encoding;
mod error;
mod input;
mod list;
mod openapi;
mod output;

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::middleware::map_request;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::header::{ACCEPT_ENCODING, ETAG, LOCATION};
use http::{Extensions, HeaderMap, StatusCode, Version};
use tower::Service as _;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, Predicate};
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) use error::{error_response, explain};
pub use input::{body, list_request, page};

use crate::api::headers::{self, idempotency_key, weighted};
use crate::api::{AnyBody, CallContext};
use crate::domain::{CustomerGroup, Etag, TreeList};
use crate::error::Error;
use crate::service::{Created, Service};
use call::Call;
use input::{Id, JSON, JSON_PATCH, no_query, preconditions};
use list::ListFormat;
use openapi::{
    CreateErrors, CustomerGroupChanges, DeleteErrors, GetErrors, IdempotencyKey, IfMatch, IfNoneMatch,
    ListErrors, ListPage, NewCustomerGroup, TAG, TreeErrors, TreePage, UpdateErrors,
};
use output::{CustomerGroupObject, Deleted, List};

/// The root of the documented paths.
pub const COLLECTION: &str = "/api/setup/customer-group";
const COLLECTION_ALIAS: &str = "/api/setup/customer-group/";

/// The state of the handlers.
#[derive(Debug, Clone)]
struct Handlers {
    service: Service,
    max_request_bytes: usize,
}

/// The documented paths.
#[derive(Debug)]
pub(crate) struct Server {
    routes: Router,
}

impl Server {
    pub(crate) fn new(service: Service, max_request_bytes: usize) -> Self {
        let (routes, _) = documented().split_for_parts();
        Self { routes: routes.with_state(Handlers { service, max_request_bytes }) }
    }

    pub(crate) async fn call<B: AnyBody>(
        &self,
        context: CallContext,
        mut request: http::Request<B>,
    ) -> Response {
        let (method, uri, state) = (request.method().clone(), request.uri().clone(), context.state.clone());
        request.extensions_mut().insert(context);
        let Ok(response) = self.routes.clone().call(request.map(Body::new)).await;
        explain(response, &method, &uri, &state)
    }
}

/// Returns the documented paths, as templates with `{id}`.
pub(crate) fn paths() -> Vec<String> {
    documented().split_for_parts().1.paths.paths.into_keys().collect()
}

/// Returns the routes of the published API description, and their paths.
pub(crate) fn description() -> (Router, Vec<String>) {
    let (_, api) = documented().split_for_parts();
    let pages = Router::from(openapi::pages(openapi::complete(api)));
    (pages, openapi::PATHS.map(str::to_owned).to_vec())
}

/// Compresses responses for callers that accept it. Successes only: errors are small.
pub(crate) fn compression() -> CompressionLayer<impl Predicate> {
    let is_success = |status: StatusCode, _: Version, _: &HeaderMap, _: &Extensions| status.is_success();
    CompressionLayer::new().compress_when(DefaultPredicate::new().and(is_success))
}

/// The documented paths with their description. The path of the collection may end with a slash.
fn documented() -> OpenApiRouter<Handlers> {
    OpenApiRouter::with_openapi(openapi::Api::openapi())
        .routes(routes!(list))
        .route(COLLECTION_ALIAS, get(list))
        .routes(routes!(children))
        .routes(routes!(ancestors))
        .routes(routes!(descendants))
        .routes(routes!(batch::batch_create))
        .routes(routes!(batch::batch_get))
        .layer(compression())
        .layer(map_request(accept_uncompressed))
        // Not compressed: an object is small, and its strong etag identifies the bytes as sent.
        .routes(routes!(create))
        .route(COLLECTION_ALIAS, post(create))
        .routes(routes!(retrieve, update, delete))
}

/// Disables compression for a caller that rules an encoding out, as RFC 9110, section 12.5.3, permits. If it rules out
/// all of them, the compression would replace the response by a 406.
pub(crate) async fn accept_uncompressed(mut request: Request) -> Request {
    let is_ruled_out = weighted(request.headers(), &ACCEPT_ENCODING).any(|(_, weight)| weight == Some(0.0));
    if is_ruled_out {
        request.headers_mut().remove(ACCEPT_ENCODING);
    }
    request
}

/// Retrieve a customer group
///
/// Retrieves the details of an existing customer group. Supply the unique customer group ID that was returned
/// from a previous request.
#[utoipa::path(
    get,
    path = "/api/setup/customer-group/{id}",
    operation_id = "getCustomerGroup",
    tag = TAG,
    params(Id, IfMatch, IfNoneMatch),
    responses(
        (status = OK, description = "The customer group object.", body = CustomerGroupObject,
         headers(("ETag" = String, description = "Its version."))),
        (status = NOT_MODIFIED, description = "The caller has this version.",
         headers(("ETag" = String, description = "Its version."))),
        GetErrors,
    )
)]
async fn retrieve(call: Call, Id(id): Id, request: Request) -> Response {
    call.respond(async move |call| {
        no_query(&request)?;
        let group = call.service.get(&id).await?;
        let (preconditions, etag) = (preconditions(request.headers()), group.etag());
        if !preconditions.is_matched(etag) {
            return Err(Error::EtagMismatch(group.id));
        }
        Ok(if preconditions.is_known(etag) { not_modified_response(etag) } else { object(&group) })
    })
    .await
}

/// List all customer groups
///
/// Returns a list of customer groups. The results are sorted by creation date, with the most recently created
/// appearing first. With filters, the list has those groups for which all of them hold. Like every list, it is also
/// available as NDJSON, with `Accept: application/x-ndjson`.
#[utoipa::path(
    get,
    path = "/api/setup/customer-group",
    operation_id = "listCustomerGroups",
    tag = TAG,
    params(ListPage),
    responses((status = OK, description = "A paginated list of customer group objects.", body = List), ListErrors)
)]
async fn list(call: Call, request: Request) -> Response {
    call.respond(async move |call| {
        let reader = call.context.reader(request.headers());
        let groups = call.service.list(list_request(&request), reader).await?;
        list::list(groups.into(), ListFormat::of(request.headers()), &call.context).await
    })
    .await
}

/// Create a customer group
///
/// Creates a new customer group object.
#[utoipa::path(
    post,
    path = "/api/setup/customer-group",
    operation_id = "createCustomerGroup",
    tag = TAG,
    params(IdempotencyKey),
    request_body = NewCustomerGroup,
    responses(
        (status = CREATED, description = "The newly created customer group object.", body = CustomerGroupObject,
         headers(
             ("ETag" = String, description = "Its version."),
             ("Location" = String, description = "Its path."),
             ("Idempotent-Replayed" = String, description = "`true` when an earlier create made it."),
         )),
        CreateErrors,
    )
)]
async fn create(call: Call, request: Request) -> Response {
    call.respond(async move |call| {
        let (writer, key) = (call.context.writer()?, idempotency_key(request.headers()));
        let input = body(request, JSON, call.max_request_bytes).await?;
        let Created { group, replayed } = call.service.create(&writer, input, key).await?;
        let location = [(LOCATION, format!("{COLLECTION}/{}", group.id))];
        Ok((StatusCode::CREATED, location, headers::replayed(replayed), object(&group)).into_response())
    })
    .await
}

/// Update a customer group
///
/// Updates the specified customer group by setting the values of the parameters passed. Any parameters not
/// provided will be left unchanged, and null clears one. The content type can also be
/// `application/merge-patch+json`.
#[utoipa::path(
    patch,
    path = "/api/setup/customer-group/{id}",
    operation_id = "updateCustomerGroup",
    tag = TAG,
    params(Id, IfMatch, IfNoneMatch),
    request_body = CustomerGroupChanges,
    responses(
        (status = OK, description = "The updated customer group object.", body = CustomerGroupObject,
         headers(("ETag" = String, description = "Its new version."))),
        UpdateErrors,
    )
)]
async fn update(call: Call, Id(id): Id, request: Request) -> Response {
    call.respond(async move |call| {
        let (writer, preconditions) = (call.context.writer()?, preconditions(request.headers()));
        let input = body(request, JSON_PATCH, call.max_request_bytes).await?;
        Ok(object(&call.service.update(&writer, &id, input, &preconditions).await?))
    })
    .await
}

/// Delete a customer group
///
/// Permanently deletes a customer group. This cannot be undone.
#[utoipa::path(
    delete,
    path = "/api/setup/customer-group/{id}",
    operation_id = "deleteCustomerGroup",
    tag = TAG,
    params(Id, IfMatch, IfNoneMatch),
    responses(
        (status = OK, description = "A confirmation that the customer group has been deleted.", body = Deleted),
        DeleteErrors,
    )
)]
async fn delete(call: Call, Id(id): Id, request: Request) -> Response {
    call.respond(async move |call| {
        let writer = call.context.writer()?;
        no_query(&request)?;
        let id = call.service.delete(&writer, &id, &preconditions(request.headers())).await?;
        Ok(Json(Deleted::from(id)).into_response())
    })
    .await
}

/// Get children
///
/// Returns the direct children of the specified node in the tree, the most recently created first.
#[utoipa::path(
    get,
    path = "/api/setup/customer-group/{id}/children",
    operation_id = "listCustomerGroupChildren",
    tag = TAG,
    params(Id, TreePage),
    responses((status = OK, description = "A list of direct child objects.", body = List), TreeErrors)
)]
async fn children(call: Call, id: Id, request: Request) -> Response {
    tree_list(TreeList::Children, call, id, request).await
}

/// Get ancestors
///
/// Returns all ancestors from the immediate parent up to the root of the tree.
#[utoipa::path(
    get,
    path = "/api/setup/customer-group/{id}/ancestors",
    operation_id = "listCustomerGroupAncestors",
    tag = TAG,
    params(Id, TreePage),
    responses((status = OK, description = "A list of ancestor objects from parent to root.", body = List), TreeErrors)
)]
async fn ancestors(call: Call, id: Id, request: Request) -> Response {
    tree_list(TreeList::Ancestors, call, id, request).await
}

/// Get descendants
///
/// Returns all descendants of the specified node in the tree, a parent always before its children.
#[utoipa::path(
    get,
    path = "/api/setup/customer-group/{id}/descendants",
    operation_id = "listCustomerGroupDescendants",
    tag = TAG,
    params(Id, TreePage),
    responses((status = OK, description = "A list of all descendant objects.", body = List), TreeErrors)
)]
async fn descendants(call: Call, id: Id, request: Request) -> Response {
    tree_list(TreeList::Descendants, call, id, request).await
}

async fn tree_list(which: TreeList, call: Call, Id(id): Id, request: Request) -> Response {
    call.respond(async move |call| {
        let (page, reader) = (page(&request), call.context.reader(request.headers()));
        let groups = call.service.tree_list(which, &id, page, reader).await?;
        list::list(groups, ListFormat::of(request.headers()), &call.context).await
    })
    .await
}

fn object(group: &CustomerGroup) -> Response {
    ([(ETAG, group.etag().to_string())], Json(CustomerGroupObject::from(group))).into_response()
}

/// The response to a caller that has this version (RFC 9110, section 15.4.5).
fn not_modified_response(etag: Etag) -> Response {
    // A body of unknown length: a content length would have to be that of the object (RFC 9110, section 8.6).
    let body = Body::from_stream(futures_util::stream::empty::<Result<Bytes, Infallible>>());
    (StatusCode::NOT_MODIFIED, [(ETAG, etag.to_string())], body).into_response()
}
