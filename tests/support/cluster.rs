//! One private PostgreSQL for the whole run, with a database for each test.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use customer_groups::testing::GroupId;
use customer_groups::testing::{Embedded, EmbeddedOptions};
use customer_groups::testing::{Store, StoreOptions};
use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};

use super::{LIMITS, Proxy, eventually};

/// The connections of a service to a database.
const SERVICE: &str = "datname = current_database() and application_name = 'customer-groups'";

const TEMPLATE: &str = "template_customer_groups";

/// The PostgreSQL of the run. It stops with this process. Then the cleanup process removes its folder.
struct Cluster {
    socket: PathBuf,
    _embedded: Embedded,
    _cleanup: Child,
}

static CLUSTER: LazyLock<Cluster> = LazyLock::new(|| {
    // On its own thread and runtime: the test that starts it may be the first to end.
    thread::spawn(|| {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(start())
    })
    .join()
    .unwrap()
});

async fn start() -> Cluster {
    let folder = tempfile::Builder::new().prefix("customer-groups-test-").tempdir().unwrap().keep();
    // PostgreSQL may have to run as another user.
    fs::set_permissions(&folder, Permissions::from_mode(0o755)).unwrap();
    let cleanup = cleanup(&folder);
    let options = EmbeddedOptions { data_dir: folder.clone(), bin_dir: None, max_connections: 300 };
    let embedded = Embedded::start(&options).await.unwrap();
    let cluster = Cluster { socket: folder.join("socket"), _embedded: embedded, _cleanup: cleanup };

    let maintenance = connect(&url(&cluster.socket, "postgres")).await;
    maintenance.batch_execute(&format!("create database {TEMPLATE}")).await.unwrap();
    let limits = StoreOptions { pool_size: 1, ..LIMITS };
    let template = url(&cluster.socket, TEMPLATE).parse().unwrap();
    Store::open(&template, &limits).await.unwrap().close();
    cluster
}

/// Starts a shell that waits until this process and then PostgreSQL have ended, and removes the folder. It
/// has its own process group, so that it survives Ctrl-C.
fn cleanup(folder: &Path) -> Child {
    const SCRIPT: &str = "cat; for pause in $(seq 200); do
        [ -e $0/postgres/postmaster.pid ] || break
        sleep 0.05
    done; rm -rf $0";
    Command::new("sh")
        .args(["-c", SCRIPT])
        .arg(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .unwrap()
}

pub fn url(socket: &Path, database: &str) -> String {
    format!("host={} user=customer_groups dbname={database}", socket.display())
}

pub async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// A folder for another private PostgreSQL, inside the folder of the run, which the cleanup process removes.
pub fn data_dir() -> TempDir {
    let folder = tempfile::tempdir_in(CLUSTER.socket.parent().unwrap()).unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    folder
}

/// A database with the tables of the service.
#[derive(Clone)]
pub struct TestDatabase {
    name: String,
    /// The URL through the proxy, if there is one.
    port: Option<u16>,
}

impl TestDatabase {
    pub async fn create() -> Self {
        Self::create_by(&format!("template {TEMPLATE}")).await
    }

    /// A database without tables.
    pub async fn create_empty() -> Self {
        Self::create_by("template template0").await
    }

    pub async fn create_with_encoding(encoding: &str) -> Self {
        Self::create_by(&format!("template template0 locale 'C' encoding '{encoding}'")).await
    }

    async fn create_by(options: &str) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let name = format!("test_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let socket = CLUSTER.socket.clone();
        let maintenance = connect(&url(&socket, "postgres")).await;
        maintenance.batch_execute(&format!("create database {name} {options}")).await.unwrap();
        Self { name, port: None }
    }

    /// Puts a proxy between the service and the database.
    pub async fn behind_proxy(self) -> (Self, Proxy) {
        let proxy = Proxy::start(&CLUSTER.socket).await;
        (Self { port: Some(proxy.port), ..self }, proxy)
    }

    /// Returns the database without the proxy.
    pub fn directly(self) -> Self {
        Self { port: None, ..self }
    }

    /// The connection URL for a service.
    pub fn url(&self) -> String {
        match self.port {
            Some(port) => format!("host=127.0.0.1 port={port} user=customer_groups dbname={}", self.name),
            None => url(&CLUSTER.socket, &self.name),
        }
    }

    /// A new connection for the test.
    pub async fn sql(&self) -> Client {
        connect(&url(&CLUSTER.socket, &self.name)).await
    }

    /// Locks a table against reads and writes.
    pub async fn lock(&self, table: &str) -> TableLock {
        let sql = self.sql().await;
        sql.batch_execute(&format!("begin; lock table {table} in access exclusive mode")).await.unwrap();
        TableLock(sql)
    }

    /// Locks moves until the session ends, by the advisory lock that serialises them: `cg_move` in ASCII.
    pub async fn lock_moves(&self) -> Client {
        let sql = self.sql().await;
        sql.batch_execute("select pg_advisory_lock(x'63675f6d6f7665'::bigint)").await.unwrap();
        sql
    }

    /// The server processes (backends) of the service's connections.
    pub async fn backends(&self) -> Vec<i32> {
        let pids = format!("select pid from pg_stat_activity where {SERVICE}");
        self.sql().await.query(&pids, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
    }

    /// The number that a query returns.
    pub async fn number(&self, sql: &str) -> i64 {
        self.sql().await.query_one(sql, &[]).await.unwrap().get(0)
    }

    /// Plants a tree: a root, and this many groups below it, each with up to `children` children. Their texts
    /// have the maximum length, about 4 KB a group. Returns the id of the root.
    pub async fn plant(&self, count: i32, children: i32) -> String {
        const ID: &str = "('01890a5d-ac96-774b-bcce-' || lpad(to_hex(NUMBER), 12, '0'))::uuid";
        let (id, parent) = (ID.replace("NUMBER", "n"), ID.replace("NUMBER", "(n - 1) / $2"));
        let insert = format!(
            "insert into customer_group
             select {id}, case when n > 0 then {parent} end, date_trunc('milliseconds', now()), true, long, long, long, long
             from generate_series(0, $1) as n, repeat('🌳', 255) as long"
        );
        self.sql().await.execute(&insert, &[&count, &children]).await.unwrap();
        let root = uuid::Uuid::from_u128(0x0189_0a5d_ac96_774b_bcce_0000_0000_0000);
        GroupId::from_uuid(root).unwrap().to_string()
    }

    /// Waits until this many statements of the service are running.
    pub async fn until_statements_run(&self, count: i64) {
        let running = format!("select count(*) from pg_stat_activity where {SERVICE} and state <> 'idle'");
        eventually("so many statements run", async { while self.number(&running).await != count {} }).await;
    }

    /// Waits until this many statements of the service are blocked on sending rows to it.
    pub async fn until_statements_are_stalled(&self, count: i64) {
        let stalled =
            format!("select count(*) from pg_stat_activity where {SERVICE} and wait_event = 'ClientWrite'");
        eventually("so many readers are slow", async { while self.number(&stalled).await != count {} }).await;
    }

    /// Terminates the connections on which the service runs a statement and returns their number.
    pub async fn cut_off_statements(&self) -> i64 {
        let end = format!(
            "select count(pg_terminate_backend(pid)) from pg_stat_activity where {SERVICE} and state <> 'idle'"
        );
        self.number(&end).await
    }

    /// Waits until a statement waits for a lock.
    pub async fn until_a_statement_waits(&self) {
        let waiting = "select count(*) from pg_locks where not granted and database =
                       (select oid from pg_database where datname = current_database())";
        eventually("a statement waits", async { while self.number(waiting).await == 0 {} }).await;
    }

    /// Waits until a move has locked its rows.
    pub async fn until_a_move_is_locked(&self) {
        let locked = "select count(*) from pg_locks where granted and locktype = 'advisory' and database =
                      (select oid from pg_database where datname = current_database())";
        eventually("a move is locked", async { while self.number(locked).await == 0 {} }).await;
    }

    /// Sets the default of a setting for new connections.
    pub async fn set(&self, setting: &str, value: &str) {
        let name = &self.name;
        let alter = format!("alter database {name} set {setting} = '{value}'");
        connect(&url(&CLUSTER.socket, "postgres")).await.batch_execute(&alter).await.unwrap();
    }

    /// Terminates all connections and refuses new ones, or admits them again.
    pub async fn admit(&self, allow: bool) {
        let maintenance = connect(&url(&CLUSTER.socket, "postgres")).await;
        let name = &self.name;
        maintenance.batch_execute(&format!("alter database {name} allow_connections {allow}")).await.unwrap();
        if !allow {
            let end = "select pg_terminate_backend(pid) from pg_stat_activity where datname = $1";
            maintenance.query(end, &[name]).await.unwrap();
        }
    }

    /// Requires a password for new connections, shortly after this call. No user of the tests has one.
    pub async fn ask_for_passwords(&self) {
        let rules = CLUSTER.socket.with_file_name("postgres").join("pg_hba.conf");
        let others = fs::read_to_string(&rules).unwrap();
        fs::write(&rules, format!("local {} all scram-sha-256\n{others}", self.name)).unwrap();
        self.sql().await.batch_execute("select pg_reload_conf()").await.unwrap();
    }
}

/// A locked table. Dropping it also releases the lock, but only soon.
pub struct TableLock(Client);

impl TableLock {
    pub async fn release(self) {
        self.0.batch_execute("rollback").await.unwrap();
    }
}
