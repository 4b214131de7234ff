//! Model-based tests: long random sequences of calls over random protocols. Every response is compared in
//! full with that of a model of the contract.

mod batch;
mod state;
mod step;
mod violation;

use std::net::SocketAddr;

use customer_groups::testing::pb;
use customer_groups::testing::{StoreOptions, verify};
use proptest::collection::vec;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use serde_json::{Value, json};
use tokio::runtime::Handle;

use crate::contract::{ApiError, Call, CallOptions, Page, make};
use crate::support::protocol::Protocol;
use crate::support::{Api, Calls, Client, KEY, LIMITS, Random, move_of, named, reason, update_of};
use state::{Model, Object};
use step::{Step, step};

/// A client with a model of its groups. No other client changes them.
#[derive(Default)]
struct Caller {
    number: usize,
    model: Model,
    last: Option<(Call, CallOptions)>,
}

impl Caller {
    /// Makes a call and describes how the response differs from the expected one.
    async fn take(&mut self, address: SocketAddr, step: &Step) -> Result<(), String> {
        let Some((call, with)) = step.call(&self.model, self.number).or_else(|| self.last.take()) else {
            return Ok(());
        };
        let protocol = step.protocol(&call);
        self.last = Some((call.clone(), with.clone()));
        self.check(address, protocol, &call, with).await
    }

    async fn check(
        &mut self,
        address: SocketAddr,
        protocol: Protocol,
        call: &Call,
        with: CallOptions,
    ) -> Result<(), String> {
        let with = CallOptions { authorization: Some(format!("Bearer {KEY}")), ..with };
        let outcome = make(protocol, address, call, &with).await;
        let given = outcome.as_ref().ok().cloned().unwrap_or_default();
        let expected = self.model.response(call, &with, &given);
        let is_same = match (&outcome, &expected) {
            (Ok(response), Ok(expected)) => response == expected,
            (Err(refusal), Err(expected)) => is_same_refusal(protocol, refusal, expected),
            (Ok(_), Err(_)) | (Err(_), Ok(_)) => false,
        };
        if is_same {
            return Ok(());
        }
        Err(format!("{call:?} by {protocol:?} with {with:?} gave {outcome:#?} and not {expected:#?}"))
    }
}

fn is_same_refusal(protocol: Protocol, refusal: &ApiError, expected: &ApiError) -> bool {
    // REST names a field only if it is the only invalid one.
    let alone = protocol != Protocol::Rest || expected.fields.len() == 1;
    let fields = if alone { expected.fields.as_slice() } else { &[] };
    refusal.code == expected.code && refusal.fields == fields && !refusal.message.is_empty()
}

/// Checks the whole database with `verify`, and the list of all groups.
async fn check_all(api: &Api, expected: &[Object]) -> Result<(), String> {
    let limits = StoreOptions { pool_size: 1, ..LIMITS };
    let report =
        verify(&api.database.url().parse().unwrap(), &limits).await.map_err(|error| error.to_string())?;
    if !report.findings.is_empty() {
        return Err(format!("{:#?}", report.findings));
    }
    let with = CallOptions { authorization: Some(format!("Bearer {KEY}")), ..CallOptions::default() };
    let mut all: Vec<Value> = Vec::new();
    loop {
        let starting_after = all.last().map(|group| group["id"].as_str().unwrap().to_owned());
        let page = Page { limit: Some(1000), offset: None, starting_after };
        let list = make(Protocol::Rest, api.address(), &Call::List(page), &with).await;
        let list = list.map_err(|refusal| format!("{refusal:?}"))?;
        all.extend(list["data"].as_array().unwrap().iter().cloned());
        if list["total"] != expected.len() {
            return Err(format!("the total is {} and not {}", list["total"], expected.len()));
        }
        if list["has_more"] == false {
            let is_same = json!(all) == json!(expected);
            return if is_same { Ok(()) } else { Err(format!("there is {all:#?} and not {expected:#?}")) };
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_random_calls_conform_to_the_contract() {
    const RUNS: usize = 5;
    const SEQUENCES: u32 = 10;
    const CALLS: usize = 200;
    let mut runs = Vec::new();
    for _ in 0..RUNS {
        let (api, runtime) = (Api::start().await, Handle::current());
        runs.push(tokio::task::spawn_blocking(move || {
            let config = Config { cases: SEQUENCES, failure_persistence: None, ..Config::default() };
            TestRunner::new(config).run(&vec(step(), CALLS), |steps| {
                runtime.block_on(from_nothing(&api, &steps)).map_err(TestCaseError::fail)
            })
        }));
    }
    for run in runs {
        if let Err(failure) = run.await.unwrap() {
            panic!("{failure}");
        }
    }
}

async fn from_nothing(api: &Api, steps: &[Step]) -> Result<(), String> {
    api.database.sql().await.batch_execute("truncate customer_group, idempotency_key").await.unwrap();
    let mut caller = Caller::default();
    for step in steps {
        caller.take(api.address(), step).await?;
    }
    check_all(api, &caller.model.all().cloned().collect::<Vec<_>>()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_callers_do_not_affect_each_other_and_leave_a_consistent_forest() {
    const CALLERS: usize = 4;
    const ROUNDS: usize = 4;
    const CALLS: usize = 100;
    let api = Api::start().await;
    let shared = Shared::make(&api).await;
    let mut callers: Vec<Caller> =
        (0..CALLERS).map(|number| Caller { number, ..Caller::default() }).collect();
    let mut counted = 0;
    for round in 0..ROUNDS {
        let mut running = Vec::new();
        for mut caller in callers.drain(..) {
            let steps =
                vec(step(), CALLS).new_tree(&mut TestRunner::new(Config::default())).unwrap().current();
            let (address, client, shared) = (api.address(), api.client().await, shared.clone());
            running.push(tokio::spawn(async move {
                let mut random = Random((1 + round * CALLERS + caller.number) as u64 * 0x9e37_79b9);
                let mut counted = 0;
                for step in steps.iter().filter(|step| step.is_about_own_groups()) {
                    caller.take(address, step).await.unwrap();
                    shared.move_one(&client, &mut random).await;
                    counted += shared.count(&client).await;
                }
                (caller, counted)
            }));
        }
        for caller in running {
            let (caller, by_caller) = caller.await.unwrap();
            callers.push(caller);
            counted += by_caller;
        }
        let mut expected: Vec<Object> = shared.objects(&api).await;
        expected.extend(callers.iter().flat_map(|caller| caller.model.all().cloned()));
        expected.sort_by(|a, b| b["id"].as_str().cmp(&a["id"].as_str()));
        check_all(&api, &expected).await.unwrap();
        let count = api.client().await.get(&shared.counter).await.unwrap();
        assert_eq!(count.customer_group_name, counted.to_string());
    }
}

/// Groups that all callers change.
#[derive(Clone)]
struct Shared {
    nodes: Vec<pb::CustomerGroup>,
    /// The id of the group whose name is the counter.
    counter: String,
}

impl Shared {
    async fn make(api: &Api) -> Self {
        let client = api.client().await;
        Self { nodes: client.chain(8).await, counter: client.create(named("0")).await.unwrap().id }
    }

    /// Moves one of the nodes under another. The move may be refused because it would create a cycle.
    async fn move_one(&self, client: &Client, random: &mut Random) {
        let (node, parent) = (&self.nodes[random.below(8)], &self.nodes[random.below(8)]);
        let parent = (random.below(8) > 0).then_some(parent);
        if let Err(status) = client.update(move_of(node, parent)).await {
            assert_eq!(reason(&status), "PARENT_CYCLE");
        }
    }

    /// Increments the counter, unless another caller does so at the same time. Returns the increment.
    async fn count(&self, client: &Client) -> u32 {
        let mut read = client.get(&self.counter).await.unwrap();
        let number: u32 = read.customer_group_name.parse().unwrap();
        read.customer_group_name = (number + 1).to_string();
        let etag = std::mem::take(&mut read.etag);
        let update = pb::UpdateCustomerGroupRequest { etag, ..update_of(read, &["customer_group_name"]) };
        match client.update(update).await {
            Ok(_) => 1,
            Err(status) => {
                assert_eq!(reason(&status), "ETAG_MISMATCH");
                0
            }
        }
    }

    /// The current groups, which form a tree of their own.
    async fn objects(&self, api: &Api) -> Vec<Object> {
        let with = CallOptions { authorization: Some(format!("Bearer {KEY}")), ..CallOptions::default() };
        let ids = self.nodes.iter().map(|node| node.id.clone()).chain([self.counter.clone()]).collect();
        let response = make(Protocol::Rest, api.address(), &Call::BatchGet(ids), &with).await.unwrap();
        response["data"].as_array().unwrap().iter().map(|group| group.as_object().unwrap().clone()).collect()
    }
}
