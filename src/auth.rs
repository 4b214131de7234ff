//! API keys: who calls, and what they may do.

use std::collections::HashMap;
use std::fmt;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::domain::{KeyId, Timestamp};
use crate::error::Error;
use crate::store::Store;

/// Which kind of keys opens this service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Keys that begin with `sk_test_`.
    Test,
    /// Keys that begin with `sk_live_`.
    Live,
}

impl Mode {
    /// What every key of this mode begins with.
    #[must_use]
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Test => "sk_test_",
            Self::Live => "sk_live_",
        }
    }

    /// The mode's name in settings and listings: `test` or `live`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Test => "test",
            Self::Live => "live",
        }
    }

    /// Reads [`Mode::name`] back.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Test, Self::Live].into_iter().find(|mode| mode.name() == name)
    }

    /// The mode that a key's beginning names.
    #[must_use]
    pub fn of(key: &str) -> Option<Self> {
        [Self::Test, Self::Live].into_iter().find(|mode| key.starts_with(mode.prefix()))
    }
}

/// What a key may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Reading.
    Read,
    /// Reading and writing.
    Write,
}

impl Scope {
    /// The scope's name in listings: `read` or `write`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }

    /// Reads [`Scope::name`] back.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Read, Self::Write].into_iter().find(|scope| scope.name() == name)
    }
}

/// A key's text. It is shown once, to the one who made it, and never logged.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The fewest characters of a key, so that it cannot be guessed.
    const MIN_LENGTH: usize = 24;

    /// Makes a key with 128 random bits from the operating system.
    ///
    /// # Errors
    ///
    /// [`Error::Internal`] when the operating system has no random bits.
    pub fn generate(mode: Mode) -> Result<Self, Error> {
        let mut bits = [0; 16];
        getrandom::fill(&mut bits).map_err(Error::internal)?;
        Ok(Self(format!("{}{}", mode.prefix(), Uuid::from_bytes(bits).simple())))
    }

    /// Takes a text as a key.
    ///
    /// # Errors
    ///
    /// What is wrong with it, without the text.
    pub fn parse(mode: Mode, text: &str) -> Result<Self, String> {
        match Mode::of(text) {
            Some(of) if of == mode => {}
            Some(of) => {
                return Err(format!(
                    "this is a {} key, and the service runs in {} mode",
                    of.name(),
                    mode.name()
                ));
            }
            None => return Err(format!("an API key of this service begins with {}", mode.prefix())),
        }
        if text.len() < Self::MIN_LENGTH || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!(
                "an API key has at least {} characters, each a letter, a digit or ASCII punctuation",
                Self::MIN_LENGTH
            ));
        }
        Ok(Self(text.to_owned()))
    }

    /// The text, for the one who made the key.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What is kept of the key.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest(Sha256::digest(&self.0).into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The SHA-256 of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest(pub [u8; 32]);

/// A key as it is kept.
#[derive(Debug, Clone)]
pub struct Key {
    /// By which it is revoked; also says when it was created.
    pub id: KeyId,
    /// For people.
    pub name: String,
    /// What it may be used for.
    pub scope: Scope,
    /// The kind of service that it opens.
    pub mode: Mode,
    /// Since when it opens nothing.
    pub revoked_at: Option<Timestamp>,
}

/// Who makes a call.
#[derive(Debug, Clone, Copy)]
pub struct Caller {
    /// The key; `None` for the one from `API_KEY`.
    pub key: Option<KeyId>,
    /// The key's digest.
    pub digest: Digest,
    /// What it may be used for.
    pub scope: Scope,
}

/// The permission to write.
#[derive(Debug, Clone, Copy)]
pub struct Writer {
    digest: Digest,
}

impl Writer {
    /// The digest of the key that writes.
    #[must_use]
    pub fn digest(self) -> Digest {
        self.digest
    }
}

impl Caller {
    /// The permission to write.
    ///
    /// # Errors
    ///
    /// [`Error::KeyReadOnly`].
    pub fn writer(self) -> Result<Writer, Error> {
        match self.scope {
            Scope::Read => Err(Error::KeyReadOnly),
            Scope::Write => Ok(Writer { digest: self.digest }),
        }
    }
}

/// The keys that open this service, held in memory so that a known key costs no query.
#[derive(Debug)]
pub struct KeyRing {
    store: Store,
    mode: Mode,
    configured: Option<Digest>,
    known: RwLock<HashMap<Digest, Caller>>,
}

impl KeyRing {
    /// A ring that knows only the key from `API_KEY`, if there is one, until it is refreshed.
    #[must_use]
    pub fn new(store: Store, mode: Mode, configured: Option<&Secret>) -> Self {
        Self { store, mode, configured: configured.map(Secret::digest), known: RwLock::default() }
    }

    /// Says who calls, from the value of the `Authorization` header (RFC 6750).
    ///
    /// # Errors
    ///
    /// [`Error::KeyMissing`] without a header; [`Error::KeyInvalid`] for a key that is malformed, of the
    /// other mode, unknown or revoked; what the store ends in for a key that is not known yet.
    pub async fn authenticate(&self, authorization: Option<&[u8]>) -> Result<Caller, Error> {
        let header = authorization.ok_or(Error::KeyMissing)?;
        let digest = Secret::parse(self.mode, bearer(header)?).map_err(Error::KeyInvalid)?.digest();
        if self.configured == Some(digest) {
            return Ok(Caller { key: None, digest, scope: Scope::Write });
        }
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner).get(&digest).copied();
        if let Some(caller) = known {
            return Ok(caller);
        }
        let found = self.store.find_key(digest).await?;
        let caller =
            found.ok_or_else(|| Error::KeyInvalid("this API key is unknown or revoked".to_owned()))?;
        self.known.write().unwrap_or_else(PoisonError::into_inner).insert(digest, caller);
        Ok(caller)
    }

    /// Reads the keys anew, within that time. A revoked key opens nothing from then on.
    ///
    /// # Errors
    ///
    /// What the store ends in. What was known stays known then.
    pub async fn refresh(&self, patience: Duration) -> Result<(), Error> {
        let keys = self.store.active_keys(patience).await?;
        let keys = keys.into_iter().map(|caller| (caller.digest, caller)).collect();
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = keys;
        Ok(())
    }

    /// Forgets every key, so that each is looked up at its next use: what was known may be out of date.
    pub fn forget(&self) {
        self.known.write().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// Takes the token from `Bearer <token>`; the scheme's case does not matter (RFC 9110, section 11.1).
fn bearer(header: &[u8]) -> Result<&str, Error> {
    let malformed = || Error::KeyInvalid("the Authorization header is not `Bearer <key>`".to_owned());
    let (scheme, token) =
        str::from_utf8(header).ok().and_then(|text| text.split_once(' ')).ok_or_else(malformed)?;
    if scheme.eq_ignore_ascii_case("bearer") { Ok(token.trim()) } else { Err(malformed()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_long_enough_and_of_the_mode() {
        let key = Secret::generate(Mode::Test).unwrap();
        assert_eq!(Secret::parse(Mode::Test, key.expose()), Ok(key.clone()));
        assert!(Secret::parse(Mode::Live, key.expose()).unwrap_err().contains("test key"));
        assert!(Secret::parse(Mode::Test, "sk_test_short").unwrap_err().contains("24 characters"));
        assert!(Secret::parse(Mode::Test, "sk_test_with a space in the middle").is_err());
        assert!(Secret::parse(Mode::Test, "hunter2").unwrap_err().contains("sk_test_"));
    }

    #[test]
    fn a_key_never_shows_in_a_debug_output() {
        let key = Secret::generate(Mode::Live).unwrap();
        assert_eq!(format!("{key:?}"), "Secret(…)");
    }

    #[test]
    fn the_scheme_is_read_in_any_case() {
        for header in ["Bearer k", "bearer k", "BEARER  k "] {
            assert_eq!(bearer(header.as_bytes()).unwrap(), "k");
        }
        for header in ["", "Bearer", "Basic k", "k", "Bearer\tk"] {
            assert!(bearer(header.as_bytes()).is_err(), "{header:?}");
        }
    }
}
