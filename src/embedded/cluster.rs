//! A PostgreSQL cluster in a folder: its binaries, its files, its commands.

use std::env;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::time::{Instant, sleep};

use super::PAUSE;
use super::account::Account;
use crate::error::Cause;
use crate::store::Database;

/// The superuser of the cluster, and the database in it that is used.
const USER: &str = "customer_groups";
const DATABASE: &str = "postgres";

/// What letters are, to the index of names. Not every system has the locale in which all of Unicode's are.
const LETTERS: &str = if cfg!(target_os = "linux") { "--lc-ctype=C.UTF-8" } else { "--lc-ctype=C" };

const CLUSTER: &str = "postgres";
const SOCKET: &str = "socket";

/// A cluster that can be started.
#[derive(Debug)]
pub(super) struct Cluster {
    folder: PathBuf,
    socket: PathBuf,
    log: PathBuf,
    /// How long the log was before this start.
    log_length: u64,
    binaries: PathBuf,
    account: Account,
}

impl Cluster {
    /// Where a cluster's database is while it runs.
    pub(super) fn database(data_dir: &Path) -> Database {
        Database::on_socket(&data_dir.join(SOCKET), USER, DATABASE)
    }

    /// Finds the binaries and makes what is missing in the folder.
    pub(super) fn prepare(data_dir: &Path, bin_dir: Option<&Path>) -> Result<Self, Cause> {
        let (folder, log) = (data_dir.join(CLUSTER), data_dir.join("postgres.log"));
        let account = Account::of_cluster(&folder)?;
        account.check_reach(data_dir)?;
        let cluster = Self {
            folder,
            socket: data_dir.join(SOCKET),
            log_length: log.metadata().map_or(0, |metadata| metadata.len()),
            log,
            binaries: find_binaries(bin_dir)?,
            account,
        };
        cluster.check_socket()?;
        cluster.make_private(&cluster.socket)?;
        match fs::read_to_string(cluster.folder.join("PG_VERSION")) {
            Ok(version) => cluster.check_version(version.trim())?,
            Err(_missing) => cluster.init(data_dir)?,
        }
        Ok(cluster)
    }

    /// A Unix socket's path has a fixed length in the kernel: 104 bytes or more, with its closing NUL.
    fn check_socket(&self) -> Result<(), Cause> {
        const MAX_LENGTH: usize = 103;
        let length = self.socket.join(".s.PGSQL.5432").as_os_str().as_bytes().len();
        if length > MAX_LENGTH {
            let over = length - MAX_LENGTH;
            return Err(format!(
                "DATA_DIR is {over} bytes too long for the path of a Unix socket in it: {}",
                self.socket.display()
            )
            .into());
        }
        Ok(())
    }

    fn check_version(&self, made_by: &str) -> Result<(), Cause> {
        let output = Command::new(self.binaries.join("postgres")).arg("--version").output()?;
        // Such as "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)", or "17beta1" for the number.
        let text = String::from_utf8_lossy(&output.stdout);
        let number = text.split_whitespace().nth(2).unwrap_or_default();
        let major: String = number.chars().take_while(char::is_ascii_digit).collect();
        if major == made_by {
            return Ok(());
        }
        Err(format!(
            "the cluster in {} was made by PostgreSQL {made_by}, and the binaries in {} are of PostgreSQL \
             {number}; set PG_BIN_DIR to the binaries of PostgreSQL {made_by}, or upgrade the cluster with \
             pg_upgrade",
            self.folder.display(),
            self.binaries.display()
        )
        .into())
    }

    /// Makes the cluster beside its place and moves it there when it is whole, so that one whose making was
    /// cut short is made anew.
    fn init(&self, data_dir: &Path) -> Result<(), Cause> {
        let unfinished = data_dir.join("postgres.new");
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished)?;
        }
        self.make_private(&unfinished)?;
        let mut initdb = self.command("initdb", &unfinished);
        initdb.args([
            "--encoding=UTF8",
            "--locale=C",
            LETTERS,
            "--auth=trust",
            "--data-checksums",
            "--no-instructions",
        ]);
        initdb.arg("--username").arg(USER).arg("--pgdata").arg(&unfinished);
        let output = initdb.output().map_err(|error| cannot_start(&initdb, &error))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(format!("initdb failed in {}:\n{said}", data_dir.display()).into());
        }
        fs::rename(&unfinished, &self.folder)?;
        Ok(())
    }

    /// Makes a folder that only the user of PostgreSQL can enter, or makes it one.
    fn make_private(&self, folder: &Path) -> Result<(), Cause> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        fs::set_permissions(folder, Permissions::from_mode(0o700))?;
        self.account.own(folder)?;
        Ok(())
    }

    /// The command that runs the cluster's server.
    pub(super) fn postgres(&self, connections: usize) -> Result<Command, Cause> {
        let log = File::options().create(true).append(true).open(&self.log)?;
        let mut postgres = self.command("postgres", &self.folder);
        postgres.arg("-D").arg(&self.folder).stderr(log);
        for setting in [
            "listen_addresses=".to_owned(),
            format!("unix_socket_directories=\"{}\"", self.socket.display()),
            "unix_socket_permissions=0700".to_owned(),
            format!("max_connections={connections}"),
            // What a statement did wrong is told to the service, which logs it.
            "log_min_messages=log".to_owned(),
            "log_checkpoints=off".to_owned(),
        ] {
            postgres.arg("-c").arg(setting);
        }
        Ok(postgres)
    }

    /// What the server wrote since it was started.
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

    /// Stops a server that a killed service left behind, where the system could not do so. The folder is
    /// locked, so that a server in it has no owner.
    pub(super) async fn stop_orphan(&self) -> Result<(), Cause> {
        const PATIENCE: Duration = Duration::from_mins(1);
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
            // The number belongs to someone else by now, whom PostgreSQL would take for a server.
            fs::remove_file(&pid_file)?;
            return Ok(());
        }
        match kill(pid, Signal::SIGINT) {
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(error) => {
                return Err(format!(
                    "the PostgreSQL left in {} cannot be stopped: {error}",
                    pid_file.display()
                )
                .into());
            }
        }
        let begun = Instant::now();
        while self.runs_as(pid) {
            if begun.elapsed() > PATIENCE {
                return Err(format!("the PostgreSQL left in {} does not stop", self.folder.display()).into());
            }
            sleep(PAUSE).await;
        }
        Ok(())
    }

    /// Whether that process is the server of this cluster, by its command line.
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

    /// A command of PostgreSQL's, run in the folder by the cluster's user, and told to stop when this process
    /// dies. It has its own process group, so that Ctrl-C in a terminal reaches the service alone.
    fn command(&self, program: &str, folder: &Path) -> Command {
        let program = self.binaries.join(program);
        let mut command = if cfg!(target_os = "linux") {
            // prctl(2) PR_SET_PDEATHSIG, after the change of user that would reset it.
            let mut command = Command::new("setpriv");
            command.arg("--pdeathsig=INT").arg("--").arg(program);
            command
        } else {
            Command::new(program)
        };
        self.account.apply(&mut command);
        // The settings of the service are none of its business, and some of them are secrets.
        command.env_clear().envs(env::var_os("PATH").map(|path| ("PATH", path)));
        command.current_dir(folder).process_group(0).stdin(Stdio::null()).stdout(Stdio::null());
        command
    }
}

/// Why a program was not started.
pub(super) fn cannot_start(command: &Command, error: &io::Error) -> String {
    format!("{} cannot be started: {error}", command.get_program().display())
}

/// The given folder; or the newest of those where Debian puts PostgreSQL; or the one on PATH.
fn find_binaries(given: Option<&Path>) -> Result<PathBuf, Cause> {
    const REMEDY: &str = "install it with `apt-get install postgresql` or `brew install postgresql`, set \
        PG_BIN_DIR to the folder of postgres and initdb, or set DATABASE_URL to a database";
    let complete = |folder: &PathBuf| folder.join("postgres").is_file() && folder.join("initdb").is_file();
    let (found, place) = if let Some(folder) = given {
        (Some(folder.to_owned()).filter(complete), format!("in PG_BIN_DIR {}", folder.display()))
    } else {
        let path = env::var_os("PATH").unwrap_or_default();
        let found = debian_binaries().into_iter().chain(env::split_paths(&path)).find(complete);
        (found, "in /usr/lib/postgresql or on PATH".to_owned())
    };
    found.ok_or_else(|| format!("there is no PostgreSQL {place}; {REMEDY}").into())
}

/// The folders of Debian's packages, the newest version first.
fn debian_binaries() -> Vec<PathBuf> {
    let Ok(versions) = fs::read_dir("/usr/lib/postgresql") else { return Vec::new() };
    let mut found: Vec<(u32, PathBuf)> = versions
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .collect();
    found.sort_by(|a, b| b.cmp(a));
    found.into_iter().map(|(_, folder)| folder).collect()
}
