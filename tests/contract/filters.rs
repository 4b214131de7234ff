//! Contract rules for filtered lists.

use serde_json::json;

use super::reads::{ALL, create, create_below, on_tree, page};
use super::{Call, Filter, Page, Step, check, rest_rule, rule};
use crate::support::UNKNOWN_ID;

fn below(parent: &str) -> Filter {
    Filter { parent_id: Some(parent.to_owned()), ..Filter::default() }
}

fn named(text: &str) -> Filter {
    Filter { customer_group_name: Some(text.to_owned()), ..Filter::default() }
}

fn both(parent: &str, text: &str) -> Filter {
    Filter { parent_id: Some(parent.to_owned()), ..named(text) }
}

fn list(filter: Filter) -> Call {
    Call::Filtered(filter, ALL)
}

fn part(filter: &Filter, limit: i32, offset: Option<i32>, after: Option<&str>) -> Call {
    let starting_after = after.map(str::to_owned);
    Call::Filtered(filter.clone(), Page { limit: Some(limit), offset, starting_after })
}

/// Creates groups with these names, which also serve as their labels, and expects those that match the text.
fn found(names: &[&'static str], text: &str, expected: &[&str]) -> Vec<Step> {
    let made = names.iter().map(|name| create(name).succeeds().named(name));
    let expected = page(expected, false, expected.len().try_into().unwrap());
    made.chain([list(named(text)).returns(expected)]).collect()
}

#[tokio::test]
async fn groups_by_their_parent() {
    check(vec![
        on_tree("`null` gives the roots", vec![list(below("null")).returns(page(&["root"], false, 1))]),
        on_tree(
            "a parent gives what is directly below it, newest first",
            vec![
                list(below("@root")).returns(page(&["b", "a"], false, 2)),
                list(below("@a")).returns(page(&["d", "c"], false, 2)),
                list(below("@d")).returns(page(&[], false, 0)),
            ],
        ),
        on_tree(
            "a parent that does not exist has nothing below it",
            vec![
                list(below(UNKNOWN_ID)).returns(page(&[], false, 0)),
                Call::Delete("@d".to_owned()).succeeds(),
                list(below("@d")).returns(page(&[], false, 0)),
                part(&below(UNKNOWN_ID), 1, None, Some("@c")).returns(page(&[], false, 0)),
            ],
        ),
        on_tree(
            "a group that is moved is where it is now",
            vec![
                Call::Update("@a".to_owned(), json!({"parent_id": null})).succeeds(),
                list(below("null")).returns(page(&["a", "root"], false, 2)),
                list(below("@root")).returns(page(&["b"], false, 1)),
            ],
        ),
        rule(
            "there are no roots where there are no groups",
            vec![list(below("null")).returns(page(&[], false, 0))],
        ),
        rule(
            "what can be no id is invalid",
            ["", " ", "Null", "nobody", "01890a5d-ac96-774b-bcce-b302099a8057", "null\0", "🌳"]
                .map(|text| list(below(text)).fails("parameter_invalid", &["parent_id"]))
                .into(),
        ),
    ])
    .await;
}

#[tokio::test]
async fn groups_by_their_name() {
    check(vec![
        rule(
            "a part of a name is enough, wherever it stands",
            [
                found(&["Export", "Retail", "Import"], "port", &["Import", "Export"]),
                vec![
                    list(named("ret")).returns(page(&["Retail"], false, 1)),
                    list(named("l")).returns(page(&["Retail"], false, 1)),
                    list(named("Import")).returns(page(&["Import"], false, 1)),
                    list(named("Imports")).returns(page(&[], false, 0)),
                ],
            ]
            .concat(),
        ),
        rule(
            "the case does not matter, in any script",
            [
                found(&["ÄRZTE Köln", "Москва", "ΣΟΦΟΣΑ", "Straße"], "ärzte kÖ", &["ÄRZTE Köln"]),
                vec![
                    list(named("МОСК")).returns(page(&["Москва"], false, 1)),
                    list(named("σοφος")).returns(page(&["ΣΟΦΟΣΑ"], false, 1)),
                    list(named("ΣΟΦΟΣ")).returns(page(&["ΣΟΦΟΣΑ"], false, 1)),
                    list(named("STRASSE")).returns(page(&["Straße"], false, 1)),
                ],
            ]
            .concat(),
        ),
        rule(
            "the case does not matter either where letters have only one, or become several",
            [
                found(&["GROẞHÄNDLER", "größe"], "großhändler", &["GROẞHÄNDLER"]),
                ["\u{130}:i\u{307}", "\u{2126}:ω", "\u{212a}:k", "\u{212b}:å", "\u{3f4}:θ", "ﬁ:FI", "Ǆ:ǆ"]
                    .into_iter()
                    .flat_map(|pair| {
                        let (upper, lower) = pair.split_once(':').unwrap();
                        let [upper, lower] = [upper, lower].map(|letter| format!("1{letter}2"));
                        vec![
                            create(&upper).succeeds().named("upper"),
                            list(named(&lower)).returns(page(&["upper"], false, 1)),
                            Call::Update("@upper".to_owned(), json!({"customer_group_name": lower}))
                                .succeeds(),
                            list(named(&upper)).returns(page(&["upper"], false, 1)),
                            Call::Delete("@upper".to_owned()).succeeds(),
                        ]
                    })
                    .collect(),
            ]
            .concat(),
        ),
        rule(
            "composed and decomposed letters are the same",
            [
                found(&["Zu\u{308}rich", "각", "Й"], "ZÜRICH", &["Zu\u{308}rich"]),
                vec![
                    list(named("u\u{308}r")).returns(page(&["Zu\u{308}rich"], false, 1)),
                    list(named("\u{1100}\u{1161}\u{11a8}")).returns(page(&["각"], false, 1)),
                    list(named("и\u{306}")).returns(page(&["Й"], false, 1)),
                ],
            ]
            .concat(),
        ),
        rule(
            "an accent does not matter",
            [
                found(&["Zürich", "Łódź", "Ærø", "Νίκαια"], "zurich", &["Zürich"]),
                vec![
                    list(named("ZURÍCH")).returns(page(&["Zürich"], false, 1)),
                    list(named("lodz")).returns(page(&["Łódź"], false, 1)),
                    list(named("aero")).returns(page(&["Ærø"], false, 1)),
                    list(named("ΝΙΚΑΙΑ")).returns(page(&["Νίκαια"], false, 1)),
                ],
            ]
            .concat(),
        ),
        rule(
            "every character means itself",
            [
                found(&["100% off", "100 off", "a_b", "aXb", r"c\d", "cd", "(e|f)*"], "%", &["100% off"]),
                vec![
                    list(named("100%")).returns(page(&["100% off"], false, 1)),
                    list(named("a_b")).returns(page(&["a_b"], false, 1)),
                    list(named("_")).returns(page(&["a_b"], false, 1)),
                    list(named(r"\")).returns(page(&[r"c\d"], false, 1)),
                    list(named(r"\d")).returns(page(&[r"c\d"], false, 1)),
                    list(named("%%")).returns(page(&[], false, 0)),
                    // Without an accent these are `%`, `_` and `\`.
                    list(named("％％")).returns(page(&[], false, 0)),
                    list(named("a＿b")).returns(page(&["a_b"], false, 1)),
                    list(named("﹨d")).returns(page(&[r"c\d"], false, 1)),
                    list(named("\u{301}")).returns(page(&[], false, 0)),
                    list(named("e|f")).returns(page(&["(e|f)*"], false, 1)),
                    list(named("'; drop table customer_group; --")).returns(page(&[], false, 0)),
                ],
            ]
            .concat(),
        ),
    ])
    .await;
}

#[tokio::test]
async fn spaces_renames_and_limits_in_name_filters() {
    check(vec![
        rule(
            "white space around the text is removed, and inside it matters",
            [
                found(&["North East", "Northeast"], "  northeast\n", &["Northeast"]),
                vec![list(named("h e")).returns(page(&["North East"], false, 1))],
            ]
            .concat(),
        ),
        rule(
            "a group is found by the name that it has now",
            [
                found(&["Retail"], "retail", &["Retail"]),
                vec![
                    Call::Update("@Retail".to_owned(), json!({"customer_group_name": "Export"})).succeeds(),
                    list(named("retail")).returns(page(&[], false, 0)),
                    list(named("export")).returns(page(&["Retail"], false, 1)),
                ],
            ]
            .concat(),
        ),
        rule(
            "a part of a name may lack the end of a bidirectional control",
            found(&["a\u{2067}שלום\u{2069}"], "a\u{2067}ש", &["a\u{2067}שלום\u{2069}"]),
        ),
        rule("the text is as long as a name at most", found(&[], &"é".repeat(255), &[])),
        rule(
            "what no name can have is invalid",
            [
                String::new(),
                " \t".to_owned(),
                "\u{200b}\u{3164}".to_owned(),
                "a\0b".to_owned(),
                "a\nb".to_owned(),
                "é".repeat(256),
            ]
            .iter()
            .map(|text| list(named(text)).fails("parameter_invalid", &["customer_group_name"]))
            .collect(),
        ),
    ])
    .await;
}

#[tokio::test]
async fn pages_of_filtered_lists() {
    // Of the tree root > (a > (c, d), b). Each label is the name of the group.
    let steps = |filter: &Filter, [first, second]: [&'static str; 2]| {
        vec![
            part(filter, 1, None, None).returns(page(&[first], true, 2)),
            part(filter, 2, None, None).returns(page(&[first, second], false, 2)),
            part(filter, 1, Some(1), None).returns(page(&[second], false, 2)),
            part(filter, 0, None, None).returns(page(&[], true, 2)),
            part(filter, 0, Some(2), None).returns(page(&[], false, 2)),
            part(filter, 9, Some(i32::MAX), None).returns(page(&[], false, 2)),
            part(filter, 1, None, Some(&format!("@{first}"))).returns(page(&[second], false, 2)),
            part(filter, 1, Some(1), Some(&format!("@{first}"))).returns(page(&[], false, 2)),
            part(filter, 1, None, Some(&format!("@{second}"))).returns(page(&[], false, 2)),
        ]
    };
    let made = || vec![create_below("@b", "ab").succeeds().named("ab"), create("bc").succeeds().named("bc")];
    check(vec![
        on_tree("of children", steps(&below("@root"), ["b", "a"])),
        on_tree("of roots", [made(), steps(&below("null"), ["bc", "root"])].concat()),
        on_tree("of names", [made(), steps(&named("A"), ["ab", "a"])].concat()),
        on_tree(
            "a page starts after any group, in the list or not",
            vec![
                part(&below("@root"), 9, None, Some("@c")).returns(page(&["b", "a"], false, 2)),
                part(&named("a"), 9, None, Some("@b")).returns(page(&["a"], false, 1)),
            ],
        ),
        rule(
            "the limit is 20 by default",
            (0..21)
                .map(|number| create(&format!("n{number}")).succeeds())
                .chain([
                    list(below("null")).returns(json!({"has_more": true, "total": 21})),
                    list(named("N")).returns(json!({"has_more": true, "total": 21})),
                    part(&named("N"), 21, None, None).returns(json!({"has_more": false, "total": 21})),
                ])
                .collect(),
        ),
    ])
    .await;
}

#[tokio::test]
async fn both_filters() {
    let made = || {
        vec![
            create("Export").succeeds().named("Export"),
            create("Retail").succeeds().named("Retail"),
            create_below("@Retail", "Exported").succeeds().named("Exported"),
            create_below("@Retail", "Exporter").succeeds().named("Exporter"),
            create_below("@Retail", "Shops").succeeds().named("Shops"),
        ]
    };
    let shown = |steps: Vec<Step>| [made(), steps].concat();
    check(vec![
        rule(
            "both hold",
            shown(vec![
                list(both("@Retail", "EXPORT")).returns(page(&["Exporter", "Exported"], false, 2)),
                list(both("null", "export")).returns(page(&["Export"], false, 1)),
                list(both("@Export", "export")).returns(page(&[], false, 0)),
                list(both(UNKNOWN_ID, "export")).returns(page(&[], false, 0)),
                list(named("export")).returns(page(&["Exporter", "Exported", "Export"], false, 3)),
                part(&both("@Retail", "export"), 1, None, None).returns(page(&["Exporter"], true, 2)),
                part(&both("@Retail", "export"), 1, None, Some("@Exporter")).returns(page(
                    &["Exported"],
                    false,
                    2,
                )),
            ]),
        ),
        rule(
            "all that is wrong is said at once",
            vec![
                list(both("nobody", " ")).fails("parameter_invalid", &["parent_id", "customer_group_name"]),
                Call::Filtered(
                    both("nobody", "a\0"),
                    Page { limit: Some(-1), offset: Some(-1), starting_after: Some("nobody".to_owned()) },
                )
                .fails(
                    "parameter_invalid",
                    &["limit", "offset", "starting_after", "parent_id", "customer_group_name"],
                ),
            ],
        ),
        rest_rule(
            "the lists of the tree have no filters, and none is given twice",
            vec![
                Call::Http("GET", "/nobody/children?parent_id=null", None)
                    .fails("parameter_unknown", &["parent_id"]),
                Call::Http("GET", "?parent_id=null&parent_id=null", None)
                    .fails("parameter_invalid", &["parent_id"]),
                Call::Http("GET", "?customer_group_name", None)
                    .fails("parameter_invalid", &["customer_group_name"]),
            ],
        ),
    ])
    .await;
}
