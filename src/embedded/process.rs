//! A child process that does not outlive this one.

use std::process::Command;
use std::thread;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::sync::{oneshot, watch};

use crate::error::Cause;

/// A running PostgreSQL.
#[derive(Debug)]
pub(super) struct Process {
    pid: Pid,
    /// Closed when the process has ended.
    alive: watch::Receiver<()>,
}

impl Process {
    /// Starts the command from a thread that stays until the process ends: Linux tells a child of the death
    /// of the thread that made it, not of the process.
    pub(super) async fn spawn(mut command: Command) -> Result<Self, Cause> {
        let (started, start) = oneshot::channel();
        let (dead, alive) = watch::channel(());
        let supervise = move || {
            let mut child = match command.spawn() {
                Ok(child) => child,
                Err(error) => {
                    let program = command.get_program().display();
                    // No one to tell when the start was given up.
                    let _ = started.send(Err(format!("{program} cannot be started: {error}")));
                    return;
                }
            };
            let _ = started.send(Ok(child.id()));
            if let Err(error) = child.wait() {
                tracing::error!(%error, "PostgreSQL cannot be waited for");
            }
            drop(dead);
        };
        thread::Builder::new().name("postgres".to_owned()).spawn(supervise)?;
        let id = start.await??;
        Ok(Self { pid: Pid::from_raw(id.try_into()?), alive })
    }

    /// Waits until the process has ended.
    pub(super) async fn exited(&mut self) {
        // Nothing is ever sent, so that this fails as soon as the process has ended.
        while self.alive.changed().await.is_ok() {}
    }

    /// PostgreSQL's "fast" shutdown: connections are closed, everything is written.
    pub(super) async fn stop(&mut self) -> Result<(), Cause> {
        if self.alive.has_changed().is_ok() {
            kill(self.pid, Signal::SIGINT)?;
        }
        self.exited().await;
        Ok(())
    }
}
