//! Prepared statements that PostgreSQL no longer accepts.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;

use crate::contract::{Call, CallOptions, Filter, Page, make};
use crate::support::protocol::Protocol;
use crate::support::{Api, Calls, KEY, LIMITS, TIMEOUTS, TestDatabase, below, named};

/// One call for each statement that reads or changes groups.
fn calls(parent: &str, child: &str) -> Vec<Call> {
    let (parent, child) = (|| parent.to_owned(), || child.to_owned());
    let page = || Page { limit: Some(10), ..Page::default() };
    let filter =
        |parent_id, name: Option<&str>| Filter { parent_id, customer_group_name: name.map(str::to_owned) };
    let new = json!({"customer_group_name": "new"});
    vec![
        Call::Get(child()),
        Call::Ancestors(child(), page()),
        Call::BatchGet(vec![parent(), child()]),
        Call::List(page()),
        Call::Filtered(filter(None, Some("new")), page()),
        Call::Filtered(filter(Some(parent()), None), page()),
        Call::Filtered(filter(Some(parent()), Some("new")), page()),
        Call::Children(parent(), page()),
        Call::Descendants(parent(), page()),
        // These are streamed.
        Call::Children(parent(), Page::default()),
        Call::StreamDescendants(parent(), Page::default()),
        Call::Create(new.clone()),
        Call::BatchCreate(vec![json!({"customer_group": new})]),
        Call::Update(child(), new),
        // A move, which runs under a lock.
        Call::Update(child(), json!({"parent_id": parent()})),
    ]
}

async fn succeeds(protocol: Protocol, address: SocketAddr, call: &Call) {
    let with = CallOptions { authorization: Some(format!("Bearer {KEY}")), ..CallOptions::default() };
    if let Err(refused) = make(protocol, address, call, &with).await {
        panic!("{protocol:?} {call:?}: {refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_call_succeeds_after_a_column_has_got_another_type() {
    let api = Api::start().await;
    let (client, sql) = (api.client().await, api.database.sql().await);
    let parent = client.create(named("parent")).await.unwrap();
    let child = client.create(below(&parent, "child")).await.unwrap();
    let mut length = 300;
    for protocol in Protocol::ALL {
        for call in calls(&parent.id, &child.id) {
            succeeds(protocol, api.address(), &call).await;
            length += 1;
            let change = format!("alter table customer_group alter payment_terms type varchar({length})");
            sql.batch_execute(&change).await.unwrap();
            succeeds(protocol, api.address(), &call).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_fails_when_the_plans_of_all_connections_are_stale() {
    let api = Api::start().await;
    let client = api.client().await;
    // Each connection that one key can use prepares the statement.
    let lock = api.database.lock("customer_group").await;
    let count = LIMITS.pool_size / 4 * 3;
    let waiting = (0..count).map(|_| {
        let client = client.clone();
        tokio::spawn(async move { client.list(None, None).await })
    });
    let waiting: Vec<_> = waiting.collect();
    api.database.until_statements_run(count.try_into().unwrap()).await;
    lock.release().await;
    for listed in waiting {
        listed.await.unwrap().unwrap();
    }

    let change = "alter table customer_group alter payment_terms type varchar(300)";
    api.database.sql().await.batch_execute(change).await.unwrap();
    client.list(None, None).await.unwrap();
    for listed in join_all((0..4 * count).map(|_| client.list(None, None))).await {
        listed.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_call_succeeds_after_its_session_has_lost_its_prepared_statements() {
    let database = TestDatabase::create().await;
    let forget = "create function forget() returns trigger language plpgsql as
                      $$ begin execute 'deallocate all'; return null; end $$;
                  create trigger forget after insert or update on customer_group execute function forget()";
    database.sql().await.batch_execute(forget).await.unwrap();
    let api = Api::start_with(database, TIMEOUTS, 1, Duration::from_secs(30)).await;
    let client = api.client().await;
    let parent = client.create(named("parent")).await.unwrap();
    let child = client.create(below(&parent, "child")).await.unwrap();
    for protocol in Protocol::ALL {
        for call in calls(&parent.id, &child.id) {
            succeeds(protocol, api.address(), &call).await;
            client.create(named("the statements are lost")).await.unwrap();
            succeeds(protocol, api.address(), &call).await;
        }
    }
}
