//! The release binary on an embedded PostgreSQL, and the resources that both use.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};

const KEY: &str = "sk_test_the_key_of_the_benchmark";

/// The unit of processor time in `/proc` on Linux: ticks a second.
const TICKS: f64 = 100.0;

/// The `authorization` header of the benchmark.
pub fn authorization() -> String {
    format!("Bearer {KEY}")
}

/// A running service.
pub struct Service {
    process: Child,
    pub address: SocketAddr,
    /// Shared by all services on the cluster.
    folder: Rc<TempDir>,
    log: PathBuf,
    settings: Vec<(&'static str, String)>,
}

/// Processor time since the start.
#[derive(Clone, Copy)]
pub struct Cost {
    pub service: f64,
    pub client: f64,
    pub database: f64,
}

/// The log filter that leaves out the line of each call.
const NO_CALLS: &str = "warn,customer_groups::listen=info";

impl Service {
    /// Starts a service on a new cluster and waits until it serves. It logs no calls.
    pub fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("customer-groups-bench-").tempdir().expect("a folder");
        // PostgreSQL may have to run as another user.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("its mode");
        let settings =
            vec![("DATA_DIR", folder.path().display().to_string()), ("RUST_LOG", NO_CALLS.to_owned())];
        Self::with(Rc::new(folder), "service.log", settings)
    }

    /// Starts another service on the same cluster, with the default log level and a log file.
    pub fn start_logging(&self) -> Self {
        Self::with(self.folder.clone(), "logging.log", vec![self.database_url()])
    }

    /// Starts another service on the same cluster that logs no calls. An overload may use memory that the
    /// service does not return.
    pub fn start_overloaded(&self) -> Self {
        let settings = vec![self.database_url(), ("RUST_LOG", NO_CALLS.to_owned())];
        Self::with(self.folder.clone(), "overloaded.log", settings)
    }

    fn database_url(&self) -> (&'static str, String) {
        let socket = self.socket().display().to_string().replace('/', "%2F");
        ("DATABASE_URL", format!("postgres://customer_groups@{socket}/postgres"))
    }

    fn with(folder: Rc<TempDir>, log: &str, settings: Vec<(&'static str, String)>) -> Self {
        let log = folder.path().join(log);
        let (process, address, _) = spawn(&settings, &log);
        Self { process, address, folder, log, settings }
    }

    /// Restarts the service on the same cluster. Returns the time until it is ready.
    pub fn restart(&mut self) -> Duration {
        assert!(self.stop().success());
        let (process, address, took) = spawn(&self.settings, &self.log);
        (self.process, self.address) = (process, address);
        took
    }

    fn stop(&mut self) -> ExitStatus {
        nix::sys::signal::kill(self.pid(), nix::sys::signal::Signal::SIGTERM).expect("it runs");
        self.process.wait().expect("it ends")
    }

    fn pid(&self) -> nix::unistd::Pid {
        nix::unistd::Pid::from_raw(self.process.id().try_into().expect("a pid"))
    }

    /// Empties the log.
    pub fn forget_log(&self) {
        File::options().write(true).truncate(true).open(&self.log).expect("the log");
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

    /// Processor time of the service, of this process, and of all processes of the cluster's PostgreSQL.
    pub fn cost(&self) -> Cost {
        let postmaster =
            fs::read_to_string(self.folder.path().join("postgres/postmaster.pid")).expect("a pid");
        let postmaster = postmaster.lines().next().expect("a pid").to_owned();
        let database = std::iter::repeat_with(|| seconds_with_children(&postmaster)).flatten().next();
        let database = database.expect("a family that is not for ever changing");
        let service = seconds(&self.pid().to_string(), OWN).expect("it runs");
        let client = seconds("self", OWN).expect("this process");
        Cost { service, client, database }
    }

    /// A value from the process status of the service in MiB: `VmRSS` (current) or `VmHWM` (peak).
    pub fn memory(&self, name: &str) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("its status");
        let line = status.lines().find(|line| line.starts_with(name)).expect("the size");
        let kib: f64 = line.split_whitespace().nth(1).and_then(|size| size.parse().ok()).expect("a number");
        kib / 1024.0
    }

    /// Resets the peak of the memory.
    pub fn forget_peak(&self) {
        fs::write(format!("/proc/{}/clear_refs", self.pid()), "5").expect("a new peak");
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let stopped = self.stop().success();
        assert!(stopped || std::thread::panicking(), "{}", fs::read_to_string(&self.log).expect("the log"));
    }
}

/// Starts the release binary with a log file: reading from a pipe would cost this process time.
fn spawn(settings: &[(&str, String)], log: &Path) -> (Child, SocketAddr, Duration) {
    fs::write(log, "").expect("an empty log");
    let begun = Instant::now();
    let process = Command::new(env!("CARGO_BIN_EXE_customer-groups"))
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .envs(std::env::var_os("PG_BIN_DIR").map(|folder| ("PG_BIN_DIR", folder)))
        .env("LISTEN", "127.0.0.1:0")
        .env("ADMIN_LISTEN", "127.0.0.1:0")
        .env("API_KEY", KEY)
        .envs(settings.iter().map(|(name, value)| (name, value)))
        .stdout(Stdio::null())
        .stderr(File::options().append(true).open(log).expect("the log"))
        .spawn()
        .expect("the release binary");
    (process, serving(log), begun.elapsed())
}

/// Waits until the service logs its address.
fn serving(log: &Path) -> SocketAddr {
    const TIMEOUT: Duration = Duration::from_mins(1);
    let begun = Instant::now();
    loop {
        let lines = fs::read_to_string(log).expect("the log");
        let (whole, _) = lines.rsplit_once('\n').unwrap_or_default();
        let address =
            whole.lines().find_map(|line| line.split_once("serving address=")?.1.trim().parse().ok());
        if let Some(address) = address {
            return address;
        }
        assert!(begun.elapsed() < TIMEOUT, "the service does not serve: {lines}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The fields after the program name in `/proc/<pid>/stat`.
fn stat(pid: &str) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    Some(fields.split_whitespace().map(str::to_owned).collect())
}

fn parent(pid: &str) -> Option<String> {
    stat(pid)?.into_iter().nth(1)
}

/// Processor time of a process and all of its children, including ended ones; `None` if one of them ended
/// meanwhile: it would be counted twice or not at all.
fn seconds_with_children(pid: &str) -> Option<f64> {
    let ended = seconds(pid, ENDED_CHILDREN)?;
    let mut all = seconds(pid, OWN)? + ended;
    for entry in fs::read_dir("/proc").expect("/proc").flatten() {
        let child = entry.file_name().to_string_lossy().into_owned();
        if child.bytes().all(|byte| byte.is_ascii_digit()) && parent(&child).as_deref() == Some(pid) {
            all += seconds(&child, OWN)?;
        }
    }
    (seconds(pid, ENDED_CHILDREN)?.to_bits() == ended.to_bits()).then_some(all)
}

/// The indexes of the processor times, in user and in system mode.
const OWN: [usize; 2] = [11, 12];
const ENDED_CHILDREN: [usize; 2] = [13, 14];

/// Processor time of a process; `None` if it has ended.
fn seconds(pid: &str, fields: [usize; 2]) -> Option<f64> {
    let stat = stat(pid)?;
    let ticks = fields.map(|field| stat.get(field).and_then(|ticks| ticks.parse::<f64>().ok()));
    Some((ticks[0]? + ticks[1]?) / TICKS)
}
