//! Checks a whole database: for what no statement of the service could have left in it.

mod findings;
mod rows;
mod tree;

use std::pin::pin;

use futures_util::TryStreamExt;
use tokio_postgres::{Client, Row};

use super::pool::Breaker;
use super::rows::columns;
use super::{Database, Limits, OpenError, migrate};
use findings::Findings;

/// All that is read is of one instant, and a statement takes as long as it takes.
pub(super) const BEGIN: &str = "begin isolation level repeatable read read only; set local statement_timeout = 0; \
     set local idle_in_transaction_session_timeout = 0";

/// Each group, and whether its parent exists.
const GROUPS: &str = concat!(
    "select ",
    columns!("g"),
    ", exists (select from customer_group p where p.id = g.parent_id) from customer_group g order by g.id"
);

/// What the counters add up to, and which of them are not there.
const COUNTERS: &str = "
    select (select coalesce(sum(groups), 0)::bigint from customer_group_count),
           (select coalesce(string_agg(shard::text, ', ' order by shard), '') from generate_series(0, 63) shard
            where not exists (select from customer_group_count c where c.shard = shard.shard))";

const RECORDS: &str = "
    select api_key_digest, key, request_digest, customer_group_id, customer_group_ids, created_at
    from idempotency_key order by api_key_digest, key";

const KEYS: &str = "select id, name, scope, mode, revoked_at, digest from api_key order by id";

/// What a whole database was found to be.
#[derive(Debug, Clone)]
pub struct Report {
    /// The number of customer groups, all of which were checked.
    pub groups: i64,
    /// What is wrong, a line each: what, which id, what to do. Of many of a kind the first 20, and how many more.
    pub findings: Vec<String>,
}

/// Checks a whole database in one pass, as it is at one instant, also while services run on it. Changes nothing.
/// Takes constant memory, but for the groups on cycles and below them.
///
/// # Errors
///
/// Those of [`Store::open`](super::Store::open), but for its migrations: that the tables are not there, or older
/// than this program, is an error.
pub async fn verify(database: &Database, limits: &Limits) -> Result<Report, OpenError> {
    let connection = database.pool(limits, 1, &Breaker::default())?.get_anyway().await?;
    connection.batch_execute(BEGIN).await?;
    migrate::check(&connection).await?;
    let mut groups = 0;
    let (mut invalid, mut orphans) = (Findings::new("invalid group"), Findings::new("orphan"));
    each(&connection, GROUPS, |row| {
        groups += 1;
        invalid.extend(rows::group(row));
        orphans.extend(rows::orphan(row));
    })
    .await?;
    let (mut records, mut keys) =
        (Findings::new("invalid idempotency record"), Findings::new("invalid API key"));
    each(&connection, RECORDS, |row| records.extend(rows::record(row))).await?;
    each(&connection, KEYS, |row| keys.extend(rows::key(row))).await?;
    let counters = counters(&connection, groups).await?;
    let cycles = tree::cycles(&connection).await?;
    connection.batch_execute("commit").await?;
    let findings = [cycles, orphans, counters, invalid, records, keys];
    Ok(Report { groups, findings: findings.into_iter().flat_map(Findings::into_lines).collect() })
}

/// Reads the rows of a statement one by one.
async fn each(client: &Client, sql: &str, mut read: impl FnMut(&Row)) -> Result<(), OpenError> {
    let mut rows = pin!(client.query_raw(sql, [] as [&str; 0]).await?);
    while let Some(row) = rows.try_next().await? {
        read(&row);
    }
    Ok(())
}

async fn counters(client: &Client, groups: i64) -> Result<Findings, OpenError> {
    const SET: &str = "`lock table customer_group in exclusive mode` and `update customer_group_count set groups = \
         case shard when 0 then (select count(*) from customer_group) else 0 end` in one transaction";
    const ADD: &str = "`insert into customer_group_count select shard, 0 from generate_series(0, 63) shard \
         on conflict do nothing`";
    let row = client.query_one(COUNTERS, &[]).await?;
    let (counted, missing): (i64, &str) = (row.try_get(0)?, row.try_get(1)?);
    let mut found = Findings::new("wrong counter");
    if !missing.is_empty() {
        found.add(format!("customer_group_count has no shard {missing}; run {ADD}"));
    }
    if counted != groups {
        found.add(format!(
            "customer_group_count adds up to {counted}, and there are {groups} groups; run {SET}"
        ));
    }
    Ok(found)
}
