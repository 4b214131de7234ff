//! The errors that no request is to blame for, on every face.

use std::num::NonZeroUsize;
use std::time::Duration;

use customer_groups::server::{Limits as Bounds, Timeouts};
use serde_json::json;

use super::refusal::Refusal;
use super::{Call, Page, With, make};
use crate::support::face::Face;
use crate::support::{Api, BOUNDS, KEY, TIMEOUTS, TestDatabase};

async fn refusal(face: Face, api: &Api, call: &Call) -> Refusal {
    let with = With { authorization: Some(format!("Bearer {KEY}")), ..With::default() };
    make(face, api.address(), call, &with).await.unwrap_err()
}

fn calls() -> [Call; 3] {
    [
        Call::List(Page::default()),
        Call::Create(json!({"customer_group_name": "a"})),
        Call::Delete(ID.to_owned()),
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
    let first = tokio::spawn(async move { make(Face::Grpc, address, &calls()[0], &with()).await });
    api.database.until_a_statement_waits().await;
    for face in Face::ALL {
        for call in calls() {
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
    let first = tokio::spawn(async move { make(Face::Grpc, address, &calls()[0], &with()).await });
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
    make(Face::Rest, api.address(), &calls()[0], &with).await.unwrap();
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
async fn a_fault_of_ours_is_told_by_a_fixed_message_and_its_request_id() {
    let api = Api::start().await;
    // No service makes such an id.
    let insert = "insert into customer_group (id, updated_at, is_group, customer_group_name)
        values ('00000000-0000-4000-8000-000000000000', now(), false, 'a')";
    api.database.sql().await.batch_execute(insert).await.unwrap();
    for face in Face::ALL {
        let refusal = refusal(face, &api, &Call::List(Page::default())).await;
        assert_eq!(refusal.code, "internal", "{face:?}");
        let (fixed, id) =
            refusal.message.split_at("something went wrong on our side; quote the request id ".len());
        assert_eq!(fixed, "something went wrong on our side; quote the request id ", "{face:?}");
        assert!(id.starts_with("req_") && id.ends_with(" when you report it"), "{id}");
    }
}
