//! Contract rules for the JSON bodies of batches.

use serde_json::{Value, json};

use super::batches::entry;
use super::reads::get;
use super::writes::total;
use super::{Call, Step, check, rest_rule};
use crate::support::UNKNOWN_ID;

#[tokio::test]
async fn the_bodies_of_batches() {
    let post = |body: Value| Call::Post(":batchCreate", body);
    let one =
        |entry: Value| post(json!({"requests": [{"customer_group": {"customer_group_name": "a"}}, entry]}));
    let grouped = |group: Value| one(json!({"customer_group": group}));
    let ask = |body: Value| Call::Post(":batchGet", body);
    let wrong = |call: Call, field: &str| call.fails("parameter_invalid", &[field]);
    let unknown = |call: Call, field: &str| call.fails("parameter_unknown", &[field]);
    check(vec![
        rest_rule(
            "unknown fields and values of the wrong type are refused and named",
            vec![
                unknown(post(json!({"requests": [entry("a")], "colour": "red"})), "colour"),
                unknown(
                    one(json!({"customer_group": {"customer_group_name": "b"}, "colour": 1})),
                    "requests[1].colour",
                ),
                unknown(
                    grouped(json!({"customer_group_name": "b", "colour": 1})),
                    "requests[1].customer_group.colour",
                ),
                wrong(post(json!({"requests": {}})), "requests"),
                wrong(one(json!(null)), "requests[1]"),
                wrong(one(json!([])), "requests[1]"),
                wrong(grouped(json!("b")), "requests[1].customer_group"),
                wrong(
                    grouped(json!({"customer_group_name": 7})),
                    "requests[1].customer_group.customer_group_name",
                ),
                wrong(
                    one(json!({"customer_group": {"customer_group_name": "b"}, "reference": 7})),
                    "requests[1].reference",
                ),
                wrong(
                    one(json!({"customer_group": {"customer_group_name": "b"}, "parent_reference": []})),
                    "requests[1].parent_reference",
                ),
                unknown(ask(json!({"ids": [UNKNOWN_ID], "colour": "red"})), "colour"),
                wrong(ask(json!({"ids": UNKNOWN_ID})), "ids"),
                wrong(ask(json!({"ids": [UNKNOWN_ID, null]})), "ids[1]"),
                total(0),
            ],
        ),
        rest_rule(
            "nothing is as good as no list",
            vec![
                post(json!({})).fails("parameter_missing", &["requests"]),
                post(json!({"requests": null})).fails("parameter_missing", &["requests"]),
                grouped(json!(null))
                    .fails("parameter_missing", &["requests[1].customer_group.customer_group_name"]),
                ask(json!({})).fails("parameter_missing", &["ids"]),
                ask(json!({"ids": null})).fails("parameter_missing", &["ids"]),
            ],
        ),
    ])
    .await;
}

#[tokio::test]
async fn the_requests_of_batches() {
    let post = |body: Value| Call::Post(":batchCreate", body);
    let one =
        |entry: Value| post(json!({"requests": [{"customer_group": {"customer_group_name": "a"}}, entry]}));
    let grouped = |group: Value| one(json!({"customer_group": group}));
    let ask = |body: Value| Call::Post(":batchGet", body);
    let paths: [&'static str; 2] = [":batchCreate", ":batchGet"];
    let on_both = |step: fn(&'static str) -> Step| paths.map(step).into();
    check(vec![
        rest_rule(
            "a batch is one JSON object",
            vec![
                post(json!([entry("a")])).fails("body_malformed", &[]),
                ask(json!([UNKNOWN_ID])).fails("body_malformed", &[]),
            ],
        ),
        rest_rule(
            "output-only fields in an entry are ignored, so that a group that was read can be sent back",
            vec![
                grouped(
                    json!({"customer_group_name": "b", "id": "mine", "created_at": 7, "updated_at": null}),
                )
                .succeeds(),
                get("mine").fails("resource_missing", &[]),
            ],
        ),
        rest_rule(
            "a batch is posted",
            on_both(|path| Call::Http("GET", path, None).fails("method_not_allowed", &[])),
        ),
        rest_rule(
            "a batch is JSON",
            on_both(|path| {
                Call::Http("POST", path, Some("text/plain")).fails("content_type_unsupported", &[])
            }),
        ),
        rest_rule(
            "a batch has no parameters",
            vec![
                Call::Post(":batchCreate?dry_run=1", json!({"requests": [entry("a")]}))
                    .fails("parameter_unknown", &["dry_run"]),
                Call::Post(":batchGet?limit=1", json!({"ids": [UNKNOWN_ID]}))
                    .fails("parameter_unknown", &["limit"]),
            ],
        ),
    ])
    .await;
}
