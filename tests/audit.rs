//! The audit log: who changed what.

use std::process::Stdio;

use customer_groups::testing::GroupId;
use customer_groups::testing::pb;
use nix::sys::signal::Signal;
use prost::Message;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tonic::Code;

use crate::rest::COLLECTION;
use crate::support::http::{HttpResponse, request};
use crate::support::protocol::{Protocol, Rpc, rpc};
use crate::support::{Calls, KEY, Program, TestDatabase, eventually, named, update_of};

/// A service, with a client that sets the request id of every call.
struct Audited {
    program: Program,
    key: String,
}

impl Audited {
    async fn rpc(&self, protocol: Protocol, id: &str, method: &str, message: &impl Message) -> Rpc {
        let authorization = format!("Bearer {}", self.key);
        let key = format!("for {method}");
        let metadata = [
            ("authorization", authorization.as_str()),
            ("x-request-id", id),
            ("idempotency-key", key.as_str()),
        ];
        rpc(protocol, self.program.address, method, &metadata, &message.encode_to_vec()).await
    }

    async fn rest(&self, id: &str, method: &str, path: &str, body: &Value) -> HttpResponse {
        let authorization = format!("Bearer {}", self.key);
        let headers = [
            ("authorization", authorization.as_str()),
            ("x-request-id", id),
            ("content-type", "application/json"),
        ];
        let body = if body.is_null() { String::new() } else { body.to_string() };
        request(self.program.address, method, path, &headers, body).await
    }

    /// Makes calls that change nothing.
    async fn change_nothing(&self, group: &pb::CustomerGroup) {
        let path = format!("{COLLECTION}/{}", group.id);
        let batches = format!("{COLLECTION}:batchCreate");
        assert_eq!(self.rest("nothing", "PATCH", &path, &json!({})).await.status, 200);
        assert_eq!(self.rest("invalid", "PATCH", &path, &json!({"is_group": 7})).await.status, 400);
        assert_eq!(self.rest("refused", "DELETE", &path, &Value::Null).await.status, 409);
        let unknown = format!("{COLLECTION}/{}", GroupId::generate());
        assert_eq!(self.rest("missing", "DELETE", &unknown, &Value::Null).await.status, 404);
        let orphans = json!({"requests": [
            {"customer_group": {"customer_group_name": "A", "parent_id": GroupId::generate().to_string()}},
        ]});
        assert_eq!(self.rest("orphans", "POST", &batches, &orphans).await.status, 400);
        let stale = pb::UpdateCustomerGroupRequest {
            etag: "\"1\"".to_owned(),
            ..update_of(group.clone(), &["is_group"])
        };
        let stale = self.rpc(Protocol::Grpc, "stale", "UpdateCustomerGroup", &stale).await;
        assert_eq!(stale.status.code(), Code::Aborted);
    }

    /// Stops the service and returns the audit lines.
    fn lines(mut self) -> Vec<Value> {
        self.program.signal(Signal::SIGTERM);
        self.program.wait();
        let lines = self.program.rest_of_log();
        let lines = lines.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.filter(|line| line["target"] == "audit").collect()
    }
}

/// The fields of a line that are the same in every run.
fn said(line: &Value) -> Value {
    assert!(line["timestamp"].as_str().unwrap().ends_with('Z'), "{line}");
    let names = ["level", "action", "id", "fields", "outcome", "key", "request_id"];
    names
        .into_iter()
        .map(|name| (name.to_owned(), line[name].clone()))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn line(action: &str, id: &str, fields: Option<&str>, key: &str, request_id: &str) -> Value {
    json!({
        "level": "INFO", "action": action, "id": id, "fields": fields, "outcome": "done", "key": key,
        "request_id": request_id,
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_change_over_any_protocol_has_an_audit_line_with_key_action_id_and_request_id() {
    let database = TestDatabase::create().await;
    let url = database.url();
    let settings = [("DATABASE_URL", url.as_str())];
    let key = Program::run(&["keys", "create", "--name", "the shop"], &settings).stdout;
    let key = String::from_utf8(key).unwrap().trim().to_owned();
    let list = String::from_utf8(Program::run(&["keys", "list"], &settings).stdout).unwrap();
    let key_id = list.lines().last().unwrap().split_whitespace().next().unwrap().to_owned();
    let audited = Audited { program: Program::serve(&settings), key };

    let create = pb::CreateCustomerGroupRequest { customer_group: Some(named("Export")) };
    let made = audited.rpc(Protocol::Grpc, "create", "CreateCustomerGroup", &create).await;
    let made = pb::CustomerGroup::decode(made.message()).unwrap();
    let again = audited.rpc(Protocol::GrpcWeb, "replayed", "CreateCustomerGroup", &create).await;
    assert_eq!(pb::CustomerGroup::decode(again.message()).unwrap().id, made.id);
    let path = format!("{COLLECTION}/{}", made.id);
    let body = json!({"requests": [
        {"customer_group": {"customer_group_name": "North", "parent_id": made.id}},
        {"customer_group": {"customer_group_name": "South"}},
    ]});
    let batches = format!("{COLLECTION}:batchCreate");
    let batch = audited.rest("batch", "POST", &batches, &body).await.json();
    let id = |number: usize| batch["data"][number]["id"].as_str().unwrap().to_owned();
    let body = json!({"parent_id": id(1), "payment_terms": "30 days"});
    assert_eq!(audited.rest("update", "PATCH", &path, &body).await.status, 200);
    let renamed = update_of(pb::CustomerGroup { id: id(0), ..named("N") }, &["customer_group_name"]);
    audited.rpc(Protocol::GrpcWebText, "rename", "UpdateCustomerGroup", &renamed).await.message();
    audited.change_nothing(&made).await;
    let batch = pb::BatchCreateCustomerGroupsRequest {
        requests: vec![pb::NewCustomerGroupEntry {
            customer_group: Some(Box::new(named("East"))),
            ..Default::default()
        }],
    };
    let east = audited.rpc(Protocol::Grpc, "east", "BatchCreateCustomerGroups", &batch).await;
    let again = audited.rpc(Protocol::Grpc, "east again", "BatchCreateCustomerGroups", &batch).await;
    assert_eq!(east.message(), again.message());
    let east = pb::BatchCreateCustomerGroupsResponse::decode(east.message()).unwrap().data[0].id.clone();
    assert_eq!(audited.rest("read", "GET", &path, &Value::Null).await.status, 200);
    let delete = pb::DeleteCustomerGroupRequest { id: id(0), ..Default::default() };
    audited.rpc(Protocol::GrpcWebOverHttp2, "delete", "DeleteCustomerGroup", &delete).await.message();

    let lines: Vec<Value> = audited.lines().iter().map(said).collect();
    let key = key_id.as_str();
    assert_eq!(
        lines,
        [
            line("create", &made.id, None, key, "create"),
            line("create", &id(0), None, key, "batch"),
            line("create", &id(1), None, key, "batch"),
            line("update", &made.id, Some("parent_id,payment_terms"), key, "update"),
            line("update", &id(0), Some("customer_group_name"), key, "rename"),
            line("create", &east, None, key, "east"),
            line("delete", &id(0), None, key, "delete"),
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_whose_caller_left_is_audited_as_unknown() {
    let database = TestDatabase::create().await;
    let url = database.url();
    let program = Program::serve(&[("DATABASE_URL", &url), ("REQUEST_TIMEOUT", "1s")]);
    let group = program.client().await.create(named("Export")).await.unwrap();
    let lock = database.lock("customer_group").await;
    let audited = Audited { program, key: KEY.to_owned() };
    let path = format!("{COLLECTION}/{}", group.id);
    assert_eq!(audited.rest("late", "DELETE", &path, &Value::Null).await.status, 504);
    lock.release().await;

    let lines = audited.lines();
    let last = said(lines.last().unwrap());
    let mut expected = line("delete", &group.id, None, "API_KEY", "late");
    expected["outcome"] = "unknown".into();
    assert_eq!(last, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_without_a_response_from_the_database_is_audited_as_unknown() {
    let database = TestDatabase::create().await;
    let url = database.url();
    let program = Program::serve(&[("DATABASE_URL", &url)]);
    let group = program.client().await.create(named("Export")).await.unwrap();
    let lock = database.lock("customer_group").await;
    let audited = Audited { program, key: KEY.to_owned() };
    let path = format!("{COLLECTION}/{}", group.id);
    let end = async {
        database.until_a_statement_waits().await;
        database.cut_off_statements().await
    };
    let (response, ended) = tokio::join!(audited.rest("lost", "DELETE", &path, &Value::Null), end);
    assert_eq!((response.status.as_u16(), ended), (503, 1));
    lock.release().await;

    let mut expected = line("delete", &group.id, None, "API_KEY", "lost");
    expected["outcome"] = "unknown".into();
    assert_eq!(said(audited.lines().last().unwrap()), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_audit_log_can_be_enabled_alone() {
    let database = TestDatabase::create().await;
    let url = database.url();
    // Without its log lines, the address is not known.
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let listen = address.to_string();
    let settings = [("DATABASE_URL", &*url), ("RUST_LOG", "off,audit=info"), ("LISTEN", &*listen)];
    let mut program = Program::spawn(Program::command(&settings).stdout(Stdio::null()));
    program.address = address;
    let serving = async { while TcpStream::connect(address).await.is_err() {} };
    eventually("it serves", serving).await;
    let mut audited = Audited { program, key: KEY.to_owned() };
    let body = json!({"customer_group_name": "A"});
    assert_eq!(audited.rest("one", "POST", COLLECTION, &body).await.status, 201);
    audited.program.signal(Signal::SIGTERM);
    audited.program.wait();
    let lines = audited.program.rest_of_log();
    assert!(lines.len() == 1 && lines[0].contains("\"target\":\"audit\""), "{lines:?}");
}
