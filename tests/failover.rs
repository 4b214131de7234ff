//! Failover to a standby, and a primary that is read-only for a while.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use customer_groups::testing::pb;
use tonic::{Code, Request, Status};

use crate::support::http::get;
use crate::support::{
    Calls, Client, Program, Proxy, ReplicatedPair, TestDatabase, eventually, named, reason,
};

/// The acknowledged writes by name: the id, and when it was acknowledged.
type Written = BTreeMap<String, (String, Instant)>;

async fn create_once(client: &Client, name: &str) -> Result<pb::CustomerGroup, Status> {
    let mut request = Request::new(pb::CreateCustomerGroupRequest { customer_group: Some(named(name)) });
    request.metadata_mut().insert("idempotency-key", name.parse().unwrap());
    Ok(client.clone().create_customer_group(request).await?.into_inner())
}

/// Creates groups one after the other. Each create is retried under its idempotency key until it is
/// acknowledged.
async fn write(client: Client, writer: usize, stop: Arc<AtomicBool>) -> Written {
    let mut written = Written::new();
    while !stop.load(Ordering::Relaxed) {
        let name = format!("{writer}-{}", written.len());
        let created = loop {
            match create_once(&client, &name).await {
                Ok(group) => break group,
                Err(status) => assert_eq!(status.code(), Code::Unavailable, "{status:?}"),
            }
        };
        written.insert(name, (created.id, Instant::now()));
    }
    written
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_continue_within_three_seconds_of_a_failover_and_none_is_lost_or_duplicated() {
    const WITHIN: Duration = Duration::from_secs(3);
    let mut pair = ReplicatedPair::start().await;
    let program = Program::serve(&[("DATABASE_URL", &pair.url())]);
    let stop = Arc::new(AtomicBool::new(false));
    let mut writers = Vec::new();
    for writer in 0..4 {
        writers.push(tokio::spawn(write(program.client().await, writer, stop.clone())));
    }
    let enough = async { while pair.primary.number("select count(*) from customer_group").await < 200 {} };
    eventually("groups are written", enough).await;

    pair.primary.kill();
    let away = async { while get(program.address, "/readyz", &[]).await.status != 503 {} };
    eventually("the service is not ready", away).await;
    pair.standby.promote().await;
    let promoted = Instant::now();
    let before = pair.standby.number("select count(*) from customer_group").await;
    let more =
        async { while pair.standby.number("select count(*) from customer_group").await < before + 200 {} };
    eventually("groups are written again", more).await;
    let ready = async { while get(program.address, "/readyz", &[]).await.status != 200 {} };
    eventually("the service is ready", ready).await;
    stop.store(true, Ordering::Relaxed);

    let mut all = 0;
    for writer in &mut writers {
        let written = eventually("the writer ends", writer).await.unwrap();
        let first = written.values().map(|(_, at)| *at).filter(|at| *at > promoted).min().unwrap();
        let took = first.duration_since(promoted);
        assert!(took < WITHIN, "the first write after the promotion took {took:?}");
        all += i64::try_from(written.len()).unwrap();
        for (name, (id, _)) in &written {
            let found = program
                .client()
                .await
                .get(id)
                .await
                .unwrap_or_else(|status| panic!("{name} is lost: {status:?}"));
            assert_eq!(found.customer_group_name, *name);
        }
    }
    let made = pair.standby.number("select count(*) from customer_group").await;
    assert_eq!(made, all, "each write was acknowledged in the end, and made once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_resume_within_a_second_of_a_promotion_when_the_other_host_is_silent() {
    const WITHIN: Duration = Duration::from_secs(1);
    for is_silent_first in [true, false] {
        let pair = ReplicatedPair::start().await;
        let proxy = Proxy::start(pair.primary.folder()).await;
        let silent = ("127.0.0.1".to_owned(), proxy.port);
        let promoted = (pair.standby.folder().display().to_string(), 5432);
        let [a, b] = if is_silent_first { [silent, promoted] } else { [promoted, silent] };
        let url = format!(
            "host={},{} port={},{} user=customer_groups dbname=postgres target_session_attrs=read-write",
            a.0, b.0, a.1, b.1
        );
        let program = Program::serve(&[("DATABASE_URL", &url)]);
        let client = program.client().await;
        create_once(&client, "before").await.unwrap();

        // The host accepts connections and never answers.
        proxy.stall(true);
        let away = async { while get(program.address, "/readyz", &[]).await.status != 503 {} };
        eventually("the service is not ready", away).await;
        pair.standby.promote().await;
        let begun = Instant::now();
        eventually("a write", async { while create_once(&client, "after").await.is_err() {} }).await;
        let took = begun.elapsed();
        println!("the first write after the promotion took {took:?}");
        assert!(took < WITHIN, "silent first: {is_silent_first}, the first write took {took:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_only_database_makes_the_service_unready_until_it_accepts_writes() {
    let database = TestDatabase::create().await;
    let program = Program::serve(&[("DATABASE_URL", &database.url())]);
    let client = program.client().await;
    let group = client.create(named("Export")).await.unwrap();

    database.set("default_transaction_read_only", "on").await;
    database.admit(false).await;
    database.admit(true).await;
    let line = program.log_line(|line| {
        line["message"] == "database unavailable" && line["cause"] == "the server accepts no writes"
    });
    assert_eq!(line["level"], "WARN");
    assert_eq!(get(program.address, "/readyz", &[]).await.status, 503);
    let refused = client.create(named("Export")).await.unwrap_err();
    assert_eq!((refused.code(), &*reason(&refused)), (Code::Unavailable, "UNAVAILABLE"));
    assert_eq!(client.get(&group.id).await.unwrap(), group);

    database.set("default_transaction_read_only", "off").await;
    program.log_line(|line| line["message"] == "database available");
    client.create(named("Export")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_instead_of_a_primary_is_rejected_at_start_with_advice() {
    let pair = ReplicatedPair::start().await;
    for more in ["", " target_session_attrs=read-write"] {
        let url = format!("{}{more}", pair.standby.url());
        let output = Program::run(&[], &[("DATABASE_URL", &url)]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(
            said.contains("its server accepts no writes") && said.contains("target_session_attrs=read-write"),
            "{said}"
        );
    }
}
