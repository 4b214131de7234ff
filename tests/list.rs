//! ListCustomerGroups.

use tonic::Code;

use crate::support::{Api, Calls, Client, fields, ids, named};

async fn create(client: &Client, count: usize) -> Vec<String> {
    let mut newest_first = Vec::new();
    for number in 0..count {
        newest_first.insert(0, client.create(named(&format!("group {number}"))).await.unwrap().id);
    }
    newest_first
}

#[tokio::test]
async fn an_empty_list_has_a_total_of_zero() {
    let list = Api::start().await.client().await.list(None, None).await.unwrap();
    assert_eq!((list.data.len(), list.has_more, list.total), (0, false, 0));
}

#[tokio::test]
async fn the_most_recently_created_group_comes_first() {
    let client = Api::start().await.client().await;
    let newest_first = create(&client, 5).await;
    let list = client.list(None, None).await.unwrap();
    assert_eq!(ids(&list.data), newest_first);
    assert_eq!((list.has_more, list.total), (false, 5));
}

#[tokio::test]
async fn a_page_has_20_groups_unless_asked_otherwise() {
    let client = Api::start().await.client().await;
    let newest_first = create(&client, 21).await;
    let list = client.list(None, None).await.unwrap();
    assert_eq!(ids(&list.data), newest_first[..20]);
    assert_eq!((list.has_more, list.total), (true, 21));
}

#[tokio::test]
async fn pages_follow_each_other_and_has_more_is_true_until_the_last() {
    let client = Api::start().await.client().await;
    let newest_first = create(&client, 5).await;
    for (limit, offset, expected, has_more) in [
        (2, 0, &newest_first[..2], true),
        (2, 2, &newest_first[2..4], true),
        (2, 4, &newest_first[4..], false),
        (3, 2, &newest_first[2..], false),
        (5, 0, &newest_first[..], false),
        (4, 0, &newest_first[..4], true),
        (2, 5, &[], false),
        (2, i32::MAX, &[], false),
    ] {
        let list = client.list(Some(limit), Some(offset)).await.unwrap();
        assert_eq!(ids(&list.data), expected, "limit {limit}, offset {offset}");
        assert_eq!((list.has_more, list.total), (has_more, 5), "limit {limit}, offset {offset}");
    }
}

#[tokio::test]
async fn a_limit_of_zero_gives_an_empty_page_with_the_total() {
    let client = Api::start().await.client().await;
    create(&client, 2).await;
    let list = client.list(Some(0), None).await.unwrap();
    assert_eq!((list.data.len(), list.has_more, list.total), (0, true, 2));
}

#[tokio::test]
async fn a_limit_above_1000_is_lowered_to_1000() {
    let api = Api::start().await;
    insert_groups(&api, 1001).await;
    let client = api.client().await;
    for limit in [1001, i32::MAX] {
        let list = client.list(Some(limit), None).await.unwrap();
        assert_eq!((list.data.len(), list.has_more, list.total), (1000, true, 1001));
    }
}

#[tokio::test]
async fn every_negative_number_is_refused_by_name() {
    let client = Api::start().await.client().await;
    for (limit, offset, names) in [
        (Some(-1), None, vec!["limit"]),
        (None, Some(-1), vec!["offset"]),
        (Some(i32::MIN), Some(i32::MIN), vec!["limit", "offset"]),
    ] {
        let status = client.list(limit, offset).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_eq!(fields(&status), names);
    }
}

#[tokio::test]
async fn the_total_stays_exact_through_deletes_rollbacks_and_truncation() {
    let api = Api::start().await;
    let client = api.client().await;
    let groups = create(&client, 3).await;
    client.delete(&groups[0]).await.unwrap();
    let sql = api.database.sql().await;
    sql.batch_execute("begin; delete from customer_group; rollback").await.unwrap();
    assert_eq!(client.list(None, None).await.unwrap().total, 2);
    sql.batch_execute("delete from customer_group where false").await.unwrap();
    assert_eq!(client.list(None, None).await.unwrap().total, 2);
    sql.batch_execute("truncate customer_group").await.unwrap();
    assert_eq!(client.list(None, None).await.unwrap().total, 0);
}

/// Many roots in one statement, with ids that the service could have made.
async fn insert_groups(api: &Api, count: i32) {
    let insert = "insert into customer_group (id, updated_at, is_group, customer_group_name)
                  select ('01890a5d-ac96-774b-bcce-' || lpad(to_hex(n), 12, '0'))::uuid, now(), false, n::text
                  from generate_series(1, $1) as n";
    api.database.sql().await.execute(insert, &[&count]).await.unwrap();
}
