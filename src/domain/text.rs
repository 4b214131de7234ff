//! The kinds of text in a customer group.

use super::{Violation, ViolationKind, excerpt};

/// A display name: 1 to [`Text::MAX_CHARACTERS`] characters, no control characters, no white space around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(String);

impl Name {
    /// Removes the white space around `text` and checks the rest.
    pub fn parse(field: &str, text: &str) -> Result<Self, Violation> {
        let name = text.trim();
        if name.is_empty() {
            return Err(missing(field));
        }
        check(field, name)?;
        Ok(Self(name.to_owned()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A text of up to [`Text::MAX_CHARACTERS`] characters, without control characters. It may be empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text(String);

impl Text {
    /// The most characters (Unicode code points) of any text.
    pub const MAX_CHARACTERS: usize = 255;

    /// Checks `text` and keeps it as it is.
    pub fn parse(field: &str, text: String) -> Result<Self, Violation> {
        check(field, &text)?;
        Ok(Self(text))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl From<Text> for String {
    fn from(text: Text) -> Self {
        text.0
    }
}

/// The violation of a required text without characters.
pub(super) fn missing(field: &str) -> Violation {
    Violation::new(
        field,
        ViolationKind::Missing,
        format!(
            "{field} is required; give it 1 to {} characters that are not white space",
            Text::MAX_CHARACTERS
        ),
    )
}

fn check(field: &str, text: &str) -> Result<(), Violation> {
    let invalid = |description| Err(Violation::new(field, ViolationKind::Invalid, description));
    if let Some(control) = text.chars().find(|character| character.is_control()) {
        let code = u32::from(control);
        return invalid(format!("{field} has the control character U+{code:04X}; leave it out"));
    }
    let characters = text.chars().count();
    if characters > Text::MAX_CHARACTERS {
        let (shown, max) = (excerpt(text), Text::MAX_CHARACTERS);
        return invalid(format!(
            "{field} has {characters} characters, beginning with {shown}; give it at most {max}"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_white_space_around_a_name_is_removed() {
        assert_eq!(Name::parse("n", "\t\u{a0} All customers \u{2003}\n").unwrap().as_str(), "All customers");
    }

    #[test]
    fn lengths_count_code_points_not_bytes() {
        assert!(Name::parse("n", &"é".repeat(255)).is_ok());
        assert!(Name::parse("n", &"é".repeat(256)).is_err());
        assert!(Text::parse("t", "🌳".repeat(255)).is_ok());
        assert!(Text::parse("t", "🌳".repeat(256)).is_err());
    }

    #[test]
    fn the_white_space_around_a_name_does_not_count() {
        let padded = format!("{}{}{}", " ".repeat(300), "n".repeat(255), " ".repeat(300));
        assert!(Name::parse("n", &padded).is_ok());
    }

    #[test]
    fn control_characters_are_refused_and_named() {
        for (text, code) in
            [("a\0b", "U+0000"), ("a\nb", "U+000A"), ("a\u{7f}b", "U+007F"), ("a\u{9b}b", "U+009B")]
        {
            let name = Name::parse("n", text).unwrap_err();
            let optional = Text::parse("t", text.to_owned()).unwrap_err();
            assert!(name.description.contains(code), "{}", name.description);
            assert!(optional.description.contains(code), "{}", optional.description);
        }
    }

    #[test]
    fn an_empty_text_and_a_padded_one_stay_as_they_are() {
        assert_eq!(Text::parse("t", String::new()).unwrap().as_str(), "");
        assert_eq!(Text::parse("t", " a ".to_owned()).unwrap().as_str(), " a ");
    }

    #[test]
    fn a_name_without_a_character_is_missing() {
        for text in ["", "   ", "\n\u{2003}"] {
            assert_eq!(Name::parse("n", text).unwrap_err().kind, ViolationKind::Missing);
        }
    }
}
