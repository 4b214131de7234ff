//! TLS connections to PostgreSQL.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use customer_groups::testing::{Database, StartupError, Store};
use tempfile::TempDir;

use crate::support::tls::{Authority, Identity, write};
use crate::support::{
    Calls, LIMITS, Program, Server, TestDatabase, chown_to_postgres, data_dir, eventually, named,
};

/// The host name in the certificate.
const HOST: &str = "db.example";

/// A PostgreSQL that accepts only TLS over TCP.
struct Encrypted {
    server: Server,
    authority: Authority,
    address: String,
    folder: TempDir,
}

impl Encrypted {
    async fn start() -> Self {
        // Each server has the default port on its own loopback address.
        static NUMBER: AtomicU8 = AtomicU8::new(1);
        let [.., high, low] = std::process::id().to_be_bytes();
        let address = format!("127.{}.{high}.{low}", 100 + NUMBER.fetch_add(1, Ordering::Relaxed));

        let (authority, folder) = (Authority::new("ours"), data_dir());
        let (cert, key) = authority.issue(HOST).write(folder.path());
        fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
        chown_to_postgres(&key);
        let root = write(folder.path(), "root.crt", &authority.pem());
        let rules = "local all all trust\nhostssl all customer_groups all trust\nhostssl all by_password all \
                     scram-sha-256\nhostssl all by_certificate all cert\n";
        let rules = write(folder.path(), "pg_hba.conf", rules);
        let file = |name: &str, path: &Path| format!("{name}={}", path.display());
        let settings = vec![
            format!("listen_addresses={address}"),
            "ssl=on".to_owned(),
            file("ssl_cert_file", &cert),
            file("ssl_key_file", &key),
            file("ssl_ca_file", &root),
            file("hba_file", &rules),
        ];
        let server = Server::start_in(folder.path().join("server"), settings).await;
        Self { server, authority, address, folder }
    }

    /// The connection URL, with more parameters.
    fn url(&self, host: &str, parameters: &str) -> String {
        format!("host={host} hostaddr={} user=customer_groups dbname=postgres {parameters}", self.address)
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("root.crt")
    }
}

async fn open(url: &str) -> Result<(), StartupError> {
    let database: Database = url.parse().unwrap();
    Store::open(&database, &LIMITS).await.map(|store| store.close())
}

async fn refusal(url: &str) -> String {
    open(url).await.unwrap_err().to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_connection_is_encrypted_and_verified() {
    let postgres = Encrypted::start().await;
    let (root, address) = (postgres.root(), &postgres.address);
    let url = format!(
        "postgres://customer_groups@{HOST}/postgres?hostaddr={address}&sslmode=verify-full&sslrootcert={}",
        root.display()
    );
    let program = Program::serve(&[("DATABASE_URL", &url), ("DATABASE_READ_URL", &url)]);
    let client = program.client().await;
    let created = client.create(named("Export")).await.unwrap();
    assert_eq!(client.get(&created.id).await.unwrap(), created);
    assert_eq!(client.list(None, None).await.unwrap().data, [created]);
    let count = |what: &str| {
        format!(
            "select count(*) from pg_stat_ssl join pg_stat_activity using (pid) where client_addr is not null {what}"
        )
    };
    assert!(postgres.server.number(&count("and ssl")).await > 3);
    assert_eq!(postgres.server.number(&count("and not ssl")).await, 0);
    assert_eq!(Program::run(&["keys", "list"], &[("DATABASE_URL", &url)]).status.code(), Some(0));
    assert_eq!(Program::run(&["verify"], &[("DATABASE_URL", &url)]).status.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_abandoned_statement_is_cancelled_over_tls() {
    let postgres = Encrypted::start().await;
    let parameters = format!("sslmode=verify-full sslrootcert={}", postgres.root().display());
    let program = Program::serve(&[("DATABASE_URL", &postgres.url(HOST, &parameters))]);
    let client = program.client().await;
    let group = client.create(named("Export")).await.unwrap();
    let mut sql = postgres.server.sql().await;
    let held = sql.transaction().await.unwrap();
    held.batch_execute("update customer_group set is_group = true").await.unwrap();
    let waits = "select count(*) from pg_stat_activity where wait_event_type = 'Lock'";
    let mut call = Box::pin(client.delete(&group.id));
    eventually("the statement waits", async {
        while postgres.server.number(waits).await == 0 {
            assert!(tokio::time::timeout(Duration::from_millis(10), &mut call).await.is_err());
        }
    })
    .await;
    drop(call);
    eventually("it is ended", async { while postgres.server.number(waits).await > 0 {} }).await;
    client.list(None, None).await.unwrap();
    // The cancellation ended it, not the detection of a closed connection.
    let log = postgres.folder.path().join("server.log");
    let is_cancelled =
        || fs::read_to_string(&log).unwrap().contains("canceling statement due to user request");
    eventually("it is cancelled", async {
        while !is_cancelled() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_of_another_authority_is_rejected() {
    let postgres = Encrypted::start().await;
    let other = write(postgres.folder.path(), "other.crt", &Authority::new("others").pem());
    for mode in ["verify-full", "verify-ca", "require"] {
        let parameters = format!("sslmode={mode} sslrootcert={}", other.display());
        let said = refusal(&postgres.url(HOST, &parameters)).await;
        assert!(said.starts_with("its server's certificate is not trusted (invalid peer"), "{mode}: {said}");
        assert!(said.contains("sslrootcert"), "{said}");
    }
    for parameters in ["sslmode=require", "sslmode=prefer", ""] {
        open(&postgres.url(HOST, parameters)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_self_signed_certificate_can_be_the_root_certificate() {
    let postgres = Encrypted::start().await;
    let (cert, _) = Identity::of_itself(HOST).write(postgres.folder.path());
    postgres.server.sql().await.batch_execute("select pg_reload_conf()").await.unwrap();
    let url = postgres.url(HOST, &format!("sslmode=verify-full sslrootcert={}", cert.display()));
    eventually("the server has the certificate", async { while open(&url).await.is_err() {} }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_verify_full_checks_the_host_name() {
    let postgres = Encrypted::start().await;
    let parameters = |mode| format!("sslmode={mode} sslrootcert={}", postgres.root().display());
    let said = refusal(&postgres.url("other.example", &parameters("verify-full"))).await;
    assert!(said.starts_with("its server's certificate is for another name ("), "{said}");
    assert!(said.contains("other.example"), "{said}");
    for mode in ["verify-ca", "require"] {
        open(&postgres.url("other.example", &parameters(mode))).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_tls_is_rejected_if_tls_is_required() {
    let (database, _proxy) = TestDatabase::create().await.behind_proxy().await;
    let said = refusal(&format!("{} sslmode=require", database.url())).await;
    assert!(said.starts_with("its server offers no encryption (SSL); set ssl = on"), "{said}");
    open(&format!("{} sslmode=prefer", database.url())).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_unix_socket_is_never_encrypted() {
    let url = TestDatabase::create().await.url();
    open(&format!("{url} sslmode=require")).await.unwrap();
    let problem = "host=/tmp,db.example sslmode=require".parse::<Database>().unwrap_err();
    assert!(problem.contains("remove the other hosts"), "{problem}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn password_authentication_uses_channel_binding() {
    let postgres = Encrypted::start().await;
    let role = "create role by_password superuser login password 'hunter2'";
    postgres.server.sql().await.batch_execute(role).await.unwrap();
    let parameters = format!(
        "user=by_password password=hunter2 channel_binding=require sslmode=verify-full sslrootcert={}",
        postgres.root().display()
    );
    open(&postgres.url(HOST, &parameters)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_service_authenticates_with_a_client_certificate() {
    let postgres = Encrypted::start().await;
    let role = "create role by_certificate superuser login";
    postgres.server.sql().await.batch_execute(role).await.unwrap();
    let login = |authority: &Authority| {
        let identity = authority.issue("by_certificate");
        let cert = write(postgres.folder.path(), "client.crt", &identity.cert);
        let key = write(postgres.folder.path(), "client.key", &identity.key);
        let files = format!("sslcert={} sslkey={}", cert.display(), key.display());
        format!("user=by_certificate sslmode=require {files}")
    };
    open(&postgres.url(HOST, &login(&postgres.authority))).await.unwrap();
    let said = refusal(&postgres.url(HOST, &login(&Authority::new("others")))).await;
    assert!(
        said.starts_with("the connection to its server cannot be encrypted (received fatal alert"),
        "{said}"
    );
    let said = refusal(&postgres.url(HOST, "user=by_certificate sslmode=require")).await;
    assert!(
        said.starts_with("the login is refused (connection requires a valid client certificate)"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replaced_certificate_files_apply_to_new_connections() {
    let postgres = Encrypted::start().await;
    let root = write(postgres.folder.path(), "changing.crt", &Authority::new("others").pem());
    let url = postgres.url(HOST, &format!("sslmode=verify-full sslrootcert={}", root.display()));
    let database: Database = url.parse().unwrap();
    Store::open(&database, &LIMITS).await.unwrap_err();
    write(postgres.folder.path(), "changing.crt", &postgres.authority.pem());
    Store::open(&database, &LIMITS).await.unwrap().close();
}
