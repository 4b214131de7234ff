//! Errors of the service that do not depend on the request, over every protocol.

use std::num::NonZeroUsize;
use std::time::Duration;

use customer_groups::testing::{Limits, Timeouts};
use serde_json::json;

use super::error::ApiError;
use super::{Call, CallOptions, Page, make};
use crate::support::protocol::Protocol;
use crate::support::{Api, BOUNDS, Calls, KEY, TIMEOUTS, TableLock, TestDatabase, UNKNOWN_ID};

async fn refusal(protocol: Protocol, api: &Api, call: &Call) -> ApiError {
    let with = CallOptions { authorization: Some(format!("Bearer {KEY}")), ..CallOptions::default() };
    make(protocol, api.address(), call, &with).await.unwrap_err()
}

/// Each kind of call, for groups that do not exist.
fn calls() -> [Call; 10] {
    let (id, named) = (|| UNKNOWN_ID.to_owned(), json!({"customer_group_name": "a"}));
    [
        Call::Get(id()),
        Call::List(Page::default()),
        Call::Create(named.clone()),
        Call::Update(id(), named.clone()),
        Call::Delete(id()),
        Call::BatchCreate(vec![json!({"customer_group": named})]),
        Call::BatchGet(vec![id()]),
        Call::Children(id(), Page::default()),
        Call::Ancestors(id(), Page::default()),
        Call::StreamDescendants(id(), Page::default()),
    ]
}

const ONE: NonZeroUsize = NonZeroUsize::MIN;

/// A service on a database whose statements do not end: its table is locked.
async fn stuck(
    timeouts: Timeouts,
    pool_size: usize,
    pool_timeout: Duration,
    bounds: Limits,
) -> (Api, TableLock) {
    let database = TestDatabase::create().await;
    let api = Api::start_bounded(database, timeouts, pool_size, pool_timeout, bounds).await;
    let lock = api.database.lock("customer_group").await;
    (api, lock)
}

#[tokio::test]
async fn an_unavailable_database() {
    let api = Api::start().await;
    api.database.admit(false).await;
    for protocol in Protocol::ALL {
        for call in calls() {
            assert_eq!(refusal(protocol, &api, &call).await.code, "unavailable", "{protocol:?} {call:?}");
        }
    }
}

#[tokio::test]
async fn what_parsing_refuses_needs_no_database() {
    let api = Api::start().await;
    api.database.admit(false).await;
    let parent = json!({"customer_group_name": "", "parent_id": UNKNOWN_ID});
    for protocol in Protocol::ALL {
        for (call, code) in [
            (Call::Create(json!({})), "parameter_missing"),
            (Call::Create(parent.clone()), "parameter_missing"),
            (
                Call::Update(UNKNOWN_ID.to_owned(), json!({"payment_terms": "x".repeat(256)})),
                "parameter_invalid",
            ),
            (Call::BatchCreate(vec![json!({"customer_group": {}})]), "parameter_missing"),
            (Call::BatchCreate(vec![json!({"customer_group": parent.clone()})]), "parameter_missing"),
        ] {
            assert_eq!(refusal(protocol, &api, &call).await.code, code, "{protocol:?} {call:?}");
        }
    }
}

#[tokio::test]
async fn a_call_that_takes_too_long() {
    let timeouts = Timeouts { request: Duration::from_millis(50), ..TIMEOUTS };
    let (api, _lock) = stuck(timeouts, 8, Duration::from_secs(30), BOUNDS).await;
    for protocol in Protocol::ALL {
        for call in calls() {
            assert_eq!(refusal(protocol, &api, &call).await.code, "timeout", "{protocol:?} {call:?}");
        }
    }
}

#[tokio::test]
async fn too_many_calls_at_once() {
    let (api, _lock) = stuck(TIMEOUTS, 1, Duration::from_millis(20), BOUNDS).await;
    let address = api.address();
    let with = || CallOptions { authorization: Some(format!("Bearer {KEY}")), ..CallOptions::default() };
    let list = Call::List(Page::default());
    let first = tokio::spawn(async move { make(Protocol::Grpc, address, &list, &with()).await });
    api.database.until_a_statement_waits().await;
    // Reads of one group are batched, so that none waits for its own connection.
    let waits = |call: &Call| !matches!(call, Call::Get(_) | Call::Ancestors(..));
    for protocol in Protocol::ALL {
        for call in calls().into_iter().filter(waits) {
            assert_eq!(refusal(protocol, &api, &call).await.code, "overloaded", "{protocol:?} {call:?}");
        }
    }
    first.abort();
}

#[tokio::test]
async fn a_call_over_the_concurrency_limit() {
    let (api, _lock) = stuck(TIMEOUTS, 8, Duration::from_secs(30), Limits { calls: ONE, ..BOUNDS }).await;
    let address = api.address();
    let with = || CallOptions { authorization: Some(format!("Bearer {KEY}")), ..CallOptions::default() };
    let list = Call::List(Page::default());
    let first = tokio::spawn(async move { make(Protocol::Grpc, address, &list, &with()).await });
    api.database.until_a_statement_waits().await;
    for protocol in Protocol::ALL {
        for call in calls() {
            assert_eq!(refusal(protocol, &api, &call).await.code, "overloaded", "{protocol:?} {call:?}");
        }
    }
    first.abort();
}

#[tokio::test]
async fn a_key_over_its_rate_limit() {
    let api = Api::start_within(Limits { rate: Some("1/h".parse().unwrap()), ..BOUNDS }, TIMEOUTS).await;
    let with = CallOptions { authorization: Some(format!("Bearer {KEY}")), ..CallOptions::default() };
    make(Protocol::Rest, api.address(), &Call::List(Page::default()), &with).await.unwrap();
    for protocol in Protocol::ALL {
        for call in calls() {
            let ApiError { code, message, .. } = refusal(protocol, &api, &call).await;
            assert_eq!(code, "rate_limited", "{protocol:?} {call:?}");
            assert!(
                message.ends_with("retry in 3600 s") || message.ends_with("retry in 3599 s"),
                "{message}"
            );
        }
    }
}

#[tokio::test]
async fn an_internal_error_has_a_fixed_message_with_the_request_id() {
    const FIXED: &str = "an internal error occurred; quote the request id ";
    let api = Api::start().await;
    let chain = api.client().await.chain(3).await;
    // The service never writes such a text.
    let spoil = "update customer_group set payment_terms = E'\\x01' where customer_group_name = 'level 1'";
    api.database.sql().await.batch_execute(spoil).await.unwrap();
    let [top, middle, bottom] = [0, 1, 2].map(|level: usize| chain[level].id.clone());
    let calls = [
        Call::Get(middle.clone()),
        Call::List(Page::default()),
        Call::Update(middle.clone(), json!({"is_group": true})),
        Call::BatchGet(vec![middle]),
        Call::Children(top.clone(), Page::default()),
        Call::Ancestors(bottom, Page::default()),
        Call::Descendants(top, (Some(1), None).into()),
    ];
    for protocol in Protocol::ALL {
        for call in &calls {
            let refusal = refusal(protocol, &api, call).await;
            assert_eq!(refusal.code, "internal", "{protocol:?} {call:?}");
            let id = refusal.message.strip_prefix(FIXED).unwrap_or_else(|| panic!("{}", refusal.message));
            assert!(id.starts_with("req_") && id.ends_with(" when you report it"), "{id}");
        }
    }
}
