//! Durability: after any fault of the database, every acknowledged write exists exactly once, and nothing
//! else does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use customer_groups::testing::GroupId;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_postgres::Client as Sql;
use tonic::Code;

use crate::idempotency::create;
use crate::support::{Calls, Client, Postgres, Program, TestDatabase, eventually, named};

const FAULTS: usize = 20;
const WRITERS: usize = 16;

/// The time from the end of a fault to the next acknowledged write, and the upper limit on a machine where
/// the tests and all writers share few processors.
const RECOVERY: Duration = Duration::from_secs(1);
const WORST_RECOVERY: Duration = Duration::from_secs(5);

/// Clients that create groups. Each create is retried under the same idempotency key until it is
/// acknowledged.
struct Writers {
    acknowledged: watch::Receiver<usize>,
    go_on: Arc<watch::Sender<bool>>,
    running: Vec<JoinHandle<Vec<(String, String)>>>,
}

impl Writers {
    async fn start(program: &Program) -> Self {
        let (count, acknowledged) = watch::channel(0);
        let (count, go_on) = (Arc::new(count), Arc::new(watch::Sender::new(true)));
        let mut running = Vec::new();
        for writer in 0..WRITERS {
            let (client, count, go_on) = (program.client().await, count.clone(), go_on.subscribe());
            running.push(tokio::spawn(async move {
                let mut made = Vec::new();
                while *go_on.borrow() {
                    let name = format!("{writer}, {}", made.len());
                    let id = create_at_last(&client, &name).await;
                    made.push((name, id));
                    count.send_modify(|count| *count += 1);
                }
                made
            }));
        }
        Self { acknowledged, go_on, running }
    }

    /// Waits until this many more groups are acknowledged and returns how long that took.
    async fn until_acknowledged(&mut self, more: usize) -> Duration {
        let (begun, now) = (Instant::now(), *self.acknowledged.borrow());
        let acknowledged = self.acknowledged.wait_for(|count| *count >= now + more);
        eventually("groups are made", acknowledged).await.unwrap();
        begun.elapsed()
    }

    /// Lets every writer finish its current group. Returns the ids of all groups by name.
    async fn finish(self) -> BTreeMap<String, String> {
        self.go_on.send_replace(false);
        let mut made = BTreeMap::new();
        for writer in self.running {
            made.extend(eventually("a writer ends", writer).await.unwrap());
        }
        made
    }
}

/// Retries until the create is acknowledged.
async fn create_at_last(client: &Client, name: &str) -> String {
    loop {
        match create(client, name, named(name)).await {
            Ok(group) => return group.into_inner().id,
            Err(status) => assert_eq!(status.code(), Code::Unavailable, "{status:?}"),
        }
        sleep(Duration::from_millis(20)).await;
    }
}

/// Compares the groups in the database with the acknowledged ones.
async fn assert_all_there_once(program: &Program, sql: &Sql, acknowledged: BTreeMap<String, String>) {
    let rows = sql.query("select customer_group_name, id from customer_group", &[]).await.unwrap();
    let count = rows.len();
    let found: BTreeMap<String, String> =
        rows.iter().map(|row| (row.get(0), GroupId::from_uuid(row.get(1)).unwrap().to_string())).collect();
    assert_eq!((count, acknowledged.len()), (found.len(), found.len()));
    assert_eq!(found, acknowledged);
    let total = program.client().await.list(Some(0), None).await.unwrap().total;
    assert_eq!(usize::try_from(total).unwrap(), count);
}

/// Runs `verify` on the database.
fn assert_whole(url: &str) {
    let output = Program::run(&["verify"], &[("DATABASE_URL", url)]);
    assert!(output.status.success(), "{output:?}");
}

fn assert_quick(what: &str, groups: usize, mut recoveries: Vec<Duration>) {
    recoveries.sort();
    let (median, worst) = (recoveries[recoveries.len() / 2], recoveries[recoveries.len() - 1]);
    println!("{what}: {groups} groups; acknowledged again after {median:?} (median), {worst:?} (worst)");
    assert!(median < RECOVERY && worst < WORST_RECOVERY, "{what}: it took {recoveries:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_kills_of_postgresql_under_sixteen_writers_lose_and_duplicate_nothing() {
    let mut postgres = Postgres::start().await;
    let program = Program::serve(&[("DATABASE_URL", &postgres.url())]);
    let mut writers = Writers::start(&program).await;
    let mut recoveries = Vec::new();
    for _ in 0..FAULTS {
        writers.until_acknowledged(2 * WRITERS).await;
        postgres.kill().await;
        postgres.start_again().await;
        recoveries.push(writers.until_acknowledged(1).await);
    }
    let acknowledged = writers.finish().await;
    assert_quick("killed", acknowledged.len(), recoveries);
    assert_all_there_once(&program, &postgres.sql().await, acknowledged).await;
    assert_whole(&postgres.url());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_resets_of_all_connections_under_sixteen_writers_lose_and_duplicate_nothing() {
    let (database, proxy) = TestDatabase::create().await.behind_proxy().await;
    let program = Program::serve(&[("DATABASE_URL", &database.url())]);
    let mut writers = Writers::start(&program).await;
    let mut recoveries = Vec::new();
    for _ in 0..FAULTS {
        writers.until_acknowledged(2 * WRITERS).await;
        proxy.cut();
        // One more connection than the service can have.
        recoveries.push(writers.until_acknowledged(WRITERS + 1).await);
    }
    let acknowledged = writers.finish().await;
    assert_quick("cut", acknowledged.len(), recoveries);
    assert_all_there_once(&program, &database.sql().await, acknowledged).await;
    assert_whole(&database.url());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_stalls_under_sixteen_writers_lose_and_duplicate_nothing() {
    let (database, proxy) = TestDatabase::create().await.behind_proxy().await;
    let program = Program::serve(&[("DATABASE_URL", &database.url())]);
    let (client, mut writers) = (program.client().await, Writers::start(&program).await);
    let mut recoveries = Vec::new();
    for _ in 0..3 {
        writers.until_acknowledged(2 * WRITERS).await;
        proxy.stall(true);
        // The service has given up the writers' calls by then. The writers retry after the stall.
        assert_eq!(client.list(None, None).await.unwrap_err().code(), Code::Unavailable);
        proxy.stall(false);
        recoveries.push(writers.until_acknowledged(1).await);
    }
    let acknowledged = writers.finish().await;
    assert_quick("stalled", acknowledged.len(), recoveries);
    assert_all_there_once(&program, &database.sql().await, acknowledged).await;
    assert_whole(&database.url());
}
