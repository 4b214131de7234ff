//! Contract rules for names and texts.

use customer_groups::testing::TextField;
use serde_json::json;

use super::reads::create;
use super::writes::{named_with, total, update};
use super::{Call, check, rule};

/// Names of which a person sees nothing.
const INVISIBLE: [&str; 7] =
    ["\u{200b}", "\u{2060}", "\u{ad}", "\u{3164}", "\u{2800}", " \u{feff} \u{200e} ", "\u{202a}\u{202c}"];

/// Texts with a bidirectional control that stays open.
const OPEN: [&str; 7] = [
    "\u{202a}a",
    "\u{202b}a",
    "a\u{202d}",
    "invoice\u{202e}gpj",
    "\u{2066}a\u{202c}",
    "\u{2067}a",
    "\u{2068}a\u{2068}b\u{2069}",
];

fn batch_of(name: &str) -> Call {
    Call::BatchCreate(vec![json!({"customer_group": {"customer_group_name": name}})])
}

#[tokio::test]
async fn names_and_texts() {
    let name = |name: &str| create(name);
    check(vec![
        rule(
            "the white space around a name is removed",
            vec![name(" \t\u{2003}a b \n").returns(json!({"customer_group_name": "a b"}))],
        ),
        rule(
            "a name has 1 to 255 characters",
            vec![
                name("n").succeeds(),
                name(&"é".repeat(255)).succeeds(),
                name(&format!(" {} ", "🌳".repeat(255))).succeeds(),
                name(&"n".repeat(256)).fails("parameter_invalid", &["customer_group_name"]),
                name("").fails("parameter_missing", &["customer_group_name"]),
                name(" \u{a0}").fails("parameter_missing", &["customer_group_name"]),
                Call::Create(json!({})).fails("parameter_missing", &["customer_group_name"]),
                Call::Create(json!({"customer_group_name": null}))
                    .fails("parameter_missing", &["customer_group_name"]),
                total(3),
            ],
        ),
        rule("names need not be unique", vec![name("a").succeeds(), name("a").succeeds(), total(2)]),
        rule(
            "a name has no control characters",
            vec![
                name("a\0b").fails("parameter_invalid", &["customer_group_name"]),
                name("a\nb").fails("parameter_invalid", &["customer_group_name"]),
                name("a\u{9b}b").fails("parameter_invalid", &["customer_group_name"]),
            ],
        ),
        rule(
            "a name has a visible character",
            INVISIBLE
                .map(|text| name(text).fails("parameter_missing", &["customer_group_name"]))
                .into_iter()
                .chain([
                    name("a").succeeds().named("a"),
                    update("@a", json!({"customer_group_name": "\u{2060}"}))
                        .fails("parameter_missing", &["customer_group_name"]),
                    batch_of("\u{ad}")
                        .fails("parameter_missing", &["requests[0].customer_group.customer_group_name"]),
                    name("نامه\u{200c}ای").returns(json!({"customer_group_name": "نامه\u{200c}ای"})),
                    name("\u{2764}\u{fe0f}").returns(json!({"customer_group_name": "\u{2764}\u{fe0f}"})),
                    total(3),
                ])
                .collect(),
        ),
        rule(
            "a bidirectional control in a name is closed",
            OPEN.map(|text| name(text).fails("parameter_invalid", &["customer_group_name"]))
                .into_iter()
                .chain([
                    name("a").succeeds().named("a"),
                    update("@a", json!({"customer_group_name": "\u{202e}gpj"}))
                        .fails("parameter_invalid", &["customer_group_name"]),
                    batch_of("\u{202e}gpj")
                        .fails("parameter_invalid", &["requests[0].customer_group.customer_group_name"]),
                    name("\u{2067}שלום\u{2069} \u{202b}שלום\u{202c}").succeeds(),
                    total(2),
                ])
                .collect(),
        ),
    ])
    .await;
}

#[tokio::test]
async fn optional_texts() {
    let kept = |text: &str| {
        TextField::ALL.map(TextField::name).map(|field| {
            let mut response = json!({});
            response[field] = json!(text);
            Call::Create(named_with(field, text)).returns(response)
        })
    };
    let refused = |text: &str| {
        TextField::ALL
            .map(TextField::name)
            .map(|field| Call::Create(named_with(field, text)).fails("parameter_invalid", &[field]))
    };
    check(vec![
        rule("an empty text stays empty", kept("").into()),
        rule("a text is stored verbatim", kept(" Net 30 '; drop table customer_group; -- 🌳 ").into()),
        rule("a text has up to 255 characters", kept(&"é".repeat(255)).into()),
        rule("a text of 256 characters is refused", refused(&"t".repeat(256)).into()),
        rule("a text has no control characters", refused("a\u{7f}").into()),
        rule("a text may be invisible", kept("\u{200b}").into()),
        rule("a bidirectional control in a text is closed", OPEN.into_iter().flat_map(refused).collect()),
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
