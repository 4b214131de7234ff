//! The program as an operator runs it: settings, signals and the log.

use customer_groups::testing::pb::customer_group_service_server::SERVICE_NAME;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tonic::Code;

use crate::rest::COLLECTION;
use crate::support::http::{RawGrpc, framed, get};
use crate::support::protocol::{Protocol, rpc};
use crate::support::{Calls, Client, KEY, Program, TestDatabase, leaks, named, reason};

async fn program() -> (Program, TestDatabase) {
    let database = TestDatabase::create().await;
    (Program::serve(&[("DATABASE_URL", &database.url())]), database)
}

/// A call that is in a statement, waiting for the lock on the table.
pub async fn waiting_call(
    database: &TestDatabase,
    client: Client,
) -> tokio::task::JoinHandle<Result<i32, tonic::Status>> {
    let call = tokio::spawn(async move { client.list(None, None).await.map(|list| list.total) });
    database.until_a_statement_waits().await;
    call
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_and_sigint_finish_calls_in_flight_and_exit_with_0() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let (mut program, database) = program().await;
        let lock = database.lock("customer_group").await;
        let call = waiting_call(&database, program.client().await).await;

        program.signal(signal);
        program.log_line(|line| line["message"] == "stopping");
        assert!(tokio::net::TcpStream::connect(program.address).await.is_err(), "still accepts");
        lock.release().await;
        assert_eq!(call.await.unwrap().unwrap(), 0);
        assert_eq!(program.wait().code(), Some(0));
        assert!(program.rest_of_log().last().unwrap().contains("\"stopped\""));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_during_the_start_is_not_lost() {
    let database = TestDatabase::create().await;
    for milliseconds in [0, 1, 2, 5, 10, 20, 40, 80, 160] {
        let settings = [("DATABASE_URL", &*database.url())];
        let mut program = Program::spawn(Program::command(&settings).stdout(std::process::Stdio::null()));
        std::thread::sleep(std::time::Duration::from_millis(milliseconds));
        program.signal(Signal::SIGTERM);
        let ended = program.wait();
        // Before the signal handlers are installed, the signal ends the process.
        let by_signal = std::os::unix::process::ExitStatusExt::signal(&ended) == Some(Signal::SIGTERM as i32);
        assert!(ended.code() == Some(0) || by_signal, "after {milliseconds} ms: {ended:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_outlast_the_shutdown_timeout_are_cut_off_and_the_exit_code_is_0() {
    let database = TestDatabase::create().await;
    let mut program = Program::serve(&[("DATABASE_URL", &database.url()), ("DRAIN_TIMEOUT", "100ms")]);
    let _lock = database.lock("customer_group").await;
    let call = waiting_call(&database, program.client().await).await;
    program.signal(Signal::SIGTERM);
    assert_eq!(program.wait().code(), Some(0));
    call.await.unwrap().unwrap_err();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_configured_number_of_workers_serves_and_all_behave_alike() {
    for workers in [1, 3] {
        let database = TestDatabase::create().await;
        let settings = [("DATABASE_URL", database.url()), ("WORKERS", workers.to_string())];
        let mut program = Program::serve(&settings.each_ref().map(|(name, value)| (*name, value.as_str())));
        let threads = std::fs::read_dir(format!("/proc/{}/task", program.pid())).unwrap();
        let names =
            threads.map(|thread| std::fs::read_to_string(thread.unwrap().path().join("comm")).unwrap());
        assert_eq!(names.filter(|name| name == "worker\n").count(), workers);

        let clients = futures_util::future::join_all((0..8).map(|_| program.client())).await;
        for writer in &clients {
            let created = writer.create(named("Export")).await.unwrap();
            for reader in &clients {
                assert_eq!(reader.get(&created.id).await.unwrap(), created);
            }
        }
        program.signal(Signal::SIGTERM);
        assert_eq!(program.wait().code(), Some(0));
    }
}

#[test]
fn every_mistake_in_the_settings_is_reported_before_anything_starts() {
    let mistakes =
        [("LISTEN", "here"), ("MODE", "toast"), ("POOL_SIZE", "many"), ("REQUEST_TIMEOUT", "soon")];
    let output = Program::run(&["serve"], &mistakes);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said.lines().count(), mistakes.len(), "{said}");
    for (setting, value) in mistakes {
        assert!(said.lines().any(|line| line.contains(setting) && line.contains(value)), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unavailable_database_or_address_is_reported() {
    let output = Program::run(&[], &[("DATABASE_URL", "postgres://user:hunter2@127.0.0.1:1/groups")]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    let beginning = "the database 127.0.0.1:1/groups cannot be used: its server cannot be reached (";
    assert!(said.contains(beginning) && said.contains("refused") && !said.contains("hunter2"), "{said}");

    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let silent = format!("postgres://user@{address}/groups");
    let output = Program::run(&[], &[("DATABASE_URL", &silent), ("CONNECT_TIMEOUT", "100ms")]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains(&address) && said.contains("did not answer within CONNECT_TIMEOUT"), "{said}");

    let database = TestDatabase::create().await.url();
    let output = Program::run(&[], &[("DATABASE_URL", &database), ("LISTEN", &address)]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains(&address) && said.contains("set LISTEN to a free address"), "{said}");

    let output = Program::run(&[], &[("DATABASE_URL", &database), ("ADMIN_LISTEN", &address)]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains(&address) && said.contains("set ADMIN_LISTEN to a free address"), "{said}");
}

/// The log line of the call with this request id.
pub fn call_line(program: &Program, request_id: &str) -> Value {
    program.log_line(|line| line["message"] == "call" && line["request_id"] == request_id)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_call_has_one_line_with_method_code_duration_and_request_id() {
    let (mut program, _database) = program().await;
    let mut raw = RawGrpc::connect(program.address).await;
    let path = format!("/{SERVICE_NAME}/ListCustomerGroups");
    for (id, body) in
        [("good", framed(&[])), ("bad", framed(b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"))]
    {
        raw.call(&path, &[("x-request-id", id)], body).await;
    }
    let good = call_line(&program, "good");
    assert_eq!(good["method"], format!("{SERVICE_NAME}/ListCustomerGroups"));
    assert_eq!(
        (&good["code"], &good["level"], &good["key"]),
        (&json!("OK"), &json!("INFO"), &json!("API_KEY"))
    );
    let duration = good["duration_ms"].as_f64().unwrap();
    assert!(duration > 0.0 && format!("{duration:.3}").parse() == Ok(duration), "{duration}");
    let bad = call_line(&program, "bad");
    assert_eq!((&bad["code"], &bad["reason"]), (&json!("INVALID_ARGUMENT"), &json!("parameter_invalid")));
    assert_eq!(bad["key"], "API_KEY");

    program.signal(Signal::SIGTERM);
    program.wait();
    let rest = program.rest_of_log();
    assert!(!rest.iter().any(|line| line.contains("\"good\"") || line.contains("\"bad\"")), "{rest:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalid_protobuf_is_logged_as_a_client_error() {
    let (program, _database) = program().await;
    let mut raw = RawGrpc::connect(program.address).await;
    let path = format!("/{SERVICE_NAME}/GetCustomerGroup");
    raw.call(&path, &[("x-request-id", "noise")], framed(b"\xff\xff\xff")).await;
    let line = call_line(&program, "noise");
    assert_eq!((&line["level"], &line["code"]), (&json!("INFO"), &json!("INTERNAL")));
    assert_eq!(line["reason"], "body_malformed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_internal_error_is_logged_once_with_its_cause_and_callers_see_only_the_request_id() {
    let (mut program, database) = program().await;
    let client = program.client().await;
    let group = client.create(named("Export")).await.unwrap();
    let corrupt = r"update customer_group set payment_terms = E'broken\x07'";
    database.sql().await.batch_execute(corrupt).await.unwrap();

    let status = client.get(&group.id).await.unwrap_err();
    let request_id = status.metadata().get("x-request-id").unwrap().to_str().unwrap();
    assert_eq!((status.code(), &*reason(&status)), (Code::Internal, "INTERNAL"));
    let message = format!("an internal error occurred; quote the request id {request_id} when you report it");
    assert_eq!(status.message(), message);

    let line = call_line(&program, request_id);
    assert_eq!((&line["level"], &line["reason"]), (&json!("ERROR"), &json!("internal")));
    assert!(line["cause"].as_str().unwrap().contains("U+0007"), "{line}");
    program.signal(Signal::SIGTERM);
    program.wait();
    assert!(!program.rest_of_log().iter().any(|line| line.contains("U+0007")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_whose_caller_disconnects_is_logged() {
    let (program, database) = program().await;
    let lock = database.lock("customer_group").await;
    let call = waiting_call(&database, program.client().await).await;
    call.abort();
    let line = program.log_line(|line| line["message"] == "call" && line["code"] == "CANCELLED");
    assert_eq!(line["method"], format!("{SERVICE_NAME}/ListCustomerGroups"));
    lock.release().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_with_an_incomplete_body_is_logged_as_cancelled() {
    let (program, _database) = program().await;
    for (method, content_type) in [
        (format!("POST {COLLECTION}"), "application/json"),
        (format!("{SERVICE_NAME}/CreateCustomerGroup"), "application/grpc-web"),
        (format!("{SERVICE_NAME}/CreateCustomerGroup"), "application/grpc-web-text"),
    ] {
        let path = method.trim_start_matches("POST ").trim_start_matches('/');
        let request = format!(
            "POST /{path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {KEY}\r\n\
             content-type: {content_type}\r\ncontent-length: 100\r\n\r\nAAAA"
        );
        let mut stream = TcpStream::connect(program.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        drop(stream);
        let line = program.log_line(|line| line["message"] == "call");
        assert_eq!((&line["method"], &line["code"]), (&json!(method), &json!("CANCELLED")), "{line}");
        assert_eq!(line["reason"], Value::Null, "{line}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_key_is_ever_in_the_log() {
    let database = TestDatabase::create().await;
    let url = database.url();
    let mut program = Program::serve(&[("DATABASE_URL", &url), ("RUST_LOG", "trace")]);
    let client = program.client().await;
    client.create(named("Export")).await.unwrap();
    program.client_with("sk_test_this_key_was_never_made").await.list(None, None).await.unwrap_err();
    program.signal(Signal::SIGTERM);
    program.wait();
    let log = program.rest_of_log();
    assert!(log.len() > 10, "{log:?}");
    assert!(!log.iter().any(|line| line.contains(KEY) || line.contains("never_made")));
}

#[test]
fn the_help_of_serve_names_every_setting_with_its_variable() {
    let output = Program::run(&["serve", "--help"], &[]);
    let help = String::from_utf8(output.stdout).unwrap();
    // The help is wrapped at the width of the terminal.
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    for variable in [
        "LISTEN",
        "ADMIN_LISTEN",
        "DATABASE_URL",
        "DATABASE_READ_URL",
        "DATA_DIR",
        "PG_BIN_DIR",
        "API_KEY",
        "CORS_ORIGINS",
        "MODE",
        "WORKERS",
        "POOL_SIZE",
        "POOL_TIMEOUT",
        "CONNECT_TIMEOUT",
        "REQUEST_TIMEOUT",
        "DRAIN_TIMEOUT",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "OTEL_TRACES_SAMPLER",
        "OTEL_TRACES_SAMPLER_ARG",
        "OTEL_SERVICE_NAME",
        "OTEL_SDK_DISABLED",
        "OTEL_TRACES_EXPORTER",
        "AUDIT_REQUIRED",
        "MAX_CALLS_PER_KEY",
        "MAX_LONG_LISTS_PER_KEY",
        "MAX_SEARCHES_PER_KEY",
        "MAX_BUFFERED_BYTES",
        "LOG_FORMAT",
        "RUST_LOG",
    ] {
        assert!(help.contains(&format!("[env: {variable}")), "{variable}");
    }
    assert!(!help.contains(KEY), "the value of API_KEY is shown");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_key_is_in_the_log_at_any_log_level() {
    let database = TestDatabase::create().await;
    let url = database.url();
    let mut program = Program::serve(&[("DATABASE_URL", &url), ("RUST_LOG", "trace")]);
    let unknown = "sk_test_that_nobody_ever_made";
    for key in [KEY, unknown] {
        let authorization = format!("Bearer {key}");
        let headers = [("authorization", authorization.as_str())];
        for protocol in Protocol::RPC {
            rpc(protocol, program.address, "ListCustomerGroups", &headers, &[]).await;
        }
        get(program.address, "/api/setup/customer-group", &headers).await;
    }
    program.signal(Signal::SIGTERM);
    program.wait();
    let log = program.rest_of_log();
    // The log contains these lines, so that the check has something to search.
    assert!(log.iter().any(|line| line.contains("\"TRACE\"")), "{}", log.len());
    let line = log.iter().find(|line| leaks::has_key(line.as_bytes()));
    assert_eq!(line, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_leaves_no_core_with_keys_in_it() {
    let (program, _database) = program().await;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", program.pid())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    // The limit of one byte is too small for a file, and makes Linux pipe it to no program either.
    let soft: u64 = line.split_whitespace().nth(4).unwrap().parse().unwrap();
    assert!(soft <= 1, "{line}");
}
