//! The embedded PostgreSQL.

use std::fs::{self, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio_postgres::NoTls;

use crate::concurrency::OwnGroups;
use crate::support::{
    Calls, Client, KEY, Program, Random, connect, data_dir, eventually, named, postmaster, url,
};

async fn sql(folder: &Path) -> tokio_postgres::Client {
    connect(&url(&folder.join("socket"), "postgres")).await
}

async fn setting(folder: &Path, name: &str) -> String {
    sql(folder).await.query_one("select current_setting($1)", &[&name]).await.unwrap().get(0)
}

/// The error message of a start that fails.
pub fn refusal(settings: &[(&str, &str)]) -> String {
    let output = Program::run(&["serve"], settings);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    said
}

pub fn refusal_in(folder: &Path) -> String {
    refusal(&[("DATA_DIR", folder.to_str().unwrap())])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_durable_and_reachable_only_through_a_private_socket() {
    let folder = data_dir();
    let _program = Program::serve_in(folder.path());
    assert_eq!(setting(folder.path(), "listen_addresses").await, "");
    assert_eq!(setting(folder.path(), "fsync").await, "on");
    assert_eq!(setting(folder.path(), "synchronous_commit").await, "on");
    assert_eq!(folder.path().join("socket").metadata().unwrap().mode() & 0o777, 0o700);
}

/// The entries below a folder that its group or others can read, write or enter.
fn exposed_below(folder: &Path) -> Vec<String> {
    let mut exposed = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let (path, mode) = (entry.path(), entry.metadata().unwrap().mode());
        if mode & 0o077 != 0 {
            exposed.push(format!("{} {:o}", path.display(), mode & 0o777));
        }
    }
    exposed
}

#[test]
fn everything_in_the_folder_is_private_also_if_it_was_not() {
    let folder = data_dir();
    let start = || start_without_key(folder.path(), &[]);
    start();
    fs::remove_file(folder.path().join("out")).unwrap();
    assert_eq!(exposed_below(folder.path()), [""; 0]);
    for name in ["lock", "postgres.log"] {
        fs::set_permissions(folder.path().join(name), Permissions::from_mode(0o644)).unwrap();
    }
    start();
    fs::remove_file(folder.path().join("out")).unwrap();
    assert_eq!(exposed_below(folder.path()), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_stops_with_the_service_and_keeps_its_data() {
    let folder = data_dir();
    let mut program = Program::serve_in(folder.path());
    let created = program.client().await.create(named("Export")).await.unwrap();
    program.signal(Signal::SIGTERM);
    assert_eq!(program.wait().code(), Some(0));
    assert!(!folder.path().join("postgres/postmaster.pid").exists());

    let program = Program::serve_in(folder.path());
    assert_eq!(program.client().await.get(&created.id).await.unwrap(), created);
}

/// Creates groups until the service has ended. Returns the names of those that were acknowledged.
async fn create_until_it_dies(client: Client, acknowledged: Arc<AtomicUsize>) -> Vec<String> {
    let mut ids = Vec::new();
    while let Ok(group) = client.create(named("Export")).await {
        ids.push(group.id);
        acknowledged.fetch_add(1, Ordering::Relaxed);
    }
    ids
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_kill_during_creates_every_acknowledged_group_exists() {
    let folder = data_dir();
    let mut program = Program::serve_in(folder.path());
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let mut creators = Vec::new();
    for _ in 0..8 {
        creators.push(tokio::spawn(create_until_it_dies(program.client().await, acknowledged.clone())));
    }
    let enough = async {
        while acknowledged.load(Ordering::Relaxed) < 200 {
            tokio::task::yield_now().await;
        }
    };
    eventually("200 groups are made", enough).await;
    let killed = postmaster(folder.path());
    program.signal(Signal::SIGKILL);
    program.wait();

    // Immediately, while PostgreSQL may still be shutting down.
    let program = Program::serve_in(folder.path());
    assert_ne!(postmaster(folder.path()), killed, "PostgreSQL outlived its service");
    let client = program.client().await;
    let mut found = 0;
    for creator in creators {
        for id in creator.await.unwrap() {
            client.get(&id).await.unwrap();
            found += 1;
        }
    }
    assert!(found >= 200);
}

/// Writes at random until the service has ended. Returns the groups that must exist.
async fn write_until_it_dies(client: Client, seed: u64, acknowledged: Arc<AtomicUsize>) -> OwnGroups {
    let (mut random, mut own) = (Random(seed * 0x9e37_79b9), OwnGroups(Vec::new()));
    while own.write(&client, &mut random).await.is_ok() {
        acknowledged.fetch_add(1, Ordering::Relaxed);
    }
    own
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_kill_of_postgresql_during_writes_the_total_is_exact() {
    let folder = data_dir();
    let mut program = Program::serve_in(folder.path());
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let mut writers = Vec::new();
    for seed in 1..=8 {
        let client = program.client().await;
        writers.push(tokio::spawn(write_until_it_dies(client, seed, acknowledged.clone())));
    }
    let enough = async {
        while acknowledged.load(Ordering::Relaxed) < 400 {
            tokio::task::yield_now().await;
        }
    };
    eventually("400 writes are made", enough).await;
    kill(postmaster(folder.path()), Signal::SIGKILL).unwrap();
    assert_eq!(program.wait().code(), Some(1));

    let program = Program::serve_in(folder.path());
    let client = program.client().await;
    let mut found = 0;
    for writer in writers {
        for group in writer.await.unwrap().0 {
            client.get(&group.id).await.unwrap();
            found += 1;
        }
    }
    let count = "select count(*) from customer_group";
    let sql = sql(folder.path()).await;
    let count: i64 = sql.query_one(count, &[]).await.unwrap().get(0);
    assert_eq!(i64::from(client.list(None, None).await.unwrap().total), count);
    assert!(count >= found && found > 8, "{count} groups, of which {found} were acknowledged");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_ends_when_the_service_is_killed() {
    let folder = data_dir();
    let mut program = Program::serve_in(folder.path());
    let url = format!("host={} user=customer_groups dbname=postgres", folder.path().join("socket").display());
    program.signal(Signal::SIGKILL);
    program.wait();
    let gone = async { while tokio_postgres::connect(&url, NoTls).await.is_ok() {} };
    eventually("PostgreSQL is gone", gone).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_does_not_get_the_settings_of_the_service() {
    let folder = data_dir();
    let _program = Program::serve_in(folder.path());
    let environment = fs::read(format!("/proc/{}/environ", postmaster(folder.path()))).unwrap();
    let environment = String::from_utf8(environment).unwrap();
    assert!(environment.contains("PATH=") && !environment.contains(KEY), "{environment:?}");
}

#[test]
fn a_start_that_fails_permanently_says_why() {
    let folder = data_dir();
    drop(Program::serve_in(folder.path()));
    fs::write(folder.path().join("postgres/pg_hba.conf"), "local all all reject\n").unwrap();
    let said = refusal_in(folder.path());
    assert!(said.contains("pg_hba.conf rejects connection"), "{said}");
    assert!(!folder.path().join("postgres/postmaster.pid").exists(), "PostgreSQL still runs");
}

#[test]
fn an_interrupted_start_leaves_no_postgresql_behind() {
    let folder = data_dir();
    drop(Program::serve_in(folder.path()));
    let lock = folder.path().join("lock");
    for milliseconds in (0..200).step_by(20) {
        fs::write(&lock, "").unwrap();
        let mut command = Program::command(&[("DATA_DIR", folder.path().to_str().unwrap())]);
        let mut child = command.stderr(Stdio::null()).spawn().unwrap();
        // A random moment of the start, after the signal handlers are installed.
        while fs::read_to_string(&lock).unwrap().is_empty() {
            std::thread::yield_now();
        }
        std::thread::park_timeout(std::time::Duration::from_millis(milliseconds));
        kill(Pid::from_raw(child.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
        child.wait().unwrap();
        assert!(!folder.path().join("postgres/postmaster.pid").exists(), "after {milliseconds} ms");
    }
}

#[test]
fn the_folder_is_usable_with_any_umask() {
    let folder = data_dir();
    let new = folder.path().join("new");
    let command = Program::command(&[("DATA_DIR", new.to_str().unwrap())]);
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "umask 077; exec \"$0\""]).arg(command.get_program()).stdout(Stdio::null());
    shell.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    Program::serve_by(&mut shell);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_service_ends_when_its_postgresql_does() {
    let folder = data_dir();
    let mut program = Program::serve_in(folder.path());
    kill(postmaster(folder.path()), Signal::SIGINT).unwrap();
    assert_eq!(program.wait().code(), Some(1));
}

#[test]
fn a_second_service_on_the_same_folder_is_refused() {
    let folder = data_dir();
    let _program = Program::serve_in(folder.path());
    let said = refusal_in(folder.path());
    assert!(said.contains("in use by another customer-groups process"), "{said}");
    assert!(said.contains(folder.path().to_str().unwrap()), "{said}");
}

#[test]
fn a_cluster_of_another_major_version_is_reported() {
    let folder = data_dir();
    drop(Program::serve_in(folder.path()));
    fs::write(folder.path().join("postgres/PG_VERSION"), "9.6\n").unwrap();
    let said = refusal_in(folder.path());
    assert!(said.contains("created by PostgreSQL 9.6") && said.contains("PG_BIN_DIR"), "{said}");
}

#[test]
fn an_incomplete_cluster_is_created_again() {
    let folder = data_dir();
    fs::create_dir(folder.path().join("postgres.new")).unwrap();
    fs::write(folder.path().join("postgres.new/PG_VERSION"), "15\n").unwrap();
    Program::serve_in(folder.path());
}

#[test]
fn a_stale_pid_file_with_the_pid_of_another_process_is_ignored() {
    let folder = data_dir();
    drop(Program::serve_in(folder.path()));
    let stale = folder.path().join("postgres/postmaster.pid");
    fs::write(&stale, format!("{}\n", std::process::id())).unwrap();
    Program::serve_in(folder.path());
}

#[test]
fn a_folder_that_is_inaccessible_or_cannot_be_created_is_reported() {
    let closed = data_dir();
    fs::set_permissions(closed.path(), Permissions::from_mode(0o500)).unwrap();
    if nix::unistd::geteuid().is_root() {
        fs::set_permissions(closed.path(), Permissions::from_mode(0o700)).unwrap();
    }
    let said = refusal_in(&closed.path().join("data"));
    assert!(said.contains(closed.path().to_str().unwrap()) && said.contains("DATA_DIR"), "{said}");
}

#[test]
fn a_folder_with_too_long_a_socket_path_is_rejected() {
    let folder = data_dir();
    let long = folder.path().join("x".repeat(100));
    let said = refusal_in(&long);
    assert!(said.contains("too long for the path of a Unix socket"), "{said}");
}

#[test]
fn without_binaries_the_error_contains_the_install_command() {
    let folder = data_dir();
    let (data_dir, binaries) = (folder.path().join("data"), folder.path().to_str().unwrap());
    let said = refusal(&[("DATA_DIR", data_dir.to_str().unwrap()), ("PG_BIN_DIR", binaries)]);
    assert!(said.contains("PG_BIN_DIR") && said.contains("apt-get install postgresql"), "{said}");
    // Where nothing can be installed, this is the way. It comes before anything that needs a writable folder.
    assert!(said.contains("set DATABASE_URL to a PostgreSQL database"), "{said}");
    assert!(!data_dir.exists());
}

/// Starts without `API_KEY`, and returns the address and what was printed.
fn start_without_key(folder: &Path, settings: &[(&str, &str)]) -> (SocketAddr, String) {
    let out = folder.join("out");
    let mut command = Program::command(&[&[("DATA_DIR", folder.to_str().unwrap())], settings].concat());
    command.env_remove("API_KEY").stdout(Stdio::from(fs::File::create(&out).unwrap()));
    let program = Program::serve_by(&mut command);
    (program.address, fs::read_to_string(out).unwrap())
}

#[test]
fn only_the_first_start_without_a_key_creates_one() {
    let folder = data_dir();
    let (_, printed) = start_without_key(folder.path(), &[]);
    let path = folder.path().join("api-key");
    let key = fs::read_to_string(&path).unwrap();
    assert!(key.starts_with("sk_test_"), "{key}");
    assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o600);
    // Runs the printed command with a read, so that nothing is left behind.
    let line = format!("/api/setup/customer-group -H 'Authorization: Bearer {}'\n", key.trim());
    assert!(printed.contains("    curl http://127.0.0.1:") && printed.contains(&line), "{printed}");

    let (address, printed) = start_without_key(folder.path(), &[]);
    assert_eq!(printed, format!("Explorer: http://{address}/\nAPI key:  {}\n", path.display()));
    assert_eq!(fs::read_to_string(&path).unwrap(), key);
}

#[test]
fn every_start_prints_a_url_that_a_browser_opens_and_where_a_key_is() {
    let folder = data_dir();
    let (address, printed) = start_without_key(folder.path(), &[("LISTEN", "0.0.0.0:0")]);
    let path = folder.path().join("api-key");
    let port = address.port();
    let expected = format!("\nExplorer: http://127.0.0.1:{port}/\nAPI key:  {}\n", path.display());
    assert!(printed.ends_with(&expected), "{printed}");
    // The key in the file is revoked, and another one is not.
    let settings = [("DATA_DIR", folder.path().to_str().unwrap())];
    let list = String::from_utf8(Program::run(&["keys", "list"], &settings).stdout).unwrap();
    let first = list.lines().nth(1).unwrap().split_whitespace().next().unwrap();
    assert!(Program::run(&["keys", "revoke", first], &settings).status.success());
    let (_, printed) = start_without_key(folder.path(), &[]);
    assert!(printed.contains("API key:  none for test mode; `customer-groups keys create"), "{printed}");
    assert!(Program::run(&["keys", "create", "--name", "shop"], &settings).status.success());
    let (_, printed) = start_without_key(folder.path(), &[]);
    assert!(printed.contains("API key:  one of `customer-groups keys list`"), "{printed}");

    let mut command = Program::command(&settings);
    let out = folder.path().join("out");
    drop(Program::serve_by(command.stdout(Stdio::from(fs::File::create(&out).unwrap()))));
    assert!(fs::read_to_string(&out).unwrap().ends_with("\nAPI key:  the value of API_KEY\n"));
}

#[test]
fn the_creation_of_a_cluster_is_logged_before_it_begins() {
    let folder = data_dir();
    let program = Program::spawn(
        Program::command(&[("DATA_DIR", folder.path().to_str().unwrap())]).stdout(Stdio::null()),
    );
    let line = program.log_line(|line| line["message"] == "creating the private PostgreSQL cluster");
    assert_eq!(line["folder"], folder.path().join("postgres").to_str().unwrap());
    program.log_line(|line| line["message"] == "serving");
}

#[test]
fn with_an_api_key_in_the_settings_no_other_is_created() {
    let folder = data_dir();
    drop(Program::serve(&[("DATA_DIR", folder.path().to_str().unwrap()), ("API_KEY", KEY)]));
    assert!(!folder.path().join("api-key").exists());
}
