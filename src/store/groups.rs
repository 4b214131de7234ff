//! Customer groups: the statements, and what their rows mean.

use std::time::SystemTime;

use tokio_postgres::Row;

use super::Store;
use super::connection::{Statement, Values, query, write, write_under_lock};
use super::failure::Failure;
use super::rows::{columns, group, has_group, read};
use crate::domain::{Change, Changes, CustomerGroup, GroupId, IfMatch, Name, Text, Violation};
use crate::error::Error;

/// The foreign key from a group to its parent.
pub(super) const PARENT_KEY: &str = "customer_group_parent_id_fkey";

/// The advisory lock that serialises moves: `cg_move` in ASCII.
const MOVE_LOCK: i64 = 0x63_67_5f_6d_6f_76_65;

/// Answers whether the group was there, and whether it was in one of the versions and is deleted.
const DELETE: Statement = Statement::new(
    "delete group",
    "
    with found as (
        select from customer_group where id = $1
    ), deleted as (
        delete from customer_group where id = $1 and ($2::timestamptz[] is null or updated_at = any($2))
        returning id
    )
    select exists (select from found), exists (select from deleted)",
);

/// Whether `$1` exists, and why `$2` cannot be its parent: `chain` is `$2` with its ancestors.
macro_rules! parent_check {
    () => {
        "with recursive chain as (
             select id, parent_id from customer_group where id = $2::uuid
             union all
             select g.id, g.parent_id from chain join customer_group g on g.id = chain.parent_id
         ), parent_check as (
             select exists (select from customer_group where id = $1::uuid) as child_exists,
                    $2::uuid is not null and not exists (select from chain) as parent_missing,
                    exists (select from chain where id = $1::uuid) as cycle
         )"
    };
}

const CHECK_PARENT: Statement = Statement::new(
    "check parent",
    concat!(parent_check!(), " select child_exists, parent_missing, cycle from parent_check"),
);

/// Answers exactly one row, with a group in it where one was updated. Updates within one millisecond still
/// differ in `updated_at`.
const UPDATE: Statement = Statement::new(
    "update group",
    concat!(
        parent_check!(),
        ", updated as (
         update customer_group g set
             updated_at = greatest(date_trunc('milliseconds', clock_timestamp()),
                                   g.updated_at + interval '1 millisecond'),
             parent_id = case when $3 then $2 else g.parent_id end,
             is_group = coalesce($4, g.is_group),
             customer_group_name = coalesce($5, g.customer_group_name),
             parent_customer_group = case when $6 then $7 else g.parent_customer_group end,
             default_price_list = case when $8 then $9 else g.default_price_list end,
             payment_terms = case when $10 then $11 else g.payment_terms end
         from parent_check
         where g.id = $1 and not parent_missing and not cycle
           and ($12::timestamptz[] is null or g.updated_at = any($12))
         returning ",
        columns!("g"),
        ")
     select child_exists, parent_missing, cycle, ",
        columns!("updated"),
        " from parent_check left join updated on true"
    ),
);

/// What the database knows of a parent that a request names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParentCheck {
    /// Whether the group that is to get the parent exists.
    pub child_exists: bool,
    /// Why the parent cannot be its parent.
    pub violation: Option<Violation>,
}

impl Store {
    /// One group.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`].
    pub async fn get(&self, id: GroupId) -> Result<CustomerGroup, Error> {
        self.lists.reads.get(id).await?.ok_or_else(|| Error::not_found(&id.to_string()))
    }

    /// Changes a group. Moves below another group are made one after the other, so that no two of them can
    /// close a cycle together.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`]; [`Error::Invalid`] when the new parent does not exist, is the group itself, or
    /// is below it; [`Error::EtagMismatch`].
    pub async fn update(
        &self,
        id: GroupId,
        changes: &Changes,
        if_match: &IfMatch,
    ) -> Result<CustomerGroup, Error> {
        let versions = versions(if_match)?;
        let (moves, parent) = nullable(&changes.parent_id, |id| id.uuid());
        let is_group = set(&changes.is_group);
        let name = set(&changes.customer_group_name).map(Name::as_str);
        let (sets_parent_group, parent_group) = nullable(&changes.parent_customer_group, Text::as_str);
        let (sets_price_list, price_list) = nullable(&changes.default_price_list, Text::as_str);
        let (sets_terms, terms) = nullable(&changes.payment_terms, Text::as_str);
        let values: &Values<'_> = &[
            &id.uuid(),
            &parent,
            &moves,
            &is_group,
            &name,
            &sets_parent_group,
            &parent_group,
            &sets_price_list,
            &price_list,
            &sets_terms,
            &terms,
            &versions,
        ];

        let rows = if parent.is_some() {
            write_under_lock(&self.pool, MOVE_LOCK, UPDATE, values).await
        } else {
            write(&self.pool, UPDATE, values).await
        };
        let parent = parent.and_then(GroupId::from_uuid);
        let rows = rows.map_err(|failure| parent_not_found(failure, parent))?;
        let row = rows.first().ok_or_else(|| Error::internal("an update answered no row"))?;

        let check = parent_check(row, parent)?;
        match check.violation {
            Some(violation) if check.child_exists => Err(Error::Invalid(violation.into())),
            None if has_group(row, GROUP_AFTER_CHECK)? => group(row, GROUP_AFTER_CHECK),
            Some(_) | None => Err(untouched(id, check.child_exists, if_match)),
        }
    }

    /// Whether a group exists, and why another cannot be its parent.
    ///
    /// # Errors
    ///
    /// Only those that every statement can end in.
    pub async fn check_parent(
        &self,
        child: Option<GroupId>,
        parent: Option<GroupId>,
    ) -> Result<ParentCheck, Error> {
        let values: &Values<'_> = &[&child.map(GroupId::uuid), &parent.map(GroupId::uuid)];
        let rows = query(&self.pool, CHECK_PARENT, values).await?;
        let row = rows.first().ok_or_else(|| Error::internal("a check of a parent answered no row"))?;
        parent_check(row, parent)
    }

    /// Deletes a group.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], [`Error::HasChildren`], [`Error::EtagMismatch`].
    pub async fn delete(&self, id: GroupId, if_match: &IfMatch) -> Result<(), Error> {
        let values: &Values<'_> = &[&id.uuid(), &versions(if_match)?];
        let rows = write(&self.pool, DELETE, values).await.map_err(|failure| {
            if failure.violates_foreign_key(PARENT_KEY) { Error::HasChildren(id) } else { failure.into() }
        })?;
        let row = rows.first().ok_or_else(|| Error::internal("a delete answered no row"))?;
        if read(row, 1)? { Ok(()) } else { Err(untouched(id, read(row, 0)?, if_match)) }
    }
}

/// Where the group begins in a row that begins with a check of its parent.
const GROUP_AFTER_CHECK: usize = 3;

/// The versions that a statement may touch; `None` for any.
fn versions(if_match: &IfMatch) -> Result<Option<Vec<SystemTime>>, Error> {
    match if_match {
        IfMatch::Any => Ok(None),
        IfMatch::OneOf(etags) => {
            let times = etags.iter().map(|etag| etag.updated_at().try_into().map_err(Error::internal));
            times.collect::<Result<_, _>>().map(Some)
        }
    }
}

/// Why a statement touched no group. One that was there when the statement began may be gone, or have another
/// version, when it gets to it.
fn untouched(id: GroupId, was_there: bool, if_match: &IfMatch) -> Error {
    match if_match {
        IfMatch::OneOf(_) if was_there => Error::EtagMismatch(id),
        IfMatch::OneOf(_) | IfMatch::Any => Error::not_found(&id.to_string()),
    }
}

fn set<T>(change: &Change<T>) -> Option<&T> {
    match change {
        Change::Keep => None,
        Change::Set(value) => Some(value),
    }
}

/// Whether a nullable column changes, and to what.
fn nullable<'a, T, U>(change: &'a Change<Option<T>>, column: impl Fn(&'a T) -> U) -> (bool, Option<U>) {
    match change {
        Change::Keep => (false, None),
        Change::Set(value) => (true, value.as_ref().map(column)),
    }
}

pub(super) fn parent_not_found(failure: Failure, parent: Option<GroupId>) -> Error {
    match parent {
        Some(parent) if failure.violates_foreign_key(PARENT_KEY) => {
            Error::Invalid(Violation::parent_not_found(&parent.to_string()).into())
        }
        Some(_) | None => failure.into(),
    }
}

fn parent_check(row: &Row, parent: Option<GroupId>) -> Result<ParentCheck, Error> {
    let (child_exists, parent_missing, cycle) = (read(row, 0)?, read(row, 1)?, read(row, 2)?);
    let violation = parent.and_then(|parent| match (parent_missing, cycle) {
        (true, _) => Some(Violation::parent_not_found(&parent.to_string())),
        (false, true) => Some(Violation::parent_cycle(&parent.to_string())),
        (false, false) => None,
    });
    Ok(ParentCheck { child_exists, violation })
}
