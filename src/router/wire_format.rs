//! The wire format of a request.

use http::{Method, Request};

use crate::api::headers::media_type;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WireFormat {
    Grpc,
    /// gRPC for browsers, with this content type: binary or text.
    GrpcWeb(&'static str),
    Http,
}

impl WireFormat {
    /// Detects the format by the content type, according to the [gRPC][grpc] and [gRPC-Web][web] protocols.
    ///
    /// [grpc]: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md
    /// [web]: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md
    pub(super) fn of<B>(request: &Request<B>) -> Self {
        const WEB: [&str; 4] = [
            "application/grpc-web",
            "application/grpc-web+proto",
            "application/grpc-web-text",
            "application/grpc-web-text+proto",
        ];
        const GRPC: &str = "application/grpc";
        let media_type = media_type(request.headers());
        let (kind, rest) = media_type.split_at_checked(GRPC.len()).unwrap_or_default();
        if !kind.eq_ignore_ascii_case(GRPC) {
            return Self::Http;
        }
        if rest.is_empty() || rest.starts_with('+') {
            return Self::Grpc;
        }
        let known = WEB.into_iter().find(|known| known.eq_ignore_ascii_case(&media_type));
        known.filter(|_| request.method() == Method::POST).map_or(Self::Http, Self::GrpcWeb)
    }
}
