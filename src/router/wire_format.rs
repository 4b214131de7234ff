//! The wire format of a request.

use http::{HeaderMap, Method, Request};

use crate::api::Protocol;
use crate::api::headers::media_type;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WireFormat {
    Grpc,
    /// gRPC for browsers, with this content type: binary or text.
    GrpcWeb(&'static str),
    Http,
}

/// The prefix of the content types of gRPC and gRPC-Web.
const GRPC: &str = "application/grpc";

/// Whether the content type is one of gRPC, in binary.
pub(super) fn is_grpc(headers: &HeaderMap) -> bool {
    let media_type = media_type(headers);
    let (kind, rest) = media_type.split_at_checked(GRPC.len()).unwrap_or_default();
    kind.eq_ignore_ascii_case(GRPC) && (rest.is_empty() || rest.starts_with('+'))
}

impl WireFormat {
    /// Returns the protocol of the call: gRPC-Web is translated to gRPC.
    pub(super) fn protocol(self) -> Protocol {
        match self {
            Self::Grpc | Self::GrpcWeb(_) => Protocol::Grpc,
            Self::Http => Protocol::Rest,
        }
    }

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
        if request.method() != Method::POST {
            return Self::Http;
        }
        if is_grpc(request.headers()) {
            return Self::Grpc;
        }
        let media_type = media_type(request.headers());
        WEB.into_iter()
            .find(|known| known.eq_ignore_ascii_case(&media_type))
            .map_or(Self::Http, Self::GrpcWeb)
    }
}
