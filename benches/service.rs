//! The release binary on a private PostgreSQL, with what both cost.

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

/// How fast `/proc` counts, on every Linux: ticks a second.
const TICKS: f64 = 100.0;

/// What all calls of the benchmark say of who makes them.
pub fn authorization() -> String {
    format!("Bearer {KEY}")
}

/// A service that runs.
pub struct Service {
    process: Child,
    pub address: SocketAddr,
    /// Shared by all services on its cluster.
    folder: Rc<TempDir>,
    log: PathBuf,
    settings: Vec<(&'static str, String)>,
}

/// Processor time so far.
#[derive(Clone, Copy)]
pub struct Cost {
    pub service: f64,
    pub client: f64,
    pub database: f64,
}

/// Logs all but the line of each call.
const NO_CALLS: &str = "warn,customer_groups::server=info,customer_groups::server::call=warn";

impl Service {
    /// Starts it on a new cluster and waits until it serves. It writes no line for a call.
    pub fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("customer-groups-bench-").tempdir().expect("a folder");
        // PostgreSQL may have to run as another user.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("its mode");
        let settings =
            vec![("DATA_DIR", folder.path().display().to_string()), ("RUST_LOG", NO_CALLS.to_owned())];
        Self::with(Rc::new(folder), "service.log", settings)
    }

    /// Starts another one on the same cluster, which writes all that it does by default, into a file.
    pub fn start_logging(&self) -> Self {
        Self::with(self.folder.clone(), "logging.log", vec![self.database_url()])
    }

    /// Starts another one on the same cluster that writes no line for a call either, for what may cost it memory that
    /// it does not give back.
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

    /// Stops it and starts it again on the same cluster; answers how long it took to be ready.
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

    /// Empties its log.
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
        let database = std::iter::repeat_with(|| seconds_of_family(&postmaster)).flatten().next();
        let database = database.expect("a family that is not for ever changing");
        let service = seconds(&self.pid().to_string(), OWN).expect("it runs");
        let client = seconds("self", OWN).expect("this process");
        Cost { service, client, database }
    }

    /// A size from the service's status, in MiB: `VmRSS` now, `VmHWM` at most.
    pub fn memory(&self, name: &str) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("its status");
        let line = status.lines().find(|line| line.starts_with(name)).expect("the size");
        let kib: f64 = line.split_whitespace().nth(1).and_then(|size| size.parse().ok()).expect("a number");
        kib / 1024.0
    }

    /// From now on, the most memory is what it uses at most from now on.
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

/// Starts the release binary, with a file for its log: what a pipe takes costs the reader's time, too.
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

/// Waits until the service says where it serves.
fn serving(log: &Path) -> SocketAddr {
    const PATIENCE: Duration = Duration::from_mins(1);
    let begun = Instant::now();
    loop {
        let lines = fs::read_to_string(log).expect("the log");
        let (whole, _) = lines.rsplit_once('\n').unwrap_or_default();
        let address =
            whole.lines().find_map(|line| line.split_once("serving address=")?.1.trim().parse().ok());
        if let Some(address) = address {
            return address;
        }
        assert!(begun.elapsed() < PATIENCE, "the service does not serve: {lines}");
        std::thread::sleep(Duration::from_millis(1));
    }
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

/// Processor time of a process and of all children that it ever had; `None` when one of them ended meanwhile, which
/// would be counted twice or not at all.
fn seconds_of_family(pid: &str) -> Option<f64> {
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

/// Where the two processor times stand, in user and in system mode.
const OWN: [usize; 2] = [11, 12];
const ENDED_CHILDREN: [usize; 2] = [13, 14];

/// Processor time of a process; `None` when it is gone.
fn seconds(pid: &str, fields: [usize; 2]) -> Option<f64> {
    let stat = stat(pid)?;
    let ticks = fields.map(|field| stat.get(field).and_then(|ticks| ticks.parse::<f64>().ok()));
    Some((ticks[0]? + ticks[1]?) / TICKS)
}
