//! Migrations, and the objects of the database that a restore may lose.

use std::fs::File;
use std::process::Output;

use customer_groups::testing::pb;
use serde_json::Value;

use crate::support::{Api, Calls, Program, TestDatabase, below, named};
use crate::verify::assert_consistent;

/// The advisory lock of migrations: `cg_migr` in ASCII.
const LOCK: &str = "x'63675f6d696772'::bigint";

fn serve(url: &str) -> Output {
    Program::run(&["serve"], &[("DATABASE_URL", url)])
}

/// The error of a start that fails.
fn refusal(url: &str) -> String {
    let output = serve(url);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(!said.contains("panic"), "{said}");
    said
}

fn says(line: &Value, text: &str) -> bool {
    line["message"].as_str().is_some_and(|message| message.contains(text))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_migration_table_is_named_and_nothing_is_changed() {
    let database = TestDatabase::create().await;
    let sql = database.sql().await;
    for (damage, problem) in [
        ("delete from customer_group_migration where version = 3", "the row of version 3 is missing"),
        (
            "update customer_group_migration set applied_on = 'today' where version = 2",
            "version 2 has not the name",
        ),
        (
            "update customer_group_migration set applied_on = null where version = 2",
            "version 2 has not the name",
        ),
        (
            "update customer_group_migration set checksum = 'x' where version = 1",
            "version 1 has not the name",
        ),
        (
            "update customer_group_migration set checksum = '1' where version = 1",
            "version 1 has not the name",
        ),
    ] {
        sql.batch_execute("create table kept as select * from customer_group_migration").await.unwrap();
        sql.batch_execute(damage).await.unwrap();
        let said = refusal(&database.url());
        assert!(said.contains("customer_group_migration is damaged") && said.contains(problem), "{said}");
        let restore = "truncate customer_group_migration;
                       insert into customer_group_migration select * from kept; drop table kept";
        sql.batch_execute(restore).await.unwrap();
    }
    assert_consistent(&database);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_that_waits_for_a_lock_logs_who_holds_it() {
    let database = TestDatabase::create_empty().await;
    let sql = database.sql().await;
    let take = format!("set application_name = 'the other'; select pg_advisory_lock({LOCK})");
    sql.batch_execute(&take).await.unwrap();
    let program = Program::spawn(
        Program::command(&[("DATABASE_URL", &*database.url())]).stdout(File::create("/dev/null").unwrap()),
    );
    let line = program.log_line(|line| says(line, "waiting for another service"));
    let blockers = line["blockers"].as_str().unwrap();
    assert!(blockers.contains("(the other, ") && blockers.contains("idle"), "{blockers}");
    sql.batch_execute("select pg_advisory_unlock_all()").await.unwrap();
    program.log_line(|line| line["message"] == "serving");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_functions_triggers_and_indexes_are_reported_and_created_at_the_next_start() {
    let database = TestDatabase::create().await;
    let sql = database.sql().await;
    let client = Api::start_on(database.clone()).await.client().await;
    let root = client.create(named("Köln")).await.unwrap();
    sql.batch_execute(
        "drop function customer_group_name_folded cascade;
         drop trigger customer_group_count_insert on customer_group;
         alter table customer_group disable trigger customer_group_count_delete;
         drop index customer_group_parent_id_id_idx",
    )
    .await
    .unwrap();
    // It is not counted.
    client.create(below(&root, "Kölner Straße")).await.unwrap();
    assert_eq!(client.list(None, None).await.unwrap().total, 1);

    let output = Program::run(&["verify"], &[("DATABASE_URL", &database.url())]);
    let found = String::from_utf8(output.stdout).unwrap();
    for missing in [
        "function customer_group_name_folded(text)",
        "trigger customer_group_count_insert",
        "trigger customer_group_count_delete",
        "index customer_group_parent_id_id_idx",
    ] {
        assert!(found.contains(&format!("missing: {missing}; run `customer-groups migrate`")), "{found}");
    }

    let output = Program::run(&["migrate"], &[("DATABASE_URL", &database.url())]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && said.contains("The database is up to date."), "{said}");
    assert_consistent(&database);
    let search =
        pb::ListCustomerGroupsRequest { customer_group_name: Some("KÖLN".to_owned()), ..Default::default() };
    let found = client.clone().list_customer_groups(search).await.unwrap().into_inner();
    assert_eq!(found.total, 2);
    assert_eq!(client.list(None, None).await.unwrap().total, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_needs_only_rows_when_another_user_migrates() {
    let database = TestDatabase::create_empty().await;
    let sql = database.sql().await;
    sql.batch_execute("create role clerk login; revoke create on schema public from public").await.unwrap();
    let url = format!("{} user=clerk", database.url());
    let said = refusal(&url);
    assert!(said.contains("run `customer-groups migrate`"), "{said}");

    let output = Program::run(&["migrate"], &[("DATABASE_URL", &database.url())]);
    assert!(output.status.success(), "{output:?}");
    // As in docs/operations.md.
    let operations = include_str!("../docs/operations.md");
    let (_, grant) = operations.split_once("    grant ").unwrap();
    let (grant, _) = grant.split_once("\n\n").unwrap();
    sql.batch_execute(&format!("grant {}", grant.replace("customer_groups_service", "clerk"))).await.unwrap();
    let program = Program::serve(&[("DATABASE_URL", &url)]);
    let client = program.client().await;
    let group = client.create(named("Export")).await.unwrap();
    client.delete(&group.id).await.unwrap();
    assert_eq!(client.list(None, None).await.unwrap().total, 0);
}
