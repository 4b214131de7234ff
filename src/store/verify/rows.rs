//! Whether a row is one that the service could have written.

use std::time::SystemTime;

use tokio_postgres::Row;
use uuid::Uuid;

use super::super::{keys, rows};
use crate::domain::{IdempotencyKey, MAX_BATCH, Name, Timestamp, excerpt, field};
use crate::error::Error;
use rows::{group_id, read, shown};

/// Where [`super::GROUPS`] says whether the parent exists.
const PARENT_EXISTS: usize = 8;

/// What is wrong with a group.
pub(super) fn group(row: &Row) -> Option<String> {
    let error = check_group(row).err()?;
    let id = read::<Uuid>(row, 0).map_or_else(|_| "without one".to_owned(), |id| id.to_string());
    Some(format!("id {id}: {}; correct its row in customer_group", cause(&error)))
}

fn check_group(row: &Row) -> Result<(), Error> {
    let updated_at: SystemTime = read(row, 1)?;
    check_time(field::UPDATED_AT, updated_at)?;
    let group = rows::group(row, 0)?;
    check_name(field::CUSTOMER_GROUP_NAME, read(row, 4)?)?;
    if SystemTime::try_from(group.updated_at).map_err(Error::internal)? != updated_at {
        return Err(Error::internal("updated_at is finer than milliseconds"));
    }
    if group.updated_at < group.created_at() {
        let (updated, created) = (group.updated_at, group.created_at());
        return Err(Error::internal(format!("updated_at is {updated}, before the creation at {created}")));
    }
    Ok(())
}

/// What is wrong with the edge of a group.
pub(super) fn orphan(row: &Row) -> Option<String> {
    let (id, parent) = (read::<Uuid>(row, 0).ok()?, read::<Option<Uuid>>(row, 2).ok()??);
    let exists = read::<bool>(row, PARENT_EXISTS).ok()?;
    let remedy = "give it another parent_id, or null";
    (!exists).then(|| format!("{}: its parent {} does not exist; {remedy}", shown(id), shown(parent)))
}

/// What is wrong with the record of an idempotency key.
pub(super) fn record(row: &Row) -> Option<String> {
    let error = check_record(row).err()?;
    let key = read::<&str>(row, 1).map_or_else(|_| "without one".to_owned(), excerpt);
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
            return Err(Error::internal(format!("it is of a batch of {} groups", ids.len())));
        }
        ids.into_iter().try_for_each(|id| group_id(id).map(drop))?;
    }
    check_time("created_at", read(row, 5)?)
}

/// What is wrong with an API key.
pub(super) fn key(row: &Row) -> Option<String> {
    let error = check_key(row).err()?;
    let id = read::<Uuid>(row, 0).map_or_else(|_| "without one".to_owned(), |id| id.to_string());
    Some(format!("id {id}: {}; correct its row in api_key, or delete it", cause(&error)))
}

fn check_key(row: &Row) -> Result<(), Error> {
    if let Some(time) = read(row, 4)? {
        check_time("revoked_at", time)?;
    }
    keys::key(row)?;
    check_name("name", read(row, 1)?)?;
    check_digest(read(row, 5)?)
}

fn check_name(field: &str, stored: &str) -> Result<(), Error> {
    let name = Name::parse(field, stored).map_err(|violation| Error::internal(violation.description))?;
    if name.as_str() == stored {
        Ok(())
    } else {
        Err(Error::internal(format!("{field} has white space around it: {}", excerpt(stored))))
    }
}

fn check_digest(digest: &[u8]) -> Result<(), Error> {
    <[u8; 32]>::try_from(digest)
        .map(drop)
        .map_err(|_| Error::internal(format!("a digest has {} bytes and not 32", digest.len())))
}

fn check_time(column: &str, time: SystemTime) -> Result<(), Error> {
    Timestamp::try_from(time)
        .map(drop)
        .map_err(|error| Error::internal(format!("{column} is out of range: {error}")))
}

/// What a fault is, in the words of the log.
fn cause(error: &Error) -> String {
    error.record().cause.unwrap_or_else(|| error.to_string())
}
