//! Contract rules for ids, keys and reads.

use serde_json::{Value, json};

use super::{Call, Case, Key, Page, Step, check, rest_rule, rpc_rule, rule};

/// The default page.
pub const ALL: Page = Page { limit: None, offset: None, starting_after: None };

/// Texts that are not ids of groups, some of them nearly so.
pub const MALFORMED_IDS: [&str; 11] = [
    " ",
    "customer-group_",
    "customer-group_abc123",
    "customer-group_01H455VB4PEX5VSKNK084SN02Q",
    "customer-group_8zzzzzzzzzzzzzzzzzzzzzzzzz",
    "customer-group_00000000000000000000000000",
    "customer-group_01h455vb4pex5vsknk084sn02\0",
    "01890a5d-ac96-774b-bcce-b302099a8057",
    "'; drop table customer_group; --",
    "../../../etc/passwd",
    "🌳🌳🌳",
];

pub fn get(id: &str) -> Call {
    Call::Get(id.to_owned())
}

pub fn list(limit: Option<i32>, offset: Option<i32>) -> Call {
    Call::List((limit, offset).into())
}

pub fn children(id: &str, page: impl Into<Page>) -> Call {
    Call::Children(id.to_owned(), page.into())
}

pub fn ancestors(id: &str, page: impl Into<Page>) -> Call {
    Call::Ancestors(id.to_owned(), page.into())
}

pub fn descendants(id: &str, page: impl Into<Page>) -> Call {
    Call::Descendants(id.to_owned(), page.into())
}

pub fn create(name: &str) -> Call {
    Call::Create(json!({"customer_group_name": name}))
}

pub fn create_below(parent: &str, name: &str) -> Call {
    Call::Create(json!({"customer_group_name": name, "parent_id": parent}))
}

/// root > (a > (c, d), b)
fn tree() -> Vec<Step> {
    vec![
        create("root").succeeds().named("root"),
        create_below("@root", "a").succeeds().named("a"),
        create_below("@root", "b").succeeds().named("b"),
        create_below("@a", "c").succeeds().named("c"),
        create_below("@a", "d").succeeds().named("d"),
    ]
}

/// A rule that is demonstrated on the tree.
pub fn on_tree(text: &'static str, steps: Vec<Step>) -> Case {
    rule(text, tree().into_iter().chain(steps).collect())
}

/// A page with these groups.
pub fn page(names: &[&str], has_more: bool, total: i32) -> Value {
    let data: Vec<Value> = names.iter().map(|name| json!({"id": format!("@{name}")})).collect();
    json!({"data": data, "has_more": has_more, "total": total})
}

#[tokio::test]
async fn ids_and_objects() {
    let missing = |id: &str| {
        let (id, body) = (id.to_owned(), json!({"is_group": true}));
        let lists = [Call::Children, Call::Ancestors, Call::Descendants, Call::StreamDescendants]
            .map(|list| list(id.clone(), ALL));
        let others = [Call::Get(id.clone()), Call::Update(id.clone(), body), Call::Delete(id)];
        lists.into_iter().chain(others).map(|call| call.fails("resource_missing", &[])).collect::<Vec<_>>()
    };
    check(vec![
        rule(
            "an object has the nine documented fields, an unset one as null",
            vec![
                create("a")
                    .returns(json!({
                        "parent_id": null, "is_group": false, "customer_group_name": "a",
                        "parent_customer_group": null, "default_price_list": null, "payment_terms": null
                    }))
                    .named("a"),
                get("@a").returns(json!({"id": "@a", "customer_group_name": "a"})),
            ],
        ),
        rule(
            "any string that is no id of the service is simply not found",
            MALFORMED_IDS.into_iter().flat_map(missing).collect(),
        ),
        rpc_rule("nor is no id at all", missing("")),
        rule(
            "nor is an id of no group",
            [
                vec![create("a").succeeds().named("a"), Call::Delete("@a".to_owned()).succeeds()],
                missing("@a"),
                missing("customer-group_01h455vb4pex5vsknk084sn02q"),
            ]
            .concat(),
        ),
    ])
    .await;
}

#[tokio::test]
async fn authentication() {
    let every_call = |key: Key, code: &str| -> Vec<Step> {
        let body = json!({"customer_group_name": "a"});
        let calls = [
            get("nobody"),
            list(Some(-1), None),
            Call::Create(json!({})),
            Call::Update("nobody".to_owned(), body),
            Call::Delete("nobody".to_owned()),
            Call::BatchCreate(Vec::new()),
            Call::BatchGet(Vec::new()),
            children("nobody", ALL),
            ancestors("nobody", ALL),
            descendants("nobody", ALL),
            Call::StreamDescendants("nobody".to_owned(), ALL),
        ];
        calls.into_iter().map(|call| call.fails(code, &[]).by(key)).collect()
    };
    // Each on its own service, which allows this many failed attempts before it limits them.
    for (name, key, code) in [
        ("a missing key comes before anything else", Key::None, "api_key_missing"),
        ("an unknown key comes before anything else", Key::Unknown, "api_key_invalid"),
        ("a revoked key comes before anything else", Key::Revoked, "api_key_invalid"),
        ("a key of the other mode is invalid", Key::OtherMode, "api_key_invalid"),
    ] {
        check(vec![rule(name, every_call(key, code))]).await;
    }
    check(vec![
        rule(
            "a read-only key reads",
            vec![
                create("a").succeeds().named("a"),
                get("@a").succeeds().by(Key::ReadOnly),
                Call::BatchGet(vec!["@a".to_owned()]).succeeds().by(Key::ReadOnly),
                list(None, None).succeeds().by(Key::ReadOnly),
                children("@a", ALL).succeeds().by(Key::ReadOnly),
                ancestors("@a", ALL).succeeds().by(Key::ReadOnly),
                descendants("@a", ALL).succeeds().by(Key::ReadOnly),
                Call::StreamDescendants("@a".to_owned(), ALL).succeeds().by(Key::ReadOnly),
            ],
        ),
        rule(
            "a read-only key writes nothing, whatever else is wrong",
            vec![
                create("a").succeeds().named("a"),
                Call::Create(json!({})).fails("api_key_read_only", &[]).by(Key::ReadOnly),
                Call::BatchCreate(Vec::new()).fails("api_key_read_only", &[]).by(Key::ReadOnly),
                Call::Update("@a".to_owned(), json!({"is_group": true}))
                    .fails("api_key_read_only", &[])
                    .by(Key::ReadOnly),
                Call::Update("nobody".to_owned(), json!({}))
                    .fails("api_key_read_only", &[])
                    .by(Key::ReadOnly),
                Call::Delete("@a".to_owned()).fails("api_key_read_only", &[]).by(Key::ReadOnly),
                get("@a").returns(json!({"is_group": false})),
            ],
        ),
    ])
    .await;
}

#[tokio::test]
async fn the_list() {
    let newest_first = ["d", "c", "b", "a", "root"];
    let many =
        |count: usize| (0..count).map(|number| create(&number.to_string()).succeeds()).collect::<Vec<_>>();
    let has_more = |has_more: bool| json!({"has_more": has_more, "total": 21});
    check(vec![
        rule("the empty list", vec![list(None, None).returns(page(&[], false, 0))]),
        on_tree("newest first", vec![list(None, None).returns(page(&newest_first, false, 5))]),
        on_tree(
            "a page, and whether there is more",
            vec![
                list(Some(2), None).returns(page(&["d", "c"], true, 5)),
                list(Some(2), Some(2)).returns(page(&["b", "a"], true, 5)),
                list(Some(2), Some(3)).returns(page(&["a", "root"], false, 5)),
                list(Some(5), None).returns(page(&newest_first, false, 5)),
                list(None, Some(4)).returns(page(&["root"], false, 5)),
            ],
        ),
        on_tree(
            "a limit of 0 is an empty page with the total",
            vec![
                list(Some(0), None).returns(page(&[], true, 5)),
                list(Some(0), Some(5)).returns(page(&[], false, 5)),
            ],
        ),
        on_tree(
            "an offset past the end is an empty page",
            vec![
                list(None, Some(5)).returns(page(&[], false, 5)),
                list(None, Some(i32::MAX)).returns(page(&[], false, 5)),
            ],
        ),
        on_tree(
            "a limit above 1000 is lowered",
            vec![list(Some(i32::MAX), None).returns(page(&newest_first, false, 5))],
        ),
        rule(
            "the limit is 20 by default",
            many(21)
                .into_iter()
                .chain([
                    list(None, None).returns(has_more(true)),
                    list(Some(21), None).returns(has_more(false)),
                ])
                .collect(),
        ),
        rule(
            "a negative limit or offset is invalid, and both are named",
            vec![
                list(Some(-1), None).fails("parameter_invalid", &["limit"]),
                list(None, Some(-1)).fails("parameter_invalid", &["offset"]),
                list(Some(i32::MIN), Some(i32::MIN)).fails("parameter_invalid", &["limit", "offset"]),
            ],
        ),
    ])
    .await;
}

#[tokio::test]
async fn the_lists_of_the_tree() {
    check(vec![
        on_tree("children, newest first", vec![children("@root", ALL).returns(page(&["b", "a"], false, 2))]),
        on_tree("a leaf has no children", vec![children("@b", ALL).returns(page(&[], false, 0))]),
        on_tree(
            "ancestors, the immediate parent first and the root last",
            vec![ancestors("@c", ALL).returns(page(&["a", "root"], false, 2))],
        ),
        on_tree("a root has no ancestors", vec![ancestors("@root", ALL).returns(page(&[], false, 0))]),
        on_tree(
            "descendants, a parent before its children, without the node itself",
            vec![
                descendants("@root", ALL).returns(page(&["b", "a", "d", "c"], false, 4)),
                descendants("@a", ALL).returns(page(&["d", "c"], false, 2)),
                descendants("@d", ALL).returns(page(&[], false, 0)),
            ],
        ),
        on_tree(
            "descendants, a parent before its children also when it is younger",
            vec![
                Call::Update("@b".to_owned(), json!({"parent_id": "@d"})).succeeds(),
                descendants("@root", ALL).returns(page(&["a", "d", "c", "b"], false, 4)),
            ],
        ),
        on_tree(
            "pages of the tree have the whole total",
            vec![
                children("@root", (Some(1), None)).returns(page(&["b"], true, 2)),
                ancestors("@c", (Some(1), Some(1))).returns(page(&["root"], false, 2)),
                descendants("@root", (Some(2), Some(1))).returns(page(&["a", "d"], true, 4)),
                descendants("@root", (Some(0), None)).returns(page(&[], true, 4)),
                descendants("@root", (None, Some(9))).returns(page(&[], false, 4)),
            ],
        ),
        on_tree(
            "a negative page of the tree is invalid, also for an unknown node",
            vec![
                children("@root", (Some(-1), None)).fails("parameter_invalid", &["limit"]),
                ancestors("@root", (None, Some(-1))).fails("parameter_invalid", &["offset"]),
                descendants("nobody", (Some(-1), Some(-1))).fails("parameter_invalid", &["limit", "offset"]),
            ],
        ),
        rule(
            "the lists of the tree give everything when no limit is given",
            std::iter::once(create("root").succeeds().named("root"))
                .chain((0..21).map(|number| create_below("@root", &number.to_string()).succeeds()))
                .chain([children("@root", ALL).returns(json!({"has_more": false, "total": 21}))])
                .collect(),
        ),
    ])
    .await;
}

#[tokio::test]
async fn malformed_requests() {
    check(vec![
        rest_rule("a body that is no JSON", vec![Call::Malformed.fails("body_malformed", &[])]),
        rule("a request over the limit", vec![Call::TooLarge.fails("body_too_large", &[])]),
        rest_rule(
            "a content type that is not JSON's",
            vec![
                Call::Http("POST", "", None).fails("content_type_unsupported", &[]),
                Call::Http("PATCH", "/nobody", Some("text/plain")).fails("content_type_unsupported", &[]),
            ],
        ),
        rest_rule(
            "a method that the path does not take",
            vec![
                Call::Http("PUT", "/nobody", None).fails("method_not_allowed", &[]),
                Call::Http("DELETE", "", None).fails("method_not_allowed", &[]),
                Call::Http("POST", "/nobody/children", None).fails("method_not_allowed", &[]),
            ],
        ),
        rest_rule(
            "a parameter that there is not, or that is no number",
            vec![
                Call::Http("GET", "?colour=red", None).fails("parameter_unknown", &["colour"]),
                Call::Http("DELETE", "/nobody?force=1", None).fails("parameter_unknown", &["force"]),
                Call::Http("GET", "?limit=ten", None).fails("parameter_invalid", &["limit"]),
                Call::Http("GET", "/nobody/children?offset=1.5", None)
                    .fails("parameter_invalid", &["offset"]),
            ],
        ),
        rest_rule(
            "a path with a slash at its end",
            vec![
                Call::Http("GET", "/", None).returns(page(&[], false, 0)),
                Call::Http("GET", "/?limit=-1", None).fails("parameter_invalid", &["limit"]),
            ],
        ),
        rest_rule("a path that there is not", vec![Call::UnknownRoute.fails("route_unknown", &[])]),
        rpc_rule("bytes that are no protobuf", vec![Call::Malformed.fails("body_malformed", &[])]),
        rpc_rule("a method that there is not", vec![Call::UnknownRoute.fails("route_unknown", &[])]),
    ])
    .await;
}
