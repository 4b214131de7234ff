//! Idempotency keys: a retried create is made once.

use customer_groups::testing::Scope;
use customer_groups::testing::pb;
use serde_json::{Value, json};
use tonic::{Code, Request, Response, Status};

use crate::auth::make_key;
use crate::rest::{JSON, Rest, assert_error};
use crate::support::http::HttpResponse;
use crate::support::{Api, Calls, Client, TestDatabase, below, eventually, fields, named, reason};

async fn post(rest: Rest, key: &str, body: &Value) -> HttpResponse {
    rest.call("POST", "", &[JSON, ("idempotency-key", key)], &body.to_string()).await
}

pub async fn create(
    client: &Client,
    key: &str,
    group: pb::CustomerGroup,
) -> Result<Response<pb::CustomerGroup>, Status> {
    let mut request = Request::new(pb::CreateCustomerGroupRequest { customer_group: Some(group) });
    request.metadata_mut().insert("idempotency-key", key.parse().unwrap());
    client.clone().create_customer_group(request).await
}

async fn total(client: &Client) -> i32 {
    client.list(Some(0), None).await.unwrap().total
}

#[tokio::test]
async fn a_repeated_create_over_rest_replays_the_first_response_and_is_marked() {
    let api = Api::start().await;
    let (rest, client) = (Rest(api.address()), api.client().await);
    let root = client.create(named("root")).await.unwrap();
    let body = json!({"customer_group_name": " Export ", "parent_id": root.id, "is_group": true,
                      "payment_terms": "Net 30"});
    let first = post(rest, "k", &body).await;
    assert_eq!(first.status, 201);
    assert!(!first.headers.contains_key("idempotent-replayed"));

    // Later changes of the group do not change the recorded response.
    let id = first.json()["id"].as_str().unwrap().to_owned();
    rest.send("PATCH", &format!("/{id}"), &json!({"customer_group_name": "Renamed"})).await;
    let again = post(rest, "k", &body).await;
    assert_eq!((again.status, &again.body), (first.status, &first.body));
    assert_eq!(again.headers["idempotent-replayed"], "true");
    for header in ["location", "etag"] {
        assert_eq!(again.headers[header], first.headers[header]);
    }
    client.delete(&id).await.unwrap();
    client.delete(&root.id).await.unwrap();
    assert_eq!(post(rest, "k", &body).await.body, first.body);
    assert_eq!(total(&client).await, 0);
}

#[tokio::test]
async fn over_grpc_the_key_is_in_the_metadata_and_is_shared_with_rest() {
    let api = Api::start().await;
    let (rest, client) = (Rest(api.address()), api.client().await);
    let first = create(&client, "k", named("Export")).await.unwrap();
    assert!(!first.metadata().contains_key("idempotent-replayed"));
    let again = create(&client, "k", named("Export")).await.unwrap();
    assert_eq!(again.metadata().get("idempotent-replayed").unwrap(), "true");
    assert_eq!(again.get_ref(), first.get_ref());
    let over_rest = post(rest, "k", &json!({"customer_group_name": "Export", "is_group": null})).await;
    assert_eq!(over_rest.headers["idempotent-replayed"], "true");
    assert_eq!(over_rest.json()["id"], first.get_ref().id);
    assert_eq!(total(&client).await, 1);
}

#[tokio::test]
async fn a_key_used_for_another_request_is_rejected() {
    let api = Api::start().await;
    let (rest, client) = (Rest(api.address()), api.client().await);
    create(&client, "k", named("Export")).await.unwrap();
    let status = create(&client, "k", named("Import")).await.unwrap_err();
    assert_eq!((status.code(), &*reason(&status)), (Code::FailedPrecondition, "IDEMPOTENCY_KEY_REUSED"));
    let response = post(rest, "k", &json!({"customer_group_name": "Import"})).await;
    assert_error(&response, 409, "idempotency_key_reused", None);
    assert_eq!(response.json()["error"]["type"], "idempotency_error");
    assert_eq!(total(&client).await, 1);
}

#[tokio::test]
async fn an_error_is_not_recorded() {
    let api = Api::start().await;
    let client = api.client().await;
    let gone = client.create(named("gone")).await.unwrap();
    client.delete(&gone.id).await.unwrap();
    let status = create(&client, "k", below(&gone, "Export")).await.unwrap_err();
    assert_eq!(reason(&status), "PARENT_NOT_FOUND");
    assert_eq!(reason(&create(&client, "k", named(" ")).await.unwrap_err()), "PARAMETER_MISSING");
    let created = create(&client, "k", named("Export")).await.unwrap();
    assert!(!created.metadata().contains_key("idempotent-replayed"));
}

#[tokio::test]
async fn an_idempotency_key_belongs_to_one_api_key() {
    let api = Api::start().await;
    let (_, secret) = make_key(&api, Scope::Write).await;
    let (first, other) = (api.client().await, api.client_with(secret.expose()).await);
    let one = create(&first, "k", named("Export")).await.unwrap().into_inner();
    let two = create(&other, "k", named("Import")).await.unwrap().into_inner();
    assert_ne!(one.id, two.id);
    assert_eq!(create(&other, "k", named("Import")).await.unwrap().into_inner(), two);
}

#[tokio::test]
async fn a_key_expires_after_24_hours_and_expired_ones_are_removed_in_the_background() {
    let api = Api::start().await;
    let (client, sql) = (api.client().await, api.database.sql().await);
    let first = create(&client, "k", named("Export")).await.unwrap().into_inner();
    for key in ["old", "older"] {
        create(&client, key, named("Export")).await.unwrap();
    }
    let age = "update idempotency_key set created_at = created_at - $1::text::interval";
    sql.execute(age, &[&"23 hours 59 minutes"]).await.unwrap();
    assert_eq!(create(&client, "k", named("Export")).await.unwrap().into_inner(), first);
    sql.execute(age, &[&"1 minute"]).await.unwrap();
    let second = create(&client, "k", named("Import")).await.unwrap();
    assert!(!second.metadata().contains_key("idempotent-replayed"));
    let again = create(&client, "k", named("Import")).await.unwrap();
    assert_eq!(again.into_inner(), second.into_inner());

    // More than are removed at once.
    let many =
        "insert into idempotency_key (api_key_digest, key, request_digest, customer_group_id, created_at)
                select api_key_digest, n::text, request_digest, customer_group_id, now() - interval '25 hours'
                from idempotency_key, generate_series(1, 2500) n where key = 'k'";
    sql.batch_execute(many).await.unwrap();
    let _another = Api::start_on(api.database.clone()).await;
    let only_one_is_left =
        async { while api.database.number("select count(*) from idempotency_key").await != 1 {} };
    eventually("the expired records are removed", only_one_is_left).await;
}

#[tokio::test]
async fn an_invalid_key_is_reported_with_all_other_violations() {
    let api = Api::start().await;
    let (rest, client) = (Rest(api.address()), api.client().await);
    let long = "k".repeat(256);
    for key in ["", &long] {
        let response = post(rest, key, &json!({"customer_group_name": "Export"})).await;
        assert_error(&response, 400, "parameter_invalid", Some("idempotency-key"));
    }
    let status = create(&client, &long, named("\0")).await.unwrap_err();
    assert_eq!(fields(&status), ["customer_group_name", "idempotency-key"]);
    let twice = [JSON, ("idempotency-key", "a"), ("idempotency-key", "a")];
    let response = rest.call("POST", "", &twice, "{\"customer_group_name\": \"Export\"}").await;
    assert_error(&response, 400, "parameter_invalid", Some("idempotency-key"));
    assert_eq!(total(&client).await, 0);
    assert_eq!(post(rest, &long[..255], &json!({"customer_group_name": "Export"})).await.status, 201);
}

#[tokio::test]
async fn records_of_a_version_without_batches_are_understood() {
    let api = Api::start().await;
    let (rest, client, sql) = (Rest(api.address()), api.client().await, api.database.sql().await);
    let body = json!({"requests": [{"customer_group": {"customer_group_name": "Import"}}]});
    let batch = [JSON, ("idempotency-key", "of a batch")];
    assert_eq!(rest.call("POST", ":batchCreate", &batch, &body.to_string()).await.status, 200);
    let first = create(&client, "k", named("Export")).await.unwrap().into_inner();
    // The earlier version writes records with these columns, and takes over expired ones in the same way.
    let older = "insert into idempotency_key (api_key_digest, key, request_digest, customer_group_id)
                 select api_key_digest, 'new', request_digest, customer_group_id from idempotency_key where key = 'k';
                 update idempotency_key lapsed
                 set request_digest = k.request_digest, customer_group_id = k.customer_group_id
                 from idempotency_key k where lapsed.key = 'of a batch' and k.key = 'k'";
    sql.batch_execute(older).await.unwrap();
    for key in ["new", "of a batch"] {
        assert_eq!(create(&client, key, named("Export")).await.unwrap().into_inner(), first, "{key}");
        let again =
            rest.call("POST", ":batchCreate", &[JSON, ("idempotency-key", key)], &body.to_string()).await;
        assert_error(&again, 409, "idempotency_key_reused", None);
    }
    assert_eq!(total(&client).await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_concurrent_batches_with_one_key_on_two_replicas_create_one_set_of_groups() {
    let database = TestDatabase::create().await;
    let replicas = [Api::start_on(database.clone()).await, Api::start_on(database).await];
    let group = |name: &str| json!({"customer_group_name": name});
    let body = json!({"requests": [
        {"customer_group": group("Export"), "parent_reference": "all"},
        {"customer_group": group("All customers"), "reference": "all"},
        {"customer_group": group("Import"), "parent_reference": "all"},
    ]});
    let mut posts = Vec::new();
    for number in 0..100 {
        let (rest, body) = (Rest(replicas[number % 2].address()), body.to_string());
        posts.push(tokio::spawn(async move {
            let headers = [JSON, ("idempotency-key", "k")];
            let response = rest.call("POST", ":batchCreate", &headers, &body).await;
            assert_eq!(response.status, 200);
            (response.json(), response.headers.contains_key("idempotent-replayed"))
        }));
    }
    let mut responses = Vec::new();
    for post in posts {
        responses.push(post.await.unwrap());
    }
    assert!(responses.iter().all(|(groups, _)| *groups == responses[0].0));
    assert_eq!(responses[0].0["data"][0]["parent_id"], responses[0].0["data"][1]["id"]);
    assert_eq!(responses.iter().filter(|(_, replayed)| !replayed).count(), 1);
    assert_eq!(total(&replicas[0].client().await).await, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_concurrent_creates_with_one_key_on_two_replicas_create_one_group() {
    let database = TestDatabase::create().await;
    let replicas = [Api::start_on(database.clone()).await, Api::start_on(database).await];
    let mut posts = Vec::new();
    for number in 0..1000 {
        let rest = Rest(replicas[number % 2].address());
        posts.push(tokio::spawn(async move {
            let response = post(rest, "k", &json!({"customer_group_name": "Export"})).await;
            assert_eq!(response.status, 201);
            (
                response.json()["id"].as_str().unwrap().to_owned(),
                response.headers.contains_key("idempotent-replayed"),
            )
        }));
    }
    let mut responses = Vec::new();
    for post in posts {
        responses.push(post.await.unwrap());
    }
    assert!(responses.iter().all(|(id, _)| *id == responses[0].0));
    assert_eq!(responses.iter().filter(|(_, replayed)| !replayed).count(), 1);
    assert_eq!(total(&replicas[0].client().await).await, 1);
}
