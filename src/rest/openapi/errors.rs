//! What calls can end in, with an example of each error as the service writes it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::json;
use utoipa::openapi::example::ExampleBuilder;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{ContentBuilder, HeaderBuilder, Ref, RefOr, Response, ResponseBuilder};
use utoipa::{IntoResponses, ToSchema};

use super::{EXAMPLE_ID, string};
use crate::domain::{GroupId, Violation, ViolationKind, Violations, field};
use crate::error::{Answer, Error};
use crate::rest::error::{ErrorBody, header};

const EXAMPLE_REQUEST_ID: &str = "req_01hm679ne0efhag5g075cmmcw9";

/// Sets of errors, in responses by their status, with an example of each.
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
    /// What every call can end in.
    Always: Error::KeyMissing, key_invalid(), Error::Overloaded, rate_limited(), Error::Internal("".into()),
        Error::Unavailable("".into()), Error::Timeout;
    /// What a list can end in, too.
    ListErrors: invalid(), unknown();
    /// What a read of one group can end in, too.
    GetErrors: unknown(), Error::not_found(EXAMPLE_ID);
    /// What a list of the tree can end in, too.
    TreeErrors: invalid(), unknown(), Error::not_found(EXAMPLE_ID);
    /// What a create can end in, too.
    CreateErrors: invalid_field(), missing(), unknown_field(), malformed(), parent_not_found(), Error::KeyReadOnly,
        Error::IdempotencyKeyReused("\"order 17\"".to_owned()), too_large(), content_type();
    /// What a batch create can end in, too.
    BatchCreateErrors: in_entry(invalid_field()), in_entry(missing()), unknown_field(), malformed(),
        in_entry(parent_not_found()), reference_cycle(), Error::KeyReadOnly,
        Error::IdempotencyKeyReused("\"order 17\"".to_owned()), too_large(), content_type();
    /// What a batch get can end in, too.
    BatchGetErrors: no_text(), no_ids(), unknown_field(), malformed(), Error::not_found(EXAMPLE_ID),
        too_large(), content_type();
    /// What an update can end in, too.
    UpdateErrors: invalid_field(), missing(), unknown_field(), malformed(), parent_not_found(), parent_cycle(),
        Error::KeyReadOnly, Error::not_found(EXAMPLE_ID), stale(), too_large(), content_type();
    /// What a delete can end in, too.
    DeleteErrors: unknown(), Error::KeyReadOnly, Error::not_found(EXAMPLE_ID), has_children(), stale();
}

/// What callers see of all errors, those where there is no operation among them.
fn answers() -> impl Iterator<Item = Answer> {
    let others = [Error::RouteUnknown(String::new()), Error::MethodNotAllowed(String::new())];
    of_operations().chain(others).map(|error| error.answer())
}

/// The kinds of errors.
pub(in crate::rest) fn error_types() -> ObjectBuilder {
    let types: BTreeSet<_> = answers().map(|answer| answer.kind).collect();
    one_of(types).description(Some("The kind of error."))
}

/// The codes of all errors.
pub(in crate::rest) fn error_codes() -> ObjectBuilder {
    let codes: BTreeSet<_> = answers().map(|answer| answer.code).collect();
    one_of(codes).description(Some("What went wrong, for programs."))
}

fn one_of(values: BTreeSet<&'static str>) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(values))
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
    let description = "customer_group_name is required; give it 1 to 255 characters that are not white space";
    violation(field::CUSTOMER_GROUP_NAME, ViolationKind::Missing, description)
}

fn unknown() -> Error {
    let description = "\"colour\": there is no parameter of this name; leave it out";
    violation("colour", ViolationKind::Unknown, description)
}

fn violation(field: &str, kind: ViolationKind, description: &str) -> Error {
    Error::Invalid(Violation::new(field, kind, description).into())
}

fn parent_not_found() -> Error {
    Error::Invalid(Violation::parent_not_found(EXAMPLE_ID).into())
}

fn parent_cycle() -> Error {
    Error::Invalid(Violation::parent_cycle(EXAMPLE_ID).into())
}

/// The same, of the group in an entry of a batch.
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
    violation(field::IDS, ViolationKind::Missing, "ids is required; give it 1 to 1000 entries")
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
    Error::EncodingUnsupported("its content type is \"text/plain\"; send application/json".to_owned())
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
        by_status.entry(error.answer().http).or_default().push(error);
    }
    by_status
        .into_iter()
        .map(|(status, errors)| {
            let codes: Vec<_> = errors.iter().map(|error| format!("`{}`", error.answer().code)).collect();
            let examples = errors.iter().map(|error| {
                let body = json!(ErrorBody::new(error, EXAMPLE_REQUEST_ID));
                (error.answer().code, ExampleBuilder::new().value(Some(body)).build())
            });
            let content = ContentBuilder::new()
                .schema(Some(Ref::from_schema_name(ErrorBody::name())))
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
