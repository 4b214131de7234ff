//! The workloads, each with its baseline.

use std::time::Instant;

use customer_groups::testing::pb;
use prost::Message;

use crate::database::{COLUMNS, MILLION, id, parent, script};
use crate::http1::find;
use crate::load::{Check, Expected, Load, MakeRequest, Random, Shape};
use crate::report::Limit;
use crate::service::Service;

const SERVICE: &str = "/overplane.setup.v1.CustomerGroupService";
pub const HEALTH: &str = "/grpc.health.v1.Health/Check";
/// The response to a health check.
pub const SERVING: &[u8] = &[8, 1];

pub const OBJECT: &str = "/api/setup/customer-group/";

const ANCESTORS: &str = "with recursive walk as (
    select 0 as distance, g.* from customer_group g where id = :id
    union all
    select walk.distance + 1, g.* from walk join customer_group g on g.id = walk.parent_id)
    select total, found, :columns from (select count(*) - 1 as total, count(*) > 0 as found from walk) whole
    left join lateral (
        select * from walk where distance > 0 order by distance, id desc limit null offset 0) page on true
    order by page.distance, page.id desc";

/// The id is a UUIDv7, like those of the service: random ids would make the index slower.
const INSERT: &str = "insert into customer_group (id, updated_at, parent_id, is_group, customer_group_name,
                                parent_customer_group, default_price_list, payment_terms)
    select (lpad(to_hex((extract(epoch from clock_timestamp()) * 1000)::bigint), 12, '0') || '7'
            || substr(replace(gen_random_uuid()::text, '-', ''), 14))::uuid,
        now(), :id, false, 'a new group', null::text, null::text, null::text";

/// A workload.
#[derive(Clone)]
pub struct Workload {
    pub name: &'static str,
    /// Whether it runs on the service that logs every call.
    pub logged: bool,
    /// Whether it is also measured under overload.
    pub overloaded: bool,
    pub shape: Shape,
    pub path: String,
    pub make_request: MakeRequest,
    pub check: Check,
    /// The baseline for pgbench; `None` for calls that only show the speed of the client.
    pub baseline: Option<String>,
    /// The limit for the ratio to pgbench.
    pub limit: Limit,
    /// The limit for the processor time of service and database, relative to that of the database alone.
    pub cost_limit: Limit,
}

impl Workload {
    /// Its load on a service until this instant.
    pub fn load(&self, service: &Service, until: Instant) -> Load {
        let Self { path, make_request, check, .. } = self.clone();
        Load { address: service.address, path, make_request, check, until, pace: None }
    }
}

pub fn rpc(method: &str) -> String {
    format!("{SERVICE}/{method}")
}

pub fn workloads() -> Vec<Workload> {
    let get = get_over_grpc();
    let unlimited = Workload { limit: Limit::None, cost_limit: Limit::None, ..get.clone() };
    vec![
        Workload {
            name: "health check, the client's own limit",
            path: HEALTH.to_owned(),
            make_request: |_| (Vec::new(), Expected { number: 0 }),
            check: |_, response| response == SERVING,
            baseline: None,
            ..get.clone()
        },
        Workload { overloaded: true, ..get.clone() },
        Workload {
            name: "the same with a line in the log for each, a file",
            logged: true,
            ..unlimited.clone()
        },
        Workload {
            name: "get over gRPC by tonic's own client, 64 in flight on 8 connections",
            shape: Shape::Tonic { connections: 8, in_flight: 8 },
            ..unlimited
        },
        Workload {
            name: "get over REST, 64 connections",
            shape: Shape::Rest { connections: 64 },
            path: format!("GET {OBJECT}"),
            make_request: |random| {
                let number = random.below(MILLION);
                (id(number).into_bytes(), Expected { number })
            },
            check: is_object,
            limit: Limit::AtLeast(0.8),
            ..get.clone()
        },
        Workload {
            name: "ancestors over gRPC, 64 in flight",
            path: rpc("ListCustomerGroupAncestors"),
            make_request: |random| request_one(MILLION / 10 + 1 + random.below(MILLION - MILLION / 10 - 1)),
            check: are_ancestors,
            baseline: Some(script(MILLION, &ANCESTORS.replace(":columns", COLUMNS))),
            limit: Limit::AtLeast(0.7),
            cost_limit: Limit::None,
            ..get.clone()
        },
        Workload {
            name: "create over gRPC, 64 in flight",
            overloaded: true,
            path: rpc("CreateCustomerGroup"),
            make_request: request_create,
            check: is_created,
            baseline: Some(script(MILLION, INSERT)),
            limit: Limit::AtLeast(0.6),
            cost_limit: Limit::None,
            ..get
        },
    ]
}

/// Reads of one group over gRPC, the workload that most others vary.
fn get_over_grpc() -> Workload {
    Workload {
        name: "get over gRPC, 64 in flight on 8 connections",
        logged: false,
        overloaded: false,
        shape: Shape::Grpc { connections: 8, in_flight: 8 },
        path: rpc("GetCustomerGroup"),
        make_request: |random| request_one(random.below(MILLION)),
        check: is_group,
        baseline: Some(script(MILLION, &format!("select {COLUMNS} from customer_group where id = :id"))),
        limit: Limit::AtLeast(0.9),
        cost_limit: Limit::AtMost(0.8),
    }
}

/// All requests for one group begin with its id.
pub fn request_one(number: u32) -> (Vec<u8>, Expected) {
    (pb::GetCustomerGroupRequest { id: id(number) }.encode_to_vec(), Expected { number })
}

fn request_create(random: &mut Random) -> (Vec<u8>, Expected) {
    let number = random.below(MILLION);
    let group = pb::CustomerGroup {
        parent_id: Some(id(number)),
        customer_group_name: "a new group".to_owned(),
        ..Default::default()
    };
    (pb::CreateCustomerGroupRequest { customer_group: Some(group) }.encode_to_vec(), Expected { number })
}

fn has(response: &[u8], text: &str) -> bool {
    find(response, text.as_bytes()).is_some()
}

/// The message begins with the id, and contains the group's own name before the next field.
pub fn is_group(expected: &Expected, message: &[u8]) -> bool {
    let (id, name) = (id(expected.number), format!("group {}\u{42}", expected.number));
    message.get(2..).is_some_and(|rest| rest.starts_with(id.as_bytes())) && has(message, &name)
}

fn is_object(expected: &Expected, body: &[u8]) -> bool {
    let (id, name) = (id(expected.number), format!("\"group {}\"", expected.number));
    body.starts_with(format!("{{\"id\":\"{id}\"").as_bytes()) && has(body, &name)
}

fn are_ancestors(expected: &Expected, message: &[u8]) -> bool {
    let Ok(list) = pb::ListCustomerGroupAncestorsResponse::decode(message) else { return false };
    let expected = std::iter::successors(parent(expected.number), |number| parent(*number)).map(id);
    list.data.into_iter().map(|group| group.id).eq(expected)
}

fn is_created(expected: &Expected, message: &[u8]) -> bool {
    has(message, &id(expected.number)) && has(message, "a new group")
}
