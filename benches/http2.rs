//! A client for gRPC that costs little: it writes the frames of HTTP/2 (RFC 9113) by hand, and keeps a number of
//! calls in flight on a connection.

use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::load::{Asked, Load, Tally};

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
const GRPC_HEAD: usize = 5;
const MAX_WINDOW: u32 = (1 << 31) - 1;
const DEFAULT_WINDOW: u32 = 65_535;

/// A call in flight.
struct Stream {
    id: u32,
    begun: Instant,
    asked: Asked,
    message: Vec<u8>,
    has_head: bool,
}

/// One connection.
struct Connection<'a> {
    socket: TcpStream,
    load: &'a Load,
    out: Vec<u8>,
    streams: Vec<Stream>,
    next_id: u32,
    /// The fields of the trailers of an answer that was right. Every other's must be the same.
    trailers: Option<Vec<u8>>,
    tally: Tally,
}

/// Makes calls on one connection until the load's time is up, and waits for the last answers.
pub async fn run(load: &Load, in_flight: usize) -> Tally {
    let socket = TcpStream::connect(load.address).await.expect("a connection");
    socket.set_nodelay(true).expect("no delay");
    let mut connection = Connection {
        socket,
        load,
        out: Vec::new(),
        streams: Vec::new(),
        next_id: 1,
        trailers: None,
        tally: Tally::default(),
    };
    connection.greet();
    for _ in 0..in_flight {
        connection.call();
    }
    connection.serve().await;
    connection.tally
}

fn frame(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len()).expect("a short frame").to_be_bytes();
    out.extend_from_slice(&length[1..]);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
}

/// The first index of HPACK's dynamic table, which is that of the newest field.
const NEWEST: usize = 62;

/// The fields of a call, in HPACK (RFC 7541): those of the first call are put into the dynamic table, which the
/// others refer to.
fn fields(load: &Load, first: bool) -> Vec<u8> {
    let fields = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", load.path.as_str()),
        (":authority", "bench"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
        ("authorization", load.authorization.as_str()),
    ];
    let mut block = Vec::new();
    for (number, (name, value)) in fields.iter().enumerate() {
        if first {
            block.push(0x40);
            for text in [name, value] {
                block.push(u8::try_from(text.len()).expect("a short text"));
                block.extend_from_slice(text.as_bytes());
            }
        } else {
            block.push(0x80 | u8::try_from(NEWEST + fields.len() - 1 - number).expect("a small index"));
        }
    }
    block
}

impl Connection<'_> {
    fn greet(&mut self) {
        const HEADER_TABLE_SIZE: [u8; 6] = [0, 1, 0, 0, 0, 0];
        const INITIAL_WINDOW_SIZE: [u8; 6] = [0, 4, 0x7f, 0xff, 0xff, 0xff];
        self.out.extend_from_slice(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        // Without a table of the server's own, equal trailers are equal bytes.
        frame(&mut self.out, SETTINGS, 0, 0, &[HEADER_TABLE_SIZE, INITIAL_WINDOW_SIZE].concat());
        let more = MAX_WINDOW - DEFAULT_WINDOW;
        frame(&mut self.out, WINDOW_UPDATE, 0, 0, &more.to_be_bytes());
    }

    fn call(&mut self) {
        let (message, asked) = (self.load.ask)(&mut self.tally.random);
        let length = u32::try_from(message.len()).expect("a short message").to_be_bytes();
        let id = self.next_id;
        let block = fields(self.load, id == 1);
        frame(&mut self.out, HEADERS, END_HEADERS, id, &block);
        frame(&mut self.out, DATA, END_STREAM, id, &[&[0], length.as_slice(), &message].concat());
        self.next_id += 2;
        let begun = Instant::now();
        self.streams.push(Stream { id, begun, asked, message: Vec::new(), has_head: false });
    }

    async fn serve(&mut self) {
        let mut input = vec![0; 1 << 16];
        let mut filled = 0;
        while !self.streams.is_empty() {
            self.socket.write_all(&self.out).await.expect("the frames are taken");
            self.out.clear();
            let read = self.socket.read(&mut input[filled..]).await.expect("frames");
            assert!(read > 0, "the server closed the connection");
            filled += read;
            let mut taken = 0;
            while let Some(length) = whole_frame(&input[taken..filled]) {
                self.take(&input[taken..taken + length]);
                taken += length;
            }
            input.copy_within(taken..filled, 0);
            filled -= taken;
            if filled == input.len() {
                input.resize(2 * filled, 0);
            }
        }
    }

    fn take(&mut self, frame_bytes: &[u8]) {
        let (head, payload) = frame_bytes.split_at(FRAME_HEAD);
        let (kind, flags) = (head[3], head[4]);
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        match kind {
            DATA => self.stream(stream).message.extend_from_slice(payload),
            HEADERS if flags & END_STREAM != 0 => self.finish(stream, payload),
            HEADERS => self.stream(stream).has_head = true,
            SETTINGS if flags & ACK == 0 => frame(&mut self.out, SETTINGS, ACK, 0, &[]),
            PING if flags & ACK == 0 => frame(&mut self.out, PING, ACK, 0, payload),
            RST_STREAM | GOAWAY => panic!("the server gave up on a call: {payload:?}"),
            // What is sent is far below the window that the server keeps open.
            _ => {}
        }
    }

    fn stream(&mut self, id: u32) -> &mut Stream {
        self.streams.iter_mut().find(|stream| stream.id == id).expect("a stream in flight")
    }

    /// Ends a call with its trailers; there is no answer without them.
    fn finish(&mut self, id: u32, trailers: &[u8]) {
        let at = self.streams.iter().position(|stream| stream.id == id).expect("a stream in flight");
        let stream = self.streams.swap_remove(at);
        let message = stream.message.get(GRPC_HEAD..).unwrap_or_default();
        let right = stream.has_head && (self.load.check)(&stream.asked, message);
        assert!(right, "{:?} was answered with {message:?} and {trailers:?}", stream.asked);
        let known = self.trailers.get_or_insert_with(|| trailers.to_vec());
        assert_eq!(known, trailers, "the trailers of a right answer");
        self.tally.count(stream.begun);
        if self.load.goes_on() {
            self.call();
        }
    }
}

fn whole_frame(bytes: &[u8]) -> Option<usize> {
    let head = bytes.get(..FRAME_HEAD)?;
    let length = FRAME_HEAD + u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
    (bytes.len() >= length).then_some(length)
}
