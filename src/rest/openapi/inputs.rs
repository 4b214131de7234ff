//! What requests have in them: parameters and bodies.

use serde_json::json;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{AdditionalProperties, ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{RefOr, Required, Schema};
use utoipa::{IntoParams, PartialSchema, ToSchema};

use super::{EXAMPLE_ID, string};
use crate::domain::field;
use crate::rest::input::Id;

/// Ids as the service makes them.
const ID_PATTERN: &str = "^customer-group_[0-7][0-9a-hjkmnp-tv-z]{25}$";

/// The same, or what stands for none.
const PARENT_PATTERN: &str = "^(null|customer-group_[0-7][0-9a-hjkmnp-tv-z]{25})$";

/// Text without control characters.
pub(super) const TEXT_PATTERN: &str = r"^[^\u0000-\u001f\u007f-\u009f]*$";

/// The same with up to 255 characters, the first and the last of which are no white space, and any around them.
const NAME_PATTERN: &str = concat!(
    r"^[\t-\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]*",
    r"[^\u0000-\u0020\u007f-\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]",
    r"([^\u0000-\u001f\u007f-\u009f]{0,253}",
    r"[^\u0000-\u0020\u007f-\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000])?",
    r"[\t-\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]*$"
);

pub(super) fn parameter(
    name: &str,
    parameter_in: ParameterIn,
    description: &str,
    schema: impl Into<Schema>,
) -> Parameter {
    let required = if parameter_in == ParameterIn::Path { Required::True } else { Required::False };
    let parameter = ParameterBuilder::new().name(name).parameter_in(parameter_in).required(required);
    parameter.description(Some(description)).schema(Some(schema.into())).build()
}

impl IntoParams for Id {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let schema = ObjectBuilder::new().schema_type(Type::String).examples([json!(EXAMPLE_ID)]);
        vec![parameter(field::ID, ParameterIn::Path, "The identifier of the customer group.", schema)]
    }
}

/// The parameters of the list of all groups.
pub(in crate::rest) struct ListPage;

impl IntoParams for ListPage {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let limit = "Maximum number of objects to return. Above 1000 it is lowered to 1000.";
        let parent = "Only the objects directly below this one: its id, or `null` for the roots. None are below one \
                      that does not exist.";
        let name = "Only the objects whose name has this text in it, in upper or lower case: 1 to 255 characters. \
                    White space around them is removed.";
        let text = |pattern| ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern));
        let mut parameters = page(limit, Some(json!(20)), "The object need not exist any more.");
        parameters.extend([
            parameter(field::PARENT_ID, ParameterIn::Query, parent, text(PARENT_PATTERN)),
            parameter(
                field::CUSTOMER_GROUP_NAME,
                ParameterIn::Query,
                name,
                text(NAME_PATTERN).min_length(Some(1)),
            ),
        ]);
        parameters
    }
}

/// The parameters of the lists of the tree.
pub(in crate::rest) struct TreePage;

impl IntoParams for TreePage {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let limit = "Maximum number of objects to return; all of them when it is not given.";
        page(limit, None, "Of the ancestors and the descendants it must be one.")
    }
}

fn page(limit: &str, default: Option<serde_json::Value>, whether: &str) -> Vec<Parameter> {
    let number = || ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0));
    let skip = "Number of objects to skip for pagination.";
    let start = format!(
        "The id of the last object of the page before: the page has what comes after it, however deep, at the cost of \
         the first. {whether} `offset` counts from there."
    );
    let id = ObjectBuilder::new().schema_type(Type::String).pattern(Some(ID_PATTERN));
    let no_cache = "`no-cache` for a list that has every write acknowledged before. Without it the list may come from \
                    a standby, which can be moments behind.";
    vec![
        parameter("Cache-Control", ParameterIn::Header, no_cache, string()),
        parameter(field::LIMIT, ParameterIn::Query, limit, number().default(default)),
        parameter(field::OFFSET, ParameterIn::Query, skip, number().default(Some(json!(0)))),
        parameter(field::STARTING_AFTER, ParameterIn::Query, &start, id),
    ]
}

/// The header by which a create is repeated safely.
pub(in crate::rest) struct IdempotencyKey;

impl IntoParams for IdempotencyKey {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let description = "A name of the caller's own for this create. For 24 hours, the same create under the same \
                           name and API key makes no second group but gets the first answer again.";
        let schema = ObjectBuilder::new()
            .schema_type(Type::String)
            .max_length(Some(255))
            .pattern(Some("^[!-~]([ -~]*[!-~])?$"));
        vec![parameter("Idempotency-Key", ParameterIn::Header, description, schema)]
    }
}

/// The version that a change is for.
pub(in crate::rest) struct IfMatch;

impl IntoParams for IfMatch {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let description = "The `ETag` of the version that the change is for, or several with commas between, or `*` \
                           for any. Refused with 412 when the group is in another one.";
        vec![parameter("If-Match", ParameterIn::Header, description, string())]
    }
}

/// The version that the caller has.
pub(in crate::rest) struct IfNoneMatch;

impl IntoParams for IfNoneMatch {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let description = "The `ETag` of the version that the caller has. That one is not sent again: 304.";
        vec![parameter("If-None-Match", ParameterIn::Header, description, string())]
    }
}

/// The id of a group.
pub(in crate::rest) fn id() -> ObjectBuilder {
    let id = ObjectBuilder::new().schema_type(Type::String).pattern(Some(ID_PATTERN));
    id.examples([json!(EXAMPLE_ID)]).description(Some("Unique identifier for the object."))
}

/// The id of the group above.
pub(in crate::rest) fn parent_id() -> ObjectBuilder {
    let description = "The id of the customer group above, which must exist; null for a root.";
    nullable(Type::String).pattern(Some(ID_PATTERN)).description(Some(description)).examples([json!(null)])
}

/// The body of a create.
pub(in crate::rest) struct NewCustomerGroup;

/// The body of an update.
pub(in crate::rest) struct CustomerGroupChanges;

impl ToSchema for NewCustomerGroup {}

impl PartialSchema for NewCustomerGroup {
    fn schema() -> RefOr<Schema> {
        let example = json!({"customer_group_name": "customer_group_name_example"});
        let is_group = is_group().default(Some(json!(false)));
        body()
            .property(field::IS_GROUP, is_group)
            .required(field::CUSTOMER_GROUP_NAME)
            .examples([example])
            .into()
    }
}

impl ToSchema for CustomerGroupChanges {}

impl PartialSchema for CustomerGroupChanges {
    fn schema() -> RefOr<Schema> {
        let example = json!({"parent_id": null, "is_group": false});
        body().examples([example]).into()
    }
}

fn is_group() -> ObjectBuilder {
    nullable(Type::Boolean).description(Some("Whether it is meant to hold other groups. Null is false."))
}

fn body() -> ObjectBuilder {
    let mut body = ObjectBuilder::new().additional_properties(Some(AdditionalProperties::FreeForm(false)));
    for output_only in field::OUTPUT_ONLY {
        let ignored = "Ignored, so that an object that was read can be sent back.";
        let any = ObjectBuilder::new().schema_type(SchemaType::AnyValue).description(Some(ignored));
        body = body.property(output_only, any);
    }
    for mutable in field::MUTABLE {
        let property = match mutable {
            field::PARENT_ID => parent_id(),
            field::IS_GROUP => is_group(),
            field::CUSTOMER_GROUP_NAME => ObjectBuilder::new()
                .schema_type(Type::String)
                .min_length(Some(1))
                .pattern(Some(NAME_PATTERN))
                .description(Some("1 to 255 characters. White space around them is removed.")),
            _ => nullable(Type::String)
                .max_length(Some(255))
                .pattern(Some(TEXT_PATTERN))
                .description(Some("A reference into another system, kept as given.")),
        };
        body = body.property(mutable, property);
    }
    body
}

pub(super) fn nullable(schema_type: Type) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(SchemaType::from_iter([schema_type, Type::Null]))
}
