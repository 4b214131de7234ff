//! gRPC and gRPC-Web requests with invalid framing: each gets a status with a documented reason.

use std::net::SocketAddr;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use tokio::runtime::Handle;
use tonic::Code;

use crate::contract::ApiError;
use crate::hostile::methods;
use crate::support::http::framed;
use crate::support::protocol::{Protocol, send, wire};
use crate::support::{Api, KEY};

#[derive(Debug, Clone)]
struct RandomCall {
    protocol: Protocol,
    method: String,
    body: Vec<u8>,
}

/// Frames as clients send them, mixed with malformed ones.
fn frames() -> impl Strategy<Value = Vec<u8>> {
    // A field of the message, and bytes that may not be valid protobuf.
    let field = (1..=15_u8, vec(any::<u8>(), 0..40)).prop_map(|(number, bytes)| {
        [vec![number << 3 | 2, u8::try_from(bytes.len()).unwrap()], bytes].concat()
    });
    let message = prop_oneof![vec(field, 0..4).prop_map(|fields| fields.concat()), vec(any::<u8>(), 0..64)];
    let frame = message.prop_map(|message| framed(&message));
    let other_head = (frame.clone(), any::<u8>(), any::<u32>()).prop_map(|(mut frame, flags, length)| {
        frame[0] = flags;
        frame[1..5].copy_from_slice(&length.to_be_bytes());
        frame
    });
    let other_flags = (frame.clone(), any::<u8>()).prop_map(|(mut frame, flags)| {
        frame[0] = flags;
        frame
    });
    let cut = (frame.clone(), any::<Index>()).prop_map(|(mut frame, at)| {
        frame.truncate(at.index(frame.len()));
        frame
    });
    let several = vec(frame.clone(), 0..3).prop_map(|frames| frames.concat());
    prop_oneof![3 => frame, 1 => other_head, 1 => other_flags, 1 => cut, 1 => several]
}

fn random_call() -> impl Strategy<Value = RandomCall> {
    let changed = prop_oneof![3 => Just(None), 1 => (any::<Index>(), any::<u8>()).prop_map(Some)];
    (select(&Protocol::RPC[..]), select(methods()), frames(), changed).prop_map(
        |(protocol, method, frames, changed)| {
            let mut body = wire(protocol, frames);
            if let (Some((at, byte)), false) = (changed, body.is_empty()) {
                let at = at.index(body.len());
                body[at] = byte;
            }
            RandomCall { protocol, method, body }
        },
    )
}

async fn call(address: SocketAddr, RandomCall { protocol, method, body }: RandomCall) -> Result<(), String> {
    let key = format!("Bearer {KEY}");
    let response = send(protocol, address, &method, &[("authorization", &key)], body).await;
    if response.http != 200 {
        return Err(format!("{}: {:?}", response.http, response.status));
    }
    if response.status.code() == Code::Ok {
        return Ok(());
    }
    // Checks that the status has a reason and the code that belongs to it.
    let refusal = ApiError::from_grpc(&response.status);
    let is_theirs = !matches!(refusal.code.as_str(), "internal" | "unavailable" | "timeout" | "overloaded");
    let is_told = is_theirs && !refusal.message.is_empty();
    if is_told { Ok(()) } else { Err(format!("{refusal:?}")) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_malformed_calls_get_a_documented_error() {
    const CALLS: u32 = 2000;
    let (api, runtime) = (Api::start().await, Handle::current());
    let checked = tokio::task::spawn_blocking(move || {
        let config = Config { cases: CALLS, failure_persistence: None, ..Config::default() };
        TestRunner::new(config).run(&random_call(), |random_call| {
            runtime.block_on(call(api.address(), random_call)).map_err(TestCaseError::fail)
        })
    });
    if let Err(failure) = checked.await.unwrap() {
        panic!("{failure}");
    }
}
