//! A PostgreSQL cluster in the data folder: its binaries, files and commands.

use std::env;
use std::fs::{self, DirBuilder, File, Permissions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::time::{Instant, sleep};

use super::user::PostgresUser;
use super::{POLL_INTERVAL, open_private};
use crate::error::BoxError;
use crate::store::Database;
use crate::telemetry::SlowWait;

/// The superuser of the cluster.
const USER: &str = "customer_groups";
const DATABASE: &str = "postgres";

/// The character classes for the index of names. Not every system has a locale that knows all letters of Unicode.
const LETTERS: &str = if cfg!(target_os = "linux") { "--lc-ctype=C.UTF-8" } else { "--lc-ctype=C" };

const CLUSTER: &str = "postgres";
const SOCKET: &str = "socket";

/// A cluster that is ready to start.
#[derive(Debug)]
pub(super) struct Cluster {
    folder: PathBuf,
    socket: PathBuf,
    log: PathBuf,
    /// The length of the log before this start.
    log_length: u64,
    binaries: PathBuf,
    user: PostgresUser,
}

impl Cluster {
    pub(super) fn exists(data_dir: &Path) -> bool {
        // A folder of another user cannot be read. It is taken for a cluster, so that the lock reports the reason.
        data_dir.join(CLUSTER).join("PG_VERSION").try_exists().unwrap_or(true)
    }

    /// The address of the database while the cluster runs.
    pub(super) fn database(data_dir: &Path) -> Database {
        Database::on_socket(&data_dir.join(SOCKET), USER, DATABASE)
    }

    /// Finds the binaries and creates the missing parts of the data folder.
    pub(super) fn prepare(data_dir: &Path, bin_dir: Option<&Path>) -> Result<Self, BoxError> {
        let (folder, log) = (data_dir.join(CLUSTER), data_dir.join("postgres.log"));
        let user = PostgresUser::of_cluster(&folder)?;
        user.check_reach(data_dir)?;
        let created_by = fs::read_to_string(folder.join("PG_VERSION")).ok();
        let created_by = created_by.as_deref().map(str::trim);
        let cluster = Self {
            folder,
            socket: data_dir.join(SOCKET),
            log_length: log.metadata().map_or(0, |metadata| metadata.len()),
            log,
            binaries: find_binaries(bin_dir, created_by)?,
            user,
        };
        cluster.check_socket()?;
        cluster.create_private(&cluster.socket)?;
        match created_by {
            Some(version) => cluster.check_version(version)?,
            None => cluster.init(data_dir)?,
        }
        Ok(cluster)
    }

    /// Kernels limit the path of a Unix socket to 104 bytes or more, with its closing NUL.
    fn check_socket(&self) -> Result<(), BoxError> {
        const MAX_LENGTH: usize = 103;
        let length = self.socket.join(".s.PGSQL.5432").as_os_str().as_bytes().len();
        if length > MAX_LENGTH {
            let over = length - MAX_LENGTH;
            return Err(format!(
                "DATA_DIR is {over} bytes too long for the path of a Unix socket in it: {}; use a shorter one",
                self.socket.display()
            )
            .into());
        }
        Ok(())
    }

    fn check_version(&self, created_by: &str) -> Result<(), BoxError> {
        let version = version(&self.binaries)?;
        if major(&version) == created_by {
            return Ok(());
        }
        Err(format!(
            "the cluster in {} was created by PostgreSQL {created_by}, but the binaries in {} are PostgreSQL \
             {version}; set PG_BIN_DIR to the binaries of PostgreSQL {created_by}, or upgrade the cluster with \
             pg_upgrade",
            self.folder.display(),
            self.binaries.display()
        )
        .into())
    }

    /// Creates the cluster in a temporary folder and renames it when it is complete, so that an interrupted initdb is
    /// repeated.
    fn init(&self, data_dir: &Path) -> Result<(), BoxError> {
        let (unfinished, messages) = (data_dir.join("postgres.new"), data_dir.join("initdb.log"));
        let log =
            open_private(&messages, File::options().create(true).truncate(false).read(true).write(true))?;
        wait_for_earlier_initdb(&log, data_dir)?;
        log.set_len(0)?;
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished)
                .map_err(|error| format!("{} cannot be removed: {error}", unfinished.display()))?;
        }
        self.create_private(&unfinished)?;
        tracing::info!(folder = %self.folder.display(), "creating the private PostgreSQL cluster");
        let mut initdb = self.command("initdb", &unfinished);
        initdb.args([
            "--encoding=UTF8",
            "--locale=C",
            LETTERS,
            "--auth=trust",
            "--data-checksums",
            "--no-instructions",
        ]);
        initdb.arg("--username").arg(USER).arg("--pgdata").arg(&unfinished).stderr(log);
        let status = initdb.status().map_err(|error| cannot_start(&initdb, &error))?;
        if !status.success() {
            let messages = fs::read_to_string(&messages)?;
            return Err(format!("initdb failed in {}:\n{messages}", data_dir.display()).into());
        }
        fs::rename(&unfinished, &self.folder)?;
        fs::remove_file(&messages)?;
        Ok(())
    }

    /// Creates a folder that only the user of PostgreSQL can enter, or restricts an existing one.
    fn create_private(&self, folder: &Path) -> Result<(), BoxError> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        fs::set_permissions(folder, Permissions::from_mode(0o700))?;
        self.user.own(folder)?;
        Ok(())
    }

    pub(super) fn postgres(&self, connections: usize) -> Result<Command, BoxError> {
        let log = open_private(&self.log, File::options().create(true).append(true))?;
        let mut postgres = self.command("postgres", &self.folder);
        postgres.arg("-D").arg(&self.folder).stderr(log);
        for setting in [
            "listen_addresses=".to_owned(),
            // A list of quoted paths.
            format!("unix_socket_directories=\"{}\"", self.socket.display().to_string().replace('"', "\"\"")),
            "unix_socket_permissions=0700".to_owned(),
            format!("max_connections={connections}"),
            // PostgreSQL reports the errors of statements to the service, and the service logs them.
            "log_min_messages=log".to_owned(),
            "log_checkpoints=off".to_owned(),
        ] {
            postgres.arg("-c").arg(setting);
        }
        Ok(postgres)
    }

    /// The log since this start.
    pub(super) fn log_tail(&self) -> String {
        let read = || {
            let mut log = File::open(&self.log)?;
            log.seek(SeekFrom::Start(self.log_length))?;
            let mut text = String::new();
            log.read_to_string(&mut text)?;
            Ok::<_, io::Error>(text)
        };
        read().unwrap_or_else(|error| format!("{} cannot be read: {error}", self.log.display()))
    }

    /// Stops a server that a killed service left behind where the operating system could not stop it. The caller holds
    /// the lock, so such a server has no owner.
    pub(super) async fn stop_stale(&self) -> Result<(), BoxError> {
        const MAX_WAIT: Duration = Duration::from_mins(1);
        let pid_file = self.folder.join("postmaster.pid");
        let Some(pid) = fs::read_to_string(&pid_file).ok().and_then(|text| text.lines().next()?.parse().ok())
        else {
            return Ok(());
        };
        let pid = Pid::from_raw(pid);
        if kill(pid, None) == Err(Errno::ESRCH) {
            return Ok(());
        }
        if !self.runs_as(pid) {
            // The id now belongs to another process. PostgreSQL would mistake that process for a server.
            fs::remove_file(&pid_file)?;
            return Ok(());
        }
        match kill(pid, Signal::SIGINT) {
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(error) => {
                return Err(format!(
                    "the PostgreSQL of {} that a killed service left behind cannot be stopped: {error}",
                    pid_file.display()
                )
                .into());
            }
        }
        let begun = Instant::now();
        while self.runs_as(pid) {
            if begun.elapsed() > MAX_WAIT {
                let folder = self.folder.display();
                return Err(format!(
                    "the PostgreSQL in {folder} that a killed service left behind does not stop"
                )
                .into());
            }
            sleep(POLL_INTERVAL).await;
        }
        Ok(())
    }

    /// Returns whether a process is the server of this cluster, by its command line.
    fn runs_as(&self, pid: Pid) -> bool {
        let command_line = if cfg!(target_os = "linux") {
            fs::read(format!("/proc/{pid}/cmdline"))
        } else {
            let mut ps = Command::new("ps");
            ps.args(["-ww", "-o", "args=", "-p", &pid.to_string()]).output().map(|output| output.stdout)
        };
        let folder = self.folder.as_os_str().as_bytes();
        command_line.is_ok_and(|line| line.windows(folder.len()).any(|part| part == folder))
    }

    /// A PostgreSQL program that runs as the cluster's user and is signalled when this process dies. It has its own
    /// process group, so that Ctrl-C in a terminal reaches only the service.
    fn command(&self, program: &str, folder: &Path) -> Command {
        let program = self.binaries.join(program);
        let mut command = if cfg!(target_os = "linux") {
            // prctl(2) PR_SET_PDEATHSIG. A change of user would reset it, so setpriv runs after that.
            let mut command = Command::new("setpriv");
            command.arg("--pdeathsig=INT").arg("--").arg(program);
            command
        } else {
            Command::new(program)
        };
        self.user.apply(&mut command);
        // PostgreSQL does not need the settings of the service, and some of them are secrets.
        command.env_clear().envs(env::var_os("PATH").map(|path| ("PATH", path)));
        command.current_dir(folder).process_group(0).stdin(Stdio::null()).stdout(Stdio::null());
        command
    }
}

/// Waits until no process of an earlier initdb is left, whose service was killed: each holds the lock on its log.
fn wait_for_earlier_initdb(log: &File, data_dir: &Path) -> Result<(), BoxError> {
    const MAX_WAIT: Duration = Duration::from_mins(1);
    let folder = data_dir.display();
    let mut slow = SlowWait::new(format!("the initdb in {folder} that a killed service left behind"));
    loop {
        match log.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) if slow.elapsed() < MAX_WAIT => slow.note(),
            Err(TryLockError::WouldBlock) => {
                return Err(
                    format!("an initdb that a killed service left behind in {folder} does not end").into()
                );
            }
            Err(TryLockError::Error(error)) => {
                return Err(format!("the log of initdb in {folder} cannot be locked: {error}").into());
            }
        }
        thread::sleep(POLL_INTERVAL);
    }
}

pub(super) fn cannot_start(command: &Command, error: &io::Error) -> String {
    format!("{} cannot be started: {error}", command.get_program().display())
}

/// Returns the given folder; or of Debian's packages, newest first, and the folders on PATH, the first one of the version
/// that created the cluster, or else the first one.
pub(super) fn find_binaries(given: Option<&Path>, created_by: Option<&str>) -> Result<PathBuf, BoxError> {
    const REMEDY: &str = "set DATABASE_URL to a PostgreSQL database, for example in a container; or install PostgreSQL \
        here with `apt-get install postgresql` or `brew install postgresql`; or set PG_BIN_DIR to the folder of \
        postgres and initdb";
    let complete = |folder: &PathBuf| folder.join("postgres").is_file() && folder.join("initdb").is_file();
    let (found, place) = if let Some(folder) = given {
        (Some(folder.to_owned()).filter(complete), format!("PG_BIN_DIR {}", folder.display()))
    } else {
        let path = env::var_os("PATH").unwrap_or_default();
        let mut found: Vec<_> =
            debian_binaries().into_iter().chain(env::split_paths(&path)).filter(complete).collect();
        let is_wanted = |folder: &PathBuf| {
            created_by.is_some_and(|wanted| version(folder).is_ok_and(|version| major(&version) == wanted))
        };
        let place = found.iter().position(is_wanted).unwrap_or_default();
        let chosen = (place < found.len()).then(|| found.swap_remove(place));
        (chosen, "/usr/lib/postgresql or on PATH".to_owned())
    };
    found.ok_or_else(|| {
        format!("DATABASE_URL is not set, and no PostgreSQL was found in {place}; {REMEDY}").into()
    })
}

/// The version of the binaries, such as `15.18` or `17beta1`.
fn version(binaries: &Path) -> io::Result<String> {
    let output = Command::new(binaries.join("postgres")).arg("--version").output()?;
    // For example "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)".
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.split_whitespace().nth(2).unwrap_or_default().to_owned())
}

/// The major version, as in the file PG_VERSION of a cluster.
fn major(version: &str) -> &str {
    version.split(|character: char| !character.is_ascii_digit()).next().unwrap_or_default()
}

/// The folders of Debian's packages, newest version first.
fn debian_binaries() -> Vec<PathBuf> {
    let Ok(versions) = fs::read_dir("/usr/lib/postgresql") else { return Vec::new() };
    let mut found: Vec<(u32, PathBuf)> = versions
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .collect();
    found.sort_by(|a, b| b.cmp(a));
    found.into_iter().map(|(_, folder)| folder).collect()
}
