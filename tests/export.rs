//! The `export` command.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use customer_groups::testing::pb;
use tempfile::TempDir;

use crate::import::{SAMPLE, exported, imported, run, start};
use crate::support::http::get;
use crate::support::{
    Api, Calls, Client, KEY, Program, Random, TestDatabase, UNKNOWN_ID, below, move_of, named, update_of,
};
use crate::verify::assert_consistent;

/// Creates a tree of groups with unusual texts, some of them moved and updated afterwards.
async fn grow(client: &Client) {
    const TEXTS: [&str; 12] = [
        "",
        "plain",
        "with, a comma",
        "with \"quotes\"",
        "\"",
        " padded ",
        "=1+1",
        "Grüße 🌳",
        "null",
        "\\N",
        ",",
        "'",
    ];
    let mut random = Random(7);
    let mut groups: Vec<pb::CustomerGroup> = Vec::new();
    for number in 0..60 {
        let mut text = || (random.below(3) > 0).then(|| TEXTS[random.below(TEXTS.len())].to_owned());
        let mut group = pb::CustomerGroup {
            parent_customer_group: text(),
            default_price_list: text(),
            payment_terms: text(),
            ..named(&format!("{} {number}", TEXTS[number % TEXTS.len()]))
        };
        group.is_group = random.below(2) == 0;
        if !groups.is_empty() && random.below(5) > 0 {
            group.parent_id = Some(groups[random.below(groups.len())].id.clone());
        }
        groups.push(client.create(group).await.unwrap());
    }
    for _ in 0..30 {
        let (group, parent) = (&groups[random.below(60)], &groups[random.below(60)]);
        // A move that would create a cycle changes nothing.
        drop(client.update(move_of(group, Some(parent))).await);
        let renamed = pb::CustomerGroup { payment_terms: Some("changed".to_owned()), ..group.clone() };
        client.update(update_of(renamed, &["payment_terms"])).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_in_either_format_can_be_imported_unchanged() {
    let api = Api::start().await;
    grow(&api.client().await).await;
    let files = ["csv", "ndjson"].map(|format| exported(&api.database, format));
    for (format, file) in ["csv", "ndjson"].iter().zip(&files) {
        let copy = TestDatabase::create().await;
        assert!(imported(&copy, format, file).starts_with("60 customer groups were imported in "));
        assert_eq!(["csv", "ndjson"].map(|format| exported(&copy, format)), files);
        assert_eq!(assert_consistent(&copy), "60 customer groups were checked, and nothing is wrong\n");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ndjson_line_equals_the_rest_object() {
    let api = Api::start().await;
    let chain = api.client().await.chain(2).await;
    let path = format!("/api/setup/customer-group/{}", chain[1].id);
    let response = get(api.address(), &path, &[("authorization", &format!("Bearer {KEY}"))]).await;
    assert_eq!(exported(&api.database, "ndjson").lines().last().unwrap().as_bytes(), response.body);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_is_a_consistent_snapshot_during_writes() {
    let api = Api::start().await;
    let client = api.client().await;
    let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
    let writer = tokio::spawn(async move {
        let mut made = 0;
        while stopped.try_recv().is_err() {
            let entry = |name: &str| pb::NewCustomerGroupEntry {
                customer_group: Some(Box::new(named(&format!("{name} {made}")))),
                ..Default::default()
            };
            let requests = vec![entry("one"), entry("two")];
            let pair = pb::BatchCreateCustomerGroupsRequest { requests };
            client.clone().batch_create_customer_groups(pair).await.unwrap();
            made += 1;
        }
    });
    let database = api.database.clone();
    let files = tokio::task::spawn_blocking(move || [(); 5].map(|()| exported(&database, "ndjson")));
    for file in files.await.unwrap() {
        let mut pairs: BTreeMap<String, usize> = BTreeMap::new();
        for line in file.lines() {
            let group: serde_json::Value = serde_json::from_str(line).unwrap();
            let name = group["customer_group_name"].as_str().unwrap();
            *pairs.entry(name.split_once(' ').unwrap().1.to_owned()).or_default() += 1;
        }
        assert!(pairs.values().all(|groups| *groups == 2), "{pairs:?}");
    }
    stop.send(()).unwrap();
    writer.await.unwrap();
}

/// The names of the files in a folder.
fn files_in(folder: &TempDir) -> Vec<String> {
    let names =
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_is_replaced_only_by_a_complete_export() {
    let (database, folder) = (TestDatabase::create().await, tempfile::tempdir().unwrap());
    run(&["import", SAMPLE], &database, b"");
    let file = folder.path().join("groups.csv");
    let file = file.to_str().unwrap();
    fs::write(file, "older").unwrap();
    // The database has no tables.
    let empty = TestDatabase::create_empty().await;
    let output = run(&["export", file], &empty, b"");
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert_eq!((fs::read_to_string(file).unwrap().as_str(), files_in(&folder).len()), ("older", 1));

    let output = run(&["export", file], &database, b"");
    let said = Program::messages(&output);
    assert!(output.status.success() && said.starts_with("36 customer groups were exported in "), "{said}");
    assert_eq!(fs::read_to_string(file).unwrap(), exported(&database, "csv"));
    assert_eq!(files_in(&folder), ["groups.csv"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_file_is_private_and_an_existing_one_keeps_its_mode() {
    let (database, folder) = (TestDatabase::create().await, tempfile::tempdir().unwrap());
    let file = folder.path().join("groups.csv");
    let export = || {
        assert!(run(&["export", file.to_str().unwrap()], &database, b"").status.success());
        file.metadata().unwrap().mode() & 0o777
    };
    assert_eq!(export(), 0o600);
    assert_eq!(export(), 0o600);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o664)).unwrap();
    assert_eq!(export(), 0o664);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_into_a_closed_pipe_is_not_a_failure() {
    let database = TestDatabase::create().await;
    database.plant(1_000, 10).await;
    let mut child = start(&["export", "-", "--format", "csv"], &[("DATABASE_URL", &database.url())]);
    let mut output = child.stdout.take().unwrap();
    output.read_exact(&mut [0; 2]).unwrap();
    drop(output);
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), Program::messages(&output).as_str()), (Some(0), ""));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subtree_and_some_fields_can_be_exported() {
    let api = Api::start().await;
    let client = api.client().await;
    let chain = client.chain(4).await;
    client.create(below(&chain[0], "beside")).await.unwrap();
    let export = |arguments: &[&str]| {
        let output = run(&[&["export", "-", "--format"], arguments].concat(), &api.database, b"");
        let said = Program::messages(&output);
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap(), said)
    };
    let [id, child, grandchild] = [&chain[1].id, &chain[2].id, &chain[3].id];
    let (code, file, _) = export(&["csv", "--within", id, "--fields", "customer_group_name,id"]);
    let expected = format!("customer_group_name,id\nlevel 1,{id}\nlevel 2,{child}\nlevel 3,{grandchild}\n");
    assert_eq!((code, file), (0, expected));
    let (_, file, _) = export(&["ndjson", "--within", grandchild, "--fields", "is_group,parent_id"]);
    assert_eq!(file, format!("{{\"is_group\":false,\"parent_id\":\"{child}\"}}\n"));
    let (code, _, said) = export(&["csv", "--within", UNKNOWN_ID]);
    assert!(code == 2 && said.contains(&format!("there is no customer group {UNKNOWN_ID}")), "{said}");
    for (flag, value, problem) in [
        ("--within", "nobody", "it is not the id of a customer group"),
        ("--fields", "id,id", "--fields has id twice; give it once"),
        ("--fields", "id,colour", "it is not a field; the fields are id, created_at"),
    ] {
        let output = run(&["export", "-", "--format", "csv", flag, value], &api.database, b"");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(2) && said.contains(problem), "{said}");
    }
}
