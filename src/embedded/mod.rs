//! A private PostgreSQL for when none is configured: no set-up, no network, and its data as safe as any
//! PostgreSQL's.
//!
//! It listens on a Unix socket in a folder that only its user can enter. It stops with the service, also when
//! that is killed. Root is not taken as its user: it runs as `postgres`, or as `nobody`.

mod account;
mod cluster;
mod process;

use std::fs::{self, File, Permissions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::error::Cause;
use crate::store::Database;
use cluster::Cluster;
use process::Process;

/// The file whose lock, and whose text, says who uses the folder.
const LOCK: &str = "lock";

/// How long is waited before it is looked again whether something has happened.
const PAUSE: Duration = Duration::from_millis(20);

/// Where the private PostgreSQL is, and what it is started from.
#[derive(Debug, Clone)]
pub struct Options {
    /// The folder of all that it keeps; made when it is not there.
    pub data_dir: PathBuf,
    /// The folder of `postgres` and `initdb`; looked for when `None`.
    pub bin_dir: Option<PathBuf>,
    /// The most connections that it takes.
    pub connections: usize,
}

/// A private PostgreSQL that answers.
#[derive(Debug)]
pub struct Embedded {
    database: Database,
    /// `None` when another process runs it.
    owned: Option<Owned>,
}

/// What its owner holds. The lock is freed last.
#[derive(Debug)]
struct Owned {
    process: Process,
    _lock: File,
}

/// Who uses the folder, as its lock file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum User {
    /// A service, for as long as it runs.
    Service,
    /// A command, for a moment.
    Command,
}

impl User {
    fn name(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Command => "command",
        }
    }
}

impl Embedded {
    /// Starts it for a service, after making its cluster when there is none yet.
    ///
    /// # Errors
    ///
    /// That another service uses the folder, that no PostgreSQL is installed, that the folder cannot be used,
    /// that its cluster was made by another major version, or what PostgreSQL says of why it does not start.
    pub async fn start(options: &Options) -> Result<Self, Cause> {
        Self::start_as(User::Service, options).await
    }

    /// Starts it for a command, or uses the one that a service runs.
    ///
    /// # Errors
    ///
    /// Those of [`Embedded::start`] but the first; that a service's PostgreSQL does not answer in 10 seconds.
    pub async fn start_or_join(options: &Options) -> Result<Self, Cause> {
        Self::start_as(User::Command, options).await
    }

    async fn start_as(user: User, options: &Options) -> Result<Self, Cause> {
        /// The most time for a command that uses the folder, or for a service to start.
        const PATIENCE: Duration = Duration::from_secs(10);
        let data_dir = data_dir(&options.data_dir)?;
        let begun = Instant::now();
        loop {
            if let Some(lock) = lock(&data_dir, user)? {
                return Self::start_locked(options, &data_dir, lock).await;
            }
            match (used_by_service(&data_dir)?, user) {
                (true, User::Service) => return Err(in_use(&data_dir)),
                (true, User::Command) => {
                    let database = Cluster::database(&data_dir);
                    if database.ping().await? {
                        return Ok(Self { database, owned: None });
                    }
                }
                (false, _) => {}
            }
            if begun.elapsed() > PATIENCE {
                return Err(in_use(&data_dir));
            }
            sleep(PAUSE).await;
        }
    }

    async fn start_locked(options: &Options, data_dir: &Path, lock: File) -> Result<Self, Cause> {
        let cluster = Cluster::prepare(data_dir, options.bin_dir.as_deref())?;
        cluster.stop_orphan().await?;
        let mut process = Process::spawn(cluster.postgres(options.connections)?)?;

        let database = Cluster::database(data_dir);
        loop {
            tokio::select! {
                () = process.exited() => {
                    return Err(format!("PostgreSQL did not start:\n{}", cluster.log_tail()).into());
                }
                answers = database.ping() => if answers? { break } else { sleep(PAUSE).await },
            }
        }
        Ok(Self { database, owned: Some(Owned { process, _lock: lock }) })
    }

    /// Where it is.
    #[must_use]
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// Waits until it has stopped by itself; for ever when another process runs it.
    pub async fn exited(&mut self) {
        match &mut self.owned {
            Some(owned) => owned.process.exited().await,
            None => std::future::pending().await,
        }
    }

    /// Stops it and waits until it has; leaves one alone that another process runs.
    ///
    /// # Errors
    ///
    /// That it could not be told to stop.
    pub async fn stop(self) -> Result<(), Cause> {
        match self.owned {
            Some(mut owned) => owned.process.stop().await,
            None => Ok(()),
        }
    }
}

/// Makes the folder where there is none, open to the user of PostgreSQL whatever the umask is: what is in it is
/// closed for itself.
fn data_dir(path: &Path) -> Result<PathBuf, Cause> {
    let make = || {
        if !path.exists() {
            fs::create_dir_all(path)?;
            fs::set_permissions(path, Permissions::from_mode(0o755))?;
        }
        path.canonicalize()
    };
    make().map_err(|error| format!("DATA_DIR {} cannot be made: {error}", path.display()).into())
}

fn in_use(data_dir: &Path) -> Cause {
    let folder = data_dir.display();
    let remedy = "stop that one, or set DATA_DIR to a folder of its own";
    format!("{folder} is in use by another customer-groups process; {remedy}").into()
}

/// Takes the folder until the file is closed; `None` when another process has it.
fn lock(data_dir: &Path, user: User) -> Result<Option<File>, Cause> {
    let path = data_dir.join(LOCK);
    let failed = |error: io::Error| format!("{} cannot be locked: {error}", path.display());
    let mut file = File::options().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {
            file.set_len(0).and_then(|()| file.write_all(user.name().as_bytes())).map_err(failed)?;
            Ok(Some(file))
        }
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(failed(error).into()),
    }
}

fn used_by_service(data_dir: &Path) -> io::Result<bool> {
    Ok(fs::read_to_string(data_dir.join(LOCK))? == User::Service.name())
}
