//! Many customer groups in one statement.

use std::collections::{HashMap, HashSet};
use std::time::SystemTime;

use tokio_postgres::Row;
use uuid::Uuid;

use super::Store;
use super::connection::{Statement, Values, query};
use super::create::{ALL_IDS, insert, insert_at_most_once, insert_once};
use super::groups::PARENT_KEY;
use super::reads::GET;
use super::rows::{group, group_id, read};
use crate::auth::Digest;
use crate::domain::{CustomerGroup, GroupId, IdempotencyKey, NewBatch, Text};
use crate::error::Error;

macro_rules! many {
    () => {
        "select * from unnest($1::uuid[], $2::timestamptz[], $3::uuid[], $4::boolean[], $5::text[], $6::text[],
                              $7::text[], $8::text[])"
    };
}

// A parent may come after its children, since the foreign key is checked when the statement is done.

const INSERT: Statement = Statement::new("insert groups", insert!(many!()));

const INSERT_ONCE: Statement =
    Statement::new("insert groups once", insert_once!(many!(), "($1::uuid[])[1]", "$1"));

const MISSING: Statement = Statement::new(
    "find missing groups",
    "select id from unnest($1::uuid[]) asked (id)
     where not exists (select from customer_group g where g.id = asked.id)",
);

/// How a batch create ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BatchInsertion {
    /// The groups are stored.
    New,
    /// The same create under the same key stored some earlier, which got these ids, in its order.
    Earlier(Vec<GroupId>),
    /// Some parent does not exist. Nothing is stored.
    ParentMissing,
}

impl Store {
    /// Stores new groups, all or none; under a caller's key only unless they were stored under the same one in
    /// the last 24 hours.
    ///
    /// # Errors
    ///
    /// [`Error::IdempotencyKeyReused`] when the key was used for another request.
    pub async fn insert_batch(
        &self,
        new: &NewBatch,
        key: Option<(Digest, &IdempotencyKey)>,
    ) -> Result<BatchInsertion, Error> {
        let times: Result<Vec<_>, _> =
            new.groups().map(|group| SystemTime::try_from(group.updated_at)).collect();
        let text = |text: fn(&CustomerGroup) -> Option<&Text>| -> Vec<Option<&str>> {
            new.groups().map(|group| text(group).map(Text::as_str)).collect()
        };
        let values: &Values<'_> = &[
            &new.groups().map(|group| group.id.uuid()).collect::<Vec<_>>(),
            &times.map_err(Error::internal)?,
            &new.groups().map(|group| group.parent_id.map(GroupId::uuid)).collect::<Vec<_>>(),
            &new.groups().map(|group| group.is_group).collect::<Vec<_>>(),
            &new.groups().map(|group| group.customer_group_name.as_str()).collect::<Vec<_>>(),
            &text(|group| group.parent_customer_group.as_ref()),
            &text(|group| group.default_price_list.as_ref()),
            &text(|group| group.payment_terms.as_ref()),
        ];
        let statements = (INSERT, INSERT_ONCE);
        match insert_at_most_once(&self.pool, statements, values, key, || new.fingerprint()).await {
            Ok(None) => Ok(BatchInsertion::New),
            Ok(Some(record)) => {
                let ids = read::<Vec<Uuid>>(&record, ALL_IDS)?.into_iter().map(group_id);
                ids.collect::<Result<_, _>>().map(BatchInsertion::Earlier)
            }
            Err(failure) if failure.violates_foreign_key(PARENT_KEY) => Ok(BatchInsertion::ParentMissing),
            Err(failure) => Err(failure.into()),
        }
    }

    /// Those of the groups that exist, by their ids.
    ///
    /// # Errors
    ///
    /// Only those that every statement can end in.
    pub async fn get_batch(&self, ids: &[GroupId]) -> Result<HashMap<GroupId, CustomerGroup>, Error> {
        let rows = query(&self.pool, GET, &[&uuids(ids)]).await?;
        let by_id = |row: &Row| group(row, 0).map(|group| (group.id, group));
        rows.iter().map(by_id).collect()
    }

    /// Those of the ids that no group has.
    ///
    /// # Errors
    ///
    /// Only those that every statement can end in.
    pub async fn missing(&self, ids: &[GroupId]) -> Result<HashSet<GroupId>, Error> {
        let rows = query(&self.pool, MISSING, &[&uuids(ids)]).await?;
        rows.iter().map(|row| group_id(read(row, 0)?)).collect()
    }
}

fn uuids(ids: &[GroupId]) -> Vec<Uuid> {
    ids.iter().map(|id| id.uuid()).collect()
}
