//! Rolling restarts and updates of replicas under load.

use std::error::Error;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tonic::transport::Endpoint;

use crate::name_search::search;
use crate::rest::{COLLECTION, JSON, Rest, assert_error};
use crate::support::http::HttpResponse;
use crate::support::{Api, Calls, KEY, Program, TestDatabase, eventually, named};

const REPLICAS: usize = 3;

/// The result of a call that reached a replica.
type Outcome = Result<(), String>;

/// A create on a new connection; `None` if no replica accepts it.
async fn over_rest(address: SocketAddr) -> Option<Outcome> {
    let stream = match TcpStream::connect(address).await {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => return None,
        Err(error) => return Some(Err(error.to_string())),
        Ok(stream) => stream,
    };
    let create = async {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let request = Request::post(COLLECTION)
            .header("host", "localhost")
            .header("authorization", format!("Bearer {KEY}"))
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from_static(br#"{"customer_group_name": "rest"}"#)));
        let response = sender.send_request(request.unwrap()).await?;
        let status = response.status();
        response.collect().await?;
        Ok::<_, hyper::Error>(status)
    };
    Some(match create.await {
        Ok(StatusCode::CREATED) => Ok(()),
        Ok(status) => Err(status.to_string()),
        Err(error) => Err(format!("{error:?}")),
    })
}

/// Whether no replica accepted the connection, or the kept connection accepted no more calls: no call is sent
/// on a closed connection, and a call after GOAWAY is not processed (RFC 9113, section 6.8).
fn is_untaken(error: &(dyn Error + 'static)) -> bool {
    let mut causes = std::iter::successors(Some(error), |error: &&(dyn Error + 'static)| (*error).source());
    causes.any(|error| {
        let refused = error.downcast_ref::<std::io::Error>();
        let gone = error.downcast_ref::<h2::Error>();
        refused.is_some_and(|error| error.kind() == ErrorKind::ConnectionRefused)
            || error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_canceled)
            || gone.is_some_and(|error| error.is_go_away() && error.reason() == Some(h2::Reason::NO_ERROR))
    })
}

/// Creates groups over REST on each replica in turn and returns their number.
async fn call_rest(replicas: [SocketAddr; REPLICAS], stop: Arc<AtomicBool>) -> Result<usize, String> {
    let mut made = 0;
    for replica in replicas.iter().cycle() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        if let Some(outcome) = over_rest(*replica).await {
            outcome?;
            made += 1;
        }
    }
    Ok(made)
}

/// Creates groups over gRPC on each replica in turn, on kept connections.
async fn call_grpc(replicas: [SocketAddr; REPLICAS], stop: Arc<AtomicBool>) -> Result<usize, String> {
    let channel = |address| Endpoint::from_shared(format!("http://{address}")).unwrap().connect_lazy();
    let clients = replicas.map(|address| Api::client_on(channel(address)));
    let mut made = 0;
    for client in clients.iter().cycle() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        match client.create(named("grpc")).await {
            Ok(_) => made += 1,
            Err(status) if is_untaken(&status) => {}
            Err(status) => return Err(format!("{status:?}")),
        }
    }
    Ok(made)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_fails_while_three_replicas_are_restarted_one_after_the_other() {
    const ROUNDS: usize = 2;
    let database = TestDatabase::create().await;
    let url = database.url();
    let start = |listen: &str| Program::serve(&[("DATABASE_URL", &url), ("LISTEN", listen)]);
    let mut replicas = [(); REPLICAS].map(|()| start("127.0.0.1:0"));
    let addresses = replicas.each_ref().map(|replica| replica.address);
    let stop = Arc::new(AtomicBool::new(false));
    let over_rest = (0..3).map(|_| tokio::spawn(call_rest(addresses, stop.clone())));
    let over_grpc = (0..3).map(|_| tokio::spawn(call_grpc(addresses, stop.clone())));
    let callers: Vec<_> = over_rest.chain(over_grpc).collect();

    let groups = || database.number("select count(*) from customer_group");
    for replica in (0..ROUNDS).flat_map(|_| 0..REPLICAS) {
        let enough = groups().await + 100;
        eventually("the callers go on", async { while groups().await < enough {} }).await;
        let old = &mut replicas[replica];
        old.signal(Signal::SIGTERM);
        assert_eq!(old.wait().code(), Some(0));
        *old = start(&addresses[replica].to_string());
    }
    stop.store(true, Ordering::Relaxed);
    let mut made = 0;
    for caller in callers {
        made += caller.await.unwrap().unwrap_or_else(|failure| panic!("a call failed: {failure}"));
    }
    assert_eq!(i64::try_from(made).unwrap(), groups().await);
}

/// Creates one group or a batch, with an idempotency key for each path.
async fn create(replica: &Program, path: &str, body: &Value) -> HttpResponse {
    let key = format!("key{path}");
    let headers = [JSON, ("idempotency-key", &key)];
    Rest(replica.address).call("POST", path, &headers, &body.to_string()).await
}

#[tokio::test]
async fn a_retry_under_a_key_recorded_by_the_previous_release_is_a_replay() {
    let database = TestDatabase::create().await;
    let url = database.url();
    let previous = Program::serve_previous(&[("DATABASE_URL", &url)]);
    let current = Program::serve(&[("DATABASE_URL", &url)]);
    assert_retries_are_replays(&database, &previous, &current).await;
}

#[tokio::test]
async fn a_retry_on_the_previous_release_is_a_replay() {
    let database = TestDatabase::create().await;
    let url = database.url();
    let previous = Program::serve_previous(&[("DATABASE_URL", &url)]);
    let current = Program::serve(&[("DATABASE_URL", &url)]);
    assert_retries_are_replays(&database, &current, &previous).await;
}

/// Creates with the first replica, and repeats each create with the second one.
async fn assert_retries_are_replays(database: &TestDatabase, first: &Program, second: &Program) {
    let parent = Rest(first.address).send("POST", "", &json!({"customer_group_name": "All"})).await.json();
    let group = json!({
        "parent_id": parent["id"],
        "is_group": true,
        "customer_group_name": " Export ",
        "parent_customer_group": "All customers",
        "default_price_list": "Standard selling",
        "payment_terms": "Net 30",
    });
    let mut below = group.clone();
    below.as_object_mut().unwrap().remove("parent_id");
    let batch = json!({"requests": [
        {"customer_group": group, "reference": "export"},
        {"customer_group": below, "parent_reference": "export"},
        {"customer_group": {"customer_group_name": "Import"}},
    ]});
    let requests = [("", &group), (":batchCreate", &batch)];
    let mut recorded = Vec::new();
    for (path, body) in requests {
        let created = create(first, path, body).await;
        assert!(created.status.is_success(), "{path}: {:?}", created.body);
        assert!(!created.headers.contains_key("idempotent-replayed"), "{path}");
        recorded.push(created);
    }

    for ((path, body), created) in requests.into_iter().zip(recorded) {
        let again = create(second, path, body).await;
        assert_eq!((again.status, again.json()), (created.status, created.json()), "{path}");
        assert_eq!(again.headers["idempotent-replayed"], "true", "{path}");

        let other = body.to_string().replace("Net 30", "Net 60");
        let refused = create(second, path, &other.parse().unwrap()).await;
        assert_error(&refused, 409, "idempotency_key_reused", None);
    }
    assert_eq!(database.number("select count(*) from customer_group").await, 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_releases_search_the_names_that_either_has_stored() {
    let database = TestDatabase::create_empty().await;
    let url = database.url();
    let previous = Program::serve_previous(&[("DATABASE_URL", &url)]);
    let on_previous = previous.client().await;
    on_previous.create(named("Zürich")).await.unwrap();
    let current = Program::serve(&[("DATABASE_URL", &url)]);
    current.log_line(|line| line["message"] == "search by name is ready");
    let on_current = current.client().await;
    on_current.create(named("ZÜRICH West")).await.unwrap();
    on_previous.create(named("Zu\u{308}rich Süd")).await.unwrap();
    assert_eq!(search(&on_previous, "zürich").await, ["ZÜRICH West", "Zürich"]);
    assert_eq!(search(&on_current, "zurich").await, ["Zu\u{308}rich Süd", "ZÜRICH West", "Zürich"]);

    // It starts on the migrated tables, too.
    let previous = Program::serve_previous(&[("DATABASE_URL", &url)]);
    assert_eq!(search(&previous.client().await, "zürich").await, ["ZÜRICH West", "Zürich"]);
}
