//! The server process of PostgreSQL, which never outlives this process.

use std::process::Command;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::sync::watch;

use super::cluster::cannot_start;
use crate::error::BoxError;

/// A running PostgreSQL. It is stopped when it is dropped.
#[derive(Debug)]
pub(super) struct PostgresProcess {
    pid: Pid,
    /// Closed when the process has ended.
    alive: watch::Receiver<()>,
    /// Ends when the process has ended.
    supervisor: Option<JoinHandle<()>>,
}

impl PostgresProcess {
    /// Starts the command from a thread that lives as long as the process: Linux signals a child when the thread that
    /// started it ends, not when the process ends.
    ///
    /// Blocks during the fork, so that a caller cannot be cancelled while the process is created.
    pub(super) fn spawn(mut command: Command) -> Result<Self, BoxError> {
        let (started, start) = mpsc::channel();
        let (dead, alive) = watch::channel(());
        let supervise = move || {
            let mut child = match command.spawn() {
                Ok(child) => child,
                Err(error) => {
                    drop(started.send(Err(cannot_start(&command, &error))));
                    return;
                }
            };
            drop(started.send(Ok(child.id())));
            if let Err(error) = child.wait() {
                tracing::error!(%error, "waiting for PostgreSQL failed");
            }
            drop(dead);
        };
        let supervisor = Some(thread::Builder::new().name("postgres".to_owned()).spawn(supervise)?);
        let id = start.recv()??;
        Ok(Self { pid: Pid::from_raw(id.try_into()?), alive, supervisor })
    }

    /// Waits until the process has ended.
    pub(super) async fn exited(&mut self) {
        // Nothing is ever sent. The channel closes when the process has ended.
        while self.alive.changed().await.is_ok() {}
    }

    /// Stops the process and waits until it has ended.
    pub(super) async fn stop(&mut self) -> Result<(), BoxError> {
        self.request_stop()?;
        self.exited().await;
        Ok(())
    }

    /// Requests PostgreSQL's "fast" shutdown: it closes its connections and writes everything to disk.
    fn request_stop(&self) -> nix::Result<()> {
        if self.alive.has_changed().is_err() {
            return Ok(());
        }
        match kill(self.pid, Signal::SIGINT) {
            Ok(()) | Err(Errno::ESRCH) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

impl Drop for PostgresProcess {
    /// Stops the process when its start was cancelled.
    fn drop(&mut self) {
        if let Err(error) = self.request_stop() {
            tracing::error!(%error, "PostgreSQL cannot be stopped");
        } else if let Some(supervisor) = self.supervisor.take()
            && supervisor.join().is_err()
        {
            tracing::error!("the thread that waits for PostgreSQL panicked");
        }
    }
}
