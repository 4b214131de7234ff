//! The REST face: the documented paths, from JSON to the domain, the service, and back.

mod error;
mod input;
mod output;

use axum::extract::{OriginalUri, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Json, Router};
use http::header::{ETAG, LOCATION};
use http::{HeaderName, Method, StatusCode};
use tower_http::compression::CompressionLayer;

pub use error::finish;

use crate::auth::Caller;
use crate::domain::{CustomerGroup, Etag, excerpt};
use crate::error::Error;
use crate::service::{Created, Service};
use input::{Id, body, idempotency_key, if_match, no_query, not_modified, page};
use output::{Deleted, List, Object};

/// Where the documented paths begin.
pub const COLLECTION: &str = "/api/setup/customer-group";

/// Tells that the answer was given before.
const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// The documented paths over the use cases. What no route is for gets an error, too.
pub fn routes(service: Service) -> Router {
    let collection = get(list).post(create);
    let object = get(retrieve).patch(update).delete(delete);
    Router::new()
        .route(COLLECTION, collection.clone())
        .route(&format!("{COLLECTION}/"), collection)
        .route(&format!("{COLLECTION}/{{id}}/children"), get(children))
        .route(&format!("{COLLECTION}/{{id}}/ancestors"), get(ancestors))
        .route(&format!("{COLLECTION}/{{id}}/descendants"), get(descendants))
        .layer(CompressionLayer::new())
        // Not compressed: a strong etag is for the bytes as they are sent, and an object is small.
        .route(&format!("{COLLECTION}/{{id}}"), object)
        .method_not_allowed_fallback(other_method)
        .fallback(unknown)
        .with_state(service)
}

async fn retrieve(State(service): State<Service>, Id(id): Id, request: Request) -> Result<Response, Error> {
    no_query(&request)?;
    let group = service.get(&id).await?;
    Ok(if not_modified(request.headers(), group.etag()) { unchanged(group.etag()) } else { object(group) })
}

async fn list(State(service): State<Service>, request: Request) -> Result<Json<List>, Error> {
    Ok(Json(service.list(page(&request)).await?.into()))
}

async fn create(
    State(service): State<Service>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, Error> {
    let writer = caller.writer()?;
    let key = idempotency_key(request.headers());
    let Created { group, replayed } = service.create(writer, body(request).await?, key).await?;
    let location = [(LOCATION, format!("{COLLECTION}/{}", group.id))];
    let replayed = replayed.then_some([(IDEMPOTENT_REPLAYED, "true")]);
    Ok((StatusCode::CREATED, location, replayed, object(group)).into_response())
}

async fn update(
    State(service): State<Service>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
    request: Request,
) -> Result<Response, Error> {
    let writer = caller.writer()?;
    let if_match = if_match(request.headers());
    let draft = body(request).await?;
    Ok(object(service.update(writer, &id, draft, &if_match).await?))
}

async fn delete(
    State(service): State<Service>,
    Extension(caller): Extension<Caller>,
    Id(id): Id,
    request: Request,
) -> Result<Json<Deleted>, Error> {
    let writer = caller.writer()?;
    no_query(&request)?;
    Ok(Json(service.delete(writer, &id, &if_match(request.headers())).await?.into()))
}

async fn children(State(service): State<Service>, Id(id): Id, request: Request) -> Result<Json<List>, Error> {
    Ok(Json(service.children(&id, page(&request)).await?.into()))
}

async fn ancestors(
    State(service): State<Service>,
    Id(id): Id,
    request: Request,
) -> Result<Json<List>, Error> {
    Ok(Json(service.ancestors(&id, page(&request)).await?.into()))
}

async fn descendants(
    State(service): State<Service>,
    Id(id): Id,
    request: Request,
) -> Result<Json<List>, Error> {
    Ok(Json(service.descendants(&id, page(&request)).await?.into()))
}

/// The object with its version.
fn object(group: CustomerGroup) -> Response {
    ([(ETAG, group.etag().to_string())], Json(Object::from(group))).into_response()
}

/// What is answered to someone who has the version already (RFC 9110, section 15.4.5).
fn unchanged(etag: Etag) -> Response {
    (StatusCode::NOT_MODIFIED, [(ETAG, etag.to_string())]).into_response()
}

/// A method that the path has no handler for. The router adds the `Allow` header.
async fn other_method(method: Method) -> Result<StatusCode, Error> {
    if method == Method::OPTIONS {
        return Ok(StatusCode::NO_CONTENT);
    }
    let method = excerpt(method.as_str());
    Err(Error::MethodNotAllowed(format!(
        "the path does not take {method}; it takes what the Allow header says"
    )))
}

async fn unknown(method: Method, OriginalUri(uri): OriginalUri) -> Error {
    Error::RouteUnknown(format!("{method} {}", excerpt(uri.path())))
}
