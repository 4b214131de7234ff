//! Random calls, mostly on existing groups.

use customer_groups::testing::FieldInput as Field;
use proptest::collection::vec;
use proptest::option::{of, weighted};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};

use super::state::{MUTABLE, Model};
use crate::contract::{Call, CallOptions, Filter, Page};
use crate::support::protocol::Protocol;

/// The group that a call is about.
#[derive(Debug, Clone)]
enum Target {
    /// An existing one, if there is any.
    Alive(Index),
    /// One that existed at some time.
    Ever(Index),
    /// None: a well-formed id.
    Nobody,
    /// None: a malformed id.
    Nonsense,
}

/// The content of a body.
#[derive(Debug, Clone)]
struct Body {
    parent: Field<Target>,
    others: Vec<(&'static str, Value)>,
}

#[derive(Debug, Clone)]
struct Entry {
    body: Body,
    reference: Option<&'static str>,
    parent_reference: Option<&'static str>,
}

#[derive(Debug, Clone)]
struct Part {
    limit: Option<i32>,
    offset: Option<i32>,
    after: Option<Target>,
}

/// The versions in a precondition.
#[derive(Debug, Clone, Copy)]
enum Versions {
    All,
    Star,
    Current,
    CurrentOrOther,
    Other,
    Nonsense,
}

type Walk = fn(String, Page) -> Call;

#[derive(Debug, Clone)]
enum What {
    Get(Target),
    List(Part),
    /// The parent, and a text in the name.
    Filtered(Field<Target>, Option<&'static str>, Part),
    Create(Body, Option<String>),
    Update(Target, Body, Versions),
    Masked(Target, Body, Vec<&'static str>, Versions),
    Delete(Target, Versions),
    BatchCreate(Vec<Entry>, Option<String>),
    BatchGet(Vec<Target>),
    Walk(Walk, Target, Part),
    Malformed,
    UnknownRoute,
    /// A repetition of the previous call.
    Again,
}

/// A call and its protocol.
#[derive(Debug, Clone)]
pub struct Step {
    what: What,
    protocol: Index,
}

impl Step {
    /// The call, unless it repeats the previous one. `caller` makes the idempotency keys of callers differ.
    pub fn call(&self, model: &Model, caller: usize) -> Option<(Call, CallOptions)> {
        let if_match = |id: &str, versions: &Versions| {
            let current = model.etag(id).unwrap_or_else(|| "\"1\"".to_owned());
            let if_match = match versions {
                Versions::All => None,
                Versions::Star => Some("*".to_owned()),
                Versions::Current => Some(current),
                Versions::CurrentOrOther => Some(format!("\"1\", {current}")),
                Versions::Other => Some("\"1700000000000\"".to_owned()),
                Versions::Nonsense => Some("nonsense".to_owned()),
            };
            CallOptions { if_match, ..CallOptions::default() }
        };
        let once = |key: &Option<String>| {
            let idempotency_key = key.as_ref().map(|key| format!("{key} of {caller}"));
            CallOptions { idempotency_key, ..CallOptions::default() }
        };
        let alone = |call| (call, CallOptions::default());
        Some(match &self.what {
            What::Get(of) => alone(Call::Get(of.id(model))),
            What::List(part) => alone(Call::List(part.page(model))),
            What::Filtered(parent, name, part) => {
                let parent_id = match parent {
                    Field::Absent => None,
                    Field::Null => Some("null".to_owned()),
                    Field::Value(parent) => Some(parent.id(model)),
                };
                let filter = Filter { parent_id, customer_group_name: name.map(str::to_owned) };
                alone(Call::Filtered(filter, part.page(model)))
            }
            What::Create(body, key) => (Call::Create(body.json(model)), once(key)),
            What::Update(of, body, versions) => {
                let (id, body) = (of.id(model), body.json(model));
                let with = if_match(&id, versions);
                (Call::Update(id, body), with)
            }
            What::Masked(of, body, paths, versions) => {
                let (id, body) = (of.id(model), body.json(model));
                let with = if_match(&id, versions);
                (Call::Masked(id, body, paths.clone()), with)
            }
            What::Delete(of, versions) => {
                let id = of.id(model);
                let with = if_match(&id, versions);
                (Call::Delete(id), with)
            }
            What::BatchCreate(entries, key) => {
                (Call::BatchCreate(entries.iter().map(|entry| entry.json(model)).collect()), once(key))
            }
            What::BatchGet(of) => alone(Call::BatchGet(of.iter().map(|of| of.id(model)).collect())),
            What::Walk(walk, of, part) => alone(walk(of.id(model), part.page(model))),
            What::Malformed => alone(Call::Malformed),
            What::UnknownRoute => alone(Call::UnknownRoute),
            What::Again => return None,
        })
    }

    /// One of the protocols that have such a call.
    pub fn protocol(&self, call: &Call) -> Protocol {
        let protocols: &[Protocol] = match call {
            Call::Masked(..) => &Protocol::RPC,
            Call::Create(body) | Call::Update(_, body) if body.get("colour").is_some() => &[Protocol::Rest],
            _ => &Protocol::ALL,
        };
        *self.protocol.get(protocols)
    }

    /// Whether it cannot return groups of other callers.
    pub fn is_about_own_groups(&self) -> bool {
        !matches!(self.what, What::List(_) | What::Filtered(..))
    }
}

impl Target {
    fn id(&self, model: &Model) -> String {
        let (at, ids): (_, Vec<&String>) = match self {
            Self::Alive(at) => (at, model.groups.keys().collect()),
            Self::Ever(at) => (at, model.ids.iter().collect()),
            Self::Nobody => return "customer-group_01h455vb4pex5vsknk084sn02q".to_owned(),
            Self::Nonsense => return "customer-group_abc123".to_owned(),
        };
        if ids.is_empty() { Self::Nobody.id(model) } else { (*at.get(&ids)).clone() }
    }
}

impl Body {
    fn json(&self, model: &Model) -> Value {
        let mut body: serde_json::Map<String, Value> =
            self.others.iter().map(|(field, value)| ((*field).to_owned(), value.clone())).collect();
        let parent = match &self.parent {
            Field::Absent => None,
            Field::Null => Some(Value::Null),
            Field::Value(parent) => Some(json!(parent.id(model))),
        };
        body.extend(parent.map(|parent| ("parent_id".to_owned(), parent)));
        Value::Object(body)
    }
}

impl Entry {
    fn json(&self, model: &Model) -> Value {
        let mut entry = json!({"customer_group": self.body.json(model)});
        for (name, reference) in [("reference", self.reference), ("parent_reference", self.parent_reference)]
        {
            if let Some(reference) = reference {
                entry[name] = json!(reference);
            }
        }
        entry
    }
}

impl Part {
    fn page(&self, model: &Model) -> Page {
        let starting_after = self.after.as_ref().map(|after| after.id(model));
        Page { limit: self.limit, offset: self.offset, starting_after }
    }
}

fn target() -> impl Strategy<Value = Target> + Clone {
    prop_oneof![
        12 => any::<Index>().prop_map(Target::Alive),
        2 => any::<Index>().prop_map(Target::Ever),
        1 => Just(Target::Nobody),
        1 => Just(Target::Nonsense),
    ]
}

fn text() -> impl Strategy<Value = Value> {
    let edge = select(vec![
        String::new(),
        " ".into(),
        " a ".into(),
        "é".repeat(255),
        "é".repeat(256),
        "a\0b".into(),
    ]);
    // No other letters that a search takes for one of `looked_for` without its accents.
    let other = "[ -~éÉ\\p{Han}\\p{Hangul}\\p{Cyrillic}🌳\u{2800}]{0,6}";
    prop_oneof![12 => "[a-z]{1,3}", 2 => other, 1 => edge, 1 => Just("\u{9b}".to_owned())]
        .prop_map(Value::from)
}

/// A field that is mostly absent and seldom null.
fn field(name: &'static str) -> impl Strategy<Value = Option<(&'static str, Value)>> {
    let value = match name {
        "is_group" => any::<bool>().prop_map(Value::from).boxed(),
        _ => text().boxed(),
    };
    let value = prop_oneof![1 => Just(Value::Null), 4 => value].prop_map(move |value| (name, value));
    weighted(0.3, value)
}

/// The parent in a body.
fn parent() -> impl Strategy<Value = Field<Target>> {
    prop_oneof![4 => Just(Field::Absent), 1 => Just(Field::Null), 5 => target().prop_map(Field::Value)]
}

fn body() -> impl Strategy<Value = Body> {
    let parent = parent();
    let name = prop_oneof![1 => field("customer_group_name"), 4 => text().prop_map(|name| Some(("customer_group_name", name)))];
    let others = (field("is_group"), field(MUTABLE[3]), field(MUTABLE[4]), field(MUTABLE[5]));
    (parent, name, others).prop_map(|(parent, name, (flag, group, list, terms))| Body {
        parent,
        others: [name, flag, group, list, terms].into_iter().flatten().collect(),
    })
}

/// An update of few fields, sometimes of an unknown one.
fn change() -> impl Strategy<Value = Body> {
    let parent = parent();
    let unknown = weighted(0.04, Just(("colour", json!("red"))));
    let fields =
        (field("customer_group_name"), field("is_group"), field(MUTABLE[3]), field(MUTABLE[5]), unknown);
    (parent, fields).prop_map(|(parent, (name, flag, group, terms, unknown))| Body {
        parent,
        others: [name, flag, group, terms, unknown].into_iter().flatten().collect(),
    })
}

fn entry() -> impl Strategy<Value = Entry> {
    let reference = select(vec!["a", "b", "c", "d", "e", "f", "g", "", "a\n"]);
    let parent_reference = select(vec!["a", "b", "c", "d", "e", "f", "g"]);
    (body(), weighted(0.6, reference), weighted(0.4, parent_reference)).prop_map(
        |(body, reference, parent_reference)| {
            // Seldom a parent that is named in both ways.
            let is_named_once = parent_reference.is_some() && body.others.len() < 4;
            let parent = if is_named_once { Field::Absent } else { body.parent };
            Entry { body: Body { parent, ..body }, reference, parent_reference }
        },
    )
}

fn part() -> impl Strategy<Value = Part> {
    let number = || of(prop_oneof![8 => 0..6_i32, 1 => Just(-1), 1 => Just(i32::MAX)]);
    (number(), number(), weighted(0.3, target())).prop_map(|(limit, offset, after)| Part {
        limit,
        offset,
        after,
    })
}

fn versions() -> impl Strategy<Value = Versions> {
    prop_oneof![
        6 => Just(Versions::All),
        1 => Just(Versions::Star),
        2 => Just(Versions::Current),
        1 => Just(Versions::CurrentOrOther),
        1 => Just(Versions::Other),
        1 => Just(Versions::Nonsense),
    ]
}

fn key() -> impl Strategy<Value = Option<String>> {
    let key =
        prop_oneof![12 => select(vec!["k", "l", "m"]).prop_map(str::to_owned), 1 => Just("k".repeat(256))];
    weighted(0.3, key)
}

fn walk() -> impl Strategy<Value = Walk> {
    select(vec![Call::Children as Walk, Call::Ancestors, Call::Descendants, Call::StreamDescendants])
}

/// A single call.
pub fn step() -> impl Strategy<Value = Step> {
    let mask = select(vec![
        vec![],
        vec!["*"],
        vec!["customer_group_name"],
        vec!["parent_id", "payment_terms"],
        vec!["is_group", "id"],
        vec!["colour", "parent_id"],
    ]);
    let looked_for = select(vec!["a", "B", "Z", "ab", " e ", "é", "%", "_", "\\", " ", "a\0"]);
    let what = prop_oneof![
        2 => target().prop_map(What::Get),
        2 => part().prop_map(What::List),
        3 => (parent(), weighted(0.5, looked_for), part())
            .prop_map(|(parent, name, part)| What::Filtered(parent, name, part)),
        6 => (body(), key()).prop_map(|(body, key)| What::Create(body, key)),
        5 => (target(), change(), versions()).prop_map(|(of, body, versions)| What::Update(of, body, versions)),
        2 => (target(), change(), mask, versions())
            .prop_map(|(of, body, mask, versions)| What::Masked(of, body, mask, versions)),
        3 => (target(), versions()).prop_map(|(of, versions)| What::Delete(of, versions)),
        2 => (vec(entry(), 0..5), key()).prop_map(|(entries, key)| What::BatchCreate(entries, key)),
        1 => vec(target(), 0..4).prop_map(What::BatchGet),
        5 => (walk(), target(), part()).prop_map(|(walk, of, part)| What::Walk(walk, of, part)),
        2 => Just(What::Again),
        1 => prop_oneof![Just(What::Malformed), Just(What::UnknownRoute)],
    ];
    (what, any::<Index>()).prop_map(|(what, protocol)| Step { what, protocol })
}
