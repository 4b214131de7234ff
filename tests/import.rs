//! The `import` command.

use std::fs;
use std::io::Write;
use std::process::{Child, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{Api, Calls, Program, TestDatabase, below, data_dir, eventually, named};
use crate::verify::assert_consistent;

pub const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/sample.csv");

pub fn start(arguments: &[&str], settings: &[(&str, &str)]) -> Child {
    let mut command = Program::command(settings);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// Runs the program to its end with this standard input.
pub fn run(arguments: &[&str], database: &TestDatabase, input: &[u8]) -> Output {
    let mut child = start(arguments, &[("DATABASE_URL", &database.url())]);
    // A program that stops reading early has found a mistake.
    drop(child.stdin.take().unwrap().write_all(input));
    child.wait_with_output().unwrap()
}

pub fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

/// Imports a valid file and returns the output. Columns that are not imported may be named.
pub fn imported(database: &TestDatabase, format: &str, file: impl AsRef<[u8]>) -> String {
    let output = run(&["import", "-", "--format", format], database, file.as_ref());
    let (err, out) = (Program::messages(&output), text(output.stdout));
    assert_eq!(output.status.code(), Some(0), "{out}{err}");
    assert!(err.is_empty() || err.starts_with("not imported: ") && err.lines().count() == 1, "{err}");
    out
}

/// Imports an invalid file and returns the mistakes: the line number and the message of each.
pub fn refused(database: &TestDatabase, format: &str, file: impl AsRef<[u8]>) -> Vec<(i64, String)> {
    let output = run(&["import", "-", "--format", format], database, file.as_ref());
    let (err, out) = (Program::messages(&output), text(output.stdout));
    assert_eq!((output.status.code(), err.as_str()), (Some(1), ""), "{out}");
    let mut lines: Vec<_> = out.lines().collect();
    let last = lines.pop().unwrap();
    assert_eq!(last, format!("{} things are wrong with the file, and nothing was imported", lines.len()));
    let problem = |line: &str| {
        let (number, problem) = line.strip_prefix("line ").unwrap().split_once(": ").unwrap();
        (number.parse().unwrap(), problem.to_owned())
    };
    lines.into_iter().map(problem).collect()
}

pub fn exported(database: &TestDatabase, format: &str) -> String {
    let output = run(&["export", "-", "--format", format], database, b"");
    let err = Program::messages(&output);
    assert!(output.status.success() && err.contains(" customer groups were exported in "), "{err}");
    text(output.stdout)
}

pub async fn count(database: &TestDatabase) -> i64 {
    database.number("select count(*) from customer_group").await
}

/// The names of all groups, each with the name of its parent, in the order of creation.
pub async fn tree(database: &TestDatabase) -> Vec<(String, Option<String>)> {
    let names = "select g.customer_group_name, p.customer_group_name
        from customer_group g left join customer_group p on p.id = g.parent_id order by g.id";
    let rows = database.sql().await.query(names, &[]).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

pub fn pairs(expected: &[(&str, Option<&str>)]) -> Vec<(String, Option<String>)> {
    expected.iter().map(|(name, parent)| ((*name).to_owned(), parent.map(str::to_owned))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erpnext_export_may_name_parents_in_any_order() {
    let labelled = "\"ID\",\"Customer Group Name\",\"Parent Customer Group\",\"Is Group\",\"Default Price List\",\
                    \"Default Payment Terms Template\",\"lft\"\r\n\
                    \"Export\",\"Export\",\"Wholesale, Inc\",0,\"\",\"Net 30\",4\r\n\
                    \"Wholesale, Inc\",\"Wholesale, Inc\",\"All Customer Groups\",1,\"\",\"\",2\r\n\
                    \"All Customer Groups\",\"All Customer Groups\",\"\",1,\"Standard\",\"\",1\r\n";
    let by_field = "payment_terms,is_group,customer_group_name,parent_customer_group,default_price_list\n\
                    Net 30,0,Export,\"Wholesale, Inc\",\n,1,\"Wholesale, Inc\",All Customer Groups,\n\
                    ,1,All Customer Groups,,Standard\n";
    let objects = r#"{"customer_group_name":"Export","parent_customer_group":"Wholesale, Inc","payment_terms":"Net 30"}

{"customer_group_name":"Wholesale, Inc","parent_customer_group":"All Customer Groups","is_group":true}
{"customer_group_name":"All Customer Groups","is_group":true,"default_price_list":"Standard"}"#;
    for (format, file) in [("csv", labelled), ("csv", by_field), ("ndjson", objects)] {
        let database = TestDatabase::create().await;
        imported(&database, format, file);
        let expected = [
            ("Export", Some("Wholesale, Inc")),
            ("Wholesale, Inc", Some("All Customer Groups")),
            ("All Customer Groups", None),
        ];
        assert_eq!(tree(&database).await, pairs(&expected));
        let lines = exported(&database, "csv");
        let end = |number: usize| lines.lines().nth(number).unwrap().splitn(5, ',').last().unwrap();
        assert_eq!(end(1), "false,Export,\"Wholesale, Inc\",,Net 30");
        assert_eq!(end(2), "true,\"Wholesale, Inc\",All Customer Groups,,");
        assert_eq!(end(3), "true,All Customer Groups,,Standard,");
        assert_consistent(&database);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_ids_in_the_file_the_parent_name_moves_no_group() {
    let database = TestDatabase::create().await;
    imported(&database, "csv", "parent_id,customer_group_name,parent_customer_group\n,a,\n,b,a\n");
    let objects = "{\"id\":null,\"customer_group_name\":\"c\",\"parent_customer_group\":\"a\"}";
    imported(&database, "ndjson", objects);
    assert_eq!(tree(&database).await, pairs(&[("a", None), ("b", None), ("c", None)]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_parent_in_the_database_is_found_by_id_and_by_unique_name() {
    let api = Api::start().await;
    let client = api.client().await;
    let root = client.create(named("root")).await.unwrap();
    for _ in 0..2 {
        client.create(named("twin")).await.unwrap();
    }
    imported(&api.database, "csv", format!("customer_group_name,parent_id\nby id,{}\n", root.id));
    imported(&api.database, "csv", "customer_group_name,parent_customer_group\nby name, root \n");
    // A name in the file takes precedence.
    imported(&api.database, "csv", "customer_group_name,parent_customer_group\nroot,\nbelow that,root\n");
    let expected = [
        ("root", None),
        ("twin", None),
        ("twin", None),
        ("by id", Some("root")),
        ("by name", Some("root")),
        ("root", None),
        ("below that", Some("root")),
    ];
    assert_eq!(tree(&api.database).await, pairs(&expected));

    let file = "customer_group_name,parent_customer_group\na,twin\nb,root\nc,nobody\n";
    let problems = refused(&api.database, "csv", file);
    assert_eq!(problems.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2, 3, 4]);
    assert_eq!(
        problems[0].1,
        "parent_customer_group \"twin\" is the name of 2 groups in the database; give parents by parent_id instead"
    );
    assert!(
        problems[2].1.starts_with("parent_customer_group \"nobody\" is not the name of a group"),
        "{problems:?}"
    );
    assert_eq!(client.list(None, None).await.unwrap().total, 7);
    assert_consistent(&api.database);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dry_run_reports_mistakes_and_changes_nothing() {
    let database = TestDatabase::create().await;
    let dry_run = |file: &str| {
        let output = run(&["import", "-", "--format", "csv", "--dry-run"], &database, file.as_bytes());
        (output.status.code().unwrap(), text(output.stdout))
    };
    let sample = fs::read_to_string(SAMPLE).unwrap();
    let (code, said) = dry_run(&sample);
    assert!(said.starts_with("line 2: create \"All Customer Groups\"\nline 3: create "), "{said}");
    let last = said.lines().last().unwrap();
    let plan =
        "36 created, 0 changed, 0 moved, 0 deleted, 0 unchanged: this is the plan, and nothing was changed";
    assert_eq!((code, said.lines().count(), last), (0, 37, plan));
    let (code, said) = dry_run(&format!("{sample}Lost,Nowhere,0,,\n"));
    assert!(code == 1 && said.starts_with("line 38: parent_customer_group \"Nowhere\""), "{said}");
    assert_eq!(count(&database).await, 0);
    assert_consistent(&database);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn byte_order_marks_line_endings_and_quotes_of_any_program_are_accepted() {
    let database = TestDatabase::create().await;
    let file = "\u{feff}\"customer_group_name\",payment_terms\r\n\r\n\"say \"\"hi\"\", twice\",\"\"\r\n\" a \r\n\",Net 30";
    imported(&database, "csv", file);
    imported(
        &database,
        "ndjson",
        "\u{feff}{\"customer_group_name\":\"b\"}\r\n \n{\"customer_group_name\":\"c\"}",
    );
    let names: Vec<_> = tree(&database).await.into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["say \"hi\", twice", "a", "b", "c"]);
    let problems = refused(&database, "csv", "id,customer_group_name\r\n\r\n,\"a\r\nb\"\r\nx,\r\n");
    assert_eq!(problems.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [3, 5]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_import_changes_nothing() {
    let database = TestDatabase::create().await;
    let mut child = start(&["import", "-", "--format", "csv"], &[("DATABASE_URL", &database.url())]);
    let lines: Vec<String> = (0..10_000).map(|number| format!("group {number}\n")).collect();
    let lines = lines.concat();
    let mut input = child.stdin.take().unwrap();
    input.write_all(format!("customer_group_name\n{lines}").as_bytes()).unwrap();
    let copying = "select count(*) from pg_stat_activity
        where datname = current_database() and state = 'active' and query like 'copy %'";
    eventually("lines are copied", async { while database.number(copying).await == 0 {} }).await;
    kill(Pid::from_raw(child.id().try_into().unwrap()), Signal::SIGKILL).unwrap();
    child.wait().unwrap();
    eventually("it is over", async { while !database.backends().await.is_empty() {} }).await;
    assert_eq!(count(&database).await, 0);
    imported(&database, "csv", format!("customer_group_name\n{lines}"));
    assert_eq!(assert_consistent(&database), "10000 customer groups were checked, and nothing is wrong\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_service_shows_and_counts_imported_groups() {
    let api = Api::start().await;
    let client = api.client().await;
    let before = client.create(named("before")).await.unwrap();
    let output = run(&["import", SAMPLE], &api.database, b"");
    assert!(output.status.success(), "{output:?}");
    let page = client.list(Some(1), None).await.unwrap();
    assert_eq!((page.total, page.data[0].customer_group_name.as_str()), (37, "Clubs and Associations"));
    let file = format!("customer_group_name,parent_id\nlate,{}\n", before.id);
    imported(&api.database, "csv", file);
    assert_eq!(client.list(None, None).await.unwrap().total, 38);
    // Groups below an imported group are protected by the foreign key as usual.
    client.delete(&before.id).await.unwrap_err();
    client.create(below(&page.data[0], "below")).await.unwrap();
    assert_consistent(&api.database);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn impossible_imports_and_exports_fail_with_the_reason() {
    let database = TestDatabase::create().await;
    let nowhere = "postgres://nobody@127.0.0.1:1/nothing";
    for (arguments, problem) in [
        (&["import", "nowhere.csv"][..], "nowhere.csv cannot be read: No such file"),
        (
            &["import", "groups.txt"],
            "groups.txt does not end in .csv, .ndjson, .jsonl or .json; use --format csv",
        ),
        (&["import", "-"], "- does not end in .csv"),
        (&["import", "/", "--format", "csv"], "/ cannot be read: Is a directory"),
        (&["export", "/nowhere/groups.csv"], "/nowhere/groups.csv cannot be written: No such file"),
        (&["export", "/dev/null", "--format", "csv"], "/dev/null exists and is not a regular file; use -"),
        (&["export", "-", "--format", "csv", "--database-url", nowhere], "its server cannot be reached"),
        (&["import", "-", "--format", "csv", "--database-url", nowhere], "its server cannot be reached"),
    ] {
        let output = run(arguments, &database, b"");
        let said = text(output.stderr);
        assert!(output.status.code() == Some(2) && said.contains(problem), "{arguments:?}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sample_can_be_imported_into_a_stopped_service_and_exported_again() {
    let folder = data_dir();
    let settings = [("DATA_DIR", folder.path().to_str().unwrap())];
    drop(Program::serve_in(folder.path()));
    let output = Program::run(&["import", SAMPLE], &settings);
    assert!(output.status.success(), "{output:?}");
    let program = Program::serve_in(folder.path());
    let list = program.client().await.list(None, None).await.unwrap();
    assert_eq!(list.total, 36);
    let file = folder.path().join("groups.ndjson");
    let output = Program::run(&["export", file.to_str().unwrap()], &settings);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(fs::read_to_string(&file).unwrap().lines().count(), 36);
}
