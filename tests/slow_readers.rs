//! Clients that read slowly, or not at all, cost neither memory nor connections of others.

use std::num::NonZeroUsize;
use std::time::Duration;

use customer_groups::testing::COLLECTION;
use customer_groups::testing::{Limits, Timeouts};
use futures_util::StreamExt;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpSocket;

use crate::limits::until_a_connection_is_accepted;
use crate::stream::{all_of, open_list, open_web};
use crate::support::{Api, BOUNDS, Calls, KEY, Program, TIMEOUTS, TestDatabase};

/// About 200 MB of descendants.
const MANY: i32 = 50_000;

/// Reads a body to its end and returns its length.
async fn length(mut body: Incoming) -> usize {
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        length += frame.unwrap().data_ref().unwrap().len();
    }
    length
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn an_unread_response_is_dropped_after_a_timeout() {
    // Far less than any other timeout that closes the connection.
    let (request, header) = (Duration::from_secs(1), Duration::from_mins(10));
    let timeouts = Timeouts { request, header, ..TIMEOUTS };
    let api = Api::start_within(Limits { connections: NonZeroUsize::MIN, ..BOUNDS }, timeouts).await;
    api.database.plant(999, 50).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(api.address()).await.unwrap();
    // 4 MB, built at once.
    let list =
        format!("GET {COLLECTION}?limit=1000 HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\n\r\n");
    stream.write_all(list.as_bytes()).await.unwrap();
    stream.peek(&mut [0]).await.unwrap();
    until_a_connection_is_accepted(api.address()).await;
    drop(stream);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn long_lists_are_read_slowly_in_constant_memory() {
    const LITTLE: u64 = 32 * 1024;
    let database = TestDatabase::create().await;
    let root = database.plant(MANY, 50).await;
    let program = Program::serve(&[("DATABASE_URL", &database.url()), ("REQUEST_TIMEOUT", "10m")]);
    let client = program.client().await;
    client.list(Some(500), None).await.unwrap();
    let idle = program.peak();

    let mut list = open_list(program.address, &root, &[]).await.into_body();
    let mut web = open_web(program.address, &root, &[]).await.into_body();
    let mut groups =
        client.clone().stream_customer_group_descendants(all_of(&root)).await.unwrap().into_inner();
    list.frame().await.unwrap().unwrap();
    web.frame().await.unwrap().unwrap();
    groups.next().await.unwrap().unwrap();
    database.until_statements_are_stalled(3).await;

    for _ in 0..50 {
        assert_eq!(client.list(Some(1), None).await.unwrap().total, MANY + 1);
        client.get(&root).await.unwrap();
    }
    // One connection each, and no other is in use.
    database.until_statements_run(3).await;
    let grown = program.peak() - idle;
    assert!(grown < LITTLE, "{grown} KiB more for three slow readers");

    drop((web, groups));
    let length = length(list).await;
    assert!(length > 4000 * usize::try_from(MANY).unwrap(), "{length} bytes");
    let grown = program.peak() - idle;
    assert!(grown < LITTLE, "{grown} KiB more for {length} bytes");
}
