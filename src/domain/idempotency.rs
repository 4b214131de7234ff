//! Keys by which a caller repeats a create without making a second group.

use std::fmt;

use super::violation::{Violation, ViolationKind, excerpt, field};

/// A caller's name for one create: 1 to 255 printable ASCII characters, which mean nothing to the service.
#[derive(Clone, PartialEq, Eq)]
pub struct IdempotencyKey(String);

/// What tells one create from another: the SHA-256 of all that it asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint(pub [u8; 32]);

impl IdempotencyKey {
    const MAX_CHARACTERS: usize = 255;

    /// Takes the values of the header or the metadata of that name; `None` when there are none.
    ///
    /// # Errors
    ///
    /// A violation when there are several, or when the one is empty, too long or has other characters.
    pub fn parse<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> Result<Option<Self>, Violation> {
        let mut values = values.into_iter();
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err(invalid("is given twice; give it once"));
        }
        let text = String::from_utf8_lossy(value);
        let printable = text.chars().all(|character| matches!(character, ' '..='~'));
        if printable && (1..=Self::MAX_CHARACTERS).contains(&text.len()) {
            Ok(Some(Self(text.into_owned())))
        } else {
            let (shown, length, max) = (excerpt(&text), text.chars().count(), Self::MAX_CHARACTERS);
            let what =
                format!("is {shown}, of {length} characters; give it 1 to {max} printable ASCII characters");
            Err(invalid(&what))
        }
    }

    /// The key's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&excerpt(&self.0))
    }
}

fn invalid(what: &str) -> Violation {
    let name = field::IDEMPOTENCY_KEY;
    Violation::new(name, ViolationKind::Invalid, format!("{name} {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_one_to_255_printable_ascii_characters() {
        assert_eq!(IdempotencyKey::parse([]).unwrap(), None);
        for text in ["a", "8e03978e-40d5-43dd", "\"quoted, with a space\"", &"k".repeat(255)] {
            assert_eq!(IdempotencyKey::parse([text.as_bytes()]).unwrap().unwrap().as_str(), text);
        }
        for value in [b"".as_slice(), b"a\tb", b"\x7f", "é".as_bytes(), b"\xff", &[b'k'; 256]] {
            assert!(IdempotencyKey::parse([value]).is_err(), "{value:?}");
        }
        assert!(IdempotencyKey::parse([b"a".as_slice(), b"a"]).is_err());
    }
}
