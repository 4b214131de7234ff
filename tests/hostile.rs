//! Invalid and malicious bytes.

use customer_groups::testing::pb::customer_group_service_server::SERVICE_NAME;
use customer_groups::testing::{DESCRIPTOR, pb};
use prost::Message;
use prost_reflect::DescriptorPool;
use tonic::Code;

use crate::support::http::{RawGrpc, framed};
use crate::support::{Api, Calls, fields, named, reason};

/// The names of all methods of the service, from its descriptor.
pub fn methods() -> Vec<String> {
    let pool = DescriptorPool::decode(DESCRIPTOR).unwrap();
    let service = pool.get_service_by_name(SERVICE_NAME).unwrap();
    service.methods().map(|method| method.name().to_owned()).collect()
}

/// Asserts that the connection still works.
async fn assert_usable(raw: &mut RawGrpc) {
    let path = format!("/{SERVICE_NAME}/ListCustomerGroups");
    assert_eq!(raw.call(&path, &[], framed(&[])).await.code(), Code::Ok);
}

#[tokio::test]
async fn invalid_protobuf_is_internal_and_leaves_the_connection_usable() {
    let mut raw = RawGrpc::connect(Api::start().await.address()).await;
    for method in methods() {
        let path = format!("/{SERVICE_NAME}/{method}");
        for body in [
            framed(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
            framed(b"\x0a\x7f"),
            framed(b"\x0a\x02\xc3\x28"),
            b"random bytes".to_vec(),
            vec![0, 0, 0, 0, 9, 1],
            vec![1, 0, 0, 0, 1, 1],
        ] {
            let status = raw.call(&path, &[], body.clone()).await.grpc_status();
            assert_eq!(status.code(), Code::Internal, "{method} {body:?}");
            assert_eq!(reason(&status), "BODY_MALFORMED");
        }
        assert_usable(&mut raw).await;
    }
}

#[tokio::test]
async fn a_call_without_a_message_is_refused() {
    let mut raw = RawGrpc::connect(Api::start().await.address()).await;
    let path = format!("/{SERVICE_NAME}/ListCustomerGroups");
    let status = raw.call(&path, &[], vec![]).await.grpc_status();
    assert_eq!((status.code(), &*reason(&status)), (Code::Internal, "BODY_MALFORMED"));
    assert_usable(&mut raw).await;
}

#[tokio::test]
async fn unknown_protobuf_fields_are_ignored() {
    let mut raw = RawGrpc::connect(Api::start().await.address()).await;
    let path = format!("/{SERVICE_NAME}/ListCustomerGroups");
    assert_eq!(raw.call(&path, &[], framed(b"\xfa\x06\x03new")).await.code(), Code::Ok);
}

#[tokio::test]
async fn a_name_of_5_mb_exhausts_the_message_limit_and_one_of_3_mb_is_invalid() {
    let api = Api::start().await;
    let client = api.client().await;
    let status = client.create(named(&"n".repeat(5_000_000))).await.unwrap_err();
    assert_eq!((status.code(), &*reason(&status)), (Code::ResourceExhausted, "BODY_TOO_LARGE"));

    let status = client.create(named(&"n".repeat(3_000_000))).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(fields(&status), ["customer_group_name"]);
    assert!(status.message().len() < 300, "{}", status.message());
    client.create(named("n")).await.unwrap();
}

#[tokio::test]
async fn a_frame_with_a_length_of_4_gb_is_rejected_by_its_header() {
    let mut raw = RawGrpc::connect(Api::start().await.address()).await;
    let path = format!("/{SERVICE_NAME}/GetCustomerGroup");
    let status = raw.call(&path, &[], vec![0, 0xff, 0xff, 0xff, 0xff]).await.grpc_status();
    assert_eq!((status.code(), &*reason(&status)), (Code::ResourceExhausted, "BODY_TOO_LARGE"));
    assert_usable(&mut raw).await;
}

#[tokio::test]
async fn sql_in_texts_is_not_executed() {
    let client = Api::start().await.client().await;
    let text = "'; drop table customer_group; -- \\ \" $1 %s";
    let group = pb::CustomerGroup { payment_terms: Some(text.to_owned()), ..named(text) };
    let created = client.create(group).await.unwrap();
    assert_eq!(client.get(&created.id).await.unwrap(), created);
}

#[tokio::test]
async fn every_prefix_of_a_valid_message_gets_a_response() {
    let api = Api::start().await;
    let mut raw = RawGrpc::connect(api.address()).await;
    let path = format!("/{SERVICE_NAME}/CreateCustomerGroup");
    let group = pb::CustomerGroup { payment_terms: Some("Net 30".to_owned()), ..named("Export") };
    let message = pb::CreateCustomerGroupRequest { customer_group: Some(group) }.encode_to_vec();
    for length in 0..message.len() {
        let code = raw.call(&path, &[], framed(&message[..length])).await.code();
        let expected = if length == 0 { Code::InvalidArgument } else { Code::Internal };
        assert_eq!(code, expected, "the first {length} bytes");
    }
    assert_eq!(raw.call(&path, &[], framed(&message)).await.code(), Code::Ok);
    assert_eq!(api.database.number("select count(*) from customer_group").await, 1);
}
