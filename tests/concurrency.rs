//! Concurrent writes.

use std::collections::HashSet;

use customer_groups::testing::pb;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::support::{
    Api, Calls, Client, Random, TestDatabase, below, eventually, move_of, named, reason, update_of,
};

/// The number of groups that are below a root at any depth. The difference to all groups is in cycles.
const REACHABLE: &str = "
    with recursive reachable as (
        select id from customer_group where parent_id is null
        union all
        select g.id from reachable join customer_group g on g.parent_id = reachable.id
    )
    select count(*) from reachable";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_random_moves_by_eight_clients_leave_a_tree() {
    const CLIENTS: u64 = 8;
    const MOVES: usize = 1250;
    const NODES: usize = 200;
    let api = Api::start().await;
    let client = api.client().await;
    let mut nodes = vec![client.create(named("root")).await.unwrap()];
    for number in 1..NODES {
        nodes.push(client.create(below(&nodes[(number - 1) / 3], &format!("node {number}"))).await.unwrap());
    }

    let mut movers = Vec::new();
    for seed in 1..=CLIENTS {
        let (client, nodes) = (api.client().await, nodes.clone());
        movers.push(tokio::spawn(async move {
            let mut random = Random(seed * 0x9e37_79b9);
            let mut accepted = 0;
            for _ in 0..MOVES {
                let (node, parent) = (&nodes[random.below(NODES)], &nodes[random.below(NODES)]);
                let parent = (random.below(20) > 0).then_some(parent);
                match client.update(move_of(node, parent)).await {
                    Ok(_) => accepted += 1,
                    Err(status) => assert_eq!(reason(&status), "PARENT_CYCLE"),
                }
            }
            accepted
        }));
    }
    let mut accepted = 0;
    for mover in movers {
        accepted += mover.await.unwrap();
    }
    assert!(accepted > 1000, "only {accepted} moves were accepted");
    let all = i64::try_from(NODES).unwrap();
    assert_eq!(api.database.number(REACHABLE).await, all);
    assert_eq!(api.database.number("select count(*) from customer_group").await, all);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_one_of_two_concurrent_moves_that_form_a_cycle_succeeds_on_two_replicas() {
    race_moves(TestDatabase::create().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_default_isolation_level_does_not_matter_for_concurrent_moves() {
    for isolation in ["repeatable read", "serializable"] {
        let database = TestDatabase::create().await;
        database.set("default_transaction_isolation", isolation).await;
        race_moves(database).await;
    }
}

async fn race_moves(database: TestDatabase) {
    let replicas = [Api::start_on(database.clone()).await, Api::start_on(database.clone()).await];
    let (left, right) = (replicas[0].client().await, replicas[1].client().await);
    for _ in 0..50 {
        // Over several levels: the last group of each chain becomes the parent of the first group of the
        // other.
        let (a, b) = (left.chain(3).await, left.chain(3).await);
        let (first, second) =
            tokio::join!(left.update(move_of(&a[0], Some(&b[2]))), right.update(move_of(&b[0], Some(&a[2]))));
        let refused = match (first, second) {
            (Ok(_), Err(status)) | (Err(status), Ok(_)) => status,
            other => panic!("{other:?}"),
        };
        assert_eq!(reason(&refused), "PARENT_CYCLE");
    }
    let all = database.number("select count(*) from customer_group").await;
    assert_eq!(database.number(REACHABLE).await, all);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_child_created_while_its_parent_is_deleted_is_never_an_orphan() {
    let api = Api::start().await;
    let (left, right) = (api.client().await, api.client().await);
    for _ in 0..100 {
        let parent = left.create(named("parent")).await.unwrap();
        let (created, deleted) = tokio::join!(left.create(below(&parent, "child")), right.delete(&parent.id));
        match (created, deleted) {
            (Ok(_), Err(status)) => assert_eq!(reason(&status), "HAS_CHILDREN"),
            (Err(status), Ok(_)) => assert_eq!(reason(&status), "PARENT_NOT_FOUND"),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_moved_while_its_new_parent_is_deleted_is_never_an_orphan() {
    let api = Api::start().await;
    let (left, right) = (api.client().await, api.client().await);
    let node = left.create(named("node")).await.unwrap();
    for _ in 0..100 {
        let parent = left.create(named("parent")).await.unwrap();
        let (moved, deleted) =
            tokio::join!(left.update(move_of(&node, Some(&parent))), right.delete(&parent.id));
        match (moved, deleted) {
            (Ok(_), Err(status)) => assert_eq!(reason(&status), "HAS_CHILDREN"),
            (Err(status), Ok(_)) => assert_eq!(reason(&status), "PARENT_NOT_FOUND"),
            other => panic!("{other:?}"),
        }
        left.update(move_of(&node, None)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn totals_are_exact_during_and_after_concurrent_creates_and_deletes() {
    let api = Api::start().await;
    let mut callers = Vec::new();
    for _ in 0..8 {
        let client = api.client().await;
        callers.push(tokio::spawn(async move {
            let root = client.create(named("root")).await.unwrap();
            for _ in 0..40 {
                let child = client.create(below(&root, "child")).await.unwrap();
                let page = client.list(Some(1000), None).await.unwrap();
                // A single snapshot: the page contains every group, and the total must match it.
                assert_eq!(page.data.len(), usize::try_from(page.total).unwrap());
                client.delete(&child.id).await.unwrap();
            }
        }));
    }
    for caller in callers {
        caller.await.unwrap();
    }
    assert_eq!(api.client().await.list(None, None).await.unwrap().total, 8);
    assert_eq!(api.database.number("select count(*) from customer_group").await, 8);
}

/// Groups that only one caller creates and changes.
pub struct OwnGroups(pub Vec<pb::CustomerGroup>);

impl OwnGroups {
    /// Creates one or several groups, moves one, or deletes one, at random. Expected errors count as success.
    pub async fn write(&mut self, client: &Client, random: &mut Random) -> Result<(), Status> {
        if self.0.is_empty() {
            self.0.push(client.create(named("root")).await?);
        }
        let at = random.below(self.0.len());
        match random.below(4) {
            0 => self.0.push(client.create(below(&self.0[at], "one")).await?),
            1 => self.write_batch(client, at, 1 + random.below(5), random.below(3) == 0).await?,
            2 => {
                let parent = &self.0[random.below(self.0.len())];
                refused("PARENT_CYCLE", client.update(move_of(&self.0[at], Some(parent))).await)?;
            }
            _ => {
                // A delete without a response may or may not have been made.
                let group = self.0.swap_remove(at);
                if refused("HAS_CHILDREN", client.delete(&group.id).await)? {
                    self.0.push(group);
                }
            }
        }
        Ok(())
    }

    async fn write_batch(
        &mut self,
        client: &Client,
        at: usize,
        count: usize,
        wrong: bool,
    ) -> Result<(), Status> {
        let entry =
            |group| pb::NewCustomerGroupEntry { customer_group: Some(Box::new(group)), ..Default::default() };
        let mut requests = vec![entry(below(&self.0[at], "several")); count];
        if wrong {
            requests.push(entry(named("")));
        }
        let request = pb::BatchCreateCustomerGroupsRequest { requests };
        let created = client.clone().batch_create_customer_groups(request).await;
        match created {
            Ok(response) => self.0.extend(response.into_inner().data),
            Err(status) => drop(refused::<()>("PARAMETER_MISSING", Err(status))?),
        }
        Ok(())
    }
}

/// Whether the call failed with that reason.
fn refused<T>(expected: &str, response: Result<T, Status>) -> Result<bool, Status> {
    match response {
        Ok(_) => Ok(false),
        Err(status) if status.get_details_error_info().is_some_and(|info| info.reason == expected) => {
            Ok(true)
        }
        Err(status) => Err(status),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn totals_are_exact_after_concurrent_writes_of_every_kind() {
    let api = Api::start().await;
    let mut callers = Vec::new();
    for seed in 1..=8 {
        let client = api.client().await;
        callers.push(tokio::spawn(async move {
            let (mut random, mut own) = (Random(seed * 0x9e37_79b9), OwnGroups(Vec::new()));
            for _ in 0..100 {
                own.write(&client, &mut random).await.unwrap();
            }
            own.0.len()
        }));
    }
    let mut all = 0;
    for caller in callers {
        all += i64::try_from(caller.await.unwrap()).unwrap();
    }
    assert_eq!(api.database.number("select count(*) from customer_group").await, all);
    assert_eq!(api.database.number(REACHABLE).await, all);
    assert_eq!(i64::from(api.client().await.list(None, None).await.unwrap().total), all);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_updates_of_a_group_lose_nothing_and_each_increases_its_time() {
    let api = Api::start().await;
    let group = api.client().await.create(named("Export")).await.unwrap();
    let mut callers = Vec::new();
    for caller in 0..8 {
        let (client, id) = (api.client().await, group.id.clone());
        callers.push(tokio::spawn(async move {
            let mut times = Vec::new();
            for round in 0..25 {
                let sent = pb::CustomerGroup { id: id.clone(), ..named(&format!("{caller} {round}")) };
                let request = pb::UpdateCustomerGroupRequest {
                    customer_group: Some(sent),
                    update_mask: None,
                    ..Default::default()
                };
                let time = client.update(request).await.unwrap().updated_at.unwrap();
                times.push((time.seconds, time.nanos));
            }
            times
        }));
    }
    let mut all = HashSet::new();
    for caller in callers {
        all.extend(caller.await.unwrap());
    }
    assert_eq!(all.len(), 8 * 25, "no two updates have the same time");
}

#[tokio::test]
async fn cancelled_moves_leave_the_tree_intact() {
    let api = Api::start().await;
    let client = api.client().await;
    let (node, parent) =
        (client.create(named("node")).await.unwrap(), client.create(named("parent")).await.unwrap());
    for round in 0..50_u64 {
        let mut request = tonic::Request::new(move_of(&node, Some(&parent)));
        request.set_timeout(std::time::Duration::from_micros(100 * round));
        if let Err(status) = client.clone().update_customer_group(request).await {
            let given_up = [Code::DeadlineExceeded, Code::Cancelled];
            assert!(given_up.contains(&status.code()), "{status:?}");
        }
        client.update(move_of(&node, None)).await.unwrap();
    }
    let held = "select count(*) from pg_locks where locktype = 'advisory' and database =
                (select oid from pg_database where datname = current_database())";
    let none_is_held = async { while api.database.number(held).await > 0 {} };
    eventually("the abandoned moves end", none_is_held).await;
}

#[tokio::test]
async fn an_update_that_names_the_parent_that_the_group_has_waits_for_no_move() {
    let api = Api::start().await;
    let client = api.client().await;
    let root = client.create(named("root")).await.unwrap();
    let group = client.create(below(&root, "group")).await.unwrap();
    let _lock = api.database.lock_moves().await;
    let whole = pb::CustomerGroup { payment_terms: Some("Net 30".to_owned()), ..group.clone() };
    let updated = client.update(update_of(whole, &["*"])).await.unwrap();
    assert_eq!((updated.payment_terms(), &updated.parent_id), ("Net 30", &Some(root.id)));
}
