//! A private PostgreSQL for a service without DATABASE_URL: no set-up, no network, the same durability as any PostgreSQL.
//!
//! It listens on a Unix socket in a folder that only its user can enter. It stops with the service, also when the service
//! is killed. PostgreSQL refuses to run as root; for root it runs as `postgres` or `nobody`.

mod cluster;
mod postgres_process;
mod user;

use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf, absolute};
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::error::BoxError;
use crate::store::Database;
use crate::telemetry::SlowWait;
use cluster::Cluster;
use postgres_process::PostgresProcess;

/// The file in the data folder that the current user of the folder locks. Its text is the kind of user.
const LOCK: &str = "lock";

/// The pause between two checks whether something has happened.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// The options of the private PostgreSQL.
#[derive(Debug, Clone)]
pub struct EmbeddedOptions {
    /// The data folder.
    pub data_dir: PathBuf,
    /// The folder of `postgres` and `initdb`; `None` to search for it.
    pub bin_dir: Option<PathBuf>,
    /// PostgreSQL's `max_connections`.
    pub max_connections: usize,
}

/// A running private PostgreSQL.
#[derive(Debug)]
pub struct Embedded {
    database: Database,
    /// `None` when another process runs it.
    owned: Option<Owned>,
}

/// The process and the lock on the data folder. The lock is released last.
#[derive(Debug)]
struct Owned {
    process: PostgresProcess,
    _lock: File,
}

/// The kind of process that locks the data folder, as the text of its lock file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LockOwner {
    /// A service. It holds the lock until it stops.
    Service,
    /// A command, for a short time.
    Command,
}

impl LockOwner {
    fn name(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Command => "command",
        }
    }
}

impl Embedded {
    /// Starts PostgreSQL for a service. Creates the data folder and the cluster when they do not exist.
    ///
    /// # Errors
    ///
    /// Another service uses the folder, PostgreSQL is not installed or of another major version, or it does not start.
    pub async fn start(options: &EmbeddedOptions) -> Result<Self, BoxError> {
        // Checked first: without PostgreSQL, no folder is created, and the error is not about permissions of the
        // folder.
        cluster::find_binaries(options.bin_dir.as_deref(), None)?;
        let data_dir = create_data_dir(&options.data_dir)?;
        Self::start_as(LockOwner::Service, options, &data_dir).await
    }

    /// Starts PostgreSQL for a command, or joins the one that a service runs. Fails when no service has created the
    /// cluster.
    pub(crate) async fn start_or_join(options: &EmbeddedOptions) -> Result<Self, BoxError> {
        let data_dir = &options.data_dir;
        let data_dir = data_dir.canonicalize().map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => no_cluster(data_dir),
            _ => not_usable(data_dir, "opened", &error),
        })?;
        if !data_dir.is_dir() {
            return Err(not_usable(&data_dir, "opened", &io::ErrorKind::NotADirectory.into()));
        }
        Self::start_as(LockOwner::Command, options, &data_dir).await
    }

    async fn start_as(
        owner: LockOwner,
        options: &EmbeddedOptions,
        data_dir: &Path,
    ) -> Result<Self, BoxError> {
        /// The longest wait for a command to release the folder, or for a service to start.
        const MAX_WAIT: Duration = Duration::from_secs(10);
        let folder = data_dir.display();
        let mut slow = SlowWait::new(format!("another customer-groups process, which uses {folder}"));
        loop {
            if let Some(lock) = lock(data_dir, owner)? {
                return Self::start_locked(options, data_dir, lock).await;
            }
            match (used_by_service(data_dir)?, owner) {
                (true, LockOwner::Service) => return Err(in_use(data_dir)),
                (true, LockOwner::Command) => {
                    let database = Cluster::database(data_dir);
                    if database.ping().await? {
                        return Ok(Self { database, owned: None });
                    }
                }
                (false, LockOwner::Service | LockOwner::Command) => {}
            }
            if slow.elapsed() > MAX_WAIT {
                return Err(in_use(data_dir));
            }
            slow.note();
            sleep(POLL_INTERVAL).await;
        }
    }

    async fn start_locked(options: &EmbeddedOptions, data_dir: &Path, lock: File) -> Result<Self, BoxError> {
        let (folder, binaries) = (data_dir.to_owned(), options.bin_dir.clone());
        let prepare = move || Cluster::prepare(&folder, binaries.as_deref());
        let cluster = spawn_blocking(prepare).await??;
        cluster.stop_stale().await?;
        let mut process = PostgresProcess::spawn(cluster.postgres(options.max_connections)?)?;

        let database = Cluster::database(data_dir);
        let mut slow =
            SlowWait::new(format!("the private PostgreSQL; see postgres.log in {}", data_dir.display()));
        loop {
            slow.note();
            tokio::select! {
                () = process.exited() => {
                    return Err(format!("PostgreSQL did not start:\n{}", cluster.log_tail()).into());
                }
                answers = database.ping() => if answers? { break } else { sleep(POLL_INTERVAL).await },
            }
        }
        Ok(Self { database, owned: Some(Owned { process, _lock: lock }) })
    }

    /// The address of the database.
    #[must_use]
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// Waits until PostgreSQL has stopped by itself; never returns when another process runs it.
    pub async fn exited(&mut self) {
        match &mut self.owned {
            Some(owned) => owned.process.exited().await,
            None => std::future::pending().await,
        }
    }

    /// Stops PostgreSQL and waits until it has ended; does nothing when another process runs it.
    ///
    /// # Errors
    ///
    /// PostgreSQL cannot be signalled.
    pub async fn stop(self) -> Result<(), BoxError> {
        match self.owned {
            Some(mut owned) => owned.process.stop().await,
            None => Ok(()),
        }
    }
}

/// Creates the data folder if necessary. The user of PostgreSQL can enter it whatever the umask is: the files in it have
/// permissions of their own.
fn create_data_dir(path: &Path) -> Result<PathBuf, BoxError> {
    let create = || {
        if !path.try_exists()? {
            fs::create_dir_all(path)?;
            fs::set_permissions(path, Permissions::from_mode(0o755))?;
        }
        if !path.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        path.canonicalize()
    };
    create().map_err(|error| not_usable(path, "created", &error))
}

fn not_usable(path: &Path, action: &str, error: &io::Error) -> BoxError {
    let remedy = "set DATA_DIR to a folder that can be written, or DATABASE_URL to a database";
    format!("DATA_DIR {} cannot be {action}: {error}; {remedy}", path.display()).into()
}

fn in_use(data_dir: &Path) -> BoxError {
    let folder = data_dir.display();
    let remedy = "stop that process, or set DATA_DIR to another folder";
    format!("{folder} is in use by another customer-groups process; {remedy}").into()
}

fn no_cluster(data_dir: &Path) -> BoxError {
    let folder = absolute(data_dir).unwrap_or_else(|_| data_dir.to_owned());
    format!(
        "DATA_DIR {} contains no database; run this command in the folder where the service runs, set DATA_DIR or \
         DATABASE_URL as for the service, or start `customer-groups serve` once to create a database",
        folder.display()
    )
    .into()
}

/// Opens a file that only its owner can read and write. An existing file may have wider permissions; they are removed.
fn open_private(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    const MODE: u32 = 0o600;
    let file = options.mode(MODE).open(path)?;
    file.set_permissions(Permissions::from_mode(MODE))?;
    Ok(file)
}

/// Locks the data folder until the file is closed; `None` when another process holds the lock. Only a service may lock a
/// folder without a cluster.
///
/// The file is private: a user who can open it can lock it, and so prevent the start of the service.
fn lock(data_dir: &Path, owner: LockOwner) -> Result<Option<File>, BoxError> {
    let path = data_dir.join(LOCK);
    let may_create = owner == LockOwner::Service || Cluster::exists(data_dir);
    let failed =
        |error: io::Error| -> BoxError { format!("{} cannot be locked: {error}", path.display()).into() };
    let mut options = File::options();
    let mut file = match open_private(&path, options.create(may_create).truncate(false).write(true)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound && !may_create => {
            return Err(no_cluster(data_dir));
        }
        Err(error) => return Err(failed(error)),
    };
    match file.try_lock() {
        // Checked again: a service may have created the cluster and stopped since.
        Ok(()) if owner == LockOwner::Command && !Cluster::exists(data_dir) => Err(no_cluster(data_dir)),
        Ok(()) => {
            file.set_len(0).and_then(|()| file.write_all(owner.name().as_bytes())).map_err(failed)?;
            Ok(Some(file))
        }
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

fn used_by_service(data_dir: &Path) -> io::Result<bool> {
    Ok(fs::read_to_string(data_dir.join(LOCK))? == LockOwner::Service.name())
}
