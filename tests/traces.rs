//! OpenTelemetry traces, as a collector receives them.

use std::net::SocketAddr;

use customer_groups::testing::pb;
use nix::sys::signal::Signal;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use prost::Message;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Code, Request, Response, Status};

use crate::metrics::samples;
use crate::process::call_line;
use crate::rest::COLLECTION;
use crate::support::http::get;
use crate::support::protocol::{Protocol, rpc};
use crate::support::{Calls, KEY, Program, TestDatabase, eventually, named};

const SERVICE: &str = "overplane.setup.v1.CustomerGroupService";
const CALLER: [u8; 8] = [0xca; 8];

/// A trace collector that forwards what it receives.
struct Collector {
    address: SocketAddr,
    got: mpsc::UnboundedReceiver<ExportTraceServiceRequest>,
}

struct Receiver(mpsc::UnboundedSender<ExportTraceServiceRequest>);

#[tonic::async_trait]
impl TraceService for Receiver {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.0.send(request.into_inner()).map_err(|_| Status::unavailable("the test is over"))?;
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, got) = mpsc::unbounded_channel();
        let service = TraceServiceServer::new(Receiver(sender));
        let incoming = TcpIncoming::from(listener);
        tokio::spawn(Server::builder().add_service(service).serve_with_incoming(incoming));
        Self { address, got }
    }

    /// Starts a service that exports its spans to the collector without delay.
    fn program(&self, database: &TestDatabase, settings: &[(&str, &str)]) -> Program {
        let (url, endpoint) = (database.url(), format!("http://{}", self.address));
        let own = [
            ("DATABASE_URL", url.as_str()),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint),
            ("OTEL_BSP_SCHEDULE_DELAY", "20"),
        ];
        Program::serve(&[&own, settings].concat())
    }

    /// All spans of a trace, once this many have arrived.
    async fn trace(&mut self, id: [u8; 16], count: usize) -> Vec<Span> {
        let mut found = Vec::new();
        let all = async {
            while found.len() < count {
                let spans = spans(self.got.recv().await.unwrap());
                found.extend(spans.into_iter().filter(|span| span.trace_id == id));
            }
        };
        eventually("its spans come", all).await;
        found
    }

    /// Stops the program and returns all remaining spans.
    async fn rest(&mut self, mut program: Program) -> Vec<Span> {
        program.signal(Signal::SIGTERM);
        assert_eq!(tokio::task::spawn_blocking(move || program.wait()).await.unwrap().code(), Some(0));
        let mut found = Vec::new();
        while let Ok(request) = self.got.try_recv() {
            found.extend(spans(request));
        }
        found
    }
}

fn spans(request: ExportTraceServiceRequest) -> Vec<Span> {
    let scopes = request.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
    scopes.flat_map(|scope| scope.spans).collect()
}

fn traceparent(trace: [u8; 16], is_sampled: bool) -> String {
    let (trace, caller) = (u128::from_be_bytes(trace), u64::from_be_bytes(CALLER));
    format!("00-{trace:032x}-{caller:016x}-0{}", u8::from(is_sampled))
}

/// The value of an attribute, as text.
fn attribute(span: &Span, name: &str) -> Option<String> {
    let attribute = span.attributes.iter().find(|attribute| attribute.key == name)?;
    match attribute.value.clone()?.value? {
        Value::StringValue(text) => Some(text),
        Value::IntValue(number) => Some(number.to_string()),
        other => panic!("{name} is {other:?}"),
    }
}

/// The span of the call and the span of its only statement, after checking how they are linked.
fn call_and_statement(spans: &[Span]) -> (&Span, &Span) {
    assert_eq!(spans.len(), 2, "{spans:#?}");
    let of_kind = |kind: SpanKind| spans.iter().find(|span| span.kind == kind as i32).unwrap();
    let (call, statement) = (of_kind(SpanKind::Server), of_kind(SpanKind::Client));
    assert_eq!(call.parent_span_id, CALLER);
    assert_eq!(statement.parent_span_id, call.span_id);
    assert!(call.start_time_unix_nano <= statement.start_time_unix_nano);
    assert!(statement.start_time_unix_nano < statement.end_time_unix_nano);
    assert!(statement.end_time_unix_nano <= call.end_time_unix_nano);
    assert_eq!(attribute(statement, "db.system.name").as_deref(), Some("postgresql"));
    assert_eq!(attribute(statement, "db.query.summary"), Some(statement.name.clone()));
    (call, statement)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trace_links_the_caller_the_call_and_its_statement() {
    let (mut collector, database) = (Collector::start().await, TestDatabase::create().await);
    let program = collector.program(&database, &[("OTEL_SERVICE_NAME", "groups of the test")]);
    let group = program.client().await.create(named("Export")).await.unwrap();
    let authorization = format!("Bearer {KEY}");
    let name = format!("{SERVICE}/GetCustomerGroup");

    for (number, protocol) in (1..).zip(Protocol::RPC) {
        let trace = [number; 16];
        let traceparent = traceparent(trace, true);
        let metadata = [("authorization", authorization.as_str()), ("traceparent", &traceparent)];
        for (id, code) in
            [(group.id.as_str(), "OK"), ("customer-group_00000000000000000000000000", "NOT_FOUND")]
        {
            let message = pb::GetCustomerGroupRequest { id: id.to_owned() }.encode_to_vec();
            rpc(protocol, program.address, "GetCustomerGroup", &metadata, &message).await;
            let expected = if code == "OK" { 2 } else { 1 };
            let spans = collector.trace(trace, expected).await;
            let call = spans.iter().find(|span| span.kind == SpanKind::Server as i32).unwrap();
            if code == "OK" {
                let (_, statement) = call_and_statement(&spans);
                assert_eq!(statement.name, "get groups by id");
            }
            assert_eq!(call.name, name);
            assert_eq!(attribute(call, "rpc.system.name").as_deref(), Some("grpc"));
            assert_eq!(attribute(call, "rpc.method").as_deref(), Some(&*name));
            assert_eq!(attribute(call, "rpc.response.status_code").as_deref(), Some(code));
            assert_eq!(call.status.clone().unwrap_or_default().code, StatusCode::Unset as i32);
        }
    }

    for (number, path, route, statement) in [
        (11, "", "", "list groups"),
        (12, &*format!("/{}", group.id), "/{id}", "get groups by id"),
        (13, &format!("/{}/ancestors", group.id), "/{id}/ancestors", "get groups with ancestors"),
        (14, &format!("/{}/children", group.id), "/{id}/children", "list children"),
        (15, &format!("/{}/descendants", group.id), "/{id}/descendants", "stream descendants"),
    ] {
        let trace = [number; 16];
        let traceparent = traceparent(trace, true);
        let headers = [("authorization", authorization.as_str()), ("traceparent", &traceparent)];
        assert_eq!(get(program.address, &format!("{COLLECTION}{path}"), &headers).await.status, 200);
        let spans = collector.trace(trace, 2).await;
        let (call, of_statement) = call_and_statement(&spans);
        assert_eq!(call.name, format!("GET {COLLECTION}{route}"));
        assert_eq!(attribute(call, "http.request.method").as_deref(), Some("GET"));
        assert_eq!(attribute(call, "http.route"), Some(format!("{COLLECTION}{route}")));
        assert_eq!(attribute(call, "http.response.status_code").as_deref(), Some("200"));
        assert_eq!(of_statement.name, statement);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unsampled_calls_have_no_span_and_shutdown_flushes_sampled_ones() {
    let (mut collector, database) = (Collector::start().await, TestDatabase::create().await);
    // Only the shutdown of the service flushes them.
    let settings =
        [("OTEL_TRACES_SAMPLER", "parentbased_always_off"), ("OTEL_BSP_SCHEDULE_DELAY", "3600000")];
    let program = collector.program(&database, &settings);
    let authorization = format!("Bearer {KEY}");
    let list = async |headers: &[(&str, &str)]| {
        let headers = [&[("authorization", authorization.as_str())], headers].concat();
        assert_eq!(get(program.address, COLLECTION, &headers).await.status, 200);
    };
    list(&[]).await;
    list(&[("traceparent", "nonsense")]).await;
    list(&[("traceparent", &traceparent([1; 16], false))]).await;
    list(&[("traceparent", &traceparent([2; 16], true)), ("x-request-id", "sampled")]).await;
    list(&[("x-request-id", "not-sampled")]).await;
    get(program.address, "/readyz", &[("traceparent", &traceparent([3; 16], true))]).await;
    // The sampling flag of calls without a key is ignored.
    assert_eq!(
        get(program.address, COLLECTION, &[("traceparent", &traceparent([4; 16], true))]).await.status,
        401
    );

    assert_eq!(call_line(&program, "sampled")["trace_id"], "02".repeat(16));
    assert!(call_line(&program, "not-sampled").get("trace_id").is_none());
    let spans = collector.rest(program).await;
    assert!(spans.iter().all(|span| span.trace_id == [2; 16]), "{spans:#?}");
    call_and_statement(&spans);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batched_statement_is_in_the_trace_of_each_read() {
    let (mut collector, database) = (Collector::start().await, TestDatabase::create().await);
    let program =
        collector.program(&database, &[("WORKERS", "1"), ("OTEL_TRACES_SAMPLER", "parentbased_always_off")]);
    let client = program.client().await;
    let group = client.create(named("Export")).await.unwrap();
    let lock = database.lock("customer_group").await;
    let (first, id) = (client.clone(), group.id.clone());
    let first = tokio::spawn(async move { first.get(&id).await });
    database.until_statements_run(1).await;
    // They share the next statement.
    let authorization = format!("Bearer {KEY}");
    let path = format!("{COLLECTION}/{}", group.id);
    let reads = [1, 2, 3].map(|number| {
        let (authorization, path, address) = (authorization.clone(), path.clone(), program.address);
        tokio::spawn(async move {
            let headers =
                [("authorization", &*authorization), ("traceparent", &traceparent([number; 16], true))];
            get(address, &path, &headers).await.status
        })
    });
    let under_way = "http_server_active_requests{http_request_method=\"GET\"}";
    eventually("all have come", async { while samples(program.admin).await[under_way] < 3.0 {} }).await;
    lock.release().await;
    first.await.unwrap().unwrap();
    for read in reads {
        assert_eq!(read.await.unwrap(), 200);
    }
    let spans = collector.rest(program).await;
    for number in [1, 2, 3] {
        let of_trace: Vec<Span> =
            spans.iter().filter(|span| span.trace_id == [number; 16]).cloned().collect();
        let (_, statement) = call_and_statement(&of_trace);
        assert_eq!(attribute(statement, "db.operation.batch.size").as_deref(), Some("3"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn internal_errors_are_marked_in_the_span_with_their_cause() {
    let (mut collector, database) = (Collector::start().await, TestDatabase::create().await);
    let program = collector.program(&database, &[("REQUEST_TIMEOUT", "200ms")]);
    let lock = database.lock("customer_group").await;
    let authorization = format!("Bearer {KEY}");
    let traceparent = traceparent([7; 16], true);
    let metadata = [("authorization", authorization.as_str()), ("traceparent", &traceparent)];
    let response = rpc(Protocol::Grpc, program.address, "ListCustomerGroups", &metadata, &[]).await;
    assert_eq!(response.status.code(), Code::DeadlineExceeded);
    lock.release().await;
    for span in collector.trace([7; 16], 2).await {
        assert_eq!(span.status.clone().unwrap().code, StatusCode::Error as i32, "{span:#?}");
        let error = attribute(&span, "error.type").unwrap();
        if span.kind == SpanKind::Server as i32 {
            assert_eq!(error, "DEADLINE_EXCEEDED");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traces_contain_nothing_of_a_key_or_a_group() {
    let (mut collector, database) = (Collector::start().await, TestDatabase::create().await);
    let program = collector.program(&database, &[]);
    let client = program.client().await;
    let group = client.create(named("Secretive")).await.unwrap();
    client.get(&group.id).await.unwrap();
    client.update(crate::support::update_of(group.clone(), &["payment_terms"])).await.unwrap();
    let authorization = format!("Bearer {KEY}");
    let traceparent = traceparent([9; 16], true);
    let headers = [
        ("authorization", authorization.as_str()),
        ("traceparent", &traceparent),
        ("tracestate", "Secretive=1"),
    ];
    get(program.address, &format!("{COLLECTION}/{}?x=Secretive", group.id), &headers).await;
    get(program.address, "/Secretive", &headers).await;
    client.delete(&group.id).await.unwrap();
    let told = format!("{:?}", collector.rest(program).await);
    assert!(told.contains(&format!("{:?}", [9_u8; 16])), "{told}");
    for expected in ["insert group", "get groups by id", "update group", "delete group"] {
        assert!(told.contains(expected), "{expected} in {told}");
    }
    for secret in [KEY, "sk_", "Secretive", &group.id, "req_"] {
        assert!(!told.contains(secret), "{secret} in {told}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unavailable_collector_blocks_nothing_and_is_logged_once() {
    let database = TestDatabase::create().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("http://{}", taken.local_addr().unwrap());
    for endpoint in ["http://127.0.0.1:1", &silent] {
        let settings = [
            ("DATABASE_URL", &*database.url()),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint),
            ("OTEL_BSP_SCHEDULE_DELAY", "10"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "16"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "100"),
        ];
        let mut program = Program::serve(&settings);
        let client = program.client().await;
        for _ in 0..100 {
            client.list(None, None).await.unwrap();
        }
        let is_told = |line: &serde_json::Value| {
            line["message"].as_str().is_some_and(|message| message.contains("trace collector unavailable"))
        };
        program.log_line(is_told);
        for _ in 0..100 {
            client.list(None, None).await.unwrap();
        }
        program.signal(Signal::SIGTERM);
        assert_eq!(program.wait().code(), Some(0));
        let rest = program.rest_of_log();
        let lines = rest.iter().filter_map(|line| serde_json::from_str(line).ok());
        assert_eq!(lines.filter(is_told).count(), 0, "{rest:#?}");
    }
}
