//! CreateCustomerGroup.

use std::time::{SystemTime, UNIX_EPOCH};

use customer_groups::testing::pb;

use crate::support::{Api, Calls, named};

#[tokio::test]
async fn a_new_group_has_the_fields_from_the_request_and_from_the_service() {
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
async fn output_only_fields_are_ignored_so_that_a_read_group_can_be_sent_back() {
    let client = Api::start().await.client().await;
    let first = client.create(named("Export")).await.unwrap();
    let second = client.create(first.clone()).await.unwrap();
    assert_ne!(second.id, first.id);
    assert!(second.created_at.unwrap().seconds >= first.created_at.unwrap().seconds);
}

fn milliseconds_now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis().try_into().unwrap()
}
