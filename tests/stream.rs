//! Lists that are longer than the service keeps in memory.

use std::io::Read;
use std::time::Duration;

use customer_groups::testing::Timeouts;
use customer_groups::testing::pb;
use flate2::read::GzDecoder;
use futures_util::StreamExt;
use http_body_util::BodyExt;
use hyper::body::{Bytes, Incoming};
use prost::Message;
use serde_json::Value;
use tonic::transport::Endpoint;
use tonic::{Code, Response, Streaming};

use crate::rest::{COLLECTION, Rest};
use crate::support::http::{framed, open};
use crate::support::protocol::{Protocol, rpc};
use crate::support::{Api, Calls, Client, KEY, TIMEOUTS, TestDatabase, eventually, reason};

const STREAM: &str = "/overplane.setup.v1.CustomerGroupService/StreamCustomerGroupDescendants";

/// Far more than all buffers between PostgreSQL and a client can hold.
const MANY: i32 = 10_000;

/// A service with one connection for calls, and one tree.
async fn api(count: i32, children: i32) -> (Api, String) {
    let api = Api::start_with(TestDatabase::create().await, TIMEOUTS, 1, Duration::from_secs(30)).await;
    let root = api.database.plant(count, children).await;
    (api, root)
}

pub fn all_of(root: &str) -> pb::StreamCustomerGroupDescendantsRequest {
    pb::StreamCustomerGroupDescendantsRequest { id: root.to_owned(), ..Default::default() }
}

async fn stream(client: &Client, root: &str) -> Response<Streaming<pb::CustomerGroup>> {
    client.clone().stream_customer_group_descendants(all_of(root)).await.unwrap()
}

/// Opens the list of descendants over REST.
pub async fn open_list(
    address: std::net::SocketAddr,
    root: &str,
    headers: &[(&str, &str)],
) -> hyper::Response<Incoming> {
    let key = format!("Bearer {KEY}");
    let headers = [&[("authorization", key.as_str())], headers].concat();
    open(address, "GET", &format!("{COLLECTION}/{root}/descendants"), &headers, Bytes::new()).await
}

/// Opens the stream of descendants over gRPC-Web.
pub async fn open_web(
    address: std::net::SocketAddr,
    root: &str,
    headers: &[(&str, &str)],
) -> hyper::Response<Incoming> {
    let key = format!("Bearer {KEY}");
    let headers =
        [&[("authorization", key.as_str()), ("content-type", "application/grpc-web+proto")], headers]
            .concat();
    open(address, "POST", STREAM, &headers, framed(&all_of(root).encode_to_vec())).await
}

/// Reads the rest of a body. Returns the bytes and whether the end was reached.
pub async fn read_on(body: &mut Incoming) -> (Vec<u8>, bool) {
    let mut read = Vec::new();
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => read.extend_from_slice(frame.data_ref().unwrap()),
            Err(_) => return (read, false),
        }
    }
    (read, true)
}

#[tokio::test]
async fn every_protocol_streams_the_content_of_the_list() {
    let (api, root) = api(1000, 7).await;
    let list = Rest(api.address()).get(&format!("/{root}/descendants")).await.json();
    assert_eq!((&list["has_more"], &list["total"]), (&Value::from(false), &Value::from(1000)));
    let expected: Vec<&str> =
        list["data"].as_array().unwrap().iter().map(|group| group["id"].as_str().unwrap()).collect();
    assert_eq!(expected.len(), 1000);
    let key = format!("Bearer {KEY}");
    for protocol in Protocol::RPC {
        let metadata = [("authorization", key.as_str())];
        let method = "StreamCustomerGroupDescendants";
        let response = rpc(protocol, api.address(), method, &metadata, &all_of(&root).encode_to_vec()).await;
        assert_eq!(response.status.code(), Code::Ok, "{protocol:?}");
        let groups = response.messages.into_iter().map(|group| pb::CustomerGroup::decode(group).unwrap());
        assert!(groups.map(|group| group.id).eq(expected.iter().copied()), "{protocol:?}");
    }
}

#[tokio::test]
async fn a_compressed_list_has_the_same_content() {
    let (api, root) = api(1000, 7).await;
    let rest = Rest(api.address());
    for walk in ["children", "descendants", "descendants?limit=7", "descendants?limit=0"] {
        let path = format!("/{root}/{walk}");
        let compressed = rest.call("GET", &path, &[("accept-encoding", "gzip")], "").await;
        assert_eq!(compressed.headers.get("content-encoding").unwrap(), "gzip", "{walk}");
        let mut json = String::new();
        GzDecoder::new(&compressed.body[..]).read_to_string(&mut json).unwrap();
        assert_eq!(json.as_bytes(), rest.get(&path).await.body, "{walk}");
    }
}

/// The request message of a tree list. All of them have the same fields.
fn page_of(id: &str, limit: Option<i32>) -> Vec<u8> {
    pb::ListCustomerGroupChildrenRequest { id: id.to_owned(), limit, ..Default::default() }.encode_to_vec()
}

#[tokio::test]
async fn a_list_over_4_mib_fails_over_grpc_and_works_over_rest() {
    let (api, root) = api(1200, 1200).await;
    let list = pb::ListCustomerGroupsRequest { limit: Some(1000), ..Default::default() }.encode_to_vec();
    let key = format!("Bearer {KEY}");
    let metadata = [("authorization", key.as_str())];
    for protocol in Protocol::RPC {
        for (method, message, streams) in [
            ("ListCustomerGroups", list.clone(), false),
            ("ListCustomerGroupChildren", page_of(&root, None), false),
            ("ListCustomerGroupDescendants", page_of(&root, None), true),
            ("ListCustomerGroupDescendants", page_of(&root, Some(1000)), true),
        ] {
            let status = rpc(protocol, api.address(), method, &metadata, &message).await.status;
            assert_eq!(status.code(), Code::ResourceExhausted, "{protocol:?} {method}");
            assert_eq!(reason(&status), "ANSWER_TOO_LARGE");
            let said = status.message();
            assert!(said.contains("4194304 bytes") && said.contains("limit and starting_after"), "{said}");
            assert_eq!(said.contains("StreamCustomerGroupDescendants"), streams, "{said}");
        }
        let most = page_of(&root, Some(900));
        let page =
            rpc(protocol, api.address(), "ListCustomerGroupDescendants", &metadata, &most).await.message();
        let page = pb::ListCustomerGroupDescendantsResponse::decode(page).unwrap();
        assert_eq!((page.data.len(), page.has_more, page.total), (900, true, 1200));
    }
    api.database.until_statements_run(0).await;
    for walk in ["children", "descendants"] {
        let list = Rest(api.address()).get(&format!("/{root}/{walk}")).await.json();
        assert_eq!((list["data"].as_array().unwrap().len(), &list["total"]), (1200, &Value::from(1200)));
    }
}

#[tokio::test]
async fn a_disconnect_during_a_list_ends_its_statement_and_frees_its_connection() {
    let (api, root) = api(MANY, 50).await;
    let client = api.client().await;
    for round in 0..3 {
        let mut groups = stream(&client, &root).await.into_inner();
        groups.next().await.unwrap().unwrap();
        api.database.until_statements_are_stalled(1).await;
        drop(groups);
        assert_eq!(client.list(Some(1), None).await.unwrap().total, MANY + 1, "{round}");
        api.database.until_statements_run(0).await;

        for is_web in [false, true] {
            let response = if is_web {
                open_web(api.address(), &root, &[]).await
            } else {
                open_list(api.address(), &root, &[]).await
            };
            let mut body = response.into_body();
            body.frame().await.unwrap().unwrap();
            api.database.until_statements_are_stalled(1).await;
            drop(body);
            assert_eq!(client.list(Some(1), None).await.unwrap().total, MANY + 1, "{round}");
            api.database.until_statements_run(0).await;
        }
    }
}

#[tokio::test]
async fn an_unread_end_of_a_list_blocks_nobody() {
    // A single long list. Its unread rest fits into the send buffer of a slow reader.
    let api = Api::start_with(TestDatabase::create().await, TIMEOUTS, 2, Duration::from_secs(5)).await;
    let root = api.database.plant(160, 50).await;
    let endpoint = Endpoint::from_shared(format!("http://{}", api.address())).unwrap();
    let narrow = endpoint.initial_stream_window_size(64 * 1024).connect().await.unwrap();
    let slow = stream(&Api::client_on(narrow), &root).await;
    api.database.until_statements_run(0).await;
    let client = api.client().await;
    assert_eq!(stream(&client, &root).await.into_inner().count().await, 160);
    assert_eq!(slow.into_inner().count().await, 160);
}

#[tokio::test]
async fn a_reader_that_stalls_too_long_gets_an_error_instead_of_a_truncated_list() {
    let timeouts = Timeouts { request: Duration::from_secs(1), ..TIMEOUTS };
    let api = Api::start_with(TestDatabase::create().await, timeouts, 4, Duration::from_secs(30)).await;
    let root = api.database.plant(MANY, 50).await;
    let client = api.client().await;
    // The beginning must arrive in time, and a busy machine may be too slow for that.
    let list = eventually("the list begins", async {
        loop {
            let response = open_list(api.address(), &root, &[]).await;
            if response.status() == 200 {
                break response;
            }
        }
    });
    let mut list = list.await.into_body();
    let groups = eventually("the stream begins", async {
        loop {
            if let Ok(groups) = client.clone().stream_customer_group_descendants(all_of(&root)).await {
                break groups;
            }
        }
    });
    let mut groups = groups.await.into_inner();
    api.database.until_statements_run(0).await;

    let (read, is_whole) = read_on(&mut list).await;
    assert!(!is_whole && serde_json::from_slice::<Value>(&read).is_err());
    let status = loop {
        match groups.next().await.expect("an error") {
            Ok(_) => {}
            Err(status) => break status,
        }
    };
    // The list waits for its reader as long as the stream does: either may give up first.
    assert!([Code::Cancelled, Code::DeadlineExceeded].contains(&status.code()), "{status:?}");
}

#[tokio::test]
async fn a_rejected_starting_after_does_not_cost_the_connection() {
    let (api, root) = api(10, 3).await;
    let rest = Rest(api.address());
    let connection = "select pid::bigint from pg_stat_activity where datname = current_database()
                      and application_name = 'customer-groups' and query ~ 'recursive|commit'";
    rest.get(&format!("/{root}/descendants")).await;
    let before = api.database.number(connection).await;
    for _ in 0..3 {
        let refused = rest.get(&format!("/{root}/descendants?starting_after={root}")).await;
        assert_eq!(refused.status, 400);
        assert_eq!(rest.get(&format!("/{root}/descendants")).await.status, 200);
    }
    assert_eq!(api.database.number(connection).await, before);
}
