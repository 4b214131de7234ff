//! Reads of groups by their ids.

use std::collections::{HashMap, HashSet};

use tokio_postgres::Row;
use uuid::Uuid;

use crate::domain::{CustomerGroup, Digest, GroupId};
use crate::error::Error;
use crate::store::Store;
use crate::store::exec::{Statement, query};
use crate::store::groups::read_batchers::GET;
use crate::store::groups::rows::{group, group_id, read};

const MISSING: Statement = Statement::new(
    "find missing groups",
    "select id from unnest($1::uuid[]) asked (id)
     where not exists (select from customer_group g where g.id = asked.id)",
);

impl Store {
    /// One group.
    pub async fn get(&self, id: GroupId) -> Result<CustomerGroup, Error> {
        self.reader.batchers.get(id).await
    }

    /// The groups that exist, by their ids.
    pub(crate) async fn get_batch(
        &self,
        ids: &[GroupId],
        caller: Digest,
    ) -> Result<HashMap<GroupId, CustomerGroup>, Error> {
        let _turn = self.reader.shares.call(caller).await?;
        let rows = query(&self.pool, *GET, &[&uuids(ids)]).await?;
        let by_id = |row: &Row| group(row, 0).map(|group| (group.id, group));
        rows.iter().map(by_id).collect()
    }

    /// The ids without a group.
    pub(crate) async fn missing(&self, ids: &[GroupId], caller: Digest) -> Result<HashSet<GroupId>, Error> {
        if ids.is_empty() {
            return Ok(HashSet::new());
        }
        let _turn = self.reader.shares.call(caller).await?;
        let rows = query(&self.pool, MISSING, &[&uuids(ids)]).await?;
        rows.iter().map(|row| group_id(read(row, 0)?)).collect()
    }
}

fn uuids(ids: &[GroupId]) -> Vec<Uuid> {
    ids.iter().map(|id| id.uuid()).collect()
}
