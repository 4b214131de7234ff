//! The published OpenAPI description and the page that shows it.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::rest::{Rest, assert_error, documented_operations};
use crate::support::http::{get, request};
use crate::support::{Api, Calls, named};

/// The committed copy, for readers of the repository and client generators.
const COMMITTED: &str = include_str!("../docs/openapi.json");

async fn description(api: &Api) -> Value {
    let response = get(api.address(), "/openapi.json", &[]).await;
    assert_eq!(
        (response.status.as_u16(), &response.headers["content-type"]),
        (200, &"application/json".parse().unwrap())
    );
    response.json()
}

#[tokio::test]
async fn the_description_needs_no_key_and_is_the_committed_one() {
    let api = Api::start().await;
    let committed: Value = serde_json::from_str(COMMITTED).unwrap();
    let served = description(&api).await;
    assert!(
        served == committed,
        "docs/openapi.json is out of date; with the service running, write it anew by\n  \
         curl -s http://127.0.0.1:8080/openapi.json | python3 -m json.tool --indent 2 > docs/openapi.json"
    );
    assert_eq!(served["openapi"], "3.1.0");
}

#[tokio::test]
async fn the_described_operations_are_those_of_the_proto() {
    let api = Api::start().await;
    let mut described = BTreeSet::new();
    for (path, item) in description(&api).await["paths"].as_object().unwrap() {
        described
            .extend(item.as_object().unwrap().keys().map(|method| (method.to_uppercase(), path.clone())));
    }
    let documented: BTreeSet<_> = documented_operations()
        .into_iter()
        .map(|(method, path)| (method, path.replace("{customer_group.id}", "{id}")))
        .collect();
    assert_eq!(described, documented);
}

#[tokio::test]
async fn the_described_fields_of_a_group_are_those_in_responses() {
    let api = Api::start().await;
    let group = api.client().await.create(named("Export")).await.unwrap();
    let response = Rest(api.address()).get(&format!("/{}", group.id)).await.json();
    let answered: BTreeSet<&String> = response.as_object().unwrap().keys().collect();
    let description = description(&api).await;
    let schema = &description["components"]["schemas"]["CustomerGroup"];
    assert_eq!(schema["properties"].as_object().unwrap().keys().collect::<BTreeSet<_>>(), answered);
    let required: BTreeSet<&str> =
        schema["required"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    assert_eq!(required, answered.iter().map(|name| name.as_str()).collect());
}

#[tokio::test]
async fn a_field_that_is_not_required_has_no_default() {
    // Generators make a field with a default required.
    let description = description(&Api::start().await).await;
    for (name, schema) in description["components"]["schemas"].as_object().unwrap() {
        for (field, schema) in schema["properties"].as_object().unwrap() {
            assert_eq!(schema.get("default"), None, "{name}.{field}");
        }
    }
}

#[tokio::test]
async fn later_versions_can_add_types_and_codes_of_errors() {
    let description = description(&Api::start().await).await;
    let error = &description["components"]["schemas"]["ErrorObject"]["properties"];
    for (field, documented) in [("code", "`has_children`"), ("type", "`invalid_request_error`")] {
        assert_eq!(error[field].get("enum"), None);
        assert!(error[field]["description"].as_str().unwrap().contains(documented));
    }
}

#[tokio::test]
async fn the_descriptions_have_no_links_into_the_source() {
    fn check(value: &Value) {
        for (name, value) in value.as_object().into_iter().flatten() {
            let text = value.as_str().filter(|_| ["description", "summary"].contains(&name.as_str()));
            for link in ["[`", "](", "::"] {
                assert!(!text.unwrap_or_default().contains(link), "{text:?}");
            }
            check(value);
        }
        value.as_array().into_iter().flatten().for_each(check);
    }
    check(&description(&Api::start().await).await);
}

#[tokio::test]
async fn the_page_needs_no_key_and_loads_nothing_from_elsewhere() {
    let api = Api::start().await;
    let moved = get(api.address(), "/docs", &[]).await;
    assert_eq!((moved.status.as_u16(), moved.headers["location"].to_str().unwrap()), (303, "/docs/"));
    let page = get(api.address(), "/docs/", &[]).await;
    assert_eq!(page.status, 200);
    let page = std::str::from_utf8(&page.body).unwrap().to_owned();
    let loaded: Vec<&str> =
        page.split(['"', '\'']).skip(1).step_by(2).filter(|text| text.contains('.')).collect();
    assert!(loaded.len() >= 5, "{loaded:?}");
    for file in loaded {
        let file = file.trim_start_matches("./");
        assert_eq!(get(api.address(), &format!("/docs/{file}"), &[]).await.status, 200, "{file}");
    }
    let settings = get(api.address(), "/docs/swagger-initializer.js", &[]).await;
    let settings = std::str::from_utf8(&settings.body).unwrap().to_owned();
    assert!(
        settings.contains("\"url\": \"/openapi.json\"") && settings.contains("\"validatorUrl\": \"none\"")
    );
}

#[tokio::test]
async fn other_methods_on_the_public_paths_are_refused_in_the_documented_shape() {
    let api = Api::start().await;
    for headers in [&[][..], &[("accept-encoding", "identity;q=0")]] {
        let missing = get(api.address(), "/docs/no-such-file.js", headers).await;
        assert_error(&missing, 404, "route_unknown", None);
    }
    for path in ["/openapi.json", "/docs", "/livez", "/readyz"] {
        assert_error(&request(api.address(), "POST", path, &[], "").await, 405, "method_not_allowed", None);
    }
}
