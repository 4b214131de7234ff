//! Lists: limits, filters and exact totals.

use customer_groups::testing::pb::{
    ListCustomerGroupChildrenRequest, ListCustomerGroupDescendantsRequest, ListCustomerGroupsRequest,
    ListCustomerGroupsResponse,
};

use crate::support::{Api, Calls, Client, named};

async fn create(client: &Client, count: usize) -> Vec<String> {
    let mut newest_first = Vec::new();
    for number in 0..count {
        newest_first.insert(0, client.create(named(&format!("group {number}"))).await.unwrap().id);
    }
    newest_first
}

#[tokio::test]
async fn a_limit_above_1000_is_lowered_to_1000() {
    let api = Api::start().await;
    insert_groups(&api, 1001).await;
    let client = api.client().await;
    for limit in [1001, i32::MAX] {
        let list = client.list(Some(limit), None).await.unwrap();
        assert_eq!((list.data.len(), list.has_more, list.total), (1000, true, 1001));
        let roots = filtered(&client, limit, Some("null"), None).await;
        assert_eq!((roots.data.len(), roots.has_more, roots.total), (1000, true, 1001));
    }
}

async fn filtered(
    client: &Client,
    limit: i32,
    parent_id: Option<&str>,
    name: Option<&str>,
) -> ListCustomerGroupsResponse {
    let request = ListCustomerGroupsRequest {
        limit: Some(limit),
        parent_id: parent_id.map(str::to_owned),
        customer_group_name: name.map(str::to_owned),
        ..Default::default()
    };
    client.clone().list_customer_groups(request).await.unwrap().into_inner()
}

#[tokio::test]
async fn filtered_totals_and_pages_stay_correct_during_creates_and_deletes() {
    let api = Api::start().await;
    insert_groups(&api, 1000).await;
    let client = api.client().await;
    // Of the numbers below 1000, 9 * 9 * 9 contain no seven; neither does 1000.
    for filter in [(None, Some("7")), (Some("null"), Some("7"))] {
        let all = filtered(&client, 1000, filter.0, filter.1).await;
        assert_eq!((all.data.len(), all.has_more, all.total), (271, false, 271));
        assert!(all.data.iter().all(|group| group.customer_group_name.contains('7')));
        assert!(all.data.is_sorted_by(|a, b| a.id > b.id));
    }
    let first = filtered(&client, 100, None, Some("7")).await;
    let mut met = first.data;
    let newest = client.create(named("7 more")).await.unwrap();
    client.delete(&met[99].id).await.unwrap();
    while met.len() < 271 {
        let starting_after = Some(met[met.len() - 1].id.clone());
        let request = ListCustomerGroupsRequest {
            limit: Some(100),
            starting_after,
            customer_group_name: Some("7".to_owned()),
            ..Default::default()
        };
        let page = client.clone().list_customer_groups(request).await.unwrap().into_inner();
        assert_eq!((page.total, page.has_more), (271, met.len() + page.data.len() < 271));
        met.extend(page.data);
    }
    assert!(met.is_sorted_by(|a, b| a.id > b.id) && !met.contains(&newest));
}

#[tokio::test]
async fn the_limit_of_a_tree_list_is_not_lowered() {
    let api = Api::start().await;
    insert_groups(&api, 1501).await;
    let client = api.client().await;
    let root = client.create(named("root")).await.unwrap();
    let adopt = "update customer_group set parent_id = root.id from customer_group root
                 where root.customer_group_name = 'root' and customer_group.id <> root.id";
    api.database.sql().await.batch_execute(adopt).await.unwrap();
    let (id, offset) = (root.id, None);
    for (limit, count, has_more) in
        [(Some(1500), 1500, true), (Some(i32::MAX), 1501, false), (None, 1501, false)]
    {
        let request =
            ListCustomerGroupChildrenRequest { id: id.clone(), limit, offset, ..Default::default() };
        let list = client.clone().list_customer_group_children(request).await.unwrap().into_inner();
        assert_eq!((list.data.len(), list.has_more, list.total), (count, has_more, 1501));
        let request =
            ListCustomerGroupDescendantsRequest { id: id.clone(), limit, offset, ..Default::default() };
        let list = client.clone().list_customer_group_descendants(request).await.unwrap().into_inner();
        assert_eq!((list.data.len(), list.has_more, list.total), (count, has_more, 1501));
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

/// Inserts many roots in one statement, with valid ids.
async fn insert_groups(api: &Api, count: i32) {
    let insert = "insert into customer_group (id, updated_at, is_group, customer_group_name)
                  select ('01890a5d-ac96-774b-bcce-' || lpad(to_hex(n), 12, '0'))::uuid, now(), false, n::text
                  from generate_series(1, $1) as n";
    api.database.sql().await.execute(insert, &[&count]).await.unwrap();
}
