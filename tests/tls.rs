//! TLS connections from callers.

use std::cell::{Cell, RefCell};
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use customer_groups::testing::pb;
use http::StatusCode;
use hyper_util::rt::TokioIo;
use prost::Message;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::Endpoint;
use tower::service_fn;

use crate::metrics::samples;
use crate::rest::COLLECTION;
use crate::support::http::{HttpResponse, RawGrpc, framed, open_on};
use crate::support::protocol::of_web;
use crate::support::tls::{Authority, Identity, connect, write};
use crate::support::{Api, Calls, Client, KEY, Program, TestDatabase, eventually, named};

/// A service over TLS, and the authority that issued its certificate.
struct Tls {
    program: Program,
    authority: Authority,
    identity: Identity,
    folder: TempDir,
}

impl Tls {
    async fn start(settings: &[(&str, &str)]) -> Self {
        let (authority, folder) = (Authority::new("ours"), tempfile::tempdir().unwrap());
        let identity = authority.issue("localhost");
        identity.write(folder.path());
        Self { program: serve(folder.path(), settings).await, authority, identity, folder }
    }

    /// A client over HTTP/2.
    async fn grpc(&self) -> Client {
        let (connector, address) = (self.authority.client("h2", None), self.program.address);
        let connect = service_fn(move |_| {
            let connector = connector.clone();
            async move { connect(&connector, address).await.map(TokioIo::new) }
        });
        let endpoint = Endpoint::from_static("http://localhost");
        Api::client_on(endpoint.connect_with_connector(connect).await.unwrap())
    }

    /// The status of a list over HTTP/1.1, on a new connection.
    async fn list(&self, client: &TlsConnector) -> Result<StatusCode, Box<dyn std::error::Error>> {
        let stream = connect(client, self.program.address).await?;
        let headers = [("authorization", format!("Bearer {KEY}"))];
        let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
        Ok(open_on(stream, self.program.address, "GET", COLLECTION, &headers, "").await?.status())
    }

    /// Whether a new connection gets this certificate.
    async fn shows(&self, identity: &Identity) -> bool {
        let client = self.authority.client("h2", None);
        let stream = connect(&client, self.program.address).await.unwrap();
        stream.get_ref().1.peer_certificates().unwrap()[0] == identity.der()
    }
}

/// Starts a service with the certificate in a folder.
async fn serve(folder: &Path, settings: &[(&str, &str)]) -> Program {
    let url = TestDatabase::create().await.url();
    let (cert, key) = (folder.join("tls.crt"), folder.join("tls.key"));
    let own = [("DATABASE_URL", &*url), ("TLS_CERT", path(&cert)), ("TLS_KEY", path(&key))];
    Program::serve(&[&own, settings].concat())
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_protocol_works_over_tls() {
    let tls = Tls::start(&[]).await;
    let address = tls.program.address;
    let (http1, http2) = (tls.authority.client("http/1.1", None), tls.authority.client("h2", None));
    let created = tls.grpc().await.create(named("Export")).await.unwrap();

    let key = format!("Bearer {KEY}");
    let get = [("authorization", key.as_str())];
    let path = format!("{COLLECTION}/{}", created.id);
    let stream = connect(&http1, address).await.unwrap();
    let response = HttpResponse::read(open_on(stream, address, "GET", &path, &get, "").await.unwrap()).await;
    assert_eq!(response.json()["id"], created.id);

    let mut connection = RawGrpc::connect_on(connect(&http2, address).await.unwrap(), address).await;
    let json = [get[0], ("content-type", "application/json")];
    let body = json!({"customer_group_name": "Retail"}).to_string();
    assert_eq!(connection.post(COLLECTION, &json, body).await.status, 201);

    let web = [get[0], ("content-type", "application/grpc-web+proto")];
    let method = "/overplane.setup.v1.CustomerGroupService/GetCustomerGroup";
    let message = framed(&pb::GetCustomerGroupRequest { id: created.id.clone() }.encode_to_vec());
    let stream = connect(&http1, address).await.unwrap();
    let response = open_on(stream, address, "POST", method, &web, message.clone()).await.unwrap();
    for response in [HttpResponse::read(response).await, connection.post(method, &web, message).await] {
        let found = pb::CustomerGroup::decode(of_web(response).message()).unwrap();
        assert_eq!(found, created);
    }

    let stream = connect(&http1, address).await.unwrap();
    let ready = open_on(stream, address, "GET", "/readyz", &[], "").await.unwrap();
    assert_eq!(ready.status(), 200);
    assert_eq!(ready.headers()["strict-transport-security"], "max-age=31536000");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alpn_selects_the_common_protocol() {
    let tls = Tls::start(&[]).await;
    for protocol in ["h2", "http/1.1"] {
        let client = tls.authority.client(protocol, None);
        let stream = connect(&client, tls.program.address).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(protocol.as_bytes()));
    }
    let client = tls.authority.client("spdy/3", None);
    connect(&client, tls.program.address).await.unwrap_err();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_who_trusts_another_authority_does_not_connect() {
    let tls = Tls::start(&[]).await;
    let client = Authority::new("others").client("h2", None);
    let error = connect(&client, tls.program.address).await.unwrap_err();
    assert!(error.to_string().contains("invalid peer certificate"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plaintext_on_a_tls_port_is_not_served() {
    let tls = Tls::start(&[]).await;
    let stream = TcpStream::connect(tls.program.address).await.unwrap();
    open_on(stream, tls.program.address, "GET", "/livez", &[], "").await.unwrap_err();
    tls.grpc().await.list(None, None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_client_ca_callers_need_a_certificate() {
    let (callers, folder) = (Authority::new("callers"), tempfile::tempdir().unwrap());
    let authority = write(folder.path(), "callers.crt", &callers.pem());
    let tls = Tls::start(&[("TLS_CLIENT_CA", path(&authority))]).await;
    let (known, unknown) = (callers.issue("shop"), Authority::new("others").issue("shop"));
    let client = tls.authority.client("http/1.1", Some(&known));
    assert_eq!(tls.list(&client).await.unwrap(), 200);
    for identity in [None, Some(&unknown)] {
        let client = tls.authority.client("http/1.1", identity);
        let error = tls.list(&client).await.unwrap_err();
        assert!(!error.to_string().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_fails_while_a_certificate_is_replaced() {
    // The layout of a secret mounted by Kubernetes: the path is a link to a link, and the inner one is
    // swapped.
    let (authority, folder) = (Authority::new("ours"), tempfile::tempdir().unwrap());
    let (first, second) = (authority.issue("localhost"), authority.issue("localhost"));
    for (version, identity) in [("first", &first), ("second", &second)] {
        fs::create_dir(folder.path().join(version)).unwrap();
        identity.write(&folder.path().join(version));
    }
    let data = folder.path().join("..data");
    symlink("first", &data).unwrap();
    for name in ["tls.crt", "tls.key"] {
        symlink(Path::new("..data").join(name), folder.path().join(name)).unwrap();
    }
    let program = serve(folder.path(), &[]).await;
    let tls = Tls { program, authority, identity: first, folder };
    assert!(tls.shows(&tls.identity).await);

    let (is_over, old, client) = (Cell::new(false), tls.grpc().await, tls.authority.client("http/1.1", None));
    let on_one_connection = async {
        while !is_over.get() {
            old.list(None, None).await.unwrap();
        }
    };
    let on_many = async {
        while !is_over.get() {
            assert_eq!(tls.list(&client).await.unwrap(), 200);
        }
    };
    let replace = async {
        symlink("second", tls.folder.path().join("..next")).unwrap();
        fs::rename(tls.folder.path().join("..next"), &data).unwrap();
        eventually("the new certificate", async { while !tls.shows(&second).await {} }).await;
        is_over.set(true);
    };
    tokio::join!(on_one_connection, on_many, replace);
    old.list(None, None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unusable_certificate_is_logged_and_the_old_one_stays() {
    let tls = Tls::start(&[]).await;
    let (folder, other) = (tls.folder.path(), tls.authority.issue("localhost"));
    let told = RefCell::new(Vec::new());
    let until = |looked_for: &str| {
        tls.program.log_line(|line| {
            let (message, problems) = (line["message"].as_str().unwrap(), line["problems"].as_str());
            if line["level"] == "WARN" {
                told.borrow_mut().push(problems.unwrap_or(message).to_owned());
            }
            problems.unwrap_or(message).contains(looked_for)
        });
    };

    write(folder, "tls.crt", "no certificate");
    until("TLS_CERT: ");
    assert!(tls.shows(&tls.identity).await);
    write(folder, "tls.crt", &other.cert);
    until("TLS_KEY: it is not the key of the first certificate");
    assert!(tls.shows(&tls.identity).await);
    fs::remove_file(folder.join("tls.key")).unwrap();
    until("TLS_KEY: ");
    assert!(tls.shows(&tls.identity).await);
    write(folder, "tls.key", &other.key);
    until("certificate reloaded");
    assert!(tls.shows(&other).await);
    let told = told.borrow();
    assert!(told.len() == 3 && told.iter().all(|told| told.contains("TLS_")), "{told:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_connection_is_closed_in_time_at_each_step() {
    let tls = Tls::start(&[("HEADER_TIMEOUT", "200ms")]).await;
    let mut silent = TcpStream::connect(tls.program.address).await.unwrap();
    eventually("no handshake", silent.read_to_end(&mut Vec::new())).await.unwrap();
    for (protocol, begun) in
        [("http/1.1", ""), ("http/1.1", "GET / HT"), ("h2", ""), ("h2", "PRI * HTTP/2.0")]
    {
        let client = tls.authority.client(protocol, None);
        let mut stream = connect(&client, tls.program.address).await.unwrap();
        stream.write_all(begun.as_bytes()).await.unwrap();
        let ended = eventually("a request that has not begun", stream.read_to_end(&mut Vec::new())).await;
        // The server sends no close_notify.
        let is_end = |error: std::io::Error| error.kind() == ErrorKind::UnexpectedEof;
        assert!(ended.map_or_else(is_end, |_| true), "{protocol} {begun:?}");
    }
    tls.grpc().await.list(None, None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_public_address_without_tls_causes_a_warning() {
    let (authority, folder) = (Authority::new("ours"), tempfile::tempdir().unwrap());
    let (cert, key) = authority.issue("localhost").write(folder.path());
    let tls = [("TLS_CERT", path(&cert)), ("TLS_KEY", path(&key))];
    let url = TestDatabase::create().await.url();
    for (listen, tls, is_warned) in [
        ("127.0.0.1:0", &[][..], false),
        ("127.0.0.2:0", &[], false),
        ("0.0.0.0:0", &[], true),
        ("0.0.0.0:0", &tls, false),
    ] {
        let settings = [&[("DATABASE_URL", &*url), ("LISTEN", listen)], tls].concat();
        let program = Program::spawn(Program::command(&settings).stdout(std::process::Stdio::null()));
        let warned = Cell::new(false);
        program.log_line(|line| {
            let message = line["message"].as_str().unwrap();
            let is_warning = line["level"] == "WARN" && message.contains("set TLS_CERT and TLS_KEY");
            warned.set(warned.get() || is_warning);
            message == "serving"
        });
        assert_eq!(warned.get(), is_warned, "{listen}");
    }
}

#[test]
fn a_key_that_does_not_match_the_certificate_fails_the_start() {
    let (authority, folder) = (Authority::new("ours"), tempfile::tempdir().unwrap());
    let (cert, _) = authority.issue("localhost").write(folder.path());
    let key = write(folder.path(), "other.key", &authority.issue("localhost").key);
    let output = Program::run(&["serve"], &[("TLS_CERT", path(&cert)), ("TLS_KEY", path(&key))]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(said.contains("\"TLS_KEY: it is not the key of the first certificate in TLS_CERT"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_ends_soon_is_logged_at_start_and_on_reload_and_its_end_is_a_metric() {
    const DAY: Duration = Duration::from_hours(24);
    let (authority, folder) = (Authority::new("ours"), tempfile::tempdir().unwrap());
    let (now, in_days) = (SystemTime::now(), SystemTime::now() + 10 * DAY);
    authority.issue_until("localhost", in_days).write(folder.path());
    let url = TestDatabase::create().await.url();
    let (cert, key) = (folder.path().join("tls.crt"), folder.path().join("tls.key"));
    let settings = [("DATABASE_URL", &*url), ("TLS_CERT", path(&cert)), ("TLS_KEY", path(&key))];
    let mut command = Program::command(&settings);
    let program = Program::spawn(command.stdout(Stdio::null()));
    let admin = program.log_line(|line| line["message"] == "serving metrics");
    let admin = admin["address"].as_str().unwrap().parse().unwrap();
    let warns = |text: &'static str| {
        move |line: &Value| {
            let message = line["message"].as_str().unwrap_or_default();
            line["level"] == "WARN" && message.starts_with("TLS_CERT: ") && message.contains(text)
        }
    };
    program.log_line(warns("expires soon"));
    let days_left = async || {
        let end = samples(admin).await["customer_groups_certificate_not_after_seconds"];
        (end - now.duration_since(UNIX_EPOCH).unwrap().as_secs_f64()) / DAY.as_secs_f64()
    };
    assert!((days_left().await - 10.0).abs() < 0.5);

    authority.issue_until("localhost", now - DAY).write(folder.path());
    program.log_line(warns("has expired"));
    assert!((days_left().await + 1.0).abs() < 0.5);
}
