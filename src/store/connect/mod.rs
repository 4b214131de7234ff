//! Connections to PostgreSQL: hosts, pools, the circuit breaker, session settings and TLS.

mod circuit_breaker;
mod database;
mod hosts;
mod pool;
mod pool_shares;
mod pooler;
mod session;
mod sslmode;
mod tls;

pub(crate) use circuit_breaker::CircuitBreaker;
pub use database::{Database, StoreOptions};
pub use pool::PoolState;
pub(crate) use pool::{Connector, Pool};
pub(crate) use pool_shares::{PoolShares, Turn};
pub(crate) use pooler::check_pooler;
pub(crate) use tls::Tls;
