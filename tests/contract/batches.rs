//! Contract rules for batches.

use serde_json::{Value, json};

use super::reads::{ALL, MALFORMED_IDS, create, descendants, list, on_tree, page};
use super::writes::total;
use super::{Call, Key, check, rule};
use crate::support::UNKNOWN_ID;

fn batch(entries: &[Value]) -> Call {
    Call::BatchCreate(entries.to_vec())
}

fn read(ids: &[&str]) -> Call {
    Call::BatchGet(ids.iter().map(ToString::to_string).collect())
}

pub fn entry(name: &str) -> Value {
    json!({"customer_group": {"customer_group_name": name}})
}

fn below(parent: &str, name: &str) -> Value {
    json!({"customer_group": {"customer_group_name": name, "parent_id": parent}})
}

/// The entry with another field.
fn with(mut entry: Value, field: &str, value: &str) -> Value {
    entry[field] = json!(value);
    entry
}

fn called(reference: &str, entry: Value) -> Value {
    with(entry, "reference", reference)
}

fn under(reference: &str, entry: Value) -> Value {
    with(entry, "parent_reference", reference)
}

fn data(groups: &[Value]) -> Value {
    json!({"data": groups})
}

#[tokio::test]
async fn batch_creates() {
    let group = |name: &str, parent: Value| json!({"customer_group_name": name, "parent_id": parent});
    check(vec![
        rule(
            "the groups are created and answered in the order of the request",
            vec![
                batch(&[entry(" a "), entry("b"), entry("a")])
                    .returns(data(&[
                        group("a", json!(null)),
                        group("b", json!(null)),
                        group("a", json!(null)),
                    ]))
                    .labels(&["a", "b", "c"]),
                list(None, None).returns(page(&["c", "b", "a"], false, 3)),
                read(&["@b"]).returns(data(&[json!({
                    "id": "@b", "parent_id": null, "is_group": false, "customer_group_name": "b",
                    "parent_customer_group": null, "default_price_list": null, "payment_terms": null
                })])),
            ],
        ),
        rule(
            "a group has all that its entry says",
            vec![
                batch(&[json!({"customer_group": {
                    "is_group": true, "customer_group_name": "a", "parent_customer_group": "p",
                    "default_price_list": "", "payment_terms": "t"
                }})])
                .returns(data(&[json!({
                    "is_group": true, "customer_group_name": "a", "parent_customer_group": "p",
                    "default_price_list": "", "payment_terms": "t"
                })])),
            ],
        ),
        rule(
            "a parent is a group that there is, or another entry, before or after it",
            vec![
                create("root").succeeds().named("root"),
                batch(&[
                    under("the a", entry("c")),
                    called("the a", below("@root", "a")),
                    under("the a", called("d", entry("d"))),
                    under("d", entry("e")),
                ])
                .returns(data(&[
                    group("c", json!("@a")),
                    group("a", json!("@root")),
                    group("d", json!("@a")),
                    group("e", json!("@d")),
                ]))
                .labels(&["c", "a", "d", "e"]),
                descendants("@root", ALL).returns(page(&["a", "d", "c", "e"], false, 4)),
            ],
        ),
    ])
    .await;
}

#[tokio::test]
async fn sizes_of_batches_and_scope_of_references() {
    check(vec![
        rule(
            "a reference is of one request alone",
            vec![
                batch(&[called("a", entry("a"))]).succeeds(),
                batch(&[called("a", entry("a"))]).succeeds(),
                batch(&[under("a", entry("b"))]).fails("parent_not_found", &["requests[0].parent_reference"]),
                total(2),
            ],
        ),
        rule(
            "a batch has 1 to 1000 entries",
            vec![
                batch(&[]).fails("parameter_missing", &["requests"]),
                batch(&vec![entry("a"); 1001]).fails("parameter_invalid", &["requests"]),
                total(0),
                batch(&vec![entry("a"); 1000]).succeeds(),
                total(1000),
            ],
        ),
    ])
    .await;
}

#[tokio::test]
async fn violations_of_batches() {
    let invalid = "parameter_invalid";
    check(vec![rule(
        "every violated field of every entry is listed at once, parents that are unknown among them",
        vec![
            batch(&[
                below(UNKNOWN_ID, "a"),
                entry("b"),
                json!({}),
                called(
                    "",
                    json!({"customer_group": {
                        "parent_id": "nobody", "customer_group_name": "a\0", "payment_terms": "\0"
                    }}),
                ),
                under("nobody", below(UNKNOWN_ID, "c")),
            ])
            .fails(
                invalid,
                &[
                    "requests[0].customer_group.parent_id",
                    "requests[2].customer_group.customer_group_name",
                    "requests[3].customer_group.parent_id",
                    "requests[3].customer_group.customer_group_name",
                    "requests[3].customer_group.payment_terms",
                    "requests[3].reference",
                    "requests[4].customer_group.parent_id",
                    "requests[4].parent_reference",
                ],
            ),
            total(0),
        ],
    )])
    .await;
}

#[tokio::test]
async fn violations_of_single_entries() {
    let invalid = "parameter_invalid";
    check(vec![
        rule(
            "one wrong field is named with its entry",
            vec![
                batch(&[entry("a"), entry(" ")])
                    .fails("parameter_missing", &["requests[1].customer_group.customer_group_name"]),
                batch(&[entry("a"), entry(&"n".repeat(256))])
                    .fails(invalid, &["requests[1].customer_group.customer_group_name"]),
                batch(&[json!({})])
                    .fails("parameter_missing", &["requests[0].customer_group.customer_group_name"]),
                total(0),
            ],
        ),
        rule(
            "every unknown parent is named",
            vec![
                create("a").succeeds().named("a"),
                Call::Delete("@a".to_owned()).succeeds(),
                batch(&[below("@a", "b"), below("", "c"), entry("d"), below(UNKNOWN_ID, "e")]).fails(
                    "parent_not_found",
                    &[
                        "requests[0].customer_group.parent_id",
                        "requests[1].customer_group.parent_id",
                        "requests[3].customer_group.parent_id",
                    ],
                ),
                batch(&[entry("b"), below("@a", "c")])
                    .fails("parent_not_found", &["requests[1].customer_group.parent_id"]),
                total(0),
            ],
        ),
    ])
    .await;
}

#[tokio::test]
async fn violations_of_references() {
    let invalid = "parameter_invalid";
    check(vec![
        rule(
            "a reference has 1 to 255 characters, no control characters, and no other entry",
            vec![
                batch(&[called("", entry("a"))]).fails(invalid, &["requests[0].reference"]),
                batch(&[called("a\n", entry("a"))]).fails(invalid, &["requests[0].reference"]),
                batch(&[called(&"é".repeat(256), entry("a"))]).fails(invalid, &["requests[0].reference"]),
                batch(&[called("r", entry("a")), entry("b"), called("r", entry("c"))])
                    .fails(invalid, &["requests[2].reference"]),
                total(0),
                batch(&[called(&"é".repeat(255), entry("a")), under(&"é".repeat(255), entry("b"))])
                    .succeeds(),
            ],
        ),
        rule(
            "a parent is named in one way",
            vec![
                create("root").succeeds().named("root"),
                batch(&[called("a", entry("a")), under("a", below("@root", "b"))])
                    .fails(invalid, &["requests[1].parent_reference"]),
                total(1),
                batch(&[
                    called("a", entry("a")),
                    json!({"customer_group": {"customer_group_name": "b", "parent_id": null},
                           "parent_reference": "a"}),
                ])
                .succeeds(),
            ],
        ),
    ])
    .await;
}

#[tokio::test]
async fn cycles_and_unknown_references() {
    check(vec![
        rule(
            "entries that are below themselves are refused, those that are only below these are not",
            vec![
                batch(&[under("a", called("a", entry("a")))])
                    .fails("parent_cycle", &["requests[0].parent_reference"]),
                batch(&[
                    under("c", called("a", entry("a"))),
                    under("a", called("b", entry("b"))),
                    under("a", entry("d")),
                    under("b", called("c", entry("c"))),
                ])
                .fails(
                    "parent_cycle",
                    &[
                        "requests[0].parent_reference",
                        "requests[1].parent_reference",
                        "requests[3].parent_reference",
                    ],
                ),
                total(0),
            ],
        ),
        rule(
            "an unknown reference is a parent that is not found",
            ["b", "", "\0"]
                .map(|reference| {
                    batch(&[called("a", entry("a")), under(reference, entry("b"))])
                        .fails("parent_not_found", &["requests[1].parent_reference"])
                })
                .into(),
        ),
    ])
    .await;
}

#[tokio::test]
async fn safe_retries_of_batches() {
    let tree = [called("a", entry("a")), under("a", entry("b"))];
    let renamed = [called("z", entry("a")), under("z", entry("b"))];
    let reused = |call: Call| call.fails("idempotency_key_reused", &[]).idempotency_key("k");
    check(vec![
        rule(
            "the same batch under the same key gives the first answer again, whatever its references are",
            vec![
                batch(&tree).returns(json!({"replayed": false})).idempotency_key("k").labels(&["a", "b"]),
                Call::Update("@b".to_owned(), json!({"parent_id": null})).succeeds(),
                Call::Delete("@a".to_owned()).succeeds(),
                batch(&renamed)
                    .returns(
                        json!({"data": [{"id": "@a"}, {"id": "@b", "parent_id": "@a"}], "replayed": true}),
                    )
                    .idempotency_key("k"),
                total(1),
            ],
        ),
        rule(
            "another request under the same key is refused",
            vec![
                batch(&tree).succeeds().idempotency_key("k"),
                reused(batch(&[entry("a"), entry("b")])),
                reused(batch(&[tree[1].clone(), tree[0].clone()])),
                reused(batch(&[tree[0].clone(), tree[1].clone(), entry("c")])),
                reused(create("a")),
                batch(&[entry("a")]).succeeds().idempotency_key("l"),
                total(3),
            ],
        ),
        rule(
            "a batch of one is another request than the create of one",
            vec![
                create("a").succeeds().idempotency_key("k"),
                reused(batch(&[entry("a")])),
                batch(&[entry("a")]).succeeds().idempotency_key("l"),
                create("a").fails("idempotency_key_reused", &[]).idempotency_key("l"),
                total(2),
            ],
        ),
    ])
    .await;
}

#[tokio::test]
async fn failed_retries_of_batches() {
    check(vec![
        rule(
            "an error of a batch is not recorded",
            vec![
                batch(&[below(UNKNOWN_ID, "a")])
                    .fails("parent_not_found", &["requests[0].customer_group.parent_id"])
                    .idempotency_key("k"),
                batch(&[entry("a")]).returns(json!({"replayed": false})).idempotency_key("k"),
            ],
        ),
        rule(
            "a key that cannot be one is reported with everything else that is wrong",
            vec![
                batch(&[entry(" ")])
                    .fails(
                        "parameter_invalid",
                        &["requests[0].customer_group.customer_group_name", "idempotency-key"],
                    )
                    .idempotency_key(&"k".repeat(256)),
            ],
        ),
    ])
    .await;
}

#[tokio::test]
async fn batch_gets() {
    let with_id = |ids: &[&str]| data(&ids.iter().map(|id| json!({"id": id})).collect::<Vec<_>>());
    let alone = MALFORMED_IDS.map(|id| read(&["@a", id, "@b"]).fails("resource_missing", &[]));
    check(vec![
        on_tree(
            "the groups are answered in the order of the request, as often as they are asked for",
            vec![
                read(&["@b", "@root", "@d", "@b"]).returns(with_id(&["@b", "@root", "@d", "@b"])),
                read(&["@c"]).returns(data(&[json!({"id": "@c", "parent_id": "@a"})])).by(Key::ReadOnly),
            ],
        ),
        on_tree("one id of no group is enough that none is answered", alone.into()),
        on_tree(
            "so is an id of a group that is gone",
            vec![
                Call::Delete("@d".to_owned()).succeeds(),
                read(&["@c", "@d"]).fails("resource_missing", &[]),
                read(&[UNKNOWN_ID]).fails("resource_missing", &[]),
            ],
        ),
        on_tree(
            "1 to 1000 ids are asked for",
            vec![
                read(&[]).fails("parameter_missing", &["ids"]),
                read(&["@a"; 1001]).fails("parameter_invalid", &["ids"]),
                read(&["@a"; 1000]).returns(with_id(&["@a"; 1000])),
            ],
        ),
    ])
    .await;
}
