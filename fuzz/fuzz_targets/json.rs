//! JSON bodies: one that is taken says the same when it is written again, and what is refused names the field.
#![no_main]

use axum::body::Body;
use axum::extract::Request;
use customer_groups::domain::{Change, Changes, CustomerGroup, Draft, NewGroup, Text, Violations};
use customer_groups::error::Error;
use customer_groups::rest;
use futures_util::FutureExt;
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value, json};

fn read(body: &[u8]) -> Result<Draft, Error> {
    let request = Request::post("/").header("content-type", "application/json");
    let request = request.body(Body::from(body.to_vec())).unwrap();
    rest::body(request, rest::MaxBytes(4 << 20)).now_or_never().unwrap()
}

fn text(text: &Option<Text>) -> Option<&str> {
    text.as_ref().map(Text::as_str)
}

fn of_group(group: &CustomerGroup) -> Value {
    json!({
        "parent_id": group.parent_id.map(|id| id.to_string()),
        "is_group": group.is_group,
        "customer_group_name": group.customer_group_name.as_str(),
        "parent_customer_group": text(&group.parent_customer_group),
        "default_price_list": text(&group.default_price_list),
        "payment_terms": text(&group.payment_terms),
    })
}

fn of_changes(changes: &Changes) -> Value {
    let mut object = Map::new();
    let mut set = |name: &str, value: Option<Value>| value.map(|value| object.insert(name.to_owned(), value));
    set("parent_id", of_change(&changes.parent_id, |id| json!(id.map(|id| id.to_string()))));
    set("is_group", of_change(&changes.is_group, |flag| json!(flag)));
    set("customer_group_name", of_change(&changes.customer_group_name, |name| json!(name.as_str())));
    for (name, change) in [
        ("parent_customer_group", &changes.parent_customer_group),
        ("default_price_list", &changes.default_price_list),
        ("payment_terms", &changes.payment_terms),
    ] {
        set(name, of_change(change, |value| json!(text(value))));
    }
    Value::Object(object)
}

fn of_change<T>(change: &Change<T>, json: impl Fn(&T) -> Value) -> Option<Value> {
    match change {
        Change::Keep => None,
        Change::Set(value) => Some(json(value)),
    }
}

/// Each field that is wrong is one of the body, or the name that it lacks.
fn check_violations(body: &[u8], violations: &Violations) {
    // Values that no field takes are not read, so that they may be more than can be.
    let Ok(body) = serde_json::from_slice::<Map<String, Value>>(body) else { return };
    for violation in violations.as_slice() {
        let field = violation.field.as_str();
        let is_known = field == "customer_group_name" || body.keys().any(|name| name.starts_with(field));
        assert!(is_known && !violation.description.is_empty(), "{violation:?}");
    }
}

fuzz_target!(|body: &[u8]| {
    let Ok(draft) = read(body) else {
        assert!(serde_json::from_slice::<Map<String, Value>>(body).is_err());
        return;
    };
    match NewGroup::parse(draft.clone()) {
        Ok(new) => {
            let written = of_group(new.group()).to_string();
            let again = NewGroup::parse(read(written.as_bytes()).unwrap()).unwrap();
            assert_eq!(again.fingerprint(), new.fingerprint());
            assert!(again.group().id > new.group().id);
        }
        Err(violations) => check_violations(body, &violations),
    }
    match Changes::parse(draft) {
        Ok(changes) => {
            let written = of_changes(&changes).to_string();
            assert_eq!(Changes::parse(read(written.as_bytes()).unwrap()).unwrap(), changes);
        }
        Err(violations) => check_violations(body, &violations),
    }
});
