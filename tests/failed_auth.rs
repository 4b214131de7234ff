//! Rate limiting of failed authentication.

use std::net::SocketAddr;
use std::time::Instant;

use customer_groups::testing::Scope;
use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use http_body_util::BodyExt;
use tokio::net::{TcpSocket, TcpStream};
use tonic::Code;

use crate::auth::make_key;
use crate::metrics::samples;
use crate::rest::COLLECTION;
use crate::support::http::{HttpResponse, get, open_on};
use crate::support::protocol::{Protocol, rpc};
use crate::support::{Api, Calls, KEY, eventually, reason};

/// A well-formed unknown key, different for each number.
fn guess(number: usize) -> String {
    format!("Bearer sk_test_{number:032x}")
}

/// Tries unknown keys until one is rate limited. Returns how many were not, and the first 429.
async fn guess_until_told_to_wait(address: SocketAddr) -> (usize, HttpResponse) {
    for number in 0.. {
        let response = get(address, COLLECTION, &[("authorization", &guess(number))]).await;
        if response.status != 401 {
            return (number, response);
        }
    }
    unreachable!()
}

#[tokio::test]
async fn repeated_unknown_keys_from_an_address_are_rate_limited_over_every_protocol() {
    let api = Api::start().await;
    let (number, response) = eventually("too many", guess_until_told_to_wait(api.address())).await;
    // The burst of 100, and one more for each second that passed.
    assert!((100..150).contains(&number), "{number}");
    assert_eq!(response.status, 429);
    let error = &response.json()["error"];
    assert_eq!((&error["type"], &error["code"]), (&"rate_limit_error".into(), &"rate_limited".into()));
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("unknown API keys came from your address"), "{message}");
    assert_eq!(response.headers["retry-after"], "1");

    // One attempt a second is allowed, so the first call may pass.
    let until_refused = async |protocol| loop {
        let response =
            rpc(protocol, api.address(), "ListCustomerGroups", &[("authorization", &guess(0))], &[]).await;
        if response.status.code() != Code::Unauthenticated {
            break response;
        }
    };
    for protocol in Protocol::RPC {
        let response = eventually("it is refused", until_refused(protocol)).await;
        assert_eq!(response.status.code(), Code::ResourceExhausted, "{protocol:?}");
        assert_eq!(reason(&response.status), "RATE_LIMITED");
    }
    // A malformed key counts as an attempt, too.
    let malformed = [("authorization", "Bearer hunter2")];
    let refused = async { while get(api.address(), COLLECTION, &malformed).await.status != 429 {} };
    eventually("it is refused", refused).await;
    assert!(samples(api.admin).await["customer_groups_refused_keys_total"] >= 6.0);
}

/// Tries this many unknown keys at once, each with this deadline. Returns how many were not rate limited. The
/// client sets no timeout of its own, so that the service enforces the deadline.
async fn guess_at_once(api: &Api, count: usize, timeout: &str) -> usize {
    let guesses = (0..count).map(async |number| {
        let headers = [("authorization", &*guess(number)), ("grpc-timeout", timeout)];
        rpc(Protocol::Grpc, api.address(), "ListCustomerGroups", &headers, &[]).await.status.code()
    });
    let codes = join_all(guesses).await;
    codes.iter().filter(|code| **code != Code::ResourceExhausted).count()
}

#[tokio::test]
async fn concurrent_attempts_do_not_exceed_the_burst() {
    let api = Api::start().await;
    let begun = Instant::now();
    let let_through = guess_at_once(&api, 200, "60S").await;
    let allowed = 100 + begun.elapsed().as_secs() + 1;
    assert!((100..=allowed).contains(&(let_through as u64)), "{let_through}");
}

#[tokio::test]
async fn a_cancelled_attempt_counts() {
    let api = Api::start().await;
    // Blocks every query for keys.
    let lock = api.database.lock("api_key").await;
    let begun = Instant::now();
    let let_through = guess_at_once(&api, 150, "50m").await + guess_at_once(&api, 50, "50m").await;
    let allowed = 100 + begun.elapsed().as_secs() + 1;
    assert!((100..=allowed).contains(&(let_through as u64)), "{let_through}");
    lock.release().await;
}

#[tokio::test]
async fn valid_keys_are_not_limited_by_attempts_from_the_same_address() {
    let api = Api::start().await;
    let (_, known) = make_key(&api, Scope::Read).await;
    let holder = api.client_with(known.expose()).await;
    holder.list(None, None).await.unwrap();
    eventually("too many", guess_until_told_to_wait(api.address())).await;

    holder.list(None, None).await.unwrap();
    api.client().await.list(None, None).await.unwrap();
    // A key that was created just now is known after the next probe.
    let (_, new) = make_key(&api, Scope::Read).await;
    let new = api.client_with(new.expose()).await;
    eventually("the new key opens", async { while new.list(None, None).await.is_err() {} }).await;
    // A call without any key is told to send one.
    assert_eq!(get(api.address(), COLLECTION, &[]).await.status, 401);
}

#[tokio::test]
async fn attempts_from_one_address_do_not_limit_another() {
    let api = Api::start().await;
    eventually("too many", guess_until_told_to_wait(api.address())).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let stream: TcpStream = socket.connect(api.address()).await.unwrap();
    let headers = [("authorization", guess(0))];
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    let response = open_on(stream, api.address(), "GET", COLLECTION, &headers, "").await.unwrap();
    assert_eq!(response.status(), 401);
    response.into_body().collect().await.unwrap();
}

#[tokio::test]
async fn rate_limited_attempts_do_not_query_the_database() {
    let api = &Api::start().await;
    eventually("too many", guess_until_told_to_wait(api.address())).await;
    // Blocks every query for keys.
    let lock = api.database.lock("api_key").await;
    let guesses: FuturesUnordered<_> = (0..8)
        .map(|number| async move {
            get(api.address(), COLLECTION, &[("authorization", &guess(number))]).await.status
        })
        .collect();
    // One attempt a second is allowed, and waits for the lock.
    let refused: Vec<_> = eventually("they are refused", guesses.take(6).collect()).await;
    assert!(refused.iter().all(|status| *status == 429), "{refused:?}");
    let with_key = format!("Bearer {KEY}");
    assert_eq!(get(api.address(), COLLECTION, &[("authorization", &with_key)]).await.status, 200);
    lock.release().await;
}
