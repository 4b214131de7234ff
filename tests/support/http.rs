//! Requests that no generated client would send.

use std::net::SocketAddr;

use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tonic::{Code, Status};

use super::{KEY, leaks};

/// An answer, read to its end.
pub struct Answer {
    pub status: StatusCode,
    /// With the trailers.
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub async fn read(response: hyper::Response<Incoming>) -> Self {
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap();
        let mut headers = head.headers;
        headers.extend(body.trailers().cloned().unwrap_or_default());
        let body = body.to_bytes();
        leaks::watch(&body);
        headers.values().for_each(|value| leaks::watch(value.as_bytes()));
        Self { status: head.status, headers, body }
    }

    pub fn grpc_status(&self) -> Status {
        Status::from_header_map(&self.headers).unwrap()
    }

    pub fn code(&self) -> Code {
        self.grpc_status().code()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// A GET over HTTP/1.1.
pub async fn get(address: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Answer {
    request(address, "GET", path, headers, Bytes::new()).await
}

/// A request over HTTP/1.1, on a connection of its own, whose answer is read to its end.
pub async fn request(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Answer {
    Answer::read(open(address, method, path, headers, body).await).await
}

/// A request over HTTP/1.1, on a connection of its own, which ends when the answer is dropped.
pub async fn open(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> hyper::Response<Incoming> {
    let stream = TcpStream::connect(address).await.unwrap();
    open_on(stream, address, method, path, headers, body).await.unwrap()
}

/// A request over HTTP/1.1 on a connection that there is.
pub async fn open_on(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> hyper::Result<hyper::Response<Incoming>> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let mut request = Request::builder().method(method).uri(path).header("host", address.to_string());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    sender.send_request(request.body(Full::new(body.into())).unwrap()).await
}

/// A POST over HTTP/2, on a connection of its own.
pub async fn request_http2(
    address: SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Answer {
    RawGrpc::connect(address).await.post(path, headers, body).await
}

/// One HTTP/2 connection for gRPC calls of any bytes.
pub struct RawGrpc {
    address: SocketAddr,
    sender: hyper::client::conn::http2::SendRequest<Full<Bytes>>,
}

impl RawGrpc {
    pub async fn connect(address: SocketAddr) -> Self {
        Self::connect_on(TcpStream::connect(address).await.unwrap(), address).await
    }

    /// On a connection that there is.
    pub async fn connect_on(
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        address: SocketAddr,
    ) -> Self {
        let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
        let (sender, connection) = handshake.await.unwrap();
        tokio::spawn(connection);
        Self { address, sender }
    }

    /// Calls a method of any service with the key of the tests, and further headers.
    pub async fn call(&mut self, path: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answer {
        let key = format!("Bearer {KEY}");
        self.call_without_key(path, &[&[("authorization", key.as_str())], headers].concat(), body).await
    }

    /// A POST with those headers alone.
    pub async fn post(&mut self, path: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answer {
        let mut request = Request::post(format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into())).unwrap();
        Answer::read(self.sender.send_request(request).await.unwrap()).await
    }

    pub async fn call_without_key(
        &mut self,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let grpc = [("content-type", "application/grpc"), ("te", "trailers")];
        self.post(path, &[&grpc, headers].concat(), body).await
    }
}

/// A message in the frame that gRPC puts around it.
pub fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap();
    [&[0], length.to_be_bytes().as_slice(), message].concat()
}
