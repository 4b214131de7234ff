//! Lists that break off before their end: no client can mistake one for a complete list.

use std::collections::BTreeMap;

use customer_groups::testing::pb;
use futures_util::StreamExt;
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tonic::{Code, Request, Status, Streaming};

use crate::process::call_line;
use crate::rest::COLLECTION;
use crate::stream::{all_of, open_list, open_web, read_on};
use crate::support::http::{HttpResponse, open};
use crate::support::protocol::{Rpc, of_web};
use crate::support::{Calls, KEY, Program, TestDatabase, reason};

/// Three open lists of descendants: over REST, gRPC-Web and gRPC.
struct ReadBatchers {
    list: Incoming,
    web: Incoming,
    groups: Streaming<pb::CustomerGroup>,
}

/// The request ids of the three calls.
const IDS: [&str; 3] = ["rest", "web", "grpc"];

impl ReadBatchers {
    async fn begin(program: &Program, root: &str) -> Self {
        let list = open_list(program.address, root, &[("x-request-id", IDS[0])]).await;
        let web = open_web(program.address, root, &[("x-request-id", IDS[1])]).await;
        let mut request = Request::new(all_of(root));
        request.metadata_mut().insert("x-request-id", IDS[2].parse().unwrap());
        let groups = program.client().await.stream_customer_group_descendants(request).await.unwrap();
        assert_eq!((list.status(), web.status()), (StatusCode::OK, StatusCode::OK));
        Self { list: list.into_body(), web: web.into_body(), groups: groups.into_inner() }
    }

    /// Reads until the error. Over REST the only sign is that the body ends early.
    async fn errors(mut self) -> [Status; 2] {
        let (read, is_whole) = read_on(&mut self.list).await;
        assert!(!is_whole && serde_json::from_slice::<Value>(&read).is_err());
        let body = self.web.collect().await.unwrap().to_bytes();
        let Rpc { status: of_web, .. } =
            of_web(HttpResponse { status: StatusCode::OK, headers: HeaderMap::new(), body });
        [of_web, error_of(self.groups).await]
    }
}

async fn error_of(mut groups: Streaming<pb::CustomerGroup>) -> Status {
    loop {
        match groups.next().await.expect("an error") {
            Ok(_) => {}
            Err(status) => return status,
        }
    }
}

/// Stops the program and returns the log line of each call, by its request id.
fn lines(mut program: Program) -> BTreeMap<String, Value> {
    let is_one = |line: &Value| {
        line["message"] == "call" && IDS.contains(&line["request_id"].as_str().unwrap_or_default())
    };
    let found = IDS.map(|_| program.log_line(is_one));
    program.signal(Signal::SIGTERM);
    assert_eq!(program.wait().code(), Some(0));
    let rest = program.rest_of_log();
    assert!(!rest.iter().any(|line| IDS.iter().any(|id| line.contains(&format!("\"{id}\"")))), "{rest:?}");
    found.map(|line| (line["request_id"].as_str().unwrap().to_owned(), line)).into()
}

async fn planted(count: i32) -> (TestDatabase, String) {
    let database = TestDatabase::create().await;
    let root = database.plant(count, 50).await;
    (database, root)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_that_loses_its_database_breaks_off_and_the_log_says_why() {
    let (database, root) = planted(10_000).await;
    let program = Program::serve(&[("DATABASE_URL", &database.url())]);
    let readers = ReadBatchers::begin(&program, &root).await;
    database.until_statements_are_stalled(3).await;
    assert_eq!(database.cut_off_statements().await, 3);
    for status in readers.errors().await {
        assert_eq!((status.code(), &*reason(&status)), (Code::Unavailable, "UNAVAILABLE"));
    }
    // The next call gets a working connection.
    program.client().await.list(Some(1), None).await.unwrap();
    let lines = lines(program);
    for (id, code) in IDS.into_iter().zip(["200", "UNAVAILABLE", "UNAVAILABLE"]) {
        let line = &lines[id];
        assert_eq!((&line["code"], &line["reason"]), (&json!(code), &json!("unavailable")), "{line}");
        assert_eq!(line["level"], "WARN");
        assert!(line["cause"].as_str().unwrap().contains("a statement failed: "), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_with_an_invalid_group_breaks_off_there() {
    let (database, root) = planted(1000).await;
    let corrupt = r"update customer_group set payment_terms = E'broken\x07'
                    where id = (select id from customer_group order by id offset 800 limit 1)";
    database.sql().await.batch_execute(corrupt).await.unwrap();
    let program = Program::serve(&[("DATABASE_URL", &database.url())]);
    // A complete end of the compressed data would also look like the end of the list.
    let mut compressed = open_list(program.address, &root, &[("accept-encoding", "gzip")]).await;
    assert_eq!(compressed.headers()["content-encoding"], "gzip");
    assert!(!read_on(compressed.body_mut()).await.1);

    let errors = ReadBatchers::begin(&program, &root).await.errors().await;
    for (status, id) in errors.into_iter().zip(["web", "grpc"]) {
        assert_eq!((status.code(), &*reason(&status)), (Code::Internal, "INTERNAL"));
        let message = format!("an internal error occurred; quote the request id {id} when you report it");
        assert_eq!(status.message(), message);
    }
    for line in lines(program).values() {
        assert_eq!((&line["level"], &line["reason"]), (&json!("ERROR"), &json!("internal")), "{line}");
        assert!(line["cause"].as_str().unwrap().contains("U+0007"), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_list_that_is_cut_off_by_a_shutdown_is_recognisably_incomplete() {
    let (database, root) = planted(10_000).await;
    let mut program = Program::serve(&[("DATABASE_URL", &database.url()), ("DRAIN_TIMEOUT", "100ms")]);
    let mut readers = ReadBatchers::begin(&program, &root).await;
    database.until_statements_are_stalled(3).await;
    program.signal(Signal::SIGTERM);
    assert_eq!(program.wait().code(), Some(0));
    assert!(!read_on(&mut readers.list).await.1);
    assert!(!read_on(&mut readers.web).await.1);
    error_of(readers.groups).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_list_whose_caller_disconnects_is_logged_as_cancelled() {
    let (database, root) = planted(10_000).await;
    let program = Program::serve(&[("DATABASE_URL", &database.url())]);
    let mut left = open_list(program.address, &root, &[("x-request-id", "left")]).await.into_body();
    left.frame().await.unwrap().unwrap();
    drop(left);
    let line = call_line(&program, "left");
    assert_eq!((&line["code"], &line["reason"]), (&json!("CANCELLED"), &Value::Null), "{line}");

    let key = format!("Bearer {KEY}");
    for (method, walk, encoding) in [
        ("GET", "children", "identity"),
        ("GET", "children", "gzip"),
        ("HEAD", "descendants", "identity"),
        ("GET", "children?limit=1", "identity"),
        ("GET", "children?limit=1", "gzip"),
    ] {
        let path = format!("{COLLECTION}/{root}/{walk}");
        let headers =
            [("authorization", key.as_str()), ("x-request-id", "read"), ("accept-encoding", encoding)];
        let mut response = open(program.address, method, &path, &headers, "").await;
        assert!(read_on(response.body_mut()).await.1, "{method} {walk} {encoding}");
        assert_eq!(call_line(&program, "read")["code"], "200", "{method} {walk} {encoding}");
    }
}
