//! gRPC-Web frames, binary or text, split anywhere: the service receives the bytes that were sent. The caller
//! receives the response with the trailers in their own frame.
#![no_main]

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::{FutureExt, stream};
use http::{HeaderMap, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use libfuzzer_sys::fuzz_target;
use tonic_web::GrpcWebLayer;
use tower::{Layer, ServiceExt, service_fn};

const TRAILERS: &[u8] = b"\x80\0\0\0\x0fgrpc-status:0\r\n";

/// The bytes that a service receives, and the bytes that its response becomes.
fn exchange(content_type: &str, parts: Vec<Vec<u8>>) -> (Option<Bytes>, Bytes) {
    let sent = Body::from_stream(stream::iter(parts.into_iter().map(Ok::<_, Infallible>)));
    let request = Request::post("/").header("content-type", content_type).header("accept", content_type);
    let request = request.body(sent).unwrap();
    let (got, told) = std::sync::mpsc::channel();
    let echo = service_fn(move |request: Request<tonic::body::Body>| {
        let got = got.clone();
        async move {
            let bytes = request.into_body().collect().await.ok().map(|body| body.to_bytes());
            got.send(bytes.clone()).unwrap();
            let trailers = HeaderMap::from_iter([("grpc-status".parse().unwrap(), "0".parse().unwrap())]);
            let frames = [Frame::data(bytes.unwrap_or_default()), Frame::trailers(trailers)];
            let body = StreamBody::new(stream::iter(frames.map(Ok::<_, tonic::Status>)));
            Ok::<_, Infallible>(Response::new(tonic::body::Body::new(body)))
        }
    });
    let Ok(response) = GrpcWebLayer::new().layer(echo).oneshot(request).now_or_never().unwrap();
    let answer = response.into_body().collect().now_or_never().unwrap().unwrap().to_bytes();
    (told.recv().unwrap(), answer)
}

/// Each part is encoded on its own.
fn decode(text: &[u8]) -> Vec<u8> {
    text.chunks(4).flat_map(|four| STANDARD.decode(four).unwrap()).collect()
}

fuzz_target!(|parts: Vec<Vec<u8>>| {
    let sent = parts.concat();
    let (got, answer) = exchange("application/grpc-web+proto", parts.clone());
    assert_eq!(got.unwrap(), sent);
    assert_eq!(answer, [&sent, TRAILERS].concat());

    let (got, answer) = exchange("application/grpc-web-text+proto", parts);
    if let Ok(plain) = STANDARD.decode(&sent) {
        assert_eq!(got.as_deref(), Some(&*plain));
    }
    assert_eq!(decode(&answer), [&got.unwrap_or_default(), TRAILERS].concat());
});
