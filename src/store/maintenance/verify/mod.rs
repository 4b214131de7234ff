//! Verification of a whole database: finds rows that the service cannot have written.

mod rows;
mod tree;

use std::pin::pin;

use futures_util::TryStreamExt;
use tokio_postgres::{Client, Row};

use super::{migrate, objects};
use crate::domain::Report;
use crate::store::connect::{CircuitBreaker, Database, StoreOptions};
use crate::store::errors::StartupError;
use crate::store::groups::rows::columns;

/// One snapshot, without time limits.
pub(crate) const BEGIN: &str = "begin isolation level repeatable read read only; set local statement_timeout = 0; \
     set local idle_in_transaction_session_timeout = 0";

/// Returns each group, and whether its parent exists.
fn groups_sql() -> String {
    let (group, parent_exists) =
        (columns("g"), "exists (select from customer_group p where p.id = g.parent_id)");
    format!("select {group}, {parent_exists} from customer_group g order by g.id")
}

/// Returns the sum of the counters, and the missing ones.
const COUNTERS: &str = "
    select (select coalesce(sum(groups), 0)::bigint from customer_group_count),
           (select coalesce(string_agg(shard::text, ', ' order by shard), '') from generate_series(0, 63) shard
            where not exists (select from customer_group_count c where c.shard = shard.shard))";

const RECORDS: &str = "
    select api_key_digest, key, request_digest, customer_group_id, customer_group_ids, created_at
    from idempotency_key order by api_key_digest, key";

const KEYS: &str =
    "select id, name, scope, mode, expires_at, last_used_at, revoked_at, digest from api_key order by id";

/// The result of a check of a whole database.
#[derive(Debug, Clone)]
pub struct Verification {
    /// The number of customer groups, all of which were checked.
    pub groups: i64,
    /// One line for each problem: kind, id, problem, remedy. Of each kind the first 20, and the number of the others.
    pub findings: Vec<String>,
}

/// The most problems of one kind that are listed.
const LISTED: usize = 20;

/// Checks a whole database in one snapshot, and changes nothing. Services may run meanwhile. Uses constant memory, except
/// for groups on cycles and below them. Runs no migrations: missing or old tables are an error.
pub async fn verify(database: &Database, options: &StoreOptions) -> Result<Verification, StartupError> {
    let connection = database.pool(options, 1, &CircuitBreaker::default())?.get_anyway().await?;
    connection.batch_execute(BEGIN).await?;
    migrate::check(&connection).await?;
    let mut groups = 0;
    let [mut invalid, mut orphans, mut records, mut keys] = [(); 4].map(|()| Report::new(LISTED));
    each(&connection, &groups_sql(), |row| {
        groups += 1;
        invalid.extend(rows::group(row));
        orphans.extend(rows::orphan(row));
    })
    .await?;
    each(&connection, RECORDS, |row| records.extend(rows::record(row))).await?;
    each(&connection, KEYS, |row| keys.extend(rows::key(row))).await?;
    let counters = counters(&connection, groups).await?;
    let cycles = tree::cycles(&connection).await?;
    let mut missing = Report::new(LISTED);
    let remedy = |object| format!("{object}; run `customer-groups migrate`");
    missing.extend(objects::missing(&connection).await?.iter().map(remedy));
    connection.batch_execute("commit").await?;
    let findings = [
        ("missing", missing),
        ("cycle", cycles),
        ("orphan", orphans),
        ("wrong counter", counters),
        ("invalid group", invalid),
        ("invalid idempotency record", records),
        ("invalid API key", keys),
    ];
    let lines = |(kind, report): &(&str, Report)| -> Vec<String> {
        report.lines().map(|line| format!("{kind}: {line}")).collect()
    };
    Ok(Verification { groups, findings: findings.iter().flat_map(lines).collect() })
}

/// Runs a statement and reads its rows one by one.
async fn each(client: &Client, sql: &str, mut read: impl FnMut(&Row)) -> Result<(), StartupError> {
    let mut rows = pin!(client.query_raw(sql, [] as [&str; 0]).await?);
    while let Some(row) = rows.try_next().await? {
        read(&row);
    }
    Ok(())
}

async fn counters(client: &Client, groups: i64) -> Result<Report, StartupError> {
    const SET: &str = "`lock table customer_group in exclusive mode` and `update customer_group_count set groups = \
         case shard when 0 then (select count(*) from customer_group) else 0 end` in one transaction";
    const ADD: &str = "`insert into customer_group_count select shard, 0 from generate_series(0, 63) shard \
         on conflict do nothing`";
    let row = client.query_one(COUNTERS, &[]).await?;
    let (counted, missing): (i64, &str) = (row.try_get(0)?, row.try_get(1)?);
    let mut found = Report::new(LISTED);
    if !missing.is_empty() {
        found.extend([format!("customer_group_count has no shard {missing}; run {ADD}")]);
    }
    if counted != groups {
        found.extend([format!(
            "the sum of customer_group_count is {counted}, but there are {groups} groups; run {SET}"
        )]);
    }
    Ok(found)
}
