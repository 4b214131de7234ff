//! New customer groups, one or many, created once under an idempotency key.

use std::sync::LazyLock;

use tokio_postgres::Row;
use uuid::Uuid;

use crate::domain::{Digest, Fingerprint, GroupId, IdempotencyKey, NewBatch, NewGroup, excerpt};
use crate::error::Error;
use crate::store::Store;
use crate::store::connect::Pool;
use crate::store::errors::StoreError;
use crate::store::exec::{Statement, Values, query, write};
use crate::store::groups::rows::{
    PARENT_KEY, Value, arrays, borrowed, group_id, joined, named_columns, parameters, read, statement, values,
};
use crate::store::groups::update::parent_not_found;

/// Inserts the rows of a query.
pub(in crate::store) fn insert(rows: &str) -> String {
    let columns = joined(named_columns().map(|(name, _)| name.to_owned()));
    format!("insert into customer_group ({columns}) {rows}")
}

/// The number of parameters of [`insert_once`] before those of the groups.
const KEY_PARAMETERS: usize = 3;

/// Inserts the rows of a query and records the idempotency key `$1`, `$2` with the digest `$3`, unless the key has an
/// unexpired record: then it inserts nothing and returns no row. Waits for other transactions that use the key. The record
/// holds the id of the first group, and for a batch all ids.
fn insert_once(rows: &str, first_id: &str, all_ids: &str) -> String {
    let insert = insert(rows);
    format!(
        "with recorded as (
             insert into idempotency_key (api_key_digest, key, request_digest, customer_group_id, customer_group_ids)
             values ($1, $2, $3, {first_id}, {all_ids})
             on conflict on constraint idempotency_key_pkey do update
                 set request_digest = excluded.request_digest,
                     customer_group_id = excluded.customer_group_id,
                     customer_group_ids = excluded.customer_group_ids,
                     created_at = excluded.created_at
                 where idempotency_key.created_at <= now() - interval '24 hours'
             returning true
         )
         {insert} where exists (select from recorded) returning id"
    )
}

/// A row of parameters, from a number on.
fn one(first: usize) -> String {
    format!("select {}", parameters(first, ""))
}

/// Rows of array parameters, from a number on. A parent may come after its children, because the foreign key is checked
/// at the end of the statement.
fn many(first: usize) -> String {
    format!("select * from unnest({})", parameters(first, "[]"))
}

static INSERT: LazyLock<Statement> = LazyLock::new(|| statement("insert group", insert(&one(1))));

static INSERT_ONCE: LazyLock<Statement> = LazyLock::new(|| {
    let first = KEY_PARAMETERS + 1;
    statement("insert group once", insert_once(&one(first), &format!("${first}"), "null"))
});

static INSERT_MANY: LazyLock<Statement> = LazyLock::new(|| statement("insert groups", insert(&many(1))));

static INSERT_MANY_ONCE: LazyLock<Statement> = LazyLock::new(|| {
    let first = KEY_PARAMETERS + 1;
    let (first_id, all_ids) = (format!("(${first}::uuid[])[1]"), format!("${first}"));
    statement("insert groups once", insert_once(&many(first), &first_id, &all_ids))
});

const FIND: Statement = Statement::new(
    "find idempotency key",
    "select request_digest, customer_group_id, customer_group_ids from idempotency_key
     where api_key_digest = $1 and key = $2",
);

/// The indexes of the ids in the record of a key.
const FIRST_ID: usize = 1;
const ALL_IDS: usize = 2;

/// The outcome of a create.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CreateOutcome {
    /// The group is stored.
    New,
    /// An earlier create under the same key stored the group with this id.
    Replayed(GroupId),
}

/// The outcome of a batch create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BatchCreateOutcome {
    /// The groups are stored.
    New,
    /// An earlier create under the same key stored the groups with these ids, in the order of the request.
    Replayed(Vec<GroupId>),
    /// A parent does not exist. Nothing is stored.
    ParentMissing,
}

impl Store {
    /// Stores a new group; under an idempotency key only if the key has no record of the last 24 hours. Of two
    /// simultaneous creates with one key, the second waits for the first. A create that fails is not recorded.
    pub(crate) async fn insert(
        &self,
        new: &NewGroup,
        caller: Digest,
        key: Option<&IdempotencyKey>,
    ) -> Result<CreateOutcome, Error> {
        let statements = (*INSERT, *INSERT_ONCE);
        let values = values(new.group())?;
        let _turn = self.reader.shares.call(caller).await?;
        let key = key.map(|key| (caller, key));
        let record = insert_at_most_once(&self.pool, statements, &values, key, || new.fingerprint())
            .await
            .map_err(|failure| parent_not_found(failure, new.group().parent_id))?;
        match record {
            None => Ok(CreateOutcome::New),
            Some(record) => Ok(CreateOutcome::Replayed(group_id(read(&record, FIRST_ID)?)?)),
        }
    }

    /// Stores new groups, all or none, under an idempotency key as [`Store::insert`] does.
    pub(crate) async fn insert_batch(
        &self,
        new: &NewBatch,
        caller: Digest,
        key: Option<&IdempotencyKey>,
    ) -> Result<BatchCreateOutcome, Error> {
        let statements = (*INSERT_MANY, *INSERT_MANY_ONCE);
        let _turn = self.reader.shares.call(caller).await?;
        let key = key.map(|key| (caller, key));
        let arrays = arrays(&new.groups().collect::<Vec<_>>())?;
        match insert_at_most_once(&self.pool, statements, &arrays, key, || new.fingerprint()).await {
            Ok(None) => Ok(BatchCreateOutcome::New),
            Ok(Some(record)) => {
                let ids = read::<Vec<Uuid>>(&record, ALL_IDS)?.into_iter().map(group_id);
                ids.collect::<Result<_, _>>().map(BatchCreateOutcome::Replayed)
            }
            Err(failure) if failure.violates_foreign_key(PARENT_KEY) => Ok(BatchCreateOutcome::ParentMissing),
            Err(failure) => Err(failure.into()),
        }
    }
}

/// Inserts groups by the first statement, or under an idempotency key by the second. If the key has a record of the same
/// request, nothing is inserted and the record is returned.
async fn insert_at_most_once(
    pool: &Pool,
    (insert, insert_once): (Statement, Statement),
    values: &[Value<'_>],
    key: Option<(Digest, &IdempotencyKey)>,
    fingerprint: impl FnOnce() -> Fingerprint,
) -> Result<Option<Row>, StoreError> {
    let of_groups: Vec<_> = borrowed(values).collect();
    let Some((Digest(caller), key)) = key else {
        write(pool, insert, &of_groups).await?;
        return Ok(None);
    };
    let fingerprint = fingerprint();
    let (caller, key, digest) = (caller.as_slice(), key.as_str(), fingerprint.recorded());
    let of_key: &Values<'_> = &[&caller, &key, &digest];
    let values = [of_key, &of_groups].concat();
    loop {
        if !write(pool, insert_once, &values).await?.is_empty() {
            return Ok(None);
        }
        // Without a record the key has expired in between: try again.
        if let Some(record) = query(pool, FIND, &of_key[..2]).await?.pop() {
            let is_same = fingerprint.matches(record.try_get(0)?);
            return if is_same { Ok(Some(record)) } else { Err(StoreError::KeyReused(excerpt(key))) };
        }
    }
}
