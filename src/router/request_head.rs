//! Checks of a request's head that the HTTP library leaves to the server.

use http::header::{HOST, TRANSFER_ENCODING};
use http::{HeaderMap, Method, Request, Uri, Version};

use super::wire_format::{WireFormat, is_grpc};
use crate::domain::excerpt;
use crate::error::Error;

/// Rejects a request whose headers are too large, without exactly one `Host` (RFC 9112, section 3.2), with a transfer
/// coding other than `chunked` (RFC 9112, section 6.1), or of gRPC with a method other than `POST` or over HTTP/1.1.
pub(super) fn check<B>(
    request: &Request<B>,
    wire_format: WireFormat,
    max_header_bytes: u32,
) -> Result<(), Error> {
    let (headers, method) = (request.headers(), request.method());
    if size(headers) > max_header_bytes as usize {
        return Err(Error::HeadersTooLarge(max_header_bytes));
    }
    if request.version() == Version::HTTP_11 && headers.get_all(HOST).iter().count() != 1 {
        return Err(Error::Undecodable("it needs exactly one Host header; send one".to_owned()));
    }
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    if let Some(other) = codings.find(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"chunked")) {
        return Err(Error::TransferCodingUnsupported(excerpt(&String::from_utf8_lossy(other.as_bytes()))));
    }
    if is_grpc(headers) && ![Method::POST, Method::OPTIONS].contains(method) {
        return Err(Error::GrpcNotPost(excerpt(method.as_str())));
    }
    if wire_format == WireFormat::Grpc && request.version() < Version::HTTP_2 {
        return Err(Error::GrpcOverHttp1);
    }
    Ok(())
}

/// The size of a list of headers (RFC 9113, section 6.5.2).
fn size(headers: &HeaderMap) -> usize {
    const OVERHEAD: usize = 32;
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + OVERHEAD).sum()
}

/// Whether the request asks for nothing but an answer (RFC 9110, section 9.3.7).
pub(super) fn is_for_the_server<B>(request: &Request<B>) -> bool {
    request.method() == Method::OPTIONS && request.uri().path() == "*"
}

/// Decodes what needs no escape in the path of a request (RFC 3986, sections 6.2.2.2 and 3.3), so that each route has
/// one spelling: `%3AbatchGet` is `:batchGet`.
pub(super) fn normalize<B>(request: &mut Request<B>) {
    if !request.uri().path().contains('%') {
        return;
    }
    let mut parts = request.uri().clone().into_parts();
    let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
    let path = unescaped(request.uri().path()) + &query;
    parts.path_and_query = path.parse().ok();
    if let Ok(uri) = Uri::from_parts(parts) {
        *request.uri_mut() = uri;
    }
}

fn unescaped(path: &str) -> String {
    let needs_no_escape = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~:".contains(byte);
    let mut parts = path.split('%');
    let mut written = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let escape = part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match escape.filter(needs_no_escape) {
            Some(byte) => written.extend([char::from(byte).to_string().as_str(), &part[2..]]),
            None => written.extend(["%", part]),
        }
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_needs_no_escape_is_decoded() {
        for (path, expected) in [
            ("/a%3AbatchGet", "/a:batchGet"),
            ("/%41%7e%2D%5f", "/A~-_"),
            ("/%2F%25%20%3F%00%ff", "/%2F%25%20%3F%00%ff"),
            ("/%", "/%"),
            ("/%4", "/%4"),
            ("/%+1", "/%+1"),
            ("/%é", "/%é"),
            ("/%25%33%41", "/%253A"),
        ] {
            assert_eq!(unescaped(path), expected, "{path}");
        }
    }
}
