//! The errors that no request is to blame for, on every face.

use std::num::NonZeroUsize;
use std::time::Duration;

use customer_groups::server::{Limits as Bounds, Timeouts};
use serde_json::json;

use super::refusal::Refusal;
use super::{Call, Page, With, make};
use crate::support::face::{Face, rpc};
use crate::support::{Api, BOUNDS, Calls, KEY, TIMEOUTS, TestDatabase};

async fn refusal(face: Face, api: &Api, call: &Call) -> Refusal {
    let with = With { authorization: Some(format!("Bearer {KEY}")), ..With::default() };
    make(face, api.address(), call, &with).await.unwrap_err()
}

/// Each thing that can be asked for, of groups that there are not.
fn calls() -> [Call; 10] {
    let (id, named) = (|| ID.to_owned(), json!({"customer_group_name": "a"}));
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

const ID: &str = "customer-group_01h455vb4pex5vsknk084sn02q";

/// A service on a database that gives no statement an end.
async fn stuck(
    timeouts: Timeouts,
    pool_size: usize,
    pool_timeout: Duration,
    bounds: Bounds,
) -> (Api, tokio_postgres::Client) {
    let database = TestDatabase::create().await;
    let api = Api::start_bounded(database, timeouts, pool_size, pool_timeout, bounds).await;
    let sql = api.database.sql().await;
    sql.batch_execute("begin; lock table customer_group").await.unwrap();
    (api, sql)
}

#[tokio::test]
async fn a_database_that_is_away() {
    let api = Api::start().await;
    api.database.admit(false).await;
    for face in Face::ALL {
        for call in calls() {
            assert_eq!(refusal(face, &api, &call).await.code, "unavailable", "{face:?} {call:?}");
        }
    }
}

#[tokio::test]
async fn a_call_that_takes_too_long() {
    let timeouts = Timeouts { request: Duration::from_millis(50), ..TIMEOUTS };
    let (api, _sql) = stuck(timeouts, 8, Duration::from_secs(30), BOUNDS).await;
    for face in Face::ALL {
        for call in calls() {
            assert_eq!(refusal(face, &api, &call).await.code, "timeout", "{face:?} {call:?}");
        }
    }
}

#[tokio::test]
async fn too_many_calls_at_once() {
    let (api, _sql) = stuck(TIMEOUTS, 1, Duration::from_millis(20), BOUNDS).await;
    let address = api.address();
    let with = || With { authorization: Some(format!("Bearer {KEY}")), ..With::default() };
    let list = Call::List(Page::default());
    let first = tokio::spawn(async move { make(Face::Grpc, address, &list, &with()).await });
    api.database.until_a_statement_waits().await;
    // Reads of one group go out together, so that none waits for a connection of its own.
    let waits = |call: &Call| !matches!(call, Call::Get(_) | Call::Ancestors(..));
    for face in Face::ALL {
        for call in calls().into_iter().filter(waits) {
            assert_eq!(refusal(face, &api, &call).await.code, "overloaded", "{face:?} {call:?}");
        }
    }
    first.abort();
}

#[tokio::test]
async fn a_call_for_which_there_is_no_place() {
    let (api, _sql) = stuck(TIMEOUTS, 8, Duration::from_secs(30), Bounds { calls: ONE, ..BOUNDS }).await;
    let address = api.address();
    let with = || With { authorization: Some(format!("Bearer {KEY}")), ..With::default() };
    let list = Call::List(Page::default());
    let first = tokio::spawn(async move { make(Face::Grpc, address, &list, &with()).await });
    api.database.until_a_statement_waits().await;
    for face in Face::ALL {
        for call in calls() {
            assert_eq!(refusal(face, &api, &call).await.code, "overloaded", "{face:?} {call:?}");
        }
    }
    first.abort();
}

#[tokio::test]
async fn a_key_that_is_used_too_often() {
    let api = Api::start_within(Bounds { rate: Some("1/h".parse().unwrap()), ..BOUNDS }, TIMEOUTS).await;
    let with = With { authorization: Some(format!("Bearer {KEY}")), ..With::default() };
    make(Face::Rest, api.address(), &Call::List(Page::default()), &with).await.unwrap();
    for face in Face::ALL {
        for call in calls() {
            let Refusal { code, message, .. } = refusal(face, &api, &call).await;
            assert_eq!(code, "rate_limited", "{face:?} {call:?}");
            assert!(
                message.ends_with("may come in 3600 s") || message.ends_with("may come in 3599 s"),
                "{message}"
            );
        }
    }
}

#[tokio::test]
async fn a_compressed_message_is_refused_as_one_that_the_service_does_not_read() {
    let api = Api::start().await;
    let key = format!("Bearer {KEY}");
    let metadata = [("authorization", key.as_str()), ("grpc-encoding", "gzip")];
    for face in Face::RPC {
        let answer = rpc(face, api.address(), "ListCustomerGroups", &metadata, b"").await;
        assert_eq!(Refusal::of_grpc(&answer.status).code, "content_type_unsupported", "{face:?}");
    }
}

#[tokio::test]
async fn a_fault_of_ours_is_told_by_a_fixed_message_and_its_request_id() {
    const FIXED: &str = "something went wrong on our side; quote the request id ";
    let api = Api::start().await;
    let chain = api.client().await.chain(3).await;
    // No service writes such a text.
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
    for face in Face::ALL {
        for call in &calls {
            let refusal = refusal(face, &api, call).await;
            assert_eq!(refusal.code, "internal", "{face:?} {call:?}");
            let id = refusal.message.strip_prefix(FIXED).unwrap_or_else(|| panic!("{}", refusal.message));
            assert!(id.starts_with("req_") && id.ends_with(" when you report it"), "{id}");
        }
    }
}
