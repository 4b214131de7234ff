//! A cheap REST client: HTTP/1.1 with one request at a time on a connection.

use std::net::SocketAddr;
use std::time::Instant;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::load::{Load, Tally};
use crate::service::authorization;

async fn connect(address: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(address).await.expect("a connection");
    socket.set_nodelay(true).expect("no delay");
    socket
}

/// Sends requests on one connection until the end of the load. Each is the end of the path, or the body of a
/// POST.
pub async fn run(load: &Load) -> Tally {
    let mut socket = connect(load.address).await;
    let mut tally = Tally::default();
    let (mut request, mut input) = (Vec::new(), vec![0; 1 << 16]);
    let authorization = authorization();
    while load.goes_on() {
        let (asked_for, expected) = (load.make_request)(&mut tally.random);
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
        let (print_head, body) = response(&mut socket, &mut input).await;
        let right = input[..print_head].starts_with(b"HTTP/1.1 20")
            && (load.check)(&expected, &input[print_head..body]);
        assert!(right, "{expected:?} was answered with {}", String::from_utf8_lossy(&input[..body]));
        tally.count(begun);
    }
    tally
}

/// Reads a response. Returns the end of its head and of its body.
async fn response(socket: &mut TcpStream, input: &mut [u8]) -> (usize, usize) {
    let mut filled = 0;
    loop {
        let read = socket.read(&mut input[filled..]).await.expect("an answer");
        assert!(read > 0, "the server closed the connection");
        filled += read;
        let Some(print_head) = find(&input[..filled], b"\r\n\r\n").map(|at| at + 4) else { continue };
        let at =
            find(&input[..print_head], b"content-length: ").expect("a length") + b"content-length: ".len();
        let digits = input[at..print_head].iter().take_while(|byte| byte.is_ascii_digit());
        let length = digits.fold(0, |length, digit| 10 * length + usize::from(digit - b'0'));
        if filled == print_head + length {
            return (print_head, filled);
        }
    }
}

/// The position of the first occurrence.
pub fn find(bytes: &[u8], looked_for: &[u8]) -> Option<usize> {
    bytes.windows(looked_for.len()).position(|window| window == looked_for)
}

/// Downloads a body of any length and passes it on as it arrives.
pub async fn download(address: SocketAddr, path: &str, mut take: impl FnMut(&[u8])) {
    let mut socket = BufReader::with_capacity(1 << 16, connect(address).await);
    let authorization = authorization();
    let request = format!("GET {path} HTTP/1.1\r\nhost: bench\r\nauthorization: {authorization}\r\n\r\n");
    socket.write_all(request.as_bytes()).await.expect("the request is taken");

    let mut print_head = Vec::new();
    while print_head.last().is_none_or(|line: &String| !line.is_empty()) {
        print_head.push(line(&mut socket).await);
    }
    assert_eq!(print_head[0], "HTTP/1.1 200 OK", "{path}");
    let length = print_head.iter().find_map(|line| line.strip_prefix("content-length: "));
    if let Some(length) = length {
        pass(&mut socket, length.parse().expect("a length"), &mut take).await;
        return;
    }
    assert!(print_head.iter().any(|line| line == "transfer-encoding: chunked"), "{print_head:?}");
    loop {
        let length = line(&mut socket).await;
        let length = usize::from_str_radix(&length, 16).expect("the length of a chunk");
        pass(&mut socket, length, &mut take).await;
        assert_eq!(line(&mut socket).await, "", "a chunk ends, and after the last the body");
        if length == 0 {
            return;
        }
    }
}

async fn line(socket: &mut BufReader<TcpStream>) -> String {
    let mut line = String::new();
    socket.read_line(&mut line).await.expect("a line");
    line.strip_suffix("\r\n").expect("a whole line").to_owned()
}

/// Passes on this many bytes.
async fn pass(socket: &mut BufReader<TcpStream>, mut length: usize, take: &mut impl FnMut(&[u8])) {
    while length > 0 {
        let bytes = socket.fill_buf().await.expect("a piece of the body");
        assert!(!bytes.is_empty(), "the body breaks off");
        let piece = bytes.len().min(length);
        take(&bytes[..piece]);
        socket.consume(piece);
        length -= piece;
    }
}
