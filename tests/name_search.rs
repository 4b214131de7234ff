//! Search by name: what it ignores, and its index, which is made while the service runs.

use std::process::Stdio;

use customer_groups::testing::pb;
use serde_json::Value;
use tokio_postgres::Client as Sql;

use crate::support::{Api, Calls, Client, Program, TestDatabase, below, eventually, named};
use crate::verify::assert_consistent;

const HAS_INDEX: &str = "select count(*) from pg_index
    where indexrelid = to_regclass('customer_group_name_search_idx') and indisvalid";

/// All characters that differ from their upper case, lower case, composed or decomposed form, with each of these.
const PAIRS: &str = r#"
    create temporary table pair as
    with letter as (
        select chr(n) as letter, upper(chr(n) collate "und-x-icu") as upper, lower(chr(n) collate "und-x-icu") as lower
        from generate_series(1, 1114111) n where n not between 55296 and 57343
    )
    select letter, other from letter, unnest(array[
        upper, lower, upper(lower collate "und-x-icu"), lower(upper collate "und-x-icu"),
        normalize(letter, nfc), normalize(letter, nfd), normalize(upper, nfc), normalize(upper, nfd),
        normalize(lower, nfc), normalize(lower, nfd)
    ]) other
    where letter <> other"#;

/// Returns the pairs that do not find each other, alone, among letters of ASCII, and among others.
const MISSED: &str = "
    select coalesce(string_agg(distinct letter || ':' || other, ' '), '') from pair,
        (values ('', ''), ('a', 'b'), ('é', ''), ('ж', 'ж')) as beside (before, after)
    where customer_group_name_search(before || letter || after)
        is distinct from customer_group_name_search(before || other || after)";

async fn text(sql: &Sql, query: &str) -> String {
    sql.query_one(query, &[]).await.unwrap().get(0)
}

/// The names of the groups that a search finds, the newest first.
pub async fn search(client: &Client, text: &str) -> Vec<String> {
    let request =
        pb::ListCustomerGroupsRequest { customer_group_name: Some(text.to_owned()), ..Default::default() };
    let found = client.clone().list_customer_groups(request).await.unwrap().into_inner();
    found.data.into_iter().map(|group| group.customer_group_name).collect()
}

fn says(line: &Value, text: &str) -> bool {
    line["message"].as_str().is_some_and(|message| message.contains(text))
}

fn start(url: &str) -> Program {
    Program::spawn(Program::command(&[("DATABASE_URL", url)]).stdout(Stdio::null()))
}

/// Logs in as a user who may create tables, but no extensions.
async fn as_tenant(database: &TestDatabase) -> String {
    let sql = database.sql().await;
    let role = text(&sql, "select 'tenant_of_' || current_database()").await;
    let create = format!("create role {role} login; alter schema public owner to {role}");
    sql.batch_execute(&create).await.unwrap();
    format!("{} user={role}", database.url())
}

/// Returns to the tables of the previous release.
async fn migrate_back(sql: &Sql) {
    sql.batch_execute(
        "drop function customer_group_name_search cascade;
         delete from customer_group_migration where version = 7",
    )
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_of_unicode_is_found_in_any_case_and_composition() {
    let database = TestDatabase::create().await;
    let sql = database.sql().await;
    sql.batch_execute(PAIRS).await.unwrap();
    assert_ne!(text(&sql, "select count(*)::text from pair").await, "0");
    assert_eq!(text(&sql, MISSED).await, "");

    // Again without the extension unaccent, in whose rules some of the pairs are equal.
    let without = TestDatabase::create_empty().await;
    let url = as_tenant(&without).await;
    assert!(Program::run(&["migrate"], &[("DATABASE_URL", &url)]).status.success());
    let sql = without.sql().await;
    assert_eq!(text(&sql, "select customer_group_name_search('é')").await, "É");
    sql.batch_execute(PAIRS).await.unwrap();
    assert_eq!(text(&sql, MISSED).await, "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_index_is_made_while_the_service_runs_and_blocks_no_writes() {
    const MANY: &str = "insert into customer_group (id, updated_at, is_group, customer_group_name)
         select overlay(overlay(gen_random_uuid()::text placing '0189' from 1 for 4) placing '7' from 15 for 1)::uuid,
             date_trunc('milliseconds', now()), false, 'Größe ' || n
         from generate_series(1, 100000) n;
         analyze customer_group";
    const PLAN: &str = "explain select id from customer_group
         where customer_group_name_search(customer_group_name) like
             (select '%' || customer_group_name_search('GROSSE 77777') || '%')";
    let database = TestDatabase::create().await;
    let sql = database.sql().await;
    migrate_back(&sql).await;
    sql.batch_execute(MANY).await.unwrap();
    // An index cannot be made while a transaction that began to write runs.
    let mut other = database.sql().await;
    let old = other.transaction().await.unwrap();
    old.execute("lock table customer_group in row exclusive mode", &[]).await.unwrap();

    let program = Program::serve(&[("DATABASE_URL", &database.url())]);
    program.log_line(|line| says(line, "making the index of searches by name"));
    let building = "select count(*) from pg_stat_progress_create_index where datname = current_database()";
    eventually("the index is being made", async { while database.number(building).await == 0 {} }).await;
    let client = program.client().await;
    let root = client.create(named("Zürich")).await.unwrap();
    client.create(below(&root, "Köln")).await.unwrap();
    assert_eq!(search(&client, "KÖLN").await, ["Köln"]);
    assert_eq!(search(&client, "größe 77777").await, ["Größe 77777"]);
    assert_eq!(database.number(HAS_INDEX).await, 0);

    old.rollback().await.unwrap();
    let line = program.log_line(|line| says(line, "search by name is ready"));
    assert_eq!(
        (&line["ignores"], &line["index"]),
        (&"case, composition, accents".into(), &true.into()),
        "{line}"
    );
    assert_eq!(database.number(HAS_INDEX).await, 1);
    assert_eq!(search(&client, "zurich").await, ["Zürich"]);
    assert_eq!(search(&client, "GROSSE 77777").await, ["Größe 77777"]);
    let plan: Vec<String> =
        sql.query(PLAN, &[]).await.unwrap().iter().map(|row| row.get::<_, String>(0)).collect();
    assert!(plan.iter().any(|line| line.contains("customer_group_name_search_idx")), "{plan:#?}");
    assert_consistent(&database);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_replicas_make_the_index_once() {
    let database = TestDatabase::create().await;
    let sql = database.sql().await;
    Api::start_on(database.clone()).await.client().await.create(named("Zürich")).await.unwrap();
    migrate_back(&sql).await;
    let replicas = [(); 3].map(|()| start(&database.url()));
    for replica in &replicas {
        replica.log_line(|line| says(line, "search by name is ready"));
    }
    assert_consistent(&database);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_index_that_was_interrupted_is_made_again() {
    let database = TestDatabase::create().await;
    let sql = database.sql().await;
    sql.batch_execute(
        "update pg_index set indisvalid = false where indexrelid = 'customer_group_name_search_idx'::regclass",
    )
    .await
    .unwrap();
    let url = database.url();
    let verified = Program::run(&["verify"], &[("DATABASE_URL", &url)]);
    let missing = "missing: index customer_group_name_search_idx; run `customer-groups migrate`";
    assert!(String::from_utf8(verified.stdout).unwrap().contains(missing));
    assert!(Program::run(&["migrate"], &[("DATABASE_URL", &url)]).status.success());
    assert_eq!(database.number(HAS_INDEX).await, 1);
    assert_consistent(&database);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_extensions_a_search_reads_every_name_and_accents_matter_until_they_exist() {
    let database = TestDatabase::create_empty().await;
    let url = as_tenant(&database).await;
    let program = start(&url);
    let line = program.log_line(|line| says(line, "search by name is ready"));
    assert_eq!((&line["ignores"], &line["index"]), (&"case, composition".into(), &false.into()), "{line}");
    program.log_line(|line| says(line, "create extension pg_trgm"));

    let client = Api::start_on(database.clone()).await.client().await;
    for name in ["Köln", "KO\u{308}LNER Straße", "Kassel"] {
        client.create(named(name)).await.unwrap();
    }
    assert_eq!(search(&client, "köln").await, ["KO\u{308}LNER Straße", "Köln"]);
    assert_eq!(search(&client, "koln").await, [""; 0]);
    assert_eq!(search(&client, "ko").await, [""; 0]);

    let sql = database.sql().await;
    sql.batch_execute("create extension pg_trgm; create extension unaccent").await.unwrap();
    let output = Program::run(&["migrate"], &[("DATABASE_URL", &url)]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(database.number(HAS_INDEX).await, 1);
    assert_eq!(search(&client, "köln").await, ["KO\u{308}LNER Straße", "Köln"]);
    assert_eq!(search(&client, "koln").await, ["KO\u{308}LNER Straße", "Köln"]);
}

#[tokio::test]
async fn the_search_works_with_its_extensions_in_another_schema() {
    let database = TestDatabase::create_empty().await;
    let elsewhere = "create schema \"of all\"; create extension pg_trgm schema \"of all\";
                     create extension unaccent schema \"of all\"";
    database.sql().await.batch_execute(elsewhere).await.unwrap();
    let client = Api::start_on(database.clone()).await.client().await;
    assert_eq!(database.number(HAS_INDEX).await, 1);
    client.create(named("Köln")).await.unwrap();
    assert_eq!(search(&client, "KÖL").await, ["Köln"]);
    assert_eq!(search(&client, "kol").await, ["Köln"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_whose_user_cannot_make_the_index_uses_the_one_of_the_owner() {
    let database = TestDatabase::create().await;
    let sql = database.sql().await;
    Api::start_on(database.clone()).await.client().await.create(named("Zürich")).await.unwrap();
    sql.batch_execute("drop index customer_group_name_search_idx; create role searcher login").await.unwrap();
    sql.batch_execute("grant select, insert, update, delete on all tables in schema public to searcher")
        .await
        .unwrap();
    let program = Program::serve(&[("DATABASE_URL", &format!("{} user=searcher", database.url()))]);
    let line = program.log_line(|line| says(line, "search by name is not prepared"));
    assert!(line["error"].as_str().unwrap().contains("run `customer-groups migrate`"), "{line}");
    assert_eq!(search(&program.client().await, "ZÜRICH").await, ["Zürich"]);
}
