//! One API key, and one kind of calls, can take only a share of what the service has.

use std::num::NonZeroUsize;
use std::time::Duration;

use customer_groups::testing::pb::ListCustomerGroupsRequest;
use customer_groups::testing::{COLLECTION, GroupId, Limits, Scope};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use hyper::body::Incoming;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::{Code, Status};

use crate::auth::make_key;
use crate::contract::{Call, CallOptions, Page, make};
use crate::stream::open_list;
use crate::support::http::{get, open};
use crate::support::protocol::Protocol;
use crate::support::{
    Api, BOUNDS, Calls, Client, KEY, TIMEOUTS, TestDatabase, below, eventually, move_of, named, reason,
    update_of,
};

/// The time that calls wait for their turn in these tests.
const SHORT: Duration = Duration::from_millis(200);

async fn start_impatient() -> Api {
    Api::start_with(TestDatabase::create().await, TIMEOUTS, 8, SHORT).await
}

/// A client with a key of its own.
async fn another_client(api: &Api) -> Client {
    let (_, secret) = make_key(api, Scope::Write).await;
    api.client_with(secret.expose()).await
}

fn assert_overloaded<T: std::fmt::Debug>(done: Result<T, Status>) {
    let status = done.unwrap_err();
    assert_eq!((status.code(), &*reason(&status)), (Code::ResourceExhausted, "OVERLOADED"));
}

async fn search(client: &Client, name: &str) -> Result<i32, Status> {
    let request =
        ListCustomerGroupsRequest { customer_group_name: Some(name.to_owned()), ..Default::default() };
    Ok(client.clone().list_customer_groups(request).await?.into_inner().total)
}

#[tokio::test]
async fn one_key_takes_only_its_share_of_the_calls() {
    let number = |number| NonZeroUsize::new(number).unwrap();
    let bounds = Limits { calls: number(4), calls_per_key: number(2), ..BOUNDS };
    let api = Api::start_within(bounds, TIMEOUTS).await;
    let (client, other) = (api.client().await, another_client(&api).await);
    other.list(None, None).await.unwrap();
    let lock = api.database.lock("customer_group").await;
    let waiting: Vec<_> = (0..2)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.list(None, None).await })
        })
        .collect();
    api.database.until_statements_run(2).await;

    assert_overloaded(client.list(None, None).await);
    let response = get(api.address(), COLLECTION, &[("authorization", &format!("Bearer {KEY}"))]).await;
    assert_eq!((response.status.as_u16(), &response.headers["retry-after"]), (429, &"1".parse().unwrap()));
    let admitted = tokio::spawn(async move { other.list(None, None).await });
    api.database.until_statements_run(3).await;

    lock.release().await;
    admitted.await.unwrap().unwrap();
    for waiting in waiting {
        waiting.await.unwrap().unwrap();
    }
    client.list(None, None).await.unwrap();
}

#[tokio::test]
async fn searches_of_one_key_delay_neither_searches_of_others_nor_other_calls() {
    let api = start_impatient().await;
    let (client, other) = (api.client().await, another_client(&api).await);
    let sql = api.database.sql().await;
    // A search for `slow` waits for a lock of the test.
    sql.batch_execute(
        "select pg_advisory_lock(1);
         create or replace function customer_group_name_search(name text) returns text
         language plpgsql immutable strict parallel safe as $$ begin
             if name = 'slow' then perform pg_advisory_xact_lock_shared(1); end if;
             return lower(name);
         end $$",
    )
    .await
    .unwrap();

    // Twice as many as connections. All but one are refused, when they have waited for their turn.
    let mut slow: FuturesUnordered<_> = (0..16).map(|_| search(&client, "slow")).collect();
    for _ in 0..15 {
        assert_overloaded(slow.next().await.unwrap());
    }
    let group = other.create(named("Export")).await.unwrap();
    assert_eq!(search(&other, "port").await.unwrap(), 1);
    client.create(named("Retail")).await.unwrap();
    client.update(update_of(group, &["payment_terms"])).await.unwrap();
    client.list(None, None).await.unwrap();

    sql.batch_execute("select pg_advisory_unlock(1)").await.unwrap();
    assert_eq!(slow.next().await.unwrap().unwrap(), 0);
}

#[tokio::test]
async fn calls_of_one_key_leave_connections_to_others() {
    let api = start_impatient().await;
    let (client, other) = (api.client().await, another_client(&api).await);
    let (locked, free) =
        (client.create(named("locked")).await.unwrap(), other.create(named("free")).await.unwrap());
    let mut sql = api.database.sql().await;
    let held = sql.transaction().await.unwrap();
    let id = GroupId::parse(&locked.id).unwrap().uuid();
    held.execute("update customer_group set is_group = true where id = $1", &[&id]).await.unwrap();

    let updates: Vec<_> = (0..20)
        .map(|_| {
            let (client, update) = (client.clone(), update_of(locked.clone(), &["payment_terms"]));
            tokio::spawn(async move { client.update(update).await })
        })
        .collect();
    // Three quarters of eight connections.
    api.database.until_statements_run(6).await;
    other.update(update_of(free, &["payment_terms"])).await.unwrap();
    assert_eq!(other.list(None, None).await.unwrap().total, 2);
    assert_overloaded(client.list(None, None).await);

    held.rollback().await.unwrap();
    let mut done = 0;
    for update in updates {
        match update.await.unwrap() {
            Ok(_) => done += 1,
            refused => assert_overloaded(refused),
        }
    }
    assert_eq!(done, 6);
}

#[tokio::test]
async fn moves_that_wait_for_each_other_leave_connections_for_other_calls() {
    const MOVES: usize = 40;
    let api = start_impatient().await;
    let client = api.client().await;
    let root = client.create(named("root")).await.unwrap();
    let group = client.create(named("group")).await.unwrap();
    let lock = api.database.lock_moves().await;

    let mut moves: FuturesUnordered<_> =
        (0..MOVES).map(|_| client.update(move_of(&group, Some(&root)))).collect();
    for _ in 1..MOVES {
        assert_overloaded(moves.next().await.unwrap());
    }
    client.create(below(&root, "new")).await.unwrap();
    client.update(update_of(group.clone(), &["payment_terms"])).await.unwrap();
    client.list(None, None).await.unwrap();

    lock.batch_execute("select pg_advisory_unlock_all()").await.unwrap();
    assert_eq!(moves.next().await.unwrap().unwrap().parent_id, Some(root.id));
}

#[tokio::test]
async fn slow_readers_with_one_key_leave_long_lists_to_others() {
    let api = start_impatient().await;
    let root = api.database.plant(20_000, 50).await;
    let open_with = async |key: &str| -> hyper::Response<Incoming> {
        let path = format!("{COLLECTION}/{root}/descendants");
        open(api.address(), "GET", &path, &[("authorization", &*format!("Bearer {key}"))], "").await
    };
    // A quarter of the connections.
    let mut unread = Vec::new();
    for _ in 0..2 {
        unread.push(open_list(api.address(), &root, &[]).await);
    }
    assert!(unread.iter().all(|list| list.status() == 200));

    let refused = open_with(KEY).await;
    assert_eq!((refused.status().as_u16(), &refused.headers()["retry-after"]), (429, &"1".parse().unwrap()));
    let (_, secret) = make_key(&api, Scope::Read).await;
    for _ in 0..2 {
        let list = open_with(secret.expose()).await;
        assert_eq!(list.status(), 200);
        unread.push(list);
    }
    // Half of the connections are left.
    let client = api.client().await;
    client.create(named("Export")).await.unwrap();

    drop(unread);
    let is_served = async { while open_with(KEY).await.status() != 200 {} };
    eventually("there is room for another list", is_served).await;
}

#[tokio::test]
async fn large_requests_and_responses_in_memory_are_limited_in_all_and_for_one_key() {
    const MIB: u32 = 1 << 20;
    let api = Api::start_within(Limits { buffered_bytes: MIB, ..BOUNDS }, TIMEOUTS).await;
    let (client, other) = (api.client().await, another_client(&api).await);

    // Unfinished requests: the first two fill the share of the key.
    let mut unfinished = Vec::new();
    for _ in 0..3 {
        let mut stream = TcpStream::connect(api.address()).await.unwrap();
        let head = format!(
            "POST {COLLECTION} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\n\
             content-type: application/json\r\ncontent-length: 4000000\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&vec![b' '; 250_000]).await.unwrap();
        unfinished.push(stream);
    }
    let responses = unfinished.iter_mut().map(|stream| async move {
        let mut start = [0; 12];
        stream.read_exact(&mut start).await.unwrap();
        start
    });
    let mut responses: FuturesUnordered<_> = responses.collect();
    let first = eventually("one of them is refused", responses.next()).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 429");
    drop(responses);

    // The rest of the share is enough for small calls, and other keys have shares of their own.
    client.create(named("Export")).await.unwrap();
    api.database.plant(60, 50).await;
    other.list(Some(60), None).await.unwrap();
    drop(unfinished);
}

#[tokio::test]
async fn a_request_or_response_above_the_share_of_its_key_is_refused_on_every_face() {
    let api = Api::start_within(Limits { buffered_bytes: 1 << 20, ..BOUNDS }, TIMEOUTS).await;
    api.database.plant(999, 50).await;
    let long = named(&"🌳".repeat(255));
    let entries =
        (0..1000).map(|_| json!({"customer_group": {"customer_group_name": long.customer_group_name}}));
    let batch = Call::BatchCreate(entries.collect());
    let list = Call::List(Page { limit: Some(500), ..Page::default() });
    let with = CallOptions { authorization: Some(format!("Bearer {KEY}")), ..CallOptions::default() };
    for protocol in Protocol::ALL {
        for call in [&batch, &list] {
            let refused = make(protocol, api.address(), call, &with).await.unwrap_err();
            assert_eq!(refused.code, "overloaded", "{protocol:?} {refused:?}");
        }
    }
    // Nothing was created, and nothing is still counted.
    assert_eq!(api.client().await.list(Some(60), None).await.unwrap().total, 1000);
}
