//! Heads of requests that no client library sends (RFC 9112).

use customer_groups::testing::COLLECTION;
use customer_groups::testing::pb::customer_group_service_server::SERVICE_NAME;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::http::{RawGrpc, get, request};
use crate::support::{Api, Calls, KEY, Program, TestDatabase, named, reason};

/// Sends a request, and returns the status line and the whole response.
async fn raw(api: &Api, head: &str) -> (String, String) {
    let mut stream = TcpStream::connect(api.address()).await.unwrap();
    stream.write_all(format!("{head}\r\nconnection: close\r\n\r\n").as_bytes()).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    (response.lines().next().unwrap_or_default().to_owned(), response)
}

#[tokio::test]
async fn a_request_needs_exactly_one_host() {
    let api = Api::start().await;
    for (head, status) in [
        ("GET /livez HTTP/1.1\r\nhost: x", "200 OK"),
        ("GET /livez HTTP/1.1\r\nx-no: host", "400 Bad Request"),
        ("GET /livez HTTP/1.1\r\nhost: x\r\nhost: x", "400 Bad Request"),
        ("GET /livez HTTP/1.0\r\nx-no: host", "200 OK"),
    ] {
        let (line, response) = raw(&api, head).await;
        assert!(line.ends_with(status), "{head:?} gave {response}");
    }
}

#[tokio::test]
async fn no_transfer_coding_but_chunked_is_accepted() {
    let api = Api::start().await;
    let head = format!(
        "POST {COLLECTION} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\ntransfer-encoding: gzip, chunked"
    );
    let (line, response) = raw(&api, &head).await;
    assert!(
        line.ends_with("501 Not Implemented") && response.contains("transfer_coding_unsupported"),
        "{response}"
    );
}

#[tokio::test]
async fn grpc_is_post_only() {
    let api = Api::start().await;
    let client = api.client().await;
    let group = client.create(named("Export")).await.unwrap();
    let path = format!("/{SERVICE_NAME}/DeleteCustomerGroup");
    let key = format!("Bearer {KEY}");
    for method in ["GET", "PUT", "DELETE", "PATCH"] {
        for content_type in ["application/grpc", "application/grpc+proto"] {
            let headers = [("authorization", &*key), ("content-type", content_type), ("te", "trailers")];
            let response = request(api.address(), method, &path, &headers, "").await;
            assert_eq!(
                (response.status.as_u16(), &response.headers["allow"]),
                (405, &"POST".parse().unwrap())
            );
            assert_eq!(response.json()["error"]["code"], "method_not_allowed");
        }
    }
    assert_eq!(client.get(&group.id).await.unwrap(), group);
}

#[tokio::test]
async fn grpc_over_http_1_is_refused_with_a_status() {
    let api = Api::start().await;
    let key = format!("Bearer {KEY}");
    let headers = [("authorization", &*key), ("content-type", "application/grpc"), ("te", "trailers")];
    for path in [format!("/{SERVICE_NAME}/ListCustomerGroups"), "/grpc.health.v1.Health/Check".to_owned()] {
        let response = request(api.address(), "POST", &path, &headers, vec![0; 5]).await;
        assert!(response.body.is_empty());
        let status = response.grpc_status();
        assert_eq!(
            (status.code(), &*reason(&status)),
            (tonic::Code::Unimplemented, "HTTP_VERSION_UNSUPPORTED")
        );
    }
}

#[tokio::test]
async fn an_escape_that_is_not_needed_changes_no_path() {
    let api = Api::start().await;
    let group = api.client().await.create(named("Export")).await.unwrap();
    let key = format!("Bearer {KEY}");
    let headers = [("authorization", &*key), ("content-type", "application/json")];
    let body = format!(r#"{{"ids":["{}"]}}"#, group.id);
    for path in ["%3AbatchGet", "%3abatch%47et"] {
        let response =
            request(api.address(), "POST", &format!("{COLLECTION}{path}"), &headers, body.clone()).await;
        assert_eq!(response.status, 200, "{path}");
    }
    let escaped = COLLECTION.replace('-', "%2D");
    let id = group.id.replace('-', "%2d");
    assert_eq!(get(api.address(), &format!("{escaped}/{id}?"), &headers).await.status, 200);
    // An escape that is needed stays one.
    assert_eq!(get(api.address(), &format!("{COLLECTION}%2F{id}"), &headers).await.status, 404);
}

#[tokio::test]
async fn a_request_for_the_server_as_a_whole_is_answered() {
    let api = Api::start().await;
    let (line, response) = raw(&api, "OPTIONS * HTTP/1.1\r\nhost: x").await;
    assert!(line.ends_with("204 No Content"), "{response}");
}

#[tokio::test]
async fn two_different_keys_are_refused_and_one_that_is_repeated_is_not() {
    let api = Api::start().await;
    let (key, other) = (format!("Bearer {KEY}"), "Bearer sk_test_0123456789abcdef0123");
    for (second, status) in [(&*key, 200), (other, 401)] {
        let headers = [("authorization", &*key), ("authorization", second)];
        let response = get(api.address(), COLLECTION, &headers).await;
        assert_eq!(response.status, status, "{:?}", response.body);
    }
    let mut grpc = RawGrpc::connect(api.address()).await;
    let path = format!("/{SERVICE_NAME}/ListCustomerGroups");
    let refused = grpc.call(&path, &[("authorization", other)], vec![0; 5]).await.grpc_status();
    assert_eq!(refused.code(), tonic::Code::Unauthenticated);
}

#[tokio::test]
async fn what_a_caller_sends_is_logged_in_short_and_without_keys() {
    const SECRET: &str = "sk_test_a_key_in_a_wrong_place";
    let database = TestDatabase::create().await;
    let program = Program::serve(&[("DATABASE_URL", &database.url())]);
    let key = format!("Bearer {KEY}");
    let long = "x".repeat(5000);
    for path in
        [format!("{COLLECTION}/{SECRET}"), format!("/sk%5Ftest%5F{}", &SECRET[8..]), format!("/{long}")]
    {
        let headers = [("authorization", &*key), ("x-request-id", SECRET)];
        let response = get(program.address, &path, &headers).await;
        assert_eq!(response.status, 404);
        assert_ne!(response.headers["x-request-id"], SECRET);
        let line = program.log_line(|line| line["message"] == "call").to_string();
        assert!(!line.contains(&SECRET[8..]) && line.len() < 1000, "{line}");
    }
    // Callers without a key write no lines of their own.
    for _ in 0..3 {
        assert_eq!(get(program.address, &format!("/{long}"), &[]).await.status, 401);
    }
    let counted = program.log_line(|line| {
        assert_ne!(line["message"], "call", "{line}");
        line["message"].as_str().is_some_and(|message| message.contains("without a valid API key"))
    });
    assert!((1..=3).contains(&counted["count"].as_u64().unwrap()), "{counted}");
}
