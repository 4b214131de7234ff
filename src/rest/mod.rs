//! The REST face: the documented paths, from JSON to the domain, the service, and back.

mod batch;
mod error;
mod input;
mod openapi;
mod output;

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use axum::extract::{FromRef, OriginalUri, Request, State};
use axum::middleware::{Next, from_fn, map_request};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use axum::{Extension, Json, Router};
use http::header::{ACCEPT_ENCODING, ETAG, LOCATION};
use http::{HeaderName, Method, StatusCode};
use http_body::Frame;
use http_body_util::StreamBody;
use tower_http::compression::CompressionLayer;
use utoipa::OpenApi;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};
use utoipa_axum::routes;

pub use error::finish;
pub(crate) use input::import_draft;
pub use input::{body, list_request, page};
pub(crate) use output::write_object;

use crate::auth::Caller;
use crate::domain::{CustomerGroup, Etag, excerpt};
use crate::error::Error;
use crate::service::{Created, Service};
use input::{Id, freshness, idempotency_key, if_match, no_query, not_modified};
use openapi::{
    CreateErrors, CustomerGroupChanges, DeleteErrors, GetErrors, IdempotencyKey, IfMatch, IfNoneMatch,
    ListErrors, ListPage, NewCustomerGroup, TAG, TreeErrors, TreePage, UpdateErrors,
};
use output::{CustomerGroupObject, Deleted, List};

/// Where the documented paths begin.
pub const COLLECTION: &str = "/api/setup/customer-group";

/// Tells that the answer was given before.
const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// What the handlers work with.
#[derive(Debug, Clone)]
pub struct Context {
    /// The use cases.
    pub service: Service,
    /// The largest body that is read, in bytes.
    pub max_request_bytes: usize,
}

/// The largest body that is read, in bytes.
#[derive(Debug, Clone, Copy)]
pub struct MaxBytes(pub usize);

impl FromRef<Context> for Service {
    fn from_ref(context: &Context) -> Self {
        context.service.clone()
    }
}

impl FromRef<Context> for MaxBytes {
    fn from_ref(context: &Context) -> Self {
        Self(context.max_request_bytes)
    }
}

/// The documented paths, with errors for what no route is for, and their description, which needs no API key.
pub fn routers() -> (Router<Context>, Router) {
    let (described, api) = described().split_for_parts();
    let routes = described
        // As it is described, but with the slash that the documentation does not show.
        .route(&format!("{COLLECTION}/"), compressed(get(list)).post(create))
        .method_not_allowed_fallback(other_method)
        .fallback(unknown);
    let description = Router::from(openapi::pages(openapi::complete(api)))
        .layer(CompressionLayer::new())
        .layer(map_request(accept_uncompressed))
        .layer(from_fn(explain_missing_page));
    (routes, description)
}

/// The documented paths, as templates with `{id}` in them.
#[must_use]
pub fn paths() -> Vec<String> {
    described().split_for_parts().1.paths.paths.into_keys().collect()
}

async fn explain_missing_page(
    method: Method,
    OriginalUri(uri): OriginalUri,
    request: Request,
    next: Next,
) -> Response {
    let response = next.run(request).await;
    if response.status() == StatusCode::NOT_FOUND {
        return unknown(method, OriginalUri(uri)).await.into_response();
    }
    response
}

/// The documented paths with their description.
fn described() -> OpenApiRouter<Context> {
    OpenApiRouter::with_openapi(openapi::Api::openapi())
        .routes(compressed_list(routes!(list)))
        .routes(compressed_list(routes!(children)))
        .routes(compressed_list(routes!(ancestors)))
        .routes(compressed_list(routes!(descendants)))
        .routes(compressed_list(routes!(batch::batch_create)))
        .routes(compressed_list(routes!(batch::batch_get)))
        // Not compressed: a strong etag is for the bytes as they are sent, and an object is small.
        .routes(routes!(create))
        .routes(routes!(retrieve, update, delete))
}

fn compressed_list((schemas, paths, list): UtoipaMethodRouter<Context>) -> UtoipaMethodRouter<Context> {
    (schemas, paths, compressed(list))
}

/// Compresses the answers for those who accept it.
fn compressed(list: MethodRouter<Context>) -> MethodRouter<Context> {
    list.layer(CompressionLayer::new()).layer(map_request(accept_uncompressed))
}

/// Those who rule an encoding out get what there is as it is, which RFC 9110, section 12.5.3, leaves to the server:
/// where nothing is left, the compression would make a 406 of an answer that was given.
pub async fn accept_uncompressed(mut request: Request) -> Request {
    let is_ruled_out = |entry: &str| {
        let weight = entry.split(';').find_map(|part| part.trim().strip_prefix("q="));
        weight.and_then(|weight| weight.parse().ok()) == Some(0.0_f32)
    };
    let accepted = request.headers().get_all(ACCEPT_ENCODING);
    if accepted.iter().any(|line| line.to_str().is_ok_and(|line| line.split(',').any(is_ruled_out))) {
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
    params(Id, IfNoneMatch),
    responses(
        (status = OK, description = "The customer group object.", body = CustomerGroupObject,
         headers(("ETag" = String, description = "Its version."))),
        (status = NOT_MODIFIED, description = "The caller has this version.",
         headers(("ETag" = String, description = "Its version."))),
        GetErrors,
    )
)]
async fn retrieve(State(service): State<Service>, Id(id): Id, request: Request) -> Result<Response, Error> {
    no_query(&request)?;
    let group = service.get(&id).await?;
    Ok(if not_modified(request.headers(), group.etag()) { unchanged(group.etag()) } else { object(&group) })
}

/// List all customer groups
///
/// Returns a list of customer groups. The results are sorted by creation date, with the most recently created
/// appearing first. With filters, the list has those groups for which all of them hold.
#[utoipa::path(
    get,
    path = "/api/setup/customer-group",
    operation_id = "listCustomerGroups",
    tag = TAG,
    params(ListPage),
    responses((status = OK, description = "A paginated list of customer group objects.", body = List), ListErrors)
)]
async fn list(State(service): State<Service>, request: Request) -> Result<Response, Error> {
    let groups = service.list(list_request(&request), freshness(request.headers())).await?;
    output::list(groups.into()).await
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
async fn create(
    State(service): State<Service>,
    State(max): State<MaxBytes>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, Error> {
    let writer = caller.writer()?;
    let key = idempotency_key(request.headers());
    let Created { group, replayed } = service.create(&writer, body(request, max).await?, key).await?;
    let location = [(LOCATION, format!("{COLLECTION}/{}", group.id))];
    let replayed = replayed.then_some([(IDEMPOTENT_REPLAYED, "true")]);
    Ok((StatusCode::CREATED, location, replayed, object(&group)).into_response())
}

/// Update a customer group
///
/// Updates the specified customer group by setting the values of the parameters passed. Any parameters not
/// provided will be left unchanged, and null clears one.
#[utoipa::path(
    patch,
    path = "/api/setup/customer-group/{id}",
    operation_id = "updateCustomerGroup",
    tag = TAG,
    params(Id, IfMatch),
    request_body = CustomerGroupChanges,
    responses(
        (status = OK, description = "The updated customer group object.", body = CustomerGroupObject,
         headers(("ETag" = String, description = "Its new version."))),
        UpdateErrors,
    )
)]
async fn update(
    State(service): State<Service>,
    State(max): State<MaxBytes>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
    request: Request,
) -> Result<Response, Error> {
    let writer = caller.writer()?;
    let if_match = if_match(request.headers());
    let draft = body(request, max).await?;
    Ok(object(&service.update(&writer, &id, draft, &if_match).await?))
}

/// Delete a customer group
///
/// Permanently deletes a customer group. This cannot be undone.
#[utoipa::path(
    delete,
    path = "/api/setup/customer-group/{id}",
    operation_id = "deleteCustomerGroup",
    tag = TAG,
    params(Id, IfMatch),
    responses(
        (status = OK, description = "A confirmation that the customer group has been deleted.", body = Deleted),
        DeleteErrors,
    )
)]
async fn delete(
    State(service): State<Service>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
    request: Request,
) -> Result<Json<Deleted>, Error> {
    let writer = caller.writer()?;
    no_query(&request)?;
    Ok(Json(service.delete(&writer, &id, &if_match(request.headers())).await?.into()))
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
async fn children(State(service): State<Service>, Id(id): Id, request: Request) -> Result<Response, Error> {
    output::list(service.children(&id, page(&request), freshness(request.headers())).await?).await
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
async fn ancestors(State(service): State<Service>, Id(id): Id, request: Request) -> Result<Response, Error> {
    output::list(service.ancestors(&id, page(&request), freshness(request.headers())).await?).await
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
async fn descendants(
    State(service): State<Service>,
    Id(id): Id,
    request: Request,
) -> Result<Response, Error> {
    output::list(service.descendants(&id, page(&request), freshness(request.headers())).await?).await
}

/// The object with its version.
fn object(group: &CustomerGroup) -> Response {
    ([(ETAG, group.etag().to_string())], Json(CustomerGroupObject::from(group))).into_response()
}

/// What is answered to someone who has the version already (RFC 9110, section 15.4.5).
fn unchanged(etag: Etag) -> Response {
    // Of no known length: that of the object would be one, but 0 is none (RFC 9110, section 8.6).
    let body = Body::new(StreamBody::new(futures_util::stream::empty::<Result<Frame<Bytes>, Infallible>>()));
    (StatusCode::NOT_MODIFIED, [(ETAG, etag.to_string())], body).into_response()
}

/// A method that the path has no handler for. The router adds the `Allow` header.
///
/// # Errors
///
/// [`Error::MethodNotAllowed`], but for `OPTIONS`.
pub async fn other_method(method: Method) -> Result<StatusCode, Error> {
    if method == Method::OPTIONS {
        return Ok(StatusCode::NO_CONTENT);
    }
    let method = excerpt(method.as_str());
    Err(Error::MethodNotAllowed(format!(
        "the path does not take {method}; it takes what the Allow header says"
    )))
}

/// A path that there is no handler for.
///
/// # Errors
///
/// [`Error::RouteUnknown`], always.
pub async fn unknown(method: Method, OriginalUri(uri): OriginalUri) -> Error {
    Error::RouteUnknown(format!("{method} {}", excerpt(uri.path())))
}
