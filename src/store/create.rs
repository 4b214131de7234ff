//! New customer groups, made once under an idempotency key.

use std::time::SystemTime;

use tokio_postgres::Row;

use super::Store;
use super::connection::{Statement, Values, query, write};
use super::failure::Failure;
use super::groups::parent_not_found;
use super::pool::Pool;
use super::rows::{group_id, read};
use crate::auth::Digest;
use crate::domain::{Fingerprint, GroupId, IdempotencyKey, NewGroup, Text, excerpt};
use crate::error::Error;

/// Inserts the groups that a query gives.
macro_rules! insert {
    ($groups:expr) => {
        concat!(
            "insert into customer_group (id, updated_at, parent_id, is_group, customer_group_name,
                                         parent_customer_group, default_price_list, payment_terms) ",
            $groups
        )
    };
}
pub(super) use insert;

/// The same with the record of a key, unless there is such a record that has not lapsed: the answer then has no
/// row. Waits for other transactions that use the key. Also takes some records away that have lapsed, more than it
/// makes. The record has the id of the first group, and the ids of all for a batch.
macro_rules! insert_once {
    ($groups:expr, $first:literal, $all:literal) => {
        concat!(
            "with recorded as (
                 insert into idempotency_key (api_key_digest, key, request_digest, customer_group_id,
                                              customer_group_ids)
                 values ($9, $10, $11, ",
            $first,
            ", ",
            $all,
            ")
                 on conflict on constraint idempotency_key_pkey do update
                     set request_digest = excluded.request_digest,
                         customer_group_id = excluded.customer_group_id,
                         customer_group_ids = excluded.customer_group_ids,
                         created_at = excluded.created_at
                     where idempotency_key.created_at <= now() - interval '24 hours'
                 returning true
             ), swept as (
                 delete from idempotency_key where (api_key_digest, key) in (
                     select api_key_digest, key from idempotency_key
                     where created_at <= now() - interval '24 hours' and (api_key_digest, key) <> ($9, $10)
                     order by created_at limit 8 for update skip locked)
             ) ",
            insert!($groups),
            " where exists (select from recorded) returning id"
        )
    };
}
pub(super) use insert_once;

macro_rules! one {
    () => {
        "select $1::uuid, $2::timestamptz, $3::uuid, $4::boolean, $5::text, $6::text, $7::text, $8::text"
    };
}

const INSERT: Statement = Statement::new("insert group", insert!(one!()));

const INSERT_ONCE: Statement = Statement::new("insert group once", insert_once!(one!(), "$1", "null"));

const FIND: Statement = Statement::new(
    "find idempotency key",
    "select request_digest, customer_group_id, customer_group_ids from idempotency_key
     where api_key_digest = $1 and key = $2",
);

/// Where the ids are in the record of a key.
const FIRST_ID: usize = 1;
pub(super) const ALL_IDS: usize = 2;

/// How a create ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Insertion {
    /// The group is stored.
    New,
    /// The same create under the same key stored one earlier, which got this id.
    Earlier(GroupId),
}

impl Store {
    /// Stores a new group; under a caller's key only unless it was stored under the same one in the last 24
    /// hours. Of two at once with one key, one waits for the other.
    ///
    /// # Errors
    ///
    /// [`Error::IdempotencyKeyReused`] when the key was used for another request; [`Error::Invalid`] when the
    /// parent does not exist, which is not recorded.
    pub async fn insert(
        &self,
        new: &NewGroup,
        key: Option<(Digest, &IdempotencyKey)>,
    ) -> Result<Insertion, Error> {
        let group = new.group();
        let (id, parent_id) = (group.id.uuid(), group.parent_id.map(GroupId::uuid));
        let updated_at = SystemTime::try_from(group.updated_at).map_err(Error::internal)?;
        let name = group.customer_group_name.as_str();
        let parent_group = group.parent_customer_group.as_ref().map(Text::as_str);
        let price_list = group.default_price_list.as_ref().map(Text::as_str);
        let terms = group.payment_terms.as_ref().map(Text::as_str);
        let values: &Values<'_> =
            &[&id, &updated_at, &parent_id, &group.is_group, &name, &parent_group, &price_list, &terms];
        let record =
            insert_at_most_once(&self.pool, (INSERT, INSERT_ONCE), values, key, || new.fingerprint())
                .await
                .map_err(|failure| parent_not_found(failure, group.parent_id))?;
        match record {
            None => Ok(Insertion::New),
            Some(record) => Ok(Insertion::Earlier(group_id(read(&record, FIRST_ID)?)?)),
        }
    }
}

/// Inserts groups by the one statement, or under a caller's key by the other. When the key has a record that has
/// not lapsed, of the same request, none are inserted and that is the answer.
pub(super) async fn insert_at_most_once(
    pool: &Pool,
    (insert, insert_once): (Statement, Statement),
    values: &Values<'_>,
    key: Option<(Digest, &IdempotencyKey)>,
    request: impl FnOnce() -> Fingerprint,
) -> Result<Option<Row>, Failure> {
    let Some((Digest(caller), key)) = key else {
        write(pool, insert, values).await?;
        return Ok(None);
    };
    let Fingerprint(request) = request();
    let (caller, key, request) = (caller.as_slice(), key.as_str(), request.as_slice());
    let of_key: &Values<'_> = &[&caller, &key, &request];
    let values = [values, of_key].concat();
    loop {
        if !write(pool, insert_once, &values).await?.is_empty() {
            return Ok(None);
        }
        // A record that is gone by now has lapsed in between, and the key is free.
        if let Some(record) = query(pool, FIND, &of_key[..2]).await?.pop() {
            let is_same = record.try_get::<_, &[u8]>(0)? == request;
            return if is_same { Ok(Some(record)) } else { Err(Failure::KeyReused(excerpt(key))) };
        }
    }
}
