//! The part of HTTP/2 (RFC 9113) that a gRPC client needs. It is cheap because it writes the frames itself.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::service::authorization;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;

const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

const FRAME_HEAD: usize = 9;

/// The number of bytes after which a window update is sent.
const WINDOW: u32 = 1 << 20;
const DEFAULT_WINDOW: u32 = 65_535;

/// The first index of HPACK's dynamic table, that of the newest field.
const NEWEST: usize = 62;

/// A client connection.
pub struct Connection {
    socket: TcpStream,
    authorization: String,
    out: Vec<u8>,
    input: Vec<u8>,
    /// The length of the data in `input`.
    filled: usize,
    /// The fields in the server's HPACK dynamic table (RFC 7541), newest last.
    known: Vec<(&'static str, String)>,
    next_id: u32,
    /// The number of bytes received since the last window update.
    taken: u32,
}

/// A part of a response.
#[derive(Clone, Copy)]
pub enum Part<'a> {
    Head,
    Data(&'a [u8]),
    /// The fields as they were encoded.
    Trailers(&'a [u8]),
}

fn frame(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[&[u8]]) {
    let length = payload.iter().map(|part| part.len()).sum::<usize>();
    let length = u32::try_from(length).expect("a short frame").to_be_bytes();
    out.extend_from_slice(&length[1..]);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    for part in payload {
        out.extend_from_slice(part);
    }
}

fn whole_frame(bytes: &[u8]) -> Option<usize> {
    let print_head = bytes.get(..FRAME_HEAD)?;
    let length = FRAME_HEAD + u32::from_be_bytes([0, print_head[0], print_head[1], print_head[2]]) as usize;
    (bytes.len() >= length).then_some(length)
}

impl Connection {
    pub async fn open(address: SocketAddr) -> Self {
        const HEADER_TABLE_SIZE: [u8; 6] = [0, 1, 0, 0, 0, 0];
        const INITIAL_WINDOW_SIZE: [u8; 6] = [0, 4, 0x7f, 0xff, 0xff, 0xff];
        let socket = TcpStream::connect(address).await.expect("a connection");
        socket.set_nodelay(true).expect("no delay");
        let mut out = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        // The server must not use a dynamic table, so that equal trailers are equal bytes. The streams have
        // the maximum window, so that only the window of the connection has to be updated.
        frame(&mut out, SETTINGS, 0, 0, &[&HEADER_TABLE_SIZE, &INITIAL_WINDOW_SIZE]);
        frame(&mut out, WINDOW_UPDATE, 0, 0, &[&(WINDOW - DEFAULT_WINDOW).to_be_bytes()]);
        Self {
            socket,
            authorization: authorization(),
            out,
            input: vec![0; 1 << 16],
            filled: 0,
            known: Vec::new(),
            next_id: 1,
            taken: 0,
        }
    }

    /// Queues a request and returns its stream id. The next exchange sends it.
    pub fn request(&mut self, path: &str, message: &[u8]) -> u32 {
        let id = self.next_id;
        self.next_id += 2;
        let fields = self.fields(path);
        frame(&mut self.out, HEADERS, END_HEADERS, id, &[&fields]);
        let length = u32::try_from(message.len()).expect("a short message").to_be_bytes();
        frame(&mut self.out, DATA, END_STREAM, id, &[&[0], &length, message]);
        id
    }

    /// The HPACK encoding of the fields of a call. A new field is added to the dynamic table.
    fn fields(&mut self, path: &str) -> Vec<u8> {
        let fields = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", path),
            (":authority", "bench"),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
            ("authorization", &self.authorization),
        ];
        let mut block = Vec::with_capacity(fields.len());
        for (name, value) in fields {
            let at = self.known.iter().rev().position(|known| known.0 == name && known.1 == value);
            if let Some(at) = at {
                block.push(0x80 | u8::try_from(NEWEST + at).expect("a small index"));
                continue;
            }
            block.push(0x40);
            for text in [name, value] {
                block.push(u8::try_from(text.len()).expect("a short text"));
                block.extend_from_slice(text.as_bytes());
            }
            self.known.push((name, value.to_owned()));
        }
        block
    }

    /// Sends the queued frames, waits for data, and passes on each part with its stream id.
    pub async fn exchange(&mut self, mut take: impl FnMut(u32, Part<'_>)) {
        self.socket.write_all(&self.out).await.expect("the frames are taken");
        self.out.clear();
        let read = self.socket.read(&mut self.input[self.filled..]).await.expect("frames");
        assert!(read > 0, "the server closed the connection");
        self.filled += read;
        let mut at = 0;
        while let Some(length) = whole_frame(&self.input[at..self.filled]) {
            let (print_head, payload) = self.input[at..at + length].split_at(FRAME_HEAD);
            let (kind, flags) = (print_head[3], print_head[4]);
            let stream = u32::from_be_bytes([print_head[5], print_head[6], print_head[7], print_head[8]]);
            match kind {
                DATA => {
                    self.taken += u32::try_from(payload.len()).expect("a short frame");
                    take(stream, Part::Data(payload));
                }
                HEADERS if flags & END_STREAM != 0 => take(stream, Part::Trailers(payload)),
                HEADERS => take(stream, Part::Head),
                SETTINGS if flags & ACK == 0 => frame(&mut self.out, SETTINGS, ACK, 0, &[]),
                PING if flags & ACK == 0 => frame(&mut self.out, PING, ACK, 0, &[payload]),
                RST_STREAM | GOAWAY => panic!("the server gave up on a call: {payload:?}"),
                // Far below the window that the server grants, so that no flow control is needed.
                _ => {}
            }
            at += length;
        }
        self.input.copy_within(at..self.filled, 0);
        self.filled -= at;
        if self.taken > WINDOW / 2 {
            frame(&mut self.out, WINDOW_UPDATE, 0, 0, &[&self.taken.to_be_bytes()]);
            self.taken = 0;
        }
    }
}
