//! Lists of groups.

use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::domain::{Consistency, FieldInput, GroupFilter, GroupId, GroupList, Name, Page};
use crate::error::Error;
use crate::store::Store;
use crate::store::exec::{Statement, Values, query};
use crate::store::groups::group_reader::GroupReader;
use crate::store::groups::group_stream::GroupStream;
use crate::store::groups::pages::{
    BY_NAME, BY_PARENT, BY_PARENT_AND_NAME, CHILDREN, LIST, ROOTS, ROOTS_BY_NAME,
};
use crate::store::groups::rows::list;
use crate::store::groups::walks::{ALL_DESCENDANTS, ANCESTORS, DESCENDANTS};

/// The most groups that are read at once. Longer lists are streamed.
const MAX_AT_ONCE: u32 = 1000;

impl Store {
    /// A page of the groups that meet the filter, the most recently created first.
    pub async fn list(
        &self,
        page: Page,
        filter: &GroupFilter,
        consistency: Consistency,
    ) -> Result<GroupList, Error> {
        self.read(consistency, |reader| async move { reader.list(page, filter).await }).await
    }

    /// The children of a group, the most recently created first.
    pub async fn children(
        &self,
        id: GroupId,
        page: Page,
        consistency: Consistency,
    ) -> Result<GroupStream, Error> {
        self.read(consistency, |reader| async move { reader.tree_list(*CHILDREN, id, page).await }).await
    }

    /// The ancestors of a group, its parent first. The page may only start after one of them.
    pub async fn ancestors(
        &self,
        id: GroupId,
        page: Page,
        consistency: Consistency,
    ) -> Result<GroupStream, Error> {
        self.read(consistency, |reader| async move { reader.ancestors(id, page).await }).await
    }

    /// The descendants of a group, level by level. The page may only start after one of them.
    pub async fn descendants(
        &self,
        id: GroupId,
        page: Page,
        consistency: Consistency,
    ) -> Result<GroupStream, Error> {
        self.read(consistency, |reader| async move { reader.descendants(id, page).await }).await
    }
}

impl GroupReader {
    async fn list(&self, page: Page, filter: &GroupFilter) -> Result<GroupList, Error> {
        let GroupFilter { parent_id, customer_group_name } = filter;
        let statement = match (parent_id, customer_group_name) {
            (FieldInput::Absent, None) => *LIST,
            (FieldInput::Absent, Some(_)) => *BY_NAME,
            (FieldInput::Null, None) => *ROOTS,
            (FieldInput::Null, Some(_)) => *ROOTS_BY_NAME,
            (FieldInput::Value(_), None) => *BY_PARENT,
            (FieldInput::Value(_), Some(_)) => *BY_PARENT_AND_NAME,
        };
        let (start, limit, offset) = bounds(page);
        let parent = parent_id.clone().value().map(GroupId::uuid);
        let name = customer_group_name.as_ref().map(escaped);
        let mut values: Vec<&(dyn ToSql + Sync)> = vec![&start, &limit, &offset];
        values.extend(parent.iter().map(|parent| parent as &(dyn ToSql + Sync)));
        values.extend(name.iter().map(|name| name as &(dyn ToSql + Sync)));
        let rows = query(&self.pool, statement, &values).await?;
        list(&rows, page)?.ok_or_else(|| Error::internal("the list of all groups was not found"))
    }

    async fn ancestors(&self, id: GroupId, page: Page) -> Result<GroupStream, Error> {
        let path = self.batchers.ancestor_path(id).await?;
        if path.is_complete {
            let list = page.of(path.groups).map_err(|violation| Error::Invalid(violation.into()))?;
            Ok(list.into())
        } else {
            self.tree_list(*ANCESTORS, id, page).await
        }
    }

    async fn descendants(&self, id: GroupId, page: Page) -> Result<GroupStream, Error> {
        if page.is_all() {
            let groups = self.streams.start(*ALL_DESCENDANTS, &[&id.uuid()], page).await?;
            groups.ok_or_else(|| Error::not_found(id))
        } else {
            self.tree_list(*DESCENDANTS, id, page).await
        }
    }

    async fn tree_list(&self, statement: Statement, id: GroupId, page: Page) -> Result<GroupStream, Error> {
        let ((start, limit, offset), uuid) = (bounds(page), id.uuid());
        let values: &Values<'_> = &[&start, &limit, &offset, &uuid];
        let groups = if page.limit.is_some_and(|limit| limit <= MAX_AT_ONCE) {
            list(&query(&self.pool, statement, values).await?, page)?.map(GroupStream::from)
        } else {
            self.streams.start(statement, values, page).await?
        };
        groups.ok_or_else(|| Error::not_found(id))
    }
}

/// Escapes a text for `like`.
fn escaped(text: &Name) -> String {
    let mut pattern = String::with_capacity(text.as_str().len());
    for character in text.as_str().chars() {
        if matches!(character, '\\' | '%' | '_') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern
}

/// The object to start after, one more than the limit, and the number of groups to skip.
fn bounds(page: Page) -> (Option<Uuid>, Option<i64>, i64) {
    let limit = page.limit.map(|limit| i64::from(limit) + 1);
    (page.starting_after.map(GroupId::uuid), limit, i64::from(page.offset))
}
