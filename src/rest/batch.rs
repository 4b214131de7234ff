//! Batches of customer groups.

use axum::Json;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use serde_json::value::RawValue;

use super::call::Call;
use super::input::{JSON, object};
use super::openapi::{
    BatchCreateErrors, BatchGetErrors, CustomerGroupIds, IdempotencyKey, NewCustomerGroups, TAG,
};
use super::output::Batch;
use crate::api::headers::{self, idempotency_key};
use crate::domain::{BatchInput, EntryInput, GroupInput, IdList, MAX_BATCH, Violation, field};
use crate::error::Error;
use crate::files::json::{Entries, FieldMap, group_input, type_mismatch};
use crate::service::BatchCreated;

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
pub(super) async fn batch_create(call: Call, request: Request) -> Response {
    call.respond(async move |call| {
        let (writer, key) = (call.context.writer()?, idempotency_key(request.headers()));
        let input = new_batch(request, call.max_request_bytes).await?;
        let BatchCreated { groups, replayed } = call.service.batch_create(&writer, input, key).await?;
        Ok((headers::replayed(replayed), Json(Batch::from(&*groups))).into_response())
    })
    .await
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
pub(super) async fn batch_get(call: Call, request: Request) -> Response {
    call.respond(async move |call| {
        let ids = ids(request, call.max_request_bytes).await?;
        let groups = call.service.batch_get(ids, call.context.caller()).await?;
        let json = serde_json::to_vec(&Batch::from(&*groups)).map_err(Error::internal)?;
        call.context.buffer(0, json.len())?;
        Ok(([(CONTENT_TYPE, JSON)], json).into_response())
    })
    .await
}

async fn new_batch(request: Request, max: usize) -> Result<BatchInput, Error> {
    let mut found = Vec::new();
    let mut fields = object(request, JSON, max, &mut found).await?.fields(&[field::REQUESTS], &mut found);
    let requests = array(field::REQUESTS, &mut fields, &mut found);
    let entries = requests.iter().take(MAX_BATCH + 1).enumerate();
    let entries = entries.map(|(number, value)| entry(number, value)).collect();
    Ok(BatchInput { entries, violations: found })
}

fn entry(number: usize, value: &RawValue) -> Result<EntryInput, Violation> {
    let object: Entries = serde_json::from_str(value.get())
        .map_err(|_| type_mismatch(&format!("{}[{number}]", field::REQUESTS), "an object", value))?;
    let mut found = Vec::new();
    let known = [field::CUSTOMER_GROUP, field::REFERENCE, field::PARENT_REFERENCE];
    let mut fields = object.fields(&known, &mut found);
    let customer_group = customer_group(&mut fields, &mut found);
    let mut text = |name| fields.read(name, "a string or null", &mut found).value();
    let (reference, parent_reference) = (text(field::REFERENCE), text(field::PARENT_REFERENCE));
    Ok(EntryInput { customer_group, reference, parent_reference, violations: found })
}

fn customer_group(fields: &mut FieldMap<Box<RawValue>>, found: &mut Vec<Violation>) -> Option<GroupInput> {
    let name = field::CUSTOMER_GROUP;
    let object = fields.read(name, "an object", found).value();
    let is_invalid = found.iter().any(|violation| violation.field == name);
    (!is_invalid).then(|| object.map_or_else(GroupInput::default, |object| group_input(object, Vec::new())))
}

async fn ids(request: Request, max: usize) -> Result<IdList, Error> {
    let mut found = Vec::new();
    let mut fields = object(request, JSON, max, &mut found).await?.fields(&[field::IDS], &mut found);
    let values = array(field::IDS, &mut fields, &mut found);
    let ids = values.iter().take(MAX_BATCH + 1).enumerate().map(|(number, value)| {
        serde_json::from_str(value.get())
            .map_err(|_| type_mismatch(&format!("{}[{number}]", field::IDS), "a string", value))
    });
    Ok(IdList { ids: ids.collect(), violations: found })
}

fn array(name: &str, fields: &mut FieldMap<Box<RawValue>>, found: &mut Vec<Violation>) -> Vec<Box<RawValue>> {
    fields.read(name, "an array", found).value().unwrap_or_default()
}
