//! The database: requirements at start-up, and migrations.

use std::time::{Duration, Instant};

use customer_groups::testing::GroupId;
use customer_groups::testing::pb;
use customer_groups::testing::{StartupError, Store, StoreOptions};
use tokio::net::TcpListener;
use tokio_postgres::NoTls;

use crate::support::{Api, Calls, Client, LIMITS, TestDatabase, below, eventually, move_of, named};

/// The time to connect to a server in these tests.
const SHORT: Duration = Duration::from_secs(5);

async fn open(url: &str) -> Result<Store, StartupError> {
    let limits = StoreOptions { pool_size: 2, connect_timeout: SHORT, ..LIMITS };
    Store::open(&url.parse().unwrap(), &limits).await
}

/// The message with which a start on this database fails.
async fn refusal(url: &str) -> String {
    open(url).await.unwrap_err().to_string()
}

#[tokio::test]
async fn replicas_that_start_together_on_an_empty_database_all_serve() {
    let database = TestDatabase::create_empty().await;
    let start = || Api::start_on(database.clone());
    let (first, second, third, fourth) = tokio::join!(start(), start(), start(), start());
    for replica in [&first, &second, &third, &fourth] {
        replica.client().await.create(named("Export")).await.unwrap();
    }
    assert_eq!(first.client().await.list(None, None).await.unwrap().total, 4);
    let migrations = "select count(*) - count(distinct version) from customer_group_migration";
    assert_eq!(database.number(migrations).await, 0);
}

#[tokio::test]
async fn a_database_that_a_newer_version_has_migrated_is_served() {
    let database = TestDatabase::create().await;
    let newer = "insert into customer_group_migration
                 select 9999, 'newer', applied_on, '1' from customer_group_migration limit 1";
    database.sql().await.batch_execute(newer).await.unwrap();
    open(&database.url()).await.unwrap();
}

#[tokio::test]
async fn plans_prepared_on_empty_tables_use_indexes_later() {
    /// The rows that PostgreSQL has read from the table of groups and its indexes.
    const READ: &str = "select (select sum(seq_tup_read) from pg_stat_user_tables where relname = 'customer_group')
                             + (select sum(idx_tup_read) from pg_stat_user_indexes where relname = 'customer_group')";
    const MANY: &str = "insert into customer_group (id, updated_at, is_group, customer_group_name)
                        select gen_random_uuid(), now(), false, 'x' from generate_series(1, 20000)";
    const OTHERS: &str = "select count(*) from pg_stat_activity
                          where datname = current_database() and pid <> pg_backend_pid()";

    let mut api = Api::start().await;
    let client = api.client().await;
    let parent = client.create(named("parent")).await.unwrap();
    let child = client.create(below(&parent, "child")).await.unwrap();
    call_all(&client, &parent, &child).await;
    let sql = api.database.sql().await;
    sql.batch_execute(MANY).await.unwrap();
    call_all(&client, &parent, &child).await;

    // A connection reports its statistics at the latest when it closes.
    let database = api.database.clone();
    drop((client, sql));
    api.stop();
    api.stopped().await;
    eventually("all connections are closed", async { while database.number(OTHERS).await > 0 {} }).await;
    let read = database.number(&format!("select ({READ})::bigint")).await;
    assert!(read < 1000, "{read}");
}

/// Every call that reads groups by an indexed column.
async fn call_all(client: &Client, parent: &pb::CustomerGroup, child: &pb::CustomerGroup) {
    let mut client = client.clone();
    let (id, unknown) = (parent.id.clone(), GroupId::generate().to_string());
    client.get(&child.id).await.unwrap();
    let ancestors =
        pb::ListCustomerGroupAncestorsRequest { id: child.id.clone(), limit: Some(5), ..Default::default() };
    client.list_customer_group_ancestors(ancestors).await.unwrap();
    let children =
        pb::ListCustomerGroupChildrenRequest { id: id.clone(), limit: Some(5), ..Default::default() };
    client.list_customer_group_children(children).await.unwrap();
    for limit in [Some(5), None] {
        let below = pb::ListCustomerGroupDescendantsRequest { id: id.clone(), limit, ..Default::default() };
        client.list_customer_group_descendants(below).await.unwrap();
    }
    let ids = vec![id, child.id.clone()];
    client.batch_get_customer_groups(pb::BatchGetCustomerGroupsRequest { ids }).await.unwrap();
    let orphan = pb::CustomerGroup { parent_id: Some(unknown), ..named("orphan") };
    let entry = pb::NewCustomerGroupEntry { customer_group: Some(Box::new(orphan)), ..Default::default() };
    let batch = pb::BatchCreateCustomerGroupsRequest { requests: vec![entry] };
    client.batch_create_customer_groups(batch).await.unwrap_err();
    client.update(move_of(child, Some(parent))).await.unwrap();
    let (parent, name) = (Some(parent.id.clone()), Some("child".to_owned()));
    for (parent_id, customer_group_name) in [(parent.clone(), None), (None, name.clone()), (parent, name)] {
        let list = pb::ListCustomerGroupsRequest { parent_id, customer_group_name, ..Default::default() };
        assert_eq!(client.list_customer_groups(list).await.unwrap().into_inner().total, 1);
    }
}

#[tokio::test]
async fn a_database_that_is_not_utf8_is_rejected_by_name() {
    let database = TestDatabase::create_with_encoding("LATIN1").await;
    let said = refusal(&database.url()).await;
    assert!(said.contains("encoded in LATIN1") && said.contains("createdb --encoding=UTF8"), "{said}");
}

#[tokio::test]
async fn for_a_missing_database_the_error_says_to_create_it() {
    let url = format!("{} dbname=nowhere", TestDatabase::create_empty().await.url());
    let said = refusal(&url).await;
    assert!(said.starts_with("database \"nowhere\" does not exist; create it with `createdb"), "{said}");
}

#[tokio::test]
async fn without_ownership_of_the_schema_the_error_asks_for_it() {
    let database = TestDatabase::create_empty().await;
    let sql = database.sql().await;
    sql.batch_execute("create role guest login; revoke create on schema public from public").await.unwrap();
    let url = format!("{} user=guest", database.url());
    let said = refusal(&url).await;
    assert!(said.starts_with("permission denied for schema public; "), "{said}");
    assert!(said.contains("run `customer-groups migrate` as a user who owns the schema"), "{said}");

    sql.batch_execute("revoke all on schema public from public").await.unwrap();
    let said = refusal(&url).await;
    assert!(said.contains("run `customer-groups migrate` as a user who owns the schema"), "{said}");

    sql.batch_execute("alter schema public owner to guest").await.unwrap();
    open(&url).await.unwrap();
}

#[tokio::test]
async fn a_failed_login_points_to_user_and_password() {
    let database = TestDatabase::create_empty().await;
    database.ask_for_passwords().await;
    let without = database.url();
    let lets_in = async { while tokio_postgres::connect(&without, NoTls).await.is_ok() {} };
    eventually("a password is asked for", lets_in).await;
    let with = |more: &str| format!("{without} {more}");
    for (url, reason) in [
        (with(""), "password missing"),
        (with("password=wrong"), "password authentication failed for user"),
        (with("user=stranger password=wrong"), "password authentication failed for user \"stranger\""),
    ] {
        let said = refusal(&url).await;
        assert!(said.starts_with(&format!("the login is refused ({reason}")), "{said}");
        assert!(said.contains("correct the user and password in DATABASE_URL"), "{said}");
    }
}

#[tokio::test]
async fn a_failed_login_is_reported_whatever_the_other_host_does() {
    let database = TestDatabase::create_empty().await;
    database.ask_for_passwords().await;
    let lets_in = async { while tokio_postgres::connect(&database.url(), NoTls).await.is_ok() {} };
    eventually("a password is asked for", lets_in).await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    for port in [1, silent.local_addr().unwrap().port()] {
        for is_first in [true, false] {
            let url = beside(&database, port, is_first);
            let said = refusal(&format!("{url} password=wrong")).await;
            assert!(
                said.starts_with("the login is refused (password authentication failed"),
                "{url}: {said}"
            );
        }
    }
}

#[tokio::test]
async fn a_silent_host_does_not_keep_the_service_from_the_next_one() {
    let database = TestDatabase::create_empty().await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let begun = Instant::now();
    for is_first in [true, false] {
        open(&beside(&database, silent.local_addr().unwrap().port(), is_first)).await.unwrap();
    }
    let took = begun.elapsed();
    assert!(took < SHORT, "{took:?}");
    let url = format!("host=127.0.0.1 port={} user=u dbname=d", silent.local_addr().unwrap().port());
    let said = refusal(&url).await;
    assert!(
        said.starts_with("its server cannot be reached (it did not answer within CONNECT_TIMEOUT)"),
        "{said}"
    );
}

/// The URL of a database and of another host, which is on this port of the computer.
fn beside(database: &TestDatabase, port: u16, is_first: bool) -> String {
    let url = database.url();
    let (socket, rest) = url.strip_prefix("host=").unwrap().split_once(' ').unwrap();
    let (hosts, ports) = if is_first {
        (format!("127.0.0.1,{socket}"), format!("{port},5432"))
    } else {
        (format!("{socket},127.0.0.1"), format!("5432,{port}"))
    };
    format!("host={hosts} port={ports} {rest}")
}

#[tokio::test]
async fn a_user_without_the_connect_privilege_is_rejected_at_login() {
    let database = TestDatabase::create_empty().await;
    let name: String = database.sql().await.query_one("select current_database()", &[]).await.unwrap().get(0);
    let close = format!("create role visitor login; revoke connect on database {name} from public");
    database.sql().await.batch_execute(&close).await.unwrap();
    let said = refusal(&format!("{} user=visitor", database.url())).await;
    assert!(said.starts_with("the login is refused (permission denied for database"), "{said}");
}

#[tokio::test]
async fn for_an_unreachable_server_the_error_says_to_start_it() {
    for (url, reason) in [
        ("postgres://user@127.0.0.1:1/groups", "Connection refused"),
        ("host=/nowhere user=user dbname=groups", "No such file or directory"),
    ] {
        let said = refusal(url).await;
        assert!(said.starts_with(&format!("its server cannot be reached ({reason}")), "{said}");
        assert!(said.contains("start it, or correct the host and port in DATABASE_URL"), "{said}");
    }
}

#[tokio::test]
async fn a_conflicting_table_is_named_with_the_migration() {
    let database = TestDatabase::create_empty().await;
    database.sql().await.batch_execute("create table customer_group ()").await.unwrap();
    let said = refusal(&database.url()).await;
    assert!(said.contains("V1__customer_group"), "{said}");
    assert!(said.ends_with("relation \"customer_group\" already exists"), "{said}");
}

#[tokio::test]
async fn the_cause_of_a_failed_connection_is_reported_once() {
    let database = TestDatabase::create().await;
    let store = open(&database.url()).await.unwrap();
    database.admit(false).await;
    let cause = store.list_keys().await.unwrap_err().cause().unwrap();
    assert!(cause.starts_with("database \"test_"), "{cause}");
    assert!(cause.ends_with("\" is not currently accepting connections"), "{cause}");
}
