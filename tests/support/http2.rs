//! HTTP/2 frame by frame (RFC 9113, section 6), for input that no client library sends.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// The frame types.
pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const CONTINUATION: u8 = 9;

/// The flags of `HEADERS`.
pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

/// The setting `SETTINGS_MAX_CONCURRENT_STREAMS`.
pub const MAX_CONCURRENT_STREAMS: u16 = 3;

/// The setting `SETTINGS_INITIAL_WINDOW_SIZE`.
pub const INITIAL_WINDOW_SIZE: u16 = 4;

/// `GET http://x/`, in the static table of HPACK except for the authority (RFC 7541, appendix A).
pub const GET: &[u8] = &[0x82, 0x86, 0x84, 0x41, 1, b'x'];

/// The sending half of a connection.
pub struct Sender(OwnedWriteHalf);

/// The receiving half of a connection.
pub struct Receiver(OwnedReadHalf);

#[derive(Debug)]
pub struct Frame {
    pub kind: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

/// A header with a name of the static table and this value, as a literal of HPACK.
fn literal(index: &[u8], value: &str) -> Vec<u8> {
    let length = u8::try_from(value.len()).unwrap();
    assert!(length < 127, "lengths of one byte");
    [index, &[length], value.as_bytes()].concat()
}

/// A call of an RPC.
pub fn rpc(path: &str) -> Vec<u8> {
    let content_type = literal(&[0x0f, 16], "application/grpc");
    [&[0x83, 0x86, 0x41, 1, b'x'][..], &literal(&[0x04], path), &content_type].concat()
}

/// A GET of a path with an API key.
pub fn get_with_key(path: &str, key: &str) -> Vec<u8> {
    let authorization = literal(&[0x0f, 8], &format!("Bearer {key}"));
    [&[0x82, 0x86, 0x41, 1, b'x'][..], &literal(&[0x04], path), &authorization].concat()
}

/// Opens a connection and sends the client preface.
pub async fn connect(address: SocketAddr) -> (Sender, Receiver) {
    connect_with(address, &[]).await
}

/// Opens a connection and sends the client preface with these settings.
pub async fn connect_with(address: SocketAddr, settings: &[(u16, u32)]) -> (Sender, Receiver) {
    start_on(TcpStream::connect(address).await.unwrap(), settings).await.unwrap()
}

/// Sends the client preface with these settings.
pub async fn start_on(stream: TcpStream, settings: &[(u16, u32)]) -> io::Result<(Sender, Receiver)> {
    let (receiver, sender) = stream.into_split();
    let mut sender = Sender(sender);
    sender.0.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await?;
    let setting = |(name, value): &(u16, u32)| [&name.to_be_bytes()[..], &value.to_be_bytes()].concat();
    sender.send(SETTINGS, 0, 0, &settings.iter().flat_map(setting).collect::<Vec<_>>()).await?;
    Ok((sender, Receiver(receiver)))
}

/// Reads up to the first frame of a kind.
pub async fn until_frame(receiver: &mut Receiver, kind: u8) -> Frame {
    loop {
        let frame = receiver.next().await.expect("the connection is open");
        if frame.kind == kind {
            return frame;
        }
    }
}

/// The bytes of a frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

impl Sender {
    pub async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> io::Result<()> {
        self.0.write_all(&frame(kind, flags, stream, payload)).await
    }

    pub async fn send_all(&mut self, frames: &[u8]) -> io::Result<()> {
        self.0.write_all(frames).await
    }
}

impl Receiver {
    /// The next frame; `None` when the connection is closed.
    pub async fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).await.ok()?;
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        self.0.read_exact(&mut payload).await.ok()?;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        Some(Frame { kind: head[3], stream, payload })
    }
}
