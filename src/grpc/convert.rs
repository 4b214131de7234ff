//! Messages to drafts, and groups to messages.

use std::collections::BTreeSet;

use prost::Message;
use prost_types::FieldMask;

use super::pb;
use crate::domain::{
    BatchDraft, CustomerGroup, Draft, EntryDraft, Field, IdList, IfMatch, ListRequest, MAX_BATCH,
    PageRequest, Timestamp, Violation, ViolationKind, Violations, excerpt, field,
};
use crate::error::{Error, MAX_ANSWER_BYTES};

/// Output only, too, but no field of the object that REST shows.
const ETAG: &str = "etag";

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
    fn parse(mask: Option<FieldMask>) -> (Self, Option<Violation>) {
        let paths = mask.unwrap_or_default().paths;
        match paths.as_slice() {
            [] => (Self::Populated, None),
            [all] if all == "*" => (Self::All, None),
            named => {
                let known = |path: &str| {
                    field::MUTABLE.contains(&path) || field::OUTPUT_ONLY.contains(&path) || path == ETAG
                };
                let unknown: BTreeSet<&str> =
                    named.iter().map(String::as_str).filter(|path| !known(path)).collect();
                let violation = (!unknown.is_empty()).then(|| unknown_paths(&unknown));
                (Self::Named(paths), violation)
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

    fn draft(&self, group: pb::CustomerGroup, violation: Option<Violation>) -> Draft {
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
            violations: violation.into_iter().collect(),
        }
    }
}

/// Which part of the list of all groups is asked for, and which of them are in it.
#[must_use]
pub fn list(request: pb::ListCustomerGroupsRequest) -> ListRequest {
    let pb::ListCustomerGroupsRequest { limit, offset, starting_after, parent_id, customer_group_name } =
        request;
    ListRequest { page: PageRequest::new(limit, offset, starting_after), parent_id, customer_group_name }
}

/// What a create says of the new group.
#[must_use]
pub fn new_group(request: pb::CreateCustomerGroupRequest) -> Draft {
    Mask::Populated.draft(request.customer_group.unwrap_or_default(), None)
}

/// What a batch create says of the new groups.
///
/// # Errors
///
/// [`Error::AnswerTooLarge`], while nothing is stored yet.
pub fn new_batch(request: pb::BatchCreateCustomerGroupsRequest) -> Result<BatchDraft, Error> {
    /// What the answer has of a group that the request has not: its id, times and etag, and its head in the list.
    const ADDED: usize = 43 + 14 + 14 + 17 + 3;
    const PARENT: usize = 43;
    let size = |entry: &pb::NewCustomerGroupEntry| {
        let group = entry.customer_group.as_ref().map_or(0, Message::encoded_len);
        group + ADDED + if entry.parent_reference.is_some() { PARENT } else { 0 }
    };
    if request.requests.iter().take(MAX_BATCH).map(size).sum::<usize>() > MAX_ANSWER_BYTES {
        return Err(Error::AnswerTooLarge("create fewer groups in one call"));
    }
    let entry = |entry: pb::NewCustomerGroupEntry| EntryDraft {
        customer_group: Some(Mask::Populated.draft(*entry.customer_group.unwrap_or_default(), None)),
        reference: entry.reference,
        parent_reference: entry.parent_reference,
        violations: Vec::new(),
    };
    let entries = request.requests.into_iter().take(MAX_BATCH + 1).map(entry);
    Ok(BatchDraft { entries: entries.map(Ok).collect(), violations: Vec::new() })
}

/// Which groups a batch get asks for.
pub(super) fn ids(request: pb::BatchGetCustomerGroupsRequest) -> IdList {
    let ids = request.ids.into_iter().take(MAX_BATCH + 1);
    IdList { ids: ids.map(Ok).collect(), violations: Vec::new() }
}

/// Which versions a change is for.
pub(super) fn if_match(etag: &str) -> IfMatch {
    if etag.is_empty() { IfMatch::Any } else { IfMatch::parse(etag) }
}

/// Which group an update names, and what it says of it.
///
/// # Errors
///
/// [`Error::Invalid`] when it has no group.
pub fn update(request: pb::UpdateCustomerGroupRequest) -> Result<(String, Draft), Error> {
    let (mask, violation) = Mask::parse(request.update_mask);
    let Some(mut group) = request.customer_group else {
        let description = "customer_group is required; give the group's id and its new values";
        let missing = Violation::new("customer_group", ViolationKind::Missing, description);
        let violations = match violation {
            Some(violation) => Violations::from(violation).with_first(missing),
            None => missing.into(),
        };
        return Err(violations.into());
    };
    Ok((std::mem::take(&mut group.id), mask.draft(group, violation)))
}

/// One violation for all of them, which names the first few.
fn unknown_paths(paths: &BTreeSet<&str>) -> Violation {
    const SHOWN: usize = 3;
    let shown: Vec<String> = paths.iter().take(SHOWN).map(|path| excerpt(path)).collect();
    let more = match paths.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let (shown, known) = (shown.join(", "), field::MUTABLE.join(", "));
    Violation::new(
        "update_mask",
        ViolationKind::Unknown,
        format!("update_mask names {shown}{more}, no fields to change; give `*` alone or any of {known}"),
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
            etag: group.etag().to_string(),
            parent_id: group.parent_id.map(|id| id.to_string()),
            is_group: group.is_group,
            customer_group_name: group.customer_group_name.into(),
            parent_customer_group: group.parent_customer_group.map(Into::into),
            default_price_list: group.default_price_list.map(Into::into),
            payment_terms: group.payment_terms.map(Into::into),
        }
    }
}

/// The answers to the batches have one shape, too.
macro_rules! from_groups {
    ($($response:ident),+) => {
        $(impl From<Vec<CustomerGroup>> for pb::$response {
            fn from(groups: Vec<CustomerGroup>) -> Self {
                Self { data: groups.into_iter().map(Into::into).collect() }
            }
        })+
    };
}

from_groups!(BatchCreateCustomerGroupsResponse, BatchGetCustomerGroupsResponse);
