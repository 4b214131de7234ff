//! Callers who try API keys that nobody made.

use std::net::SocketAddr;
use std::time::Instant;

use customer_groups::auth::Scope;
use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use http_body_util::BodyExt;
use tokio::net::{TcpSocket, TcpStream};
use tonic::Code;

use crate::auth::make_key;
use crate::metrics::figures;
use crate::support::face::{Face, rpc};
use crate::support::http::{Answer, get, open_on};
use crate::support::{Api, Calls, KEY, eventually, reason};

const LIST: &str = "/api/setup/customer-group";

/// A key of the right form, and no other one twice.
fn guess(number: usize) -> String {
    format!("Bearer sk_test_{number:032x}")
}

/// Guesses until the service says to wait; how often it did not.
async fn guess_until_told_to_wait(address: SocketAddr) -> (usize, Answer) {
    for number in 0.. {
        let answer = get(address, LIST, &[("authorization", &guess(number))]).await;
        if answer.status != 401 {
            return (number, answer);
        }
    }
    unreachable!()
}

#[tokio::test]
async fn an_address_that_goes_on_with_unknown_keys_is_told_to_wait_on_every_face() {
    let api = Api::start().await;
    let (number, answer) = eventually("too many", guess_until_told_to_wait(api.address())).await;
    // 100 at once, and one more for each second that it took.
    assert!((100..150).contains(&number), "{number}");
    assert_eq!(answer.status, 429);
    let error = &answer.json()["error"];
    assert_eq!((&error["type"], &error["code"]), (&"rate_limit_error".into(), &"rate_limited".into()));
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("unknown API keys came from your address"), "{message}");
    assert_eq!(answer.headers["retry-after"], "1");

    // One a second is let through, so that the first one may be.
    let until_refused = async |face| loop {
        let answer =
            rpc(face, api.address(), "ListCustomerGroups", &[("authorization", &guess(0))], &[]).await;
        if answer.status.code() != Code::Unauthenticated {
            break answer;
        }
    };
    for face in Face::RPC {
        let answer = eventually("it is refused", until_refused(face)).await;
        assert_eq!(answer.status.code(), Code::ResourceExhausted, "{face:?}");
        assert_eq!(reason(&answer.status), "RATE_LIMITED");
    }
    // A text that no key could be is one more guess.
    let malformed = [("authorization", "Bearer hunter2")];
    let refused = async { while get(api.address(), LIST, &malformed).await.status != 429 {} };
    eventually("it is refused", refused).await;
    assert!(figures(api.admin).await["customer_groups_refused_keys_total"] >= 6.0);
}

/// Guesses so often at once, each with so long a time; how many were let through. The time is the service's to keep, by
/// a client that keeps none itself.
async fn guess_at_once(api: &Api, count: usize, timeout: &str) -> usize {
    let guesses = (0..count).map(async |number| {
        let headers = [("authorization", &*guess(number)), ("grpc-timeout", timeout)];
        rpc(Face::Grpc, api.address(), "ListCustomerGroups", &headers, &[]).await.status.code()
    });
    let codes = join_all(guesses).await;
    codes.iter().filter(|code| **code != Code::ResourceExhausted).count()
}

#[tokio::test]
async fn guesses_that_come_at_once_are_not_more_than_one_after_the_other() {
    let api = Api::start().await;
    let begun = Instant::now();
    let let_through = guess_at_once(&api, 200, "60S").await;
    let allowed = 100 + begun.elapsed().as_secs() + 1;
    assert!((100..=allowed).contains(&(let_through as u64)), "{let_through}");
}

#[tokio::test]
async fn who_does_not_wait_for_the_answer_has_guessed_too() {
    let api = Api::start().await;
    // Holds back whatever asks for keys.
    let mut sql = api.database.sql().await;
    let lock = sql.transaction().await.unwrap();
    lock.batch_execute("lock table api_key in access exclusive mode").await.unwrap();
    let begun = Instant::now();
    let let_through = guess_at_once(&api, 150, "50m").await + guess_at_once(&api, 50, "50m").await;
    let allowed = 100 + begun.elapsed().as_secs() + 1;
    assert!((100..=allowed).contains(&(let_through as u64)), "{let_through}");
    lock.rollback().await.unwrap();
}

#[tokio::test]
async fn those_who_have_a_key_do_not_wait_for_others_who_guess() {
    let api = Api::start().await;
    let (_, known) = make_key(&api, Scope::Read).await;
    let holder = api.client_with(known.expose()).await;
    holder.list(None, None).await.unwrap();
    eventually("too many", guess_until_told_to_wait(api.address())).await;

    holder.list(None, None).await.unwrap();
    api.client().await.list(None, None).await.unwrap();
    // One that was made just now is known with the next heartbeat.
    let (_, new) = make_key(&api, Scope::Read).await;
    let new = api.client_with(new.expose()).await;
    eventually("the new key opens", async { while new.list(None, None).await.is_err() {} }).await;
    // Without any key one is told so.
    assert_eq!(get(api.address(), LIST, &[]).await.status, 401);
}

#[tokio::test]
async fn an_address_does_not_wait_for_another_one_that_guesses() {
    let api = Api::start().await;
    eventually("too many", guess_until_told_to_wait(api.address())).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let stream: TcpStream = socket.connect(api.address()).await.unwrap();
    let headers = [("authorization", guess(0))];
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    let answer = open_on(stream, api.address(), "GET", LIST, &headers, "").await.unwrap();
    assert_eq!(answer.status(), 401);
    answer.into_body().collect().await.unwrap();
}

#[tokio::test]
async fn what_is_refused_for_guessing_asks_nothing_of_the_database() {
    let api = &Api::start().await;
    eventually("too many", guess_until_told_to_wait(api.address())).await;
    // Holds back whatever asks for keys.
    let mut sql = api.database.sql().await;
    let lock = sql.transaction().await.unwrap();
    lock.batch_execute("lock table api_key in access exclusive mode").await.unwrap();
    let guesses: FuturesUnordered<_> =
        (0..8)
            .map(|number| async move {
                get(api.address(), LIST, &[("authorization", &guess(number))]).await.status
            })
            .collect();
    // One a second is let through, and waits.
    let refused: Vec<_> = eventually("they are refused", guesses.take(6).collect()).await;
    assert!(refused.iter().all(|status| *status == 429), "{refused:?}");
    let with_key = format!("Bearer {KEY}");
    assert_eq!(get(api.address(), LIST, &[("authorization", &with_key)]).await.status, 200);
    lock.rollback().await.unwrap();
}
