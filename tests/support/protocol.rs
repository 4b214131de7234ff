//! The protocols of the service, each with a client that controls every byte.

use std::net::SocketAddr;

use http::HeaderMap;
use hyper::body::Bytes;
use tonic::Status;

use super::http::{HttpResponse, RawGrpc, framed, request, request_http2};

const BASE64: base64::engine::GeneralPurpose = base64::engine::general_purpose::STANDARD;

/// The protocols in which a call can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    Grpc,
    GrpcWeb,
    GrpcWebText,
    GrpcWebOverHttp2,
    Rest,
}

impl Protocol {
    pub const RPC: [Self; 4] = [Self::Grpc, Self::GrpcWeb, Self::GrpcWebText, Self::GrpcWebOverHttp2];
    pub const ALL: [Self; 5] =
        [Self::Grpc, Self::GrpcWeb, Self::GrpcWebText, Self::GrpcWebOverHttp2, Self::Rest];
}

/// The response to an RPC.
pub struct Rpc {
    pub http: http::StatusCode,
    /// Including the trailers.
    pub metadata: HeaderMap,
    pub status: Status,
    pub messages: Vec<Bytes>,
}

impl Rpc {
    /// The only message of the response.
    pub fn message(&self) -> Bytes {
        assert_eq!(self.messages.len(), 1, "{:?}", self.status);
        self.messages[0].clone()
    }
}

/// Makes an RPC over gRPC or one of the forms of gRPC-Web.
pub async fn rpc(
    protocol: Protocol,
    address: SocketAddr,
    method: &str,
    metadata: &[(&str, &str)],
    message: &[u8],
) -> Rpc {
    send(protocol, address, method, metadata, wire(protocol, framed(message))).await
}

/// Encodes frames for a protocol.
pub fn wire(protocol: Protocol, frames: Vec<u8>) -> Vec<u8> {
    use base64::Engine as _;
    match protocol {
        Protocol::GrpcWebText => BASE64.encode(frames).into_bytes(),
        Protocol::Grpc | Protocol::GrpcWeb | Protocol::GrpcWebOverHttp2 => frames,
        Protocol::Rest => panic!("REST has no frames"),
    }
}

/// Makes an RPC with any bytes as its body.
pub async fn send(
    protocol: Protocol,
    address: SocketAddr,
    method: &str,
    metadata: &[(&str, &str)],
    body: Vec<u8>,
) -> Rpc {
    use base64::Engine as _;
    const WEB: &str = "application/grpc-web+proto";
    const TEXT: &str = "application/grpc-web-text";
    let path = format!("/overplane.setup.v1.CustomerGroupService/{method}");
    let with =
        |content_type| [&[("content-type", content_type), ("accept", content_type)], metadata].concat();
    match protocol {
        Protocol::Grpc => {
            let response = RawGrpc::connect(address).await.call_without_key(&path, metadata, body).await;
            let messages = frames(response.body.clone()).map(|(_, message)| message).collect();
            Rpc {
                http: response.status,
                status: response.grpc_status(),
                metadata: response.headers,
                messages,
            }
        }
        Protocol::GrpcWeb => of_web(request(address, "POST", &path, &with(WEB), body).await),
        Protocol::GrpcWebOverHttp2 => of_web(request_http2(address, &path, &with(WEB), body).await),
        Protocol::GrpcWebText => {
            let mut response = request(address, "POST", &path, &with(TEXT), body).await;
            // Each part of the response may have its own padding.
            response.body = response.body.chunks(4).flat_map(|chars| BASE64.decode(chars).unwrap()).collect();
            of_web(response)
        }
        Protocol::Rest => panic!("REST has no RPCs"),
    }
}

/// Splits a body into frames: kind and payload of each.
fn frames(mut rest: Bytes) -> impl Iterator<Item = (u8, Bytes)> {
    std::iter::from_fn(move || {
        let (kind, length) = (*rest.first()?, u32::from_be_bytes(rest[1..5].try_into().unwrap()));
        let mut frame = rest.split_off(5);
        rest = frame.split_off(length.try_into().unwrap());
        Some((kind, frame))
    })
}

/// Separates the message frames from the trailer frame.
pub fn of_web(response: HttpResponse) -> Rpc {
    const TRAILERS: u8 = 0x80;
    let (mut metadata, mut messages) = (response.headers, Vec::new());
    for (kind, frame) in frames(response.body) {
        if kind == TRAILERS {
            for line in std::str::from_utf8(&frame).unwrap().lines() {
                let (name, value) = line.split_once(':').unwrap();
                let name: http::HeaderName = name.parse().unwrap();
                metadata.insert(name, value.trim().parse().unwrap());
            }
        } else {
            messages.push(frame);
        }
    }
    let status = Status::from_header_map(&metadata).unwrap_or_else(|| panic!("no status in {metadata:?}"));
    Rpc { http: response.status, metadata, status, messages }
}
