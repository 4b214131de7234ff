//! Random HTTP requests by the hundred thousand: each gets a response, and none a 5xx.

use std::net::SocketAddr;
use std::sync::Arc;

use http::{HeaderValue, Request};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::Mutex;

use crate::rest::COLLECTION;
use crate::support::http::get;
use crate::support::{Api, Calls, KEY, named};

const CASES: u32 = 100_000;
const CALLERS: u32 = 8;

const FIELDS: [&str; 15] = [
    "id",
    "created_at",
    "updated_at",
    "parent_id",
    "is_group",
    "customer_group_name",
    "parent_customer_group",
    "default_price_list",
    "payment_terms",
    "colour",
    "requests",
    "customer_group",
    "reference",
    "parent_reference",
    "ids",
];

#[derive(Debug, Clone)]
struct RandomCall {
    method: &'static str,
    path: String,
    query: Option<String>,
    headers: Vec<(&'static str, Vec<u8>)>,
    body: Vec<u8>,
}

/// Any JSON as text, such as `{"parent_id": [null, "…"]}`.
fn json(id: String) -> impl Strategy<Value = String> {
    let text = prop_oneof![Just(id), any::<String>(), "\\PC{0,300}"];
    let number = prop_oneof![any::<i64>().prop_map(Value::from), any::<f64>().prop_map(Value::from)];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        number,
        text.clone().prop_map(Value::from)
    ];
    let value = leaf.prop_recursive(4, 32, 6, move |inner| {
        let name = prop_oneof![select(FIELDS.as_slice()).prop_map(str::to_owned), any::<String>()];
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            vec((name, inner), 0..6).prop_map(|fields| Value::Object(fields.into_iter().collect()))
        ]
    });
    // Written by hand, so that a field can occur twice.
    let field =
        (select(FIELDS.as_slice()), value.clone()).prop_map(|(name, value)| format!("{name:?}: {value}"));
    let object = vec(field, 0..8).prop_map(|fields| format!("{{{}}}", fields.join(", ")));
    prop_oneof![3 => object, 1 => value.prop_map(|value| value.to_string())]
}

/// Valid JSON, JSON with a changed byte or cut short, or random bytes.
fn body(id: String) -> impl Strategy<Value = Vec<u8>> {
    let broken =
        (json(id.clone()), any::<prop::sample::Index>(), any::<Option<u8>>()).prop_map(|(json, at, byte)| {
            let mut bytes = json.into_bytes();
            let at = at.index(bytes.len());
            match byte {
                Some(byte) => bytes[at] = byte,
                None => bytes.truncate(at),
            }
            bytes
        });
    prop_oneof![4 => json(id).prop_map(String::into_bytes), 2 => broken, 1 => vec(any::<u8>(), 0..64)]
}

fn escaped(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("%{byte:02x}"))
}

fn path(id: String) -> impl Strategy<Value = String> {
    let segment = prop_oneof![
        4 => Just(id),
        1 => "[a-z0-9_.~!$&'()*+,;=:@-]{1,40}",
        1 => vec(any::<u8>(), 0..40).prop_map(|bytes| escaped(&bytes)),
        1 => "customer-group_[0-9a-z]{26}",
    ];
    let rest =
        select(["", "", "", "/", "/children", "/ancestors", "/descendants", "/other", "//"].as_slice());
    prop_oneof![
        2 => Just(COLLECTION.to_owned()),
        1 => Just(format!("{COLLECTION}/")),
        1 => Just(format!("{COLLECTION}:batchCreate")),
        1 => Just(format!("{COLLECTION}:batchGet")),
        6 => (segment, rest).prop_map(|(segment, rest)| format!("{COLLECTION}/{segment}{rest}")),
    ]
}

fn query(id: String) -> impl Strategy<Value = Option<String>> {
    let name = prop_oneof![
        4 => select(["limit", "offset", "starting_after"].as_slice()).prop_map(str::to_owned),
        1 => vec(any::<u8>(), 0..8).prop_map(|bytes| escaped(&bytes)),
    ];
    let value = prop_oneof![
        Just(id),
        any::<i32>().prop_map(|number| number.to_string()),
        (-3..30_i32).prop_map(|number| number.to_string()),
        any::<i128>().prop_map(|number| number.to_string()),
        vec(any::<u8>(), 0..12).prop_map(|bytes| escaped(&bytes)),
        "[a-z0-9+&=;%.-]{0,12}",
    ];
    let pairs = vec((name, value).prop_map(|(name, value)| format!("{name}={value}")), 0..4);
    prop_oneof![2 => Just(None), 3 => pairs.prop_map(|pairs| Some(pairs.join("&")))]
}

fn headers() -> impl Strategy<Value = Vec<(&'static str, Vec<u8>)>> {
    let json = Just(("content-type", b"application/json".to_vec()));
    let name = select(
        ["content-type", "if-match", "if-none-match", "idempotency-key", "accept-encoding", "x-request-id"]
            .as_slice(),
    );
    let value = prop_oneof![
        vec(prop_oneof![32..=126_u8, 128..=255_u8], 0..300),
        select(["*", "\"1\"", "W/\"1\", \"2\"", "gzip", "identity;q=0", "application/json;"].as_slice())
            .prop_map(|text| text.as_bytes().to_vec()),
    ];
    prop_oneof![3 => vec(json, 1..2), 2 => vec((name, value), 0..4)]
}

fn random_call(id: &str) -> impl Strategy<Value = RandomCall> + use<> {
    let method = select(
        ["GET", "GET", "POST", "POST", "PATCH", "PATCH", "DELETE", "HEAD", "OPTIONS", "PUT"].as_slice(),
    );
    (method, path(id.to_owned()), query(id.to_owned()), headers(), body(id.to_owned()))
        .prop_map(|(method, path, query, headers, body)| RandomCall { method, path, query, headers, body })
}

/// Sends the request and describes what is wrong with the response.
async fn send(connection: &Mutex<SendRequest<Full<Bytes>>>, random_call: RandomCall) -> Result<(), String> {
    let query = random_call.query.map(|query| format!("?{query}")).unwrap_or_default();
    let mut request =
        Request::builder().method(random_call.method).uri(format!("{}{query}", random_call.path));
    request = request.header("host", "localhost").header("authorization", format!("Bearer {KEY}"));
    for (name, value) in random_call.headers {
        request = request.header(name, HeaderValue::from_bytes(&value).unwrap());
    }
    let request =
        request.body(Full::new(random_call.body.into())).map_err(|error| format!("no request: {error}"))?;
    let mut connection = connection.lock().await;
    connection.ready().await.map_err(|error| error.to_string())?;
    let response = connection.send_request(request).await.map_err(|error| error.to_string())?;
    let (status, head) = (response.status(), random_call.method == "HEAD");
    let body = response.into_body().collect().await.map_err(|error| error.to_string())?.to_bytes();
    if status.is_server_error() {
        return Err(format!("{status}: {body:?}"));
    }
    if status.is_client_error() && !head {
        let body: Value = serde_json::from_slice(&body).map_err(|error| format!("{status}: {error}"))?;
        let told = |field: &str| body["error"][field].as_str().is_some_and(|text| !text.is_empty());
        if !(told("type") && told("code") && told("message") && told("request_id")) {
            return Err(format!("{status}: {body}"));
        }
    }
    Ok(())
}

/// Sends random requests on one connection. A request that breaks the connection fails all that follow.
fn call(address: SocketAddr, id: &str, runtime: &Handle) {
    let connection = runtime.block_on(async {
        let stream = TcpStream::connect(address).await.unwrap();
        let (sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Arc::new(Mutex::new(sender))
    });
    let config = Config { cases: CASES / CALLERS, failure_persistence: None, ..Config::default() };
    let checked = TestRunner::new(config).run(&random_call(id), |random_call| {
        runtime.block_on(send(&connection, random_call)).map_err(TestCaseError::fail)
    });
    if let Err(failure) = checked {
        panic!("{failure}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_thousand_random_requests_get_responses_and_none_a_5xx() {
    let api = Api::start().await;
    let group = api.client().await.create(named("Export")).await.unwrap();
    let mut callers = Vec::new();
    for _ in 0..CALLERS {
        let (address, id, runtime) = (api.address(), group.id.clone(), Handle::current());
        callers.push(tokio::task::spawn_blocking(move || call(address, &id, &runtime)));
    }
    for caller in callers {
        caller.await.unwrap();
    }
    assert_eq!(get(api.address(), "/readyz", &[]).await.status, 200);
}
