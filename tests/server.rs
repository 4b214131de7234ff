//! Rules of all calls: health, reflection, routes, request ids, deadlines and compression.

use std::time::Duration;

use customer_groups::testing::Timeouts;
use customer_groups::testing::pb::ListCustomerGroupsRequest;
use customer_groups::testing::pb::customer_group_service_server::SERVICE_NAME;
use prost::Message;
use prost_types::FileDescriptorProto;
use serde_json::json;
use tokio_stream::StreamExt;
use tonic::{Code, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::rest::{COLLECTION, Rest};
use crate::support::http::{RawGrpc, get};
use crate::support::{Api, BOUNDS, Calls, KEY, TIMEOUTS, TestDatabase, eventually, named, reason, update_of};

async fn health(api: &Api, service: &str) -> i32 {
    let request = HealthCheckRequest { service: service.to_owned() };
    HealthClient::new(api.channel().await).check(request).await.unwrap().into_inner().status
}

/// The health statuses of the service, as they change.
async fn health_changes(api: &Api) -> impl tokio_stream::Stream<Item = i32> + use<> {
    let request = HealthCheckRequest { service: SERVICE_NAME.to_owned() };
    let responses = HealthClient::new(api.channel().await).watch(request).await.unwrap().into_inner();
    responses.map(|response| response.unwrap().status)
}

#[tokio::test]
async fn health_covers_the_server_and_the_service_and_needs_no_key() {
    let api = Api::start().await;
    for service in ["", SERVICE_NAME] {
        assert_eq!(health(&api, service).await, ServingStatus::Serving as i32);
    }
    let unknown = HealthCheckRequest { service: "no.such.Service".to_owned() };
    let status = HealthClient::new(api.channel().await).check(unknown).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
}

#[tokio::test]
async fn a_watch_of_an_unknown_service_says_so_and_stays_open() {
    let mut api = Api::start().await;
    let request = HealthCheckRequest { service: "no.such.Service".to_owned() };
    let responses = HealthClient::new(api.channel().await).watch(request).await.unwrap().into_inner();
    let mut statuses = responses.map(|response| response.unwrap().status);
    assert_eq!(statuses.next().await, Some(ServingStatus::ServiceUnknown as i32));
    // The next change of all services.
    let mut known = health_changes(&api).await;
    assert_eq!(known.next().await, Some(ServingStatus::Serving as i32));
    api.database.admit(false).await;
    assert_eq!(known.next().await, Some(ServingStatus::NotServing as i32));
    api.stop();
    assert_eq!(known.next().await, None);
    assert_eq!(statuses.next().await, None);
}

#[tokio::test]
async fn health_follows_the_availability_of_the_database() {
    let api = Api::start().await;
    let client = api.client().await;
    let mut changes = health_changes(&api).await;
    assert_eq!(changes.next().await, Some(ServingStatus::Serving as i32));
    assert_eq!(get(api.address(), "/readyz", &[]).await.status, 200);

    api.database.admit(false).await;
    assert_eq!(changes.next().await, Some(ServingStatus::NotServing as i32));
    assert_eq!(health(&api, "").await, ServingStatus::NotServing as i32);
    let response = get(api.address(), "/readyz", &[]).await;
    assert_eq!(
        (response.status.as_u16(), &*response.body),
        (503, b"the database is unavailable\n".as_slice())
    );
    let response = get(api.address(), "/livez", &[]).await;
    assert_eq!((response.status.as_u16(), &*response.body), (200, b"ok\n".as_slice()));
    let status = client.create(named("Export")).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(reason(&status), "UNAVAILABLE");

    api.database.admit(true).await;
    assert_eq!(changes.next().await, Some(ServingStatus::Serving as i32));
    assert_eq!(get(api.address(), "/readyz", &[]).await.status, 200);
    client.create(named("Export")).await.unwrap();
}

#[tokio::test]
async fn reflection_lists_the_services_in_both_versions_without_a_key() {
    let api = Api::start().await;
    macro_rules! services {
        ($version:ident) => {{
            use pb::server_reflection_request::MessageRequest;
            use pb::server_reflection_response::MessageResponse;
            use tonic_reflection::pb::$version as pb;
            let mut client = pb::server_reflection_client::ServerReflectionClient::new(api.channel().await);
            let message_request = Some(MessageRequest::ListServices(String::new()));
            let request = pb::ServerReflectionRequest { message_request, ..Default::default() };
            let mut responses =
                client.server_reflection_info(tokio_stream::once(request)).await.unwrap().into_inner();
            let response = responses.message().await.unwrap().unwrap();
            let Some(MessageResponse::ListServicesResponse(list)) = response.message_response else {
                panic!("{response:?}");
            };
            list.service.into_iter().map(|service| service.name).collect::<Vec<String>>()
        }};
    }
    for services in [services!(v1), services!(v1alpha)] {
        for service in [SERVICE_NAME, "grpc.health.v1.Health"] {
            assert!(services.iter().any(|name| name == service), "{services:?}");
        }
    }
}

#[tokio::test]
async fn reflection_answers_what_it_does_not_know_with_an_error_and_goes_on() {
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest as Asked;
    use tonic_reflection::pb::v1::server_reflection_response::MessageResponse as Answered;
    use tonic_reflection::pb::v1::{ExtensionRequest, ServerReflectionRequest};
    let extension = |number| ExtensionRequest {
        containing_type: "google.protobuf.MethodOptions".to_owned(),
        extension_number: number,
    };
    // The last column is the code of the error, or the file of the answer.
    let questions = [
        (Some(Asked::FileContainingSymbol("no.such.Service".to_owned())), Err(Code::NotFound)),
        (Some(Asked::FileByFilename("no/such.proto".to_owned())), Err(Code::NotFound)),
        (Some(Asked::FileContainingExtension(extension(1))), Err(Code::NotFound)),
        (Some(Asked::AllExtensionNumbersOfType("no.such.Type".to_owned())), Err(Code::NotFound)),
        (None, Err(Code::InvalidArgument)),
        (Some(Asked::FileContainingSymbol(SERVICE_NAME.to_owned())), Ok("customer_group.proto")),
        (
            Some(Asked::FileContainingSymbol(format!("{SERVICE_NAME}.GetCustomerGroup"))),
            Ok("customer_group.proto"),
        ),
        (Some(Asked::FileContainingExtension(extension(72_295_728))), Ok("google/api/annotations.proto")),
        (Some(Asked::FileByFilename("google/api/http.proto".to_owned())), Ok("google/api/http.proto")),
    ];
    let api = Api::start().await;
    let mut client =
        tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient::new(api.channel().await);
    let numbers = Asked::AllExtensionNumbersOfType("google.protobuf.MethodOptions".to_owned());
    let asked = questions.iter().map(|(asked, _)| asked.clone()).chain([Some(numbers)]);
    let requests: Vec<ServerReflectionRequest> = asked
        .map(|message_request| ServerReflectionRequest { message_request, ..Default::default() })
        .collect();
    let mut responses =
        client.server_reflection_info(tokio_stream::iter(requests.clone())).await.unwrap().into_inner();
    for (request, (_, expected)) in requests.iter().zip(&questions) {
        let response = responses.message().await.unwrap().unwrap();
        assert_eq!(response.original_request.as_ref(), Some(request));
        match (response.message_response.unwrap(), expected) {
            (Answered::ErrorResponse(error), Err(code)) => assert_eq!(error.error_code, *code as i32),
            (Answered::FileDescriptorResponse(files), Ok(name)) => {
                let file = FileDescriptorProto::decode(&*files.file_descriptor_proto[0]).unwrap();
                assert!(file.name().ends_with(name), "{}", file.name());
            }
            (answered, expected) => panic!("{request:?}: {answered:?} instead of {expected:?}"),
        }
    }
    let Some(Answered::AllExtensionNumbersResponse(numbers)) =
        responses.message().await.unwrap().unwrap().message_response
    else {
        panic!("no numbers")
    };
    assert_eq!(numbers.extension_number, [72_295_728]);
    assert!(responses.message().await.unwrap().is_none());
}

#[tokio::test]
async fn public_streams_end_when_their_time_is_over() {
    let timeouts =
        Timeouts { request: Duration::from_millis(300), age: Duration::from_millis(600), ..TIMEOUTS };
    let api = Api::start_within(BOUNDS, timeouts).await;
    let mut health = HealthClient::new(api.channel().await);
    let mut watched = health.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    assert!(watched.message().await.unwrap().is_some());
    let mut reflection =
        tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient::new(api.channel().await);
    let request = reflection.server_reflection_info(tokio_stream::pending());
    let mut asked = request.await.unwrap().into_inner();
    let ended = [
        eventually("the watch ends", watched.message()).await.map(drop),
        eventually("the reflection ends", asked.message()).await.map(drop),
    ];
    for status in ended {
        assert_eq!(status.unwrap_err().code(), Code::DeadlineExceeded);
    }
}

#[tokio::test]
async fn an_unknown_method_is_unimplemented_with_a_reason() {
    let mut raw = RawGrpc::connect(Api::start().await.address()).await;
    for path in [&format!("/{SERVICE_NAME}/NoSuchMethod"), "/no.such.Service/Method", "/nonsense"] {
        let status = raw.call(path, &[], vec![0; 5]).await.grpc_status();
        assert_eq!(status.code(), Code::Unimplemented, "{path}");
        assert_eq!(reason(&status), "ROUTE_UNKNOWN");
        assert!(status.message().contains(path), "{}", status.message());
    }
}

#[tokio::test]
async fn an_unknown_path_is_a_404_in_the_documented_shape() {
    let api = Api::start().await;
    let key = format!("Bearer {KEY}");
    let headers = [("authorization", key.as_str()), ("x-request-id", "mine-1")];
    let response = get(api.address(), "/api/nonsense", &headers).await;
    assert_eq!(response.status, 404);
    let expected = serde_json::json!({"error": {
        "type": "invalid_request_error",
        "code": "route_unknown",
        "message": "there is no GET \"/api/nonsense\"",
        "param": null,
        "request_id": "mine-1",
    }});
    assert_eq!(response.json(), expected);
}

#[tokio::test]
async fn a_path_without_a_key_is_a_401_that_names_the_scheme() {
    let response = get(Api::start().await.address(), "/api/nonsense", &[]).await;
    assert_eq!(response.status, 401);
    assert_eq!(response.headers["www-authenticate"], "Bearer");
    assert_eq!(response.json()["error"]["code"], "api_key_missing");
}

#[tokio::test]
async fn a_valid_request_id_is_returned_and_an_invalid_one_replaced() {
    let api = Api::start().await;
    let mut raw = RawGrpc::connect(api.address()).await;
    let path = format!("/{SERVICE_NAME}/ListCustomerGroups");
    let long = "x".repeat(129);
    for (given, is_kept) in [
        ("a", true),
        ("0b1c-2d.3e_4f:5", true),
        (&long[..128], true),
        ("", false),
        ("a b", false),
        (&long, false),
    ] {
        let response = raw.call(&path, &[("x-request-id", given)], vec![0; 5]).await;
        let returned = response.headers["x-request-id"].to_str().unwrap();
        assert_eq!(returned == given, is_kept, "{given:?} gave {returned:?}");
        assert!(is_kept || returned.starts_with("req_"), "{returned:?}");
    }
    let refused = raw.call_without_key(&path, &[("x-request-id", "refused")], vec![0; 5]).await;
    assert_eq!(refused.headers["x-request-id"], "refused");
    assert!(get(api.address(), "/livez", &[]).await.headers.contains_key("x-request-id"));
}

#[tokio::test]
async fn the_caller_s_deadline_is_honoured() {
    let api = Api::start().await;
    let client = api.client().await;
    let lock = api.database.lock("customer_group").await;
    // Not with the generated client, which enforces the same deadline itself.
    let path = format!("/{SERVICE_NAME}/ListCustomerGroups");
    let mut raw = RawGrpc::connect(api.address()).await;
    let status = raw.call(&path, &[("grpc-timeout", "50m")], vec![0; 5]).await.grpc_status();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!(reason(&status), "TIMEOUT");
    lock.release().await;
    client.list(None, None).await.unwrap();
}

#[tokio::test]
async fn the_maximum_duration_of_a_call_is_enforced() {
    let timeouts = Timeouts { request: Duration::from_millis(50), ..TIMEOUTS };
    let api = Api::start_with(TestDatabase::create().await, timeouts, 1, Duration::from_secs(30)).await;
    let client = api.client().await;
    let _lock = api.database.lock("customer_group").await;
    for _ in 0..3 {
        assert_eq!(client.list(None, None).await.unwrap_err().code(), Code::DeadlineExceeded);
    }
}

#[tokio::test]
async fn a_malformed_deadline_is_rejected() {
    let mut raw = RawGrpc::connect(Api::start().await.address()).await;
    let path = format!("/{SERVICE_NAME}/ListCustomerGroups");
    for timeout in ["soon", "5", "-5S", "123456789S", "1.5S"] {
        let status = raw.call(&path, &[("grpc-timeout", timeout)], vec![0; 5]).await.grpc_status();
        assert_eq!(status.code(), Code::InvalidArgument, "{timeout:?}");
        assert!(status.message().contains(timeout), "{}", status.message());
    }
}

#[tokio::test]
async fn a_cancelled_call_holds_no_connection() {
    let api = Api::start_with(TestDatabase::create().await, TIMEOUTS, 1, Duration::from_secs(30)).await;
    let client = api.client().await;
    let group = client.create(named("Export")).await.unwrap();
    let mut sql = api.database.sql().await;
    let held = sql.transaction().await.unwrap();
    held.batch_execute("update customer_group set is_group = true").await.unwrap();
    let mut request = Request::new(update_of(group.clone(), &["payment_terms"]));
    request.set_timeout(Duration::from_millis(50));
    client.clone().update_customer_group(request).await.unwrap_err();
    // The update still waits for the row, on the only connection.
    assert_eq!(client.get(&group.id).await.unwrap(), group);
}

#[tokio::test]
async fn cancelled_calls_cannot_exceed_the_size_of_the_pool() {
    const POOL: usize = 4;
    let api = Api::start_with(TestDatabase::create().await, TIMEOUTS, POOL, Duration::from_secs(30)).await;
    let client = api.client().await;
    let lock = api.database.lock("customer_group").await;
    for _ in 0..10 {
        let calls = (0..POOL).map(|_| {
            let mut request = Request::new(ListCustomerGroupsRequest::default());
            request.set_timeout(Duration::from_millis(20));
            let mut client = client.clone();
            async move { client.list_customer_groups(request).await.unwrap_err() }
        });
        futures_util::future::join_all(calls).await;
    }
    let connections = "select count(*) from pg_stat_activity
                       where datname = current_database() and application_name = 'customer-groups'";
    let most = i64::try_from(POOL).unwrap() + 1;
    let count = api.database.number(connections).await;
    assert!(count <= most, "{count} connections, of {most}");
    lock.release().await;
    client.list(None, None).await.unwrap();
}

#[tokio::test]
async fn a_call_without_a_connection_in_time_fails_as_overloaded() {
    let api = Api::start_with(TestDatabase::create().await, TIMEOUTS, 1, Duration::from_millis(50)).await;
    let client = api.client().await;
    let lock = api.database.lock("customer_group").await;
    let waiting = tokio::spawn({
        let client = client.clone();
        async move { client.list(None, None).await }
    });
    api.database.until_a_statement_waits().await;
    let status = client.list(None, None).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert_eq!(reason(&status), "OVERLOADED");
    lock.release().await;
    waiting.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_shutdown_is_announced_to_health_watchers_and_does_not_wait_for_them() {
    let mut api = Api::start().await;
    let mut changes = health_changes(&api).await;
    assert_eq!(changes.next().await, Some(ServingStatus::Serving as i32));
    api.stop();
    assert_eq!(changes.next().await, Some(ServingStatus::NotServing as i32));
    assert_eq!(changes.next().await, None);
    api.stopped().await;
}

#[tokio::test]
async fn data_is_neither_stored_by_browsers_nor_taken_for_another_type() {
    let api = Api::start().await;
    let rest = Rest(api.address());
    let group = rest.create(json!({"customer_group_name": "Export"})).await;
    let group = format!("/{}", group["id"].as_str().unwrap());
    for path in ["", &*group, "/none", "?limit=0"] {
        let headers = rest.get(path).await.headers;
        assert_eq!(headers["cache-control"], "no-store", "{path}");
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
        assert!(!headers.contains_key("strict-transport-security"));
    }
    assert_eq!(get(rest.0, COLLECTION, &[]).await.headers["cache-control"], "no-store");
}
