//! The bodies of batch calls.

use serde_json::json;
use utoipa::openapi::schema::{AdditionalProperties, ArrayBuilder, ArrayItems, ObjectBuilder, Type};
use utoipa::openapi::{Ref, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::EXAMPLE_ID;
use super::fields::{NewCustomerGroup, text};
use crate::domain::{MAX_BATCH, field};

/// The body of a batch create.
pub(in crate::rest) struct NewCustomerGroups;

/// An entry of a batch create.
pub(in crate::rest) struct NewCustomerGroupEntry;

/// The body of a batch get.
pub(in crate::rest) struct CustomerGroupIds;

impl ToSchema for NewCustomerGroups {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((NewCustomerGroupEntry::name().into_owned(), NewCustomerGroupEntry::schema()));
        NewCustomerGroupEntry::schemas(schemas);
    }
}

impl PartialSchema for NewCustomerGroups {
    fn schema() -> RefOr<Schema> {
        let wholesale = json!({"customer_group_name": "Wholesale", "is_group": true});
        let example = json!({field::REQUESTS: [
            {field::CUSTOMER_GROUP: wholesale, field::REFERENCE: "wholesale"},
            {field::CUSTOMER_GROUP: {"customer_group_name": "Export"}, field::PARENT_REFERENCE: "wholesale"},
        ]});
        let entries = list(Ref::from_schema_name(NewCustomerGroupEntry::name()))
            .description(Some("The customer groups to create. All of them are created, or none."));
        object().property(field::REQUESTS, entries).required(field::REQUESTS).examples([example]).into()
    }
}

impl ToSchema for NewCustomerGroupEntry {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((NewCustomerGroup::name().into_owned(), NewCustomerGroup::schema()));
    }
}

impl PartialSchema for NewCustomerGroupEntry {
    fn schema() -> RefOr<Schema> {
        let reference = |description: &str| text().min_length(Some(1)).description(Some(description));
        let name = "The caller's own name for this entry, unique in the request. It is not stored.";
        let parent = "The reference of the entry whose customer group becomes the parent. Not together with \
                      `parent_id`.";
        object()
            .property(field::CUSTOMER_GROUP, Ref::from_schema_name(NewCustomerGroup::name()))
            .property(field::REFERENCE, reference(name))
            .property(field::PARENT_REFERENCE, reference(parent))
            .required(field::CUSTOMER_GROUP)
            .into()
    }
}

impl ToSchema for CustomerGroupIds {}

impl PartialSchema for CustomerGroupIds {
    fn schema() -> RefOr<Schema> {
        let ids = list(ObjectBuilder::new().schema_type(Type::String))
            .description(Some("The identifiers of the customer groups."));
        let example = json!({field::IDS: [EXAMPLE_ID]});
        object().property(field::IDS, ids).required(field::IDS).examples([example]).into()
    }
}

fn object() -> ObjectBuilder {
    ObjectBuilder::new().additional_properties(Some(AdditionalProperties::FreeForm(false)))
}

fn list(items: impl Into<ArrayItems>) -> ArrayBuilder {
    ArrayBuilder::new().items(items).min_items(Some(1)).max_items(Some(MAX_BATCH))
}
