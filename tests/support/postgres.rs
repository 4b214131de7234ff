//! A PostgreSQL for a single test, which can be killed.

use std::fs;
use std::path::Path;

use customer_groups::testing::{Embedded, EmbeddedOptions};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;
use tokio_postgres::Client;

use super::cluster::{connect, data_dir, url};

/// It stops when it is dropped.
pub struct Postgres {
    running: Option<Embedded>,
    folder: TempDir,
}

impl Postgres {
    pub async fn start() -> Self {
        let mut postgres = Self { running: None, folder: data_dir() };
        postgres.start_again().await;
        // Data survives a killed process even without fsync, which only slows down the next start.
        let settings = postgres.folder.path().join("postgres/postgresql.auto.conf");
        fs::write(settings, "fsync = off\n").unwrap();
        postgres.sql().await.batch_execute("select pg_reload_conf()").await.unwrap();
        postgres
    }

    /// Starts it after a kill and waits until it accepts connections.
    pub async fn start_again(&mut self) {
        let data_dir = self.folder.path().to_owned();
        let options = EmbeddedOptions { data_dir, bin_dir: None, max_connections: 100 };
        self.running = Some(Embedded::start(&options).await.unwrap());
    }

    /// Kills all of its processes.
    pub async fn kill(&mut self) {
        // The postmaster first: it would replace the processes that it loses.
        kill(postmaster(self.folder.path()), Signal::SIGKILL).unwrap();
        let cluster = self.folder.path().join("postgres").canonicalize().unwrap();
        loop {
            let processes = processes_in(&cluster);
            if processes.is_empty() {
                break;
            }
            for process in processes {
                let killed = kill(process, Signal::SIGKILL);
                assert!(matches!(killed, Ok(()) | Err(Errno::ESRCH)), "{killed:?}");
            }
            tokio::task::yield_now().await;
        }
        self.running.take().unwrap().exited().await;
    }

    pub fn url(&self) -> String {
        url(&self.folder.path().join("socket"), "postgres")
    }

    pub async fn sql(&self) -> Client {
        connect(&self.url()).await
    }
}

/// The main process of the PostgreSQL in a folder.
pub fn postmaster(folder: &Path) -> Pid {
    let text = fs::read_to_string(folder.join("postgres/postmaster.pid")).unwrap();
    Pid::from_raw(text.lines().next().unwrap().parse().unwrap())
}

/// The processes whose working directory is this folder.
fn processes_in(folder: &Path) -> Vec<Pid> {
    let numbers =
        fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    numbers
        .filter(|number| fs::read_link(format!("/proc/{number}/cwd")).is_ok_and(|found| found == folder))
        .map(Pid::from_raw)
        .collect()
}
