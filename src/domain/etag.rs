//! Versions of a customer group, for conditional requests (RFC 9110, AIP-154).

use std::fmt;

use super::Timestamp;

/// The version of a customer group: the time of its last update, which is different for each version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Etag(Timestamp);

/// The precondition of a change: the versions of a customer group that it applies to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IfMatch {
    /// Any version: the precondition is absent or `*`.
    Any,
    /// One of these. Tags that the service cannot have generated are left out, because they match nothing.
    OneOf(Vec<Etag>),
}

impl Etag {
    pub(super) fn new(updated_at: Timestamp) -> Self {
        Self(updated_at)
    }

    /// The time of the update that made the version.
    pub(crate) fn updated_at(self) -> Timestamp {
        self.0
    }

    /// Parses a strong entity tag; `None` for any text that the service cannot have generated.
    fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('"')?.strip_suffix('"')?;
        let etag = Timestamp::from_milliseconds(digits.parse().ok()?).map(Self)?;
        (etag.to_string() == text).then_some(etag)
    }

    /// Whether an `If-None-Match` header names this version. The comparison is weak.
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
    /// With quotes, as in a header.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.milliseconds())
    }
}

impl IfMatch {
    /// Parses an `If-Match` header: `*`, or etags with commas between them.
    #[must_use]
    pub fn parse(header: &str) -> Self {
        if header.trim() == "*" {
            return Self::Any;
        }
        Self::OneOf(header.split(',').filter_map(|tag| Etag::parse(tag.trim())).collect())
    }

    /// Whether a change applies to this version.
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
