//! The explorer page: its files, caching and content security policy.

use customer_groups::testing::Field;

use crate::support::Api;
use crate::support::http::{HttpResponse, get, request};

/// The paths of the files that the page loads.
fn loaded(page: &HttpResponse) -> Vec<String> {
    let html = std::str::from_utf8(&page.body).unwrap();
    let quoted = html.split('"').filter(|text| text.starts_with('/'));
    quoted.map(str::to_owned).collect()
}

#[tokio::test]
async fn the_page_and_its_files_need_no_key() {
    let api = Api::start().await;
    let page = get(api.address(), "/", &[]).await;
    assert_eq!(
        (page.status.as_u16(), page.headers["content-type"].to_str().unwrap()),
        (200, "text/html; charset=utf-8")
    );
    let paths = loaded(&page);
    for (extension, content_type) in [
        ("js", "text/javascript; charset=utf-8"),
        ("css", "text/css; charset=utf-8"),
        ("svg", "image/svg+xml"),
    ] {
        let path = paths.iter().find(|path| path.ends_with(extension)).unwrap();
        let file = get(api.address(), path, &[]).await;
        assert_eq!(
            (file.status.as_u16(), file.headers["content-type"].to_str().unwrap()),
            (200, content_type),
            "{path}"
        );
    }
}

#[tokio::test]
async fn the_explorer_has_every_editable_field() {
    let api = Api::start().await;
    let paths = loaded(&get(api.address(), "/", &[]).await);
    let path = paths.iter().find(|path| path.ends_with("js")).unwrap();
    let script = String::from_utf8(get(api.address(), path, &[]).await.body.to_vec()).unwrap();
    for field in Field::EDITABLE {
        assert!(script.contains(field.name()), "{field:?}");
    }
}

#[tokio::test]
async fn the_content_security_policy_of_every_page_allows_only_its_files_and_the_service() {
    let api = Api::start().await;
    let page = get(api.address(), "/", &[]).await;
    let docs = ["/", "/docs", "/docs/", "/docs/swagger-ui-bundle.js", "/openapi.json"];
    for path in loaded(&page).iter().map(String::as_str).chain(docs) {
        let headers = get(api.address(), path, &[]).await.headers;
        let policy = headers["content-security-policy"].to_str().unwrap();
        let mut rules: Vec<_> = policy.split("; ").collect();
        rules.sort_unstable();
        let expected = [
            "base-uri 'none'",
            "connect-src 'self'",
            "default-src 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "img-src 'self' data:",
            "script-src 'self'",
            "style-src 'self'",
        ];
        assert_eq!(rules, expected, "{path}");
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(headers["referrer-policy"], "no-referrer", "{path}");
    }
}

#[tokio::test]
async fn the_page_is_revalidated_each_time_and_sent_only_if_changed() {
    let api = Api::start().await;
    let page = get(api.address(), "/", &[]).await;
    assert_eq!(page.headers["cache-control"], "no-cache");
    let etag = page.headers["etag"].to_str().unwrap();
    let again = get(api.address(), "/", &[("if-none-match", etag)]).await;
    assert_eq!(
        (again.status.as_u16(), again.body.len(), &again.headers["etag"]),
        (304, 0, &page.headers["etag"])
    );
    assert_eq!(get(api.address(), "/", &[("if-none-match", "\"another\"")]).await.status, 200);
}

#[tokio::test]
async fn the_files_of_the_page_are_immutable_and_compressed() {
    let api = Api::start().await;
    let page = get(api.address(), "/", &[]).await;
    for path in loaded(&page).iter().filter(|path| path.starts_with("/assets/")) {
        let plain = get(api.address(), path, &[]).await;
        assert_eq!(plain.headers["cache-control"], "public, max-age=31536000, immutable", "{path}");
        let small = get(api.address(), path, &[("accept-encoding", "gzip")]).await;
        assert_eq!(small.headers["content-encoding"], "gzip", "{path}");
        assert!(small.body.len() < plain.body.len() / 2, "{path}");
    }
}

#[tokio::test]
async fn a_file_under_another_spelling_of_its_path_is_the_same_one() {
    let api = Api::start().await;
    let gzip = [("accept-encoding", "gzip")];
    let file = get(api.address(), "/docs/index.css", &gzip).await;
    let again = get(api.address(), "/docs/index.css", &gzip).await;
    assert_eq!((&file.headers["content-encoding"], &file.body), (&"gzip".parse().unwrap(), &again.body));
    let escaped = get(api.address(), "/docs/%69ndex.css", &gzip).await;
    assert_eq!((&escaped.headers["content-encoding"], &escaped.body), (&"gzip".parse().unwrap(), &file.body));
}

#[tokio::test]
async fn an_unknown_file_is_a_404_in_the_documented_shape() {
    let api = Api::start().await;
    let missing = get(api.address(), "/assets/none.js", &[]).await;
    assert_eq!(
        (missing.status.as_u16(), missing.json()["error"]["code"].as_str()),
        (404, Some("route_unknown"))
    );
    let posted = request(api.address(), "POST", "/", &[], "").await;
    assert_eq!((posted.status.as_u16(), posted.headers["allow"].to_str().unwrap()), (405, "GET,HEAD"));
}
