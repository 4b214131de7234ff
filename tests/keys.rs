//! The `keys` command.

use std::cell::RefCell;
use std::path::Path;
use std::process::Stdio;

use tonic::Code;

use crate::support::{Calls, Client, Program, TestDatabase, data_dir, eventually, named, reason};

const LIVE_KEY: &str = "sk_live_the_key_of_the_tests";

/// Runs `keys` and returns the output.
fn keys(arguments: &[&str], settings: &[(&str, &str)]) -> String {
    let output = Program::run(&[&["keys"], arguments].concat(), settings);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    String::from_utf8(output.stdout).unwrap()
}

/// The id in the line of the list with this name.
fn id_of(list: &str, name: &str) -> String {
    let line =
        list.lines().find(|line| line.ends_with(name)).unwrap_or_else(|| panic!("no {name} in {list}"));
    line.split_whitespace().next().unwrap().to_owned()
}

async fn refused(client: &Client) {
    loop {
        if let Err(status) = client.list(None, None).await {
            assert_eq!((status.code(), &*reason(&status)), (Code::Unauthenticated, "API_KEY_INVALID"));
            return;
        }
    }
}

/// Whether any file in the folder contains the key.
fn has_key_in(folder: &Path, key: &[u8]) -> bool {
    std::fs::read_dir(folder).unwrap().map(Result::unwrap).any(|entry| match entry.file_type().unwrap() {
        kind if kind.is_dir() => has_key_in(&entry.path(), key),
        kind if kind.is_file() => {
            let content = std::fs::read(entry.path()).unwrap();
            content.windows(key.len()).any(|part| part == key)
        }
        _socket => false,
    })
}

/// Creates, uses, lists and revokes keys while a service runs with the same settings.
async fn tour(program: &Program, settings: &[(&str, &str)]) {
    let writing = keys(&["create", "--name", "the shop"], settings);
    let reading = keys(&["create", "--name", "the report", "--read-only"], settings);
    let (writing, reading) = (writing.trim(), reading.trim());
    let (writer, reader) = (program.client_with(writing).await, program.client_with(reading).await);
    writer.create(named("Export")).await.unwrap();
    assert_eq!(reader.list(None, None).await.unwrap().total, 1);
    assert_eq!(reader.create(named("Export")).await.unwrap_err().code(), Code::PermissionDenied);

    let list = keys(&["list"], settings);
    assert!(!list.contains(writing) && !list.contains(reading), "{list}");
    assert!(list.lines().any(|line| line.contains(" write ") && line.ends_with("the shop")), "{list}");
    assert!(list.lines().any(|line| line.contains(" read ") && line.ends_with("the report")), "{list}");

    keys(&["revoke", &id_of(&list, "the shop")], settings);
    eventually("the key is refused", refused(&writer)).await;
    reader.list(None, None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_created_listed_and_revoked_on_an_external_database() {
    let database = TestDatabase::create().await;
    let url = database.url();
    let settings = [("DATABASE_URL", url.as_str())];
    tour(&Program::serve(&settings), &settings).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_work_on_the_embedded_postgresql_with_and_without_a_running_service() {
    let folder = data_dir();
    let settings = [("DATA_DIR", folder.path().to_str().unwrap())];
    drop(Program::serve(&settings));
    let early = keys(&["create", "--name", "early"], &settings);
    let program = Program::serve(&settings);
    program.client_with(early.trim()).await.list(None, None).await.unwrap();
    tour(&program, &settings).await;
    drop(program);
    assert!(!has_key_in(folder.path(), early.trim().as_bytes()));

    let list = keys(&["list"], &settings);
    keys(&["revoke", &id_of(&list, "early")], &settings);
    let program = Program::serve(&settings);
    let status = program.client_with(early.trim()).await.list(None, None).await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
}

#[test]
fn concurrent_commands_on_a_stopped_service_wait_for_each_other() {
    let folder = data_dir();
    let settings = [("DATA_DIR", folder.path().to_str().unwrap())];
    drop(Program::serve(&settings));
    std::thread::scope(|scope| {
        for number in 0..4 {
            scope.spawn(move || keys(&["create", "--name", &format!("key {number}")], &settings));
        }
    });
    assert_eq!(keys(&["list"], &settings).lines().count(), 1 + 4);
}

#[test]
fn a_key_that_could_not_be_printed_is_not_valid() {
    let folder = data_dir();
    let settings = [("DATA_DIR", folder.path().to_str().unwrap())];
    drop(Program::serve(&settings));
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let mut create = Program::command(&settings);
    let status = create.args(["keys", "create", "--name", "unseen"]).stdout(full).status().unwrap();
    assert!(!status.success());
    let list = keys(&["list"], &settings);
    let line = list.lines().find(|line| line.ends_with("unseen")).unwrap();
    assert!(line.split_whitespace().nth(6).unwrap().ends_with('Z'), "it is not revoked: {list}");
}

#[test]
fn an_unrecognisable_key_name_is_rejected() {
    let folder = data_dir();
    let settings = [("DATA_DIR", folder.path().to_str().unwrap())];
    drop(Program::serve(&settings));
    for (name, problem) in [
        ("", "the name is required; give it 1 to 255 characters"),
        (" \t", "the name is required; give it 1 to 255 characters"),
        ("bell\u{7}", "the name has the control character U+0007; leave it out"),
        (&"n".repeat(256), "the name has 256 characters"),
    ] {
        let output = Program::run(&["keys", "create", "--name", name], &settings);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("--name") && said.contains(problem), "{said}");
    }
    keys(&["create", "--name", &"é".repeat(255)], &settings);
    assert_eq!(keys(&["list"], &settings).lines().count(), 2);
}

#[test]
fn an_unknown_key_id_is_rejected() {
    let folder = data_dir();
    let settings = [("DATA_DIR", folder.path().to_str().unwrap())];
    drop(Program::serve(&settings));
    for (id, code) in [("first", 2), ("key_01h455vb4pex5vsknk084sn02q", 1)] {
        let output = Program::run(&["keys", "revoke", id], &settings);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains(id) && said.contains("keys list"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_live_service_accepts_only_live_keys() {
    let folder = data_dir();
    let settings = [("DATA_DIR", folder.path().to_str().unwrap()), ("MODE", "live"), ("API_KEY", LIVE_KEY)];
    let program = Program::serve(&settings);
    program.client_with(LIVE_KEY).await.list(None, None).await.unwrap();
    let made = keys(&["create", "--name", "live"], &settings);
    assert!(made.starts_with("sk_live_"));
    program.client_with(made.trim()).await.list(None, None).await.unwrap();
    let status = program.client().await.list(None, None).await.unwrap_err();
    assert!(status.message().contains("test key") && status.message().contains("live mode"), "{status:?}");
}

/// The warnings of a start without `API_KEY`.
fn warnings_at_start(settings: &[(&str, &str)]) -> Vec<String> {
    let program = Program::spawn(Program::command(settings).env_remove("API_KEY").stdout(Stdio::null()));
    let warnings = RefCell::new(Vec::new());
    program.log_line(|line| {
        if line["level"] == "WARN" {
            warnings.borrow_mut().push(line["message"].as_str().unwrap().to_owned());
        }
        line["message"] == "serving"
    });
    warnings.into_inner()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_on_an_external_database_without_keys_warns_at_start_and_creates_none() {
    let database = TestDatabase::create().await;
    let url = database.url();
    let settings = [("DATABASE_URL", url.as_str())];
    let none =
        ["no API key for test mode; create one with `customer-groups keys create --name …`, or set API_KEY"];
    assert_eq!(warnings_at_start(&settings), none);
    assert_eq!(database.number("select count(*) from api_key").await, 0);

    keys(&["create", "--name", "live"], &[("DATABASE_URL", &url), ("MODE", "live"), ("API_KEY", LIVE_KEY)]);
    assert_eq!(warnings_at_start(&settings), none);
    keys(&["create", "--name", "the shop"], &settings);
    assert!(warnings_at_start(&settings).is_empty());
    keys(&["revoke", &id_of(&keys(&["list"], &settings), "the shop")], &settings);
    assert_eq!(warnings_at_start(&settings), none);
}

#[test]
fn a_service_on_an_embedded_postgresql_with_only_revoked_keys_warns_at_start() {
    let folder = data_dir();
    let settings = [("DATA_DIR", folder.path().to_str().unwrap())];
    assert!(warnings_at_start(&settings).is_empty());
    keys(&["revoke", &id_of(&keys(&["list"], &settings), "first")], &settings);
    assert_eq!(warnings_at_start(&settings).len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_mode_of_an_embedded_postgresql_has_a_key_file_of_its_own() {
    let folder = data_dir();
    let serve = async |mode: &str| {
        let settings = [("DATA_DIR", folder.path().to_str().unwrap()), ("MODE", mode)];
        let program =
            Program::serve_by(Program::command(&settings).env_remove("API_KEY").stdout(Stdio::null()));
        let file = if mode == "live" { "api-key-live" } else { "api-key" };
        let key = std::fs::read_to_string(folder.path().join(file)).unwrap();
        program.client_with(key.trim()).await.list(None, None).await.unwrap();
        key
    };
    let (test, live) = (serve("test").await, serve("live").await);
    assert!(test.starts_with("sk_test_") && live.starts_with("sk_live_"));
    assert_eq!((serve("test").await, serve("live").await), (test, live.clone()));

    // An earlier release had one file for both modes.
    std::fs::rename(folder.path().join("api-key-live"), folder.path().join("api-key")).unwrap();
    keys(
        &["revoke", &id_of(&keys(&["list"], &[("DATA_DIR", folder.path().to_str().unwrap())]), "first")],
        &[("DATA_DIR", folder.path().to_str().unwrap())],
    );
    assert_eq!(serve("live").await, live);
    assert!(!folder.path().join("api-key").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_expires_at_its_time_and_shows_its_last_use() {
    let database = TestDatabase::create().await;
    let url = database.url();
    let settings = [("DATABASE_URL", url.as_str())];
    let program = Program::serve(&settings);
    let key = keys(&["create", "--name", "for a day", "--expires-in", "1d"], &settings);
    keys(&["create", "--name", "unused", "--expires-in", "1y"], &settings);
    let client = program.client_with(key.trim()).await;
    client.list(None, None).await.unwrap();
    let sql = database.sql().await;
    let in_a_day = "select count(*) from api_key where name = 'for a day'
                    and expires_at between now() + interval '23 hours' and now() + interval '24 hours'";
    assert_eq!(database.number(in_a_day).await, 1);
    sql.batch_execute("update api_key set expires_at = now() where name = 'for a day'").await.unwrap();
    eventually("the key is refused", refused(&client)).await;

    // At the latest, uses are recorded when the service stops.
    drop(program);
    let list = keys(&["list"], &settings);
    let columns = |name: &str| {
        let line = list.lines().find(|line| line.ends_with(name)).unwrap();
        line.split_whitespace().skip(4).take(3).map(str::to_owned).collect::<Vec<_>>()
    };
    assert!(list.lines().next().unwrap().contains("LAST USED                 EXPIRES"), "{list}");
    let [used, expires, revoked] = &columns("for a day")[..] else { panic!("{list}") };
    assert!(used.ends_with(":00.000Z") && expires.ends_with('Z') && revoked == "-", "{list}");
    assert_eq!(columns("unused")[0], "-");
}

#[test]
fn an_invalid_lifetime_of_a_key_is_rejected() {
    let folder = data_dir();
    for text in ["", "0s", "59s", "11y", "soon", "-1d", "1"] {
        let settings = [("DATA_DIR", folder.path().to_str().unwrap())];
        let output =
            Program::run(&["keys", "create", "--name", "n", &format!("--expires-in={text}")], &settings);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{text} {said}");
        assert!(said.contains("from 1m to 10y"), "{said}");
    }
}
