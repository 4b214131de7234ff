//! Answers as JSON, in the documented order of the fields.

use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use super::openapi::{id, parent_id};
use crate::domain::{self, CustomerGroup, GroupId, Text, Timestamp};

/// The customer group object: always all nine fields, an unset one as null.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CustomerGroup)]
pub(super) struct CustomerGroupObject {
    #[serde(serialize_with = "text")]
    #[schema(schema_with = id)]
    id: GroupId,
    /// Timestamp of when the object was created, in UTC and milliseconds.
    #[serde(serialize_with = "text")]
    #[schema(value_type = String, format = DateTime, example = "2024-01-15T09:30:00.000Z")]
    created_at: Timestamp,
    /// Timestamp of when the object was last updated; that of its creation until then.
    #[serde(serialize_with = "text")]
    #[schema(value_type = String, format = DateTime, example = "2024-01-15T09:30:00.000Z")]
    updated_at: Timestamp,
    #[schema(schema_with = parent_id, required)]
    parent_id: Option<String>,
    /// Whether it is meant to hold other groups.
    #[schema(default = false, required)]
    is_group: bool,
    /// The name for people. Names need not be unique.
    #[schema(min_length = 1, max_length = 255, example = "customer_group_name_example")]
    customer_group_name: String,
    /// A reference into another system. It never moves a group: `parent_id` does.
    #[schema(required, max_length = 255, example = "parent_customer_group_example")]
    parent_customer_group: Option<String>,
    /// The price list of its customers: a reference into another system.
    #[schema(required, max_length = 255, example = "default_price_list_example")]
    default_price_list: Option<String>,
    /// The payment terms of its customers: a reference into another system.
    #[schema(required, max_length = 255, example = "payment_terms_example")]
    payment_terms: Option<String>,
}

/// The list shape.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CustomerGroupList)]
pub(super) struct List {
    /// The objects of the page.
    data: Vec<CustomerGroupObject>,
    /// Whether there is a further object past the page.
    #[schema(example = false)]
    has_more: bool,
    /// The exact number of objects in the whole list.
    #[schema(minimum = 0, example = 1)]
    total: i32,
}

/// The confirmation of a delete.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeletedCustomerGroup)]
pub(super) struct Deleted {
    #[serde(serialize_with = "text")]
    #[schema(schema_with = id)]
    id: GroupId,
    /// Always true.
    #[schema(example = true)]
    deleted: bool,
}

fn text<S: Serializer>(value: &impl std::fmt::Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

impl From<CustomerGroup> for CustomerGroupObject {
    fn from(group: CustomerGroup) -> Self {
        let optional = |text: Option<Text>| text.map(String::from);
        Self {
            id: group.id,
            created_at: group.created_at(),
            updated_at: group.updated_at,
            parent_id: group.parent_id.map(|id| id.to_string()),
            is_group: group.is_group,
            customer_group_name: group.customer_group_name.into(),
            parent_customer_group: optional(group.parent_customer_group),
            default_price_list: optional(group.default_price_list),
            payment_terms: optional(group.payment_terms),
        }
    }
}

impl From<domain::List> for List {
    fn from(list: domain::List) -> Self {
        let domain::List { data, has_more, total } = list;
        Self { data: data.into_iter().map(Into::into).collect(), has_more, total }
    }
}

impl From<GroupId> for Deleted {
    fn from(id: GroupId) -> Self {
        Self { id, deleted: true }
    }
}
