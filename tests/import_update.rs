//! The `import --update` command: changes the groups that exist and creates the others.

use customer_groups::testing::pb;

use crate::import::{SAMPLE, count, exported, imported, pairs, run, text, tree};
use crate::support::{Api, Calls, Program, TestDatabase, UNKNOWN_ID, below, move_of, named};
use crate::verify::assert_consistent;

/// Runs an update with this file and returns its exit code and its output.
fn update(database: &TestDatabase, arguments: &[&str], file: &str) -> (i32, String) {
    let format = if file.starts_with('{') { "ndjson" } else { "csv" };
    let all = [&["import", "-", "--format", format, "--update"], arguments].concat();
    let output = run(&all, database, file.as_bytes());
    assert_eq!(Program::messages(&output), "", "{output:?}");
    (output.status.code().unwrap(), text(output.stdout))
}

/// Runs a dry run and the update, which must make the same changes. Returns the steps.
fn updated(database: &TestDatabase, arguments: &[&str], file: &str, plan: &str) -> Vec<String> {
    let before = exported(database, "csv");
    let (code, said) = update(database, &[arguments, &["--dry-run"]].concat(), file);
    let mut steps: Vec<String> = said.lines().map(str::to_owned).collect();
    let last = steps.pop().unwrap();
    assert_eq!((code, last), (0, format!("{plan}: this is the plan, and nothing was changed")), "{said}");
    assert_eq!(exported(database, "csv"), before);
    let (code, said) = update(database, arguments, file);
    assert!(code == 0 && said.starts_with(&format!("{plan}, in ")), "{said}");
    assert_consistent(database);
    steps
}

/// Asserts that an update is refused with this message, and changes nothing.
fn refused(database: &TestDatabase, arguments: &[&str], file: &str, problem: &str) {
    let before = exported(database, "csv");
    for more in [&[][..], &["--dry-run"]] {
        let (code, said) = update(database, &[arguments, more].concat(), file);
        assert!(code == 1 && said.contains(problem), "{file}: {said}");
    }
    assert_eq!(exported(database, "csv"), before);
}

/// The plan of a file that changes nothing.
fn nothing(unchanged: usize) -> String {
    format!("0 created, 0 changed, 0 moved, 0 deleted, {unchanged} unchanged")
}

/// A root with two children, of which the first one has a child.
async fn family() -> (Api, [pb::CustomerGroup; 4]) {
    let api = Api::start().await;
    let client = api.client().await;
    let root = client.create(named("root")).await.unwrap();
    let first = client.create(below(&root, "first")).await.unwrap();
    let second = client.create(below(&root, "second")).await.unwrap();
    let leaf = client.create(below(&first, "leaf")).await.unwrap();
    (api, [root, first, second, leaf])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_file_changes_nothing_the_second_time() {
    let sample = std::fs::read_to_string(SAMPLE).unwrap();
    let database = TestDatabase::create().await;
    updated(&database, &[], &sample, "36 created, 0 changed, 0 moved, 0 deleted, 0 unchanged");
    let before = exported(&database, "csv");
    assert!(updated(&database, &[], &sample, &nothing(36)).is_empty());
    for format in ["csv", "ndjson"] {
        let own = exported(&database, format);
        assert!(updated(&database, &[], &own, &nothing(36)).is_empty());
    }
    assert_eq!(exported(&database, "csv"), before);

    // A line without an id is found by its name and its parent.
    let header = "id,parent_id,customer_group_name,payment_terms";
    let root = before.lines().nth(1).unwrap().split(',').next().unwrap();
    let file = format!("{header}\n,{root},Twin,\n,,Twin,\n");
    updated(&database, &[], &file, "2 created, 0 changed, 0 moved, 0 deleted, 0 unchanged");
    updated(&database, &[], &file, &nothing(2));
    let file = format!("{header}\n,,Twin,Net 30\n");
    updated(&database, &[], &file, "0 created, 1 changed, 0 moved, 0 deleted, 0 unchanged");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_by_id_changes_the_given_fields_and_creates_the_others() {
    let (api, [root, first, second, leaf]) = family().await;
    let file = format!(
        "id,parent_id,customer_group_name,is_group\n{},{},first,yes\n{},{},Leaf,\n{UNKNOWN_ID},{},new,\n",
        first.id, root.id, leaf.id, second.id, leaf.id
    );
    let steps = updated(&api.database, &[], &file, "1 created, 2 changed, 1 moved, 0 deleted, 0 unchanged");
    let expected = [
        format!("line 2: {} \"first\": change is_group", first.id),
        format!("line 3: {} \"Leaf\": change customer_group_name; move below {}", leaf.id, second.id),
        format!("line 4: create \"new\" below {}", leaf.id),
    ];
    assert_eq!(steps, expected);
    let client = api.client().await;
    let changed = client.get(&first.id).await.unwrap();
    assert!(changed.is_group && changed.etag != first.etag);
    assert_eq!(client.get(&second.id).await.unwrap(), second);
    // A field that the file does not give stays.
    let file = format!("{{\"id\":\"{}\",\"customer_group_name\":\"first\"}}", first.id);
    updated(&api.database, &[], &file, &nothing(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_by_name_changes_the_one_group_of_each_name() {
    let (api, _) = family().await;
    let file = "customer_group_name,parent_customer_group,payment_terms\n\
                leaf,second,\nsecond,root,Net 30\nnew,leaf,\n";
    updated(&api.database, &[], file, "1 created, 2 changed, 1 moved, 0 deleted, 0 unchanged");
    let expected = [
        ("root", None),
        ("first", Some("root")),
        ("second", Some("root")),
        ("leaf", Some("second")),
        ("new", Some("leaf")),
    ];
    assert_eq!(tree(&api.database).await, pairs(&expected));
    updated(&api.database, &[], file, &nothing(3));
    refused(
        &api.database,
        &[],
        "customer_group_name\nnew\nnew\n",
        "line 3: customer_group_name \"new\" is also in line 2",
    );
    api.client().await.create(named("new")).await.unwrap();
    refused(
        &api.database,
        &[],
        "customer_group_name\nnew\n",
        "line 2: customer_group_name \"new\" is the name of 2 groups in the database",
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_may_swap_a_parent_and_its_child_but_not_close_a_cycle() {
    let (api, [root, first, _, leaf]) = family().await;
    let file = format!(
        "id,parent_id,customer_group_name\n{},{},leaf\n{},{},first\n",
        leaf.id, root.id, first.id, leaf.id
    );
    updated(&api.database, &[], &file, "0 created, 0 changed, 2 moved, 0 deleted, 0 unchanged");
    // Now the leaf is above the first group, which the file does not name.
    let file = format!("id,parent_id,customer_group_name\n{},{},leaf\n", leaf.id, first.id);
    let problem = format!(
        "line 2: parent_id \"{}\" is the customer group itself or one of its descendants; give one outside",
        first.id
    );
    refused(&api.database, &[], &file, &problem);
    let file = format!("id,parent_id,customer_group_name\n{},{UNKNOWN_ID},leaf\n", leaf.id);
    refused(&api.database, &[], &file, "is not a customer group; give the id of one");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_prune_deletes_only_below_its_group_and_only_a_confirmed_number() {
    let (api, [root, first, second, leaf]) = family().await;
    let file = format!("id,parent_id,customer_group_name\n{},{},second\n", second.id, first.id);
    let within = |more: &[&'static str]| [&["--within", first.id.as_str(), "--prune"], more].concat();
    // The second group is not below the first one.
    refused(
        &api.database,
        &within(&[]),
        &file,
        &format!("line 2: the group {} is not below {}", second.id, first.id),
    );
    let file = format!("id,parent_id,customer_group_name\n{UNKNOWN_ID},{},new\n", first.id);
    let before = exported(&api.database, "csv");
    for arguments in [within(&[]), within(&["--yes", "2"])] {
        let (code, said) = update(&api.database, &arguments, &file);
        let expected = "nothing was imported: the number of deleted groups would be 1; check the plan with --dry-run, then confirm \
                        the number with --yes 1\n";
        assert_eq!((code, said.as_str()), (1, expected));
    }
    assert_eq!(exported(&api.database, "csv"), before);
    let plan = "1 created, 0 changed, 0 moved, 1 deleted, 0 unchanged";
    let steps = updated(&api.database, &within(&["--yes", "1"]), &file, plan);
    let expected =
        [format!("line 2: create \"new\" below {}", first.id), format!("delete {} \"leaf\"", leaf.id)];
    assert_eq!(steps, expected);
    updated(&api.database, &within(&[]), &file, &nothing(1));
    assert_eq!(count(&api.database).await, 4);

    // An exported subtree without some groups deletes these, with their descendants.
    let client = api.client().await;
    let new = client.get(UNKNOWN_ID).await.unwrap();
    client.create(below(&new, "below new")).await.unwrap();
    let output = run(&["export", "-", "--format", "csv", "--within", &root.id], &api.database, b"");
    let whole = text(output.stdout);
    let without =
        |part: &str| whole.lines().filter(|line| !line.contains(part)).collect::<Vec<_>>().join("\n");
    let orphaned = without(",new,");
    let arguments = ["--within", &root.id, "--prune", "--yes", "1"];
    refused(&api.database, &arguments, &orphaned, "would be deleted, because the file lacks it");
    let kept = without("new,");
    let arguments = ["--within", &root.id, "--prune", "--yes", "2"];
    updated(&api.database, &arguments, &kept, "0 created, 0 changed, 0 moved, 2 deleted, 3 unchanged");
    // The uppermost group is never deleted and never moved.
    client.update(move_of(&second, Some(&first))).await.unwrap();
    let file = format!("id,parent_id,customer_group_name\n{},,first\n", first.id);
    refused(&api.database, &["--within", &first.id], &file, "the group of --within itself would move");
    let nobody = ["--within", "customer-group_01h455vb4pex5vsknk084sn02r"];
    refused(&api.database, &nobody, "customer_group_name\n", "there is no customer group");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_flags_of_an_update_need_each_other() {
    let database = TestDatabase::create().await;
    for arguments in [
        &["--within", UNKNOWN_ID][..],
        &["--update", "--prune"],
        &["--update", "--within", UNKNOWN_ID, "--yes", "1"],
    ] {
        let output = run(&[&["import", SAMPLE], arguments].concat(), &database, b"");
        let said = text(output.stderr);
        assert!(output.status.code() == Some(2) && said.contains("required"), "{arguments:?}: {said}");
    }
    imported(&database, "csv", "customer_group_name\na\n");
}
