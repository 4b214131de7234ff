//! Optimistic concurrency: etags over gRPC, and `ETag` and `If-Match` over REST.

use customer_groups::testing::pb;
use serde_json::json;
use tonic::{Code, Status};

use crate::rest::{JSON, Rest, assert_error};
use crate::support::{Api, Calls, Client, below, fields, named, reason};

/// Etags that no group has: malformed, weak, or of another version.
fn stale(group: &pb::CustomerGroup) -> Vec<String> {
    let weak = format!("W/{}", group.etag);
    let bare = group.etag.trim_matches('"').to_owned();
    vec!["\"1\"".to_owned(), "\"1\", \"2\"".to_owned(), "nonsense".to_owned(), weak, bare]
}

async fn rename(client: &Client, id: &str, etag: &str) -> Result<pb::CustomerGroup, Status> {
    let customer_group = Some(pb::CustomerGroup { id: id.to_owned(), ..named("Renamed") });
    let etag = etag.to_owned();
    client.update(pb::UpdateCustomerGroupRequest { customer_group, update_mask: None, etag }).await
}

async fn delete(client: &Client, id: &str, etag: &str) -> Result<pb::DeleteCustomerGroupResponse, Status> {
    let request = pb::DeleteCustomerGroupRequest { id: id.to_owned(), etag: etag.to_owned() };
    Ok(client.clone().delete_customer_group(request).await?.into_inner())
}

#[tokio::test]
async fn the_etag_changes_with_every_update_and_only_then() {
    let client = Api::start().await.client().await;
    let group = client.create(named("Export")).await.unwrap();
    assert!(group.etag.starts_with('"') && group.etag.ends_with('"'), "{}", group.etag);
    assert_eq!(client.get(&group.id).await.unwrap().etag, group.etag);
    let first = rename(&client, &group.id, "").await.unwrap();
    let second = rename(&client, &group.id, "").await.unwrap();
    assert!(group.etag != first.etag && first.etag != second.etag);
}

#[tokio::test]
async fn over_grpc_a_change_applies_only_to_the_version_in_its_etag() {
    let client = Api::start().await.client().await;
    let group = client.create(named("Export")).await.unwrap();
    for etag in stale(&group) {
        let refused = [
            rename(&client, &group.id, &etag).await.unwrap_err(),
            delete(&client, &group.id, &etag).await.unwrap_err(),
        ];
        for status in refused {
            assert_eq!((status.code(), &*reason(&status)), (Code::Aborted, "ETAG_MISMATCH"), "{etag}");
        }
    }
    assert_eq!(client.get(&group.id).await.unwrap(), group);
    let renamed = rename(&client, &group.id, &group.etag).await.unwrap();
    let renamed = rename(&client, &group.id, &format!("\"1\", {}", renamed.etag)).await.unwrap();
    rename(&client, &group.id, "*").await.unwrap();
    assert_eq!(delete(&client, &group.id, &renamed.etag).await.unwrap_err().code(), Code::Aborted);
    let current = client.get(&group.id).await.unwrap();
    delete(&client, &group.id, &current.etag).await.unwrap();
    assert_eq!(rename(&client, &group.id, &current.etag).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(delete(&client, &group.id, &current.etag).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn over_grpc_the_version_may_be_that_of_the_group_in_the_request() {
    let client = Api::start().await.client().await;
    let group = client.create(named("Export")).await.unwrap();
    let rename = async |of_request: &str, of_group: &str| {
        let sent = pb::CustomerGroup { id: group.id.clone(), etag: of_group.to_owned(), ..named("Renamed") };
        let etag = of_request.to_owned();
        client
            .update(pb::UpdateCustomerGroupRequest { customer_group: Some(sent), update_mask: None, etag })
            .await
    };
    assert_eq!(rename("", "\"1\"").await.unwrap_err().code(), Code::Aborted);
    let conflict = rename(&group.etag, "\"1\"").await.unwrap_err();
    assert_eq!((conflict.code(), fields(&conflict)), (Code::InvalidArgument, vec!["etag".to_owned()]));
    assert_eq!(client.get(&group.id).await.unwrap(), group);
    let renamed = rename("", &group.etag).await.unwrap();
    rename(&renamed.etag, &renamed.etag).await.unwrap();
}

#[tokio::test]
async fn over_rest_if_match_and_if_none_match_hold_for_every_method() {
    let api = Api::start().await;
    let rest = Rest(api.address());
    let created = rest.create(json!({"customer_group_name": "Export"})).await;
    let path = format!("/{}", created["id"].as_str().unwrap());
    let etag = rest.get(&path).await.headers["etag"].to_str().unwrap().to_owned();
    let weak = format!("W/{etag}");
    let call = async |method: &str, header: (&str, &str)| {
        let body = if method == "PATCH" { r#"{"payment_terms": "Net 30"}"# } else { "" };
        rest.call(method, &path, &[JSON, header], body).await
    };
    for method in ["PATCH", "DELETE", "GET", "HEAD"] {
        for stale in ["\"1\"", &weak] {
            assert_eq!(call(method, ("if-match", stale)).await.status, 412, "{method} {stale}");
        }
    }
    for known in [&*etag, &*weak, "*"] {
        for method in ["PATCH", "DELETE"] {
            let refused = call(method, ("if-none-match", known)).await;
            assert_error(&refused, 412, "etag_mismatch", None);
        }
        for method in ["GET", "HEAD"] {
            assert_eq!(call(method, ("if-none-match", known)).await.status, 304, "{method} {known}");
        }
    }
    assert_eq!(rest.get(&path).await.json(), created);
    assert_eq!(call("GET", ("if-match", &etag)).await.status, 200);
    assert_eq!(call("PATCH", ("if-none-match", "\"1\"")).await.status, 200);
    assert_eq!(call("DELETE", ("if-none-match", &etag)).await.status, 200);
}

#[tokio::test]
async fn an_update_without_fields_checks_the_version() {
    let client = Api::start().await.client().await;
    let group = client.create(named("Export")).await.unwrap();
    let only_id = pb::CustomerGroup { id: group.id.clone(), ..Default::default() };
    let request = |etag: &str| pb::UpdateCustomerGroupRequest {
        customer_group: Some(only_id.clone()),
        update_mask: None,
        etag: etag.to_owned(),
    };
    assert_eq!(client.update(request("\"1\"")).await.unwrap_err().code(), Code::Aborted);
    assert_eq!(client.update(request(&group.etag)).await.unwrap(), group);
}

#[tokio::test]
async fn a_group_with_children_is_not_deleted_with_any_etag() {
    let client = Api::start().await.client().await;
    let root = client.create(named("root")).await.unwrap();
    client.create(below(&root, "child")).await.unwrap();
    assert_eq!(reason(&delete(&client, &root.id, &root.etag).await.unwrap_err()), "HAS_CHILDREN");
    assert_eq!(reason(&delete(&client, &root.id, "\"1\"").await.unwrap_err()), "ETAG_MISMATCH");
}

#[tokio::test]
async fn over_rest_the_version_is_in_the_etag_and_if_match_headers() {
    let api = Api::start().await;
    let (rest, client) = (Rest(api.address()), api.client().await);
    let created = rest.send("POST", "", &json!({"customer_group_name": "Export"})).await;
    let path = format!("/{}", created.json()["id"].as_str().unwrap());
    let group = client.get(&path[1..]).await.unwrap();
    assert_eq!(created.headers["etag"], group.etag);
    assert_eq!(rest.get(&path).await.headers["etag"], group.etag);

    let body = json!({"customer_group_name": "Renamed"}).to_string();
    for etag in stale(&group) {
        let patched = rest.call("PATCH", &path, &[JSON, ("if-match", &etag)], &body).await;
        assert_error(&patched, 412, "etag_mismatch", None);
        let deleted = rest.call("DELETE", &path, &[("if-match", &etag)], "").await;
        assert_error(&deleted, 412, "etag_mismatch", None);
    }
    assert_eq!(client.get(&group.id).await.unwrap(), group);

    let patched = rest.call("PATCH", &path, &[JSON, ("if-match", &group.etag)], &body).await;
    assert_eq!(patched.status, 200);
    let etag = patched.headers["etag"].to_str().unwrap().to_owned();
    assert_ne!(etag, group.etag);
    assert_eq!(rest.call("PATCH", &path, &[JSON, ("if-match", "*")], "{}").await.status, 200);
    assert_eq!(rest.call("DELETE", &path, &[("if-match", &etag)], "").await.status, 200);
}

#[tokio::test]
async fn a_version_that_the_caller_has_is_not_modified() {
    let api = Api::start().await;
    let rest = Rest(api.address());
    let group = api.client().await.create(named("Export")).await.unwrap();
    let path = format!("/{}", group.id);
    let weak = format!("\"1\", W/{}", group.etag);
    for header in [group.etag.as_str(), &weak, "*"] {
        let response = rest.call("GET", &path, &[("if-none-match", header)], "").await;
        assert_eq!((response.status.as_u16(), response.body.len()), (304, 0), "{header}");
        assert_eq!(response.headers["etag"], group.etag);
        let head = rest.call("HEAD", &path, &[("if-none-match", header)], "").await;
        assert_eq!((head.status.as_u16(), head.headers.get("content-length")), (304, None));
    }
    assert_eq!(rest.call("GET", &path, &[("if-none-match", "\"1\"")], "").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exactly_one_of_a_hundred_concurrent_patches_of_a_version_succeeds() {
    let api = Api::start().await;
    let group = api.client().await.create(named("Export")).await.unwrap();
    let rest = Rest(api.address());
    let mut patches = Vec::new();
    for number in 0..100 {
        let (path, etag) = (format!("/{}", group.id), group.etag.clone());
        patches.push(tokio::spawn(async move {
            let body = json!({"customer_group_name": format!("by {number}")}).to_string();
            rest.call("PATCH", &path, &[JSON, ("if-match", &etag)], &body).await.status.as_u16()
        }));
    }
    let mut statuses = Vec::new();
    for patch in patches {
        statuses.push(patch.await.unwrap());
    }
    statuses.sort_unstable();
    assert_eq!((statuses[0], statuses[1], statuses[99]), (200, 412, 412));
}
