//! Versions of a customer group, for conditional requests (RFC 9110, AIP-154).

use std::fmt;

use super::Timestamp;

/// The version of a customer group: the time of its last update, which is different for each version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Etag(Timestamp);

/// The versions of an `If-Match` or `If-None-Match` header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Versions {
    /// Any version: `*`.
    Any,
    /// One of these. Tags that the service cannot have generated are left out, because they match nothing.
    OneOf(Vec<Etag>),
}

/// The preconditions of a request for a customer group ([RFC 9110, section 13][rfc]): `If-Match` compares strongly, and
/// `If-None-Match` weakly.
///
/// [rfc]: https://www.rfc-editor.org/rfc/rfc9110#section-13
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preconditions {
    /// The versions of `If-Match`, or of an `etag` over gRPC.
    if_match: Versions,
    /// The versions of `If-None-Match`.
    if_none_match: Versions,
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
}

impl fmt::Display for Etag {
    /// With quotes, as in a header.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.milliseconds())
    }
}

impl Versions {
    /// No version: the header is absent.
    const NONE: Self = Self::OneOf(Vec::new());

    /// Parses `*`, or etags with commas between them.
    fn parse(header: &str, etag: impl Fn(&str) -> Option<Etag>) -> Self {
        if header.trim() == "*" {
            return Self::Any;
        }
        Self::OneOf(header.split(',').filter_map(|tag| etag(tag.trim())).collect())
    }

    fn contains(&self, etag: Etag) -> bool {
        match self {
            Self::Any => true,
            Self::OneOf(etags) => etags.contains(&etag),
        }
    }
}

impl Preconditions {
    /// Parses the headers, or an `etag` as `If-Match`.
    #[must_use]
    pub fn parse(if_match: Option<&str>, if_none_match: Option<&str>) -> Self {
        let weak = |tag: &str| Etag::parse(tag.strip_prefix("W/").unwrap_or(tag));
        Self {
            if_match: if_match.map_or(Versions::Any, |header| Versions::parse(header, Etag::parse)),
            if_none_match: if_none_match.map_or(Versions::NONE, |header| Versions::parse(header, weak)),
        }
    }

    /// Whether a change applies to this version.
    #[must_use]
    pub fn allow(&self, etag: Etag) -> bool {
        self.is_matched(etag) && !self.is_known(etag)
    }

    /// Whether `If-Match` permits this version.
    #[must_use]
    pub fn is_matched(&self, etag: Etag) -> bool {
        self.if_match.contains(etag)
    }

    /// Whether `If-None-Match` excludes this version: the caller has it.
    #[must_use]
    pub fn is_known(&self, etag: Etag) -> bool {
        self.if_none_match.contains(etag)
    }

    /// Whether every version is allowed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self { if_match: Versions::Any, if_none_match: Versions::NONE }
    }

    /// The versions that a change applies to, and those that it does not apply to.
    pub(crate) fn versions(&self) -> (&Versions, &Versions) {
        (&self.if_match, &self.if_none_match)
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
        let allows = |header| Preconditions::parse(Some(header), None).allow(etag(7));
        assert!(Preconditions::parse(None, None).allow(etag(7)));
        assert!(allows(" * ") && allows("\"1\", \"7\""));
        for header in ["", "\"1\"", "W/\"7\"", "7", "nonsense"] {
            assert!(!allows(header), "{header}");
        }
    }

    #[test]
    fn if_none_match_compares_weakly() {
        let knows = |header| Preconditions::parse(None, Some(header)).is_known(etag(7));
        for header in ["*", "\"7\"", "W/\"7\"", "\"1\", W/\"7\""] {
            assert!(knows(header), "{header}");
        }
        assert!(!knows("\"1\", 7"));
    }
}
