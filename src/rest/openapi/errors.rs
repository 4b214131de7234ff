//! The errors of each operation, with an example of each.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::json;
use utoipa::openapi::example::ExampleBuilder;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{ContentBuilder, HeaderBuilder, Ref, RefOr, Response, ResponseBuilder};
use utoipa::{IntoResponses, ToSchema};

use super::{EXAMPLE_ID, string};
use crate::api::{ErrorMapping, mapping};
use crate::domain::{GroupId, GroupInput, IdList, NewGroup, Violation, ViolationKind, Violations, field};
use crate::error::Error;
use crate::rest::error::{ErrorBody, header};

const EXAMPLE_REQUEST_ID: &str = "req_01hm679ne0efhag5g075cmmcw9";

/// The body of every error.
#[derive(ToSchema)]
#[schema(as = ErrorResponse)]
#[allow(dead_code, reason = "the schema of what rest::error renders")]
pub(super) struct ErrorSchema {
    error: ErrorObjectSchema,
}

#[derive(ToSchema)]
#[schema(as = ErrorObject)]
#[allow(dead_code, reason = "the schema of what rest::error renders")]
struct ErrorObjectSchema {
    #[schema(schema_with = error_types)]
    r#type: String,
    #[schema(schema_with = error_codes)]
    code: String,
    /// The problem, the value and the remedy, for people.
    message: String,
    /// The field or parameter that caused the error, if there is exactly one.
    #[schema(required)]
    param: Option<String>,
    /// The id of the request, as in the log.
    request_id: String,
}

/// Defines sets of errors: responses by status, with an example of each error.
macro_rules! errors {
    ($($(#[$doc:meta])* $name:ident: $($error:expr),+;)+) => {$(
        $(#[$doc])*
        pub(in crate::rest) struct $name;

        impl IntoResponses for $name {
            fn responses() -> BTreeMap<String, RefOr<Response>> {
                responses([$($error),+])
            }
        }
    )+

    fn of_operations() -> impl Iterator<Item = Error> {
        [$($($error),+),+].into_iter()
    }};
}

errors! {
    /// Errors of every operation.
    Always: Error::KeyMissing, key_invalid(), Error::Overloaded, rate_limited(), Error::Internal("".into()),
        Error::Unavailable("".into()), Error::Timeout;
    /// Further errors of the list of all groups.
    ListErrors: invalid(), unknown();
    /// Further errors of a read of one group.
    GetErrors: unknown(), Error::not_found(EXAMPLE_ID), stale();
    /// Further errors of a tree list.
    TreeErrors: invalid(), unknown(), Error::not_found(EXAMPLE_ID);
    /// Further errors of a create.
    CreateErrors: invalid_field(), missing(), unknown_field(), malformed(), parent_not_found(), Error::KeyReadOnly,
        Error::IdempotencyKeyReused("\"order 17\"".to_owned()), too_large(), content_type();
    /// Further errors of a batch create.
    BatchCreateErrors: in_entry(invalid_field()), in_entry(missing()), unknown_field(), malformed(),
        in_entry(parent_not_found()), reference_cycle(), Error::KeyReadOnly,
        Error::IdempotencyKeyReused("\"order 17\"".to_owned()), too_large(), content_type();
    /// Further errors of a batch read.
    BatchGetErrors: no_text(), no_ids(), unknown_field(), malformed(), Error::not_found(EXAMPLE_ID),
        too_large(), content_type();
    /// Further errors of an update.
    UpdateErrors: invalid_field(), missing(), unknown_field(), malformed(), parent_not_found(), parent_cycle(),
        Error::KeyReadOnly, Error::not_found(EXAMPLE_ID), stale(), too_large(), content_type();
    /// Further errors of a delete.
    DeleteErrors: unknown(), Error::KeyReadOnly, Error::not_found(EXAMPLE_ID), has_children(), stale();
}

/// The mappings of all errors, including those outside of the operations.
fn mappings() -> impl Iterator<Item = ErrorMapping> {
    let others = [Error::RouteUnknown(String::new()), Error::MethodNotAllowed(String::new())];
    of_operations().chain(others).map(|error| mapping(&error))
}

pub(in crate::rest) fn error_types() -> ObjectBuilder {
    documented("The kind of error.", mappings().map(|mapping| mapping.kind))
}

pub(in crate::rest) fn error_codes() -> ObjectBuilder {
    documented("The cause of the error, for programs.", mappings().map(|mapping| mapping.code))
}

/// A text that lists its values in its description. As an enumeration, each new value would be invalid to the clients
/// that were generated before.
fn documented(description: &str, values: impl Iterator<Item = &'static str>) -> ObjectBuilder {
    let values: BTreeSet<_> = values.map(|value| format!("`{value}`")).collect();
    let values = Vec::from_iter(values).join(", ");
    let description = format!("{description} Later versions can add values to these: {values}.");
    ObjectBuilder::new().schema_type(Type::String).description(Some(description))
}

fn invalid() -> Error {
    violation(field::LIMIT, ViolationKind::Invalid, "limit is \"many\"; give a whole number")
}

fn invalid_field() -> Error {
    violation(field::IS_GROUP, ViolationKind::Invalid, "is_group is \"yes\"; give true, false or null")
}

fn unknown_field() -> Error {
    let description = "\"colour\": there is no field of this name; leave it out";
    violation("colour", ViolationKind::Unknown, description)
}

fn missing() -> Error {
    violations_of(NewGroup::parse(GroupInput::default()))
}

fn unknown() -> Error {
    let description = "\"colour\": there is no parameter of this name; leave it out";
    violation("colour", ViolationKind::Unknown, description)
}

fn violation(field: &str, kind: ViolationKind, description: &str) -> Error {
    Error::Invalid(Violation::new(field, kind, description).into())
}

fn violations_of<T>(parsed: Result<T, Violations>) -> Error {
    parsed.err().map_or_else(|| Error::internal("the example is valid"), Error::Invalid)
}

fn parent_not_found() -> Error {
    Error::Invalid(Violation::parent_not_found(EXAMPLE_ID).into())
}

fn parent_cycle() -> Error {
    Error::Invalid(Violation::parent_cycle(EXAMPLE_ID).into())
}

/// Moves the violations into an entry of a batch.
fn in_entry(error: Error) -> Error {
    let Error::Invalid(violations) = error else { return error };
    let inside = |violation: &Violation| violation.clone().inside(field::CUSTOMER_GROUP).in_entry(3);
    let inside: Vec<Violation> = violations.as_slice().iter().map(inside).collect();
    Error::Invalid(Violations::of(inside).unwrap_or(violations))
}

fn reference_cycle() -> Error {
    let description = "parent_reference \"export\" is the entry itself or one below it; give one outside of its own \
                       subtree";
    let violation = Violation::new(field::PARENT_REFERENCE, ViolationKind::ParentCycle, description);
    Error::Invalid(violation.in_entry(3).into())
}

fn no_text() -> Error {
    violation("ids[3]", ViolationKind::Invalid, "ids[3] is 7; give a string")
}

fn no_ids() -> Error {
    violations_of(IdList::default().parse())
}

fn malformed() -> Error {
    Error::Undecodable("invalid JSON: expected value at line 2 column 24".to_owned())
}

fn too_large() -> Error {
    Error::BodyTooLarge(4 * 1024 * 1024)
}

fn rate_limited() -> Error {
    Error::RateLimited(Duration::from_secs(1))
}

fn content_type() -> Error {
    Error::MediaTypeUnsupported("\"text/plain\"".to_owned(), "application/json")
}

fn key_invalid() -> Error {
    Error::KeyInvalid("this API key is unknown or revoked".to_owned())
}

fn has_children() -> Error {
    Error::HasChildren(example())
}

fn stale() -> Error {
    Error::EtagMismatch(example())
}

fn example() -> GroupId {
    GroupId::parse(EXAMPLE_ID).unwrap_or_else(GroupId::generate)
}

fn responses(errors: impl IntoIterator<Item = Error>) -> BTreeMap<String, RefOr<Response>> {
    let mut by_status: BTreeMap<_, Vec<Error>> = BTreeMap::new();
    for error in errors {
        by_status.entry(mapping(&error).http).or_default().push(error);
    }
    by_status
        .into_iter()
        .map(|(status, errors)| {
            let codes: Vec<_> = errors.iter().map(|error| format!("`{}`", mapping(error).code)).collect();
            let examples = errors.iter().map(|error| {
                let body = json!(ErrorBody::new(error, EXAMPLE_REQUEST_ID));
                (mapping(error).code, ExampleBuilder::new().value(Some(body)).build())
            });
            let content = ContentBuilder::new()
                .schema(Some(Ref::from_schema_name(ErrorSchema::name())))
                .examples_from_iter(examples)
                .build();
            let mut response =
                ResponseBuilder::new().description(codes.join(", ")).content("application/json", content);
            if let Some((name, value)) = errors.iter().find_map(header) {
                let value = value.to_str().unwrap_or_default();
                let header = HeaderBuilder::new().schema(Some(string())).example(Some(json!(value)));
                response = response.header(name.as_str(), header.build());
            }
            (status.as_str().to_owned(), response.build().into())
        })
        .collect()
}
