//! gRPC-Web and CORS.

use customer_groups::testing::pb::{CreateCustomerGroupRequest, CustomerGroup, GetCustomerGroupRequest};
use prost::Message;
use tonic::Code;

use crate::rest::{COLLECTION, assert_error};
use crate::support::http::{HttpResponse, framed, request};
use crate::support::protocol::{Protocol, rpc};
use crate::support::{Api, KEY, Program, TestDatabase, fields, named, reason};

const RPC: &str = "/overplane.setup.v1.CustomerGroupService/ListCustomerGroups";
const SHOP: &str = "https://shop.example";
const WEB: [Protocol; 3] = [Protocol::GrpcWeb, Protocol::GrpcWebText, Protocol::GrpcWebOverHttp2];

fn bearer() -> String {
    format!("Bearer {KEY}")
}

#[tokio::test]
async fn every_form_of_grpc_web_returns_messages_and_errors_with_details() {
    let api = Api::start().await;
    let key = bearer();
    let headers = [("authorization", key.as_str()), ("x-request-id", "mine")];
    for protocol in WEB {
        let create = CreateCustomerGroupRequest { customer_group: Some(named("Export")) };
        let created =
            rpc(protocol, api.address(), "CreateCustomerGroup", &headers, &create.encode_to_vec()).await;
        assert_eq!((created.http.as_u16(), created.status.code()), (200, Code::Ok), "{protocol:?}");
        assert_eq!(created.metadata["x-request-id"], "mine");
        assert!(created.metadata["content-type"].to_str().unwrap().starts_with("application/grpc-web"));
        let group = CustomerGroup::decode(created.message()).unwrap();
        assert_eq!(group.customer_group_name, "Export");

        let get = GetCustomerGroupRequest { id: group.id.clone() };
        let got = rpc(protocol, api.address(), "GetCustomerGroup", &headers, &get.encode_to_vec()).await;
        assert_eq!(CustomerGroup::decode(got.message()).unwrap(), group, "{protocol:?}");

        let refused = rpc(protocol, api.address(), "CreateCustomerGroup", &headers, &[]).await;
        assert_eq!(
            (refused.http.as_u16(), refused.status.code()),
            (200, Code::InvalidArgument),
            "{protocol:?}"
        );
        assert_eq!(fields(&refused.status), ["customer_group_name"]);
        let refused = rpc(protocol, api.address(), "GetCustomerGroup", &[], &get.encode_to_vec()).await;
        assert_eq!(reason(&refused.status), "API_KEY_MISSING", "{protocol:?}");
        let refused = rpc(protocol, api.address(), "NoSuchMethod", &headers, &[]).await;
        assert_eq!(reason(&refused.status), "ROUTE_UNKNOWN", "{protocol:?}");
    }
}

#[tokio::test]
async fn grpc_web_with_a_malformed_body_is_rejected() {
    let api = Api::start().await;
    let key = bearer();
    for (content_type, body) in [
        ("application/grpc-web-text", "no base64!"),
        ("application/grpc-web", "\u{0}\u{0}\u{0}\u{0}\u{7f}cut"),
        ("application/grpc-web+proto", ""),
    ] {
        let headers = [("authorization", key.as_str()), ("content-type", content_type)];
        let response = request(api.address(), "POST", RPC, &headers, body).await;
        assert_eq!(response.status, 200, "{content_type}");
        assert_eq!(reason(&response.grpc_status()), "BODY_MALFORMED", "{content_type}");
    }
}

#[tokio::test]
async fn the_content_type_is_read_in_any_case_and_with_parameters() {
    let api = Api::start().await;
    let key = bearer();
    for content_type in ["application/gRPC-Web", "application/grpc-web+proto; charset=utf-8"] {
        let headers = [("authorization", key.as_str()), ("content-type", content_type)];
        let response = request(api.address(), "POST", RPC, &headers, framed(&[])).await;
        assert_eq!(response.status, 200);
        assert_eq!(response.headers["content-type"], "application/grpc-web+proto", "{content_type}");
    }
}

#[tokio::test]
async fn a_content_type_that_only_resembles_grpc_web_is_an_unknown_route() {
    let api = Api::start().await;
    let key = bearer();
    for (method, content_type) in
        [("POST", "application/grpc-web+json"), ("GET", "application/grpc-web"), ("POST", "application/json")]
    {
        let headers = [("authorization", key.as_str()), ("content-type", content_type)];
        assert_error(&request(api.address(), method, RPC, &headers, "").await, 404, "route_unknown", None);
    }
}

/// Sends the preflight request of a browser.
async fn preflight(program: &Program, origin: &str, path: &str) -> HttpResponse {
    let headers = [
        ("origin", origin),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "authorization,content-type,x-grpc-web"),
    ];
    request(program.address, "OPTIONS", path, &headers, "").await
}

async fn with_origins(origins: &str) -> Program {
    let database = TestDatabase::create().await;
    Program::serve(&[("DATABASE_URL", &database.url()), ("CORS_ORIGINS", origins)])
}

#[tokio::test]
async fn a_configured_origin_may_use_every_protocol_and_its_preflight_needs_no_key() {
    let program = with_origins("http://other.example,https://shop.example").await;
    for path in [RPC, COLLECTION] {
        let asked = preflight(&program, SHOP, path).await;
        assert_eq!(asked.status, 200, "{path}");
        assert!(asked.headers.contains_key("x-request-id"));
        assert_eq!(asked.headers["access-control-allow-origin"], SHOP);
        assert_eq!(asked.headers["access-control-allow-headers"], "authorization,content-type,x-grpc-web");
        let methods = asked.headers["access-control-allow-methods"].to_str().unwrap();
        assert!(
            ["GET", "POST", "PATCH", "DELETE"].iter().all(|method| methods.contains(method)),
            "{methods}"
        );
    }
    let key = bearer();
    let headers = [("origin", SHOP), ("authorization", key.as_str())];
    let rest = request(program.address, "GET", COLLECTION, &headers, "").await;
    let web = rpc(Protocol::GrpcWeb, program.address, "ListCustomerGroups", &headers, &[]).await;
    for headers in [rest.headers, web.metadata] {
        assert_eq!(headers["access-control-allow-origin"], SHOP);
        let exposed = headers["access-control-expose-headers"].to_str().unwrap();
        for name in ["grpc-status", "grpc-message", "grpc-status-details-bin", "etag", "x-request-id"] {
            assert!(exposed.split(',').any(|shown| shown == name), "{name} is not in {exposed}");
        }
    }
}

#[tokio::test]
async fn a_page_of_another_origin_is_not_allowed() {
    let program = with_origins(SHOP).await;
    let asked = preflight(&program, "https://shop.example.evil.example", RPC).await;
    assert!(!asked.headers.contains_key("access-control-allow-origin"));
    let key = bearer();
    let headers = [("origin", "http://shop.example"), ("authorization", key.as_str())];
    let response = request(program.address, "GET", COLLECTION, &headers, "").await;
    assert!(!response.headers.contains_key("access-control-allow-origin"));
}

#[tokio::test]
async fn a_star_allows_every_origin() {
    let program = with_origins("*").await;
    assert_eq!(preflight(&program, SHOP, RPC).await.headers["access-control-allow-origin"], "*");
}

#[tokio::test]
async fn without_configured_origins_no_other_origin_is_allowed() {
    let api = Api::start().await;
    let headers = [("origin", SHOP), ("access-control-request-method", "POST")];
    let asked = request(api.address(), "OPTIONS", RPC, &headers, "").await;
    assert_error(&asked, 401, "api_key_missing", None);
    assert!(asked.headers.keys().all(|name| !name.as_str().starts_with("access-control-")));
}

#[tokio::test]
async fn an_options_request_without_a_requested_method_is_not_a_preflight() {
    let program = with_origins(SHOP).await;
    let key = bearer();
    let headers = [("origin", SHOP), ("authorization", key.as_str())];
    let response = request(program.address, "OPTIONS", COLLECTION, &headers, "").await;
    assert_eq!(
        (response.status.as_u16(), response.headers["allow"].to_str().unwrap()),
        (204, "GET,HEAD,POST")
    );
}
