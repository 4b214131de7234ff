//! Conversions between protobuf messages and the domain.

use std::collections::BTreeSet;

use prost::Message;
use prost_types::FieldMask;

use super::pb;
use crate::domain::{
    BatchInput, CustomerGroup, EntryInput, Field, FieldInput, GroupInput, IdList, ListRequest, MAX_BATCH,
    PageRequest, Preconditions, TextField, Texts, Timestamp, Violation, ViolationKind, Violations, excerpt,
    field,
};
use crate::error::{Error, MAX_RESPONSE_BYTES};

/// Output-only. In REST it is a header.
const ETAG: &str = "etag";

/// The fields that an update changes (AIP-134).
enum Mask {
    /// The fields with a value.
    Populated,
    /// All fields: `*`.
    All,
    /// The named fields.
    Named(Vec<String>),
}

impl Mask {
    /// All unknown paths together are one violation.
    fn parse(mask: Option<FieldMask>) -> (Self, Option<Violation>) {
        let paths = mask.unwrap_or_default().paths;
        match paths.as_slice() {
            [] => (Self::Populated, None),
            [all] if all == "*" => (Self::All, None),
            named => {
                let known = |path: &str| {
                    let editable = Field::EDITABLE.iter().any(|field| field.name() == path);
                    editable || field::OUTPUT_ONLY.contains(&path) || path == ETAG
                };
                let unknown: BTreeSet<&str> =
                    named.iter().map(String::as_str).filter(|path| !known(path)).collect();
                let violation = (!unknown.is_empty()).then(|| unknown_paths(&unknown));
                (Self::Named(paths), violation)
            }
        }
    }

    fn field<T>(&self, name: &str, value: Option<T>) -> FieldInput<T> {
        let is_masked = match self {
            Self::Populated => value.is_some(),
            Self::All => true,
            Self::Named(paths) => paths.iter().any(|path| path == name),
        };
        match (is_masked, value) {
            (false, _) => FieldInput::Absent,
            (true, None) => FieldInput::Null,
            (true, Some(value)) => FieldInput::Value(value),
        }
    }

    fn input(&self, group: pb::CustomerGroup, violations: impl IntoIterator<Item = Violation>) -> GroupInput {
        let pb::CustomerGroup {
            id: _,
            created_at: _,
            updated_at: _,
            etag: _,
            parent_id,
            is_group,
            customer_group_name,
            mut parent_customer_group,
            mut default_price_list,
            mut payment_terms,
        } = group;
        // In proto3, an empty name and a false flag mean the same as an absent one.
        let name = Some(customer_group_name).filter(|name| !name.is_empty());
        let is_group = is_group.then_some(true);
        let texts = Texts::from_fn(|field| {
            let value = match field {
                TextField::ParentCustomerGroup => &mut parent_customer_group,
                TextField::DefaultPriceList => &mut default_price_list,
                TextField::PaymentTerms => &mut payment_terms,
            };
            self.field(field.name(), value.take())
        });
        GroupInput {
            parent_id: self.field(field::PARENT_ID, parent_id),
            is_group: self.field(field::IS_GROUP, is_group),
            customer_group_name: self.field(field::CUSTOMER_GROUP_NAME, name),
            texts,
            violations: violations.into_iter().collect(),
        }
    }
}

/// The page and the filters of a list of all groups.
pub fn list(request: pb::ListCustomerGroupsRequest) -> ListRequest {
    let pb::ListCustomerGroupsRequest { limit, offset, starting_after, parent_id, customer_group_name } =
        request;
    ListRequest { page: PageRequest::new(limit, offset, starting_after), parent_id, customer_group_name }
}

/// The new group of a create.
pub fn new_group(request: pb::CreateCustomerGroupRequest) -> GroupInput {
    Mask::Populated.input(request.customer_group.unwrap_or_default(), None)
}

/// The new groups of a batch create. Fails if the response would be too large, while nothing is stored yet.
pub fn new_batch(request: pb::BatchCreateCustomerGroupsRequest) -> Result<BatchInput, Error> {
    /// The bytes that a group has only in the response: id, times, etag, and the tag of the list entry.
    const ADDED: usize = 43 + 14 + 14 + 17 + 3;
    const PARENT: usize = 43;
    let size = |entry: &pb::NewCustomerGroupEntry| {
        let group = entry.customer_group.as_ref().map_or(0, Message::encoded_len);
        group + ADDED + if entry.parent_reference.is_some() { PARENT } else { 0 }
    };
    if request.requests.iter().take(MAX_BATCH).map(size).sum::<usize>() > MAX_RESPONSE_BYTES {
        return Err(Error::AnswerTooLarge("create fewer groups in one call"));
    }
    let entry = |entry: pb::NewCustomerGroupEntry| EntryInput {
        customer_group: Some(Mask::Populated.input(*entry.customer_group.unwrap_or_default(), None)),
        reference: entry.reference,
        parent_reference: entry.parent_reference,
        violations: Vec::new(),
    };
    let entries = request.requests.into_iter().take(MAX_BATCH + 1).map(entry);
    Ok(BatchInput { entries: entries.map(Ok).collect(), violations: Vec::new() })
}

pub(super) fn ids(request: pb::BatchGetCustomerGroupsRequest) -> IdList {
    let ids = request.ids.into_iter().take(MAX_BATCH + 1);
    IdList { ids: ids.map(Ok).collect(), violations: Vec::new() }
}

/// The precondition of a change; an empty `etag` counts as absent.
pub(super) fn preconditions(etag: &str) -> Preconditions {
    Preconditions::parse((!etag.is_empty()).then_some(etag), None)
}

/// The version that an update is for: the `etag` of the request or of its group (AIP-154).
fn version(of_request: String, of_group: String) -> Result<String, Violation> {
    match (&*of_request, &*of_group) {
        ("", _) => Ok(of_group),
        (_, "") => Ok(of_request),
        (a, b) if a == b => Ok(of_request),
        (a, b) => {
            let (a, b) = (excerpt(a), excerpt(b));
            let description = format!("etag is {a}, and that of customer_group is {b}; give one of them");
            Err(Violation::new(ETAG, ViolationKind::Invalid, description))
        }
    }
}

/// The id, the preconditions and the input of an update.
pub fn update(request: pb::UpdateCustomerGroupRequest) -> Result<(String, Preconditions, GroupInput), Error> {
    let (mask, violation) = Mask::parse(request.update_mask);
    let Some(mut group) = request.customer_group else {
        let description = "customer_group is required; give the group's id and its new values";
        let missing = Violation::new(field::CUSTOMER_GROUP, ViolationKind::Missing, description);
        let violations = match violation {
            Some(violation) => Violations::from(violation).with_first(missing),
            None => missing.into(),
        };
        return Err(violations.into());
    };
    let (version, conflict) = match version(request.etag, std::mem::take(&mut group.etag)) {
        Ok(version) => (version, None),
        Err(conflict) => (String::new(), Some(conflict)),
    };
    let id = std::mem::take(&mut group.id);
    Ok((id, preconditions(&version), mask.input(group, violation.into_iter().chain(conflict))))
}

/// One violation for all unknown paths, with the first few in its description.
fn unknown_paths(paths: &BTreeSet<&str>) -> Violation {
    const SHOWN: usize = 3;
    let shown: Vec<String> = paths.iter().take(SHOWN).map(|path| excerpt(path)).collect();
    let more = match paths.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let (shown, known) = (shown.join(", "), Field::EDITABLE.map(Field::name).join(", "));
    Violation::new(
        "update_mask",
        ViolationKind::Unknown,
        format!(
            "update_mask contains {shown}{more}, which cannot be changed; give `*` alone or any of {known}"
        ),
    )
}

impl From<Timestamp> for prost_types::Timestamp {
    fn from(timestamp: Timestamp) -> Self {
        Self { seconds: timestamp.seconds(), nanos: timestamp.nanoseconds() }
    }
}

impl From<CustomerGroup> for pb::CustomerGroup {
    fn from(group: CustomerGroup) -> Self {
        let (created_at, etag) = (group.created_at(), group.etag());
        let CustomerGroup { id, updated_at, parent_id, is_group, customer_group_name, mut texts } = group;
        let mut text = |field| texts[field].take().map(String::from);
        Self {
            id: id.to_string(),
            created_at: Some(created_at.into()),
            updated_at: Some(updated_at.into()),
            etag: etag.to_string(),
            parent_id: parent_id.map(|id| id.to_string()),
            is_group,
            customer_group_name: customer_group_name.into(),
            parent_customer_group: text(TextField::ParentCustomerGroup),
            default_price_list: text(TextField::DefaultPriceList),
            payment_terms: text(TextField::PaymentTerms),
        }
    }
}

/// The responses to batches have the same field.
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

pub(super) struct TreeListRequest {
    pub(super) id: String,
    pub(super) page: PageRequest,
}

/// The requests of the tree lists have the same fields. Each is a type of its own, as protobuf's style guide requires.
macro_rules! from_tree_request {
    ($($request:ident),+) => {
        $(impl From<pb::$request> for TreeListRequest {
            fn from(request: pb::$request) -> Self {
                let pb::$request { id, limit, offset, starting_after } = request;
                Self { id, page: PageRequest::new(limit, offset, starting_after) }
            }
        })+
    };
}

from_tree_request!(
    ListCustomerGroupChildrenRequest,
    ListCustomerGroupAncestorsRequest,
    ListCustomerGroupDescendantsRequest,
    StreamCustomerGroupDescendantsRequest
);

#[cfg(test)]
mod tests {
    use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, Value};

    use super::*;
    use crate::domain::NewGroup;

    fn descriptor() -> MessageDescriptor {
        let pool = DescriptorPool::decode(crate::grpc::DESCRIPTOR).unwrap();
        pool.get_message_by_name("overplane.setup.v1.CustomerGroup").unwrap()
    }

    #[test]
    fn the_message_has_exactly_the_fields_of_the_list_and_an_etag() {
        let fields: BTreeSet<String> = descriptor().fields().map(|field| field.name().to_owned()).collect();
        let listed = field::OUTPUT_ONLY.into_iter().chain(Field::EDITABLE.map(Field::name)).chain([ETAG]);
        assert_eq!(fields, listed.map(str::to_owned).collect());
    }

    #[test]
    fn each_text_is_converted_from_and_to_the_field_of_its_name() {
        let mut message = DynamicMessage::new(descriptor());
        message.set_field_by_name(field::CUSTOMER_GROUP_NAME, Value::String("a".to_owned()));
        for field in TextField::ALL {
            message.set_field_by_name(field.name(), Value::String(field.name().to_owned()));
        }
        let group = NewGroup::parse(Mask::Populated.input(message.transcode_to().unwrap(), None))
            .unwrap()
            .into_group();
        for field in TextField::ALL {
            assert_eq!(group.texts[field].as_ref().unwrap().as_str(), field.name());
        }
        message.transcode_from(&pb::CustomerGroup::from(group)).unwrap();
        for field in TextField::ALL {
            assert_eq!(message.get_field_by_name(field.name()).unwrap().as_str(), Some(field.name()));
        }
    }
}
