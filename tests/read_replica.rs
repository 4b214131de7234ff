//! Lists that are read from a standby.

use std::collections::BTreeSet;
use std::time::SystemTime;

use customer_groups::testing::pb;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tonic::Code;

use crate::contract::{Call, CallOptions, Page, make};
use crate::support::http::get;
use crate::support::protocol::Protocol;
use crate::support::{Calls, Client, KEY, Program, ReplicatedPair, TestDatabase, below, eventually, named};

fn serve(pair: &ReplicatedPair) -> Program {
    Program::serve(&[("DATABASE_URL", &pair.primary.url()), ("DATABASE_READ_URL", &pair.standby.url())])
}

/// The lists that contain the group, each with a name.
fn lists(parent: &str, child: &str) -> Vec<Call> {
    let page = || Page { limit: Some(100), ..Page::default() };
    vec![
        Call::List(Page::default()),
        Call::Children(parent.to_owned(), Page::default()),
        Call::Children(parent.to_owned(), page()),
        Call::Descendants(parent.to_owned(), Page::default()),
        Call::Descendants(parent.to_owned(), page()),
        Call::StreamDescendants(parent.to_owned(), Page::default()),
        Call::Ancestors(child.to_owned(), Page::default()),
    ]
}

async fn names(
    protocol: Protocol,
    program: &Program,
    call: &Call,
    cache_control: Option<&str>,
) -> BTreeSet<String> {
    let with = CallOptions {
        authorization: Some(format!("Bearer {KEY}")),
        cache_control: cache_control.map(str::to_owned),
        ..CallOptions::default()
    };
    let response = make(protocol, program.address, call, &with)
        .await
        .unwrap_or_else(|refusal| panic!("{call:?}: {refusal:?}"));
    let name = |group: &Value| group["customer_group_name"].as_str().unwrap().to_owned();
    response["data"].as_array().unwrap().iter().map(name).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_come_from_the_standby_unless_the_caller_sends_no_cache() {
    let pair = ReplicatedPair::start().await;
    let program = serve(&pair);
    let client = program.client().await;
    let parent = client.create(named("parent")).await.unwrap();
    let child = client.create(below(&parent, "child")).await.unwrap();
    pair.caught_up().await;
    pair.standby.sql().await.batch_execute("select pg_wal_replay_pause()").await.unwrap();

    // The standby does not have these yet: a child, and the new name of the parent.
    client.create(below(&parent, "new child")).await.unwrap();
    let renamed = pb::CustomerGroup { id: parent.id.clone(), ..named("new parent") };
    client
        .update(pb::UpdateCustomerGroupRequest { customer_group: Some(renamed), ..Default::default() })
        .await
        .unwrap();
    for protocol in Protocol::ALL {
        for call in lists(&parent.id, &child.id) {
            let of_standby = names(protocol, &program, &call, None).await;
            assert!(
                !of_standby.iter().any(|name| name.starts_with("new")),
                "{protocol:?} {call:?}: {of_standby:?}"
            );
            for no_cache in ["no-cache", "max-age=0, No-Cache"] {
                let current = names(protocol, &program, &call, Some(no_cache)).await;
                assert!(
                    current.iter().any(|name| name.starts_with("new")),
                    "{protocol:?} {call:?}: {current:?}"
                );
            }
        }
    }
    assert_eq!(client.get(&parent.id).await.unwrap().customer_group_name, "new parent");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_that_is_not_yet_on_the_standby_is_found() {
    let pair = ReplicatedPair::start().await;
    let program = serve(&pair);
    let client = program.client().await;
    pair.caught_up().await;
    pair.standby.sql().await.batch_execute("select pg_wal_replay_pause()").await.unwrap();
    let parent = client.create(named("parent")).await.unwrap();
    let child = client.create(below(&parent, "child")).await.unwrap();
    for protocol in Protocol::ALL {
        for call in &lists(&parent.id, &child.id)[1..] {
            assert_eq!(names(protocol, &program, call, None).await.len(), 1, "{protocol:?} {call:?}");
        }
    }
    let unknown = lists("customer-group_01h455vb4pex5vsknk084sn02q", "x").remove(1);
    let with = CallOptions { authorization: Some(format!("Bearer {KEY}")), ..CallOptions::default() };
    assert_eq!(
        make(Protocol::Rest, program.address, &unknown, &with).await.unwrap_err().code,
        "resource_missing"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_standby_lists_come_from_the_primary_and_the_log_says_so_once() {
    let mut pair = ReplicatedPair::start().await;
    let program = serve(&pair);
    let client = program.client().await;
    client.create(named("Export")).await.unwrap();
    pair.caught_up().await;
    assert_eq!(client.list(None, None).await.unwrap().total, 1);

    pair.standby.stop();
    let list = || async { client.list(None, None).await.unwrap().total };
    assert_eq!(futures_util::future::join_all((0..20).map(|_| list())).await, [1; 20]);
    assert_eq!(get(program.address, "/readyz", &[]).await.status, 200);
    let left =
        program.log_line(|line| line["message"].as_str().unwrap().starts_with("read replica unavailable"));
    assert_eq!(left["level"], "WARN");
    assert!(left["cause"].as_str().is_some_and(|cause| !cause.is_empty()), "{left}");

    pair.standby.start().await;
    // Every line up to the expected one is checked: none repeats that the replica is unavailable.
    program.log_line(|line| {
        let message = line["message"].as_str().unwrap();
        assert!(!message.starts_with("read replica unavailable"), "{line}");
        message == "read replica available again"
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_read_replica_is_never_written() {
    let (database, other) = (TestDatabase::create().await, TestDatabase::create_empty().await);
    let program = Program::serve(&[("DATABASE_URL", &database.url()), ("DATABASE_READ_URL", &other.url())]);
    let client = program.client().await;
    client.create(named("Export")).await.unwrap();
    assert_eq!(client.list(None, None).await.unwrap().total, 1);
    let tables = "select count(*) from pg_class where relnamespace = 'public'::regnamespace";
    assert_eq!(other.number(tables).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_whose_pool_is_full_stays_in_use() {
    /// The times at which the probe of the standby has run.
    const PROBED: &str = "select query_start from pg_stat_activity
         where datname = current_database() and query like 'select from customer_group limit 1%'";
    const COUNT: i32 = 10_000;
    let (primary, standby) = (TestDatabase::create_empty().await, TestDatabase::create().await);
    let root = standby.plant(COUNT, 50).await;
    let mut program = Program::serve(&[
        ("DATABASE_URL", &primary.url()),
        ("DATABASE_READ_URL", &standby.url()),
        ("POOL_SIZE", "1"),
    ]);
    // A list that nobody reads occupies the only connection.
    let request = pb::StreamCustomerGroupDescendantsRequest { id: root, ..Default::default() };
    let mut groups =
        program.client().await.stream_customer_group_descendants(request).await.unwrap().into_inner();
    standby.until_statements_are_stalled(1).await;
    let sql = standby.sql().await;
    let mut probes: BTreeSet<SystemTime> = BTreeSet::new();
    // The service would give up the standby after two probes that fail.
    let repeated = async {
        while probes.len() < 4 {
            probes
                .extend(sql.query(PROBED, &[]).await.unwrap().iter().map(|row| row.get::<_, SystemTime>(0)));
        }
    };
    eventually("the standby is probed", repeated).await;

    let mut count = 0;
    while groups.message().await.unwrap().is_some() {
        count += 1;
    }
    assert_eq!(count, COUNT);
    drop(groups);
    program.signal(Signal::SIGTERM);
    program.wait();
    let log = program.rest_of_log();
    assert!(!log.iter().any(|line| line.contains("read replica unavailable")), "{log:#?}");
}

/// Plants this many groups below one and returns the id of that one.
async fn plant(pair: &ReplicatedPair, client: &Client, count: i32) -> String {
    let parent = client.create(named("parent")).await.unwrap();
    let insert =
        "insert into customer_group (id, parent_id, updated_at, is_group, customer_group_name, payment_terms)
        select ('01890a5d-ac96-774b-bcce-' || lpad(to_hex(n), 12, '0'))::uuid,
               (select id from customer_group limit 1), now(), false, 'child', repeat('🌳', 255)
        from generate_series(1, $1) as n";
    pair.primary.sql().await.execute(insert, &[&count]).await.unwrap();
    pair.caught_up().await;
    parent.id
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_cancelled_by_a_recovery_conflict_can_be_retried() {
    let pair = ReplicatedPair::start_with(&["max_standby_streaming_delay=0"]).await;
    let program = serve(&pair);
    let client = program.client().await;
    let id = plant(&pair, &client, 20_000).await;
    let request = || pb::StreamCustomerGroupDescendantsRequest { id: id.clone(), ..Default::default() };
    let mut stream = client.clone().stream_customer_group_descendants(request()).await.unwrap().into_inner();
    stream.message().await.unwrap().unwrap();

    // The standby must replay the lock, and the list is in its way.
    let mut sql = pair.primary.sql().await;
    let held = sql.transaction().await.unwrap();
    held.batch_execute("lock table customer_group in access exclusive mode; select pg_switch_wal()")
        .await
        .unwrap();
    let broken = async {
        loop {
            match stream.message().await {
                Ok(group) => assert!(group.is_some(), "the list is whole"),
                Err(status) => return status,
            }
        }
    };
    let status = eventually("the list breaks off", broken).await;
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    held.rollback().await.unwrap();

    let mut again = client.clone().stream_customer_group_descendants(request()).await.unwrap().into_inner();
    let mut count = 0;
    while again.message().await.unwrap().is_some() {
        count += 1;
    }
    assert_eq!(count, 20_000);
    let line = program.log_line(|line| line["code"] == "UNAVAILABLE");
    let cause =
        json!("a statement failed: db error: ERROR: canceling statement due to conflict with recovery");
    assert!(line["cause"].as_str().unwrap().starts_with(cause.as_str().unwrap()), "{line}");
}
