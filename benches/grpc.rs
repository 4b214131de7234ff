//! A cheap gRPC client: many concurrent calls for a load, or one call after the other.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::http2::{Connection, Part};
use crate::load::{Expected, Load, Tally};

const MESSAGE_HEAD: usize = 5;

/// Makes calls on one connection until the end of the load, and waits for the last responses.
pub async fn run(load: &Load, in_flight: usize) -> Tally {
    let mut connection = Connection::open(load.address).await;
    let mut calls =
        Calls { load, made: 0, streams: Vec::new(), trailers: Trailers::default(), tally: Tally::default() };
    let begun = Instant::now();
    while load.goes_on() || !calls.streams.is_empty() {
        let due = load.pace.map_or(f64::INFINITY, |pace| begun.elapsed().as_secs_f64() * pace);
        while calls.streams.len() < in_flight && load.goes_on() && (calls.made as f64) < due {
            calls.begin(&mut connection);
        }
        if calls.streams.is_empty() {
            sleep(Duration::from_millis(1)).await;
        } else {
            connection.exchange(|stream, part| calls.take(stream, part)).await;
        }
    }
    calls.tally
}

/// The trailers of the first correct response. All others must be the same, so that no call can fail
/// unnoticed.
#[derive(Default)]
struct Trailers(Option<Vec<u8>>);

impl Trailers {
    fn check(&mut self, path: &str, trailers: &[u8]) {
        let known = self.0.get_or_insert_with(|| trailers.to_vec());
        assert_eq!(known, trailers, "the trailers of a right answer, and those of {path}");
    }
}

/// The calls in flight on one connection.
struct Calls<'a> {
    load: &'a Load,
    made: usize,
    streams: Vec<Stream>,
    trailers: Trailers,
    tally: Tally,
}

struct Stream {
    id: u32,
    begun: Instant,
    expected: Expected,
    message: Vec<u8>,
    has_head: bool,
}

impl Calls<'_> {
    fn begin(&mut self, connection: &mut Connection) {
        let (message, expected) = (self.load.make_request)(&mut self.tally.random);
        let id = connection.request(&self.load.path, &message);
        let begun = Instant::now();
        self.made += 1;
        self.streams.push(Stream { id, begun, expected, message: Vec::new(), has_head: false });
    }

    fn take(&mut self, id: u32, part: Part<'_>) {
        let at = self.streams.iter().position(|stream| stream.id == id).expect("a stream in flight");
        match part {
            Part::Head => self.streams[at].has_head = true,
            Part::Data(bytes) => self.streams[at].message.extend_from_slice(bytes),
            Part::Trailers(trailers) => self.finish(at, trailers),
        }
    }

    /// Ends a call with its trailers. A response without them is incomplete.
    fn finish(&mut self, at: usize, trailers: &[u8]) {
        let stream = self.streams.swap_remove(at);
        if self.load.pace.is_some() && !stream.has_head {
            // A response with only trailers is an error.
            self.tally.refusals.push(stream.begun.elapsed());
            return;
        }
        let message = stream.message.get(MESSAGE_HEAD..).unwrap_or_default();
        let right = stream.has_head && (self.load.check)(&stream.expected, message);
        assert!(right, "{:?} was answered with {message:?} and {trailers:?}", stream.expected);
        self.trailers.check(&self.load.path, trailers);
        self.tally.count(stream.begun);
    }
}

/// A client that makes one call after the other on one connection.
pub struct Caller {
    connection: Connection,
    trailers: Trailers,
}

impl Caller {
    pub async fn open(address: SocketAddr) -> Self {
        Self { connection: Connection::open(address).await, trailers: Trailers::default() }
    }

    /// Makes a unary call and returns the message and the duration.
    pub async fn call(&mut self, path: &str, message: &[u8]) -> (Vec<u8>, Duration) {
        let mut responses = Vec::new();
        let begun = Instant::now();
        self.stream(path, message, |response| responses.push(response.to_vec())).await;
        let took = begun.elapsed();
        assert_eq!(responses.len(), 1, "one message answers {path}");
        (responses.swap_remove(0), took)
    }

    /// Makes a server-streaming call and passes on each message as it arrives. Make a unary call first and
    /// check its response: the trailers of all later calls are compared with its trailers.
    pub async fn stream(&mut self, path: &str, message: &[u8], mut take: impl FnMut(&[u8])) {
        let id = self.connection.request(path, message);
        let (mut unread, mut ended) = (Vec::new(), false);
        let Self { connection, trailers } = self;
        while !ended {
            let took = connection.exchange(|stream, part| {
                assert_eq!(stream, id, "the stream in flight");
                match part {
                    Part::Head => {}
                    Part::Data(bytes) => {
                        unread.extend_from_slice(bytes);
                        messages(&mut unread, &mut take);
                    }
                    Part::Trailers(fields) => {
                        trailers.check(path, fields);
                        ended = true;
                    }
                }
            });
            took.await;
        }
        assert!(unread.is_empty(), "the last message of {path} is whole");
    }
}

/// Passes on the complete messages.
fn messages(unread: &mut Vec<u8>, take: &mut impl FnMut(&[u8])) {
    let mut at = 0;
    while let Some(&[_, a, b, c, d]) = unread.get(at..at + MESSAGE_HEAD) {
        let begin = at + MESSAGE_HEAD;
        let end = begin + u32::from_be_bytes([a, b, c, d]) as usize;
        let Some(message) = unread.get(begin..end) else { break };
        take(message);
        at = end;
    }
    unread.drain(..at);
}
