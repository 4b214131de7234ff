//! Floods from one address while a client with a key works at another one: none of its calls fails, and the memory of the
//! service stays bounded. Prints how long the calls took, which decides nothing.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use customer_groups::testing::COLLECTION;
use futures_util::future::BoxFuture;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{interval, sleep};

use crate::support::http::{get, open_on};
use crate::support::http2::{
    self, CONTINUATION, DATA, END_HEADERS, END_STREAM, GET, HEADERS, INITIAL_WINDOW_SIZE, PING, RST_STREAM,
    SETTINGS, frame,
};
use crate::support::tls::{Authority, connect as connect_tls};
use crate::support::{Calls, KEY, Program, TestDatabase, named};

/// How long each flood lasts.
const TIME: Duration = Duration::from_secs(2);
const CALLS_A_SECOND: u32 = 50;
const MAX_MEMORY_KIB: u64 = 256 * 1024;

const ATTACKER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// A target, and an API key of the attacker.
#[derive(Clone)]
struct Target {
    address: SocketAddr,
    key: String,
    /// The connections that a flood has opened.
    connections: Arc<AtomicUsize>,
}

impl Target {
    async fn connect(&self) -> io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((ATTACKER, 0).into())?;
        // Far less than a response.
        socket.set_recv_buffer_size(4096)?;
        socket.connect(self.address).await
    }

    /// Runs work on this many connections, each of which is opened again when the work ends or fails.
    fn flood<F: Future<Output = io::Result<()>> + Send + 'static>(
        self,
        connections: usize,
        work: fn(TcpStream, Self) -> F,
    ) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let mut tasks = JoinSet::new();
            for _ in 0..connections {
                let target = self.clone();
                tasks.spawn(async move {
                    loop {
                        // The target may refuse, and may close the connection at any time.
                        if let Ok(stream) = target.connect().await {
                            target.connections.fetch_add(1, Ordering::Relaxed);
                            drop(work(stream, target.clone()).await);
                        }
                        sleep(Duration::from_millis(10)).await;
                    }
                });
            }
            tasks.join_all().await;
        })
    }
}

async fn forever() -> io::Result<()> {
    std::future::pending().await
}

/// Opens streams whose responses can never be sent.
async fn with_closed_window(stream: TcpStream, request: &[u8]) -> io::Result<()> {
    let (mut sender, _receiver) = http2::start_on(stream, &[(INITIAL_WINDOW_SIZE, 0)]).await?;
    for number in 0..250 {
        let id = 2 * number + 1;
        let headers = frame(HEADERS, END_HEADERS, id, request);
        sender.send_all(&[headers, frame(DATA, END_STREAM, id, &[0; 5])].concat()).await?;
    }
    forever().await
}

async fn pages_with_closed_window(stream: TcpStream, _target: Target) -> io::Result<()> {
    with_closed_window(stream, GET).await
}

async fn lists_with_closed_window(stream: TcpStream, target: Target) -> io::Result<()> {
    with_closed_window(stream, &http2::get_with_key(&format!("{COLLECTION}?limit=1000"), &target.key)).await
}

async fn unread_watches(stream: TcpStream, _target: Target) -> io::Result<()> {
    with_closed_window(stream, &http2::rpc("/grpc.health.v1.Health/Watch")).await
}

async fn unread_reflection(stream: TcpStream, _target: Target) -> io::Result<()> {
    with_closed_window(stream, &http2::rpc("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")).await
}

async fn rapid_resets(stream: TcpStream, _target: Target) -> io::Result<()> {
    let (mut sender, _receiver) = http2::start_on(stream, &[]).await?;
    for number in 0..1_000_000 {
        let id = 2 * number + 1;
        let call = frame(HEADERS, END_STREAM | END_HEADERS, id, GET);
        sender.send_all(&[call, frame(RST_STREAM, 0, id, &8_u32.to_be_bytes())].concat()).await?;
    }
    Ok(())
}

async fn endless_headers(stream: TcpStream, _target: Target) -> io::Result<()> {
    let (mut sender, _receiver) = http2::start_on(stream, &[]).await?;
    sender.send(HEADERS, END_STREAM, 1, GET).await?;
    let part = [&[0x40, 1, b'x', 100], [b'y'; 100].as_slice()].concat().repeat(100);
    loop {
        sender.send(CONTINUATION, 0, 1, &part).await?;
    }
}

async fn settings(stream: TcpStream, _target: Target) -> io::Result<()> {
    let (mut sender, _receiver) = http2::start_on(stream, &[]).await?;
    let many = frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100]).repeat(100);
    loop {
        sender.send_all(&many).await?;
    }
}

async fn pings(stream: TcpStream, _target: Target) -> io::Result<()> {
    let (mut sender, _receiver) = http2::start_on(stream, &[]).await?;
    let many = frame(PING, 0, 0, &[7; 8]).repeat(100);
    loop {
        sender.send_all(&many).await?;
    }
}

/// Requests that repeat a header thousands of times, by its index 62 in the dynamic table (RFC 7541, section 7.3).
async fn header_bombs(stream: TcpStream, _target: Target) -> io::Result<()> {
    let (mut sender, _receiver) = http2::start_on(stream, &[]).await?;
    let header = [&[0x40, 1, b'x', 0x7f, 0xa1, 0x1e], [b'y'; 4000].as_slice()].concat();
    let bomb = [GET, &header, &[0xbe; 12_000]].concat();
    for number in 0..1_000_000 {
        sender.send(HEADERS, END_STREAM | END_HEADERS, 2 * number + 1, &bomb).await?;
    }
    Ok(())
}

async fn slow_bodies(mut stream: TcpStream, target: Target) -> io::Result<()> {
    let head = format!(
        "POST {COLLECTION} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
         content-length: 4000000\r\n\r\n",
        target.key
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(&vec![b' '; 3_000_000]).await?;
    loop {
        sleep(Duration::from_millis(100)).await;
        stream.write_all(b" ").await?;
    }
}

async fn slow_readers(mut stream: TcpStream, target: Target) -> io::Result<()> {
    let request = format!(
        "GET {COLLECTION}?limit=1000 HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\r\n",
        target.key
    );
    stream.write_all(request.as_bytes()).await?;
    forever().await
}

async fn partial_prefaces(mut stream: TcpStream, _target: Target) -> io::Result<()> {
    stream.write_all(b"P").await?;
    forever().await
}

async fn half_open_tls(mut stream: TcpStream, _target: Target) -> io::Result<()> {
    // The start of a ClientHello.
    stream.write_all(&[0x16, 3, 1, 2, 0, 1, 0]).await?;
    forever().await
}

async fn idle(stream: TcpStream, _target: Target) -> io::Result<()> {
    let _open = stream;
    forever().await
}

/// Makes calls at a constant rate for the time of a flood. Returns the 99th percentile of their times.
async fn work<F>(call: impl Fn(u32) -> F) -> Duration
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut ticks = interval(Duration::from_secs(1) / CALLS_A_SECOND);
    let mut calls = JoinSet::new();
    let number = CALLS_A_SECOND * u32::try_from(TIME.as_secs()).unwrap();
    for number in 0..number {
        ticks.tick().await;
        let (begun, call) = (Instant::now(), call(number));
        calls.spawn(async move {
            call.await;
            begun.elapsed()
        });
    }
    // A call that fails has panicked, and the test with it.
    let mut times = calls.join_all().await;
    times.sort_unstable();
    times[(times.len() * 99).div_ceil(100) - 1]
}

fn raise_open_files_limit() {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, most, most).unwrap();
}

fn assert_small(program: &Program, name: &str) {
    let peak = program.peak();
    assert!(peak < MAX_MEMORY_KIB, "{name}: {peak} KiB");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_flood_from_another_address_fails_a_call() {
    raise_open_files_limit();
    let database = TestDatabase::create().await;
    database.plant(2_000, 50).await;
    let url = database.url();
    let program = Program::serve(&[("DATABASE_URL", &url)]);
    let key = Program::run(&["keys", "create", "--name", "attacker"], &[("DATABASE_URL", &url)]).stdout;
    let key = String::from_utf8(key).unwrap().trim().to_owned();
    let target = Target { address: program.address, key, connections: Arc::default() };
    let (client, address) = (program.client().await, program.address);
    let group = client.create(named("Export")).await.unwrap();
    let call = |number: u32| {
        let (client, id) = (client.clone(), group.id.clone());
        async move {
            match number % 5 {
                0 => drop(client.get(&id).await.unwrap()),
                1 => drop(client.list(Some(10), None).await.unwrap()),
                2 => drop(client.create(named("new")).await.unwrap()),
                3 => assert_eq!(get(address, "/livez", &[]).await.status, 200),
                _ => {
                    let headers = [("authorization", &*format!("Bearer {KEY}"))];
                    let response = get(address, &format!("{COLLECTION}/{id}"), &headers).await;
                    assert_eq!(response.status, 200);
                }
            }
        }
    };
    let floods = |target: Target| {
        [
            ("pages in a closed window", target.clone().flood(17, pages_with_closed_window)),
            ("lists in a closed window", target.clone().flood(17, lists_with_closed_window)),
            ("unread health streams", target.clone().flood(17, unread_watches)),
            ("unread reflection", target.clone().flood(17, unread_reflection)),
            ("rapid resets", target.clone().flood(4, rapid_resets)),
            ("endless headers", target.clone().flood(4, endless_headers)),
            ("settings", target.clone().flood(4, settings)),
            ("pings", target.clone().flood(4, pings)),
            ("header bombs", target.clone().flood(4, header_bombs)),
            ("slow bodies", target.clone().flood(100, slow_bodies)),
            ("slow readers", target.clone().flood(100, slow_readers)),
            ("partial prefaces", target.clone().flood(2_000, partial_prefaces)),
            ("idle connections", target.flood(10_000, idle)),
        ]
    };
    for (name, flood) in floods(target.clone()) {
        target.connections.store(0, Ordering::Relaxed);
        let slowest = tokio::select! {
            slowest = work(&call) => slowest,
            () = flood => unreachable!("a flood has no end"),
        };
        println!("{name}: p99 {} ms, peak {} MiB", slowest.as_millis(), program.peak() / 1024);
        assert!(target.connections.load(Ordering::Relaxed) > 0, "{name} did not take place");
        assert_small(&program, name);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_open_tls_handshakes_fail_no_call() {
    raise_open_files_limit();
    let (authority, folder) = (Authority::new("ours"), tempfile::tempdir().unwrap());
    let (cert, key) = authority.issue("localhost").write(folder.path());
    let url = TestDatabase::create().await.url();
    let program = Program::serve(&[
        ("DATABASE_URL", &url),
        ("TLS_CERT", cert.to_str().unwrap()),
        ("TLS_KEY", key.to_str().unwrap()),
    ]);
    let address = program.address;
    let call = |_| {
        let connector = authority.client("http/1.1", None);
        async move {
            let stream = connect_tls(&connector, address).await.unwrap();
            let headers = [("authorization", &*format!("Bearer {KEY}"))];
            let response = open_on(stream, address, "GET", COLLECTION, &headers, "").await.unwrap();
            assert_eq!(response.status(), 200);
        }
    };
    let target = Target { address, key: String::new(), connections: Arc::default() };
    let slowest = tokio::select! {
        slowest = work(call) => slowest,
        () = target.flood(2_000, half_open_tls) => unreachable!("a flood has no end"),
    };
    println!("half-open TLS: p99 {} ms, peak {} MiB", slowest.as_millis(), program.peak() / 1024);
    assert_small(&program, "half-open TLS");
}
