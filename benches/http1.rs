//! A client for REST that costs little: HTTP/1.1 with one request at a time on a connection.

use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::load::{Load, Tally};
use crate::service::authorization;

/// Sends requests on one connection until the load's time is up. What is asked for is the end of the path, or
/// the body of a POST.
pub async fn run(load: &Load) -> Tally {
    let mut socket = TcpStream::connect(load.address).await.expect("a connection");
    socket.set_nodelay(true).expect("no delay");
    let mut tally = Tally::default();
    let (mut request, mut input) = (Vec::new(), vec![0; 1 << 16]);
    let authorization = authorization();
    while load.goes_on() {
        let (asked_for, asked) = (load.ask)(&mut tally.random);
        request.clear();
        let (method, path) = load.path.split_once(' ').expect("a method and a path");
        request.extend_from_slice(format!("{method} {path}").as_bytes());
        if method == "GET" {
            request.extend_from_slice(&asked_for);
        }
        let fields = format!(" HTTP/1.1\r\nhost: bench\r\nauthorization: {authorization}\r\n");
        request.extend_from_slice(fields.as_bytes());
        if method == "POST" {
            let length = asked_for.len();
            let fields = format!("content-type: application/json\r\ncontent-length: {length}\r\n\r\n");
            request.extend_from_slice(fields.as_bytes());
            request.extend_from_slice(&asked_for);
        } else {
            request.extend_from_slice(b"\r\n");
        }
        let begun = Instant::now();
        socket.write_all(&request).await.expect("the request is taken");
        let (head, body) = answer(&mut socket, &mut input).await;
        let right = input[..head].starts_with(b"HTTP/1.1 20") && (load.check)(&asked, &input[head..body]);
        assert!(right, "{asked:?} was answered with {}", String::from_utf8_lossy(&input[..body]));
        tally.count(begun);
    }
    tally
}

/// Reads one answer, and says where its head and its body end.
async fn answer(socket: &mut TcpStream, input: &mut [u8]) -> (usize, usize) {
    let mut filled = 0;
    loop {
        let read = socket.read(&mut input[filled..]).await.expect("an answer");
        assert!(read > 0, "the server closed the connection");
        filled += read;
        let Some(head) = find(&input[..filled], b"\r\n\r\n").map(|at| at + 4) else { continue };
        let at = find(&input[..head], b"content-length: ").expect("a length") + b"content-length: ".len();
        let digits = input[at..head].iter().take_while(|byte| byte.is_ascii_digit());
        let length = digits.fold(0, |length, digit| 10 * length + usize::from(digit - b'0'));
        if filled == head + length {
            return (head, filled);
        }
    }
}

/// Where something begins.
pub fn find(bytes: &[u8], looked_for: &[u8]) -> Option<usize> {
    bytes.windows(looked_for.len()).position(|window| window == looked_for)
}
