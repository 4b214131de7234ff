//! The command line: databases, settings and help of the commands.

use std::fs;
use std::path::Path;
use std::process::Output;

use customer_groups::testing::Database;

use crate::import::SAMPLE;
use crate::support::{KEY, Program, TestDatabase, data_dir};

/// The commands that work on an existing database, each with its exit code when it cannot.
const COMMANDS: [(&[&str], i32); 6] = [
    (&["keys", "create", "--name", "shop"], 1),
    (&["keys", "list"], 1),
    (&["migrate"], 1),
    (&["verify"], 2),
    (&["import", SAMPLE], 2),
    (&["export", "-", "--format", "csv"], 2),
];

fn run_in(folder: &Path, arguments: &[&str], settings: &[(&str, &str)]) -> Output {
    Program::command(settings).args(arguments).current_dir(folder).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn without_a_database_every_command_but_serve_fails_and_creates_nothing() {
    let folder = data_dir();
    let there = folder.path().join("there");
    fs::create_dir(&there).unwrap();
    for (arguments, code) in COMMANDS {
        for data_dir in ["there", "missing", there.to_str().unwrap()] {
            let output = run_in(folder.path(), arguments, &[("DATA_DIR", data_dir)]);
            let messages = text(&output.stderr);
            assert_eq!(
                (output.status.code(), output.stdout.len()),
                (Some(code), 0),
                "{arguments:?}: {messages}"
            );
            let problem = format!("DATA_DIR {} contains no database", folder.path().join(data_dir).display());
            assert!(messages.contains(&problem), "{arguments:?}: {messages}");
            for remedy in ["in the folder where the service runs", "DATABASE_URL", "`customer-groups serve`"]
            {
                assert!(messages.contains(remedy), "{arguments:?}: {messages}");
            }
            let left: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
            assert!(
                left.len() == 1 && fs::read_dir(&there).unwrap().next().is_none(),
                "{arguments:?}: {left:?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_names_its_database_on_standard_error() {
    let database = TestDatabase::create().await;
    let url = database.url();
    let folder = data_dir();
    let data_dir = folder.path().to_str().unwrap();
    drop(Program::serve_in(folder.path()));
    let external: Database = url.parse().unwrap();
    for (arguments, _) in COMMANDS {
        let output = Program::run(arguments, &[("DATABASE_URL", &url)]);
        let messages = text(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {messages}");
        assert!(messages.starts_with(&format!("database: {external}\n")), "{arguments:?}: {messages}");

        let output = Program::run(arguments, &[("DATA_DIR", data_dir)]);
        let messages = text(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {messages}");
        let line = format!("database: private PostgreSQL in {data_dir}\n");
        assert!(messages.starts_with(&line), "{arguments:?}: {messages}");
    }
    let created = Program::run(&["keys", "create", "--name", "shop"], &[("DATA_DIR", data_dir)]).stdout;
    assert!(text(&created).starts_with("sk_test_") && text(&created).lines().count() == 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_checks_its_own_settings_and_no_others() {
    let database = TestDatabase::create().await;
    let url = database.url();
    let of_serve =
        [("DATABASE_URL", url.as_str()), ("LISTEN", "here"), ("POOL_SIZE", "many"), ("API_KEY", "short")];
    for (arguments, _) in COMMANDS {
        let output = Program::run(arguments, &of_serve);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        let output =
            Program::run(arguments, &[("DATABASE_URL", ""), ("CONNECT_TIMEOUT", "soon"), ("MODE", "toast")]);
        let messages = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{messages}");
        let problems = if arguments[0] == "keys" { 3 } else { 2 };
        assert_eq!(messages.lines().count(), problems, "{arguments:?}: {messages}");
    }
    // A setting may stand before the command.
    let output = Program::run(&["--database-url", &url, "keys", "list"], &[]);
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_in_a_flag_is_warned_of() {
    let database = TestDatabase::create().await;
    let url = database.url();
    let secret = format!("{url} password=secret");
    let warning = "--database-url contains a secret";
    let warns = |arguments: &[&str], settings: &[(&str, &str)]| {
        text(&Program::run(arguments, settings).stderr).contains(warning)
    };
    assert!(warns(&["--database-url", &secret, "keys", "list"], &[]));
    assert!(!warns(&["--database-url", &url, "keys", "list"], &[]));
    assert!(!warns(&["keys", "list"], &[("DATABASE_URL", &secret)]));

    let flag = ["--database-url", &url, "--api-key", KEY];
    let mut command = Program::command(&[]);
    let program = Program::spawn(command.args(flag).stdout(std::process::Stdio::null()));
    program.log_line(|line| line["message"].as_str().unwrap().starts_with("--api-key contains a secret"));
}

#[test]
fn help_is_short_and_shows_the_commands_first() {
    let help = |arguments: &[&str]| text(&Program::run(&[arguments, &["--help"]].concat(), &[]).stdout);
    let whole = help(&[]);
    assert!(
        whole.lines().count() < 25 && whole.lines().position(|line| line == "Commands:") < Some(6),
        "{whole}"
    );
    for (arguments, _) in COMMANDS {
        let help = help(&arguments[..if arguments[0] == "keys" { 2 } else { 1 }]);
        assert!(help.contains("[env: DATA_DIR") && !help.contains("[env: LISTEN"), "{help}");
        assert!(help.lines().count() < 60, "{help}");
    }
}
