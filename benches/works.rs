//! The works that are measured, and what each is measured by.

use std::time::Instant;

use customer_groups::grpc::pb;
use prost::Message;

use crate::database::{COLUMNS, MILLION, id, parent, script};
use crate::http1::find;
use crate::load::{Ask, Asked, Check, Load, Random, Shape};
use crate::report::Bar;
use crate::service::Service;

const SERVICE: &str = "/overplane.setup.v1.CustomerGroupService";
pub const HEALTH: &str = "/grpc.health.v1.Health/Check";
/// The answer to that.
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

/// The id is a UUIDv7, like those of the service: one by chance alone would make the index dearer.
const INSERT: &str = "insert into customer_group (id, updated_at, parent_id, is_group, customer_group_name,
                                parent_customer_group, default_price_list, payment_terms)
    select (lpad(to_hex((extract(epoch from clock_timestamp()) * 1000)::bigint), 12, '0') || '7'
            || substr(replace(gen_random_uuid()::text, '-', ''), 14))::uuid,
        now(), :id, false, 'a new group', null::text, null::text, null::text";

/// One work.
#[derive(Clone)]
pub struct Work {
    pub name: &'static str,
    /// Whether it is given to the service that writes a line for every call.
    pub logged: bool,
    /// Whether it is also measured with more calls than can be served.
    pub overloaded: bool,
    pub shape: Shape,
    pub path: String,
    pub ask: Ask,
    pub check: Check,
    /// What pgbench runs beside it; none for what shows only how fast the client is.
    pub yardstick: Option<String>,
    /// What the ratio to pgbench may be.
    pub bar: Bar,
    /// What the processor time of service and database may be against that of the database alone.
    pub cost_bar: Bar,
}

impl Work {
    /// Its load on a service, until then.
    pub fn load(&self, service: &Service, until: Instant) -> Load {
        let Self { path, ask, check, .. } = self.clone();
        Load { address: service.address, path, ask, check, until, pace: None }
    }
}

pub fn rpc(method: &str) -> String {
    format!("{SERVICE}/{method}")
}

pub fn works() -> Vec<Work> {
    let grpc = Shape::Grpc { connections: 8, in_flight: 8 };
    let get = Work {
        name: "get over gRPC, 64 in flight on 8 connections",
        logged: false,
        overloaded: false,
        shape: grpc,
        path: rpc("GetCustomerGroup"),
        ask: |random| ask_for_one(random.below(MILLION)),
        check: is_group,
        yardstick: Some(script(MILLION, &format!("select {COLUMNS} from customer_group where id = :id"))),
        bar: Bar::AtLeast(0.9),
        cost_bar: Bar::AtMost(0.8),
    };
    vec![
        Work {
            name: "health check, the client's own limit",
            path: HEALTH.to_owned(),
            ask: |_| (Vec::new(), Asked { number: 0 }),
            check: |_, answer| answer == SERVING,
            yardstick: None,
            ..get.clone()
        },
        Work { overloaded: true, ..get.clone() },
        Work {
            name: "the same with a line in the log for each, a file",
            logged: true,
            bar: Bar::None,
            cost_bar: Bar::None,
            ..get.clone()
        },
        Work {
            name: "get over gRPC by tonic's own client, 64 in flight on 8 connections",
            shape: Shape::Tonic { connections: 8, in_flight: 8 },
            bar: Bar::None,
            cost_bar: Bar::None,
            ..get.clone()
        },
        Work {
            name: "get over REST, 64 connections",
            shape: Shape::Rest { connections: 64 },
            path: format!("GET {OBJECT}"),
            ask: |random| {
                let number = random.below(MILLION);
                (id(number).into_bytes(), Asked { number })
            },
            check: is_object,
            bar: Bar::AtLeast(0.8),
            ..get.clone()
        },
        Work {
            name: "ancestors over gRPC, 64 in flight",
            path: rpc("ListCustomerGroupAncestors"),
            ask: |random| ask_for_one(MILLION / 10 + 1 + random.below(MILLION - MILLION / 10 - 1)),
            check: are_ancestors,
            yardstick: Some(script(MILLION, &ANCESTORS.replace(":columns", COLUMNS))),
            bar: Bar::AtLeast(0.7),
            cost_bar: Bar::None,
            ..get.clone()
        },
        Work {
            name: "create over gRPC, 64 in flight",
            overloaded: true,
            path: rpc("CreateCustomerGroup"),
            ask: ask_to_create,
            check: is_created,
            yardstick: Some(script(MILLION, INSERT)),
            bar: Bar::AtLeast(0.6),
            cost_bar: Bar::None,
            ..get
        },
    ]
}

/// All requests for one group begin with its id.
pub fn ask_for_one(number: u32) -> (Vec<u8>, Asked) {
    (pb::GetCustomerGroupRequest { id: id(number) }.encode_to_vec(), Asked { number })
}

fn ask_to_create(random: &mut Random) -> (Vec<u8>, Asked) {
    let number = random.below(MILLION);
    let group = pb::CustomerGroup {
        parent_id: Some(id(number)),
        customer_group_name: "a new group".to_owned(),
        ..Default::default()
    };
    (pb::CreateCustomerGroupRequest { customer_group: Some(group) }.encode_to_vec(), Asked { number })
}

fn has(answer: &[u8], text: &str) -> bool {
    find(answer, text.as_bytes()).is_some()
}

/// The message begins with the id, and has the group's own name in it, before the field that comes next.
pub fn is_group(asked: &Asked, message: &[u8]) -> bool {
    let (id, name) = (id(asked.number), format!("group {}\u{42}", asked.number));
    message.get(2..).is_some_and(|rest| rest.starts_with(id.as_bytes())) && has(message, &name)
}

fn is_object(asked: &Asked, body: &[u8]) -> bool {
    let (id, name) = (id(asked.number), format!("\"group {}\"", asked.number));
    body.starts_with(format!("{{\"id\":\"{id}\"").as_bytes()) && has(body, &name)
}

fn are_ancestors(asked: &Asked, message: &[u8]) -> bool {
    let Ok(list) = pb::ListCustomerGroupAncestorsResponse::decode(message) else { return false };
    let expected = std::iter::successors(parent(asked.number), |number| parent(*number)).map(id);
    list.data.into_iter().map(|group| group.id).eq(expected)
}

fn is_created(asked: &Asked, message: &[u8]) -> bool {
    has(message, &id(asked.number)) && has(message, "a new group")
}
