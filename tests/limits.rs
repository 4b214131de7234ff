//! Admission limits: concurrency, connections, rate limits, sizes and timeouts.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use customer_groups::testing::Scope;
use customer_groups::testing::pb::CustomerGroup;
use customer_groups::testing::pb::customer_group_service_server::SERVICE_NAME;
use customer_groups::testing::{Limits, Timeouts};
use futures_util::StreamExt;
use futures_util::future::join;
use futures_util::stream::FuturesUnordered;
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tonic::Code;

use crate::auth::make_key;
use crate::rest::COLLECTION;
use crate::stream::{open_list, read_on};
use crate::support::http::{RawGrpc, get, open_on, request, request_http2};
use crate::support::http2::{self, END_HEADERS, END_STREAM, GOAWAY, HEADERS, until_frame};
use crate::support::{
    Api, BOUNDS, Calls, KEY, Program, TIMEOUTS, TestDatabase, eventually, named, reason, update_of,
};

fn nonzero(number: usize) -> NonZeroUsize {
    NonZeroUsize::new(number).unwrap()
}

/// Waits until the service accepts one more connection.
pub async fn until_a_connection_is_accepted(address: SocketAddr) {
    let is_served = async || {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(b"GET /livez HTTP/1.0\r\n\r\n").await?;
        let mut response = String::new();
        stream.read_to_string(&mut response).await?;
        std::io::Result::Ok(response.contains("200 OK"))
    };
    eventually("there is room for another", async { while !is_served().await.unwrap_or(false) {} }).await;
}

/// Waits until the peer closes the connection, with or without an error.
async fn closed(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    eventually("the connection is closed", stream.read_to_end(&mut rest)).await.ok();
}

#[tokio::test]
async fn a_call_over_the_concurrency_limit_is_refused_at_once_until_another_ends() {
    let api = Api::start_within(Limits { calls: nonzero(2), ..BOUNDS }, TIMEOUTS).await;
    let client = api.client().await;
    let lock = api.database.lock("customer_group").await;
    let (first, second) = (client.clone(), client.clone());
    let waiting = tokio::spawn(async move { join(first.list(None, None), second.list(None, None)).await });
    api.database.until_statements_run(2).await;

    // Any call with a key. None of them waits for the lock.
    let status = client.list(None, None).await.unwrap_err();
    assert_eq!((status.code(), &*reason(&status)), (Code::ResourceExhausted, "OVERLOADED"));
    let key = format!("Bearer {KEY}");
    let response = get(api.address(), COLLECTION, &[("authorization", &key)]).await;
    assert_eq!((response.status.as_u16(), &response.headers["retry-after"]), (429, &"1".parse().unwrap()));
    // A caller without a key learns nothing of the load. Health checks and probes need no permit.
    assert_eq!(get(api.address(), COLLECTION, &[]).await.status, 401);
    assert_eq!(get(api.address(), "/readyz", &[]).await.status, 200);

    lock.release().await;
    let (first, second) = waiting.await.unwrap();
    first.and(second).unwrap();
    client.list(None, None).await.unwrap();
}

#[tokio::test]
async fn a_connection_with_many_refused_calls_is_throttled_to_the_rate_of_refusals() {
    const CALLS: u32 = 2000;
    const AT_ONCE: u32 = 100;
    /// One thread can send this many refusals a second.
    const BETWEEN: Duration = Duration::from_micros(200);

    let api = Api::start_within(Limits { calls: nonzero(1), ..BOUNDS }, TIMEOUTS).await;
    let client = api.client().await;
    let lock = api.database.lock("customer_group").await;
    let waiting = client.clone();
    let waiting = tokio::spawn(async move { waiting.list(None, None).await });
    api.database.until_statements_run(1).await;

    let begun = Instant::now();
    let refused = (0..CALLS).map(|_| async { client.list(None, None).await.unwrap_err().code() });
    let mut refused = futures_util::stream::iter(refused).buffer_unordered(AT_ONCE as usize);
    while let Some(code) = refused.next().await {
        assert_eq!(code, Code::ResourceExhausted);
    }
    // Calls that were read before the first throttling are not delayed.
    assert!(begun.elapsed() >= BETWEEN * (CALLS - 2 * AT_ONCE), "{:?}", begun.elapsed());

    lock.release().await;
    waiting.await.unwrap().unwrap();
}

#[tokio::test]
async fn calls_over_the_pool_queue_limit_are_refused_at_once_but_batched_reads_are_not() {
    let database = TestDatabase::create().await;
    let settings = [("DATABASE_URL", &*database.url()), ("POOL_SIZE", "1"), ("POOL_QUEUE", "1")];
    let program = Program::serve(&settings);
    let client = program.client().await;
    let group = client.create(named("Export")).await.unwrap();
    let mut sql = database.sql().await;
    let held = sql.transaction().await.unwrap();
    held.batch_execute("update customer_group set is_group = true").await.unwrap();

    // One call has the connection and another waits for it, in either order.
    let mut calls: FuturesUnordered<_> =
        (0..4).map(|_| client.update(update_of(group.clone(), &["payment_terms"]))).collect();
    for _ in 0..2 {
        let status = calls.next().await.unwrap().unwrap_err();
        assert_eq!((status.code(), &*reason(&status)), (Code::ResourceExhausted, "OVERLOADED"));
    }
    assert_eq!(client.get(&group.id).await.unwrap(), group);
    held.rollback().await.unwrap();
    for _ in 0..2 {
        calls.next().await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn refused_calls_are_logged_as_a_count_without_lines_of_their_own() {
    let database = TestDatabase::create().await;
    let program = Program::serve(&[("DATABASE_URL", &database.url()), ("MAX_CALLS", "1")]);
    let client = program.client().await;
    let lock = database.lock("customer_group").await;
    let waiting = client.clone();
    let waiting = tokio::spawn(async move { waiting.list(None, None).await });
    database.until_statements_run(1).await;
    for _ in 0..3 {
        client.list(None, None).await.unwrap_err();
    }
    lock.release().await;
    waiting.await.unwrap().unwrap();
    let mut counted = 0;
    while counted < 3 {
        let line = program.log_line(|line| {
            assert_ne!(line["code"], "RESOURCE_EXHAUSTED", "{line}");
            line["message"].as_str().is_some_and(|message| message.starts_with("calls refused"))
        });
        counted += line["count"].as_u64().unwrap();
    }
    assert_eq!(counted, 3);
}

#[tokio::test]
async fn a_long_list_that_is_read_slowly_holds_no_permit() {
    let api = Api::start_within(Limits { calls: nonzero(1), ..BOUNDS }, TIMEOUTS).await;
    let root = api.database.plant(20_000, 50).await;
    let client = api.client().await;
    let mut list = open_list(api.address(), &root, &[]).await.into_body();
    list.frame().await.unwrap().unwrap();
    client.list(None, None).await.unwrap();
    assert!(read_on(&mut list).await.1);
}

#[tokio::test]
async fn connections_over_the_limit_are_closed_and_the_others_served() {
    let api = Api::start_within(Limits { connections: nonzero(2), ..BOUNDS }, TIMEOUTS).await;
    let client = api.client().await;
    client.list(None, None).await.unwrap();
    let mut idle = TcpStream::connect(api.address()).await.unwrap();
    let mut third = TcpStream::connect(api.address()).await.unwrap();
    closed(&mut third).await;
    client.list(None, None).await.unwrap();
    idle.shutdown().await.unwrap();
    closed(&mut idle).await;
    until_a_connection_is_accepted(api.address()).await;
}

#[tokio::test]
async fn each_key_has_its_own_rate_limit() {
    let api = Api::start_within(Limits { rate: Some("2/h".parse().unwrap()), ..BOUNDS }, TIMEOUTS).await;
    let authorization = format!("Bearer {KEY}");
    let headers = [("authorization", authorization.as_str())];
    for _ in 0..2 {
        assert_eq!(get(api.address(), COLLECTION, &headers).await.status, 200);
    }
    let response = get(api.address(), COLLECTION, &headers).await;
    assert_eq!(
        (response.status.as_u16(), response.json()["error"]["code"].as_str()),
        (429, Some("rate_limited"))
    );
    let wait: u64 = response.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=1800).contains(&wait), "{wait} s");
    // Calls of other keys do not count, nor do those that need no key.
    let (_, other) = make_key(&api, Scope::Read).await;
    api.client_with(other.expose()).await.list(None, None).await.unwrap();
    assert_eq!(get(api.address(), "/readyz", &headers).await.status, 200);
}

#[tokio::test]
async fn headers_and_messages_over_the_size_limit_are_rejected() {
    let bounds = Limits { header_bytes: 8192, request_bytes: 2000, ..BOUNDS };
    let api = Api::start_within(bounds, TIMEOUTS).await;
    let (fits, large) = ("x".repeat(4000), "x".repeat(9000));
    assert_eq!(get(api.address(), "/livez", &[("x-long", &fits)]).await.status, 200);
    assert_eq!(get(api.address(), "/livez", &[("x-long", &large)]).await.status, 431);
    let mut raw = RawGrpc::connect(api.address()).await;
    let path = format!("/{SERVICE_NAME}/ListCustomerGroups");
    assert_eq!(raw.call(&path, &[("x-long", &fits)], vec![0; 5]).await.code(), Code::Ok);
    let refused = raw.call(&path, &[("x-long", &large)], vec![0; 5]).await.grpc_status();
    assert_eq!((refused.code(), &*reason(&refused)), (Code::ResourceExhausted, "HEADERS_TOO_LARGE"));
    assert_eq!(request_http2(api.address(), COLLECTION, &[("x-long", &large)], "").await.status, 431);
    assert_eq!(raw.call(&path, &[], vec![0; 5]).await.code(), Code::Ok);

    let client = api.client().await;
    let with_terms = |length| CustomerGroup { payment_terms: Some("x".repeat(length)), ..named("Export") };
    let status = client.create(with_terms(2000)).await.unwrap_err();
    assert_eq!((status.code(), &*reason(&status)), (Code::ResourceExhausted, "BODY_TOO_LARGE"));
    assert!(status.message().contains("2000 bytes"), "{}", status.message());
    let body = serde_json::json!({"customer_group_name": "x".repeat(2000)}).to_string();
    let authorization = format!("Bearer {KEY}");
    let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
    let response = request(api.address(), "POST", COLLECTION, &headers, body).await;
    assert_eq!(
        (response.status.as_u16(), response.json()["error"]["code"].as_str()),
        (413, Some("body_too_large"))
    );
    client.create(with_terms(255)).await.unwrap();
}

#[tokio::test]
async fn idle_and_nearly_idle_connections_are_closed() {
    let timeouts = Timeouts { header: Duration::from_millis(300), ..TIMEOUTS };
    let api = Api::start_within(BOUNDS, timeouts).await;
    let http2_without_a_request = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    for begun in
        ["", "P", "PRI * HTTP/2.0\r\n", "GET / HTTP/1.1\r\nhost: here\r\nx-slow: ", http2_without_a_request]
    {
        let mut stream = TcpStream::connect(api.address()).await.unwrap();
        stream.write_all(begun.as_bytes()).await.unwrap();
        closed(&mut stream).await;
    }
}

#[tokio::test]
async fn a_connection_without_a_call_is_closed_after_the_idle_timeout() {
    let timeouts = Timeouts { idle: Duration::from_millis(300), ..TIMEOUTS };
    let api = Api::start_within(BOUNDS, timeouts).await;
    let mut http1 = TcpStream::connect(api.address()).await.unwrap();
    http1.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    closed(&mut http1).await;
    let (mut sender, mut receiver) = http2::connect(api.address()).await;
    sender.send(HEADERS, END_STREAM | END_HEADERS, 1, http2::GET).await.unwrap();
    eventually("GOAWAY", until_frame(&mut receiver, GOAWAY)).await;
}

#[tokio::test]
async fn a_connection_of_its_maximum_age_finishes_its_calls_and_accepts_no_others() {
    let timeouts = Timeouts { age: Duration::from_millis(300), ..TIMEOUTS };
    let api = Api::start_within(BOUNDS, timeouts).await;
    let lock = api.database.lock("customer_group").await;
    let (mut sender, mut receiver) = http2::connect(api.address()).await;
    let list = http2::get_with_key(COLLECTION, KEY);
    sender.send(HEADERS, END_STREAM | END_HEADERS, 1, &list).await.unwrap();
    eventually("GOAWAY", until_frame(&mut receiver, GOAWAY)).await;
    lock.release().await;
    eventually("the response", until_frame(&mut receiver, HEADERS)).await;
}

#[tokio::test]
async fn connections_over_the_limit_of_their_address_are_closed_and_those_of_others_served() {
    let bounds = Limits { connections_per_address: nonzero(2), ..BOUNDS };
    let api = Api::start_within(bounds, TIMEOUTS).await;
    let from = async |address: &str| {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(address.parse().unwrap()).unwrap();
        socket.connect(api.address()).await.unwrap()
    };
    let _two = [from("127.0.0.1:0").await, from("127.0.0.1:0").await];
    closed(&mut from("127.0.0.1:0").await).await;
    let other = from("127.0.0.2:0").await;
    let livez = open_on(other, api.address(), "GET", "/livez", &[], "").await.unwrap();
    assert_eq!(livez.status(), 200);
}

#[tokio::test]
async fn slow_headers_time_out() {
    let timeouts = Timeouts { header: Duration::from_millis(300), ..TIMEOUTS };
    let api = Api::start_within(BOUNDS, timeouts).await;
    let stream = TcpStream::connect(api.address()).await.unwrap();
    let (mut reader, mut writer) = stream.into_split();
    writer.write_all(b"GET /livez HTTP/1.1\r\nx-slow: ").await.unwrap();
    let slow = async {
        while writer.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let mut response = Vec::new();
    let read = async {
        reader.read_to_end(&mut response).await.ok();
    };
    eventually("it is closed", join(slow, read)).await;
    client_is_served(&api).await;
}

async fn client_is_served(api: &Api) {
    api.client().await.list(None, None).await.unwrap();
}
