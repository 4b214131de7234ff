//! Checks of a request's head that the HTTP library leaves to the server.

use http::header::{HOST, TRANSFER_ENCODING};
use http::{Method, Request, Version};

use super::wire_format::is_grpc;
use crate::domain::excerpt;
use crate::error::Error;

/// Rejects a request without exactly one `Host` (RFC 9112, section 3.2), with a transfer coding other than `chunked`
/// (RFC 9112, section 6.1), or of gRPC with a method other than `POST`.
pub(super) fn check<B>(request: &Request<B>) -> Result<(), Error> {
    let (headers, method) = (request.headers(), request.method());
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
    Ok(())
}
