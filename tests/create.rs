//! CreateCustomerGroup.

use std::time::{SystemTime, UNIX_EPOCH};

use customer_groups::grpc::pb;
use tonic::Code;

use crate::support::{Api, Calls, below, fields, named, reason};

#[tokio::test]
async fn a_new_group_has_what_was_given_and_what_the_service_sets() {
    let client = Api::start().await.client().await;
    let before = milliseconds_now();
    let root = client.create(named("All customers")).await.unwrap();
    let given = pb::CustomerGroup {
        parent_id: Some(root.id.clone()),
        is_group: true,
        customer_group_name: "Wholesale".to_owned(),
        parent_customer_group: Some("All customers".to_owned()),
        default_price_list: Some("Standard".to_owned()),
        payment_terms: Some("Net 30".to_owned()),
        ..Default::default()
    };
    let created = client.create(given.clone()).await.unwrap();

    assert!(created.id.starts_with("customer-group_"), "{}", created.id);
    assert_eq!(created.id.len(), "customer-group_".len() + 26);
    let at = created.created_at.unwrap();
    let milliseconds = at.seconds * 1000 + i64::from(at.nanos) / 1_000_000;
    assert!((before..=milliseconds_now()).contains(&milliseconds));
    assert_eq!(at.nanos % 1_000_000, 0);
    assert_eq!(created.updated_at, created.created_at);
    let set_by_the_service = pb::CustomerGroup {
        id: created.id.clone(),
        created_at: created.created_at,
        updated_at: created.updated_at,
        etag: created.etag.clone(),
        ..given
    };
    assert_eq!(created, set_by_the_service);
    assert_eq!(client.get(&created.id).await.unwrap(), created);
}

#[tokio::test]
async fn a_name_is_all_that_a_new_group_needs() {
    let client = Api::start().await.client().await;
    let created = client.create(named("Retail")).await.unwrap();
    assert!(!created.is_group);
    assert_eq!(created.parent_id, None);
    assert_eq!(created.parent_customer_group, None);
    assert_eq!(created.default_price_list, None);
    assert_eq!(created.payment_terms, None);
}

#[tokio::test]
async fn several_roots_and_equal_names_are_allowed() {
    let client = Api::start().await.client().await;
    let first = client.create(named("All customers")).await.unwrap();
    let second = client.create(named("All customers")).await.unwrap();
    assert_ne!(first.id, second.id);
}

#[tokio::test]
async fn a_group_that_is_no_group_may_have_children() {
    let client = Api::start().await.client().await;
    let leaf = client.create(pb::CustomerGroup { is_group: false, ..named("Leaf") }).await.unwrap();
    client.create(below(&leaf, "Below a leaf")).await.unwrap();
}

#[tokio::test]
async fn the_white_space_around_a_name_is_removed_and_other_text_is_kept() {
    let client = Api::start().await.client().await;
    let padded =
        pb::CustomerGroup { payment_terms: Some("  Net 30 ".to_owned()), ..named(" \tExport\u{a0}\n") };
    let created = client.create(padded).await.unwrap();
    assert_eq!(created.customer_group_name, "Export");
    assert_eq!(created.payment_terms.as_deref(), Some("  Net 30 "));
}

#[tokio::test]
async fn an_empty_optional_text_is_stored_as_given() {
    let client = Api::start().await.client().await;
    let group = pb::CustomerGroup { default_price_list: Some(String::new()), ..named("Export") };
    let created = client.create(group).await.unwrap();
    assert_eq!(client.get(&created.id).await.unwrap().default_price_list.as_deref(), Some(""));
}

#[tokio::test]
async fn output_only_fields_are_ignored_so_that_a_read_group_can_be_sent_back() {
    let client = Api::start().await.client().await;
    let first = client.create(named("Export")).await.unwrap();
    let second = client.create(first.clone()).await.unwrap();
    assert_ne!(second.id, first.id);
    assert!(second.created_at.unwrap().seconds >= first.created_at.unwrap().seconds);
}

#[tokio::test]
async fn the_longest_texts_are_taken_and_longer_ones_refused() {
    let client = Api::start().await.client().await;
    let group = |length: usize| pb::CustomerGroup {
        parent_customer_group: Some("é".repeat(length)),
        default_price_list: Some("🌳".repeat(length)),
        payment_terms: Some("x".repeat(length)),
        ..named(&"名".repeat(length))
    };
    let created = client.create(group(255)).await.unwrap();
    assert_eq!(client.get(&created.id).await.unwrap(), created);

    let status = client.create(group(256)).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(reason(&status), "PARAMETER_INVALID");
    let all = ["customer_group_name", "parent_customer_group", "default_price_list", "payment_terms"];
    assert_eq!(fields(&status), all);
}

#[tokio::test]
async fn control_characters_are_refused() {
    let client = Api::start().await.client().await;
    for character in ['\0', '\t', '\n', '\u{1b}', '\u{7f}', '\u{85}'] {
        let text = format!("a{character}b");
        let group = pb::CustomerGroup { payment_terms: Some(text.clone()), ..named(&text) };
        let status = client.create(group).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(fields(&status), ["customer_group_name", "payment_terms"], "{character:?}");
    }
}

#[tokio::test]
async fn a_missing_name_is_refused() {
    let client = Api::start().await.client().await;
    for name in ["", "   ", "\u{2003}\n"] {
        let status = client.create(named(name)).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(reason(&status), "PARAMETER_MISSING");
        assert_eq!(fields(&status), ["customer_group_name"]);
    }
    let without_a_group = pb::CreateCustomerGroupRequest { customer_group: None };
    let status = client.clone().create_customer_group(without_a_group).await.unwrap_err();
    assert_eq!(fields(&status), ["customer_group_name"]);
}

#[tokio::test]
async fn an_unknown_parent_is_refused_by_name() {
    let api = Api::start().await;
    let client = api.client().await;
    let gone = client.create(named("Gone")).await.unwrap();
    client.delete(&gone.id).await.unwrap();
    for parent_id in [gone.id.as_str(), "customer-group_abc123", "", "All customers"] {
        let group = pb::CustomerGroup { parent_id: Some(parent_id.to_owned()), ..named("Orphan") };
        let status = client.create(group).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(reason(&status), "PARENT_NOT_FOUND", "{parent_id:?}");
        assert_eq!(fields(&status), ["parent_id"]);
    }
    assert_eq!(api.database.number("select count(*) from customer_group").await, 0);
}

#[tokio::test]
async fn every_violated_field_is_reported_at_once_an_unknown_parent_too() {
    let client = Api::start().await.client().await;
    let gone = client.create(named("Gone")).await.unwrap();
    client.delete(&gone.id).await.unwrap();
    let group = pb::CustomerGroup {
        parent_customer_group: Some("\0".to_owned()),
        default_price_list: Some("p".repeat(256)),
        payment_terms: Some("\u{1}".to_owned()),
        ..below(&gone, " ")
    };
    let status = client.create(group).await.unwrap_err();
    assert_eq!(reason(&status), "PARAMETER_INVALID");
    let all =
        ["parent_id", "customer_group_name", "parent_customer_group", "default_price_list", "payment_terms"];
    assert_eq!(fields(&status), all);
}

fn milliseconds_now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis().try_into().unwrap()
}
