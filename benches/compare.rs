//! Paired comparisons in alternation: a read and a no-op call, and a tree of a million groups and one of a
//! thousand.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use customer_groups::testing::pb;
use prost::Message;
use prost_types::FieldMask;

use crate::Plan;
use crate::database::{MILLION, THOUSAND, id, parent};
use crate::grpc::Caller;
use crate::load::{Expected, Load, MakeRequest, Random, Shape};
use crate::report::{Limit, Spread, print_head, print_row};
use crate::service::Service;
use crate::workloads::{HEALTH, SERVING, is_group, request_one, rpc};

/// Two kinds of calls.
struct Pair {
    name: &'static str,
    /// How many times longer the first kind may take.
    limit: f64,
}

const PAIRS: [Pair; 5] = [
    Pair { name: "get, against the health check on the same connection", limit: 2.0 },
    Pair { name: "first page of the list, 4 in flight, of a million against a thousand", limit: 1.3 },
    Pair { name: "create, in a million against a thousand", limit: 1.3 },
    Pair { name: "move, in a million against a thousand", limit: 1.3 },
    Pair { name: "delete, in a million against a thousand", limit: 1.3 },
];

/// How many times the two kinds alternate.
const SLICES: u32 = 10;

/// The durations of the calls of the two kinds.
type Times = [Vec<Duration>; 2];

/// The median call of each kind, in microseconds.
pub type Measurement = [f64; 2];

pub async fn measure(million: &Service, thousand: &Service, plan: &Plan) -> Vec<Measurement> {
    let mut times =
        vec![get_and_check(million, plan.time).await, first_page(million, thousand, plan.time).await];
    times.extend(write(million, thousand, plan.writes).await);
    times.into_iter().map(|times| times.map(middle)).collect()
}

fn middle(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e6
}

async fn get_and_check(service: &Service, time: Duration) -> Times {
    const BATCH: usize = 100;
    let mut caller = Caller::open(service.address).await;
    let (path, mut random) = (rpc("GetCustomerGroup"), Random::default());
    let mut times = Times::default();
    let until = Instant::now() + time;
    while Instant::now() < until {
        for _ in 0..BATCH {
            let (message, expected) = request_one(random.below(MILLION));
            let (response, took) = caller.call(&path, &message).await;
            assert!(is_group(&expected, &response), "{expected:?} was answered with {response:?}");
            times[0].push(took);
        }
        for _ in 0..BATCH {
            let (response, took) = caller.call(HEALTH, &[]).await;
            assert_eq!(response, SERVING);
            times[1].push(took);
        }
    }
    times
}

async fn first_page(million: &Service, thousand: &Service, time: Duration) -> Times {
    let sides: [(&Service, MakeRequest); 2] = [
        (million, |_| (Vec::new(), Expected { number: MILLION })),
        (thousand, |_| (Vec::new(), Expected { number: THOUSAND })),
    ];
    let mut times = Times::default();
    for _ in 0..SLICES {
        for ((service, make_request), times) in sides.into_iter().zip(&mut times) {
            let load = Load {
                address: service.address,
                path: rpc("ListCustomerGroups"),
                make_request,
                check: |expected, message| is_first_page(expected.number, message),
                until: Instant::now() + time / (2 * SLICES),
                pace: None,
            };
            let tally = load.run(Shape::Grpc { connections: 1, in_flight: 4 }).await;
            times.extend(tally.latencies);
        }
    }
    times
}

/// Whether the message is the newest twenty groups with the right total.
fn is_first_page(count: u32, message: &[u8]) -> bool {
    let Ok(list) = pb::ListCustomerGroupsResponse::decode(message) else { return false };
    let expected = (count - 20..count).rev().map(id);
    u32::try_from(list.total) == Ok(count)
        && list.has_more
        && list.data.into_iter().map(|group| group.id).eq(expected)
}

#[derive(Clone, Copy)]
enum Write {
    Create,
    Move,
    Delete,
}

/// Makes this many writes of each kind, one after the other. Afterwards the tree is as before.
async fn write(million: &Service, thousand: &Service, writes: u32) -> [Times; 3] {
    let mut sides =
        [Writer::open(million, MILLION, writes).await, Writer::open(thousand, THOUSAND, writes).await];
    let mut all: [Times; 3] = Default::default();
    for (kind, times) in [Write::Create, Write::Move, Write::Delete].into_iter().zip(&mut all) {
        for _ in 0..SLICES {
            for (side, times) in sides.iter_mut().zip(&mut *times) {
                for _ in 0..writes / SLICES {
                    times.push(side.write(kind).await);
                }
            }
        }
    }
    all
}

/// A client that writes to one of the services.
struct Writer {
    caller: Caller,
    count: u32,
    random: Random,
    /// Leaves and their new parents.
    moves: Vec<(u32, u32)>,
    created: Vec<String>,
}

impl Writer {
    /// Prepares moves of distinct leaves to nodes with children, and the moves back.
    async fn open(service: &Service, count: u32, writes: u32) -> Self {
        let mut random = Random::default();
        let (inner, mut leaves) = (count / 10, BTreeSet::new());
        while leaves.len() < writes as usize / 2 {
            leaves.insert(inner + random.below(count - inner));
        }
        let back = leaves.iter().map(|leaf| (*leaf, parent(*leaf).expect("a leaf has a parent")));
        let mut moves: Vec<(u32, u32)> = back.collect();
        moves.extend(leaves.iter().map(|leaf| (*leaf, random.below(inner))));
        Self { caller: Caller::open(service.address).await, count, random, moves, created: Vec::new() }
    }

    async fn write(&mut self, kind: Write) -> Duration {
        match kind {
            Write::Create => self.create().await,
            Write::Move => self.shift().await,
            Write::Delete => self.delete().await,
        }
    }

    async fn create(&mut self) -> Duration {
        let parent_id = Some(id(self.random.below(self.count)));
        let customer_group_name = "a new group".to_owned();
        let group = pb::CustomerGroup { parent_id, customer_group_name, ..Default::default() };
        let request = pb::CreateCustomerGroupRequest { customer_group: Some(group.clone()) };
        let (response, took) = self.caller.call(&rpc("CreateCustomerGroup"), &request.encode_to_vec()).await;
        let created = pb::CustomerGroup::decode(response.as_slice()).expect("a group");
        assert_eq!(created.parent_id, group.parent_id);
        assert_eq!(created.customer_group_name, group.customer_group_name);
        self.created.push(created.id);
        took
    }

    async fn shift(&mut self) -> Duration {
        let (leaf, parent) = self.moves.pop().expect("a move");
        let group = pb::CustomerGroup { id: id(leaf), parent_id: Some(id(parent)), ..Default::default() };
        let request = pb::UpdateCustomerGroupRequest {
            customer_group: Some(group.clone()),
            update_mask: Some(FieldMask { paths: vec!["parent_id".to_owned()] }),
            ..Default::default()
        };
        let (response, took) = self.caller.call(&rpc("UpdateCustomerGroup"), &request.encode_to_vec()).await;
        let moved = pb::CustomerGroup::decode(response.as_slice()).expect("a group");
        assert_eq!((moved.id, moved.parent_id), (group.id, group.parent_id));
        took
    }

    async fn delete(&mut self) -> Duration {
        let id = self.created.pop().expect("a group to delete");
        let request = pb::DeleteCustomerGroupRequest { id: id.clone(), ..Default::default() };
        let (response, took) = self.caller.call(&rpc("DeleteCustomerGroup"), &request.encode_to_vec()).await;
        let deleted = pb::DeleteCustomerGroupResponse { id, deleted: true };
        assert_eq!(pb::DeleteCustomerGroupResponse::decode(response.as_slice()), Ok(deleted));
        took
    }
}

pub fn print(rounds: &[Vec<Measurement>]) {
    print_head(&["calls by turns", "p50 µs", "against µs", "ratio (spread)", "bar", "met"]);
    for (number, Pair { name, limit }) in PAIRS.iter().enumerate() {
        let of = |figure: fn(&Measurement) -> f64| {
            Spread::of(rounds.iter().map(|measurements| figure(&measurements[number])))
        };
        let ratio = of(|measure| measure[0] / measure[1]);
        let took =
            [of(|measure| measure[0]), of(|measure| measure[1])].map(|took| format!("{:.0}", took.median));
        print_row(&[&[(*name).to_owned()], &took, &[ratio.to_string()], &Limit::AtMost(*limit).of(ratio)]);
    }
}
