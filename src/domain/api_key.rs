//! API keys: the secret, the stored key and its rights.

use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};

use percent_encoding::percent_decode_str;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;
use uuid::Uuid;

use super::{KeyId, Timestamp};

/// The kind of keys that a service accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Keys with the prefix `sk_test_`.
    Test,
    /// Keys with the prefix `sk_live_`.
    Live,
}

impl Mode {
    /// The prefix of every key of this mode.
    #[must_use]
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Test => "sk_test_",
            Self::Live => "sk_live_",
        }
    }

    /// The name in settings and listings: `test` or `live`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Test => "test",
            Self::Live => "live",
        }
    }

    /// The inverse of [`Mode::name`].
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Test, Self::Live].into_iter().find(|mode| mode.name() == name)
    }

    /// The mode of a key, by its prefix.
    #[must_use]
    pub fn of(key: &str) -> Option<Self> {
        [Self::Test, Self::Live].into_iter().find(|mode| key.starts_with(mode.prefix()))
    }
}

/// The rights of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Read only.
    Read,
    /// Read and write.
    Write,
}

impl Scope {
    /// The name in listings: `read` or `write`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }

    /// The inverse of [`Scope::name`].
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Read, Self::Write].into_iter().find(|scope| scope.name() == name)
    }
}

/// The text of a key. It is shown once, when the key is created, and never logged. Only its digest can be compared.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// The fewest characters of a key, against guessing.
    const MIN_LENGTH: usize = 24;

    /// Generates a key with 128 random bits from the operating system.
    pub fn generate(mode: Mode) -> Result<Self, getrandom::Error> {
        let mut bits = [0; 16];
        getrandom::fill(&mut bits)?;
        Ok(Self(format!("{}{}", mode.prefix(), Uuid::from_bytes(bits).simple())))
    }

    /// Parses a key. The error does not contain the text.
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

    /// The text, to show it when the key is created.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The digest to store.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest(Sha256::digest(&self.0).into())
    }
}

/// Replaces every API key in a text of a caller, for the log. Also finds keys that are percent-encoded.
#[must_use]
pub(crate) fn redacted(text: &str) -> Cow<'_, str> {
    let decoded = percent_decode_str(text).decode_utf8_lossy();
    let (mut shown, mut rest) = (String::new(), &decoded[..]);
    while let Some(start) = find_key(rest) {
        let (before, key) = rest.split_at(start);
        let end = key.find(|character: char| !(character.is_ascii_alphanumeric() || character == '_'));
        shown.push_str(before);
        shown.push_str("sk_…");
        rest = &key[end.unwrap_or(key.len())..];
    }
    if shown.is_empty() {
        return text.into();
    }
    shown.push_str(rest);
    shown.into()
}

/// Returns the first place where an API key may begin.
pub(crate) fn find_key(text: &str) -> Option<usize> {
    [Mode::Test, Mode::Live].into_iter().filter_map(|mode| text.find(mode.prefix())).min()
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The SHA-256 of a key. The time of a comparison does not depend on the values.
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

/// A stored key.
#[derive(Debug, Clone)]
pub struct Key {
    /// Contains the creation time.
    pub id: KeyId,
    /// A label for people.
    pub name: String,
    /// The rights.
    pub scope: Scope,
    /// The kind of service that accepts it.
    pub mode: Mode,
    /// The end of its validity; `None` for a key that is valid until it is revoked.
    pub expires_at: Option<Timestamp>,
    /// The minute of its last use; `None` for a key that was never used.
    pub last_used_at: Option<Timestamp>,
    /// The time of its revocation.
    pub revoked_at: Option<Timestamp>,
}

impl Key {
    /// Whether the key is neither revoked nor expired.
    #[must_use]
    pub fn is_valid(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| end > now)
    }
}

/// The authenticated caller.
#[derive(Debug, Clone, Copy)]
pub struct Principal {
    /// The key; `None` for the one from `API_KEY`.
    pub key: Option<KeyId>,
    /// The key's digest.
    pub digest: Digest,
    /// The rights.
    pub scope: Scope,
}

impl Principal {
    /// The name in logs: the id of the key, or `API_KEY`.
    #[must_use]
    pub fn name(&self) -> String {
        self.key.map_or_else(|| "API_KEY".to_owned(), |id| id.to_string())
    }
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
    fn a_key_in_a_text_is_replaced() {
        for (text, shown) in [
            ("/livez", "/livez"),
            ("/a/sk_test_0123/b?sk_live_4567", "/a/sk_…/b?sk_…"),
            ("/%73k_test_0123", "/sk_…"),
            ("sk_test_", "sk_…"),
        ] {
            assert_eq!(redacted(text), shown);
        }
    }

    #[test]
    fn a_key_never_shows_in_a_debug_output() {
        let key = Secret::generate(Mode::Live).unwrap();
        assert_eq!(format!("{key:?}"), "Secret(…)");
    }
}
