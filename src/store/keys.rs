//! API keys.

use std::time::{Duration, SystemTime};

use tokio_postgres::Row;
use uuid::Uuid;

use crate::domain::{Digest, Key, KeyId, Mode, Principal, Scope, Timestamp};
use crate::error::Error;
use crate::store::Store;
use crate::store::exec::{Statement, Values, probe, query, write};
use crate::store::groups::rows::read;

const INSERT: Statement = Statement::new(
    "insert key",
    "insert into api_key (id, digest, name, scope, mode, expires_at) values ($1, $2, $3, $4, $5, $6)",
);

const LIST: Statement = Statement::new(
    "list keys",
    "select id, name, scope, mode, expires_at, last_used_at, revoked_at from api_key order by id",
);

const REVOKE: Statement = Statement::new(
    "revoke key",
    "update api_key set revoked_at = coalesce(revoked_at, now()) where id = $1 returning id",
);

/// Returns the active keys, or one row without a key, each with whether the server is read-only.
const ACTIVE: Statement = Statement::new(
    "active keys",
    "select id, scope, digest, current_setting('transaction_read_only')::boolean
     from (select) once
     left join api_key on revoked_at is null and (expires_at is null or expires_at > now())",
);

const FIND: Statement = Statement::new(
    "find key",
    "select id, scope, digest from api_key
     where digest = $1 and revoked_at is null and (expires_at is null or expires_at > now())",
);

/// Updates a key at most once a minute, for all replicas together.
const RECORD_USE: Statement = Statement::new(
    "record use of keys",
    "update api_key set last_used_at = date_trunc('minute', now())
     where id = any($1) and (last_used_at is null or last_used_at < date_trunc('minute', now()))",
);

impl Store {
    /// Stores a key.
    pub async fn insert_key(&self, key: &Key, digest: Digest) -> Result<(), Error> {
        let (scope, mode) = (key.scope.name(), key.mode.name());
        let expires_at = key.expires_at.map(SystemTime::try_from).transpose().map_err(Error::internal)?;
        let values: &Values<'_> =
            &[&key.id.uuid(), &digest.0.as_slice(), &key.name, &scope, &mode, &expires_at];
        write(&self.pool, INSERT, values).await?;
        Ok(())
    }

    /// Returns all keys including the revoked ones, the oldest first.
    pub async fn list_keys(&self) -> Result<Vec<Key>, Error> {
        query(&self.pool, LIST, &[]).await?.iter().map(key).collect()
    }

    /// Revokes a key; `false` when the id is unknown. A revoked key stays revoked.
    pub async fn revoke_key(&self, id: KeyId) -> Result<bool, Error> {
        Ok(!write(&self.pool, REVOKE, &[&id.uuid()]).await?.is_empty())
    }

    /// Records that keys were used in this minute.
    pub(crate) async fn record_key_use(&self, keys: &[KeyId]) -> Result<(), Error> {
        let ids: Vec<Uuid> = keys.iter().map(|key| key.uuid()).collect();
        write(&self.background_pool()?, RECORD_USE, &[&ids]).await?;
        Ok(())
    }

    /// Returns all keys that are valid. This is the health probe: after two failures in a row, the circuit breaker
    /// ends all calls with [`Error::Unavailable`] or [`Error::Interrupted`], and refuses new ones until a probe succeeds.
    pub async fn active_keys(&self, patience: Duration) -> Result<Vec<Principal>, Error> {
        let rows = probe(&self.watch, ACTIVE, patience).await?;
        if rows.first().map(|row| read(row, 3)).transpose()? == Some(true) {
            // The next connection may reach the new primary.
            self.watch.close_idle();
            return Err(Error::Unavailable("the server accepts no writes".into()));
        }
        let mut principals = Vec::with_capacity(rows.len());
        for row in &rows {
            if read::<Option<Uuid>>(row, 0)?.is_some() {
                principals.push(principal(row)?);
            }
        }
        Ok(principals)
    }

    /// Returns the principal of the key with this digest; `None` when it is unknown, revoked or expired.
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
pub(crate) fn key(row: &Row) -> Result<Key, Error> {
    let mode = read(row, 3)?;
    Ok(Key {
        id: id(read(row, 0)?)?,
        name: read(row, 1)?,
        scope: scope(read(row, 2)?)?,
        mode: Mode::parse(mode)
            .ok_or_else(|| Error::internal(format!("a stored key has the invalid mode {mode}")))?,
        expires_at: time(row, 4)?,
        last_used_at: time(row, 5)?,
        revoked_at: time(row, 6)?,
    })
}

fn time(row: &Row, column: usize) -> Result<Option<Timestamp>, Error> {
    let time: Option<SystemTime> = read(row, column)?;
    time.map(Timestamp::try_from).transpose().map_err(Error::internal)
}

fn id(uuid: Uuid) -> Result<KeyId, Error> {
    KeyId::from_uuid(uuid).ok_or_else(|| Error::internal(format!("the stored id {uuid} is not a UUIDv7")))
}

fn scope(name: &str) -> Result<Scope, Error> {
    Scope::parse(name).ok_or_else(|| Error::internal(format!("a stored key has the invalid scope {name}")))
}
