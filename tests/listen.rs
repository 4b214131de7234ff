//! Where the service listens: on the addresses of a host name, and on a Unix socket.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use customer_groups::testing::COLLECTION;
use nix::sys::signal::Signal;
use tokio::net::UnixStream;

use crate::support::http::{HttpResponse, get, open_on};
use crate::support::{KEY, Program, TestDatabase};

/// Starts the program, and returns what it says that it serves on.
fn start(listen: &str, database: &str) -> (Program, String) {
    let settings = [("DATABASE_URL", database), ("LISTEN", listen)];
    let program = Program::spawn(Program::command(&settings).stdout(Stdio::null()));
    let address =
        program.log_line(|line| line["message"] == "serving")["address"].as_str().unwrap().to_owned();
    (program, address)
}

async fn list_over(socket: &Path) -> HttpResponse {
    let (stream, host) = (UnixStream::connect(socket).await.unwrap(), "127.0.0.1:80".parse().unwrap());
    let headers = [("authorization", &*format!("Bearer {KEY}"))];
    HttpResponse::read(open_on(stream, host, "GET", COLLECTION, &headers, "").await.unwrap()).await
}

#[tokio::test]
async fn a_host_name_stands_for_all_its_addresses() {
    let database = TestDatabase::create().await;
    let (_program, addresses) = start("localhost:0", &database.url());
    let addresses: Vec<SocketAddr> = addresses.split(", ").map(|address| address.parse().unwrap()).collect();
    assert!(addresses[0].ip().is_loopback());
    for address in addresses {
        assert_eq!(get(address, "/livez", &[]).await.status, 200, "{address}");
    }
}

#[tokio::test]
async fn a_unix_socket_serves_calls_and_is_removed_at_the_end() {
    let (database, folder) = (TestDatabase::create().await, tempfile::tempdir().unwrap());
    let path = folder.path().join("api.sock");
    let (mut program, address) = start(&format!("unix:{}", path.display()), &database.url());
    assert_eq!(address, format!("unix:{}", path.display()));
    assert_eq!(list_over(&path).await.status, 200);
    program.signal(Signal::SIGTERM);
    assert!(program.wait().success());
    assert!(!path.exists());
}

#[tokio::test]
async fn a_unix_socket_that_another_service_uses_is_refused_and_one_that_it_left_is_replaced() {
    let (database, folder) = (TestDatabase::create().await, tempfile::tempdir().unwrap());
    let path = folder.path().join("api.sock");
    let listen = format!("unix:{}", path.display());
    let url = database.url();
    let (mut first, _) = start(&listen, &url);
    let refused = Program::run(&[], &[("DATABASE_URL", &url), ("LISTEN", &listen)]);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(!refused.status.success() && said.contains("Address already in use"), "{said}");
    assert_eq!(list_over(&path).await.status, 200);

    first.signal(Signal::SIGKILL);
    first.wait();
    assert!(path.exists());
    let (_second, _) = start(&listen, &url);
    assert_eq!(list_over(&path).await.status, 200);
}

#[tokio::test]
async fn a_file_in_the_place_of_a_unix_socket_is_kept() {
    let (database, folder) = (TestDatabase::create().await, tempfile::tempdir().unwrap());
    let path = folder.path().join("notes");
    fs::write(&path, "notes").unwrap();
    let listen = format!("unix:{}", path.display());
    let refused = Program::run(&[], &[("DATABASE_URL", &database.url()), ("LISTEN", &listen)]);
    assert!(!refused.status.success());
    assert_eq!(fs::read_to_string(&path).unwrap(), "notes");
}
