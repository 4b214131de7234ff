//! The kinds of text in a customer group.

use icu_properties::CodePointSetData;
use icu_properties::props::DefaultIgnorableCodePoint;

use super::{Violation, ViolationKind, excerpt};

/// A display name: 1 to [`Text::MAX_CHARACTERS`] characters, at least one of them visible, no control characters, no white
/// space around it, and no bidirectional control that stays open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name(String);

impl Name {
    /// Removes the white space around `text` and checks the rest.
    pub fn parse(field: &str, text: &str) -> Result<Self, Violation> {
        let name = Self::stored(field, text)?;
        if is_blank(name.as_str()) {
            let (shown, max) = (name.as_str().escape_unicode(), Text::MAX_CHARACTERS);
            let description = format!(
                "{field} has only invisible characters: {shown}; give it 1 to {max}, some of them visible"
            );
            return Err(Violation::new(field, ViolationKind::Missing, description));
        }
        check_direction(field, name.as_str())?;
        Ok(name)
    }

    /// Reads a stored name, or a part of one. Earlier releases stored names without a visible character, and with
    /// bidirectional controls that stay open.
    pub(crate) fn stored(field: &str, text: &str) -> Result<Self, Violation> {
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

/// A text of up to [`Text::MAX_CHARACTERS`] characters, without control characters and bidirectional controls that stay
/// open. It may be empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text(String);

impl Text {
    /// The most characters (Unicode code points) of any text.
    pub const MAX_CHARACTERS: usize = 255;

    /// Checks `text` and keeps it as it is.
    pub fn parse(field: &str, text: String) -> Result<Self, Violation> {
        let text = Self::stored(field, text)?;
        check_direction(field, text.as_str())?;
        Ok(text)
    }

    /// Reads a stored text. Earlier releases stored bidirectional controls that stay open.
    pub(crate) fn stored(field: &str, text: String) -> Result<Self, Violation> {
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

/// Whether a person sees nothing of a text.
pub(super) fn is_blank(text: &str) -> bool {
    text.chars().all(|character| character.is_whitespace() || is_invisible(character))
}

/// Whether a character that is not white space is displayed as nothing, or as a gap.
fn is_invisible(character: char) -> bool {
    match character {
        // Blank patterns, notes and hieroglyphs, fillers, and format controls that are for layout engines.
        '\u{2800}' | '\u{fff9}'..='\u{fffb}' | '\u{13430}'..='\u{13442}' | '\u{16fe4}' | '\u{1d159}' => true,
        _ => CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(character),
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

/// Checks that every bidirectional control is closed: an open one changes the order of the text after this one, wherever
/// both are displayed in one line.
fn check_direction(field: &str, text: &str) -> Result<(), Violation> {
    let Some((open, close)) = open_direction(text) else { return Ok(()) };
    let (open, close) = (u32::from(open), u32::from(close));
    let description = format!(
        "{field} has the bidirectional control U+{open:04X}, which nothing closes; add U+{close:04X} after its text, or \
         leave it out"
    );
    Err(Violation::new(field, ViolationKind::Invalid, description))
}

/// Returns the last control that stays open and the one that would close it, by the rules X1 to X8 of the Unicode
/// Bidirectional Algorithm.
fn open_direction(text: &str) -> Option<(char, char)> {
    const POP_DIRECTIONAL_FORMATTING: char = '\u{202c}';
    const POP_DIRECTIONAL_ISOLATE: char = '\u{2069}';
    let mut open = Vec::new();
    for character in text.chars() {
        match character {
            '\u{202a}' | '\u{202b}' | '\u{202d}' | '\u{202e}' => {
                open.push((character, POP_DIRECTIONAL_FORMATTING));
            }
            '\u{2066}'..='\u{2068}' => open.push((character, POP_DIRECTIONAL_ISOLATE)),
            POP_DIRECTIONAL_FORMATTING => {
                open.pop_if(|(_, close)| *close == POP_DIRECTIONAL_FORMATTING);
            }
            POP_DIRECTIONAL_ISOLATE => {
                // It also closes what was opened inside of the isolate.
                let isolate = open.iter().rposition(|(_, close)| *close == POP_DIRECTIONAL_ISOLATE);
                open.truncate(isolate.unwrap_or(open.len()));
            }
            _ => {}
        }
    }
    open.pop()
}

#[cfg(test)]
mod tests {
    use icu_properties::CodePointMapData;
    use icu_properties::props::{GeneralCategory, PrependedConcatenationMark};

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

    #[test]
    fn a_name_without_a_visible_character_is_missing() {
        for text in [
            "\u{200b}",
            "\u{2060}",
            "\u{ad}",
            "\u{3164}",
            "\u{2800}",
            "\u{fe0f}",
            "\u{200b} \u{200b}",
            "\u{202a}\u{202c}",
        ] {
            assert_eq!(
                Name::parse("n", text).unwrap_err().kind,
                ViolationKind::Missing,
                "{}",
                text.escape_unicode()
            );
        }
    }

    #[test]
    fn every_format_control_is_invisible_unless_it_is_a_mark_around_others() {
        let categories = CodePointMapData::<GeneralCategory>::new();
        let marks = CodePointSetData::new::<PrependedConcatenationMark>();
        for character in '\0'..=char::MAX {
            let is_format = categories.get(character) == GeneralCategory::Format;
            if is_format && !marks.contains(character) {
                assert!(is_invisible(character), "{}", character.escape_unicode());
            }
            if matches!(character, '!'..='~') || marks.contains(character) {
                assert!(!is_invisible(character), "{}", character.escape_unicode());
            }
        }
    }

    #[test]
    fn invisible_characters_beside_visible_ones_are_kept() {
        for text in ["a\u{200d}b", "\u{2764}\u{fe0f}", "\u{2067}שלום\u{2069}", "نامه\u{200c}ای"] {
            assert_eq!(Name::parse("n", text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn bidirectional_controls_must_be_closed() {
        for closed in [
            "\u{202a}a\u{202c}",
            "\u{202e}a\u{2066}b\u{2069}c\u{202c}",
            // The end of an isolate closes the embeddings inside of it.
            "\u{2067}a\u{202b}b\u{2069}",
            "a\u{202c}\u{2069}\u{200e}\u{200f}\u{61c}",
        ] {
            assert!(Name::parse("n", closed).is_ok(), "{}", closed.escape_unicode());
            assert!(Text::parse("t", closed.to_owned()).is_ok(), "{}", closed.escape_unicode());
        }
        for (open, control) in [
            ("a\u{202a}", "U+202A"),
            ("\u{202b}a", "U+202B"),
            ("\u{202d}a\u{2069}", "U+202D"),
            ("\u{202e}gpj", "U+202E"),
            ("\u{2066}a\u{202c}", "U+2066"),
            ("\u{2067}a", "U+2067"),
            ("\u{2068}a\u{2068}b\u{2069}", "U+2068"),
            // The end of an embedding outside of an isolate does not stand inside of it.
            ("\u{202a}\u{2066}a\u{202c}\u{2069}", "U+202A"),
        ] {
            let name = Name::parse("n", open).unwrap_err();
            let text = Text::parse("t", open.to_owned()).unwrap_err();
            assert!(name.description.contains(control), "{}", name.description);
            assert!(text.description.contains(control), "{}", text.description);
        }
    }

    #[test]
    fn names_and_texts_of_earlier_releases_are_read() {
        for text in ["\u{200b}", "\u{202e}gpj"] {
            assert_eq!(Name::stored("n", text).unwrap().as_str(), text);
            assert_eq!(Text::stored("t", text.to_owned()).unwrap().as_str(), text);
        }
    }
}
