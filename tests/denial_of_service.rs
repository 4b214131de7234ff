//! Denial of service by what the protocols allow.

use std::num::NonZeroU32;
use std::time::Duration;

use customer_groups::testing::Limits;
use futures_util::StreamExt;
use futures_util::stream::iter;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::http2::{
    CONTINUATION, END_HEADERS, END_STREAM, GET, HEADERS, MAX_CONCURRENT_STREAMS, PING, RST_STREAM, SETTINGS,
    connect, frame,
};
use crate::support::{Api, BOUNDS, Calls, Program, TIMEOUTS, TestDatabase, eventually};

/// A service and its memory use before the attack.
struct Target {
    program: Program,
    /// Peak memory before the attack, in KiB.
    before: u64,
}

impl Target {
    async fn start(settings: &[(&str, &str)]) -> Self {
        let database = TestDatabase::create().await;
        let url = database.url();
        let program = Program::serve(&[&[("DATABASE_URL", &*url)], settings].concat());
        program.client().await.list(None, None).await.unwrap();
        let before = program.peak();
        Self { program, before }
    }

    /// Asserts that the service still serves others and that its memory has grown by at most this many MiB.
    async fn survives(&self, mib: u64) {
        self.program.client().await.list(None, None).await.unwrap();
        let grown = (self.program.peak() - self.before) / 1024;
        assert!(grown <= mib, "{grown} MiB more");
    }
}

#[tokio::test]
async fn rapidly_reset_calls_are_cheap() {
    const CALLS: u32 = 50_000;
    let victim = Target::start(&[]).await;
    let (mut sender, mut receiver) = connect(victim.program.address).await;
    let attack = async {
        for number in 0..CALLS {
            let stream = 2 * number + 1;
            let call = frame(HEADERS, END_STREAM | END_HEADERS, stream, GET);
            let reset = frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes());
            if sender.send_all(&[call, reset].concat()).await.is_err() {
                return;
            }
        }
    };
    let responses = async { while receiver.next().await.is_some() {} };
    eventually("the attack is over", async {
        tokio::select! {
            () = attack => {}
            () = responses => {}
        }
    })
    .await;
    victim.survives(16).await;
}

#[tokio::test]
async fn pings_with_unread_responses_are_cheap() {
    const STALLED: Duration = Duration::from_millis(500);
    let victim = Target::start(&[]).await;
    let (mut sender, _receiver) = connect(victim.program.address).await;
    let pings = frame(PING, 0, 0, &[7; 8]).repeat(1000);
    // 170 MB of them, or as many as the service accepts before it waits for a reader.
    for _ in 0..10_000 {
        match timeout(STALLED, sender.send_all(&pings)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => break,
        }
    }
    victim.survives(16).await;
}

#[tokio::test]
async fn endless_headers_are_cut_off() {
    let victim = Target::start(&[]).await;
    let (mut sender, mut receiver) = connect(victim.program.address).await;
    sender.send(HEADERS, END_STREAM, 1, GET).await.unwrap();
    // A header that is in no HPACK table: `x: yyy…`.
    let part = [&[0x40, 1, b'x', 100], [b'y'; 100].as_slice()].concat().repeat(100);
    let attack = async { while sender.send(CONTINUATION, 0, 1, &part).await.is_ok() {} };
    let responses = async { while receiver.next().await.is_some() {} };
    eventually("the connection is closed", async { tokio::join!(attack, responses) }).await;

    let (mut reader, mut writer) = TcpStream::connect(victim.program.address).await.unwrap().into_split();
    writer.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
    let attack = async { while writer.write_all(b"x-y: zzzzzzzzzzzzzzzzzzzzzzzzzzz\r\n").await.is_ok() {} };
    let mut response = Vec::new();
    let ((), read) = eventually("the connection is closed", async {
        tokio::join!(attack, reader.read_to_end(&mut response))
    })
    .await;
    // Unread data at the close can discard the response.
    assert!(read.is_err() || response.starts_with(b"HTTP/1.1 431"), "{}", String::from_utf8_lossy(&response));
    victim.survives(16).await;
}

#[tokio::test]
async fn the_maximum_of_concurrent_streams_is_announced_and_enforced() {
    const REFUSED_STREAM: [u8; 4] = 7_u32.to_be_bytes();
    let streams = NonZeroU32::new(3).unwrap();
    let api = Api::start_within(Limits { streams, ..BOUNDS }, TIMEOUTS).await;
    let (mut sender, mut receiver) = connect(api.address()).await;
    let settings = receiver.next().await.unwrap();
    assert_eq!(settings.kind, SETTINGS);
    let told = settings.payload.chunks(6).find(|entry| entry[..2] == MAX_CONCURRENT_STREAMS.to_be_bytes());
    assert_eq!(told.map(|entry| &entry[2..]), Some(3_u32.to_be_bytes().as_slice()));

    // Without END_STREAM, so that the calls stay open.
    sender.send(SETTINGS, 1, 0, &[]).await.unwrap();
    for stream in [1, 3, 5, 7] {
        sender.send(HEADERS, END_HEADERS, stream, &post()).await.unwrap();
    }
    let refused = eventually("the last one is refused", async {
        loop {
            let frame = receiver.next().await.unwrap();
            if frame.kind == RST_STREAM {
                return frame;
            }
        }
    })
    .await;
    assert_eq!((refused.stream, &*refused.payload), (7, REFUSED_STREAM.as_slice()));
}

/// A create over REST whose body has not been sent yet.
fn post() -> Vec<u8> {
    let text = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    let path = [&[0x44], &*text("/api/setup/customer-group")].concat();
    let key = [&[0x40], &*text("authorization"), &*text(&format!("Bearer {}", crate::support::KEY))].concat();
    let kind = [&[0x40], &*text("content-type"), &*text("application/json")].concat();
    [&[0x83, 0x86, 0x41, 1, b'x'], &*path, &*key, &*kind].concat()
}

#[tokio::test]
async fn ten_thousand_idle_connections_are_tolerated_and_closed() {
    const MANY: usize = 10_000;
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, most, most).unwrap();
    let victim = Target::start(&[
        ("HEADER_TIMEOUT", "20s"),
        ("MAX_CONNECTIONS", "20000"),
        ("MAX_CONNECTIONS_PER_ADDRESS", "20000"),
    ])
    .await;
    let address = victim.program.address;
    let connections: Vec<TcpStream> = iter(0..MANY)
        .map(|_| async move { TcpStream::connect(address).await.unwrap() })
        .buffer_unordered(100)
        .collect()
        .await;
    victim.survives(64).await;
    eventually("all are closed", async {
        for mut connection in connections {
            assert_eq!(connection.read(&mut [0]).await.unwrap_or(0), 0);
        }
    })
    .await;
    victim.survives(64).await;
}
