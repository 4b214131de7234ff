//! Faults of the database and of the network to it.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join_all;
use http::StatusCode;
use nix::sys::signal::Signal;
use serde_json::json;
use tokio::time::{Instant, sleep};
use tonic::{Code, Status};

use crate::contract::{ApiError, Call, CallOptions, Page, make};
use crate::idempotency::create;
use crate::process::waiting_call;
use crate::stream::all_of;
use crate::support::http::get;
use crate::support::protocol::Protocol;
use crate::support::{
    Api, Calls, Client, KEY, Postgres, Program, Proxy, StatementFault, TIMEOUTS, TestDatabase, eventually,
    move_of, named, reason,
};

/// Limit for calls that wait for a database that has stopped responding. Their deadline is later.
const SOON: Duration = Duration::from_secs(5);

/// Limit for the recovery after a fault.
const RECOVERY: Duration = Duration::from_secs(1);

const OUTCOME_UNKNOWN: &str =
    "the database became unavailable during the call; the change may or may not have been saved";
const UNAVAILABLE: &str = "the database is unavailable; retry in a moment";

async fn behind_proxy() -> (Api, Proxy) {
    let (database, proxy) = TestDatabase::create().await.behind_proxy().await;
    (Api::start_on(database).await, proxy)
}

/// One call of each kind that needs the database.
fn calls(id: &str) -> Vec<Call> {
    let (id, page) = (|| id.to_owned(), Page::default);
    let new = json!({"customer_group_name": "a"});
    vec![
        Call::Get(id()),
        Call::List(page()),
        Call::Create(new.clone()),
        Call::Update(id(), new.clone()),
        Call::Update(id(), json!({"parent_id": id()})),
        Call::Delete(id()),
        Call::BatchCreate(vec![json!({"customer_group": new})]),
        Call::BatchGet(vec![id()]),
        Call::Children(id(), page()),
        Call::Ancestors(id(), page()),
        Call::Descendants(id(), page()),
        Call::StreamDescendants(id(), page()),
    ]
}

/// Makes every call over every protocol at once. Each must fail as unavailable. Returns how long that took.
async fn refusals(address: SocketAddr, id: &str) -> Duration {
    let with = CallOptions { authorization: Some(format!("Bearer {KEY}")), ..CallOptions::default() };
    let begun = Instant::now();
    let made = Protocol::ALL
        .into_iter()
        .flat_map(|protocol| calls(id).into_iter().map(move |call| (protocol, call)));
    let made = made.map(async |(protocol, call)| {
        let refused: ApiError = make(protocol, address, &call, &with).await.unwrap_err();
        assert_eq!(refused.code, "unavailable", "{protocol:?} {call:?} {}", refused.message);
    });
    eventually("every call ends", join_all(made)).await;
    begun.elapsed()
}

async fn readiness(address: SocketAddr) -> StatusCode {
    assert_eq!(get(address, "/livez", &[]).await.status, StatusCode::OK);
    get(address, "/readyz", &[]).await.status
}

/// A write, a read of each kind, and a list.
async fn use_it(client: &Client) -> Result<(), Status> {
    let group = client.create(named("after")).await?;
    client.get(&group.id).await?;
    client.update(move_of(&group, None)).await?;
    client.list(Some(1), None).await.map(drop)
}

/// Waits until the service is ready and every call succeeds, within `RECOVERY`.
async fn assert_recovery(address: SocketAddr, client: &Client) {
    const PAUSE: Duration = Duration::from_millis(10);
    let begun = Instant::now();
    eventually("it serves again", async {
        while let Err(status) = use_it(client).await {
            assert_eq!(status.code(), Code::Unavailable, "{status:?}");
            sleep(PAUSE).await;
        }
        while readiness(address).await != StatusCode::OK {
            sleep(PAUSE).await;
        }
    })
    .await;
    let took = begun.elapsed();
    println!("it served after {took:?}");
    assert!(took < RECOVERY, "it served after {took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_connections_make_every_call_unavailable_until_they_recover() {
    let (api, proxy) = behind_proxy().await;
    let group = api.client().await.create(named("before")).await.unwrap();
    proxy.refuse(true);
    for _ in 0..2 {
        let took = refusals(api.address(), &group.id).await;
        assert!(took < SOON, "{took:?}");
    }
    eventually("it is not ready", async { while readiness(api.address()).await.is_success() {} }).await;
    proxy.refuse(false);
    assert_recovery(api.address(), &api.client().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_of_postgresql_makes_every_call_unavailable_until_it_restarts() {
    let mut postgres = Postgres::start().await;
    let program = Program::serve(&[("DATABASE_URL", &postgres.url())]);
    let client = program.client().await;
    let group = client.create(named("before")).await.unwrap();
    postgres.kill().await;
    for _ in 0..2 {
        let took = refusals(program.address, &group.id).await;
        assert!(took < SOON, "{took:?}");
    }
    let unready = async { while readiness(program.address).await.is_success() {} };
    eventually("it is not ready", unready).await;
    postgres.start_again().await;
    assert_recovery(program.address, &client).await;
    assert_eq!(client.get(&group.id).await.unwrap(), group);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unresponsive_database_makes_every_call_unavailable_soon_until_it_recovers() {
    let (api, proxy) = behind_proxy().await;
    let client = api.client().await;
    let group = client.create(named("before")).await.unwrap();
    use_it(&client).await.unwrap();
    let before = api.database.backends().await;

    proxy.stall(true);
    let first = refusals(api.address(), &group.id).await;
    assert!(first < SOON, "calls waited for {first:?}");
    assert_eq!(readiness(api.address()).await, StatusCode::SERVICE_UNAVAILABLE);
    let status = client.create(named("meanwhile")).await.unwrap_err();
    assert_eq!((status.message(), &*reason(&status)), (UNAVAILABLE, "UNAVAILABLE"));
    let later = refusals(api.address(), &group.id).await;
    assert!(later < first, "calls waited for {later:?}, and before it was known for {first:?}");

    proxy.stall(false);
    assert_recovery(api.address(), &api.client().await).await;
    let lives_on = async { while api.database.backends().await.iter().any(|pid| before.contains(pid)) {} };
    eventually("no connection is used that was there in the stall", lives_on).await;
    println!("calls under way ended after {first:?}, later ones after {later:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stall_that_fails_a_single_probe_fails_no_call() {
    let (api, proxy) = behind_proxy().await;
    let client = api.client().await;
    let group = client.create(named("before")).await.unwrap();
    proxy.stall(true);
    let made = [client.get(&group.id), client.get(&group.id)].map(Box::pin);
    let created = client.create(named("meanwhile"));
    let (made, created, ()) = tokio::join!(join_all(made), created, async {
        // One probe fails, whenever the stall began, and never two.
        sleep(Duration::from_millis(1200)).await;
        proxy.stall(false);
    });
    created.unwrap();
    for read in made {
        assert_eq!(read.unwrap(), group);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_breaks_off_when_the_database_stops_responding() {
    let (api, proxy) = behind_proxy().await;
    let root = api.database.plant(10_000, 50).await;
    let mut groups =
        api.client().await.stream_customer_group_descendants(all_of(&root)).await.unwrap().into_inner();
    groups.next().await.unwrap().unwrap();
    proxy.stall(true);
    let begun = Instant::now();
    let status = eventually("it breaks off", async {
        loop {
            if let Err(status) = groups.next().await.expect("an error") {
                break status;
            }
        }
    })
    .await;
    assert_eq!((status.code(), &*reason(&status)), (Code::Unavailable, "UNAVAILABLE"));
    assert!(begun.elapsed() < SOON, "after {:?}", begun.elapsed());
    proxy.stall(false);
    assert_recovery(api.address(), &api.client().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_wait_for_a_connection_fail_soon_when_the_database_stops_responding() {
    let (database, proxy) = TestDatabase::create().await.behind_proxy().await;
    let api = Api::start_with(database, TIMEOUTS, 1, TIMEOUTS.request).await;
    let client = api.client().await;
    client.list(None, None).await.unwrap();
    proxy.stall(true);
    let begun = Instant::now();
    for response in join_all((0..20).map(|_| client.list(None, None))).await {
        assert_eq!(response.unwrap_err().code(), Code::Unavailable);
    }
    assert!(begun.elapsed() < SOON, "after {:?}", begun.elapsed());
    proxy.stall(false);
    assert_recovery(api.address(), &api.client().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupted_write_reports_an_unknown_outcome_and_a_retry_resolves_it() {
    let (api, proxy) = behind_proxy().await;
    let client = api.client().await;
    for (name, fault, was_made) in [
        ("half of the statement", StatementFault::ResetInStatement, false),
        ("half of the answer", StatementFault::ResetInAnswer, true),
    ] {
        proxy.fault(name, fault);
        let status = create(&client, name, named(name)).await.unwrap_err();
        assert_eq!((status.code(), status.message()), (Code::Unavailable, OUTCOME_UNKNOWN), "{name}");
        proxy.clear_fault();
        let made = format!("select count(*) from customer_group where customer_group_name = '{name}'");
        assert_eq!(api.database.number(&made).await, i64::from(was_made), "{name}");
        let retried = create(&client, name, named(name)).await.unwrap();
        assert_eq!(retried.metadata().contains_key("idempotent-replayed"), was_made, "{name}");
        assert_eq!(api.database.number(&made).await, 1, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_error_of_an_interrupted_read_does_not_mention_changes() {
    let (api, proxy) = behind_proxy().await;
    let client = api.client().await;
    let lock = api.database.lock("customer_group").await;
    let (listed, ()) = tokio::join!(client.list(None, None), async {
        api.database.until_a_statement_waits().await;
        proxy.cut();
    });
    assert_eq!(listed.unwrap_err().message(), UNAVAILABLE);
    lock.release().await;
    assert_recovery(api.address(), &api.client().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_half_sent_move_does_not_block_others_for_long() {
    let (api, proxy) = behind_proxy().await;
    let other = Api::start_on(api.database.clone().directly()).await;
    let (client, other) = (api.client().await, other.client().await);
    let groups = client.chain(2).await;
    let root = client.create(named("root")).await.unwrap();
    // Prepare the statements on the connection, so that the whole move is sent at once.
    for parent in [&root, &groups[0]] {
        client.update(move_of(&groups[1], Some(parent))).await.unwrap();
    }
    // Only a move has a transaction of several statements.
    proxy.fault("begin", StatementFault::StopInStatement);
    let begun = Instant::now();
    let half = move_of(&groups[1], Some(&root));
    let half = tokio::spawn(async move { client.update(half).await });
    api.database.until_a_move_is_locked().await;
    other.update(move_of(&groups[1], Some(&root))).await.unwrap();
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(10), "others moved after {took:?}");
    let status = half.await.unwrap().unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Unavailable, OUTCOME_UNKNOWN));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_serves_with_high_latency_to_the_database() {
    let (api, proxy) = behind_proxy().await;
    proxy.delay(Duration::from_millis(20));
    proxy.cut();
    eventually("it is ready", async { while readiness(api.address()).await != StatusCode::OK {} }).await;
    use_it(&api.client().await).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_statement_of_a_service_that_is_killed_ends_soon() {
    let database = TestDatabase::create().await;
    let mut program = Program::serve(&[("DATABASE_URL", &database.url())]);
    let _lock = database.lock("customer_group").await;
    let call = waiting_call(&database, program.client().await).await;
    program.signal(Signal::SIGKILL);
    program.wait();
    call.await.unwrap().unwrap_err();
    let begun = Instant::now();
    database.until_statements_run(0).await;
    let took = begun.elapsed();
    assert!(took < SOON, "it ran on for {took:?}");
    println!("the statement ended after {took:?}");
}
