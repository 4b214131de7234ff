//! New customer groups, made once under an idempotency key.

use std::time::SystemTime;

use tokio_postgres::types::ToSql;

use super::Store;
use super::connection::{query, write};
use super::groups::parent_not_found;
use super::rows::{group_id, read};
use crate::auth::Digest;
use crate::domain::{Fingerprint, GroupId, IdempotencyKey, NewGroup, Text, excerpt};
use crate::error::Error;

macro_rules! insert {
    () => {
        "insert into customer_group (id, updated_at, parent_id, is_group, customer_group_name,
                                     parent_customer_group, default_price_list, payment_terms)
         select $1::uuid, $2::timestamptz, $3::uuid, $4::boolean, $5::text, $6::text, $7::text, $8::text "
    };
}

const INSERT: &str = insert!();

/// Inserts a group with the record of its key, unless there is such a record that has not lapsed: the answer
/// then has no row. Waits for other transactions that use the key. Also takes some records away that have
/// lapsed, more than it makes.
const INSERT_ONCE: &str = concat!(
    "with recorded as (
         insert into idempotency_key (api_key_digest, key, request_digest, customer_group_id)
         values ($9, $10, $11, $1)
         on conflict on constraint idempotency_key_pkey do update
             set request_digest = excluded.request_digest, customer_group_id = excluded.customer_group_id,
                 created_at = excluded.created_at
             where idempotency_key.created_at <= now() - interval '24 hours'
         returning true
     ), swept as (
         delete from idempotency_key where (api_key_digest, key) in (
             select api_key_digest, key from idempotency_key
             where created_at <= now() - interval '24 hours' and (api_key_digest, key) <> ($9, $10)
             order by created_at limit 8 for update skip locked)
     ) ",
    insert!(),
    " where exists (select from recorded) returning id"
);

const FIND: &str = "select request_digest, customer_group_id from idempotency_key
     where api_key_digest = $1 and key = $2";

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
    /// [`Error::IdempotencyKeyReused`] when the key was used for another group; [`Error::Invalid`] when the
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
        let mut values: Vec<&(dyn ToSql + Sync)> =
            vec![&id, &updated_at, &parent_id, &group.is_group, &name, &parent_group, &price_list, &terms];
        let failed = |failure| parent_not_found(failure, group.parent_id);

        let Some((Digest(caller), key)) = key else {
            write(&self.pool, INSERT, &values).await.map_err(failed)?;
            return Ok(Insertion::New);
        };
        let Fingerprint(request) = new.fingerprint();
        let (caller, key_text, request) = (caller.as_slice(), key.as_str(), request.as_slice());
        values.extend::<[&(dyn ToSql + Sync); 3]>([&caller, &key_text, &request]);
        loop {
            if !write(&self.pool, INSERT_ONCE, &values).await.map_err(failed)?.is_empty() {
                return Ok(Insertion::New);
            }
            // A record that is gone by now has lapsed in between, and the key is free.
            if let Some(row) = query(&self.pool, FIND, &[&caller, &key_text]).await?.first() {
                return if read::<&[u8]>(row, 0)? == request {
                    Ok(Insertion::Earlier(group_id(read(row, 1)?)?))
                } else {
                    Err(Error::IdempotencyKeyReused(excerpt(key_text)))
                };
            }
        }
    }
}
