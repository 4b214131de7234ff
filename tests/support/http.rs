//! Raw HTTP requests that generated clients cannot send.

use std::net::SocketAddr;

use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tonic::{Code, Status};

use super::{KEY, leaks};

/// A complete response.
pub struct HttpResponse {
    pub status: StatusCode,
    /// Including the trailers.
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl HttpResponse {
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
pub async fn get(address: SocketAddr, path: &str, headers: &[(&str, &str)]) -> HttpResponse {
    request(address, "GET", path, headers, Bytes::new()).await
}

/// A request over HTTP/1.1 on a new connection. Reads the whole response.
pub async fn request(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> HttpResponse {
    HttpResponse::read(open(address, method, path, headers, body).await).await
}

/// A request over HTTP/1.1 on a new connection, which is closed when the response is dropped.
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

/// A request over HTTP/1.1 on an existing connection.
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

/// A POST over HTTP/2 on a new connection.
pub async fn request_http2(
    address: SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> HttpResponse {
    RawGrpc::connect(address).await.post(path, headers, body).await
}

/// An HTTP/2 connection for gRPC calls with any bytes.
pub struct RawGrpc {
    address: SocketAddr,
    sender: hyper::client::conn::http2::SendRequest<Full<Bytes>>,
}

impl RawGrpc {
    pub async fn connect(address: SocketAddr) -> Self {
        Self::connect_on(TcpStream::connect(address).await.unwrap(), address).await
    }

    /// Uses an existing connection.
    pub async fn connect_on(
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        address: SocketAddr,
    ) -> Self {
        let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
        let (sender, connection) = handshake.await.unwrap();
        tokio::spawn(connection);
        Self { address, sender }
    }

    /// Calls a method of any service with the API key of the tests and these headers.
    pub async fn call(
        &mut self,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> HttpResponse {
        let key = format!("Bearer {KEY}");
        self.call_without_key(path, &[&[("authorization", key.as_str())], headers].concat(), body).await
    }

    /// A POST with only these headers.
    pub async fn post(
        &mut self,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> HttpResponse {
        let mut request = Request::post(format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into())).unwrap();
        HttpResponse::read(self.sender.send_request(request).await.unwrap()).await
    }

    pub async fn call_without_key(
        &mut self,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> HttpResponse {
        let grpc = [("content-type", "application/grpc"), ("te", "trailers")];
        self.post(path, &[&grpc, headers].concat(), body).await
    }
}

/// A message in a gRPC frame.
pub fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap();
    [&[0], length.to_be_bytes().as_slice(), message].concat()
}
