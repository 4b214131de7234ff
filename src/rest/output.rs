//! Response bodies.

use serde::Serialize;
use utoipa::ToSchema;

use super::openapi::id;
use crate::domain::{CustomerGroup, GroupId};
use crate::files::json::AsText;
pub(super) use crate::files::json::CustomerGroupObject;

/// A list of customer groups, or a page of one.
#[derive(ToSchema)]
#[schema(as = CustomerGroupList)]
#[allow(dead_code, reason = "the schema of the lists that rest::list writes")]
pub(super) struct List<'a> {
    /// The objects of the page.
    data: Vec<CustomerGroupObject<'a>>,
    /// Whether more objects follow the page.
    #[schema(example = false)]
    has_more: bool,
    /// The exact number of objects in the whole list.
    #[schema(minimum = 0, example = 1)]
    total: i32,
}

/// The response to a batch call.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CustomerGroupBatch)]
pub(super) struct Batch<'a> {
    /// The objects, in the order of the request.
    data: Vec<CustomerGroupObject<'a>>,
}

/// The confirmation of a delete.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeletedCustomerGroup)]
pub(super) struct Deleted {
    #[schema(schema_with = id)]
    id: AsText<GroupId>,
    /// Always true.
    #[schema(example = true)]
    deleted: bool,
}

impl<'a> From<&'a [CustomerGroup]> for Batch<'a> {
    fn from(groups: &'a [CustomerGroup]) -> Self {
        Self { data: groups.iter().map(Into::into).collect() }
    }
}

impl From<GroupId> for Deleted {
    fn from(id: GroupId) -> Self {
        Self { id: AsText(id), deleted: true }
    }
}
