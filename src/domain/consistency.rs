//! The consistency of reads.

use super::Digest;

/// The consistency that a caller asks for in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consistency {
    /// The list may lag behind the latest writes, as a standby does.
    MayLag,
    /// The list includes every write that was acknowledged before.
    UpToDate,
}

/// The reader of a list.
#[derive(Debug, Clone, Copy)]
pub struct Reader {
    /// The digest of its API key, whose share of the connections it uses.
    pub key: Digest,
    /// The consistency that it asks for.
    pub consistency: Consistency,
}

impl Consistency {
    /// Parses the values of the header or metadata `Cache-Control`: `no-cache` asks for the latest data ([RFC 9111,
    /// section 5.2.1.4][rfc]). Other directives change nothing.
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
            assert_eq!(
                Consistency::parse(values.iter().map(|value| value.as_bytes())),
                Consistency::UpToDate
            );
        }
        for values in [&[][..], &[""], &["max-age=0"], &["no-cache-at-all, no"], &["x=no-cache"]] {
            assert_eq!(Consistency::parse(values.iter().map(|value| value.as_bytes())), Consistency::MayLag);
        }
    }
}
