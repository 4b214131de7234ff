//! Deletes of groups.

use std::time::SystemTime;

use crate::domain::{Digest, Etag, GroupId, Preconditions, Versions};
use crate::error::Error;
use crate::store::Store;
use crate::store::exec::{Statement, Values, write};
use crate::store::groups::rows::{PARENT_KEY, read};

/// Deletes the group `$1` if its version is one of `$2` and none of `$3`. Returns whether it existed, and whether it is
/// deleted.
const DELETE: Statement = Statement::new(
    "delete group",
    "with found as (
         select from customer_group where id = $1
     ), deleted as (
         delete from customer_group
         where id = $1 and ($2::timestamptz[] is null or updated_at = any($2)) and updated_at <> all($3::timestamptz[])
         returning id
     )
     select exists (select from found), exists (select from deleted)",
);

impl Store {
    /// Deletes a group that has no children.
    pub(crate) async fn delete(
        &self,
        id: GroupId,
        preconditions: &Preconditions,
        caller: Digest,
    ) -> Result<(), Error> {
        let VersionFilter { allowed, excluded } = VersionFilter::of(preconditions)?;
        let _turn = self.reader.shares.call(caller).await?;
        let values: &Values<'_> = &[&id.uuid(), &allowed, &excluded];
        let rows = write(&self.pool, DELETE, values).await.map_err(|failure| {
            if failure.violates_foreign_key(PARENT_KEY) { Error::HasChildren(id) } else { failure.into() }
        })?;
        let row = rows.first().ok_or_else(|| Error::internal("a delete returned no row"))?;
        if read(row, 1)? { Ok(()) } else { Err(not_matched(id, read(row, 0)?, preconditions)) }
    }
}

/// The versions that a statement may change, as its parameters.
pub(super) struct VersionFilter {
    /// `None` for any.
    pub(super) allowed: Option<Vec<SystemTime>>,
    pub(super) excluded: Vec<SystemTime>,
}

impl VersionFilter {
    pub(super) fn of(preconditions: &Preconditions) -> Result<Self, Error> {
        let times = |etags: &[Etag]| {
            let times = etags.iter().map(|etag| etag.updated_at().try_into().map_err(Error::internal));
            times.collect::<Result<Vec<_>, _>>()
        };
        Ok(match preconditions.versions() {
            (_, Versions::Any) => Self { allowed: Some(Vec::new()), excluded: Vec::new() },
            (Versions::Any, Versions::OneOf(excluded)) => Self { allowed: None, excluded: times(excluded)? },
            (Versions::OneOf(allowed), Versions::OneOf(excluded)) => {
                Self { allowed: Some(times(allowed)?), excluded: times(excluded)? }
            }
        })
    }
}

/// The reason why a statement changed no group. A group that existed when the statement began may be deleted or have
/// another version by the time that the statement locks it.
pub(super) fn not_matched(id: GroupId, existed: bool, preconditions: &Preconditions) -> Error {
    if existed && !preconditions.is_empty() { Error::EtagMismatch(id) } else { Error::not_found(id) }
}
