//! Answers as JSON, in the documented order of the fields.

use serde::{Serialize, Serializer};

use crate::domain::{self, CustomerGroup, GroupId, Text, Timestamp};

/// The customer group object: always all nine fields, an unset one as null.
#[derive(Debug, Serialize)]
pub(super) struct Object {
    #[serde(serialize_with = "text")]
    id: GroupId,
    #[serde(serialize_with = "text")]
    created_at: Timestamp,
    #[serde(serialize_with = "text")]
    updated_at: Timestamp,
    parent_id: Option<String>,
    is_group: bool,
    customer_group_name: String,
    parent_customer_group: Option<String>,
    default_price_list: Option<String>,
    payment_terms: Option<String>,
}

/// The list shape.
#[derive(Debug, Serialize)]
pub(super) struct List {
    data: Vec<Object>,
    has_more: bool,
    total: i32,
}

/// The confirmation of a delete.
#[derive(Debug, Serialize)]
pub(super) struct Deleted {
    #[serde(serialize_with = "text")]
    id: GroupId,
    deleted: bool,
}

fn text<S: Serializer>(value: &impl std::fmt::Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

impl From<CustomerGroup> for Object {
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
