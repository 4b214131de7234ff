//! A PostgreSQL primary with a standby that uses streaming replication.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, User, geteuid};
use tempfile::TempDir;
use tokio::time::sleep;
use tokio_postgres::{Client, NoTls};

use super::cluster::{connect, data_dir, url};
use super::eventually;

/// The interval between connection attempts at a start. It lets other tasks run.
const PAUSE: Duration = Duration::from_millis(10);

/// The subfolder with the files of a server. Its socket is beside it, so that a base backup does not copy the
/// socket.
const DATA: &str = "data";

/// A primary with a synchronous standby.
pub struct ReplicatedPair {
    pub primary: Server,
    pub standby: Server,
    _folder: TempDir,
}

/// A PostgreSQL in a folder that contains its Unix socket. It stops when it is dropped.
pub struct Server {
    folder: PathBuf,
    settings: Vec<String>,
    process: Option<Child>,
}

impl ReplicatedPair {
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// With these settings on the standby.
    pub async fn start_with(of_standby: &[&'static str]) -> Self {
        let folder = data_dir();
        let (first, second) = (folder.path().join("a"), folder.path().join("b"));
        make_private(&second);
        let settings = ["synchronous_commit=on", "synchronous_standby_names=*"];
        let primary = Server::start_in(first, settings.map(str::to_owned).to_vec()).await;
        let mut copy = command("pg_basebackup");
        copy.args([
            "--username=customer_groups",
            "--write-recovery-conf",
            "--checkpoint=fast",
            "--no-sync",
            "--host",
        ]);
        done(copy.arg(&primary.folder).arg("--pgdata").arg(second.join(DATA)));
        let mut standby = Server::new(second, of_standby.iter().map(ToString::to_string).collect());
        standby.start().await;
        let follows = "select count(*) from pg_stat_replication where sync_state = 'sync'";
        eventually("the standby follows", async { while primary.number(follows).await == 0 {} }).await;
        Self { primary, standby, _folder: folder }
    }

    /// The URL of both. Clients use the one that accepts writes.
    pub fn url(&self) -> String {
        let (first, second) = (self.primary.folder.display(), self.standby.folder.display());
        format!("host={first},{second} user=customer_groups dbname=postgres target_session_attrs=read-write")
    }

    /// Waits until the standby has replayed everything that the primary has written.
    pub async fn caught_up(&self) {
        let sent: String = self
            .primary
            .sql()
            .await
            .query_one("select pg_current_wal_lsn()::text", &[])
            .await
            .unwrap()
            .get(0);
        let shown = format!("select count(*) where pg_last_wal_replay_lsn() >= '{sent}'");
        eventually("the standby has caught up", async { while self.standby.number(&shown).await == 0 {} })
            .await;
    }
}

impl Server {
    fn new(folder: PathBuf, settings: Vec<String>) -> Self {
        Self { folder, settings, process: None }
    }

    /// Creates a new server in a new folder.
    pub async fn start_in(folder: PathBuf, settings: Vec<String>) -> Self {
        make_private(&folder);
        let mut initdb = command("initdb");
        initdb.args(["--auth=trust", "--username=customer_groups", "--encoding=UTF8", "--no-sync"]);
        done(initdb.arg("--pgdata").arg(folder.join(DATA)));
        let mut server = Self::new(folder, settings);
        server.start().await;
        server
    }

    /// Starts the server and waits until it accepts connections.
    pub async fn start(&mut self) {
        let mut postgres = command("postgres");
        postgres.arg("-D").arg(self.folder.join(DATA)).args(["-c", "listen_addresses=", "-c", "fsync=off"]);
        postgres.arg("-c").arg(format!("unix_socket_directories={}", self.folder.display()));
        for setting in &self.settings {
            postgres.args(["-c", setting]);
        }
        let log = self.folder.with_extension("log");
        postgres.stderr(File::options().create(true).append(true).open(&log).unwrap());
        let url = self.url();
        let process = self.process.insert(postgres.spawn().unwrap());
        let responses = async {
            while tokio_postgres::connect(&url, NoTls).await.is_err() {
                let said = || fs::read_to_string(&log).unwrap();
                assert!(process.try_wait().unwrap().is_none(), "it ended: {}", said());
                sleep(PAUSE).await;
            }
        };
        eventually("the server takes connections", responses).await;
    }

    pub fn url(&self) -> String {
        url(&self.folder, "postgres")
    }

    /// The folder of its Unix socket.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub async fn sql(&self) -> Client {
        connect(&self.url()).await
    }

    /// The number that a query returns.
    pub async fn number(&self, sql: &str) -> i64 {
        self.sql().await.query_one(sql, &[]).await.unwrap().get(0)
    }

    /// Promotes the standby to primary.
    pub async fn promote(&self) {
        let promoted: bool = self.sql().await.query_one("select pg_promote()", &[]).await.unwrap().get(0);
        assert!(promoted);
    }

    /// Kills the main process with SIGKILL.
    pub fn kill(&mut self) {
        self.end(Signal::SIGKILL);
    }

    /// Stops all processes with PostgreSQL's "immediate" shutdown, so that the server can be started again.
    pub fn stop(&mut self) {
        self.end(Signal::SIGQUIT);
    }

    fn end(&mut self, signal: Signal) {
        if let Some(mut process) = self.process.take()
            && let Ok(None) = process.try_wait()
        {
            kill(Pid::from_raw(process.id().try_into().unwrap()), signal).unwrap();
            process.wait().unwrap();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A program of PostgreSQL, run as a user that it accepts. It ends with the test.
fn command(program: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.arg("--pdeathsig=QUIT").arg("--").arg(binaries().join(program));
    if let Some(user) = account() {
        command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
    }
    command.current_dir("/").process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn done(command: &mut Command) {
    let output = command.stderr(Stdio::piped()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn account() -> Option<User> {
    geteuid().is_root().then(|| User::from_name("postgres").unwrap().unwrap())
}

fn make_private(folder: &Path) {
    fs::create_dir(folder).unwrap();
    fs::set_permissions(folder, Permissions::from_mode(0o700)).unwrap();
    chown_to_postgres(folder);
}

/// Gives the path to the user that PostgreSQL runs as.
pub fn chown_to_postgres(path: &Path) {
    if let Some(user) = account() {
        chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw())).unwrap();
    }
}

/// The folder of the newest PostgreSQL that Debian's packages installed; empty for `PATH`.
fn binaries() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = versions.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()).max();
    newest.map_or_else(PathBuf::new, |version| format!("/usr/lib/postgresql/{version}/bin").into())
}
