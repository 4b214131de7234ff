//! JSON bodies: an accepted one keeps its meaning when it is written again; a rejected one names the field.
#![no_main]

use axum::body::Body;
use axum::extract::Request;
use customer_groups::testing::{
    Change, CustomerGroup, Error, GroupInput, GroupPatch, NewGroup, Text, TextField, Violations, rest,
};
use futures_util::FutureExt;
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value, json};

fn read(body: &[u8]) -> Result<GroupInput, Error> {
    let request = Request::post("/").header("content-type", "application/json");
    let request = request.body(Body::from(body.to_vec())).unwrap();
    rest::body(request, "application/json", 4 << 20).now_or_never().unwrap()
}

fn text(text: &Option<Text>) -> Option<&str> {
    text.as_ref().map(Text::as_str)
}

fn of_group(group: &CustomerGroup) -> Value {
    let mut object = json!({
        "parent_id": group.parent_id.map(|id| id.to_string()),
        "is_group": group.is_group,
        "customer_group_name": group.customer_group_name.as_str(),
    });
    for field in TextField::ALL {
        object[field.name()] = json!(text(&group.texts[field]));
    }
    object
}

fn of_changes(changes: &GroupPatch) -> Value {
    let mut object = Map::new();
    let mut set = |name: &str, value: Option<Value>| value.map(|value| object.insert(name.to_owned(), value));
    set("parent_id", of_change(&changes.parent_id, |id| json!(id.map(|id| id.to_string()))));
    set("is_group", of_change(&changes.is_group, |flag| json!(flag)));
    set("customer_group_name", of_change(&changes.customer_group_name, |name| json!(name.as_str())));
    for field in TextField::ALL {
        set(field.name(), of_change(&changes.texts[field], |value| json!(text(value))));
    }
    Value::Object(object)
}

fn of_change<T>(change: &Change<T>, json: impl Fn(&T) -> Value) -> Option<Value> {
    match change {
        Change::Keep => None,
        Change::Set(value) => Some(json(value)),
    }
}

/// Asserts that each violation names a field of the body, or the missing name.
fn check_violations(body: &[u8], violations: &Violations) {
    // Values of unknown fields are not parsed, so that their numbers may be out of range.
    let Ok(body) = serde_json::from_slice::<Map<String, Value>>(body) else { return };
    for violation in violations.as_slice() {
        let field = violation.field.as_str();
        let is_known = field == "customer_group_name" || body.keys().any(|name| name.starts_with(field));
        assert!(is_known && !violation.description.is_empty(), "{violation:?}");
    }
}

fuzz_target!(|body: &[u8]| {
    let Ok(input) = read(body) else {
        assert!(serde_json::from_slice::<Map<String, Value>>(body).is_err());
        return;
    };
    match NewGroup::parse(input.clone()) {
        Ok(new) => {
            let written = of_group(new.group()).to_string();
            let again = NewGroup::parse(read(written.as_bytes()).unwrap()).unwrap();
            assert_eq!(again.fingerprint(), new.fingerprint());
            assert!(again.group().id > new.group().id);
        }
        Err(violations) => check_violations(body, &violations),
    }
    match GroupPatch::parse(input) {
        Ok(changes) => {
            let written = of_changes(&changes).to_string();
            assert_eq!(GroupPatch::parse(read(written.as_bytes()).unwrap()).unwrap(), changes);
        }
        Err(violations) => check_violations(body, &violations),
    }
});
