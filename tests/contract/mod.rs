//! The contract, rule by rule, over every protocol: the same calls have the same results.

mod batches;
mod bodies;
mod call;
mod cursors;
pub mod error;
mod filters;
mod reads;
mod service_errors;
mod texts;
mod writes;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use customer_groups::testing::GroupId;
use customer_groups::testing::Scope;
use serde_json::{Value, json};

pub use call::{Call, CallOptions, Filter, Page, make};
pub use error::ApiError;

use crate::auth::make_key;
use crate::support::protocol::Protocol;
use crate::support::{Api, KEY, eventually};

/// A rule of the contract, and calls that demonstrate it.
pub struct Case {
    rule: &'static str,
    protocols: &'static [Protocol],
    steps: Vec<Step>,
}

/// A call and its expected result. `@label` stands for the id of the group with this label, and in `if_match`
/// for its etag.
#[derive(Clone)]
pub struct Step {
    call: Call,
    with: CallOptions,
    key: Key,
    names: Vec<&'static str>,
    expected: Result<Value, ApiError>,
}

/// The API key of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    Writing,
    ReadOnly,
    Unknown,
    OtherMode,
    Revoked,
    None,
}

pub fn rule(rule: &'static str, steps: Vec<Step>) -> Case {
    Case { rule, protocols: &Protocol::ALL, steps }
}

/// A rule that applies to REST only.
pub fn rest_rule(rule: &'static str, steps: Vec<Step>) -> Case {
    Case { rule, protocols: &[Protocol::Rest], steps }
}

/// A rule that applies to gRPC and gRPC-Web only.
pub fn rpc_rule(rule: &'static str, steps: Vec<Step>) -> Case {
    Case { rule, protocols: &Protocol::RPC, steps }
}

impl Call {
    /// Expects a response with at least these fields.
    pub fn returns(self, response: Value) -> Step {
        self.ends(Ok(response))
    }

    /// Expects any successful response.
    pub fn succeeds(self) -> Step {
        self.returns(json!({}))
    }

    pub fn fails(self, code: &str, fields: &[&str]) -> Step {
        let fields = fields.iter().map(ToString::to_string).collect();
        self.ends(Err(ApiError { code: code.to_owned(), fields, message: String::new() }))
    }

    fn ends(self, expected: Result<Value, ApiError>) -> Step {
        Step { call: self, with: CallOptions::default(), key: Key::Writing, names: Vec::new(), expected }
    }
}

impl Step {
    /// Labels the group in the response.
    pub fn named(self, name: &'static str) -> Self {
        Self { names: vec![name], ..self }
    }

    /// Labels the groups in the list of the response.
    pub fn labels(self, names: &[&'static str]) -> Self {
        Self { names: names.to_vec(), ..self }
    }

    pub fn by(self, key: Key) -> Self {
        Self { key, ..self }
    }

    pub fn if_match(mut self, etag: &str) -> Self {
        self.with.if_match = Some(etag.to_owned());
        self
    }

    pub fn idempotency_key(mut self, key: &str) -> Self {
        self.with.idempotency_key = Some(key.to_owned());
        self
    }
}

/// The labelled groups of a case: label, id, etag.
#[derive(Default)]
struct Labels(Vec<(&'static str, String, String)>);

impl Labels {
    fn learn(&mut self, name: &'static str, group: &Value) {
        let (id, etag) = (group["id"].as_str().unwrap(), group["etag"].as_str().unwrap_or_default());
        self.0.retain(|(other, ..)| *other != name);
        self.0.push((name, id.to_owned(), etag.to_owned()));
    }

    fn id(&self, text: &str) -> String {
        let Some(name) = text.strip_prefix('@') else { return text.to_owned() };
        self.0.iter().find(|named| named.0 == name).unwrap_or_else(|| panic!("{text}")).1.clone()
    }

    fn etags(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (name, _, etag)| text.replace(&format!("@{name}"), etag))
    }

    /// Replaces ids with labels.
    fn names(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (name, id, _)| text.replace(id, &format!("@{name}")))
    }

    /// Replaces labels with ids.
    fn body(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => json!(self.id(text)),
            Value::Array(values) => values.iter().map(|value| self.body(value)).collect(),
            Value::Object(fields) => {
                fields.iter().map(|(name, value)| (name.clone(), self.body(value))).collect()
            }
            other => other.clone(),
        }
    }

    fn page(&self, page: &Page) -> Page {
        let starting_after = page.starting_after.as_deref().map(|id| self.id(id));
        Page { starting_after, ..page.clone() }
    }

    fn call(&self, call: &Call) -> Call {
        match call {
            Call::Get(id) => Call::Get(self.id(id)),
            Call::List(page) => Call::List(self.page(page)),
            Call::Filtered(filter, page) => {
                let parent_id = filter.parent_id.as_deref().map(|id| self.id(id));
                Call::Filtered(Filter { parent_id, ..filter.clone() }, self.page(page))
            }
            Call::Create(body) => Call::Create(self.body(body)),
            Call::Update(id, body) => Call::Update(self.id(id), self.body(body)),
            Call::Delete(id) => Call::Delete(self.id(id)),
            Call::BatchCreate(entries) => {
                Call::BatchCreate(entries.iter().map(|entry| self.body(entry)).collect())
            }
            Call::BatchGet(ids) => Call::BatchGet(ids.iter().map(|id| self.id(id)).collect()),
            Call::Post(path, body) => Call::Post(path, self.body(body)),
            Call::Children(id, page) => Call::Children(self.id(id), self.page(page)),
            Call::Ancestors(id, page) => Call::Ancestors(self.id(id), self.page(page)),
            Call::Descendants(id, page) => Call::Descendants(self.id(id), self.page(page)),
            Call::StreamDescendants(id, page) => Call::StreamDescendants(self.id(id), self.page(page)),
            Call::Malformed => Call::Malformed,
            Call::TooLarge => Call::TooLarge,
            Call::UnknownRoute => Call::UnknownRoute,
            Call::Http(method, path, content_type) => Call::Http(method, path, *content_type),
            Call::Masked(id, body, paths) => Call::Masked(self.id(id), self.body(body), paths.clone()),
        }
    }

    /// The value without the ids and times of this run, so that it can be compared across protocols.
    fn neutral(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => match self.0.iter().find(|(_, id, _)| id == text) {
                Some((name, ..)) => json!(format!("@{name}")),
                None if text.starts_with("customer-group_") => json!("an id"),
                None => value.clone(),
            },
            Value::Array(values) => values.iter().map(|value| self.neutral(value)).collect(),
            Value::Object(fields) => {
                let mut fields: serde_json::Map<String, Value> =
                    fields.iter().map(|(name, value)| (name.clone(), self.neutral(value))).collect();
                if let (Some(created), Some(updated)) = (fields.get("created_at"), fields.get("updated_at")) {
                    assert!(created.as_str() <= updated.as_str());
                    let since = if created == updated { "creation" } else { "an update" };
                    fields.insert("updated_at".to_owned(), json!(since));
                    fields.insert("created_at".to_owned(), json!("creation"));
                    fields.entry("etag").and_modify(|etag| *etag = json!("an etag"));
                }
                Value::Object(fields)
            }
            other => other.clone(),
        }
    }
}

/// Asserts that every group has the creation time of its id, and that older groups have lower ids.
fn check_ids(response: &Value) {
    match response {
        Value::Object(group) if group.contains_key("created_at") => {
            let id = GroupId::parse(group["id"].as_str().unwrap()).expect("an id");
            assert_eq!(group["created_at"], id.created_at().to_string());
        }
        Value::Object(list) => list.values().for_each(check_ids),
        Value::Array(groups) => groups.iter().for_each(check_ids),
        _ => {}
    }
}

/// Whether an answer contains everything that is expected.
fn has(response: &Value, expected: &Value) -> bool {
    match (response, expected) {
        (Value::Object(response), Value::Object(expected)) => {
            expected.iter().all(|(name, value)| response.get(name).is_some_and(|found| has(found, value)))
        }
        (Value::Array(response), Value::Array(expected)) => {
            response.len() == expected.len() && response.iter().zip(expected).all(|(a, b)| has(a, b))
        }
        (response, expected) => response == expected,
    }
}

/// The API keys of a run.
struct Keys(BTreeMap<&'static str, String>);

impl Keys {
    async fn make(api: &Api) -> Self {
        let (_, read_only) = make_key(api, Scope::Read).await;
        let (id, revoked) = make_key(api, Scope::Write).await;
        assert!(api.store.revoke_key(id).await.unwrap());
        let with = CallOptions {
            authorization: Some(format!("Bearer {}", revoked.expose())),
            ..CallOptions::default()
        };
        let refused = async {
            while make(Protocol::Rest, api.address(), &Call::List(Page::default()), &with).await.is_ok() {}
        };
        eventually("the revoked key is refused", refused).await;
        let keys = [("read", read_only), ("revoked", revoked)];
        Self(BTreeMap::from(keys.map(|(name, key)| (name, key.expose().to_owned()))))
    }

    fn authorization(&self, key: Key) -> Option<String> {
        let key = match key {
            Key::Writing => KEY,
            Key::ReadOnly => &self.0["read"],
            Key::Unknown => "sk_test_that_nobody_ever_made",
            Key::Revoked => &self.0["revoked"],
            Key::OtherMode => "sk_live_that_is_for_another_service",
            Key::None => return None,
        };
        Some(format!("Bearer {key}"))
    }
}

/// Runs a case over a protocol. Returns all responses and error messages, without the ids and times of the
/// run.
async fn run(
    protocol: Protocol,
    address: SocketAddr,
    keys: &Keys,
    case: &Case,
) -> Vec<Result<Value, String>> {
    let (mut named, mut outcomes) = (Labels::default(), Vec::new());
    for (number, step) in case.steps.iter().enumerate() {
        let with = CallOptions {
            authorization: keys.authorization(step.key),
            if_match: step.with.if_match.as_deref().map(|etags| named.etags(etags)),
            idempotency_key: step.with.idempotency_key.clone(),
            cache_control: None,
        };
        let outcome = make(protocol, address, &named.call(&step.call), &with).await;
        if let Ok(response) = &outcome {
            let groups = response["data"].as_array().map_or(std::slice::from_ref(response), Vec::as_slice);
            step.names.iter().zip(groups).for_each(|(name, group)| named.learn(name, group));
        }
        let as_expected = match (&outcome, &step.expected) {
            (Ok(response), Ok(expected)) => has(response, &named.body(expected)),
            (Err(refusal), Err(expected)) => {
                // REST names a field only if it is the only invalid one.
                let alone = protocol != Protocol::Rest || expected.fields.len() == 1;
                let fields = if alone { expected.fields.as_slice() } else { &[] };
                refusal.code == expected.code && refusal.fields == fields && !refusal.message.is_empty()
            }
            _ => false,
        };
        let (rule, call, expected) = (case.rule, &step.call, &step.expected);
        assert!(
            as_expected,
            "{rule}: step {number} by {protocol:?}, {call:?}, gave {outcome:#?} and not {expected:#?}"
        );
        if let Ok(response) = &outcome {
            check_ids(response);
        }
        outcomes.push(match outcome {
            Ok(response) => Ok(named.neutral(&response)),
            Err(refusal) => Err(named.names(&refusal.message)),
        });
    }
    outcomes
}

/// Runs every case over every protocol, each on an empty tree.
pub async fn check(cases: Vec<Case>) {
    let api = Api::start().await;
    let (keys, sql) = (Keys::make(&api).await, api.database.sql().await);
    for case in cases {
        let mut first: Option<Vec<_>> = None;
        for protocol in case.protocols {
            sql.batch_execute("truncate customer_group, idempotency_key").await.unwrap();
            let outcomes = run(*protocol, api.address(), &keys, &case).await;
            match &first {
                None => first = Some(outcomes),
                Some(first) => assert_eq!(*first, outcomes, "{}: {protocol:?} differs", case.rule),
            }
        }
    }
}
