//! Compressed requests and responses, and the other forms of bodies.

use std::io::{Read, Write};

use customer_groups::testing::pb::{
    CreateCustomerGroupRequest, CustomerGroup, ListCustomerGroupsRequest, ListCustomerGroupsResponse,
    StreamCustomerGroupDescendantsRequest,
};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use http::HeaderMap;
use prost::Message;
use serde_json::{Value, json};
use tonic::Code;

use crate::contract::error::ApiError;
use crate::rest::{JSON, Rest, assert_error, path_of};
use crate::support::http::{HttpResponse, RawGrpc};
use crate::support::protocol::{Protocol, rpc, send, wire};
use crate::support::{Api, Calls, KEY, below, named};

const ENCODINGS: [&str; 2] = ["gzip", "zstd"];

fn compressed(encoding: &str, bytes: &[u8]) -> Vec<u8> {
    match encoding {
        "gzip" => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        "zstd" => zstd::encode_all(bytes, 0).unwrap(),
        _ => panic!("{encoding} is no encoding"),
    }
}

fn decompressed(encoding: &str, bytes: &[u8]) -> Vec<u8> {
    match encoding {
        "gzip" => {
            let mut decoded = Vec::new();
            GzDecoder::new(bytes).read_to_end(&mut decoded).unwrap();
            decoded
        }
        "zstd" => zstd::decode_all(bytes).unwrap(),
        _ => panic!("{encoding} is no encoding"),
    }
}

/// A message in a frame that says that it is compressed.
fn compressed_frame(encoding: &str, message: &[u8]) -> Vec<u8> {
    let bytes = compressed(encoding, message);
    [&[1], &u32::try_from(bytes.len()).unwrap().to_be_bytes()[..], &bytes].concat()
}

fn key() -> String {
    format!("Bearer {KEY}")
}

fn create(name: &str) -> Vec<u8> {
    CreateCustomerGroupRequest { customer_group: Some(named(name)) }.encode_to_vec()
}

#[tokio::test]
async fn compressed_requests_are_read_over_every_face() {
    let api = Api::start().await;
    let (rest, key) = (Rest(api.address()), key());
    for encoding in ENCODINGS {
        for protocol in Protocol::RPC {
            let metadata = [("authorization", &*key), ("grpc-encoding", encoding)];
            let body = wire(protocol, compressed_frame(encoding, &create("Export")));
            let response = send(protocol, api.address(), "CreateCustomerGroup", &metadata, body).await;
            let group = CustomerGroup::decode(response.message()).unwrap();
            assert_eq!(group.customer_group_name, "Export", "{protocol:?} {encoding}");
        }
    }
    let body = json!({"customer_group_name": "Export"}).to_string();
    for (encoding, body) in [
        ("gzip", compressed("gzip", body.as_bytes())),
        ("GZip", compressed("gzip", body.as_bytes())),
        ("x-gzip", compressed("gzip", body.as_bytes())),
        ("zstd", compressed("zstd", body.as_bytes())),
        ("identity", body.clone().into_bytes()),
        ("Identity, IDENTITY", body.clone().into_bytes()),
        ("", body.clone().into_bytes()),
    ] {
        let response = rest.call("POST", "", &[JSON, ("content-encoding", encoding)], body).await;
        assert_eq!(response.status, 201, "{encoding:?}: {:?}", response.body);
    }
}

#[tokio::test]
async fn an_unsupported_encoding_is_refused_and_the_supported_ones_are_named() {
    let api = Api::start().await;
    let (rest, key) = (Rest(api.address()), key());
    for protocol in Protocol::RPC {
        let metadata = [("authorization", &*key), ("grpc-encoding", "br")];
        let response = rpc(protocol, api.address(), "ListCustomerGroups", &metadata, b"").await;
        assert_eq!(ApiError::from_grpc(&response.status).code, "content_type_unsupported", "{protocol:?}");
        assert!(
            response.status.message().ends_with("send it with gzip, zstd, identity"),
            "{:?}",
            response.status
        );
        let accepted = response.metadata["grpc-accept-encoding"].to_str().unwrap();
        assert!(ENCODINGS.iter().all(|encoding| accepted.contains(encoding)), "{accepted}");
    }
    for encoding in ["br", "gzip, gzip", "deflate"] {
        let response = rest.call("POST", "", &[JSON, ("content-encoding", encoding)], "{}").await;
        assert_error(&response, 415, "content_type_unsupported", None);
        assert_eq!(response.headers["accept-encoding"], "gzip, zstd, identity");
    }
}

#[tokio::test]
async fn a_small_request_that_decompresses_to_a_large_one_is_refused() {
    let api = Api::start().await;
    let (rest, key) = (Rest(api.address()), key());
    let large = vec![b' '; 64 << 20];
    for encoding in ENCODINGS {
        for protocol in Protocol::RPC {
            let metadata = [("authorization", &*key), ("grpc-encoding", encoding)];
            let body = wire(protocol, compressed_frame(encoding, &large));
            let response = send(protocol, api.address(), "CreateCustomerGroup", &metadata, body).await;
            let error = ApiError::from_grpc(&response.status);
            assert_eq!(error.code, "body_too_large", "{protocol:?} {encoding}");
        }
        let body = compressed(encoding, &large);
        let response = rest.call("POST", "", &[JSON, ("content-encoding", encoding)], body).await;
        assert_error(&response, 413, "body_too_large", None);
        let response = rest.call("POST", "", &[JSON, ("content-encoding", encoding)], "{}").await;
        assert_error(&response, 400, "body_malformed", None);
    }
}

#[tokio::test]
async fn lists_and_streams_are_compressed_for_callers_that_accept_it_and_single_objects_are_not() {
    let api = Api::start().await;
    let client = api.client().await;
    let parent = client.create(named(&"n".repeat(200))).await.unwrap();
    client.create(below(&parent, &"n".repeat(200))).await.unwrap();
    let list = ListCustomerGroupsRequest::default().encode_to_vec();
    let stream =
        StreamCustomerGroupDescendantsRequest { id: parent.id.clone(), ..Default::default() }.encode_to_vec();
    let create = create(&"n".repeat(200));
    let service = "/overplane.setup.v1.CustomerGroupService";
    let mut raw = RawGrpc::connect(api.address()).await;
    for encoding in ENCODINGS {
        for (method, message, is_compressed) in [
            ("ListCustomerGroups", &list, true),
            ("StreamCustomerGroupDescendants", &stream, true),
            ("CreateCustomerGroup", &create, false),
        ] {
            let frames = [&[0], &u32::try_from(message.len()).unwrap().to_be_bytes()[..], message].concat();
            let headers = [("grpc-accept-encoding", encoding)];
            let response = raw.call(&format!("{service}/{method}"), &headers, frames).await;
            assert_eq!(
                (response.code(), response.body[0] == 1),
                (Code::Ok, is_compressed),
                "{method} {encoding}"
            );
        }
        for protocol in Protocol::RPC {
            let metadata = [("authorization", &*key()), ("grpc-accept-encoding", encoding)];
            let response = rpc(protocol, api.address(), "ListCustomerGroups", &metadata, &list).await;
            assert_eq!(response.metadata["grpc-encoding"], encoding, "{protocol:?}");
            let message = decompressed(encoding, &response.message());
            assert!(ListCustomerGroupsResponse::decode(&*message).unwrap().total >= 2, "{protocol:?}");
        }
        let rest = Rest(api.address());
        let accepted = [("accept-encoding", encoding)];
        let compressed = rest.call("GET", "", &accepted, "").await;
        assert_eq!(compressed.headers["content-encoding"], encoding);
        assert_eq!(decompressed(encoding, &compressed.body), rest.get("").await.body);
        let object = rest.call("GET", &format!("/{}", parent.id), &accepted, "").await;
        assert_eq!(object.headers.get("content-encoding"), None);
    }
}

#[tokio::test]
async fn a_patch_may_be_a_merge_patch_and_its_media_types_are_advertised() {
    const ACCEPTED: &str = "application/json, application/merge-patch+json";
    let api = Api::start().await;
    let rest = Rest(api.address());
    let group = rest.create(json!({"customer_group_name": "Export", "payment_terms": "30 days"})).await;
    let patch = json!({"payment_terms": null}).to_string();
    let merge_patch = [("content-type", "application/merge-patch+json")];
    let patched = rest.call("PATCH", &path_of(&group), &merge_patch, &patch).await;
    assert_eq!((patched.status.as_u16(), &patched.json()["payment_terms"]), (200, &Value::Null));
    let refused = rest.call("PATCH", &path_of(&group), &[("content-type", "text/plain")], &patch).await;
    assert_error(&refused, 415, "content_type_unsupported", None);
    let options = rest.call("OPTIONS", &path_of(&group), &[], "").await;
    for response in [refused, options] {
        assert_eq!(response.headers["accept-patch"], ACCEPTED);
    }
    let refused = rest.call("POST", "", &merge_patch, "{}").await;
    assert_error(&refused, 415, "content_type_unsupported", None);
    assert_eq!(
        (refused.headers.get("accept-patch"), &refused.headers["accept"]),
        (None, &"application/json".parse().unwrap())
    );
}

/// The objects and the last line of a list in NDJSON.
fn lines_of(response: &HttpResponse) -> (Vec<Value>, Value) {
    assert_eq!(response.headers["content-type"], "application/x-ndjson");
    let text = std::str::from_utf8(&response.body).unwrap();
    assert!(text.ends_with('\n'));
    let mut lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let last = lines.pop().unwrap();
    (lines, last)
}

#[tokio::test]
async fn lists_are_written_as_ndjson_on_request() {
    let api = Api::start().await;
    let client = api.client().await;
    let chain = client.chain(1_500).await;
    let (top, bottom) = (&chain[0].id, &chain[1_499].id);
    let rest = Rest(api.address());
    let ndjson = [("accept", "application/x-ndjson")];
    for path in [
        String::new(),
        "?limit=0".to_owned(),
        "?limit=7".to_owned(),
        format!("/{top}/children"),
        format!("/{top}/descendants"),
        format!("/{bottom}/ancestors"),
    ] {
        let list = rest.get(&path).await.json();
        let (objects, end) = lines_of(&rest.call("GET", &path, &ndjson, "").await);
        assert_eq!(Value::Array(objects), list["data"], "{path}");
        assert_eq!(end, json!({"has_more": list["has_more"], "total": list["total"]}), "{path}");
    }
    let missing = rest.call("GET", "/no-such-id/children", &ndjson, "").await;
    assert_error(&missing, 404, "resource_missing", None);
}

#[tokio::test]
async fn the_format_of_a_list_is_the_one_that_its_caller_prefers() {
    let api = Api::start().await;
    let rest = Rest(api.address());
    let content_type = |headers: &HeaderMap| headers["content-type"].to_str().unwrap().to_owned();
    for (accept, expected) in [
        ("*/*", "application/json"),
        ("application/x-ndjson, */*", "application/x-ndjson"),
        ("application/json, application/x-ndjson", "application/json"),
        ("application/json;q=0.5, Application/X-NDJSON", "application/x-ndjson"),
        ("application/json, application/x-ndjson;q=0.5", "application/json"),
        ("application/x-ndjson;q=0", "application/json"),
        ("text/html", "application/json"),
    ] {
        let response = rest.call("GET", "", &[("accept", accept)], "").await;
        assert_eq!(content_type(&response.headers), expected, "{accept}");
    }
}
