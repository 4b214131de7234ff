//! The schemas of the customer group object and of its fields.

use std::borrow::Cow;

use serde_json::json;
use utoipa::openapi::schema::{
    AdditionalProperties, KnownFormat, ObjectBuilder, SchemaFormat, SchemaType, Type,
};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::EXAMPLE_ID;
use crate::domain::{Field, GroupId, Text, field};
use crate::files::json::CustomerGroupObject;

/// White space, in a character class.
const SPACE: &str = r"\t-\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000";

/// Control characters and white space, in a character class.
const CONTROL_OR_SPACE: &str = r"\u0000-\u0020\u007f-\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000";

/// Control characters, in a character class.
const CONTROL: &str = r"\u0000-\u001f\u007f-\u009f";

/// A name with any white space around it.
pub(super) fn name_pattern() -> String {
    let inner = Text::MAX_CHARACTERS - 2;
    format!("^[{SPACE}]*[^{CONTROL_OR_SPACE}]([^{CONTROL}]{{0,{inner}}}[^{CONTROL_OR_SPACE}])?[{SPACE}]*$")
}

/// A nullable text of limited length.
pub(super) fn text() -> ObjectBuilder {
    let text = nullable(Type::String).max_length(Some(Text::MAX_CHARACTERS));
    text.pattern(Some(format!("^[^{CONTROL}]*$")))
}

pub(super) fn nullable(schema_type: Type) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(SchemaType::from_iter([schema_type, Type::Null]))
}

pub(super) fn id_pattern() -> String {
    format!("^{}$", GroupId::pattern())
}

/// The id of a group.
pub(in crate::rest) fn id() -> ObjectBuilder {
    let id = ObjectBuilder::new().schema_type(Type::String).pattern(Some(id_pattern()));
    id.examples([json!(EXAMPLE_ID)]).description(Some("Unique identifier for the object."))
}

fn parent_id() -> ObjectBuilder {
    let description = "The id of the customer group above, which must exist; null for a root.";
    nullable(Type::String).pattern(Some(id_pattern())).description(Some(description)).examples([json!(null)])
}

fn time(description: &str) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
        .description(Some(description))
        .examples([json!("2024-01-15T09:30:00.000Z")])
}

/// A field of the object in responses.
fn in_response(field: Field) -> ObjectBuilder {
    let example = json!(format!("{}_example", field.name()));
    match field {
        Field::ParentId => parent_id(),
        Field::IsGroup => ObjectBuilder::new()
            .schema_type(Type::Boolean)
            .description(Some("Whether it is meant to hold other groups.")),
        Field::CustomerGroupName => ObjectBuilder::new()
            .schema_type(Type::String)
            .min_length(Some(1))
            .max_length(Some(Text::MAX_CHARACTERS))
            .description(Some("The display name. Names need not be unique."))
            .examples([example]),
        Field::Text(text) => nullable(Type::String)
            .max_length(Some(Text::MAX_CHARACTERS))
            .description(Some(text.description()))
            .examples([example]),
    }
}

/// A field of the object in requests.
fn in_request(field: Field) -> ObjectBuilder {
    match field {
        Field::ParentId => parent_id(),
        Field::IsGroup => nullable(Type::Boolean).description(Some(
            "Whether it is meant to hold other groups. Null, or none in a new group, means false.",
        )),
        Field::CustomerGroupName => {
            let max = Text::MAX_CHARACTERS;
            let description = format!(
                "1 to {max} characters, some of them visible, after the white space around them is removed."
            );
            let name = ObjectBuilder::new().schema_type(Type::String).min_length(Some(1));
            name.pattern(Some(name_pattern())).description(Some(description))
        }
        Field::Text(field) => text().description(Some(format!("{} Kept as given.", field.description()))),
    }
}

impl ToSchema for CustomerGroupObject<'_> {
    fn name() -> Cow<'static, str> {
        "CustomerGroup".into()
    }
}

impl PartialSchema for CustomerGroupObject<'_> {
    fn schema() -> RefOr<Schema> {
        let created = "Timestamp of when the object was created, in UTC and milliseconds.";
        let updated =
            "Timestamp of when the object was last updated; that of its creation until the first update.";
        let mut object = ObjectBuilder::new()
            .description(Some("The customer group object: always all fields, an unset one as null."))
            .property(field::ID, id())
            .property(field::CREATED_AT, time(created))
            .property(field::UPDATED_AT, time(updated));
        for field in Field::EDITABLE {
            object = object.property(field.name(), in_response(field));
        }
        let names = field::OUTPUT_ONLY.into_iter().chain(Field::EDITABLE.map(Field::name));
        names.fold(object, ObjectBuilder::required).into()
    }
}

/// The body of a create.
pub(in crate::rest) struct NewCustomerGroup;

/// The body of an update.
pub(in crate::rest) struct CustomerGroupChanges;

impl ToSchema for NewCustomerGroup {}

impl PartialSchema for NewCustomerGroup {
    fn schema() -> RefOr<Schema> {
        let example = json!({field::CUSTOMER_GROUP_NAME: "customer_group_name_example"});
        body().required(field::CUSTOMER_GROUP_NAME).examples([example]).into()
    }
}

impl ToSchema for CustomerGroupChanges {}

impl PartialSchema for CustomerGroupChanges {
    fn schema() -> RefOr<Schema> {
        body().examples([json!({field::PARENT_ID: null, field::IS_GROUP: false})]).into()
    }
}

fn body() -> ObjectBuilder {
    let mut body = ObjectBuilder::new().additional_properties(Some(AdditionalProperties::FreeForm(false)));
    for name in field::OUTPUT_ONLY {
        let ignored = "Ignored, so that an object that was read can be sent back.";
        let any = ObjectBuilder::new().schema_type(SchemaType::AnyValue).description(Some(ignored));
        body = body.property(name, any);
    }
    for field in Field::EDITABLE {
        body = body.property(field.name(), in_request(field));
    }
    body
}
