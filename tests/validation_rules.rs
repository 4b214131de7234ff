//! The `buf.validate` rules of the proto, compared with what the service accepts.

use std::sync::LazyLock;

use customer_groups::testing::{
    DESCRIPTOR, GroupId, IdList, MAX_BATCH, NewBatch, NewGroup, Text, Violation, grpc, pb,
};
use prost_reflect::{DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value};
use regex::Regex;

/// The fields that the service takes as they are, or for which any wrong value means that there is no such group.
const WITHOUT_RULES: [&str; 6] = ["created_at", "etag", "id", "is_group", "update_mask", "updated_at"];

static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| DescriptorPool::decode(DESCRIPTOR).unwrap());

fn messages() -> Vec<MessageDescriptor> {
    let messages = POOL.all_messages().filter(|message| message.package_name() == "overplane.setup.v1");
    messages.filter(|message| !message.name().ends_with("Response")).collect()
}

fn message(name: &str) -> MessageDescriptor {
    messages().into_iter().find(|message| message.name() == name).unwrap()
}

/// The rules of a field.
struct Rules {
    rules: DynamicMessage,
    pattern: Option<Regex>,
}

impl Rules {
    fn of(field: &FieldDescriptor) -> Option<Self> {
        let extension = POOL.get_extension_by_name("buf.validate.field").unwrap();
        let options = field.options();
        if !options.has_extension(&extension) {
            return None;
        }
        let rules = options.get_extension(&extension).as_message().unwrap().clone();
        let pattern = limit(&rules, "string", "pattern");
        let pattern = pattern.map(|pattern| Regex::new(pattern.as_str().unwrap()).unwrap());
        Some(Self { rules, pattern })
    }

    fn is_required(&self) -> bool {
        self.rules.get_field_by_name("required").unwrap().as_bool().unwrap()
    }

    /// Whether a number keeps within the limits with these names, as far as they are set.
    fn allow(&self, kind: &str, number: u64, min: &str, max: &str) -> bool {
        let limit = |name| limit(&self.rules, kind, name).map(|limit| limit.as_u64().unwrap());
        limit(min).is_none_or(|min| number >= min) && limit(max).is_none_or(|max| number <= max)
    }

    fn accept(&self, value: &Value) -> bool {
        match value {
            Value::String(text) => {
                self.allow("string", text.chars().count() as u64, "min_len", "max_len")
                    && self.pattern.as_ref().is_none_or(|pattern| pattern.is_match(text))
            }
            Value::I32(number) => {
                limit(&self.rules, "int32", "gte").is_none_or(|min| *number >= min.as_i32().unwrap())
            }
            Value::List(items) => self.allow("repeated", items.len() as u64, "min_items", "max_items"),
            other => panic!("no rule for {other:?}"),
        }
    }
}

/// The limit `name` in the rules for values of this kind, if it is set.
fn limit(rules: &DynamicMessage, kind: &str, name: &str) -> Option<Value> {
    let rules = rules.get_field_by_name(kind).unwrap().as_message().unwrap().clone();
    rules.has_field_by_name(name).then(|| rules.get_field_by_name(name).unwrap().into_owned())
}

/// Whether the service accepts a request with this value. Groups that it names are not looked up.
fn is_accepted(name: &str, field: &FieldDescriptor, value: &Value) -> bool {
    match (name, field.name()) {
        ("CustomerGroup", _) => {
            let mut group = DynamicMessage::new(message(name));
            group.set_field_by_name("customer_group_name", Value::String("a".to_owned()));
            group.set_field(field, value.clone());
            let request = pb::CreateCustomerGroupRequest { customer_group: group.transcode_to().ok() };
            NewGroup::parse(grpc::new_group(request)).is_ok()
        }
        // All lists have the same page.
        ("ListCustomerGroupsRequest", _) | (_, "limit" | "offset" | "starting_after") => {
            let mut request = DynamicMessage::new(message("ListCustomerGroupsRequest"));
            request.set_field_by_name(field.name(), value.clone());
            grpc::list(request.transcode_to().unwrap()).parse().is_ok()
        }
        ("NewCustomerGroupEntry", "reference" | "parent_reference") => {
            let text = value.as_str().unwrap().to_owned();
            let parent = pb::NewCustomerGroupEntry { reference: Some(text.clone()), ..entry() };
            let child = pb::NewCustomerGroupEntry { parent_reference: Some(text), ..entry() };
            is_batch_accepted(vec![parent, child])
        }
        ("BatchCreateCustomerGroupsRequest", "requests") => {
            is_batch_accepted(vec![entry(); value.as_list().unwrap().len()])
        }
        ("BatchGetCustomerGroupsRequest", "ids") => {
            let ids: Vec<Result<String, Violation>> = vec![Ok(String::new()); value.as_list().unwrap().len()];
            IdList { ids, violations: Vec::new() }.parse().is_ok()
        }
        other => panic!("nothing to compare the rules of {other:?} with"),
    }
}

fn entry() -> pb::NewCustomerGroupEntry {
    let group = pb::CustomerGroup { customer_group_name: "a".to_owned(), ..pb::CustomerGroup::default() };
    pb::NewCustomerGroupEntry {
        customer_group: Some(Box::new(group)),
        ..pb::NewCustomerGroupEntry::default()
    }
}

fn is_batch_accepted(requests: Vec<pb::NewCustomerGroupEntry>) -> bool {
    NewBatch::parse(grpc::new_batch(pb::BatchCreateCustomerGroupsRequest { requests }).unwrap()).is_ok()
}

/// Values on both sides of each limit.
fn samples(field: &FieldDescriptor) -> Vec<Value> {
    if field.is_list() {
        let list = |count| Value::List(vec![Value::I32(0); count]);
        return [0, 1, MAX_BATCH, MAX_BATCH + 1].map(list).to_vec();
    }
    match field.kind() {
        Kind::Int32 => [i32::MIN, -1, 0, 1, 1001, i32::MAX].map(Value::I32).to_vec(),
        Kind::String => {
            let max = Text::MAX_CHARACTERS;
            let id = GroupId::generate().to_string();
            let mut texts = vec![String::new(), "null".to_owned(), id.to_uppercase(), format!("{id}0"), id];
            for character in ["a", "é", "🌳", " ", "\u{3000}"] {
                texts.extend([1, max, max + 1].map(|count| character.repeat(count)));
            }
            for text in ["a".repeat(max), "a".repeat(max + 1)] {
                texts.push(format!("\t {text}\u{85}\u{2003}"));
            }
            let is_special = |character: &char| character.is_control() || character.is_whitespace();
            for character in ('\0'..=char::MAX).filter(is_special) {
                texts.extend([format!("a{character}a"), format!("{character}a"), format!("a{character}")]);
            }
            texts.into_iter().map(Value::String).collect()
        }
        other => panic!("no samples of {other:?}"),
    }
}

#[test]
fn the_rules_accept_what_the_service_accepts_and_refuse_what_it_refuses() {
    for message in messages() {
        for field in message.fields() {
            let Some(rules) = Rules::of(&field).filter(|rules| !rules.is_required()) else { continue };
            for sample in samples(&field) {
                // An empty name is not a value in proto3. The rule of the request refuses it.
                let is_unset =
                    !field.supports_presence() && !field.is_list() && sample.is_default(&field.kind());
                if !is_unset {
                    let accepted = is_accepted(message.name(), &field, &sample);
                    assert_eq!(rules.accept(&sample), accepted, "{} of {sample:?}", field.full_name());
                }
            }
        }
    }
}

#[test]
fn every_field_with_a_limit_has_a_rule() {
    for message in messages() {
        for field in message.fields() {
            let is_free = WITHOUT_RULES.contains(&field.name());
            assert_eq!(Rules::of(&field).is_none(), is_free, "{}", field.full_name());
        }
    }
}

#[test]
fn the_group_is_required_where_the_service_requires_it() {
    let is_required = |name: &str| {
        let field = message(name).get_field_by_name("customer_group").unwrap();
        Rules::of(&field).unwrap().is_required()
    };
    assert!(NewGroup::parse(grpc::new_group(pb::CreateCustomerGroupRequest::default())).is_err());
    assert!(!is_batch_accepted(vec![pb::NewCustomerGroupEntry::default()]));
    assert!(grpc::update(pb::UpdateCustomerGroupRequest::default()).is_err());
    for name in ["CreateCustomerGroupRequest", "NewCustomerGroupEntry", "UpdateCustomerGroupRequest"] {
        assert!(is_required(name), "{name}");
    }
}
