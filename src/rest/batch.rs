//! Many customer groups in one call.

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde_json::value::RawValue;

use super::input::{Entries, Given, draft, idempotency_key, misfit, object, read};
use super::openapi::{
    BatchCreateErrors, BatchGetErrors, CustomerGroupIds, IdempotencyKey, NewCustomerGroups, TAG,
};
use super::output::Batch;
use super::{IDEMPOTENT_REPLAYED, MaxBytes};
use crate::auth::Caller;
use crate::domain::{BatchDraft, Draft, EntryDraft, IdList, MAX_BATCH, Violation, field};
use crate::error::Error;
use crate::service::{BatchCreated, Service};

/// Create many customer groups
///
/// Creates up to 1000 new customer group objects: all of them, or none when anything is wrong with one. The parent
/// of one may be another one of the same request, before it or after it.
#[utoipa::path(
    post,
    path = "/api/setup/customer-group:batchCreate",
    operation_id = "batchCreateCustomerGroups",
    tag = TAG,
    params(IdempotencyKey),
    request_body = NewCustomerGroups,
    responses(
        (status = OK, description = "The newly created customer group objects, in the order of the request.",
         body = Batch,
         headers(("Idempotent-Replayed" = String, description = "`true` when an earlier create made them."))),
        BatchCreateErrors,
    )
)]
pub(super) async fn batch_create(
    State(service): State<Service>,
    State(max): State<MaxBytes>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, Error> {
    let writer = caller.writer()?;
    let key = idempotency_key(request.headers());
    let draft = new_batch(request, max).await?;
    let BatchCreated { groups, replayed } = service.batch_create(&writer, draft, key).await?;
    let replayed = replayed.then_some([(IDEMPOTENT_REPLAYED, "true")]);
    Ok((replayed, Json(Batch::from(&*groups))).into_response())
}

/// Retrieve many customer groups
///
/// Retrieves up to 1000 existing customer groups by their IDs. When one of them does not exist, none is returned, and
/// the error names all that do not exist.
#[utoipa::path(
    post,
    path = "/api/setup/customer-group:batchGet",
    operation_id = "batchGetCustomerGroups",
    tag = TAG,
    request_body = CustomerGroupIds,
    responses(
        (status = OK, description = "The customer group objects, in the order of their IDs in the request.",
         body = Batch),
        BatchGetErrors,
    )
)]
pub(super) async fn batch_get(
    State(service): State<Service>,
    State(max): State<MaxBytes>,
    request: Request,
) -> Result<Response, Error> {
    let groups = service.batch_get(ids(request, max).await?).await?;
    Ok(Json(Batch::from(&*groups)).into_response())
}

async fn new_batch(request: Request, max: MaxBytes) -> Result<BatchDraft, Error> {
    let mut found = Vec::new();
    let mut given = object(request, max, &mut found).await?.fields(&[field::REQUESTS], &mut found);
    let requests = array(field::REQUESTS, &mut given, &mut found);
    let entries = requests.iter().take(MAX_BATCH + 1).enumerate();
    let entries = entries.map(|(number, value)| entry(number, value)).collect();
    Ok(BatchDraft { entries, violations: found })
}

fn entry(number: usize, value: &RawValue) -> Result<EntryDraft, Violation> {
    let object: Entries = serde_json::from_str(value.get())
        .map_err(|_| misfit(&format!("{}[{number}]", field::REQUESTS), "an object", value))?;
    let mut found = Vec::new();
    let known = [field::CUSTOMER_GROUP, field::REFERENCE, field::PARENT_REFERENCE];
    let mut given = object.fields(&known, &mut found);
    let customer_group = customer_group(&mut given, &mut found);
    let mut text = |name| read(name, "a string or null", given.take(name), &mut found).value();
    let (reference, parent_reference) = (text(field::REFERENCE), text(field::PARENT_REFERENCE));
    Ok(EntryDraft { customer_group, reference, parent_reference, violations: found })
}

fn customer_group(given: &mut Given<Box<RawValue>>, found: &mut Vec<Violation>) -> Option<Draft> {
    let name = field::CUSTOMER_GROUP;
    let object = read(name, "an object", given.take(name), found).value();
    let is_wrong = found.iter().any(|violation| violation.field == name);
    (!is_wrong).then(|| object.map_or_else(Draft::default, |object| draft(object, Vec::new())))
}

async fn ids(request: Request, max: MaxBytes) -> Result<IdList, Error> {
    let mut found = Vec::new();
    let mut given = object(request, max, &mut found).await?.fields(&[field::IDS], &mut found);
    let values = array(field::IDS, &mut given, &mut found);
    let ids = values.iter().take(MAX_BATCH + 1).enumerate().map(|(place, value)| {
        serde_json::from_str(value.get())
            .map_err(|_| misfit(&format!("{}[{place}]", field::IDS), "a string", value))
    });
    Ok(IdList { ids: ids.collect(), violations: found })
}

/// The values in an array; none where there is no array.
fn array(name: &str, given: &mut Given<Box<RawValue>>, found: &mut Vec<Violation>) -> Vec<Box<RawValue>> {
    read(name, "an array", given.take(name), found).value().unwrap_or_default()
}
