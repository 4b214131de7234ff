//! gRPC and gRPC-Web requests that no client would frame so: every one gets a status with a reason of the contract.

use std::net::SocketAddr;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use tokio::runtime::Handle;
use tonic::Code;

use crate::contract::Refusal;
use crate::hostile::METHODS;
use crate::support::face::{Face, send, wire};
use crate::support::http::framed;
use crate::support::{Api, KEY};

#[derive(Debug, Clone)]
struct Wild {
    face: Face,
    method: &'static str,
    body: Vec<u8>,
}

/// What is between the frames of a client and those that none sends.
fn frames() -> impl Strategy<Value = Vec<u8>> {
    // A field of the message, and bytes that may be none.
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

fn wild() -> impl Strategy<Value = Wild> {
    let changed = prop_oneof![3 => Just(None), 1 => (any::<Index>(), any::<u8>()).prop_map(Some)];
    (select(&Face::RPC[..]), select(&METHODS[..]), frames(), changed).prop_map(
        |(face, method, frames, changed)| {
            let mut body = wire(face, frames);
            if let (Some((at, byte)), false) = (changed, body.is_empty()) {
                let at = at.index(body.len());
                body[at] = byte;
            }
            Wild { face, method, body }
        },
    )
}

async fn call(address: SocketAddr, Wild { face, method, body }: Wild) -> Result<(), String> {
    let key = format!("Bearer {KEY}");
    let answer = send(face, address, method, &[("authorization", &key)], body).await;
    if answer.http != 200 {
        return Err(format!("{}: {:?}", answer.http, answer.status));
    }
    if answer.status.code() == Code::Ok {
        return Ok(());
    }
    // Checks that it has a reason, and that its code is the one of the reason.
    let refusal = Refusal::of_grpc(&answer.status);
    let is_theirs = !matches!(refusal.code.as_str(), "internal" | "unavailable" | "timeout" | "overloaded");
    let is_told = is_theirs && !refusal.message.is_empty();
    if is_told { Ok(()) } else { Err(format!("{refusal:?}")) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_wild_frames_are_told_what_is_wrong_with_them() {
    const CALLS: u32 = 2000;
    let (api, runtime) = (Api::start().await, Handle::current());
    let checked = tokio::task::spawn_blocking(move || {
        let config = Config { cases: CALLS, failure_persistence: None, ..Config::default() };
        TestRunner::new(config)
            .run(&wild(), |wild| runtime.block_on(call(api.address(), wild)).map_err(TestCaseError::fail))
    });
    if let Err(failure) = checked.await.unwrap() {
        panic!("{failure}");
    }
}
