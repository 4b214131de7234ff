//! The service against a model of its contract: long sequences of calls at random, each by a face at random, and
//! every answer compared in full.

mod batch;
mod state;
mod step;
mod violation;

use std::net::SocketAddr;

use customer_groups::grpc::pb;
use customer_groups::store::{Limits, verify};
use proptest::collection::vec;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use serde_json::{Value, json};
use tokio::runtime::Handle;

use crate::contract::{Call, Page, Refusal, With, make};
use crate::support::face::Face;
use crate::support::{Api, Calls, Chance, Client, KEY, LIMITS, move_of, named, reason, update_of};
use state::{Model, Object};
use step::{Step, step};

/// A caller who knows what the answers must be, as long as nobody else touches the same groups.
#[derive(Default)]
struct Caller {
    number: usize,
    model: Model,
    last: Option<(Call, With)>,
}

impl Caller {
    /// Makes a call, and says how its answer differs from what it must be.
    async fn take(&mut self, address: SocketAddr, step: &Step) -> Result<(), String> {
        let Some((call, with)) = step.call(&self.model, self.number).or_else(|| self.last.take()) else {
            return Ok(());
        };
        let face = step.face(&call);
        self.last = Some((call.clone(), with.clone()));
        self.check(address, face, &call, with).await
    }

    async fn check(
        &mut self,
        address: SocketAddr,
        face: Face,
        call: &Call,
        with: With,
    ) -> Result<(), String> {
        let with = With { authorization: Some(format!("Bearer {KEY}")), ..with };
        let outcome = make(face, address, call, &with).await;
        let given = outcome.as_ref().ok().cloned().unwrap_or_default();
        let expected = self.model.answer(call, &with, &given);
        let is_same = match (&outcome, &expected) {
            (Ok(answer), Ok(expected)) => answer == expected,
            (Err(refusal), Err(expected)) => is_same_refusal(face, refusal, expected),
            (Ok(_), Err(_)) | (Err(_), Ok(_)) => false,
        };
        if is_same {
            return Ok(());
        }
        Err(format!("{call:?} by {face:?} with {with:?} gave {outcome:#?} and not {expected:#?}"))
    }
}

fn is_same_refusal(face: Face, refusal: &Refusal, expected: &Refusal) -> bool {
    // REST names a field only when it alone is to blame.
    let alone = face != Face::Rest || expected.fields.len() == 1;
    let fields = if alone { expected.fields.as_slice() } else { &[] };
    refusal.code == expected.code && refusal.fields == fields && !refusal.message.is_empty()
}

/// What is wrong with the whole database, and with the list of all groups beside what they must be.
async fn check_all(api: &Api, expected: &[Object]) -> Result<(), String> {
    let limits = Limits { pool_size: 1, ..LIMITS };
    let report =
        verify(&api.database.url().parse().unwrap(), &limits).await.map_err(|error| error.to_string())?;
    if !report.findings.is_empty() {
        return Err(format!("{:#?}", report.findings));
    }
    let with = With { authorization: Some(format!("Bearer {KEY}")), ..With::default() };
    let mut all: Vec<Value> = Vec::new();
    loop {
        let starting_after = all.last().map(|group| group["id"].as_str().unwrap().to_owned());
        let page = Page { limit: Some(1000), offset: None, starting_after };
        let list = make(Face::Rest, api.address(), &Call::List(page), &with).await;
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
async fn ten_thousand_calls_at_random_are_answered_as_the_contract_says() {
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
async fn callers_at_once_are_each_answered_as_if_alone_and_share_one_sound_forest() {
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
                let mut chance = Chance((1 + round * CALLERS + caller.number) as u64 * 0x9e37_79b9);
                let mut counted = 0;
                for step in steps.iter().filter(|step| step.is_about_own_groups()) {
                    caller.take(address, step).await.unwrap();
                    shared.move_one(&client, &mut chance).await;
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
    /// The id of the one whose name is a number.
    counter: String,
}

impl Shared {
    async fn make(api: &Api) -> Self {
        let client = api.client().await;
        Self { nodes: client.chain(8).await, counter: client.create(named("0")).await.unwrap().id }
    }

    /// Moves one of the nodes under another, or is told that it is below it.
    async fn move_one(&self, client: &Client, chance: &mut Chance) {
        let (node, parent) = (&self.nodes[chance.below(8)], &self.nodes[chance.below(8)]);
        let parent = (chance.below(8) > 0).then_some(parent);
        if let Err(status) = client.update(move_of(node, parent)).await {
            assert_eq!(reason(&status), "PARENT_CYCLE");
        }
    }

    /// Adds one to the counter, unless someone else does so at the same time; answers what was added.
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

    /// The groups as they are now, which is a tree on its own.
    async fn objects(&self, api: &Api) -> Vec<Object> {
        let with = With { authorization: Some(format!("Bearer {KEY}")), ..With::default() };
        let ids = self.nodes.iter().map(|node| node.id.clone()).chain([self.counter.clone()]).collect();
        let answer = make(Face::Rest, api.address(), &Call::BatchGet(ids), &with).await.unwrap();
        answer["data"].as_array().unwrap().iter().map(|group| group.as_object().unwrap().clone()).collect()
    }
}
