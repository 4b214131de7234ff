//! Callers that do not read their responses hold nothing that others need (RFC 9113, section 5.2).

use std::num::NonZeroUsize;
use std::time::Duration;

use customer_groups::testing::{COLLECTION, Limits, Scope, Timeouts};
use http_body_util::BodyExt;
use tonic::Code;

use crate::auth::make_key;
use crate::stream::{all_of, read_on};
use crate::support::http::{get, open};
use crate::support::http2::{
    END_HEADERS, END_STREAM, GET, HEADERS, INITIAL_WINDOW_SIZE, RST_STREAM, connect_with, get_with_key,
    until_frame,
};
use crate::support::{Api, BOUNDS, Calls, KEY, TIMEOUTS, eventually};

const ONE_CALL: Limits = Limits { calls: NonZeroUsize::MIN, ..BOUNDS };

#[tokio::test]
async fn unread_responses_hold_no_permit_with_or_without_a_key() {
    let api = Api::start_within(ONE_CALL, TIMEOUTS).await;
    let (mut sender, mut receiver) = connect_with(api.address(), &[(INITIAL_WINDOW_SIZE, 0)]).await;
    let paths = [("/unknown", "sk_test_0123456789abcdef"), (COLLECTION, KEY)];
    for (stream, (path, key)) in [1, 3].into_iter().zip(paths) {
        let request = get_with_key(path, key);
        sender.send(HEADERS, END_STREAM | END_HEADERS, stream, &request).await.unwrap();
        until_frame(&mut receiver, HEADERS).await;
    }
    api.client().await.list(None, None).await.unwrap();
}

#[tokio::test]
async fn a_stream_whose_response_is_not_read_is_reset_after_the_request_timeout() {
    let timeouts = Timeouts { request: Duration::from_millis(300), ..TIMEOUTS };
    let api = Api::start_within(ONE_CALL, Timeouts { header: timeouts.request, ..timeouts }).await;
    api.database.plant(99, 50).await;
    let list = get_with_key(COLLECTION, KEY);
    for request in [GET, &list] {
        let (mut sender, mut receiver) = connect_with(api.address(), &[(INITIAL_WINDOW_SIZE, 0)]).await;
        sender.send(HEADERS, END_STREAM | END_HEADERS, 1, request).await.unwrap();
        let reset = eventually("it is reset", until_frame(&mut receiver, RST_STREAM)).await;
        assert_eq!(reset.stream, 1);
    }
    // With room for a part of a frame, only the end of the connection frees the rest.
    let (mut sender, mut receiver) = connect_with(api.address(), &[(INITIAL_WINDOW_SIZE, 7)]).await;
    sender.send(HEADERS, END_STREAM | END_HEADERS, 1, &list).await.unwrap();
    let closed = async { while receiver.next().await.is_some() {} };
    let stalled = std::time::Instant::now();
    eventually("it is closed", closed).await;
    // By this timeout, and not by that of pings.
    assert!(stalled.elapsed() < Duration::from_secs(25), "{:?}", stalled.elapsed());
}

#[tokio::test]
async fn public_calls_that_last_leave_room_for_probes_and_for_calls_with_a_key() {
    let api = Api::start().await;
    let mut unread = Vec::new();
    // More than there are places.
    for _ in 0..3 {
        let (mut sender, receiver) = connect_with(api.address(), &[(INITIAL_WINDOW_SIZE, 0)]).await;
        for stream in 0..100 {
            sender.send(HEADERS, END_STREAM | END_HEADERS, 2 * stream + 1, GET).await.unwrap();
        }
        unread.push((sender, receiver));
    }
    let refused = async { while get(api.address(), "/", &[]).await.status != 429 {} };
    eventually("the places of public calls are taken", refused).await;
    assert_eq!(get(api.address(), "/livez", &[]).await.status, 200);
    api.client().await.list(None, None).await.unwrap();
    drop(unread);
    eventually("they are free", async { while get(api.address(), "/", &[]).await.status != 200 {} }).await;
}

#[tokio::test]
async fn a_long_list_ends_when_its_key_is_revoked() {
    let api = Api::start().await;
    let root = api.database.plant(50_000, 50).await;
    let (id, secret) = make_key(&api, Scope::Read).await;
    let client = api.client_with(secret.expose()).await;
    let key = format!("Bearer {}", secret.expose());
    let path = format!("{COLLECTION}/{root}/descendants");
    let mut list = open(api.address(), "GET", &path, &[("authorization", &key)], "").await.into_body();
    list.frame().await.unwrap().unwrap();
    let mut groups =
        client.clone().stream_customer_group_descendants(all_of(&root)).await.unwrap().into_inner();
    groups.message().await.unwrap().unwrap();

    assert!(api.store.revoke_key(id).await.unwrap());
    eventually("the key is refused", async { while client.list(Some(1), None).await.is_ok() {} }).await;
    assert!(!read_on(&mut list).await.1, "the list is complete");
    let error = loop {
        match groups.message().await {
            Ok(group) => assert!(group.is_some(), "the stream is complete"),
            Err(error) => break error,
        }
    };
    assert_eq!(error.code(), Code::Unauthenticated);
}
