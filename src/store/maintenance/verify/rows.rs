//! Checks of single rows.

use std::time::SystemTime;

use tokio_postgres::Row;
use uuid::Uuid;

use crate::domain::{Field, IdempotencyKey, MAX_BATCH, Name, Timestamp, excerpt, field};
use crate::error::Error;
use crate::store::groups::rows;
use crate::store::keys;
use rows::{COLUMNS, column, group_id, read, shown};

/// The column after those of the group: whether the parent exists.
const PARENT_EXISTS: usize = COLUMNS;

/// Describes the first problem of a group.
pub(super) fn group(row: &Row) -> Option<String> {
    let error = check_group(row).err()?;
    let id = read::<Uuid>(row, 0).map_or_else(|_| "unknown".to_owned(), |id| id.to_string());
    Some(format!("id {id}: {}; correct its row in customer_group", cause(&error)))
}

fn check_group(row: &Row) -> Result<(), Error> {
    let updated_at: SystemTime = read(row, 1)?;
    check_time(field::UPDATED_AT, updated_at)?;
    let group = rows::group(row, 0)?;
    check_name(field::CUSTOMER_GROUP_NAME, read(row, column(Field::CustomerGroupName))?)?;
    if SystemTime::try_from(group.updated_at).map_err(Error::internal)? != updated_at {
        return Err(Error::internal("updated_at is more precise than milliseconds"));
    }
    if group.updated_at < group.created_at() {
        let (updated, created) = (group.updated_at, group.created_at());
        return Err(Error::internal(format!(
            "updated_at is {updated}, which is before the creation at {created}"
        )));
    }
    Ok(())
}

/// Describes a missing parent.
pub(super) fn orphan(row: &Row) -> Option<String> {
    let (id, parent) =
        (read::<Uuid>(row, 0).ok()?, read::<Option<Uuid>>(row, column(Field::ParentId)).ok()??);
    let exists = read::<bool>(row, PARENT_EXISTS).ok()?;
    let remedy = "give it another parent_id, or null";
    (!exists).then(|| format!("{}: its parent {} does not exist; {remedy}", shown(id), shown(parent)))
}

/// Describes the first problem of an idempotency record.
pub(super) fn record(row: &Row) -> Option<String> {
    let error = check_record(row).err()?;
    let key = read::<&str>(row, 1).map_or_else(|_| "unknown".to_owned(), excerpt);
    Some(format!("key {key}: {}; delete its row from idempotency_key", cause(&error)))
}

fn check_record(row: &Row) -> Result<(), Error> {
    check_digest(read(row, 0)?)?;
    IdempotencyKey::parse([read::<&str>(row, 1)?.as_bytes()])
        .map_err(|violation| Error::internal(violation.description))?;
    check_digest(read(row, 2)?)?;
    group_id(read(row, 3)?)?;
    if let Some(ids) = read::<Option<Vec<Uuid>>>(row, 4)? {
        if !(1..=MAX_BATCH).contains(&ids.len()) {
            return Err(Error::internal(format!("its batch has {} groups", ids.len())));
        }
        ids.into_iter().try_for_each(|id| group_id(id).map(drop))?;
    }
    check_time("created_at", read(row, 5)?)
}

/// Describes the first problem of an API key.
pub(super) fn key(row: &Row) -> Option<String> {
    let error = check_key(row).err()?;
    let id = read::<Uuid>(row, 0).map_or_else(|_| "unknown".to_owned(), |id| id.to_string());
    Some(format!("id {id}: {}; correct its row in api_key, or delete it", cause(&error)))
}

fn check_key(row: &Row) -> Result<(), Error> {
    for (column, name) in [(4, "expires_at"), (5, "last_used_at"), (6, "revoked_at")] {
        read::<Option<SystemTime>>(row, column)?.map_or(Ok(()), |time| check_time(name, time))?;
    }
    keys::key(row)?;
    check_name("name", read(row, 1)?)?;
    check_digest(read(row, 7)?)
}

fn check_name(field: &str, stored: &str) -> Result<(), Error> {
    let name = Name::stored(field, stored).map_err(|violation| Error::internal(violation.description))?;
    if name.as_str() == stored {
        Ok(())
    } else {
        Err(Error::internal(format!("{field} has surrounding white space: {}", excerpt(stored))))
    }
}

fn check_digest(digest: &[u8]) -> Result<(), Error> {
    <[u8; 32]>::try_from(digest)
        .map(drop)
        .map_err(|_| Error::internal(format!("a digest has {} bytes instead of 32", digest.len())))
}

fn check_time(column: &str, time: SystemTime) -> Result<(), Error> {
    Timestamp::try_from(time)
        .map(drop)
        .map_err(|error| Error::internal(format!("{column} is out of range: {error}")))
}

fn cause(error: &Error) -> String {
    error.cause().unwrap_or_else(|| error.to_string())
}
