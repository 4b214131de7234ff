//! The `verify` command: a consistent database passes; every inconsistency is reported.

use std::process::Output;

use customer_groups::testing::GroupId;
use customer_groups::testing::pb;
use tokio_postgres::Client as Sql;
use uuid::Uuid;

use crate::support::{Api, Calls, Program, TestDatabase, below, data_dir, move_of, named};

/// A UUIDv7 that no group has.
const UNKNOWN_UUID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

fn verify(database: &TestDatabase) -> Output {
    Program::run(&["verify"], &[("DATABASE_URL", &database.url())])
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

/// The report on a database that has an inconsistency.
fn findings(database: &TestDatabase) -> Vec<String> {
    let output = verify(database);
    let (said, found) = (Program::messages(&output), text(output.stdout));
    assert_eq!((output.status.code(), said.as_str()), (Some(1), ""), "{found}");
    found.lines().map(str::to_owned).collect()
}

pub fn assert_consistent(database: &TestDatabase) -> String {
    let output = verify(database);
    let (said, found) = (Program::messages(&output), text(output.stdout));
    assert_eq!((output.status.code(), said.as_str()), (Some(0), ""), "{found}");
    found
}

/// A connection on which no foreign key and no trigger fires.
async fn unguarded(database: &TestDatabase) -> Sql {
    let sql = database.sql().await;
    sql.batch_execute("set session_replication_role = replica").await.unwrap();
    sql
}

/// A service with a root, a child and a grandchild, and the three groups.
async fn chain() -> (Api, Vec<pb::CustomerGroup>) {
    let api = Api::start().await;
    let chain = api.client().await.chain(3).await;
    (api, chain)
}

fn uuid(group: &pb::CustomerGroup) -> Uuid {
    GroupId::parse(&group.id).unwrap().uuid()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_is_consistent_during_and_after_use() {
    let api = Api::start().await;
    let client = api.client().await;
    let chain = client.chain(5).await;
    client.update(move_of(&chain[3], Some(&chain[0]))).await.unwrap();
    client.delete(&chain[2].id).await.unwrap();
    let batch = pb::NewCustomerGroupEntry {
        customer_group: Some(Box::new(below(&chain[0], "in a batch"))),
        ..Default::default()
    };
    for key in ["once", "twice"] {
        let requests = vec![batch.clone(), batch.clone()];
        let mut request = tonic::Request::new(pb::BatchCreateCustomerGroupsRequest { requests });
        request.metadata_mut().insert("idempotency-key", key.parse().unwrap());
        client.clone().batch_create_customer_groups(request).await.unwrap();
    }
    let made = Program::run(&["keys", "create", "--name", "shop"], &[("DATABASE_URL", &api.database.url())]);
    assert!(made.status.success());
    assert_eq!(assert_consistent(&api.database), "8 customer groups were checked, and nothing is wrong\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_in_progress_are_not_reported() {
    let api = Api::start().await;
    let client = api.client().await;
    let root = client.create(named("root")).await.unwrap();
    let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
    let writer = tokio::spawn(async move {
        let mut made = 0;
        while stopped.try_recv().is_err() {
            let group = client.create(below(&root, "child")).await.unwrap();
            client.update(move_of(&group, None)).await.unwrap();
            if made % 2 == 0 {
                client.delete(&group.id).await.unwrap();
            }
            made += 1;
        }
        made
    });
    let database = api.database.clone();
    tokio::task::spawn_blocking(move || (0..5).for_each(|_| drop(assert_consistent(&database))))
        .await
        .unwrap();
    stop.send(()).unwrap();
    assert!(writer.await.unwrap() > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_orphan_is_reported_with_its_missing_parent_but_its_descendants_are_not() {
    let (api, chain) = chain().await;
    let sql = unguarded(&api.database).await;
    // Neither the foreign key nor the trigger of the counters fires.
    sql.execute("delete from customer_group where id = $1", &[&uuid(&chain[0])]).await.unwrap();
    sql.batch_execute("update customer_group_count set groups = case shard when 0 then 2 else 0 end")
        .await
        .unwrap();
    let (orphan, parent) = (&chain[1].id, &chain[0].id);
    let expected =
        format!("orphan: {orphan}: its parent {parent} does not exist; give it another parent_id, or null");
    assert_eq!(findings(&api.database), [expected]);

    api.client().await.update(move_of(&chain[1], None)).await.unwrap();
    assert_consistent(&api.database);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cycle_is_reported_once_with_its_members_but_without_their_descendants() {
    let (api, chain) = chain().await;
    let client = api.client().await;
    let lone = client.create(named("lone")).await.unwrap();
    for parent in [&chain[1], &lone] {
        client.create(below(parent, "below a cycle")).await.unwrap();
    }
    let sql = api.database.sql().await;
    let close = "update customer_group set parent_id = $2 where id = $1";
    sql.execute(close, &[&uuid(&chain[0]), &uuid(&chain[2])]).await.unwrap();
    sql.batch_execute("alter table customer_group drop constraint customer_group_parent_id_check")
        .await
        .unwrap();
    sql.execute(close, &[&uuid(&lone), &uuid(&lone)]).await.unwrap();
    let [root, middle, leaf] = [&chain[0].id, &chain[1].id, &chain[2].id];
    let remedy = "with no root above them; set the parent_id of one to null";
    let expected = [
        format!("cycle: {root}, {leaf}, {middle}: each is below the next, 3 in all, {remedy}"),
        format!("cycle: {}: each is below the next, 1 in all, {remedy}", lone.id),
    ];
    assert_eq!(findings(&api.database), expected);

    for group in [&chain[0], &lone] {
        client.update(move_of(group, None)).await.unwrap();
    }
    assert_consistent(&api.database);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_counters_are_reported_with_the_statement_that_repairs_them() {
    let (api, _) = chain().await;
    let sql = unguarded(&api.database).await;
    sql.batch_execute(
        "insert into customer_group (id, updated_at, is_group, customer_group_name)
         values ('01890a5d-ac96-774b-bcce-b302099a8057', '2026-01-01', false, 'uncounted')",
    )
    .await
    .unwrap();
    let found = findings(&api.database);
    let expected = "wrong counter: the sum of customer_group_count is 3, but there are 4 groups; run ";
    assert!(found.len() == 1 && found[0].starts_with(expected), "{found:?}");

    sql.batch_execute(&statements(&found[0])).await.unwrap();
    assert_consistent(&api.database);
}

/// The SQL statements that a finding recommends.
fn statements(finding: &str) -> String {
    finding.split('`').skip(1).step_by(2).collect::<Vec<_>>().join("; ")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_counters_are_reported_with_the_statement_that_creates_them() {
    let database = TestDatabase::create().await;
    let sql = database.sql().await;
    sql.batch_execute("delete from customer_group_count where shard in (7, 63)").await.unwrap();
    let found = findings(&database);
    let expected = "wrong counter: customer_group_count has no shard 7, 63; run ";
    assert!(found.len() == 1 && found[0].starts_with(expected), "{found:?}");

    sql.batch_execute(&statements(&found[0])).await.unwrap();
    assert_consistent(&database);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invalid_group_is_reported_with_its_violation() {
    let cases = [
        ("customer_group_name = ''", "customer_group_name is required"),
        ("customer_group_name = ' a'", "customer_group_name has surrounding white space: \" a\""),
        ("customer_group_name = E'a\\x07'", "customer_group_name has the control character U+0007"),
        ("customer_group_name = repeat('n', 256)", "customer_group_name has 256 characters"),
        ("parent_customer_group = E'a\\nb'", "parent_customer_group has the control character U+000A"),
        ("default_price_list = E'\\x7f'", "default_price_list has the control character U+007F"),
        ("payment_terms = repeat('t', 256)", "payment_terms has 256 characters"),
        ("updated_at = 'infinity'", "updated_at is out of range"),
        ("updated_at = '-infinity'", "updated_at is out of range"),
        (
            "updated_at = updated_at + interval '1 microsecond'",
            "updated_at is more precise than milliseconds",
        ),
        (
            "updated_at = '2001-01-01'",
            "updated_at is 2001-01-01T00:00:00.000Z, which is before the creation at ",
        ),
    ];
    let api = Api::start().await;
    let chain = api.client().await.chain(1 + cases.len()).await;
    let sql = api.database.sql().await;
    sql.batch_execute(
        "alter table customer_group drop constraint customer_group_name_check,
             drop constraint customer_group_payment_terms_check",
    )
    .await
    .unwrap();
    for (group, (change, _)) in chain.iter().zip(cases) {
        let update = format!("update customer_group set {change} where id = $1");
        sql.execute(&update, &[&uuid(group)]).await.unwrap();
    }
    let found = findings(&api.database);
    assert_eq!(found.len(), cases.len(), "{found:?}");
    for ((line, group), (_, problem)) in found.iter().zip(&chain).zip(cases) {
        let place = format!("invalid group: id {}: ", uuid(group));
        assert!(line.starts_with(&place) && line.contains(problem), "{problem}: {line}");
        assert!(line.ends_with("; correct its row in customer_group"), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_that_is_not_a_uuidv7_is_reported_with_the_groups_that_refer_to_it() {
    let (api, chain) = chain().await;
    let other = "5e4fd2c0-2d2c-4b5e-8f3a-0d5b1f3c7a11";
    let change = format!("update customer_group set id = '{other}' where id = $1");
    unguarded(&api.database).await.execute(&change, &[&uuid(&chain[0])]).await.unwrap();
    let found = findings(&api.database);
    let orphan = format!("orphan: {}: its parent {} does not exist", chain[1].id, chain[0].id);
    let invalid = format!("invalid group: id {other}: the stored id {other} is not a UUIDv7");
    let [first, second] = found.as_slice() else { panic!("{found:?}") };
    assert!(first.starts_with(&orphan) && second.starts_with(&invalid), "{found:?}");
}

/// Inserts a row for each case: a column and an invalid value. Returns the report. The columns are in the
/// order of their numbers; valid values may depend on the number of the row.
async fn insert_wrong(
    table: &str,
    consistent: impl Fn(usize) -> Vec<String>,
    cases: &[(usize, String, &str)],
    drop: &str,
) -> Vec<String> {
    let database = TestDatabase::create().await;
    let sql = database.sql().await;
    sql.batch_execute(drop).await.unwrap();
    for (number, (column, value, _)) in cases.iter().enumerate() {
        let mut values = consistent(number);
        value.clone_into(&mut values[*column]);
        sql.batch_execute(&format!("insert into {table} values ({})", values.join(", "))).await.unwrap();
    }
    let found = findings(&database);
    assert_eq!(found.len(), cases.len(), "{found:?}");
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invalid_idempotency_record_is_reported_by_its_key() {
    let columns = "idempotency_key (api_key_digest, key, request_digest, customer_group_id, customer_group_ids, created_at)";
    let consistent = |number| {
        let digest = "sha256('a')".to_owned();
        let (key, id) = (format!("'order {number}'"), format!("'{UNKNOWN_UUID}'"));
        vec![digest.clone(), key, digest, id, "null".to_owned(), "now()".to_owned()]
    };
    let ids = format!("array_fill('{UNKNOWN_UUID}'::uuid, array[1001])");
    let cases = [
        (0, "'short'", "a digest has 5 bytes instead of 32"),
        (1, "'é'", "\"é\", of 1 characters"),
        (1, "''", "of 0 characters"),
        (1, "repeat('k', 256)", "of 256 characters"),
        (2, "''", "a digest has 0 bytes instead of 32"),
        (3, "gen_random_uuid()", "not a UUIDv7"),
        (4, "'{}'", "its batch has 0 groups"),
        (4, &ids, "its batch has 1001 groups"),
        (4, "array[gen_random_uuid()]", "not a UUIDv7"),
        (4, "array[null]::uuid[]", "deserializing column 4"),
        (5, "'infinity'", "created_at is out of range"),
    ]
    .map(|(column, value, problem)| (column, value.to_owned(), problem));
    let found = insert_wrong(columns, consistent, &cases, "").await;
    for (number, (column, _, problem)) in cases.iter().enumerate() {
        let key = if *column == 1 { String::new() } else { format!("\"order {number}\": ") };
        let place = format!("invalid idempotency record: key {key}");
        let told = found.iter().filter(|line| line.starts_with(&place) && line.contains(problem));
        assert_eq!(told.count(), 1, "{problem}: {found:#?}");
    }
    assert!(found.iter().all(|line| line.ends_with("; delete its row from idempotency_key")), "{found:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invalid_api_key_is_reported_by_its_id() {
    let id = |number: usize| format!("01890a5d-ac96-774b-bcce-{number:012x}");
    let consistent = |number| {
        let (id, digest) = (format!("'{}'", id(number)), format!("sha256('{number}')"));
        [id.as_str(), &digest, "'shop'", "'read'", "'test'", "null"].map(str::to_owned).to_vec()
    };
    let drop = "alter table api_key drop constraint api_key_digest_check,
        drop constraint api_key_scope_check, drop constraint api_key_mode_check";
    let cases = [
        (1, "'short'", "a digest has 5 bytes instead of 32"),
        (2, "' '", "name is required"),
        (2, "E'a\\x07'", "name has the control character U+0007"),
        (2, "'a '", "name has surrounding white space"),
        (3, "'all'", "a stored key has the invalid scope all"),
        (4, "'prod'", "a stored key has the invalid mode prod"),
        (5, "'infinity'", "revoked_at is out of range"),
        (0, "'5e4fd2c0-2d2c-4b5e-8f3a-0d5b1f3c7a11'", "not a UUIDv7"),
    ]
    .map(|(column, value, problem)| (column, value.to_owned(), problem));
    let found =
        insert_wrong("api_key (id, digest, name, scope, mode, revoked_at)", consistent, &cases, drop).await;
    for (number, (line, (column, _, problem))) in found.iter().zip(cases).enumerate() {
        let id = if column == 0 { "5e4fd2c0-2d2c-4b5e-8f3a-0d5b1f3c7a11".to_owned() } else { id(number) };
        assert!(line.starts_with(&format!("invalid API key: id {id}: ")), "{line}");
        assert!(
            line.contains(problem) && line.ends_with("; correct its row in api_key, or delete it"),
            "{line}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_of_many_findings_are_listed_and_the_rest_counted() {
    let database = TestDatabase::create().await;
    database.plant(100, 100).await;
    let sql = unguarded(&database).await;
    sql.batch_execute("update customer_group set payment_terms = E'\\x01' where parent_id is not null")
        .await
        .unwrap();
    let found = findings(&database);
    assert!(found[..20].iter().all(|line| line.starts_with("invalid group: id 01890a5d-")), "{found:?}");
    assert_eq!(found[20..], ["invalid group: and 80 more"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_without_tables_is_not_checked_or_changed() {
    let database = TestDatabase::create_empty().await;
    let output = verify(&database);
    let said = text(output.stderr);
    assert_eq!((output.status.code(), text(output.stdout).as_str()), (Some(2), ""), "{said}");
    assert!(
        said.contains("has no tables of this service; start this version of the service on it once"),
        "{said}"
    );
    assert_eq!(database.number("select count(*) from pg_tables where schemaname = 'public'").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_of_an_older_version_is_not_checked_or_changed() {
    let database = TestDatabase::create().await;
    let older = "delete from customer_group_migration where version > 3;
                 alter table idempotency_key drop column customer_group_ids";
    database.sql().await.batch_execute(older).await.unwrap();
    let output = verify(&database);
    let said = text(output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("its tables are older than this program; start this version"), "{said}");
    assert_eq!(database.number("select max(version)::bigint from customer_group_migration").await, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unreachable_database_has_another_exit_code_than_an_inconsistent_one() {
    let settings = [("DATABASE_URL", "postgres://nobody@127.0.0.1:1/nowhere")];
    let output = Program::run(&["verify"], &settings);
    let said = text(output.stderr);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{said}");
    assert!(said.contains("127.0.0.1:1/nowhere") && said.contains("cannot be reached"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_embedded_postgresql_is_checked_with_and_without_a_running_service() {
    let folder = data_dir();
    let settings = [("DATA_DIR", folder.path().to_str().unwrap())];
    let program = Program::serve(&settings);
    program.client().await.chain(2).await;
    let expected = "2 customer groups were checked, and nothing is wrong\n";
    assert_eq!(text(Program::run(&["verify"], &settings).stdout), expected);
    drop(program);
    assert_eq!(text(Program::run(&["verify"], &settings).stdout), expected);
}
