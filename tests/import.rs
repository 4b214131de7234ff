//! The `import` command: groups from files.

use std::fs;
use std::io::Write;
use std::process::{Child, Output, Stdio};

use customer_groups::domain::GroupId;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{Api, Calls, Program, TestDatabase, below, data_dir, eventually, named};
use crate::verify::sound;

/// An id that no group has.
const NOBODY: &str = "customer-group_01h455vb4pex5vsknk084sn02q";

pub const SAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/sample.csv");

pub fn start(arguments: &[&str], settings: &[(&str, &str)]) -> Child {
    let mut command = Program::command(settings);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// Runs it to its end with that on standard input.
pub fn run(arguments: &[&str], database: &TestDatabase, input: &[u8]) -> Output {
    let mut child = start(arguments, &[("DATABASE_URL", &database.url())]);
    // A program that does not read all of it has found something wrong.
    drop(child.stdin.take().unwrap().write_all(input));
    child.wait_with_output().unwrap()
}

pub fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

/// Imports what is in order, and gives what was said.
pub fn imported(database: &TestDatabase, format: &str, file: impl AsRef<[u8]>) -> String {
    let output = run(&["import", "-", "--format", format], database, file.as_ref());
    let (out, err) = (text(output.stdout), text(output.stderr));
    assert_eq!((output.status.code(), err.as_str()), (Some(0), ""), "{out}");
    out
}

/// Imports what is not in order, and gives what is wrong with it: the number of the line, and what.
fn refused(database: &TestDatabase, format: &str, file: impl AsRef<[u8]>) -> Vec<(i64, String)> {
    let output = run(&["import", "-", "--format", format], database, file.as_ref());
    let (out, err) = (text(output.stdout), text(output.stderr));
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
    let err = text(output.stderr);
    assert!(output.status.success() && err.contains(" customer groups were exported in "), "{err}");
    text(output.stdout)
}

async fn count(database: &TestDatabase) -> i64 {
    database.number("select count(*) from customer_group").await
}

/// The names of all groups, each with that of its parent, in the order of their creation.
async fn tree(database: &TestDatabase) -> Vec<(String, Option<String>)> {
    let names = "select g.customer_group_name, p.customer_group_name
        from customer_group g left join customer_group p on p.id = g.parent_id order by g.id";
    let rows = database.sql().await.query(names, &[]).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

fn pairs(expected: &[(&str, Option<&str>)]) -> Vec<(String, Option<String>)> {
    expected.iter().map(|(name, parent)| ((*name).to_owned(), parent.map(str::to_owned))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_of_erpnext_names_parents_by_name_in_any_order() {
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
        sound(&database);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_an_id_in_the_file_the_text_of_the_parent_moves_no_group() {
    let database = TestDatabase::create().await;
    imported(&database, "csv", "parent_id,customer_group_name,parent_customer_group\n,a,\n,b,a\n");
    let objects = "{\"id\":null,\"customer_group_name\":\"c\",\"parent_customer_group\":\"a\"}";
    imported(&database, "ndjson", objects);
    assert_eq!(tree(&database).await, pairs(&[("a", None), ("b", None), ("c", None)]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_parent_is_found_in_the_database_by_id_and_by_the_only_name() {
    let api = Api::start().await;
    let client = api.client().await;
    let root = client.create(named("root")).await.unwrap();
    for _ in 0..2 {
        client.create(named("twin")).await.unwrap();
    }
    imported(&api.database, "csv", format!("customer_group_name,parent_id\nby id,{}\n", root.id));
    imported(&api.database, "csv", "customer_group_name,parent_customer_group\nby name, root \n");
    // A name in the file comes first.
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
        "parent_customer_group \"twin\" is the name of 2 groups that there are; give parents by parent_id instead"
    );
    assert!(
        problems[2].1.starts_with("parent_customer_group \"nobody\" is the name of no group"),
        "{problems:?}"
    );
    assert_eq!(client.list(None, None).await.unwrap().total, 7);
    sound(&api.database);
}

/// Each in a file of its own, and a part of what is said of its line.
fn wrong_lines() -> Vec<(&'static str, String, &'static str)> {
    let long = "n".repeat(256);
    let endless = "n".repeat(70_000);
    let own = [
        ("a,b", "it has 2 fields and the header 6"),
        (",,,,,", "customer_group_name is required"),
        ("nobody,,name,,,", "id \"nobody\" is no id of a customer group"),
        (",nobody,name,,,", "parent_id \"nobody\" is no customer group"),
        (&format!(",{NOBODY},name,,,"), "is no customer group; give the id of one, or none for a root"),
        (&format!("{NOBODY},{NOBODY},name,,,"), "the group is its own parent"),
        (",,\"a\nb\",,,", "customer_group_name has the control character U+000A"),
        (&format!(",,{long},,,"), "customer_group_name has 256 characters"),
        (&format!(",,name,,{long},"), "parent_customer_group has 256 characters"),
        (",,name,yes,,", "is_group is \"yes\"; give true or 1, false or 0, or nothing"),
        (
            &format!("{NOBODY},,name,,,2020-01-01T00:00:00Z"),
            "before the creation at 2023-06-30T03:34:18.518Z",
        ),
        (&format!("{NOBODY},,name,,,soon"), "updated_at is \"soon\"; give a time"),
        (&format!(",,{endless},,,"), "it has more than 65536 bytes"),
    ];
    let own = own.into_iter().map(|(line, problem)| {
        let header = "id,parent_id,customer_group_name,is_group,parent_customer_group,updated_at";
        ("csv", format!("{header}\n{line}\n"), problem)
    });
    let by_name = [
        ("Export,ID of another,", "ERPNext's ID is \"ID of another\" and customer_group_name \"Export\""),
        ("Export,Export,nobody", "is the name of no group, in the file or beside it"),
        ("Export,Export,Export", "the group is its own parent"),
    ];
    let by_name = by_name.into_iter().map(|(line, problem)| {
        ("csv", format!("Customer Group Name,ID,Parent Customer Group\n{line}\n"), problem)
    });
    let objects = [
        ("nonsense", "invalid JSON: expected ident at column 2"),
        ("[]", "invalid JSON: invalid type: sequence, expected a JSON object"),
        (r#"{"parent_id":null}"#, "customer_group_name is required"),
        (r#"{"customer_group_name":5}"#, "customer_group_name is 5; give a string or null"),
        (r#"{"customer_group_name":"a","colour":"red"}"#, "\"colour\": there is no field of this name"),
        (r#"{"customer_group_name":"a","is_group":1}"#, "is_group is 1; give true, false or null"),
        (r#"{"customer_group_name":"a","customer_group_name":"b"}"#, "the field is given twice"),
        (&format!(r#"{{"customer_group_name":"{endless}"}}"#), "it has more than 65536 bytes"),
    ];
    let objects = objects.into_iter().map(|(line, problem)| {
        ("ndjson", format!("{{\"customer_group_name\":\"first\"}}\n{line}\n"), problem)
    });
    own.chain(by_name).chain(objects).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_line_is_named_with_what_is_wrong_and_nothing_is_imported() {
    let database = TestDatabase::create().await;
    for (format, file, expected) in wrong_lines() {
        let problems = refused(&database, format, &file);
        let [(2, problem)] = problems.as_slice() else { panic!("{expected}: {problems:?}") };
        assert!(problem.contains(expected), "{expected}: {problem}");
    }
    assert_eq!(count(&database).await, 0);
    sound(&database);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_header_that_tells_nothing_is_all_that_is_named() {
    let database = TestDatabase::create().await;
    for (file, expected) in [
        ("", "the file is empty; begin it with the names of the columns"),
        ("\n\r\n", "the file is empty"),
        (
            "name;parent\na;b\n",
            "there is no column \"name;parent\"; the column customer_group_name is missing",
        ),
        (
            "customer_group_name,Customer Group Name\na,b\n",
            "the column \"Customer Group Name\" is given twice",
        ),
        (
            "customer_group_name,colour\na,red\n",
            "there is no column \"colour\"; the columns are id, created_at",
        ),
    ] {
        let problems = refused(&database, "csv", file);
        assert!(problems.len() == 1 && problems[0].1.contains(expected), "{problems:?}");
    }
    let problems = refused(&database, "csv", b"customer_group_name,\xff\na,b\n");
    assert_eq!(problems, [(1, "it is not in UTF-8; save the file in UTF-8".to_owned())]);
    imported(&database, "csv", "customer_group_name\n");
    imported(&database, "ndjson", "");
    assert_eq!(count(&database).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_wrong_lines_are_named_at_once_and_no_group_for_the_fault_of_another() {
    let api = Api::start().await;
    let there = api.client().await.create(named("there")).await.unwrap();
    let [a, b, c] = [0, 1, 2].map(|_| GroupId::generate().to_string());
    let mut file = "id,parent_id,customer_group_name\n".to_owned();
    for line in [
        &format!("{a},,\u{7}"),
        // Its parent has another fault.
        &format!("{b},{a},below"),
        &format!("{b},,twice"),
        "",
        &format!("{},,existing", there.id),
        &format!(",{c},orphan"),
        ",,\"over\ntwo lines\"",
        ",,fine",
    ] {
        file.push_str(line);
        file.push('\n');
    }
    let mut file = file.into_bytes();
    file.extend(b",,Caf\xe9\n");
    let problems = refused(&api.database, "csv", &file);
    let expected = [
        (2, "customer_group_name has the control character U+0007; leave it out".to_owned()),
        (4, format!("id {b} is in line 3, too; an id is given once")),
        (
            6,
            format!(
                "id {} exists already; leave the line out, or its id for a group beside that one",
                there.id
            ),
        ),
        (7, format!("parent_id {c:?} is no customer group; give the id of one, or none for a root")),
        (8, "customer_group_name has the control character U+000A; leave it out".to_owned()),
        (11, "it is not in UTF-8; save the file in UTF-8".to_owned()),
    ];
    assert_eq!(problems, expected);
    assert_eq!(count(&api.database).await, 1);
    sound(&api.database);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cycles_are_named_by_their_lines_and_not_what_is_below_them() {
    let database = TestDatabase::create().await;
    let file = "customer_group_name,parent_customer_group\n\
                root,\nbelow a cycle,c\nc,a\na,b\nb,c\nfine,root\nd,e\ne,d\n";
    let remedy = "and the last below the first; give one of them another parent, or none";
    let expected = [
        (4, format!("the groups in lines 4, 5, 6 are each below the next, 3 in all, {remedy}")),
        (8, format!("the groups in lines 8, 9 are each below the next, 2 in all, {remedy}")),
    ];
    assert_eq!(refused(&database, "csv", file), expected);
    assert_eq!(count(&database).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_several_groups_of_the_file_have_names_no_parent() {
    let database = TestDatabase::create().await;
    let twins = "customer_group_name,parent_customer_group\ntwin,\ntwin,\n";
    let problem = "parent_customer_group \"twin\" is the name of 2 groups in the file; give parents by parent_id instead";
    assert_eq!(refused(&database, "csv", format!("{twins}child,twin\n")), [(4, problem.to_owned())]);
    imported(&database, "csv", twins);
    assert_eq!(count(&database).await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_later_object_with_ids_does_not_go_with_a_first_one_without() {
    let database = TestDatabase::create().await;
    let file = "{\"customer_group_name\":\"a\"}\n{\"customer_group_name\":\"b\",\"parent_id\":null}\n";
    let problems = refused(&database, "ndjson", file);
    assert!(problems.len() == 1 && problems[0].0 == 2, "{problems:?}");
    assert!(problems[0].1.contains("the first object has no id and no parent_id"), "{problems:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_very_many_wrong_lines_the_first_hundred_are_named() {
    let database = TestDatabase::create().await;
    let lines: Vec<String> = (0..150).map(|number| format!(",{NOBODY},{number}\n,,\n")).collect();
    let file = format!("id,parent_id,customer_group_name\n{}", lines.concat());
    let output = run(&["import", "-", "--format", "csv"], &database, file.as_bytes());
    let said = text(output.stdout);
    let said: Vec<_> = said.lines().collect();
    assert_eq!((output.status.code(), said.len()), (Some(1), 102));
    assert!(said[0].starts_with("line 2: parent_id") && said[99].starts_with("line 101: "), "{said:#?}");
    assert_eq!(said[100..], ["and 200 more", "300 things are wrong with the file, and nothing was imported"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dry_run_finds_what_is_wrong_and_changes_nothing() {
    let database = TestDatabase::create().await;
    let dry_run = |file: &str| {
        let output = run(&["import", "-", "--format", "csv", "--dry-run"], &database, file.as_bytes());
        (output.status.code().unwrap(), text(output.stdout))
    };
    let sample = fs::read_to_string(SAMPLE).unwrap();
    let (code, said) = dry_run(&sample);
    assert_eq!((code, said.as_str()), (0, "36 customer groups can be imported, and nothing was changed\n"));
    let (code, said) = dry_run(&format!("{sample}Lost,Nowhere,0,,\n"));
    assert!(code == 1 && said.starts_with("line 38: parent_customer_group \"Nowhere\""), "{said}");
    assert_eq!(count(&database).await, 0);
    sound(&database);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mark_at_the_start_ends_of_lines_and_quotes_are_those_of_any_program() {
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
    let problems = refused(&database, "csv", "id,customer_group_name\r\n\r\n,\"a\r\nb\"\r\n,\r\n");
    assert_eq!(problems.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [3, 5]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_that_is_killed_has_changed_nothing() {
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
    assert_eq!(sound(&database), "10000 customer groups were checked, and nothing is wrong\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_runs_shows_what_was_imported_and_counts_it() {
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
    // What is below an imported group is guarded as ever.
    client.delete(&before.id).await.unwrap_err();
    client.create(below(&page.data[0], "below")).await.unwrap();
    sound(&api.database);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_done_is_told_before_anything_is() {
    let database = TestDatabase::create().await;
    let nowhere = "postgres://nobody@127.0.0.1:1/nothing";
    for (arguments, problem) in [
        (&["import", "nowhere.csv"][..], "nowhere.csv cannot be read: No such file"),
        (&["import", "groups.txt"], "groups.txt does not end in .csv, .ndjson or .jsonl; give --format csv"),
        (&["import", "-"], "- does not end in .csv"),
        (&["import", "/", "--format", "csv"], "/ cannot be read: Is a directory"),
        (&["export", "/nowhere/groups.csv"], "/nowhere/groups.csv cannot be written: No such file"),
        (&["export", "/dev/null", "--format", "csv"], "/dev/null is there and no file; give - and send"),
        (&["export", "-", "--format", "csv", "--database-url", nowhere], "its server cannot be reached"),
        (&["import", "-", "--format", "csv", "--database-url", nowhere], "its server cannot be reached"),
    ] {
        let output = run(arguments, &database, b"");
        let said = text(output.stderr);
        assert!(output.status.code() == Some(2) && said.contains(problem), "{arguments:?}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sample_fills_a_private_postgresql_before_its_first_start_and_comes_out_again() {
    let folder = data_dir();
    let settings = [("DATA_DIR", folder.path().to_str().unwrap())];
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
