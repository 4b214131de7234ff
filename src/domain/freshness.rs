//! How up to date what is read must be.

/// How up to date what a list is read from must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// It may be behind the latest writes, as a standby is.
    MayLag,
    /// It has every write that was acknowledged before.
    UpToDate,
}

impl Freshness {
    /// Takes the values of the header or the metadata `Cache-Control` ([RFC 9111, section 5.2.1.4][rfc]): whoever
    /// sends `no-cache` wants what is up to date. Other directives, known or not, change nothing.
    ///
    /// [rfc]: https://www.rfc-editor.org/rfc/rfc9111#section-5.2.1.4
    #[must_use]
    pub fn parse<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut directives = values.into_iter().flat_map(|value| value.split(|byte| *byte == b','));
        if directives.any(|directive| directive.trim_ascii().eq_ignore_ascii_case(b"no-cache")) {
            Self::UpToDate
        } else {
            Self::MayLag
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cache_is_found_among_other_directives_and_in_any_case() {
        for values in
            [&["no-cache"][..], &["No-Cache"], &["max-age=0 , no-cache"], &["no-store", "\tno-cache "]]
        {
            assert_eq!(Freshness::parse(values.iter().map(|value| value.as_bytes())), Freshness::UpToDate);
        }
        for values in [&[][..], &[""], &["max-age=0"], &["no-cache-at-all, no"], &["x=no-cache"]] {
            assert_eq!(Freshness::parse(values.iter().map(|value| value.as_bytes())), Freshness::MayLag);
        }
    }
}
