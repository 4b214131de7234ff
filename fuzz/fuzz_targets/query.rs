//! List queries: a page equals its query; an error names the parameter.
#![no_main]

use axum::body::Body;
use axum::extract::Request;
use customer_groups::testing::{Page, Violations};
use customer_groups::testing::rest;
use libfuzzer_sys::fuzz_target;

fn asked(query: &str) -> Option<Request> {
    Request::get(format!("/?{query}")).body(Body::empty()).ok()
}

/// The query of a page.
fn written(page: Page) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(page.limit.map(|limit| ("limit", limit.to_string())));
    query.append_pair("offset", &page.offset.to_string());
    query.extend_pairs(page.starting_after.map(|id| ("starting_after", id.to_string())));
    query.finish()
}

/// Asserts that each violation names a parameter of the query, or its beginning.
fn check_violations(query: &str, violations: &Violations) {
    let names: Vec<_> = form_urlencoded::parse(query.as_bytes()).map(|(name, _)| name).collect();
    for violation in violations.as_slice() {
        assert!(names.iter().any(|name| name.starts_with(&violation.field)), "{violation:?}");
        assert!(!violation.description.is_empty());
    }
}

fuzz_target!(|query: &str| {
    let Some(request) = asked(query) else { return };
    match rest::page(&request).parse_unbounded() {
        Ok(page) => {
            let again = asked(&written(page)).unwrap();
            assert_eq!(rest::page(&again).parse_unbounded().unwrap(), page);
        }
        Err(violations) => check_violations(query, &violations),
    }
    match rest::list_request(&request).parse() {
        Ok((page, _)) => assert!(page.limit.unwrap() <= 1000),
        Err(violations) => check_violations(query, &violations),
    }
});
