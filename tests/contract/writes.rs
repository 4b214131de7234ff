//! Rules about what is written.

use serde_json::{Value, json};

use super::reads::{ALL, ancestors, create, create_below, get, list, on_tree};
use super::{Call, Step, check, rest_rule, rpc_rule, rule};

fn update(id: &str, body: Value) -> Call {
    Call::Update(id.to_owned(), body)
}

fn move_below(id: &str, parent: &str) -> Call {
    update(id, json!({"parent_id": parent}))
}

fn delete(id: &str) -> Call {
    Call::Delete(id.to_owned())
}

pub fn total(total: i32) -> Step {
    list(Some(0), None).gives(json!({"total": total}))
}

/// A body with a name and one field more.
fn named_with(field: &str, value: impl Into<Value>) -> Value {
    let mut body = json!({"customer_group_name": "a"});
    body[field] = value.into();
    body
}

const REFERENCES: [&str; 3] = ["parent_customer_group", "default_price_list", "payment_terms"];

#[tokio::test]
async fn names_and_texts() {
    let name = |name: &str| create(name);
    let kept = |text: &str| {
        REFERENCES.map(|field| {
            let mut answer = json!({});
            answer[field] = json!(text);
            Call::Create(named_with(field, text)).gives(answer)
        })
    };
    let refused = |text: &str| {
        REFERENCES.map(|field| Call::Create(named_with(field, text)).fails("parameter_invalid", &[field]))
    };
    check(vec![
        rule(
            "the white space around a name is removed",
            vec![name(" \t\u{2003}a b \n").gives(json!({"customer_group_name": "a b"}))],
        ),
        rule(
            "a name has 1 to 255 characters",
            vec![
                name("n").works(),
                name(&"é".repeat(255)).works(),
                name(&format!(" {} ", "🌳".repeat(255))).works(),
                name(&"n".repeat(256)).fails("parameter_invalid", &["customer_group_name"]),
                name("").fails("parameter_missing", &["customer_group_name"]),
                name(" \u{a0}").fails("parameter_missing", &["customer_group_name"]),
                Call::Create(json!({})).fails("parameter_missing", &["customer_group_name"]),
                Call::Create(json!({"customer_group_name": null}))
                    .fails("parameter_missing", &["customer_group_name"]),
                total(3),
            ],
        ),
        rule("names need not be unique", vec![name("a").works(), name("a").works(), total(2)]),
        rule(
            "a name has no control characters",
            vec![
                name("a\0b").fails("parameter_invalid", &["customer_group_name"]),
                name("a\nb").fails("parameter_invalid", &["customer_group_name"]),
                name("a\u{9b}b").fails("parameter_invalid", &["customer_group_name"]),
            ],
        ),
        rule("an empty text stays empty", kept("").into()),
        rule("a text is stored verbatim", kept(" Net 30 '; drop table customer_group; -- 🌳 ").into()),
        rule("a text has up to 255 characters", kept(&"é".repeat(255)).into()),
        rule("a text of 256 characters is refused", refused(&"t".repeat(256)).into()),
        rule("a text has no control characters", refused("a\u{7f}").into()),
        rule(
            "every violated field is listed at once, a parent that is unknown among them",
            vec![
                Call::Create(json!({
                    "parent_id": "customer-group_01h455vb4pex5vsknk084sn02q", "customer_group_name": "a\0",
                    "payment_terms": "\0"
                }))
                .fails("parameter_invalid", &["parent_id", "customer_group_name", "payment_terms"]),
                Call::Create(json!({"parent_id": "nobody", "customer_group_name": " "}))
                    .fails("parameter_invalid", &["parent_id", "customer_group_name"]),
                total(0),
            ],
        ),
    ])
    .await;
}

#[tokio::test]
async fn creates() {
    check(vec![
        rule(
            "is_group is stored as given and forbids nothing",
            vec![
                Call::Create(named_with("is_group", true)).gives(json!({"is_group": true})).named("a"),
                Call::Create(named_with("is_group", false)).gives(json!({"is_group": false})).named("b"),
                create_below("@b", "c").works(),
            ],
        ),
        rule("several roots are allowed", vec![create("a").works(), create("b").works(), total(2)]),
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
                create("root").works().named("root"),
                Call::Create(named_with("parent_customer_group", "@root")).gives(json!({"parent_id": null})),
            ],
        ),
        rest_rule(
            "output-only fields in a body are ignored",
            vec![
                Call::Create(
                    json!({"customer_group_name": "a", "id": "mine", "created_at": 7, "updated_at": null}),
                )
                .works()
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
                create("a").gives(json!({"replayed": false})).once("k").named("a"),
                create("a").gives(json!({"id": "@a", "replayed": true})).once("k"),
                update("@a", json!({"customer_group_name": "b"})).works(),
                create("a")
                    .gives(json!({"id": "@a", "customer_group_name": "a", "replayed": true}))
                    .once("k"),
                total(1),
            ],
        ),
        rule(
            "another request under the same key is refused",
            vec![
                create("a").works().once("k"),
                create("b").fails("idempotency_key_reused", &[]).once("k"),
                create("b").works().once("l"),
                total(2),
            ],
        ),
        rule(
            "an error is not recorded",
            vec![
                create_below("nobody", "a").fails("parent_not_found", &["parent_id"]).once("k"),
                create("a").gives(json!({"replayed": false})).once("k"),
            ],
        ),
        rule(
            "a key has up to 255 characters",
            vec![
                create("a").works().once(&"k".repeat(255)),
                create("a").fails("parameter_invalid", &["idempotency-key"]).once(&"k".repeat(256)),
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
                update("@c", all.clone()).gives(all.clone()),
                update("@c", json!({"payment_terms": "u"})).gives(json!({
                    "parent_id": "@a", "is_group": true, "customer_group_name": "b",
                    "parent_customer_group": "p", "default_price_list": "d", "payment_terms": "u"
                })),
            ],
        ),
        on_tree(
            "null clears",
            vec![
                update("@c", all.clone()).works(),
                update(
                    "@c",
                    json!({"parent_id": null, "is_group": null, "parent_customer_group": null,
                           "default_price_list": null, "payment_terms": null}),
                )
                .gives(json!({
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
                get("@c").gives(json!({"customer_group_name": "c"})),
            ],
        ),
        on_tree(
            "an update that names nothing changes nothing, not even updated_at",
            vec![
                update("@c", json!({})).works().named("unchanged"),
                update("@c", json!({"id": "mine", "created_at": "now"})).works(),
                update("@c", json!({"is_group": true})).works().if_match("@unchanged"),
            ],
        ),
        on_tree(
            "an update that repeats a value is an update",
            vec![
                update("@c", json!({"customer_group_name": "c"})).works(),
                update("@c", json!({"is_group": true})).fails("etag_mismatch", &[]).if_match("@c"),
            ],
        ),
        rpc_rule(
            "a mask names what is set and cleared, a star names all, and none means what is populated",
            vec![
                create("a").works().named("a"),
                Call::Masked("@a".to_owned(), all.clone(), vec!["payment_terms", "is_group"]).gives(json!({
                    "customer_group_name": "a", "payment_terms": "t", "is_group": true, "default_price_list": null
                })),
                Call::Masked("@a".to_owned(), json!({"default_price_list": "d"}), vec![])
                    .gives(json!({"payment_terms": "t", "default_price_list": "d"})),
                Call::Masked("@a".to_owned(), json!({"customer_group_name": "c"}), vec!["*"]).gives(json!({
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
                create("a").works().named("a"),
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
                move_below("@a", "@b").gives(json!({"parent_id": "@b"})),
                ancestors("@c", ALL).gives(json!({"data": [{"id": "@a"}, {"id": "@b"}, {"id": "@root"}]})),
                update("@a", json!({"parent_id": null})).gives(json!({"parent_id": null})),
            ],
        ),
        on_tree(
            "a move under the node itself or a descendant is refused and names parent_id",
            vec![
                move_below("@a", "@a").fails("parent_cycle", &["parent_id"]),
                move_below("@a", "@c").fails("parent_cycle", &["parent_id"]),
                move_below("@root", "@d").fails("parent_cycle", &["parent_id"]),
                get("@a").gives(json!({"parent_id": "@root"})),
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
            vec![update("@c", json!({"parent_customer_group": "@b"})).gives(json!({"parent_id": "@a"}))],
        ),
        on_tree(
            "a node with children is not deleted",
            vec![delete("@a").fails("has_children", &[]), get("@a").works(), total(5)],
        ),
        on_tree(
            "a deleted node is gone, and not deleted twice",
            vec![
                delete("@c").gives(json!({"id": "@c", "deleted": true})),
                delete("@c").fails("resource_missing", &[]),
                get("@c").fails("resource_missing", &[]),
                delete("@d").works(),
                delete("@a").works(),
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
                create("a").works().named("a"),
                rename("b").works().if_match("@a").named("b"),
                rename("c").fails("etag_mismatch", &[]).if_match("@a"),
                delete("@a").fails("etag_mismatch", &[]).if_match("@a"),
                rename("c").works().if_match("\"1\", @b").named("c"),
                get("@a").gives(json!({"customer_group_name": "c"})),
                delete("@a").works().if_match("@c"),
            ],
        ),
        rule(
            "a star is for any version, and nonsense for none",
            vec![
                create("a").works().named("a"),
                rename("b").works().if_match("*"),
                rename("c").fails("etag_mismatch", &[]).if_match("nonsense"),
                update("@a", json!({})).fails("etag_mismatch", &[]).if_match("\"1\""),
                delete("@a").works().if_match("*"),
            ],
        ),
        rule(
            "a group that is gone is not found in any version",
            vec![
                create("a").works().named("a"),
                delete("@a").works(),
                rename("b").fails("resource_missing", &[]).if_match("@a"),
                delete("@a").fails("resource_missing", &[]).if_match("@a"),
            ],
        ),
    ])
    .await;
}
