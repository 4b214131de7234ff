//! Messages to drafts, and groups to messages.

use std::collections::BTreeSet;

use futures_util::{Stream, StreamExt};
use prost::Message;
use prost_types::FieldMask;
use tonic::Status;

use super::{pb, status};
use crate::domain::{
    CustomerGroup, Draft, Field, IfMatch, List, Timestamp, Violation, ViolationKind, Violations, excerpt,
    field,
};
use crate::error::{Error, LateRecord, MAX_ANSWER_BYTES};
use crate::service::Groups;

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

/// What a create says of the new group.
pub(super) fn new_group(request: pb::CreateCustomerGroupRequest) -> Draft {
    Mask::Populated.draft(request.customer_group.unwrap_or_default(), None)
}

/// Which versions a change is for.
pub(super) fn if_match(etag: &str) -> IfMatch {
    if etag.is_empty() { IfMatch::Any } else { IfMatch::parse(etag) }
}

/// Which group an update names, and what it says of it.
pub(super) fn update(request: pb::UpdateCustomerGroupRequest) -> Result<(String, Draft), Error> {
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

/// A list as one message has it.
pub(super) struct Collected {
    data: Vec<pb::CustomerGroup>,
    has_more: bool,
    total: i32,
}

impl Collected {
    /// Reads a list to its end.
    ///
    /// # Errors
    ///
    /// [`Error::AnswerTooLarge`] with the advice, as soon as it is.
    pub(super) async fn from(mut groups: Groups, advice: &'static str) -> Result<Self, Error> {
        /// What a message in a list costs beside its own bytes, at the most.
        const HEAD: usize = 5;
        let mut list = Self { data: Vec::new(), has_more: false, total: 0 };
        let mut size = 0;
        while let Some(part) = groups.next().await {
            let part = part?;
            (list.has_more, list.total) = (part.has_more, part.total);
            for group in part.data {
                let group = pb::CustomerGroup::from(group);
                size += group.encoded_len() + HEAD;
                if size > MAX_ANSWER_BYTES {
                    return Err(Error::AnswerTooLarge(advice));
                }
                list.data.push(group);
            }
        }
        Ok(list)
    }
}

/// The four list responses have one shape, but a type each, as the style of protobuf wants it.
macro_rules! from_list {
    ($($response:ident),+) => {
        $(impl From<Collected> for pb::$response {
            fn from(Collected { data, has_more, total }: Collected) -> Self {
                Self { data, has_more, total }
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

/// The groups of a list one by one, and the error that it breaks off with, if it does.
pub(super) fn stream(
    groups: Groups,
    request_id: String,
    late: LateRecord,
) -> impl Stream<Item = Result<pb::CustomerGroup, Status>> {
    let parts = futures_util::stream::unfold(groups, |mut groups| async {
        groups.next().await.map(|part| (part, groups))
    });
    parts.flat_map(move |part| {
        let messages: Vec<_> = match part {
            Ok(List { data, .. }) => data.into_iter().map(|group| Ok(group.into())).collect(),
            Err(error) => {
                late.set(&error);
                vec![Err(status::of(&error, &request_id))]
            }
        };
        futures_util::stream::iter(messages)
    })
}
