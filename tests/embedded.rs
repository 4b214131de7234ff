//! The private PostgreSQL.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio_postgres::NoTls;

use crate::concurrency::Own;
use crate::support::{
    Calls, Chance, Client, KEY, Program, connect, data_dir, eventually, named, postmaster, url,
};

async fn sql(folder: &Path) -> tokio_postgres::Client {
    connect(&url(&folder.join("socket"), "postgres")).await
}

async fn setting(folder: &Path, name: &str) -> String {
    sql(folder).await.query_one("select current_setting($1)", &[&name]).await.unwrap().get(0)
}

/// What a start in that folder says when it fails.
fn refusal(settings: &[(&str, &str)]) -> String {
    let output = Program::run(&["serve"], settings);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    said
}

fn refusal_in(folder: &Path) -> String {
    refusal(&[("DATA_DIR", folder.to_str().unwrap())])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_durable_and_reached_only_through_a_private_socket() {
    let folder = data_dir();
    let _program = Program::serve_in(folder.path());
    assert_eq!(setting(folder.path(), "listen_addresses").await, "");
    assert_eq!(setting(folder.path(), "fsync").await, "on");
    assert_eq!(setting(folder.path(), "synchronous_commit").await, "on");
    assert_eq!(folder.path().join("socket").metadata().unwrap().mode() & 0o777, 0o700);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_stops_with_the_service_and_keeps_what_it_was_given() {
    let folder = data_dir();
    let mut program = Program::serve_in(folder.path());
    let created = program.client().await.create(named("Export")).await.unwrap();
    program.signal(Signal::SIGTERM);
    assert_eq!(program.wait().code(), Some(0));
    assert!(!folder.path().join("postgres/postmaster.pid").exists());

    let program = Program::serve_in(folder.path());
    assert_eq!(program.client().await.get(&created.id).await.unwrap(), created);
}

/// Creates groups until the service is gone, and tells which ones were acknowledged.
async fn create_until_it_dies(client: Client, acknowledged: Arc<AtomicUsize>) -> Vec<String> {
    let mut ids = Vec::new();
    while let Ok(group) = client.create(named("Export")).await {
        ids.push(group.id);
        acknowledged.fetch_add(1, Ordering::Relaxed);
    }
    ids
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_kill_while_eight_clients_create_every_acknowledged_group_is_there() {
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

    // At once, while PostgreSQL may still be on its way out.
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

/// Writes in every way until the service is gone, and tells which groups must be there.
async fn write_until_it_dies(client: Client, seed: u64, acknowledged: Arc<AtomicUsize>) -> Own {
    let (mut chance, mut own) = (Chance(seed * 0x9e37_79b9), Own(Vec::new()));
    while own.write(&client, &mut chance).await.is_ok() {
        acknowledged.fetch_add(1, Ordering::Relaxed);
    }
    own
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_its_postgresql_is_killed_while_eight_clients_write_the_total_is_exact() {
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
async fn it_dies_with_a_service_that_is_killed() {
    let folder = data_dir();
    let mut program = Program::serve_in(folder.path());
    let url = format!("host={} user=customer_groups dbname=postgres", folder.path().join("socket").display());
    program.signal(Signal::SIGKILL);
    program.wait();
    let gone = async { while tokio_postgres::connect(&url, NoTls).await.is_ok() {} };
    eventually("PostgreSQL is gone", gone).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_knows_nothing_of_the_settings_of_the_service() {
    let folder = data_dir();
    let _program = Program::serve_in(folder.path());
    let environment = fs::read(format!("/proc/{}/environ", postmaster(folder.path()))).unwrap();
    let environment = String::from_utf8(environment).unwrap();
    assert!(environment.contains("PATH=") && !environment.contains(KEY), "{environment:?}");
}

#[test]
fn a_start_that_postgresql_refuses_for_good_says_why() {
    let folder = data_dir();
    drop(Program::serve_in(folder.path()));
    fs::write(folder.path().join("postgres/pg_hba.conf"), "local all all reject\n").unwrap();
    let said = refusal_in(folder.path());
    assert!(said.contains("pg_hba.conf rejects connection"), "{said}");
    assert!(!folder.path().join("postgres/postmaster.pid").exists(), "PostgreSQL still runs");
}

#[test]
fn a_start_that_is_given_up_leaves_no_postgresql_behind() {
    let folder = data_dir();
    drop(Program::serve_in(folder.path()));
    let lock = folder.path().join("lock");
    for milliseconds in (0..200).step_by(20) {
        fs::write(&lock, "").unwrap();
        let mut command = Program::command(&[("DATA_DIR", folder.path().to_str().unwrap())]);
        let mut child = command.stderr(Stdio::null()).spawn().unwrap();
        // Wherever in the start it is then, after it has begun to take signals.
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
fn the_folder_can_be_used_whatever_the_umask_is() {
    let folder = data_dir();
    let binary = env!("CARGO_BIN_EXE_customer-groups");
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", "umask 077; exec \"$0\" keys list", binary]).env_clear();
    shell.env("PATH", std::env::var_os("PATH").unwrap()).env("DATA_DIR", folder.path().join("new"));
    let output = shell.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8(output.stderr).unwrap());
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
fn a_cluster_of_another_major_version_is_named() {
    let folder = data_dir();
    drop(Program::serve_in(folder.path()));
    fs::write(folder.path().join("postgres/PG_VERSION"), "9.6\n").unwrap();
    let said = refusal_in(folder.path());
    assert!(said.contains("made by PostgreSQL 9.6") && said.contains("PG_BIN_DIR"), "{said}");
}

#[test]
fn a_cluster_whose_making_was_cut_short_is_made_anew() {
    let folder = data_dir();
    fs::create_dir(folder.path().join("postgres.new")).unwrap();
    fs::write(folder.path().join("postgres.new/PG_VERSION"), "15\n").unwrap();
    Program::serve_in(folder.path());
}

#[test]
fn a_pid_file_whose_number_belongs_to_someone_else_by_now_is_no_hindrance() {
    let folder = data_dir();
    drop(Program::serve_in(folder.path()));
    let stale = folder.path().join("postgres/postmaster.pid");
    fs::write(&stale, format!("{}\n", std::process::id())).unwrap();
    Program::serve_in(folder.path());
}

#[test]
fn a_folder_that_postgresql_cannot_reach_or_that_cannot_be_made_is_named() {
    let closed = data_dir();
    fs::set_permissions(closed.path(), Permissions::from_mode(0o500)).unwrap();
    if nix::unistd::geteuid().is_root() {
        fs::set_permissions(closed.path(), Permissions::from_mode(0o700)).unwrap();
    }
    let said = refusal_in(&closed.path().join("data"));
    assert!(said.contains(closed.path().to_str().unwrap()) && said.contains("DATA_DIR"), "{said}");
}

#[test]
fn a_folder_whose_socket_s_path_would_be_too_long_is_refused() {
    let folder = data_dir();
    let long = folder.path().join("x".repeat(100));
    let said = refusal_in(&long);
    assert!(said.contains("too long for the path of a Unix socket"), "{said}");
}

#[test]
fn without_binaries_the_error_gives_the_line_that_installs_them() {
    let folder = data_dir();
    let data_dir = folder.path().to_str().unwrap();
    let said = refusal(&[("DATA_DIR", data_dir), ("PG_BIN_DIR", data_dir)]);
    assert!(said.contains("PG_BIN_DIR") && said.contains("apt-get install postgresql"), "{said}");
}

/// Starts without `API_KEY`, and gives what was printed.
fn first_start(folder: &Path) -> String {
    let out = folder.join("out");
    let mut command = Program::command(&[("DATA_DIR", folder.to_str().unwrap())]);
    command.env_remove("API_KEY").stdout(Stdio::from(fs::File::create(&out).unwrap()));
    drop(Program::serve_by(&mut command));
    fs::read_to_string(out).unwrap()
}

#[test]
fn the_first_start_without_a_key_makes_one_and_later_starts_do_not() {
    let folder = data_dir();
    let printed = first_start(folder.path());
    let path = folder.path().join("api-key");
    let key = fs::read_to_string(&path).unwrap();
    assert!(key.starts_with("sk_test_"), "{key}");
    assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o600);
    // A line that reads, so that trying it leaves nothing behind.
    let line = format!("/api/setup/customer-group -H 'Authorization: Bearer {}'\n", key.trim());
    assert!(printed.contains("    curl http://127.0.0.1:") && printed.contains(&line), "{printed}");

    assert_eq!(first_start(folder.path()), "");
    assert_eq!(fs::read_to_string(&path).unwrap(), key);
}

#[test]
fn with_an_api_key_in_the_settings_no_other_is_made() {
    let folder = data_dir();
    drop(Program::serve(&[("DATA_DIR", folder.path().to_str().unwrap()), ("API_KEY", KEY)]));
    assert!(!folder.path().join("api-key").exists());
}
