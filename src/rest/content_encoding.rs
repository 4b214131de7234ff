//! The encoding of request bodies.

use std::io::Read;

use axum::body::Bytes;
use flate2::read::MultiGzDecoder;
use http::HeaderMap;
use http::header::CONTENT_ENCODING;

use crate::domain::excerpt;
use crate::error::Error;

/// The `Content-Encoding` of a body (RFC 9110, section 8.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ContentEncoding {
    Identity,
    Gzip,
    Zstd,
}

impl ContentEncoding {
    /// Parses the header. At most one encoding may be applied.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Error> {
        let lines = headers.get_all(CONTENT_ENCODING).iter();
        let lines: Vec<_> =
            lines.map(|line| String::from_utf8_lossy(line.as_bytes()).to_lowercase()).collect();
        let encodings = lines.iter().flat_map(|line| line.split(',')).map(str::trim);
        let mut applied = encodings.filter(|encoding| !["", "identity"].contains(encoding));
        match (applied.next(), applied.next()) {
            (None, _) => Ok(Self::Identity),
            (Some("gzip" | "x-gzip"), None) => Ok(Self::Gzip),
            (Some("zstd"), None) => Ok(Self::Zstd),
            (Some(_), _) => {
                let value = excerpt(&lines.join(", "));
                Err(Error::EncodingUnsupported(format!("its content encoding is {value}")))
            }
        }
    }

    /// Returns the decoded body, or [`Error::BodyTooLarge`] when it is longer than `max`.
    pub(super) fn decode(self, body: Bytes, max: usize) -> Result<Bytes, Error> {
        let decoded = match self {
            Self::Identity => return Ok(body),
            Self::Gzip => read(MultiGzDecoder::new(&*body), max),
            Self::Zstd => zstd::Decoder::with_buffer(&*body).and_then(|decoder| read(decoder, max)),
        };
        let decoded = decoded
            .map_err(|error| Error::Undecodable(format!("its content encoding is not valid: {error}")))?;
        if decoded.len() > max { Err(Error::BodyTooLarge(max)) } else { Ok(decoded.into()) }
    }
}

/// Reads at most one byte more than the limit.
fn read(source: impl Read, max: usize) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(max as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
