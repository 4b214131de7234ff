//! UpdateCustomerGroup: field masks and fields. Moves are covered in `contract::writes` and `concurrency`.

use customer_groups::testing::{GroupId, pb};
use tonic::Code;

use crate::support::{Api, Calls, Client, below, fields, named, reason, update_of};
use crate::verify::assert_consistent;

/// A group in which every field has a value.
async fn full(client: &Client) -> pb::CustomerGroup {
    let root = client.create(named("All customers")).await.unwrap();
    let group = pb::CustomerGroup {
        is_group: true,
        parent_customer_group: Some("All customers".to_owned()),
        default_price_list: Some("Standard".to_owned()),
        payment_terms: Some("Net 30".to_owned()),
        ..below(&root, "Wholesale")
    };
    client.create(group).await.unwrap()
}

/// A group with only the id set.
fn only_id(group: &pb::CustomerGroup) -> pb::CustomerGroup {
    pb::CustomerGroup { id: group.id.clone(), ..Default::default() }
}

/// The group without its version and time of update.
fn without_time(group: pb::CustomerGroup) -> pb::CustomerGroup {
    pb::CustomerGroup { updated_at: None, etag: String::new(), ..group }
}

#[tokio::test]
async fn only_the_fields_in_the_mask_change() {
    let client = Api::start().await.client().await;
    let group = full(&client).await;
    let sent = pb::CustomerGroup {
        customer_group_name: "Export".to_owned(),
        payment_terms: Some("Net 60".to_owned()),
        ..only_id(&group)
    };
    let updated = client.update(update_of(sent, &["payment_terms"])).await.unwrap();
    let expected = pb::CustomerGroup { payment_terms: Some("Net 60".to_owned()), ..group };
    assert_eq!(without_time(updated.clone()), without_time(expected));
    assert_eq!(client.get(&updated.id).await.unwrap(), updated);
}

#[tokio::test]
async fn a_stored_name_that_is_refused_now_is_returned_and_the_other_fields_change() {
    let api = Api::start().await;
    let (client, sql) = (api.client().await, api.database.sql().await);
    for stored in ["\u{200b}", "invoice\u{202e}gpj"] {
        let group = client.create(named("a")).await.unwrap();
        let id = GroupId::parse(&group.id).unwrap().uuid();
        let store =
            "update customer_group set customer_group_name = $1, default_price_list = $1 where id = $2";
        sql.execute(store, &[&stored, &id]).await.unwrap();

        let sent = pb::CustomerGroup { payment_terms: Some("Net 60".to_owned()), ..only_id(&group) };
        let updated = client.update(update_of(sent, &["payment_terms"])).await.unwrap();
        assert_eq!((&*updated.customer_group_name, updated.default_price_list()), (stored, stored));
        assert_eq!(client.get(&group.id).await.unwrap(), updated);
        assert_eq!(client.list(Some(1), None).await.unwrap().data, std::slice::from_ref(&updated));
        let below = client.create(below(&group, "below")).await.unwrap();
        client.delete(&below.id).await.unwrap();

        let refused = client.update(update_of(updated, &["customer_group_name"])).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
    }
    assert_consistent(&api.database);
}

#[tokio::test]
async fn a_field_in_the_mask_without_a_value_is_cleared() {
    let client = Api::start().await.client().await;
    let group = full(&client).await;
    let mask = ["parent_id", "is_group", "parent_customer_group", "default_price_list", "payment_terms"];
    let updated = client.update(update_of(only_id(&group), &mask)).await.unwrap();
    let cleared = pb::CustomerGroup {
        id: group.id.clone(),
        created_at: group.created_at,
        updated_at: updated.updated_at,
        etag: updated.etag.clone(),
        customer_group_name: group.customer_group_name,
        ..Default::default()
    };
    assert_eq!(updated, cleared);
}

#[tokio::test]
async fn without_mask_paths_the_populated_fields_change() {
    let client = Api::start().await.client().await;
    let group = full(&client).await;
    for (mask, terms) in [(None, "Net 60"), (Some(prost_types::FieldMask::default()), "Net 90")] {
        let sent = pb::CustomerGroup { payment_terms: Some(terms.to_owned()), ..only_id(&group) };
        let request = pb::UpdateCustomerGroupRequest {
            customer_group: Some(sent),
            update_mask: mask,
            ..Default::default()
        };
        let updated = client.update(request).await.unwrap();
        let expected = pb::CustomerGroup { payment_terms: Some(terms.to_owned()), ..group.clone() };
        assert_eq!(without_time(updated), without_time(expected));
    }
}

#[tokio::test]
async fn a_star_replaces_every_field() {
    let client = Api::start().await.client().await;
    let group = full(&client).await;
    let sent = pb::CustomerGroup { customer_group_name: "Renamed".to_owned(), ..only_id(&group) };
    let updated = client.update(update_of(sent, &["*"])).await.unwrap();
    let replaced = pb::CustomerGroup { created_at: group.created_at, ..named("Renamed") };
    assert_eq!(without_time(updated), pb::CustomerGroup { id: group.id, ..replaced });
}

#[tokio::test]
async fn a_group_that_was_read_can_be_sent_back_whole() {
    let client = Api::start().await.client().await;
    let group = full(&client).await;
    let updated = client.update(update_of(group.clone(), &["*"])).await.unwrap();
    assert_eq!(without_time(updated), without_time(group));
}

#[tokio::test]
async fn updated_at_increases_with_every_update_even_within_a_millisecond() {
    let client = Api::start().await.client().await;
    let group = full(&client).await;
    let mut last = group.updated_at.unwrap();
    for _ in 0..50 {
        let sent = pb::CustomerGroup { payment_terms: group.payment_terms.clone(), ..only_id(&group) };
        let updated = client.update(update_of(sent, &["payment_terms"])).await.unwrap();
        let now = updated.updated_at.unwrap();
        assert!((now.seconds, now.nanos) > (last.seconds, last.nanos), "{now:?} after {last:?}");
        assert_eq!(now.nanos % 1_000_000, 0);
        assert_eq!(updated.created_at, group.created_at);
        last = now;
    }
}

#[tokio::test]
async fn an_update_without_fields_changes_nothing() {
    let client = Api::start().await.client().await;
    let group = full(&client).await;
    for mask in [vec![], vec!["id"], vec!["id", "created_at", "updated_at", "etag"]] {
        assert_eq!(client.update(update_of(only_id(&group), &mask)).await.unwrap(), group, "{mask:?}");
    }
    assert_eq!(client.get(&group.id).await.unwrap(), group);
}

#[tokio::test]
async fn output_only_fields_in_the_mask_are_ignored() {
    let client = Api::start().await.client().await;
    let group = full(&client).await;
    let sent = pb::CustomerGroup {
        created_at: None,
        updated_at: None,
        payment_terms: Some("Net 60".to_owned()),
        ..only_id(&group)
    };
    let mask = ["created_at", "updated_at", "payment_terms"];
    let updated = client.update(update_of(sent, &mask)).await.unwrap();
    assert_eq!(updated.created_at, group.created_at);
    assert_eq!(updated.payment_terms.as_deref(), Some("Net 60"));
}

#[tokio::test]
async fn unknown_mask_paths_are_rejected_by_name() {
    let client = Api::start().await.client().await;
    let group = full(&client).await;
    let sent = pb::CustomerGroup { payment_terms: Some("Net 60".to_owned()), ..only_id(&group) };
    for path in ["colour", "customerGroupName", "parent_id.x", "", "payment_terms ", "etag2"] {
        let status = client.update(update_of(sent.clone(), &["payment_terms", path])).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(reason(&status), "PARAMETER_UNKNOWN");
        assert_eq!(fields(&status), ["update_mask"]);
        assert!(status.message().contains(&format!("{path:?}")), "{}", status.message());
    }
    let status = client.update(update_of(sent, &["*", "payment_terms"])).await.unwrap_err();
    assert_eq!(fields(&status), ["update_mask"]);
    assert_eq!(client.get(&group.id).await.unwrap(), group);
}

#[tokio::test]
async fn many_unknown_mask_paths_get_a_short_error() {
    let client = Api::start().await.client().await;
    let group = full(&client).await;
    let paths: Vec<String> = (0..50_000).map(|number| format!("{}{number}", "🌳".repeat(10))).collect();
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    let status = client.update(update_of(only_id(&group), &paths)).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(fields(&status), ["update_mask"]);
    assert!(status.message().contains("49997 more"), "{}", status.message());
    assert!(status.message().len() + status.details().len() < 2000);
}

#[tokio::test]
async fn every_violated_field_is_reported_and_nothing_changes() {
    let client = Api::start().await.client().await;
    let group = full(&client).await;
    let child = client.create(below(&group, "Below")).await.unwrap();
    let sent = pb::CustomerGroup {
        parent_id: Some(child.id),
        customer_group_name: "\0".to_owned(),
        default_price_list: Some("p".repeat(256)),
        ..only_id(&group)
    };
    let mask = ["parent_id", "customer_group_name", "default_price_list", "nonsense", "more nonsense"];
    let status = client.update(update_of(sent, &mask)).await.unwrap_err();
    let all = ["parent_id", "customer_group_name", "default_price_list", "update_mask"];
    assert_eq!(fields(&status), all);
    assert_eq!(reason(&status), "PARAMETER_INVALID");
    assert_eq!(client.get(&group.id).await.unwrap(), group);
}

#[tokio::test]
async fn a_name_cannot_be_cleared() {
    let client = Api::start().await.client().await;
    let group = full(&client).await;
    for mask in ["customer_group_name", "*"] {
        let status = client.update(update_of(only_id(&group), &[mask])).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(fields(&status), ["customer_group_name"]);
    }
    assert_eq!(client.get(&group.id).await.unwrap(), group);
}

#[tokio::test]
async fn an_update_of_an_unknown_group_is_not_found_despite_other_violations() {
    let client = Api::start().await.client().await;
    for id in ["", "nobody", "customer-group_01h455vb4pex5vsknk084sn02q"] {
        for name in ["Renamed", "\0"] {
            for mask in [vec![], vec!["customer_group_name"]] {
                let sent = pb::CustomerGroup { id: id.to_owned(), ..named(name) };
                let status = client.update(update_of(sent, &mask)).await.unwrap_err();
                assert_eq!(status.code(), Code::NotFound, "{id:?} {name:?} {mask:?}");
            }
        }
    }
}

#[tokio::test]
async fn an_update_without_a_group_is_refused() {
    let client = Api::start().await.client().await;
    let without_a_mask = pb::UpdateCustomerGroupRequest::default();
    let update_mask = Some(prost_types::FieldMask { paths: vec!["nonsense".to_owned()] });
    let with_a_mask = pb::UpdateCustomerGroupRequest { update_mask, ..Default::default() };
    for (request, names) in
        [(without_a_mask, vec!["customer_group"]), (with_a_mask, vec!["customer_group", "update_mask"])]
    {
        let status = client.update(request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(fields(&status), names);
    }
}
