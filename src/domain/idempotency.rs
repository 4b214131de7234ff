//! Idempotency keys: a create that is repeated under its key makes no second group.

use std::fmt;

use super::{Text, Violation, ViolationKind, excerpt, field};

/// A caller's name for one create: 1 to 255 printable ASCII characters.
#[derive(Clone, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// As for other texts.
    pub(crate) const MAX_CHARACTERS: usize = Text::MAX_CHARACTERS;

    /// Parses the values of the header or metadata; `None` if there are none. More than one is a violation.
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

    /// The text.
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
