//! The program as a child process.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use customer_groups::testing::pb::customer_group_service_client::CustomerGroupServiceClient;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tonic::transport::Endpoint;

use super::{Bearer, Client, KEY, leaks};

/// A test that waits this long for a program has found a hang.
const TIMEOUT: Duration = Duration::from_mins(1);

/// A running service. It is stopped when it is dropped, so that its folder can be removed.
pub struct Program {
    child: Child,
    lines: mpsc::Receiver<String>,
    pub address: SocketAddr,
    /// The address of the metrics.
    pub admin: SocketAddr,
}

impl Program {
    /// The program with settings for tests and an empty environment.
    pub fn command(settings: &[(&str, &str)]) -> Command {
        Self::command_of(Path::new(env!("CARGO_BIN_EXE_customer-groups")), settings)
    }

    fn command_of(binary: &Path, settings: &[(&str, &str)]) -> Command {
        let mut command = Command::new(binary);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("LISTEN", "127.0.0.1:0")
            .env("ADMIN_LISTEN", "127.0.0.1:0")
            .env("LOG_FORMAT", "json")
            .env("API_KEY", KEY)
            .envs(settings.iter().copied())
            .stdin(Stdio::null());
        command
    }

    /// Starts the program and waits until it serves.
    pub fn serve(settings: &[(&str, &str)]) -> Self {
        Self::serve_by(Self::command(settings).stdout(Stdio::null()))
    }

    pub fn serve_by(command: &mut Command) -> Self {
        let mut program = Self::spawn(command);
        let telling = program.log_line(|line| line["message"] == "serving metrics");
        program.admin = telling["address"].as_str().unwrap().parse().unwrap();
        let serving = program.log_line(|line| line["message"] == "serving");
        program.address = serving["address"].as_str().unwrap().parse().unwrap();
        program
    }

    /// Starts the previous release and waits until it serves. Its admin address is not known.
    pub fn serve_previous(settings: &[(&str, &str)]) -> Self {
        let binary = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/previous/customer-groups");
        assert!(binary.exists(), "{} is missing; run `make previous`", binary.display());
        let mut program = Self::spawn(Self::command_of(&binary, settings).stdout(Stdio::null()));
        // The log target of that release.
        let serving = program.log_line(|line| line["message"] == "serving");
        program.address = serving["address"].as_str().unwrap().parse().unwrap();
        program
    }

    /// Starts the program without waiting. Its addresses are not known.
    pub fn spawn(command: &mut Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (send, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                leaks::watch(line.as_bytes());
                // The test may have stopped reading the log.
                drop(send.send(line));
            }
        });
        let unknown = SocketAddr::from(([127, 0, 0, 1], 0));
        Self { child, lines, address: unknown, admin: unknown }
    }

    /// Starts the program on an embedded PostgreSQL in this folder.
    pub fn serve_in(folder: &Path) -> Self {
        Self::serve(&[("DATA_DIR", folder.to_str().unwrap())])
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The peak memory in KiB.
    pub fn peak(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Runs the program to its end.
    pub fn run(arguments: &[&str], settings: &[(&str, &str)]) -> Output {
        let output = Self::command(settings).args(arguments).output().unwrap();
        leaks::watch(&output.stderr);
        output
    }

    /// The standard error of a command, after the line that names its database. Without the log lines of a slow machine.
    pub fn messages(output: &Output) -> String {
        let messages = String::from_utf8(output.stderr.clone()).unwrap();
        let (database, rest) = messages.split_once('\n').unwrap();
        assert!(database.starts_with("database: "), "{messages}");
        let is_wait = |line: &&str| line.starts_with('{') && line.contains("waiting for the database");
        rest.split_inclusive('\n').filter(|line| !is_wait(line)).collect()
    }

    /// The next log line that matches.
    pub fn log_line(&self, looked_for: impl Fn(&Value) -> bool) -> Value {
        let mut said = Vec::new();
        loop {
            let line = self.lines.recv_timeout(TIMEOUT);
            let line = line.unwrap_or_else(|error| panic!("{error} after the program said {said:#?}"));
            said.push(line.clone());
            if let Ok(line) = serde_json::from_str::<Value>(&line)
                && looked_for(&line)
            {
                return line;
            }
        }
    }

    /// All remaining log lines, once the program has ended.
    pub fn rest_of_log(&self) -> Vec<String> {
        self.lines.iter().collect()
    }

    pub async fn client(&self) -> Client {
        self.client_with(KEY).await
    }

    pub async fn client_with(&self, key: &str) -> Client {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.address)).unwrap();
        CustomerGroupServiceClient::with_interceptor(
            endpoint.connect().await.unwrap(),
            Bearer(key.to_owned()),
        )
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid().try_into().unwrap()), signal).unwrap();
    }

    /// Waits until the program has ended.
    pub fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            self.signal(Signal::SIGTERM);
            self.wait();
        }
    }
}
