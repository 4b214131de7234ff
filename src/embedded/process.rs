//! A child process that does not outlive this one.

use std::process::Command;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::sync::watch;

use super::cluster::cannot_start;
use crate::error::Cause;

/// A running PostgreSQL. It is stopped when it is dropped.
#[derive(Debug)]
pub(super) struct Process {
    pid: Pid,
    /// Closed when the process has ended.
    alive: watch::Receiver<()>,
    /// Done when the process has ended.
    supervisor: Option<JoinHandle<()>>,
}

impl Process {
    /// Starts the command from a thread that stays until the process ends: Linux tells a child of the death
    /// of the thread that made it, not of the process.
    ///
    /// Blocks for as long as a fork takes, so that no one can give up on a process that is just being made.
    pub(super) fn spawn(mut command: Command) -> Result<Self, Cause> {
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
                tracing::error!(%error, "PostgreSQL cannot be waited for");
            }
            drop(dead);
        };
        let supervisor = Some(thread::Builder::new().name("postgres".to_owned()).spawn(supervise)?);
        let id = start.recv()??;
        Ok(Self { pid: Pid::from_raw(id.try_into()?), alive, supervisor })
    }

    /// Waits until the process has ended.
    pub(super) async fn exited(&mut self) {
        // Nothing is ever sent, so that this fails as soon as the process has ended.
        while self.alive.changed().await.is_ok() {}
    }

    /// Stops the process and waits until it has ended.
    pub(super) async fn stop(&mut self) -> Result<(), Cause> {
        self.ask_to_stop()?;
        self.exited().await;
        Ok(())
    }

    /// PostgreSQL's "fast" shutdown: connections are closed, everything is written.
    fn ask_to_stop(&self) -> nix::Result<()> {
        if self.alive.has_changed().is_err() {
            return Ok(());
        }
        match kill(self.pid, Signal::SIGINT) {
            Ok(()) | Err(Errno::ESRCH) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

impl Drop for Process {
    /// Where it was not stopped before: its start was given up.
    fn drop(&mut self) {
        if let Err(error) = self.ask_to_stop() {
            tracing::error!(%error, "PostgreSQL cannot be stopped");
        } else if let Some(supervisor) = self.supervisor.take()
            && supervisor.join().is_err()
        {
            tracing::error!("PostgreSQL was not waited for");
        }
    }
}
