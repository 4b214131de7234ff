//! The Prometheus metrics.

// Counts are exact.
#![allow(clippy::float_cmp)]

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use customer_groups::testing::Limits;
use customer_groups::testing::pb;
use nix::sys::signal::Signal;
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::Code;

use crate::limits::until_a_connection_is_accepted;
use crate::rest::COLLECTION;
use crate::support::http::{get, request};
use crate::support::protocol::{Protocol, rpc};
use crate::support::{Api, BOUNDS, Calls, KEY, Program, TIMEOUTS, TestDatabase, data_dir, eventually, named};

const SERVICE: &str = "overplane.setup.v1.CustomerGroupService";
/// The samples, by name and labels as they are written.
pub type Samples = BTreeMap<String, f64>;

async fn read(admin: std::net::SocketAddr) -> String {
    let response = get(admin, "/metrics", &[]).await;
    assert_eq!(response.status, 200);
    String::from_utf8(response.body.to_vec()).unwrap()
}

pub async fn samples(admin: std::net::SocketAddr) -> Samples {
    let text = read(admin).await;
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let figure = |line: &str| {
        let (name, value) = line.rsplit_once(' ').unwrap();
        (name.to_owned(), value.parse().unwrap())
    };
    let samples: Samples = lines.map(figure).collect();
    assert_eq!(
        samples.len(),
        text.lines().filter(|line| !line.starts_with('#')).count(),
        "each is told once"
    );
    samples
}

fn rpc_calls(method: &str, code: &str) -> String {
    let labels = format!("rpc_method=\"{method}\",rpc_response_status_code=\"{code}\"");
    format!("rpc_server_call_duration_seconds_count{{rpc_system_name=\"grpc\",{labels}}}")
}

fn requests(method: &str, route: &str, status: &str) -> String {
    let route = if route.is_empty() { String::new() } else { format!("http_route=\"{route}\",") };
    let labels = format!("http_request_method=\"{method}\",{route}http_response_status_code=\"{status}\"");
    format!("http_server_request_duration_seconds_count{{{labels}}}")
}

fn active(method: &str) -> String {
    format!("rpc_server_active_calls{{rpc_system_name=\"grpc\",rpc_method=\"{SERVICE}/{method}\"}}")
}

/// The samples that count calls.
fn calls(samples: &Samples) -> Samples {
    let counts = samples.iter().filter(|(name, _)| name.contains("_seconds_count{"));
    counts.map(|(name, count)| (name.clone(), *count)).collect()
}

/// Waits until every finished call is counted: a call ends after its last byte is sent.
async fn until_calls_are(admin: std::net::SocketAddr, expected: &Samples) {
    let mut counted = Samples::new();
    let all = async {
        while counted != *expected {
            counted = calls(&samples(admin).await);
            let (now, all) = (counted.values().sum::<f64>(), expected.values().sum::<f64>());
            assert!(now < all || counted == *expected, "{counted:#?} are not {expected:#?}");
        }
    };
    eventually("all calls are counted", all).await;
}

#[tokio::test]
async fn calls_are_counted_by_method_and_code() {
    let api = Api::start().await;
    let authorization = format!("Bearer {KEY}");
    let key = [("authorization", authorization.as_str())];
    let client = api.client().await;
    let group = client.create(named("Export")).await.unwrap();
    let mut expected = Samples::from([(rpc_calls(&format!("{SERVICE}/CreateCustomerGroup"), "OK"), 1.0)]);
    let mut expect = |name: String| *expected.entry(name).or_default() += 1.0;

    let known = pb::GetCustomerGroupRequest { id: group.id.clone() }.encode_to_vec();
    let unknown = pb::GetCustomerGroupRequest { id: "nobody".to_owned() }.encode_to_vec();
    for protocol in Protocol::RPC {
        for (message, headers, code, name) in [
            (&known, &key[..], Code::Ok, "OK"),
            (&unknown, &key[..], Code::NotFound, "NOT_FOUND"),
            (&known, &[][..], Code::Unauthenticated, "UNAUTHENTICATED"),
        ] {
            let response = rpc(protocol, api.address(), "GetCustomerGroup", headers, message).await;
            assert_eq!(response.status.code(), code);
            expect(rpc_calls(&format!("{SERVICE}/GetCustomerGroup"), name));
        }
    }
    let one = format!("{COLLECTION}/{}", group.id);
    for (method, path, headers, status, route) in [
        ("GET", one.as_str(), &key[..], "200", "/api/setup/customer-group/{id}"),
        ("GET", "/api/setup/customer-group/nobody", &key, "404", "/api/setup/customer-group/{id}"),
        ("GET", COLLECTION, &key, "200", COLLECTION),
        ("GET", "/api/setup/customer-group/", &key, "200", COLLECTION),
        ("GET", COLLECTION, &[], "401", COLLECTION),
        ("GET", &format!("{one}/children"), &key, "200", "/api/setup/customer-group/{id}/children"),
        ("POST", COLLECTION, &key, "415", COLLECTION),
        ("PUT", COLLECTION, &key, "405", COLLECTION),
        ("DELETE", &one, &key, "200", "/api/setup/customer-group/{id}"),
        ("GET", "/livez", &[], "200", "/livez"),
        ("GET", "/openapi.json", &[], "200", "/openapi.json"),
        ("GET", "/nonsense", &key, "404", ""),
    ] {
        let response = request(api.address(), method, path, headers, "").await;
        assert_eq!(response.status.as_str(), status, "{method} {path}");
        expect(requests(method, route, status));
    }
    until_calls_are(api.admin, &expected).await;
}

#[tokio::test]
async fn unknown_methods_and_routes_are_counted_under_one_name() {
    let api = Api::start().await;
    let authorization = format!("Bearer {KEY}");
    let key = [("authorization", authorization.as_str())];
    for number in 0..20 {
        let response = rpc(Protocol::Grpc, api.address(), &format!("Nonsense{number}"), &key, &[]).await;
        assert_eq!(response.status.code(), Code::Unimplemented);
        let path = format!("/nonsense/{number}");
        assert_eq!(get(api.address(), &path, &key).await.status, 404);
        let method = format!("NONSENSE{number}");
        assert_eq!(request(api.address(), &method, COLLECTION, &key, "").await.status, 405);
    }
    let expected = [
        (rpc_calls("_OTHER", "UNIMPLEMENTED"), 20.0),
        (requests("GET", "", "404"), 20.0),
        (requests("_OTHER", COLLECTION, "405"), 20.0),
    ];
    until_calls_are(api.admin, &expected.into()).await;
    assert!(!read(api.admin).await.to_lowercase().contains("nonsense"));
}

#[tokio::test]
async fn calls_in_flight_and_their_connections_are_exported() {
    let api = Api::start().await;
    let client = api.client().await;
    let lock = api.database.lock("customer_group").await;
    let calling = (0..3).map(|_| {
        let client = client.clone();
        tokio::spawn(async move { client.list(None, None).await })
    });
    let calling: Vec<_> = calling.collect();
    api.database.until_statements_run(3).await;
    let pool = |state: &str| format!("db_client_connections_usage{{pool_name=\"calls\",state=\"{state}\"}}");
    let during = samples(api.admin).await;
    assert_eq!((during[&active("ListCustomerGroups")], during[&pool("used")]), (3.0, 3.0));

    lock.release().await;
    for call in calling {
        call.await.unwrap().unwrap();
    }
    let done = async {
        loop {
            let after = samples(api.admin).await;
            if (after[&active("ListCustomerGroups")], after[&pool("used")]) == (0.0, 0.0) {
                break after[&pool("idle")];
            }
        }
    };
    assert!(eventually("nothing is under way", done).await >= 3.0);
}

#[tokio::test]
async fn a_disconnected_caller_is_counted_as_cancelled() {
    let api = Api::start().await;
    let _lock = api.database.lock("customer_group").await;
    let client = api.client().await;
    let calling = tokio::spawn(async move { client.list(None, None).await });
    let address = api.address();
    let requesting = tokio::spawn(async move {
        get(address, COLLECTION, &[("authorization", &format!("Bearer {KEY}"))]).await;
    });
    api.database.until_statements_run(2).await;
    calling.abort();
    requesting.abort();
    let labels = format!("http_request_method=\"GET\",http_route=\"{COLLECTION}\",error_type=\"cancelled\"");
    let expected = [
        (rpc_calls(&format!("{SERVICE}/ListCustomerGroups"), "CANCELLED"), 1.0),
        (format!("http_server_request_duration_seconds_count{{{labels}}}"), 1.0),
    ];
    until_calls_are(api.admin, &expected.into()).await;
}

#[tokio::test]
async fn refused_calls_are_counted_and_the_metrics_stay_available() {
    let nonzero = |number| NonZeroUsize::new(number).unwrap();
    let bounds = Limits { calls: nonzero(1), connections: nonzero(2), ..BOUNDS };
    let api = Api::start_within(bounds, TIMEOUTS).await;
    let client = api.client().await;
    let lock = api.database.lock("customer_group").await;
    let waiting = client.clone();
    let waiting = tokio::spawn(async move { waiting.list(None, None).await });
    api.database.until_statements_run(1).await;
    for _ in 0..5 {
        assert_eq!(client.list(None, None).await.unwrap_err().code(), Code::ResourceExhausted);
    }
    let second = TcpStream::connect(api.address()).await.unwrap();
    let third = TcpStream::connect(api.address()).await.unwrap();
    eventually("the third is closed", third.readable()).await.unwrap();
    let during = samples(api.admin).await;
    assert_eq!(during["customer_groups_refused_calls_total"], 5.0);
    assert_eq!(during["customer_groups_refused_connections_total"], 1.0);
    assert_eq!(during[&rpc_calls(&format!("{SERVICE}/ListCustomerGroups"), "RESOURCE_EXHAUSTED")], 5.0);
    drop((second, third));
    lock.release().await;
    waiting.await.unwrap().unwrap();
    until_a_connection_is_accepted(api.address()).await;
}

#[tokio::test]
async fn batched_reads_are_counted_by_batch_size() {
    let api = Api::start().await;
    let client = api.client().await;
    let group = client.create(named("Export")).await.unwrap();
    let lock = api.database.lock("customer_group").await;
    let get = || {
        let (client, id) = (client.clone(), group.id.clone());
        tokio::spawn(async move { client.get(&id).await })
    };
    // The first read is sent alone, the others with the next statement of the thread.
    let mut reading = vec![get()];
    api.database.until_statements_run(1).await;
    reading.extend((0..8).map(|_| get()));
    let under_way = active("GetCustomerGroup");
    let all = async { while samples(api.admin).await[&under_way] < 9.0 {} };
    eventually("all have come", all).await;
    lock.release().await;
    for read in reading {
        read.await.unwrap().unwrap();
    }
    let after = samples(api.admin).await;
    let figure = |name: &str| after[&format!("customer_groups_read_batch_size_{name}")];
    assert_eq!((figure("count{statement=\"get\"}"), figure("sum{statement=\"get\"}")), (2.0, 9.0));
    assert_eq!(figure("bucket{statement=\"get\",le=\"1\"}"), 1.0);
    assert_eq!(figure("bucket{statement=\"get\",le=\"8\"}"), 2.0);
    assert_eq!(figure("bucket{statement=\"get\",le=\"+Inf\"}"), 2.0);
    assert_eq!(figure("count{statement=\"chain\"}"), 0.0);
}

#[tokio::test]
async fn the_availability_of_the_database_is_exported() {
    let api = Api::start().await;
    let until = async |up: f64| {
        let told = async {
            loop {
                let samples = samples(api.admin).await;
                if (samples["customer_groups_database_up"], samples["customer_groups_ready"]) == (up, up) {
                    break samples;
                }
            }
        };
        eventually("the database is told of", told).await
    };
    assert_eq!(until(1.0).await["customer_groups_embedded_database"], 0.0);
    api.database.admit(false).await;
    until(0.0).await;
    api.database.admit(true).await;
    until(1.0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_are_available_during_a_graceful_shutdown() {
    let database = TestDatabase::create().await;
    let mut program = Program::serve(&[("DATABASE_URL", &*database.url())]);
    let client = program.client().await;
    let lock = database.lock("customer_group").await;
    let calling = tokio::spawn(async move { client.list(None, None).await });
    database.until_statements_run(1).await;
    program.signal(Signal::SIGTERM);
    program.log_line(|line| line["message"] == "stopping");
    let during = samples(program.admin).await;
    assert_eq!((during["customer_groups_ready"], during["customer_groups_database_up"]), (0.0, 1.0));
    assert_eq!(during[&active("ListCustomerGroups")], 1.0);
    lock.release().await;
    calling.await.unwrap().unwrap();
    assert_eq!(program.wait().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_embedded_database_is_exported_as_one() {
    let folder = data_dir();
    let program = Program::serve_in(folder.path());
    assert_eq!(samples(program.admin).await["customer_groups_embedded_database"], 1.0);
}

#[tokio::test]
async fn connections_for_metrics_are_few_and_separate_from_those_of_callers() {
    let api = Api::start().await;
    let mut held = Vec::new();
    for _ in 0..16 {
        let mut stream = TcpStream::connect(api.admin).await.unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\n").await.unwrap();
        held.push(stream);
    }
    let mut further = TcpStream::connect(api.admin).await.unwrap();
    let mut response = Vec::new();
    let closed = further.read_to_end(&mut response);
    assert_eq!(eventually("one more is closed", closed).await.unwrap_or(0), 0);
    assert_eq!(get(api.address(), "/readyz", &[]).await.status, 200);
    drop(held);
    let told = async { while !is_told(api.admin).await {} };
    eventually("metrics are told again", told).await;
}

async fn is_told(admin: std::net::SocketAddr) -> bool {
    let mut stream = TcpStream::connect(admin).await.unwrap();
    let mut response = Vec::new();
    let asked = stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: metrics\r\n\r\n").await;
    asked.is_ok() && stream.read_to_end(&mut response).await.is_ok() && response.starts_with(b"HTTP/1.1 200")
}

#[tokio::test]
async fn the_process_metrics_and_the_version_are_exported() {
    let samples = samples(Api::start().await.admin).await;
    let version = format!("customer_groups_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"));
    assert_eq!(samples[&version], 1.0);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    let begun = samples["process_start_time_seconds"];
    assert!((now - 86_400.0..=now + 2.0).contains(&begun), "{begun} and {now}");
    for name in
        ["process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds", "process_threads"]
    {
        assert!(samples[name] > 0.0, "{name}");
    }
}

#[tokio::test]
async fn the_admin_address_serves_metrics_in_both_formats_and_nothing_else() {
    let api = Api::start().await;
    let accept = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.4";
    let open = get(api.admin, "/metrics", &[("accept", accept)]).await;
    assert!(open.headers["content-type"].to_str().unwrap().starts_with("application/openmetrics-text"));
    assert!(open.body.ends_with(b"# EOF\n"));
    let plain = get(api.admin, "/metrics", &[]).await;
    assert!(plain.headers["content-type"].to_str().unwrap().starts_with("text/plain; version=0.0.4"));
    for path in ["/", "/livez", "/metrics/", COLLECTION] {
        assert_eq!(get(api.admin, path, &[]).await.status, 404, "{path}");
    }
    assert_eq!(request(api.admin, "POST", "/metrics", &[], "").await.status, 405);
    assert_eq!(get(api.address(), "/metrics", &[]).await.status, 401);
}

#[tokio::test]
async fn metrics_contain_nothing_of_a_key_or_a_group() {
    let api = Api::start().await;
    let client = api.client().await;
    let group = client.create(named("Secretive")).await.unwrap();
    client.get(&group.id).await.unwrap();
    let authorization = format!("Bearer {KEY}");
    let path = format!("{COLLECTION}/{}?limit=Secretive", group.id);
    get(api.address(), &path, &[("authorization", &authorization), ("x-request-id", "Secretive")]).await;
    let text = read(api.admin).await;
    for secret in [KEY, "sk_", "Secretive", &group.id, "req_", "key_"] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}
