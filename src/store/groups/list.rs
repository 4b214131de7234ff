//! Lists of groups.

use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::domain::{Digest, FieldInput, GroupFilter, GroupId, GroupList, Name, Page, Reader};
use crate::error::Error;
use crate::store::Store;
use crate::store::exec::{Statement, Values, query};
use crate::store::groups::group_reader::GroupReader;
use crate::store::groups::group_stream::GroupStream;
use crate::store::groups::pages::{BY_PARENT, CHILDREN, LIST, PREVIOUS_SEARCHES, ROOTS, SEARCHES, Searches};
use crate::store::groups::rows::list;
use crate::store::groups::walks::{ALL_DESCENDANTS, ANCESTORS, DESCENDANTS};

/// The most groups that are read at once. Longer lists are streamed.
const MAX_AT_ONCE: u32 = 1000;

impl Store {
    /// A page of the groups that meet the filter, the most recently created first.
    pub async fn list(&self, page: Page, filter: &GroupFilter, reader: Reader) -> Result<GroupList, Error> {
        let searches: &Searches =
            if self.name_search.borrow().is_ready() { &SEARCHES } else { &PREVIOUS_SEARCHES };
        self.read(reader, |groups| async move { groups.list(page, filter, searches, reader.key).await }).await
    }

    /// The children of a group, the most recently created first.
    pub async fn children(&self, id: GroupId, page: Page, reader: Reader) -> Result<GroupStream, Error> {
        self.read(reader, |groups| async move { groups.tree_list(*CHILDREN, id, page, reader.key).await })
            .await
    }

    /// The ancestors of a group, its parent first. The page may only start after one of them.
    pub async fn ancestors(&self, id: GroupId, page: Page, reader: Reader) -> Result<GroupStream, Error> {
        self.read(reader, |groups| async move { groups.ancestors(id, page, reader.key).await }).await
    }

    /// The descendants of a group, level by level. The page may only start after one of them.
    pub async fn descendants(&self, id: GroupId, page: Page, reader: Reader) -> Result<GroupStream, Error> {
        self.read(reader, |groups| async move { groups.descendants(id, page, reader.key).await }).await
    }
}

impl GroupReader {
    async fn list(
        &self,
        page: Page,
        filter: &GroupFilter,
        searches: &Searches,
        key: Digest,
    ) -> Result<GroupList, Error> {
        let GroupFilter { parent_id, customer_group_name } = filter;
        let statement = match (parent_id, customer_group_name) {
            (FieldInput::Absent, None) => *LIST,
            (FieldInput::Absent, Some(_)) => searches.all,
            (FieldInput::Null, None) => *ROOTS,
            (FieldInput::Null, Some(_)) => searches.roots,
            (FieldInput::Value(_), None) => *BY_PARENT,
            (FieldInput::Value(_), Some(_)) => searches.below,
        };
        let (start, limit, offset) = bounds(page);
        let parent = parent_id.clone().value().map(GroupId::uuid);
        let name = customer_group_name.as_ref().map(Name::as_str);
        let mut values: Vec<&(dyn ToSql + Sync)> = vec![&start, &limit, &offset];
        values.extend(parent.iter().map(|parent| parent as &(dyn ToSql + Sync)));
        values.extend(name.iter().map(|name| name as &(dyn ToSql + Sync)));
        let _turn = match customer_group_name {
            Some(_) => self.shares.search(key).await?,
            None => self.shares.call(key).await?,
        };
        let rows = query(&self.pool, statement, &values).await?;
        list(rows, page)?.ok_or_else(|| Error::internal("the list of all groups was not found"))
    }

    async fn ancestors(&self, id: GroupId, page: Page, key: Digest) -> Result<GroupStream, Error> {
        let path = self.batchers.ancestor_path(id).await?;
        if path.is_complete {
            let list = page.of(path.groups).map_err(|violation| Error::Invalid(violation.into()))?;
            Ok(list.into())
        } else {
            self.tree_list(*ANCESTORS, id, page, key).await
        }
    }

    async fn descendants(&self, id: GroupId, page: Page, key: Digest) -> Result<GroupStream, Error> {
        if page.is_all() {
            let groups = self.stream(*ALL_DESCENDANTS, &[&id.uuid()], page, key).await?;
            groups.ok_or_else(|| Error::not_found(id))
        } else {
            self.tree_list(*DESCENDANTS, id, page, key).await
        }
    }

    async fn tree_list(
        &self,
        statement: Statement,
        id: GroupId,
        page: Page,
        key: Digest,
    ) -> Result<GroupStream, Error> {
        let ((start, limit, offset), uuid) = (bounds(page), id.uuid());
        let values: &Values<'_> = &[&start, &limit, &offset, &uuid];
        let groups = if page.limit.is_some_and(|limit| limit <= MAX_AT_ONCE) {
            // A page of descendants walks the whole subtree.
            let is_walk = statement.name == DESCENDANTS.name;
            let _turn = if is_walk { self.shares.search(key).await? } else { self.shares.call(key).await? };
            list(query(&self.pool, statement, values).await?, page)?.map(GroupStream::from)
        } else {
            self.stream(statement, values, page, key).await?
        };
        groups.ok_or_else(|| Error::not_found(id))
    }
}

/// The object to start after, one more than the limit, and the number of groups to skip.
fn bounds(page: Page) -> (Option<Uuid>, Option<i64>, i64) {
    let limit = page.limit.map(|limit| i64::from(limit) + 1);
    (page.starting_after.map(GroupId::uuid), limit, i64::from(page.offset))
}
