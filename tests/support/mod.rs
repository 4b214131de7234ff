//! Shared test support: a PostgreSQL for the run, a service for each test, and clients.

mod cluster;
pub mod http;
pub mod http2;
pub mod leaks;
mod postgres;
mod program;
pub mod protocol;
mod proxy;
mod random;
mod replication;
mod status;
pub mod tls;

use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use customer_groups::testing::pb;
use customer_groups::testing::pb::customer_group_service_client::CustomerGroupServiceClient;
use customer_groups::testing::{KeyCache, Mode, Secret};
use customer_groups::testing::{Limits, ListenAddress, ServerOptions, Timeouts};
use customer_groups::testing::{Store, StoreOptions};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::metadata::MetadataValue;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

pub use cluster::{TableLock, TestDatabase, connect, data_dir, url};
pub use postgres::{Postgres, postmaster};
pub use program::Program;
pub use proxy::{Proxy, StatementFault};
pub use random::Random;
pub use replication::{ReplicatedPair, Server, chown_to_postgres};
pub use status::{fields, reason};

/// The `API_KEY` of every service in the tests.
pub const KEY: &str = "sk_test_the_key_of_the_tests";

/// A well-formed id that no group has.
pub const UNKNOWN_ID: &str = "customer-group_01h455vb4pex5vsknk084sn02q";

/// Longer than any test takes.
pub const TIMEOUTS: Timeouts = Timeouts {
    header: Duration::from_secs(30),
    request: Duration::from_secs(30),
    idle: Duration::from_secs(30),
    age: Duration::from_mins(30),
    drain: Duration::from_secs(25),
};

/// More than a test needs, unless it tests the limits.
pub const BOUNDS: Limits = Limits {
    connections: NonZeroUsize::new(10_000).unwrap(),
    connections_per_address: NonZeroUsize::new(10_000).unwrap(),
    streams: NonZeroU32::new(256).unwrap(),
    calls: NonZeroUsize::new(10_000).unwrap(),
    calls_per_key: NonZeroUsize::new(10_000).unwrap(),
    request_bytes: 4 << 20,
    header_bytes: 16 << 10,
    buffered_bytes: 1 << 30,
    rate: None,
};

/// The connections of a service, and a timeout for them that no test reaches.
pub const LIMITS: StoreOptions = StoreOptions {
    pool_size: 8,
    pool_queue: 10_000,
    pool_timeout: Duration::from_secs(30),
    long_lists_per_key: None,
    searches_per_key: None,
    connect_timeout: Duration::from_secs(30),
    statement_timeout: TIMEOUTS.request,
};

/// More than one, so that the connections of a test use several workers.
const WORKERS: NonZeroUsize = NonZeroUsize::new(2).unwrap();

/// A service in this process, on its own database.
pub struct Api {
    pub database: TestDatabase,
    pub store: Store,
    address: SocketAddr,
    /// The address of the metrics.
    pub admin: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    running: JoinHandle<()>,
}

/// A client that sends an API key with every call.
pub type Client = CustomerGroupServiceClient<InterceptedService<Channel, Bearer>>;

#[derive(Clone)]
pub struct Bearer(String);

impl tonic::service::Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let value = MetadataValue::try_from(format!("Bearer {}", self.0)).unwrap();
        request.metadata_mut().insert("authorization", value);
        Ok(request)
    }
}

impl Api {
    pub async fn start() -> Self {
        Self::start_on(TestDatabase::create().await).await
    }

    /// Starts a service on a database, which other services may share.
    pub async fn start_on(database: TestDatabase) -> Self {
        Self::start_with(database, TIMEOUTS, LIMITS.pool_size, LIMITS.pool_timeout).await
    }

    /// Starts a service with these database limits.
    pub async fn start_with(
        database: TestDatabase,
        timeouts: Timeouts,
        pool_size: usize,
        pool_timeout: Duration,
    ) -> Self {
        Self::start_bounded(database, timeouts, pool_size, pool_timeout, BOUNDS).await
    }

    /// Starts a service with these admission limits.
    pub async fn start_within(bounds: Limits, timeouts: Timeouts) -> Self {
        let database = TestDatabase::create().await;
        Self::start_bounded(database, timeouts, LIMITS.pool_size, LIMITS.pool_timeout, bounds).await
    }

    pub async fn start_bounded(
        database: TestDatabase,
        timeouts: Timeouts,
        pool_size: usize,
        pool_timeout: Duration,
        bounds: Limits,
    ) -> Self {
        leaks::watch_log();
        let limits = StoreOptions { pool_size, pool_timeout, statement_timeout: timeouts.request, ..LIMITS };
        let store = Store::open(&database.url().parse().unwrap(), &limits).await.unwrap();
        let key = Secret::parse(Mode::Test, KEY).unwrap();
        let keys = KeyCache::new(store.clone(), Mode::Test, Some(&key));
        let listen: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let options = ServerOptions {
            listen: ListenAddress::Tcp(listen, Vec::new()),
            tls: None,
            admin: Some(vec![listen]),
            is_embedded: false,
            workers: WORKERS,
            timeouts,
            limits: bounds,
            origins: None,
            is_audit_required: false,
        };
        let server = customer_groups::testing::Server::bind(options, store.clone(), keys).await.unwrap();
        let ListenAddress::Tcp(address, _) = *server.address() else { unreachable!("it is no Unix socket") };
        let admin = server.admin_address().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let running = tokio::spawn(server.run(async {
            if stopped.await.is_err() {
                // A request that is still running when the test ends is dropped with the runtime.
                std::future::pending::<()>().await;
            }
        }));
        Self { database, store, address, admin, stop: Some(stop), running }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub async fn channel(&self) -> Channel {
        Endpoint::from_shared(format!("http://{}", self.address)).unwrap().connect().await.unwrap()
    }

    pub async fn client(&self) -> Client {
        self.client_with(KEY).await
    }

    pub async fn client_with(&self, key: &str) -> Client {
        CustomerGroupServiceClient::with_interceptor(self.channel().await, Bearer(key.to_owned()))
    }

    /// The standard client on a channel of the test.
    pub fn client_on(channel: Channel) -> Client {
        CustomerGroupServiceClient::with_interceptor(channel, Bearer(KEY.to_owned()))
    }

    /// Starts the shutdown, as a signal does.
    pub fn stop(&mut self) {
        if let Some(stop) = self.stop.take() {
            stop.send(()).unwrap();
        }
    }

    /// Waits until the service has stopped.
    pub async fn stopped(self) {
        self.running.await.unwrap();
    }
}

/// Waits for a condition and fails the test if it takes too long.
pub async fn eventually<T>(what: &str, happens: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_mins(1), happens).await.unwrap_or_else(|_| panic!("never: {what}"))
}

/// A group with only a name.
pub fn named(name: &str) -> pb::CustomerGroup {
    pb::CustomerGroup { customer_group_name: name.to_owned(), ..Default::default() }
}

pub fn below(parent: &pb::CustomerGroup, name: &str) -> pb::CustomerGroup {
    pb::CustomerGroup { parent_id: Some(parent.id.clone()), ..named(name) }
}

/// Updates fields of a group, whatever its version is.
pub fn update_of(group: pb::CustomerGroup, paths: &[&str]) -> pb::UpdateCustomerGroupRequest {
    let paths = paths.iter().map(ToString::to_string).collect();
    pb::UpdateCustomerGroupRequest {
        customer_group: Some(pb::CustomerGroup { etag: String::new(), ..group }),
        update_mask: Some(prost_types::FieldMask { paths }),
        ..Default::default()
    }
}

/// Moves a group under another, or makes it a root.
pub fn move_of(
    group: &pb::CustomerGroup,
    parent: Option<&pb::CustomerGroup>,
) -> pb::UpdateCustomerGroupRequest {
    let parent_id = parent.map(|parent| parent.id.clone());
    update_of(pb::CustomerGroup { id: group.id.clone(), parent_id, ..Default::default() }, &["parent_id"])
}

/// The calls of the client in the form that most tests need: a result without metadata.
pub trait Calls {
    async fn get(&self, id: &str) -> Result<pb::CustomerGroup, Status>;
    async fn list(
        &self,
        limit: Option<i32>,
        offset: Option<i32>,
    ) -> Result<pb::ListCustomerGroupsResponse, Status>;
    async fn create(&self, group: pb::CustomerGroup) -> Result<pb::CustomerGroup, Status>;
    async fn update(&self, request: pb::UpdateCustomerGroupRequest) -> Result<pb::CustomerGroup, Status>;
    async fn delete(&self, id: &str) -> Result<pb::DeleteCustomerGroupResponse, Status>;
    /// Creates a chain of groups, each below the previous one.
    async fn chain(&self, length: usize) -> Vec<pb::CustomerGroup>;
}

impl Calls for Client {
    async fn get(&self, id: &str) -> Result<pb::CustomerGroup, Status> {
        let request = pb::GetCustomerGroupRequest { id: id.to_owned() };
        Ok(self.clone().get_customer_group(request).await?.into_inner())
    }

    async fn list(
        &self,
        limit: Option<i32>,
        offset: Option<i32>,
    ) -> Result<pb::ListCustomerGroupsResponse, Status> {
        let request = pb::ListCustomerGroupsRequest { limit, offset, ..Default::default() };
        Ok(self.clone().list_customer_groups(request).await?.into_inner())
    }

    async fn create(&self, group: pb::CustomerGroup) -> Result<pb::CustomerGroup, Status> {
        let request = pb::CreateCustomerGroupRequest { customer_group: Some(group) };
        Ok(self.clone().create_customer_group(request).await?.into_inner())
    }

    async fn update(&self, request: pb::UpdateCustomerGroupRequest) -> Result<pb::CustomerGroup, Status> {
        Ok(self.clone().update_customer_group(request).await?.into_inner())
    }

    async fn delete(&self, id: &str) -> Result<pb::DeleteCustomerGroupResponse, Status> {
        let request = pb::DeleteCustomerGroupRequest { id: id.to_owned(), ..Default::default() };
        Ok(self.clone().delete_customer_group(request).await?.into_inner())
    }

    async fn chain(&self, length: usize) -> Vec<pb::CustomerGroup> {
        let mut chain: Vec<pb::CustomerGroup> = Vec::new();
        for number in 0..length {
            let parent_id = chain.last().map(|parent| parent.id.clone());
            let group = pb::CustomerGroup { parent_id, ..named(&format!("level {number}")) };
            chain.push(self.create(group).await.unwrap());
        }
        chain
    }
}
