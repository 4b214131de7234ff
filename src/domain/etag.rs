//! Versions of a customer group, by which a caller says which one it means (RFC 9110, AIP-154).

use std::fmt;

use super::Timestamp;

/// The version of a customer group: when it was last updated, which no two of its versions share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Etag(Timestamp);

/// Which versions of a customer group a change is meant for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IfMatch {
    /// Any version: the caller did not say, or said `*`.
    Any,
    /// One of these. What the caller sent and was never made is left out, since it matches nothing.
    OneOf(Vec<Etag>),
}

impl Etag {
    pub(super) fn new(updated_at: Timestamp) -> Self {
        Self(updated_at)
    }

    /// When the version was made.
    #[must_use]
    pub fn updated_at(self) -> Timestamp {
        self.0
    }

    /// Reads a strong entity tag; `None` for anything that the service could not have made.
    fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('"')?.strip_suffix('"')?;
        let etag = Timestamp::from_milliseconds(digits.parse().ok()?).map(Self)?;
        (etag.to_string() == text).then_some(etag)
    }

    /// Whether the etags of an `If-None-Match` header name this version, compared as weak ones.
    #[must_use]
    pub fn is_any_of(self, header: &str) -> bool {
        header.trim() == "*"
            || header.split(',').map(str::trim).any(|tag| {
                let strong = tag.strip_prefix("W/").unwrap_or(tag);
                Self::parse(strong) == Some(self)
            })
    }
}

impl fmt::Display for Etag {
    /// As in a header, in its quotes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.milliseconds())
    }
}

impl IfMatch {
    /// Reads the value of an `If-Match` header: `*`, or etags between commas.
    #[must_use]
    pub fn parse(header: &str) -> Self {
        if header.trim() == "*" {
            return Self::Any;
        }
        Self::OneOf(header.split(',').filter_map(|tag| Etag::parse(tag.trim())).collect())
    }

    /// Whether a change is meant for this version.
    #[must_use]
    pub fn allows(&self, etag: Etag) -> bool {
        match self {
            Self::Any => true,
            Self::OneOf(etags) => etags.contains(&etag),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn etag(milliseconds: i64) -> Etag {
        Etag(Timestamp::from_milliseconds(milliseconds).unwrap())
    }

    #[test]
    fn an_etag_is_read_back_as_it_was_written_and_in_no_other_way() {
        assert_eq!(Etag::parse(&etag(1_700_000_000_123).to_string()), Some(etag(1_700_000_000_123)));
        for text in ["", "\"", "\"\"", "7", "\"+7\"", "\"07\"", "W/\"7\"", "\"7", "\"99999999999999999999\""]
        {
            assert_eq!(Etag::parse(text), None, "{text}");
        }
    }

    #[test]
    fn if_match_takes_a_star_or_a_list_and_compares_strongly() {
        assert_eq!(IfMatch::parse(" * "), IfMatch::Any);
        assert!(IfMatch::parse("\"1\", \"7\"").allows(etag(7)));
        for header in ["", "\"1\"", "W/\"7\"", "7", "nonsense"] {
            assert!(!IfMatch::parse(header).allows(etag(7)), "{header}");
        }
    }

    #[test]
    fn if_none_match_compares_weakly() {
        for header in ["*", "\"7\"", "W/\"7\"", "\"1\", W/\"7\""] {
            assert!(etag(7).is_any_of(header), "{header}");
        }
        assert!(!etag(7).is_any_of("\"1\", 7"));
    }
}
