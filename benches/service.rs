//! The release binary on a private PostgreSQL, with what both cost.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};

pub const KEY: &str = "sk_test_the_key_of_the_benchmark";

/// How fast `/proc` counts, on every Linux: ticks a second.
const TICKS: f64 = 100.0;

pub struct Service {
    folder: TempDir,
    process: Child,
    pub address: SocketAddr,
}

/// Processor time so far.
#[derive(Clone, Copy)]
pub struct Cost {
    pub service: f64,
    pub database: f64,
}

impl Service {
    /// Starts it on a new cluster and waits until it serves.
    pub fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("customer-groups-bench-").tempdir().expect("a folder");
        // PostgreSQL may have to run as another user.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("its mode");
        let (process, address, _) = spawn(folder.path());
        Self { folder, process, address }
    }

    /// Stops it and starts it again on the same cluster; answers how long it took to be ready.
    pub fn restart(&mut self) -> Duration {
        self.stop();
        let (process, address, took) = spawn(self.folder.path());
        (self.process, self.address) = (process, address);
        took
    }

    fn stop(&mut self) {
        let pid = nix::unistd::Pid::from_raw(self.process.id().try_into().expect("a pid"));
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).expect("it runs");
        assert!(self.process.wait().expect("it ends").success());
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    pub async fn sql(&self) -> Client {
        let url = format!("host={} user=customer_groups dbname=postgres", self.socket().display());
        let (client, connection) = tokio_postgres::connect(&url, NoTls).await.expect("a connection");
        tokio::spawn(connection);
        client
    }

    /// Processor time of the service and of all processes of its PostgreSQL.
    pub fn cost(&self) -> Cost {
        let postmaster =
            fs::read_to_string(self.folder.path().join("postgres/postmaster.pid")).expect("a pid");
        let postmaster = postmaster.lines().next().expect("a pid").to_owned();
        let mut database = seconds(&postmaster, true);
        for entry in fs::read_dir("/proc").expect("/proc").flatten() {
            let pid = entry.file_name().to_string_lossy().into_owned();
            if pid.bytes().all(|byte| byte.is_ascii_digit()) && parent(&pid).as_ref() == Some(&postmaster) {
                database += seconds(&pid, false);
            }
        }
        Cost { service: seconds(&self.process.id().to_string(), false), database }
    }

    /// A size from the service's status, in MiB: `VmRSS` now, `VmHWM` at most.
    pub fn memory(&self, name: &str) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).expect("its status");
        let line = status.lines().find(|line| line.starts_with(name)).expect("the size");
        let kib: f64 = line.split_whitespace().nth(1).and_then(|size| size.parse().ok()).expect("a number");
        kib / 1024.0
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop();
    }
}

fn spawn(folder: &std::path::Path) -> (Child, SocketAddr, Duration) {
    let begun = Instant::now();
    let mut process = Command::new(env!("CARGO_BIN_EXE_customer-groups"))
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("DATA_DIR", folder)
        .env("LISTEN", "127.0.0.1:0")
        .env("API_KEY", KEY)
        // A line for every call is what an operator can turn off, and what a disk would be measured by.
        .env("RUST_LOG", "warn,customer_groups::server=info,customer_groups::server::call=warn")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the release binary");
    let mut lines = BufReader::new(process.stderr.take().expect("a pipe")).lines();
    let serving = lines.by_ref().map_while(Result::ok).find_map(|line| {
        let (_, address) = line.split_once("serving address=")?;
        address.trim().parse().ok()
    });
    let took = begun.elapsed();
    // A log that nobody reads would in the end stop the service.
    std::thread::spawn(move || lines.for_each(drop));
    (process, serving.expect("the service serves"), took)
}

/// What stands after the name of the program in `/proc/<pid>/stat`.
fn stat(pid: &str) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    Some(fields.split_whitespace().map(str::to_owned).collect())
}

fn parent(pid: &str) -> Option<String> {
    stat(pid)?.into_iter().nth(1)
}

/// Processor time of a process, with that of the children that have ended or without.
fn seconds(pid: &str, with_ended_children: bool) -> f64 {
    let fields = stat(pid).unwrap_or_default();
    let ticks = |field: usize| fields.get(field).and_then(|ticks| ticks.parse().ok()).unwrap_or(0.0);
    let own = ticks(11) + ticks(12);
    let children = if with_ended_children { ticks(13) + ticks(14) } else { 0.0 };
    (own + children) / TICKS
}
