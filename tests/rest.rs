//! The REST API: documented paths, statuses and shapes.

use std::net::SocketAddr;

use customer_groups::testing::DESCRIPTOR;
use prost_reflect::{DescriptorPool, DynamicMessage, Value as ProtoValue};
use serde_json::{Value, json};

use crate::support::http::{HttpResponse, get, request};
use crate::support::{Api, KEY};

pub const COLLECTION: &str = "/api/setup/customer-group";
pub const JSON: (&str, &str) = ("content-type", "application/json");

/// A REST client with the API key of the tests.
#[derive(Clone, Copy)]
pub struct Rest(pub SocketAddr);

impl Rest {
    pub async fn call(
        self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl AsRef<[u8]>,
    ) -> HttpResponse {
        let key = format!("Bearer {KEY}");
        let headers = [&[("authorization", key.as_str())], headers].concat();
        request(self.0, method, &format!("{COLLECTION}{path}"), &headers, body.as_ref().to_vec()).await
    }

    pub async fn get(self, path: &str) -> HttpResponse {
        self.call("GET", path, &[], "").await
    }

    pub async fn send(self, method: &str, path: &str, body: &Value) -> HttpResponse {
        self.call(method, path, &[JSON], &body.to_string()).await
    }

    pub async fn create(self, body: Value) -> Value {
        let response = self.send("POST", "", &body).await;
        assert_eq!(response.status, 201, "{:?}", response.body);
        response.json()
    }

    async fn named(self, name: &str) -> Value {
        self.create(json!({"customer_group_name": name})).await
    }
}

async fn rest() -> (Rest, Api) {
    let api = Api::start().await;
    (Rest(api.address()), api)
}

pub fn path_of(group: &Value) -> String {
    format!("/{}", group["id"].as_str().unwrap())
}

/// The status, code and param of an error. Asserts that the body has the documented shape.
#[track_caller]
fn error(response: &HttpResponse) -> (u16, String, Option<String>) {
    let body = response.json();
    let error = body["error"].as_object().unwrap_or_else(|| panic!("{body}"));
    assert_eq!(error.keys().collect::<Vec<_>>(), ["code", "message", "param", "request_id", "type"]);
    assert_eq!(error["request_id"], response.headers["x-request-id"].to_str().unwrap());
    assert!(!error["message"].as_str().unwrap().is_empty());
    assert_eq!(response.headers["content-type"], "application/json");
    let text = |value: &Value| value.as_str().map(str::to_owned);
    (response.status.as_u16(), text(&error["code"]).unwrap(), text(&error["param"]))
}

#[track_caller]
pub fn assert_error(response: &HttpResponse, status: u16, code: &str, param: Option<&str>) {
    assert_eq!(error(response), (status, code.to_owned(), param.map(str::to_owned)));
}

#[tokio::test]
async fn an_object_has_the_nine_documented_fields_in_order_with_explicit_nulls() {
    let (rest, _api) = rest().await;
    let response = rest.send("POST", "", &json!({"customer_group_name": "Export"})).await;
    let body = std::str::from_utf8(&response.body).unwrap();
    let id = response.json()["id"].as_str().unwrap().to_owned();
    let time = response.json()["created_at"].as_str().unwrap().to_owned();
    assert_eq!(time.len(), "2024-01-15T09:30:00.123Z".len());
    let expected = format!(
        "{{\"id\":\"{id}\",\"created_at\":\"{time}\",\"updated_at\":\"{time}\",\"parent_id\":null,\
         \"is_group\":false,\"customer_group_name\":\"Export\",\"parent_customer_group\":null,\
         \"default_price_list\":null,\"payment_terms\":null}}"
    );
    assert_eq!(body, expected);
    assert_eq!(response.headers["location"], format!("{COLLECTION}/{id}"));
    let read = rest.get(&format!("/{id}")).await;
    assert_eq!((read.status.as_u16(), &read.body), (200, &response.body));
}

#[tokio::test]
async fn the_list_has_the_documented_shape_with_and_without_the_trailing_slash() {
    let (rest, _api) = rest().await;
    let (older, newer) = (rest.named("older").await, rest.named("newer").await);
    for path in ["", "/"] {
        let response = rest.get(path).await;
        assert_eq!(response.status, 200);
        let body = std::str::from_utf8(&response.body).unwrap();
        assert!(
            body.starts_with("{\"data\":[{\"id\":") && body.ends_with("],\"has_more\":false,\"total\":2}")
        );
        assert_eq!(response.json()["data"], json!([newer, older]));
    }
    let page = rest.get("?limit=1").await.json();
    assert_eq!(page, json!({"data": [newer], "has_more": true, "total": 2}));
    let page = rest.get("?limit=1&offset=1").await.json();
    assert_eq!(page, json!({"data": [older], "has_more": false, "total": 2}));
}

#[tokio::test]
async fn the_tree_lists_have_the_list_shape() {
    let (rest, _api) = rest().await;
    let root = rest.named("root").await;
    let child = rest.create(json!({"customer_group_name": "child", "parent_id": root["id"]})).await;
    let leaf = rest.create(json!({"customer_group_name": "leaf", "parent_id": child["id"]})).await;
    for (node, walk, expected) in [
        (&root, "children", json!([child])),
        (&root, "descendants", json!([child, leaf])),
        (&leaf, "ancestors", json!([child, root])),
    ] {
        let response = rest.get(&format!("{}/{walk}", path_of(node))).await;
        let total = expected.as_array().unwrap().len();
        assert_eq!(response.json(), json!({"data": expected, "has_more": false, "total": total}), "{walk}");
    }
    let page = rest.get(&format!("{}/descendants?limit=1", path_of(&root))).await;
    assert_eq!(page.json(), json!({"data": [child], "has_more": true, "total": 2}));
}

#[tokio::test]
async fn a_patch_keeps_absent_fields_clears_null_fields_and_sets_the_rest() {
    let (rest, _api) = rest().await;
    let root = rest.named("root").await;
    let group = rest
        .create(json!({"customer_group_name": "a", "parent_id": root["id"], "is_group": true,
                       "payment_terms": "Net 30", "default_price_list": "Standard"}))
        .await;
    let patch =
        json!({"parent_id": null, "is_group": null, "payment_terms": null, "customer_group_name": " b "});
    let response = rest.send("PATCH", &path_of(&group), &patch).await;
    assert_eq!(response.status, 200);
    let mut expected = group.clone();
    for (field, value) in
        [("parent_id", Value::Null), ("is_group", json!(false)), ("payment_terms", Value::Null)]
    {
        expected[field] = value;
    }
    expected["customer_group_name"] = json!("b");
    let updated = response.json();
    expected["updated_at"] = updated["updated_at"].clone();
    assert_eq!(updated, expected);
    assert!(updated["updated_at"].as_str() > group["updated_at"].as_str());
}

#[tokio::test]
async fn an_empty_patch_changes_nothing_and_a_read_object_can_be_sent_back() {
    let (rest, _api) = rest().await;
    let group = rest.named("Export").await;
    assert_eq!(rest.send("PATCH", &path_of(&group), &json!({})).await.json(), group);
    let only_output = json!({"id": 7, "created_at": null, "updated_at": {}});
    assert_eq!(rest.send("PATCH", &path_of(&group), &only_output).await.json(), group);
    let sent_back = rest.send("PATCH", &path_of(&group), &group).await.json();
    assert_eq!(sent_back["customer_group_name"], group["customer_group_name"]);
    assert_ne!(rest.create(group.clone()).await["id"], group["id"]);
}

#[tokio::test]
async fn a_parameter_that_is_not_utf_8_is_named() {
    let (rest, _api) = rest().await;
    let response = rest.get("?customer_group_name=%FF").await;
    assert_error(&response, 400, "parameter_invalid", Some("customer_group_name"));
    assert_eq!(rest.get("?customer_group_name=%C3%A4").await.status, 200);
}

#[tokio::test]
async fn several_invalid_fields_are_all_in_the_message_and_none_is_the_param() {
    let (rest, _api) = rest().await;
    let body = r#"{"parent_id": "nobody", "is_group": "yes", "colour": "red", "payment_terms": 1, "is_group": true}"#;
    let response = rest.call("POST", "", &[JSON], body).await;
    assert_error(&response, 400, "parameter_invalid", None);
    let message = response.json()["error"]["message"].as_str().unwrap().to_owned();
    for field in ["parent_id", "customer_group_name", "is_group", "colour", "payment_terms", "twice"] {
        assert!(message.contains(field), "{message}");
    }
}

#[tokio::test]
async fn a_repeated_name_is_rejected_once() {
    let (rest, _api) = rest().await;
    let body = r#"{"customer_group_name": "a", "payment_terms": "b", "payment_terms": 1, "payment_terms": "\u0000"}"#;
    assert_error(
        &rest.call("POST", "", &[JSON], body).await,
        400,
        "parameter_invalid",
        Some("payment_terms"),
    );
    let body = r#"{"customer_group_name": "a", "colour": 1, "colour": 2}"#;
    assert_error(&rest.call("POST", "", &[JSON], body).await, 400, "parameter_unknown", Some("colour"));
    let body = r#"{"customer_group_name": "", "customer_group_name": "\u0000"}"#;
    let param = Some("customer_group_name");
    assert_error(&rest.call("POST", "", &[JSON], body).await, 400, "parameter_invalid", param);
    for (query, code, param) in [
        ("?limit=x&limit=-1&limit=1", "parameter_invalid", "limit"),
        ("?colour=1&colour=2", "parameter_unknown", "colour"),
    ] {
        assert_error(&rest.get(query).await, 400, code, Some(param));
    }
    assert_eq!(rest.get("").await.json()["total"], 0);
}

#[tokio::test]
async fn invalid_parameters_are_rejected_by_name() {
    let (rest, _api) = rest().await;
    let group = rest.named("Export").await;
    let object = path_of(&group);
    for (path, code, param) in [
        ("?limit=-1".to_owned(), "parameter_invalid", "limit"),
        ("?limit=ten".to_owned(), "parameter_invalid", "limit"),
        ("?limit=".to_owned(), "parameter_invalid", "limit"),
        ("?limit=1.5".to_owned(), "parameter_invalid", "limit"),
        ("?offset=-99999999999999999999".to_owned(), "parameter_invalid", "offset"),
        ("?limit=1&limit=2".to_owned(), "parameter_invalid", "limit"),
        ("?colour=red".to_owned(), "parameter_unknown", "colour"),
        (format!("{object}?limit=1"), "parameter_unknown", "limit"),
        (format!("{object}/children?depth=1"), "parameter_unknown", "depth"),
        (format!("{object}/ancestors?limit=x"), "parameter_invalid", "limit"),
        (format!("{object}/descendants?offset=x"), "parameter_invalid", "offset"),
    ] {
        assert_error(&rest.get(&path).await, 400, code, Some(param));
    }
    assert_error(&rest.get("?limit=-1&offset=x&colour=red").await, 400, "parameter_invalid", None);
    let refused = rest.call("DELETE", &format!("{object}?force=true"), &[], "").await;
    assert_error(&refused, 400, "parameter_unknown", Some("force"));
    let all = rest.get("?limit=99999999999999999999&offset=0").await;
    assert_eq!(all.json()["data"], json!([group]));
}

#[tokio::test]
async fn the_error_for_malformed_json_has_a_position() {
    let (rest, _api) = rest().await;
    for (body, place) in [
        ("", "line 1 column 0"),
        ("{\n\"customer_group_name\": }", "line 2 column 24"),
        ("{\"customer_group_name\": \"a\"} x", "line 1 column 30"),
        ("[]", "line 1"),
        ("null", "line 1"),
        ("\"a\"", "line 1"),
    ] {
        let response = rest.call("POST", "", &[JSON], body).await;
        assert_error(&response, 400, "body_malformed", None);
        let message = response.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(message.contains(place), "{body:?} gave {message}");
    }
    let deep = format!("{{\"colour\": {}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert_error(&rest.call("PATCH", "/nobody", &[JSON], &deep).await, 404, "resource_missing", None);
    assert_error(&rest.call("POST", "", &[JSON], &deep).await, 400, "parameter_invalid", None);
}

#[tokio::test]
async fn other_content_types_and_too_large_bodies_are_rejected() {
    let (rest, _api) = rest().await;
    let body = json!({"customer_group_name": "a"}).to_string();
    for headers in [
        vec![],
        vec![("content-type", "text/plain")],
        vec![("content-type", "application/x-www-form-urlencoded")],
        vec![("content-type", "application/jsonp")],
    ] {
        assert_error(&rest.call("POST", "", &headers, &body).await, 415, "content_type_unsupported", None);
    }
    for content_type in ["application/json; charset=utf-8", "Application/JSON"] {
        assert_eq!(rest.call("POST", "", &[("content-type", content_type)], &body).await.status, 201);
    }
    let large = json!({"customer_group_name": "n".repeat(5_000_000)}).to_string();
    assert_error(&rest.call("POST", "", &[JSON], &large).await, 413, "body_too_large", None);
}

#[tokio::test]
async fn an_unsupported_method_is_rejected_with_the_allowed_methods() {
    let (rest, _api) = rest().await;
    let group = rest.named("Export").await;
    let (object, children) = (path_of(&group), format!("{}/children", path_of(&group)));
    for (method, path, allowed) in [
        ("PUT", "", "GET,HEAD,POST"),
        ("DELETE", "/", "GET,HEAD,POST"),
        ("POST", object.as_str(), "GET,HEAD,PATCH,DELETE"),
        ("PUT", &object, "GET,HEAD,PATCH,DELETE"),
        ("POST", &children, "GET,HEAD"),
        ("GET", ":batchCreate", "POST"),
        ("PATCH", ":batchGet", "POST"),
    ] {
        let response = rest.call(method, path, &[], "").await;
        assert_error(&response, 405, "method_not_allowed", None);
        assert_eq!(response.headers["allow"], allowed, "{method} {path}");
        let options = rest.call("OPTIONS", path, &[], "").await;
        assert_eq!((options.status.as_u16(), options.headers["allow"].to_str().unwrap()), (204, allowed));
    }
    let head = rest.call("HEAD", &object, &[], "").await;
    assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
    assert_eq!(head.headers["content-length"], rest.get(&object).await.body.len().to_string());
    assert_error(&rest.get("/a/b/c").await, 404, "route_unknown", None);
}

#[tokio::test]
async fn responses_are_compressed_on_request() {
    let (rest, _api) = rest().await;
    let parent = rest.named(&"n".repeat(200)).await;
    rest.create(json!({"customer_group_name": "n".repeat(200), "parent_id": parent["id"]})).await;
    let gzip = ("accept-encoding", "gzip");
    let object = path_of(&parent);
    let tree = ["children", "ancestors", "descendants"].map(|list| format!("{object}/{list}"));
    for path in ["", "/"].into_iter().chain(tree.iter().map(String::as_str)) {
        let response = rest.call("GET", path, &[gzip], "").await;
        assert_eq!(response.headers["content-encoding"], "gzip", "{path}");
        assert_eq!(response.body[..2], [0x1f, 0x8b], "{path}");
        assert!(!rest.get(path).await.headers.contains_key("content-encoding"));
    }
    for path in ["/openapi.json", "/docs/swagger-ui-bundle.js"] {
        assert_eq!(get(rest.0, path, &[gzip]).await.headers["content-encoding"], "gzip", "{path}");
    }
}

#[tokio::test]
async fn an_object_with_a_strong_etag_is_not_compressed() {
    let (rest, _api) = rest().await;
    let headers = [JSON, ("accept-encoding", "gzip")];
    for path in ["", "/"] {
        let body = json!({"customer_group_name": "n".repeat(200)}).to_string();
        let response = rest.call("POST", path, &headers, &body).await;
        assert_eq!((response.status.as_u16(), response.headers.get("content-encoding")), (201, None));
    }
}

#[tokio::test]
async fn without_an_accepted_encoding_the_response_is_not_compressed() {
    let (rest, _api) = rest().await;
    let group = rest.named("Export").await;
    for accepted in ["identity;q=0", "br, *;q=0", "gzip;q=0, identity;q=0"] {
        let accepted = ("accept-encoding", accepted);
        let list = rest.call("GET", "", &[accepted], "").await;
        assert_eq!((list.status.as_u16(), list.json()["total"].clone()), (200, json!(1)));
        let object = rest.call("GET", &path_of(&group), &[accepted], "").await;
        assert_eq!((object.status.as_u16(), object.json()), (200, group.clone()));
        let refused = rest.call("GET", "?limit=-1", &[accepted], "").await;
        assert_error(&refused, 400, "parameter_invalid", Some("limit"));
    }
}

/// The method and path of every `google.api.http` rule.
pub fn documented_operations() -> Vec<(String, String)> {
    let pool = DescriptorPool::decode(DESCRIPTOR).unwrap();
    let extension = pool.get_extension_by_name("google.api.http").unwrap();
    let service = pool.get_service_by_name("overplane.setup.v1.CustomerGroupService").unwrap();
    let mut rules = Vec::new();
    // REST does not serve the server-streaming RPC.
    for method in service.methods().filter(|method| !method.is_server_streaming()) {
        let options: DynamicMessage = method.options();
        let rule = options.get_extension(&extension);
        let (field, path) = match &*rule {
            ProtoValue::Message(rule) => rule
                .fields()
                .find(|(field, _)| field.containing_oneof().is_some())
                .map(|(field, path)| (field.name().to_uppercase(), path.as_str().unwrap().to_owned()))
                .unwrap(),
            other => panic!("{other:?}"),
        };
        rules.push((field, path));
    }
    assert_eq!(rules.len(), 10);
    rules
}

#[tokio::test]
async fn rest_serves_exactly_the_paths_of_the_descriptor_s_http_rules() {
    let (rest, _api) = rest().await;
    let rules = documented_operations();

    let group = rest.named("Export").await;
    let id = group["id"].as_str().unwrap();
    let mut paths: Vec<&str> = rules.iter().map(|(_, path)| path.as_str()).collect();
    paths.dedup();
    for template in paths {
        let path = template.replace("{id}", id).replace("{customer_group.id}", id);
        let path = path.strip_prefix(COLLECTION).unwrap();
        let allow = rest.call("OPTIONS", path, &[], "").await.headers["allow"].to_str().unwrap().to_owned();
        let mut served: Vec<&str> = allow.split(',').filter(|method| *method != "HEAD").collect();
        let same = |other: &str| {
            other.replace("{customer_group.id}", "{id}") == template.replace("{customer_group.id}", "{id}")
        };
        let mut documented: Vec<&str> =
            rules.iter().filter(|(_, other)| same(other)).map(|(method, _)| method.as_str()).collect();
        served.sort_unstable();
        documented.sort_unstable();
        assert_eq!(served, documented, "{template}");
    }
}
