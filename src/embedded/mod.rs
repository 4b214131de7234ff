//! A private PostgreSQL for when none is configured: no set-up, no network, and its data as safe as any
//! PostgreSQL's.
//!
//! It listens on a Unix socket in a folder that only its user can enter. It stops with the service, also when
//! that is killed. Root is not taken as its user: it runs as `postgres`, or as `nobody`.

mod account;
mod cluster;
mod process;

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::error::Cause;
use crate::store::Database;
use account::Account;
use cluster::Cluster;
use process::Process;

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

impl Embedded {
    /// Starts it, after making its cluster when there is none yet.
    ///
    /// # Errors
    ///
    /// That another process uses the folder, that no PostgreSQL is installed, that the folder cannot be used,
    /// that its cluster was made by another major version, or what PostgreSQL says of why it does not start.
    pub async fn start(options: &Options) -> Result<Self, Cause> {
        let data_dir = data_dir(&options.data_dir)?;
        let lock = lock(&data_dir)?.ok_or_else(|| {
            format!(
                "{} is in use by another customer-groups process; stop that one, or set DATA_DIR to a folder \
                 of its own",
                data_dir.display()
            )
        })?;
        Self::start_locked(options, &data_dir, lock).await
    }

    /// Starts it, or uses the one that another process runs.
    ///
    /// # Errors
    ///
    /// Those of [`Embedded::start`]; that the other process's PostgreSQL does not answer in 10 seconds.
    pub async fn start_or_join(options: &Options) -> Result<Self, Cause> {
        const PATIENCE: Duration = Duration::from_secs(10);
        let data_dir = data_dir(&options.data_dir)?;
        let database = Cluster::database(&data_dir);
        let begun = Instant::now();
        loop {
            if let Some(lock) = lock(&data_dir)? {
                return Self::start_locked(options, &data_dir, lock).await;
            }
            match database.ping().await {
                Ok(()) => return Ok(Self { database, owned: None }),
                Err(cause) if begun.elapsed() > PATIENCE => {
                    return Err(
                        format!("the PostgreSQL in {} does not answer: {cause}", data_dir.display()).into()
                    );
                }
                Err(_not_yet) => sleep(PAUSE).await,
            }
        }
    }

    async fn start_locked(options: &Options, data_dir: &Path, lock: File) -> Result<Self, Cause> {
        let account = Account::for_postgres()?;
        account.check_reach(data_dir)?;
        let cluster = Cluster::prepare(data_dir, options.bin_dir.as_deref(), account)?;
        cluster.stop_orphan().await?;
        let mut process = Process::spawn(cluster.postgres(options.connections)?).await?;

        let database = Cluster::database(data_dir);
        loop {
            tokio::select! {
                () = process.exited() => {
                    return Err(format!("PostgreSQL did not start:\n{}", cluster.log_tail()).into());
                }
                answer = database.ping() => match answer {
                    Ok(()) => break,
                    Err(_not_yet) => sleep(PAUSE).await,
                }
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

fn data_dir(path: &Path) -> Result<PathBuf, Cause> {
    std::fs::create_dir_all(path)
        .and_then(|()| path.canonicalize())
        .map_err(|error| format!("DATA_DIR {} cannot be made: {error}", path.display()).into())
}

/// Takes the folder for this process until the file is closed; `None` when another process has it.
fn lock(data_dir: &Path) -> Result<Option<File>, Cause> {
    let path = data_dir.join("lock");
    let failed = |error: io::Error| format!("{} cannot be locked: {error}", path.display());
    let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(failed(error).into()),
    }
}
