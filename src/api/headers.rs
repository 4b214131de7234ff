//! Names of headers and metadata, and the parsing that both protocols share.

use std::borrow::Cow;

use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::domain::{Consistency, IdempotencyKey, Violation, field};

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
pub(crate) const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
pub(crate) const GRPC_ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");
pub(crate) const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
pub(crate) const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// Returns the media type of a content type header without its parameters (RFC 9110, section 8.3.1).
pub(crate) fn media_type(headers: &HeaderMap) -> Cow<'_, str> {
    let content_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let essence = content_type.split(|byte| *byte == b';').next().unwrap_or_default();
    String::from_utf8_lossy(essence.trim_ascii())
}

/// Returns the entries of a header such as `Accept`, each with its weight (RFC 9110, section 12.4.2), or `None` where that is
/// not a number.
pub(crate) fn weighted<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = (&'a str, Option<f32>)> {
    let lines = headers.get_all(name).into_iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(|entry| {
        let mut parts = entry.split(';').map(str::trim);
        let value = parts.next().unwrap_or_default();
        let weight = parts.find_map(|part| part.strip_prefix("q="));
        (value, weight.map_or(Some(1.0), |weight| weight.parse().ok()))
    })
}

/// Parses `Idempotency-Key`, or the metadata of that name.
pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<Option<IdempotencyKey>, Violation> {
    let values = headers.get_all(field::IDEMPOTENCY_KEY);
    IdempotencyKey::parse(values.iter().map(HeaderValue::as_bytes))
}

/// Returns the headers of a response to a create: whether an earlier call made the groups.
pub(crate) fn replayed(is_replayed: bool) -> HeaderMap {
    is_replayed.then(|| (IDEMPOTENT_REPLAYED, HeaderValue::from_static("true"))).into_iter().collect()
}

/// Parses `Cache-Control`, or the metadata of that name: whether a list may lag.
pub(crate) fn consistency(headers: &HeaderMap) -> Consistency {
    Consistency::parse(headers.get_all(CACHE_CONTROL).iter().map(HeaderValue::as_bytes))
}
