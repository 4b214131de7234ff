//! The database: what it must be, and how its tables are brought up to date.

use std::time::Duration;

use customer_groups::error::{Error, chain};
use customer_groups::store::{Limits, Store};

use crate::support::{Api, Calls, TestDatabase, named};

async fn open(database: &TestDatabase) -> Result<Store, Error> {
    let seconds = Duration::from_secs(30);
    let limits =
        Limits { pool_size: 2, pool_timeout: seconds, connect_timeout: seconds, statement_timeout: seconds };
    Store::open(&database.url().parse().unwrap(), &limits).await
}

#[tokio::test]
async fn replicas_that_start_at_once_on_an_empty_database_all_serve() {
    let database = TestDatabase::create_empty().await;
    let start = || Api::start_on(database.clone());
    let (first, second, third, fourth) = tokio::join!(start(), start(), start(), start());
    for replica in [&first, &second, &third, &fourth] {
        replica.client().await.create(named("Export")).await.unwrap();
    }
    assert_eq!(first.client().await.list(None, None).await.unwrap().total, 4);
    let migrations = "select count(*) - count(distinct version) from customer_group_migration";
    assert_eq!(database.number(migrations).await, 0);
}

#[tokio::test]
async fn a_database_that_a_newer_version_has_migrated_is_served() {
    let database = TestDatabase::create().await;
    let newer = "insert into customer_group_migration
                 select 9999, 'newer', applied_on, '1' from customer_group_migration limit 1";
    database.sql().await.batch_execute(newer).await.unwrap();
    open(&database).await.unwrap();
}

#[tokio::test]
async fn a_database_that_is_not_in_utf8_is_refused_by_name() {
    let database = TestDatabase::create_with_encoding("LATIN1").await;
    let error = open(&database).await.unwrap_err();
    assert!(chain(&error).contains("encoded in LATIN1"), "{}", chain(&error));
}
