//! What the tests share: a PostgreSQL for the run, a service for each test, clients.

mod chance;
mod cluster;
pub mod face;
pub mod frames;
pub mod http;
pub mod leaks;
mod pair;
mod postgres;
mod program;
mod proxy;
mod status;
pub mod tls;

use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use customer_groups::auth::{KeyRing, Mode, Secret};
use customer_groups::grpc::pb;
use customer_groups::grpc::pb::customer_group_service_client::CustomerGroupServiceClient;
use customer_groups::server::{self, Limits as Bounds, Options, Timeouts};
use customer_groups::store::{Limits, Store};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::metadata::MetadataValue;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

pub use chance::Chance;
pub use cluster::{TestDatabase, connect, data_dir, url};
pub use pair::{Pair, Server, give};
pub use postgres::{Postgres, postmaster};
pub use program::Program;
pub use proxy::{Proxy, Trap};
pub use status::{fields, reason};

/// The `API_KEY` of every service in the tests.
pub const KEY: &str = "sk_test_the_key_of_the_tests";

/// Longer than anything in a test may take.
pub const TIMEOUTS: Timeouts = Timeouts {
    header: Duration::from_secs(30),
    request: Duration::from_secs(30),
    drain: Duration::from_secs(25),
};

/// More than any test needs that is not about them.
pub const BOUNDS: Bounds = Bounds {
    connections: NonZeroUsize::new(10_000).unwrap(),
    streams: NonZeroU32::new(256).unwrap(),
    calls: NonZeroUsize::new(10_000).unwrap(),
    request_bytes: 4 << 20,
    header_bytes: 16 << 10,
    rate: None,
};

/// The connections of a service, and longer than anything in a test waits for one.
pub const LIMITS: Limits = Limits {
    pool_size: 8,
    pool_queue: 10_000,
    pool_timeout: Duration::from_secs(30),
    connect_timeout: Duration::from_secs(30),
    statement_timeout: TIMEOUTS.request,
};

/// More than one, so that connections of one test end up with several.
const WORKERS: NonZeroUsize = NonZeroUsize::new(2).unwrap();

/// A customer group service in this process, on a database of its own.
pub struct Api {
    pub database: TestDatabase,
    pub store: Store,
    address: SocketAddr,
    /// Where it tells its metrics.
    pub admin: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    running: JoinHandle<()>,
}

/// A client that sends a key with every call.
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

    /// A service on a database that may have others.
    pub async fn start_on(database: TestDatabase) -> Self {
        Self::start_with(database, TIMEOUTS, LIMITS.pool_size, LIMITS.pool_timeout).await
    }

    /// A service with that many connections and that long a wait for one.
    pub async fn start_with(
        database: TestDatabase,
        timeouts: Timeouts,
        pool_size: usize,
        pool_timeout: Duration,
    ) -> Self {
        Self::start_bounded(database, timeouts, pool_size, pool_timeout, BOUNDS).await
    }

    /// A service that takes on no more than that.
    pub async fn start_within(bounds: Bounds, timeouts: Timeouts) -> Self {
        let database = TestDatabase::create().await;
        Self::start_bounded(database, timeouts, LIMITS.pool_size, LIMITS.pool_timeout, bounds).await
    }

    pub async fn start_bounded(
        database: TestDatabase,
        timeouts: Timeouts,
        pool_size: usize,
        pool_timeout: Duration,
        bounds: Bounds,
    ) -> Self {
        leaks::watch_log();
        let limits = Limits { pool_size, pool_timeout, statement_timeout: timeouts.request, ..LIMITS };
        let store = Store::open(&database.url().parse().unwrap(), &limits).await.unwrap();
        let key = Secret::parse(Mode::Test, KEY).unwrap();
        let keys = KeyRing::new(store.clone(), Mode::Test, Some(&key));
        let listen = "127.0.0.1:0".parse().unwrap();
        let options = Options {
            listen,
            tls: None,
            admin: Some(listen),
            is_embedded: false,
            workers: WORKERS,
            timeouts,
            limits: bounds,
            origins: None,
        };
        let server = server::Server::bind(options, store.clone(), keys).await.unwrap();
        let (address, admin) = (server.address(), server.admin_address().unwrap());
        let (stop, stopped) = oneshot::channel::<()>();
        let running = tokio::spawn(server.run(async {
            if stopped.await.is_err() {
                // The test asks for nothing more; it ends with its runtime.
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

    /// The usual client on a connection of the test's own making.
    pub fn client_on(channel: Channel) -> Client {
        CustomerGroupServiceClient::with_interceptor(channel, Bearer(KEY.to_owned()))
    }

    /// Asks the service to stop, as a signal does.
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

/// Waits for what must happen in the end. That it takes this long is a hang.
pub async fn eventually<T>(what: &str, happens: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_mins(1), happens).await.unwrap_or_else(|_| panic!("never: {what}"))
}

/// A group with a name and nothing else.
pub fn named(name: &str) -> pb::CustomerGroup {
    pb::CustomerGroup { customer_group_name: name.to_owned(), ..Default::default() }
}

pub fn below(parent: &pb::CustomerGroup, name: &str) -> pb::CustomerGroup {
    pb::CustomerGroup { parent_id: Some(parent.id.clone()), ..named(name) }
}

pub fn update_of(group: pb::CustomerGroup, paths: &[&str]) -> pb::UpdateCustomerGroupRequest {
    let paths = paths.iter().map(ToString::to_string).collect();
    pb::UpdateCustomerGroupRequest {
        customer_group: Some(group),
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

/// The calls of the client as most tests want them: an answer or a status.
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
    /// A chain of groups, each below the one before it.
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
