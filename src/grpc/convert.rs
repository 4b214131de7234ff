//! Messages to drafts, and groups to messages.

use prost_types::FieldMask;

use super::pb;
use crate::domain::{CustomerGroup, Draft, Field, List, Timestamp, Violation, ViolationKind, excerpt, field};
use crate::error::Error;

/// The fields that an update can change.
const MUTABLE: [&str; 6] = [
    field::PARENT_ID,
    field::IS_GROUP,
    field::CUSTOMER_GROUP_NAME,
    field::PARENT_CUSTOMER_GROUP,
    field::DEFAULT_PRICE_LIST,
    field::PAYMENT_TERMS,
];

/// The fields that only the service sets. They are ignored in requests (AIP-203).
const OUTPUT_ONLY: [&str; 3] = [field::ID, field::CREATED_AT, field::UPDATED_AT];

/// Which fields of an update's message count (AIP-134).
enum Mask {
    /// Those that have a value.
    Populated,
    /// All of them, `*`.
    All,
    /// Those named.
    Named(Vec<String>),
}

impl Mask {
    /// Reads a mask and finds what is wrong with it.
    fn parse(mask: Option<FieldMask>) -> (Self, Vec<Violation>) {
        let paths = mask.unwrap_or_default().paths;
        match paths.as_slice() {
            [] => (Self::Populated, Vec::new()),
            [all] if all == "*" => (Self::All, Vec::new()),
            named => {
                let unknown = named
                    .iter()
                    .filter(|path| !MUTABLE.contains(&path.as_str()) && !OUTPUT_ONLY.contains(&path.as_str()))
                    .map(|path| unknown_path(path))
                    .collect();
                (Self::Named(paths), unknown)
            }
        }
    }

    /// What the message says of a field that has no value when it is `None`.
    fn field<T>(&self, name: &str, value: Option<T>) -> Field<T> {
        let counts = match self {
            Self::Populated => value.is_some(),
            Self::All => true,
            Self::Named(paths) => paths.iter().any(|path| path == name),
        };
        match (counts, value) {
            (false, _) => Field::Absent,
            (true, None) => Field::Null,
            (true, Some(value)) => Field::Value(value),
        }
    }

    fn draft(&self, group: pb::CustomerGroup, violations: Vec<Violation>) -> Draft {
        // Neither an empty name nor a false flag can be told from one that is not there.
        let name = Some(group.customer_group_name).filter(|name| !name.is_empty());
        let is_group = group.is_group.then_some(true);
        Draft {
            parent_id: self.field(field::PARENT_ID, group.parent_id),
            is_group: self.field(field::IS_GROUP, is_group),
            customer_group_name: self.field(field::CUSTOMER_GROUP_NAME, name),
            parent_customer_group: self.field(field::PARENT_CUSTOMER_GROUP, group.parent_customer_group),
            default_price_list: self.field(field::DEFAULT_PRICE_LIST, group.default_price_list),
            payment_terms: self.field(field::PAYMENT_TERMS, group.payment_terms),
            violations,
        }
    }
}

/// What a create says of the new group.
pub(super) fn new_group(request: pb::CreateCustomerGroupRequest) -> Draft {
    Mask::Populated.draft(request.customer_group.unwrap_or_default(), Vec::new())
}

/// Which group an update names, and what it says of it.
pub(super) fn update(request: pb::UpdateCustomerGroupRequest) -> Result<(String, Draft), Error> {
    let mut group = request.customer_group.ok_or_else(|| {
        let description = "customer_group is required; give the group's id and its new values";
        Error::Invalid(Violation::new("customer_group", ViolationKind::Missing, description).into())
    })?;
    let (mask, violations) = Mask::parse(request.update_mask);
    Ok((std::mem::take(&mut group.id), mask.draft(group, violations)))
}

fn unknown_path(path: &str) -> Violation {
    let path = excerpt(path);
    let known = MUTABLE.join(", ");
    Violation::new(
        "update_mask",
        ViolationKind::Unknown,
        format!("update_mask names {path}, which is no field to change; give `*` alone or any of {known}"),
    )
}

impl From<Timestamp> for prost_types::Timestamp {
    fn from(timestamp: Timestamp) -> Self {
        Self { seconds: timestamp.seconds(), nanos: timestamp.nanoseconds() }
    }
}

impl From<CustomerGroup> for pb::CustomerGroup {
    fn from(group: CustomerGroup) -> Self {
        Self {
            id: group.id.to_string(),
            created_at: Some(group.created_at().into()),
            updated_at: Some(group.updated_at.into()),
            parent_id: group.parent_id.map(|id| id.to_string()),
            is_group: group.is_group,
            customer_group_name: group.customer_group_name.into(),
            parent_customer_group: group.parent_customer_group.map(Into::into),
            default_price_list: group.default_price_list.map(Into::into),
            payment_terms: group.payment_terms.map(Into::into),
        }
    }
}

/// The four list responses have one shape, but a type each, as the style of protobuf wants it.
macro_rules! from_list {
    ($($response:ident),+) => {
        $(impl From<List> for pb::$response {
            fn from(list: List) -> Self {
                Self {
                    data: list.data.into_iter().map(Into::into).collect(),
                    has_more: list.has_more,
                    total: list.total,
                }
            }
        })+
    };
}

from_list!(
    ListCustomerGroupsResponse,
    ListCustomerGroupChildrenResponse,
    ListCustomerGroupAncestorsResponse,
    ListCustomerGroupDescendantsResponse
);
