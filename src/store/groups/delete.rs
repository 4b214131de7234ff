//! Deletes of groups.

use std::time::SystemTime;

use crate::domain::{Digest, GroupId, IfMatch};
use crate::error::Error;
use crate::store::Store;
use crate::store::exec::{Statement, Values, write};
use crate::store::groups::rows::{PARENT_KEY, read};

/// Deletes the group `$1` if its version is one of `$2`. Returns whether it existed, and whether it is deleted.
const DELETE: Statement = Statement::new(
    "delete group",
    "with found as (
         select from customer_group where id = $1
     ), deleted as (
         delete from customer_group where id = $1 and ($2::timestamptz[] is null or updated_at = any($2))
         returning id
     )
     select exists (select from found), exists (select from deleted)",
);

impl Store {
    /// Deletes a group that has no children.
    pub(crate) async fn delete(&self, id: GroupId, if_match: &IfMatch, caller: Digest) -> Result<(), Error> {
        let _turn = self.reader.shares.call(caller).await?;
        let values: &Values<'_> = &[&id.uuid(), &versions(if_match)?];
        let rows = write(&self.pool, DELETE, values).await.map_err(|failure| {
            if failure.violates_foreign_key(PARENT_KEY) { Error::HasChildren(id) } else { failure.into() }
        })?;
        let row = rows.first().ok_or_else(|| Error::internal("a delete returned no row"))?;
        if read(row, 1)? { Ok(()) } else { Err(not_matched(id, read(row, 0)?, if_match)) }
    }
}

/// The versions that a statement may change; `None` for any.
pub(super) fn versions(if_match: &IfMatch) -> Result<Option<Vec<SystemTime>>, Error> {
    match if_match {
        IfMatch::Any => Ok(None),
        IfMatch::OneOf(etags) => {
            let times = etags.iter().map(|etag| etag.updated_at().try_into().map_err(Error::internal));
            times.collect::<Result<_, _>>().map(Some)
        }
    }
}

/// The reason why a statement changed no group. A group that existed when the statement began may be deleted or have
/// another version by the time that the statement locks it.
pub(super) fn not_matched(id: GroupId, existed: bool, if_match: &IfMatch) -> Error {
    match if_match {
        IfMatch::OneOf(_) if existed => Error::EtagMismatch(id),
        IfMatch::OneOf(_) | IfMatch::Any => Error::not_found(id),
    }
}
