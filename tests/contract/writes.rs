//! Contract rules for writes.

use serde_json::{Value, json};

use super::reads::{ALL, ancestors, create, create_below, get, list, on_tree};
use super::{Call, Step, check, rest_rule, rpc_rule, rule};

pub fn update(id: &str, body: Value) -> Call {
    Call::Update(id.to_owned(), body)
}

fn move_below(id: &str, parent: &str) -> Call {
    update(id, json!({"parent_id": parent}))
}

fn delete(id: &str) -> Call {
    Call::Delete(id.to_owned())
}

pub fn total(total: i32) -> Step {
    list(Some(0), None).returns(json!({"total": total}))
}

/// A body with a name and another field.
pub fn named_with(field: &str, value: impl Into<Value>) -> Value {
    let mut body = json!({"customer_group_name": "a"});
    body[field] = value.into();
    body
}

#[tokio::test]
async fn creates() {
    check(vec![
        rule(
            "is_group is stored as given and forbids nothing",
            vec![
                Call::Create(named_with("is_group", true)).returns(json!({"is_group": true})).named("a"),
                Call::Create(named_with("is_group", false)).returns(json!({"is_group": false})).named("b"),
                create_below("@b", "c").succeeds(),
            ],
        ),
        rule("several roots are allowed", vec![create("a").succeeds(), create("b").succeeds(), total(2)]),
        rule(
            "an unknown parent is refused and named",
            vec![
                create_below("customer-group_01h455vb4pex5vsknk084sn02q", "a")
                    .fails("parent_not_found", &["parent_id"]),
                create_below("customer-group_abc123", "a").fails("parent_not_found", &["parent_id"]),
                create_below("", "a").fails("parent_not_found", &["parent_id"]),
                total(0),
            ],
        ),
        rule(
            "parent_customer_group never places a node",
            vec![
                create("root").succeeds().named("root"),
                Call::Create(named_with("parent_customer_group", "@root"))
                    .returns(json!({"parent_id": null})),
            ],
        ),
        rest_rule(
            "output-only fields in a body are ignored",
            vec![
                Call::Create(
                    json!({"customer_group_name": "a", "id": "mine", "created_at": 7, "updated_at": null}),
                )
                .succeeds()
                .named("a"),
                get("mine").fails("resource_missing", &[]),
            ],
        ),
        rest_rule(
            "unknown fields and values of the wrong type are refused and named",
            vec![
                Call::Create(named_with("colour", "red")).fails("parameter_unknown", &["colour"]),
                Call::Create(named_with("is_group", "yes")).fails("parameter_invalid", &["is_group"]),
                Call::Create(named_with("is_group", 1)).fails("parameter_invalid", &["is_group"]),
                Call::Create(named_with("parent_id", 7)).fails("parameter_invalid", &["parent_id"]),
                Call::Create(named_with("payment_terms", 30)).fails("parameter_invalid", &["payment_terms"]),
                Call::Create(named_with("payment_terms", json!(["a"])))
                    .fails("parameter_invalid", &["payment_terms"]),
                Call::Create(json!({"customer_group_name": 7}))
                    .fails("parameter_invalid", &["customer_group_name"]),
                total(0),
            ],
        ),
    ])
    .await;
}

#[tokio::test]
async fn safe_retries() {
    check(vec![
        rule(
            "the same create under the same key gives the first answer again",
            vec![
                create("a").returns(json!({"replayed": false})).idempotency_key("k").named("a"),
                create("a").returns(json!({"id": "@a", "replayed": true})).idempotency_key("k"),
                update("@a", json!({"customer_group_name": "b"})).succeeds(),
                create("a")
                    .returns(json!({"id": "@a", "customer_group_name": "a", "replayed": true}))
                    .idempotency_key("k"),
                total(1),
            ],
        ),
        rule(
            "another request under the same key is refused",
            vec![
                create("a").succeeds().idempotency_key("k"),
                create("b").fails("idempotency_key_reused", &[]).idempotency_key("k"),
                create("b").succeeds().idempotency_key("l"),
                total(2),
            ],
        ),
        rule(
            "an error is not recorded",
            vec![
                create_below("nobody", "a").fails("parent_not_found", &["parent_id"]).idempotency_key("k"),
                create("a").returns(json!({"replayed": false})).idempotency_key("k"),
            ],
        ),
        rule(
            "a key has up to 255 characters",
            vec![
                create("a").succeeds().idempotency_key(&"k".repeat(255)),
                create("a")
                    .fails("parameter_invalid", &["idempotency-key"])
                    .idempotency_key(&"k".repeat(256)),
            ],
        ),
    ])
    .await;
}

#[tokio::test]
async fn updates() {
    let all = json!({"is_group": true, "customer_group_name": "b", "parent_customer_group": "p",
                     "default_price_list": "d", "payment_terms": "t"});
    check(vec![
        on_tree(
            "what is named is set, what is absent stays",
            vec![
                update("@c", all.clone()).returns(all.clone()),
                update("@c", json!({"payment_terms": "u"})).returns(json!({
                    "parent_id": "@a", "is_group": true, "customer_group_name": "b",
                    "parent_customer_group": "p", "default_price_list": "d", "payment_terms": "u"
                })),
            ],
        ),
        on_tree(
            "null clears",
            vec![
                update("@c", all.clone()).succeeds(),
                update(
                    "@c",
                    json!({"parent_id": null, "is_group": null, "parent_customer_group": null,
                           "default_price_list": null, "payment_terms": null}),
                )
                .returns(json!({
                    "parent_id": null, "is_group": false, "customer_group_name": "b",
                    "parent_customer_group": null, "default_price_list": null, "payment_terms": null
                })),
            ],
        ),
        on_tree(
            "a null name is invalid",
            vec![
                update("@c", json!({"customer_group_name": null}))
                    .fails("parameter_missing", &["customer_group_name"]),
                update("@c", json!({"customer_group_name": " ", "payment_terms": "\0"}))
                    .fails("parameter_invalid", &["customer_group_name", "payment_terms"]),
                get("@c").returns(json!({"customer_group_name": "c"})),
            ],
        ),
        on_tree(
            "an update that names nothing changes nothing, not even updated_at",
            vec![
                update("@c", json!({})).succeeds().named("unchanged"),
                update("@c", json!({"id": "mine", "created_at": "now"})).succeeds(),
                update("@c", json!({"is_group": true})).succeeds().if_match("@unchanged"),
            ],
        ),
        on_tree(
            "an update that repeats a value is an update",
            vec![
                update("@c", json!({"customer_group_name": "c"})).succeeds(),
                update("@c", json!({"is_group": true})).fails("etag_mismatch", &[]).if_match("@c"),
            ],
        ),
    ])
    .await;
}

#[tokio::test]
async fn masks_and_unknown_fields_of_updates() {
    let all = json!({"is_group": true, "customer_group_name": "b", "parent_customer_group": "p",
                     "default_price_list": "d", "payment_terms": "t"});
    check(vec![
        rpc_rule(
            "a mask names what is set and cleared, a star names all, and none means what is populated",
            vec![
                create("a").succeeds().named("a"),
                Call::Masked("@a".to_owned(), all.clone(), vec!["payment_terms", "is_group"]).returns(json!({
                    "customer_group_name": "a", "payment_terms": "t", "is_group": true, "default_price_list": null
                })),
                Call::Masked("@a".to_owned(), json!({"default_price_list": "d"}), vec![])
                    .returns(json!({"payment_terms": "t", "default_price_list": "d"})),
                Call::Masked("@a".to_owned(), json!({"customer_group_name": "c"}), vec!["*"]).returns(json!({
                    "customer_group_name": "c", "payment_terms": null, "is_group": false,
                    "default_price_list": null
                })),
                Call::Masked("@a".to_owned(), json!({}), vec!["colour"])
                    .fails("parameter_unknown", &["update_mask"]),
            ],
        ),
        rest_rule(
            "an unknown field of an update is refused and named",
            vec![
                create("a").succeeds().named("a"),
                update("@a", json!({"colour": "red"})).fails("parameter_unknown", &["colour"]),
            ],
        ),
        rest_rule(
            "unknown fields are not found before they are invalid",
            vec![update("nobody", json!({"colour": "red"})).fails("resource_missing", &[])],
        ),
    ])
    .await;
}

#[tokio::test]
async fn moves_and_deletes() {
    check(vec![
        on_tree(
            "a move takes everything below along",
            vec![
                move_below("@a", "@b").returns(json!({"parent_id": "@b"})),
                ancestors("@c", ALL).returns(json!({"data": [{"id": "@a"}, {"id": "@b"}, {"id": "@root"}]})),
                update("@a", json!({"parent_id": null})).returns(json!({"parent_id": null})),
            ],
        ),
        on_tree(
            "a move under the node itself or a descendant is refused and names parent_id",
            vec![
                move_below("@a", "@a").fails("parent_cycle", &["parent_id"]),
                move_below("@a", "@c").fails("parent_cycle", &["parent_id"]),
                move_below("@root", "@d").fails("parent_cycle", &["parent_id"]),
                get("@a").returns(json!({"parent_id": "@root"})),
            ],
        ),
        on_tree(
            "a move under an unknown parent is refused and names parent_id",
            vec![
                move_below("@a", "customer-group_01h455vb4pex5vsknk084sn02q")
                    .fails("parent_not_found", &["parent_id"]),
                move_below("@a", "nobody").fails("parent_not_found", &["parent_id"]),
                update("@root", json!({"parent_id": "@c", "customer_group_name": "\0"}))
                    .fails("parameter_invalid", &["parent_id", "customer_group_name"]),
            ],
        ),
        on_tree(
            "parent_customer_group never moves a node",
            vec![update("@c", json!({"parent_customer_group": "@b"})).returns(json!({"parent_id": "@a"}))],
        ),
        on_tree(
            "a node with children is not deleted",
            vec![delete("@a").fails("has_children", &[]), get("@a").succeeds(), total(5)],
        ),
        on_tree(
            "a deleted node is gone, and not deleted twice",
            vec![
                delete("@c").returns(json!({"id": "@c", "deleted": true})),
                delete("@c").fails("resource_missing", &[]),
                get("@c").fails("resource_missing", &[]),
                delete("@d").succeeds(),
                delete("@a").succeeds(),
                total(2),
            ],
        ),
    ])
    .await;
}

#[tokio::test]
async fn no_lost_updates() {
    let rename = |name: &str| update("@a", json!({"customer_group_name": name}));
    check(vec![
        rule(
            "a change is made only to the version that it is for",
            vec![
                create("a").succeeds().named("a"),
                rename("b").succeeds().if_match("@a").named("b"),
                rename("c").fails("etag_mismatch", &[]).if_match("@a"),
                delete("@a").fails("etag_mismatch", &[]).if_match("@a"),
                rename("c").succeeds().if_match("\"1\", @b").named("c"),
                get("@a").returns(json!({"customer_group_name": "c"})),
                delete("@a").succeeds().if_match("@c"),
            ],
        ),
        rule(
            "a star is for any version, and nonsense for none",
            vec![
                create("a").succeeds().named("a"),
                rename("b").succeeds().if_match("*"),
                rename("c").fails("etag_mismatch", &[]).if_match("nonsense"),
                update("@a", json!({})).fails("etag_mismatch", &[]).if_match("\"1\""),
                delete("@a").succeeds().if_match("*"),
            ],
        ),
        rule(
            "a group that is gone is not found in any version",
            vec![
                create("a").succeeds().named("a"),
                delete("@a").succeeds(),
                rename("b").fails("resource_missing", &[]).if_match("@a"),
                delete("@a").fails("resource_missing", &[]).if_match("@a"),
            ],
        ),
    ])
    .await;
}
