//! API keys.

use std::time::{Duration, SystemTime};

use tokio_postgres::Row;
use uuid::Uuid;

use super::Store;
use super::connection::{Statement, beat, query, write};
use super::rows::read;
use crate::auth::{Digest, Key, Mode, Principal, Scope};
use crate::domain::{KeyId, Timestamp};
use crate::error::Error;

const INSERT: Statement = Statement::new(
    "insert key",
    "insert into api_key (id, digest, name, scope, mode) values ($1, $2, $3, $4, $5)",
);

const LIST: Statement =
    Statement::new("list keys", "select id, name, scope, mode, revoked_at from api_key order by id");

const REVOKE: Statement = Statement::new(
    "revoke key",
    "update api_key set revoked_at = coalesce(revoked_at, now()) where id = $1 returning id",
);

/// In each row, and in one without a key when there are none, also whether the server takes no writes.
const ACTIVE: Statement = Statement::new(
    "active keys",
    "select id, scope, digest, current_setting('transaction_read_only')::boolean
     from (select) once left join api_key on revoked_at is null",
);

const FIND: Statement = Statement::new(
    "find key",
    "select id, scope, digest from api_key where digest = $1 and revoked_at is null",
);

impl Store {
    /// Keeps a key.
    ///
    /// # Errors
    ///
    /// Only those that every statement can end in, as for all of these.
    pub async fn insert_key(&self, key: &Key, digest: Digest) -> Result<(), Error> {
        let (scope, mode) = (key.scope.name(), key.mode.name());
        write(&self.pool, INSERT, &[&key.id.uuid(), &digest.0.as_slice(), &key.name, &scope, &mode]).await?;
        Ok(())
    }

    /// All keys, the revoked ones too, the oldest first.
    ///
    /// # Errors
    ///
    /// See [`Store::insert_key`].
    pub async fn list_keys(&self) -> Result<Vec<Key>, Error> {
        query(&self.pool, LIST, &[]).await?.iter().map(key).collect()
    }

    /// Revokes a key; `false` when there is none with this id. One that was revoked before stays so.
    ///
    /// # Errors
    ///
    /// See [`Store::insert_key`].
    pub async fn revoke_key(&self, id: KeyId) -> Result<bool, Error> {
        Ok(!write(&self.pool, REVOKE, &[&id.uuid()]).await?.is_empty())
    }

    /// All keys that open something, on the connection that does not wait behind calls. When this is not answered
    /// twice in a row, neither at all nor within `patience`, the database counts as away: all calls that are under
    /// way on it end in [`Error::Unavailable`] or [`Error::Interrupted`], and so do others at once until this is
    /// answered again.
    ///
    /// # Errors
    ///
    /// See [`Store::insert_key`]; [`Error::Unavailable`] also when the server takes no writes.
    pub async fn active_keys(&self, patience: Duration) -> Result<Vec<Principal>, Error> {
        let rows = beat(&self.watch, ACTIVE, patience).await?;
        if rows.first().map(|row| read(row, 3)).transpose()? == Some(true) {
            // The next connection may be to the server that has taken its place.
            self.watch.renew();
            return Err(Error::Unavailable("the server takes no writes".into()));
        }
        let mut principals = Vec::with_capacity(rows.len());
        for row in &rows {
            if read::<Option<Uuid>>(row, 0)?.is_some() {
                principals.push(principal(row)?);
            }
        }
        Ok(principals)
    }

    /// Who uses the key with this digest; `None` when it is unknown or revoked.
    ///
    /// # Errors
    ///
    /// See [`Store::insert_key`].
    pub async fn find_key(&self, digest: Digest) -> Result<Option<Principal>, Error> {
        let rows = query(&self.pool, FIND, &[&digest.0.as_slice()]).await?;
        rows.first().map(principal).transpose()
    }
}

fn principal(row: &Row) -> Result<Principal, Error> {
    let digest = <[u8; 32]>::try_from(read::<&[u8]>(row, 2)?).map_err(Error::internal)?;
    Ok(Principal { key: Some(id(read(row, 0)?)?), scope: scope(read(row, 1)?)?, digest: Digest(digest) })
}

/// Reads a key from the columns of [`LIST`].
pub(super) fn key(row: &Row) -> Result<Key, Error> {
    let mode = read(row, 3)?;
    let revoked_at = read::<Option<SystemTime>>(row, 4)?.map(Timestamp::try_from).transpose();
    Ok(Key {
        id: id(read(row, 0)?)?,
        name: read(row, 1)?,
        scope: scope(read(row, 2)?)?,
        mode: Mode::parse(mode)
            .ok_or_else(|| Error::internal(format!("a stored key has the mode {mode}")))?,
        revoked_at: revoked_at.map_err(Error::internal)?,
    })
}

fn id(uuid: Uuid) -> Result<KeyId, Error> {
    KeyId::from_uuid(uuid).ok_or_else(|| Error::internal(format!("the stored id {uuid} is no UUIDv7")))
}

fn scope(name: &str) -> Result<Scope, Error> {
    Scope::parse(name).ok_or_else(|| Error::internal(format!("a stored key has the scope {name}")))
}
