//! Batch create and batch get: all or nothing, with errors of bounded size.

use std::collections::BTreeSet;

use customer_groups::testing::GroupId;
use customer_groups::testing::pb;
use customer_groups::testing::pb::customer_group_service_server::SERVICE_NAME;
use prost::Message;
use serde_json::{Value, json};
use tonic::{Code, Status};

use crate::rest::{JSON, Rest, assert_error};
use crate::support::http::{HttpResponse, RawGrpc, framed};
use crate::support::{Api, Calls, Client, below, fields, named, reason};

const COUNT: &str = "select count(*) from customer_group";

fn entry(group: pb::CustomerGroup) -> pb::NewCustomerGroupEntry {
    pb::NewCustomerGroupEntry { customer_group: Some(Box::new(group)), ..Default::default() }
}

fn under(reference: &str, name: &str) -> pb::NewCustomerGroupEntry {
    pb::NewCustomerGroupEntry { parent_reference: Some(reference.to_owned()), ..entry(named(name)) }
}

async fn create(
    client: &Client,
    requests: Vec<pb::NewCustomerGroupEntry>,
) -> Result<Vec<pb::CustomerGroup>, Status> {
    let request = pb::BatchCreateCustomerGroupsRequest { requests };
    Ok(client.clone().batch_create_customer_groups(request).await?.into_inner().data)
}

/// Makes an RPC and returns the response with its raw headers.
async fn call(api: &Api, method: &str, message: &impl Message) -> HttpResponse {
    let path = format!("/{SERVICE_NAME}/{method}");
    RawGrpc::connect(api.address()).await.call(&path, &[], framed(&message.encode_to_vec())).await
}

/// The response to a batch get in which no id exists.
async fn missing(api: &Api, ids: &[String]) -> HttpResponse {
    let response =
        call(api, "BatchGetCustomerGroups", &pb::BatchGetCustomerGroupsRequest { ids: ids.to_vec() }).await;
    assert_eq!(response.code(), Code::NotFound);
    assert_fits(&response);
    response
}

/// Asserts that the headers fit into the 8 KiB that gRPC's C core accepts, counted as in RFC 9113, section
/// 6.5.2.
#[track_caller]
fn assert_fits(response: &HttpResponse) {
    let size: usize =
        response.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum();
    assert!(size < 8 * 1024, "{size} bytes of headers");
}

#[tokio::test]
async fn a_batch_of_a_thousand_with_one_wrong_entry_changes_nothing() {
    let api = Api::start().await;
    let (client, rest) = (api.client().await, Rest(api.address()));
    let parent = client.create(named("parent")).await.unwrap();
    let gone = client.create(named("gone")).await.unwrap();
    client.delete(&gone.id).await.unwrap();
    let mut requests = vec![entry(below(&parent, "child")); 1000];
    for wrong in [named(" "), below(&gone, "orphan")] {
        requests[567] = entry(wrong);
        let status = create(&client, requests.clone()).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().contains("requests[567]: "), "{}", status.message());
        assert_eq!(api.database.number(COUNT).await, 1);
    }
    requests[567] = under("nobody", "orphan");
    let status = create(&client, requests.clone()).await.unwrap_err();
    assert_eq!(
        (&*reason(&status), fields(&status)),
        ("PARENT_NOT_FOUND", vec!["requests[567].parent_reference".to_owned()])
    );
    let mut entries = vec![json!({"customer_group": {"customer_group_name": "a"}}); 1000];
    entries[567]["customer_group"]["colour"] = json!("red");
    let response = rest.send("POST", ":batchCreate", &json!({"requests": entries})).await;
    assert_error(&response, 400, "parameter_unknown", Some("requests[567].customer_group.colour"));
    assert_eq!(api.database.number(COUNT).await, 1);
    assert_eq!(client.list(None, None).await.unwrap().total, 1);
}

#[tokio::test]
async fn ids_are_in_the_order_of_the_request_and_totals_are_exact() {
    let api = Api::start().await;
    let client = api.client().await;
    let requests = (0..1000).rev().map(|number| entry(named(&number.to_string()))).collect();
    let created = create(&client, requests).await.unwrap();
    assert!(created.is_sorted_by_key(|group| group.id.clone()));
    assert!(created.iter().all(|group| group.created_at == group.updated_at));
    let mut listed = client.list(Some(1000), None).await.unwrap();
    listed.data.reverse();
    assert_eq!((listed.data, listed.total), (created, 1000));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_under_a_concurrently_deleted_parent_is_created_completely_or_not_at_all() {
    let api = Api::start().await;
    let (left, right) = (api.client().await, api.client().await);
    let other = left.create(named("other")).await.unwrap();
    let mut expected = 1;
    for _ in 0..100 {
        let parent = left.create(named("parent")).await.unwrap();
        let requests = vec![
            under("child", "grandchild"),
            entry(below(&other, "another's")),
            pb::NewCustomerGroupEntry {
                reference: Some("child".to_owned()),
                ..entry(below(&parent, "child"))
            },
        ];
        match tokio::join!(create(&left, requests), right.delete(&parent.id)) {
            (Ok(created), Err(status)) => {
                assert_eq!((created.len(), &*reason(&status)), (3, "HAS_CHILDREN"));
                expected += 4;
            }
            (Err(status), Ok(_)) => {
                let fields = fields(&status);
                assert_eq!(reason(&status), "PARENT_NOT_FOUND");
                assert_eq!(fields, ["requests[2].customer_group.parent_id"]);
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(api.database.number(COUNT).await, expected);
    }
    assert_eq!(i64::from(left.list(None, None).await.unwrap().total), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_with_the_same_parents_in_any_order_do_not_deadlock() {
    let api = Api::start().await;
    let client = api.client().await;
    let parents = create(&client, vec![entry(named("parent")); 10]).await.unwrap();
    let mut callers = Vec::new();
    for caller in 0..8 {
        let client = api.client().await;
        let mut parents = parents.clone();
        parents.rotate_left(caller);
        if caller % 2 == 0 {
            parents.reverse();
        }
        callers.push(tokio::spawn(async move {
            for _ in 0..20 {
                let requests = parents.iter().map(|parent| entry(below(parent, "child"))).collect();
                assert_eq!(create(&client, requests).await.unwrap().len(), 10);
            }
        }));
    }
    for caller in callers {
        caller.await.unwrap();
    }
    assert_eq!(client.list(None, None).await.unwrap().total, 10 + 8 * 20 * 10);
}

/// The indexes in `ids[…]` of a message, and the number of ids quoted in it.
fn places(message: &str) -> (BTreeSet<usize>, usize) {
    let (texts, ranges) = message.split_once("ids[").unwrap_or((message, "]"));
    let ranges = ranges.split_once(']').unwrap().0;
    let mut places = BTreeSet::new();
    for range in ranges.split(',').filter(|range| !range.is_empty()) {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        places.extend(first.parse::<usize>().unwrap()..=last.parse().unwrap());
    }
    (places, texts.matches('"').count() / 2)
}

#[tokio::test]
async fn every_missing_id_is_named_in_an_error_that_clients_accept() {
    let api = Api::start().await;
    let there = create(&api.client().await, vec![entry(named("there")); 500]).await.unwrap();
    // Missing ids in a row, existing ids, and the number of missing ids that are quoted.
    for (gone, found, quoted) in [(1, 1, 16), (2, 1, 8), (3, 1, 16), (1, 3, 16), (1000, 1, 16)] {
        let mut there = there.iter().cycle();
        let ids: Vec<String> = (0..1000)
            .map(|place| {
                let is_gone = place % (gone + found) < gone;
                if is_gone { GroupId::generate().to_string() } else { there.next().unwrap().id.clone() }
            })
            .collect();
        let response = missing(&api, &ids).await;
        let status = response.grpc_status();
        assert_eq!(reason(&status), "RESOURCE_MISSING");
        let (places, texts) = places(status.message());
        let all: Vec<usize> = (0..1000).filter(|place| place % (gone + found) < gone).collect();
        assert_eq!(texts, quoted, "{gone} gone, {found} found");
        assert!(all[..quoted].iter().all(|place| status.message().contains(&format!("{:?}", ids[*place]))));
        assert_eq!(places, all[quoted..].iter().copied().collect());
        let over_rest = Rest(api.address()).send("POST", ":batchGet", &json!({"ids": ids})).await;
        assert_error(&over_rest, 404, "resource_missing", None);
        assert_eq!(over_rest.json()["error"]["message"], status.message());
    }
}

#[tokio::test]
async fn missing_ids_are_named_once_and_malformed_ones_truncated() {
    let api = Api::start().await;
    let text = |response: &HttpResponse| response.grpc_status().message().to_owned();
    let twice = ["a", "b", "a", "b"].map(str::to_owned);
    let message = "no customer group has the id \"a\" or \"b\"; it may have been deleted";
    assert_eq!(text(&missing(&api, &twice).await), message);
    let one = missing(&api, &["nobody".to_owned()]).await;
    assert_eq!(text(&one), "no customer group has the id \"nobody\"; it may have been deleted");
    for character in ["\u{1}", "🌳", "\"", "x", "\u{200b}"] {
        let ids: Vec<String> = (0..1000).map(|number| character.repeat(300 + number)).collect();
        let (places, texts) = places(&text(&missing(&api, &ids).await).replace("\\\"", ""));
        assert_eq!(places, (texts..1000).collect(), "{character:?}");
        assert!(texts > 0, "{character:?}");
    }
}

#[tokio::test]
async fn the_first_of_many_violations_are_listed_and_the_rest_counted() {
    let api = Api::start().await;
    let wrong = |group: pb::CustomerGroup, text: &str| pb::NewCustomerGroupEntry {
        reference: Some(String::new()),
        ..pb::NewCustomerGroupEntry { parent_reference: Some(text.to_owned()), ..entry(group) }
    };
    let nobody = |text: &str| pb::CustomerGroup { parent_id: Some(text.to_owned()), ..named("a") };
    for (request, each) in [
        (entry(named("")), 1),
        (entry(nobody(&GroupId::generate().to_string())), 1),
        (entry(nobody(&"\u{1}".repeat(300))), 1),
        (entry(nobody(&"🌳".repeat(300))), 1),
        (wrong(named(&"\u{200b}".repeat(300)), &"\"".repeat(300)), 3),
    ] {
        let message = pb::BatchCreateCustomerGroupsRequest { requests: vec![request; 1000] };
        let response = call(&api, "BatchCreateCustomerGroups", &message).await;
        let status = response.grpc_status();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert_fits(&response);
        let listed = fields(&status);
        assert!(listed.len() > 2 && listed[0].starts_with("requests[0]."), "{listed:?}");
        let counted = format!("; and {} more", each * 1000 - listed.len());
        assert!(status.message().ends_with(&counted), "{} does not end in {counted}", status.message());
    }
    let nameless: Vec<Value> = vec![json!({}); 1000];
    let response = Rest(api.address()).send("POST", ":batchCreate", &json!({"requests": nameless})).await;
    assert_error(&response, 400, "parameter_missing", None);
    assert_eq!(api.database.number(COUNT).await, 0);
}

#[tokio::test]
async fn a_million_entries_are_too_many_and_a_body_over_the_limit_is_too_large() {
    let api = Api::start().await;
    let rest = Rest(api.address());
    let mut raw = RawGrpc::connect(api.address()).await;
    for (method, field) in [("BatchCreateCustomerGroups", "requests"), ("BatchGetCustomerGroups", "ids")] {
        // The field number with a length of 0.
        let message = b"\x0a\x00".repeat(1_000_000);
        let status =
            raw.call(&format!("/{SERVICE_NAME}/{method}"), &[], framed(&message)).await.grpc_status();
        assert_eq!((&*reason(&status), fields(&status)), ("PARAMETER_INVALID", vec![field.to_owned()]));
    }
    for (path, field) in [(":batchCreate", "requests"), (":batchGet", "ids")] {
        let body = format!("{{\"{field}\": [1{}]}}", ",1".repeat(1_000_000));
        let response = rest.call("POST", path, &[JSON], &body).await;
        assert_error(&response, 400, "parameter_invalid", Some(field));
        let large = format!("{{\"{field}\": [\"{}\"]}}", "x".repeat(5_000_000));
        assert_error(&rest.call("POST", path, &[JSON], &large).await, 413, "body_too_large", None);
    }
}

#[tokio::test]
async fn batch_responses_are_compressed_on_request() {
    let api = Api::start().await;
    let rest = Rest(api.address());
    let headers = [JSON, ("accept-encoding", "gzip")];
    let body =
        json!({"requests": [{"customer_group": {"customer_group_name": "n".repeat(200)}}]}).to_string();
    let created = rest.call("POST", ":batchCreate", &headers, &body).await;
    let plain = rest.call("POST", ":batchCreate", &[JSON], &body).await;
    let ids = json!({"ids": [plain.json()["data"][0]["id"]]}).to_string();
    let read = rest.call("POST", ":batchGet", &headers, &ids).await;
    for response in [created, read] {
        assert_eq!(
            (response.status.as_u16(), &response.headers["content-encoding"]),
            (200, &"gzip".parse().unwrap())
        );
    }
    assert_eq!(rest.call("POST", ":batchGet", &[JSON], &ids).await.body, plain.body);
}

#[tokio::test]
async fn a_batch_whose_response_would_be_too_large_is_rejected_before_it_is_stored() {
    let api = Api::start().await;
    let client = api.client().await;
    let parent = client.create(named("parent")).await.unwrap();
    let text = || Some("\u{1F600}".repeat(255));
    let large = || pb::CustomerGroup {
        parent_customer_group: text(),
        default_price_list: text(),
        payment_terms: text(),
        ..below(&parent, &"\u{1F600}".repeat(255))
    };
    let status = create(&client, (0..1000).map(|_| entry(large())).collect()).await.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::ResourceExhausted, "ANSWER_TOO_LARGE"));
    assert_eq!(api.database.number(COUNT).await, 1);

    let ids = vec![client.create(large()).await.unwrap().id; 1000];
    let status = client.clone().batch_get_customer_groups(pb::BatchGetCustomerGroupsRequest { ids }).await;
    let status = status.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (Code::ResourceExhausted, "ANSWER_TOO_LARGE"));

    let fewer = create(&client, (0..990).map(|_| entry(large())).collect()).await.unwrap();
    assert_eq!(fewer.len(), 990);
}
