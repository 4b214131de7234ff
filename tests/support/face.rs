//! The faces of the contract, each by a client that writes its bytes itself.

use std::net::SocketAddr;

use http::HeaderMap;
use hyper::body::Bytes;
use tonic::Status;

use super::http::{Answer, RawGrpc, framed, request, request_http2};

const BASE64: base64::engine::GeneralPurpose = base64::engine::general_purpose::STANDARD;

/// The ways on which a call can come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Face {
    Grpc,
    GrpcWeb,
    GrpcWebText,
    GrpcWebOverHttp2,
    Rest,
}

impl Face {
    pub const RPC: [Self; 4] = [Self::Grpc, Self::GrpcWeb, Self::GrpcWebText, Self::GrpcWebOverHttp2];
    pub const ALL: [Self; 5] =
        [Self::Grpc, Self::GrpcWeb, Self::GrpcWebText, Self::GrpcWebOverHttp2, Self::Rest];
}

/// What came back of an RPC.
pub struct Rpc {
    pub http: http::StatusCode,
    /// With the trailers.
    pub metadata: HeaderMap,
    pub status: Status,
    pub messages: Vec<Bytes>,
}

impl Rpc {
    /// The one message of the answer.
    pub fn message(&self) -> Bytes {
        assert_eq!(self.messages.len(), 1, "{:?}", self.status);
        self.messages[0].clone()
    }
}

/// Calls an RPC over gRPC, or over gRPC-Web in one of its forms.
pub async fn rpc(
    face: Face,
    address: SocketAddr,
    method: &str,
    metadata: &[(&str, &str)],
    message: &[u8],
) -> Rpc {
    send(face, address, method, metadata, wire(face, framed(message))).await
}

/// Frames as the face sends them.
pub fn wire(face: Face, frames: Vec<u8>) -> Vec<u8> {
    use base64::Engine as _;
    match face {
        Face::GrpcWebText => BASE64.encode(frames).into_bytes(),
        Face::Grpc | Face::GrpcWeb | Face::GrpcWebOverHttp2 => frames,
        Face::Rest => panic!("REST has no frames"),
    }
}

/// Calls an RPC with a body of any bytes.
pub async fn send(
    face: Face,
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
    match face {
        Face::Grpc => {
            let answer = RawGrpc::connect(address).await.call_without_key(&path, metadata, body).await;
            let messages = frames(answer.body.clone()).map(|(_, message)| message).collect();
            Rpc { http: answer.status, status: answer.grpc_status(), metadata: answer.headers, messages }
        }
        Face::GrpcWeb => of_web(request(address, "POST", &path, &with(WEB), body).await),
        Face::GrpcWebOverHttp2 => of_web(request_http2(address, &path, &with(WEB), body).await),
        Face::GrpcWebText => {
            let mut answer = request(address, "POST", &path, &with(TEXT), body).await;
            // Each part of the answer may have its own padding.
            answer.body = answer.body.chunks(4).flat_map(|chars| BASE64.decode(chars).unwrap()).collect();
            of_web(answer)
        }
        Face::Rest => panic!("REST has no RPCs"),
    }
}

/// Takes a body apart: the kind of each frame, and what is in it.
fn frames(mut rest: Bytes) -> impl Iterator<Item = (u8, Bytes)> {
    std::iter::from_fn(move || {
        let (kind, length) = (*rest.first()?, u32::from_be_bytes(rest[1..5].try_into().unwrap()));
        let mut frame = rest.split_off(5);
        rest = frame.split_off(length.try_into().unwrap());
        Some((kind, frame))
    })
}

/// Tells the frames of the messages from the one of the trailers.
pub fn of_web(answer: Answer) -> Rpc {
    const TRAILERS: u8 = 0x80;
    let (mut metadata, mut messages) = (answer.headers, Vec::new());
    for (kind, frame) in frames(answer.body) {
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
    Rpc { http: answer.status, metadata, status, messages }
}
