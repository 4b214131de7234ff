//! A log that cannot be written costs lines, and nothing else.

use std::fs::File;
use std::io::{BufRead, BufReader, pipe};
use std::net::SocketAddr;
use std::process::{Child, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::rest::{JSON, Rest};
use crate::support::http::get;
use crate::support::{Program, TestDatabase};

/// A service with a standard error of the test's choice.
struct Service {
    child: Child,
    address: SocketAddr,
    admin: SocketAddr,
}

impl Service {
    fn start(database: &TestDatabase, stderr: impl Into<Stdio>) -> Self {
        Self::start_with(database, stderr, "false")
    }

    fn start_with(database: &TestDatabase, stderr: impl Into<Stdio>, audit_required: &str) -> Self {
        // A port that is free now: the log, which would have the address, cannot be read.
        let admin = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let settings = [
            ("DATABASE_URL", &*database.url()),
            ("ADMIN_LISTEN", &admin.to_string()),
            ("AUDIT_REQUIRED", audit_required),
        ];
        let mut child = Program::command(&settings).stdout(Stdio::piped()).stderr(stderr).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let url = lines.find_map(|line| Some(line.strip_prefix("Explorer: http://")?.to_owned())).unwrap();
        Self { child, address: url.trim_end_matches('/').parse().unwrap(), admin }
    }

    /// The number of lines that were dropped, by the metrics.
    async fn dropped(&self) -> f64 {
        let metrics = get(self.admin, "/metrics", &[]).await;
        let metrics = String::from_utf8(metrics.body.to_vec()).unwrap();
        let line = metrics.lines().find(|line| line.starts_with("customer_groups_dropped_log_lines_total "));
        line.unwrap().rsplit(' ').next().unwrap().parse().unwrap()
    }

    /// Creates groups, all of which are acknowledged.
    async fn create(&self, count: usize) {
        for _ in 0..count {
            let body = r#"{"customer_group_name": "Export"}"#;
            assert_eq!(Rest(self.address).call("POST", "", &[JSON], body).await.status, 201);
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
        self.child.wait().unwrap();
    }
}

#[tokio::test]
async fn a_log_on_a_full_disk_or_a_closed_pipe_loses_its_lines_and_no_call() {
    let (reader, closed) = pipe().unwrap();
    drop(reader);
    for stderr in [Stdio::from(File::options().write(true).open("/dev/full").unwrap()), closed.into()] {
        let database = TestDatabase::create().await;
        let service = Service::start(&database, stderr);
        service.create(40).await;
        assert_eq!(database.number("select count(*) from customer_group").await, 40);
        assert!(service.dropped().await > 0.0);
    }
}

#[tokio::test]
async fn a_log_that_nobody_reads_delays_no_call() {
    let (_reader, stalled) = pipe().unwrap();
    let database = TestDatabase::create().await;
    let service = Service::start(&database, stalled);
    // More lines than a pipe holds.
    service.create(600).await;
    assert_eq!(get(service.address, "/livez", &[]).await.status, 200);
}

#[tokio::test]
async fn changes_can_be_refused_while_the_audit_log_loses_lines() {
    let database = TestDatabase::create().await;
    let full = File::options().write(true).open("/dev/full").unwrap();
    let service = Service::start_with(&database, full, "true");
    let body = r#"{"customer_group_name": "Export"}"#;
    let refused = Rest(service.address).call("POST", "", &[JSON], body).await;
    assert_eq!(
        (refused.status.as_u16(), refused.json()["error"]["code"].as_str()),
        (503, Some("unavailable"))
    );
    assert!(refused.json()["error"]["message"].as_str().unwrap().contains("audit log"));
    assert_eq!(Rest(service.address).get("").await.json()["total"], 0);

    let file = tempfile::NamedTempFile::new().unwrap();
    let service = Service::start_with(&database, file.reopen().unwrap(), "true");
    service.create(3).await;
}

#[test]
fn the_reason_why_a_service_does_not_start_is_a_line_of_the_json_log() {
    for (setting, cause) in [
        (("DATABASE_URL", "postgres://127.0.0.1:1/groups"), "cannot be reached"),
        (("DATABASE_URL", "nowhere"), "DATABASE_URL: "),
        (("WORKERS", "0"), "WORKERS: "),
    ] {
        let output = Program::run(&["serve"], &[setting]);
        let log = String::from_utf8(output.stderr).unwrap();
        let last: serde_json::Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
        assert!(last["cause"].as_str().unwrap().contains(cause), "{log}");
        assert!(log.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()), "{log}");
    }
}
