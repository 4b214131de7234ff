//! API keys: who calls, and what they may do.

mod guesses;

use std::collections::HashMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;
use uuid::Uuid;

use crate::domain::{KeyId, Timestamp};
use crate::error::Error;
use crate::store::Store;
use guesses::Guesses;

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

/// A key's text. It is shown once, to the one who made it, and never logged. It cannot be compared; its digest can.
#[derive(Clone)]
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

/// The SHA-256 of a key. Comparing two takes the same time whether and wherever they differ.
#[derive(Debug, Clone, Copy)]
pub struct Digest(pub [u8; 32]);

impl PartialEq for Digest {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Digest {}

impl Hash for Digest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

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

/// Whom a key stands for.
#[derive(Debug, Clone, Copy)]
pub struct Principal {
    /// The key; `None` for the one from `API_KEY`.
    pub key: Option<KeyId>,
    /// The key's digest.
    pub digest: Digest,
    /// What it may be used for.
    pub scope: Scope,
}

impl Principal {
    /// What logs call it: the id of the key, or `API_KEY`.
    #[must_use]
    pub fn name(&self) -> String {
        self.key.map_or_else(|| "API_KEY".to_owned(), |id| id.to_string())
    }
}

/// Who makes a call.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Whom the key of the call stands for.
    pub principal: Principal,
    /// The id of the call.
    pub request_id: String,
}

/// The permission to write, in one call.
#[derive(Debug, Clone)]
pub struct Writer(Caller);

impl Writer {
    /// Who writes.
    #[must_use]
    pub fn principal(&self) -> Principal {
        self.0.principal
    }

    /// The id of the call that writes.
    #[must_use]
    pub fn request_id(&self) -> &str {
        &self.0.request_id
    }
}

impl Caller {
    /// The permission to write.
    ///
    /// # Errors
    ///
    /// [`Error::KeyReadOnly`].
    pub fn writer(self) -> Result<Writer, Error> {
        match self.principal.scope {
            Scope::Read => Err(Error::KeyReadOnly),
            Scope::Write => Ok(Writer(self)),
        }
    }
}

/// The keys that open this service, held in memory so that a known key costs no query.
#[derive(Debug)]
pub struct KeyRing {
    store: Store,
    mode: Mode,
    configured: Option<Digest>,
    known: RwLock<HashMap<Digest, Principal>>,
    guesses: Guesses,
}

impl KeyRing {
    /// A ring that knows only the key from `API_KEY`, if there is one, until it is refreshed.
    #[must_use]
    pub fn new(store: Store, mode: Mode, configured: Option<&Secret>) -> Self {
        let configured = configured.map(Secret::digest);
        Self { store, mode, configured, known: RwLock::default(), guesses: Guesses::default() }
    }

    /// Says whom a call from an address is for, from the value of the `Authorization` header (RFC 6750).
    ///
    /// # Errors
    ///
    /// [`Error::KeyMissing`] without a header; [`Error::KeyInvalid`] for a key that is malformed, of the
    /// other mode, unknown or revoked; [`Error::GuessLimited`] in its place when there were too many from there;
    /// what the store ends in for a key that is not known yet.
    pub async fn authenticate(
        &self,
        authorization: Option<&[u8]>,
        address: IpAddr,
    ) -> Result<Principal, Error> {
        let header = authorization.ok_or(Error::KeyMissing)?;
        let key = bearer(header).and_then(|text| Secret::parse(self.mode, text).map_err(Error::KeyInvalid));
        let digest = key.map(|key| key.digest());
        if let Some(known) = digest.as_ref().ok().and_then(|digest| self.recall(*digest)) {
            return Ok(known);
        }
        self.guesses.take(address)?;
        let found = self.look_up(digest?).await;
        if !matches!(found, Err(Error::KeyInvalid(_))) {
            self.guesses.give_back(address);
        }
        found
    }

    fn recall(&self, digest: Digest) -> Option<Principal> {
        if self.configured == Some(digest) {
            return Some(Principal { key: None, digest, scope: Scope::Write });
        }
        self.known.read().unwrap_or_else(PoisonError::into_inner).get(&digest).copied()
    }

    async fn look_up(&self, digest: Digest) -> Result<Principal, Error> {
        let found = self.store.find_key(digest).await?;
        let principal =
            found.ok_or_else(|| Error::KeyInvalid("this API key is unknown or revoked".to_owned()))?;
        self.known.write().unwrap_or_else(PoisonError::into_inner).insert(digest, principal);
        Ok(principal)
    }

    /// Reads the keys anew, within that time. A revoked key opens nothing from then on.
    ///
    /// # Errors
    ///
    /// What the store ends in. What was known stays known then.
    pub async fn refresh(&self, patience: Duration) -> Result<(), Error> {
        self.guesses.tidy();
        let keys = self.store.active_keys(patience).await?;
        let keys = keys.into_iter().map(|principal| (principal.digest, principal)).collect();
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
        assert_eq!(Secret::parse(Mode::Test, key.expose()).unwrap().digest(), key.digest());
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
