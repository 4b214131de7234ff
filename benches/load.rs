//! Load: repeated requests and their results.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::{grpc, http1, tonic_client};

/// The expected content of a response.
#[derive(Debug, Clone)]
pub struct Expected {
    /// The number of the group.
    pub number: u32,
}

/// Generates a request: over gRPC the message, over REST the end of the path or the body.
pub type MakeRequest = fn(&mut Random) -> (Vec<u8>, Expected);

/// Whether a response is the expected one.
pub type Check = fn(&Expected, &[u8]) -> bool;

/// Requests of one kind to one service, for a time.
#[derive(Clone)]
pub struct Load {
    pub address: SocketAddr,
    /// The path of an RPC, or the method and the path of REST.
    pub path: String,
    pub make_request: MakeRequest,
    pub check: Check,
    pub until: Instant,
    /// The rate in calls a second on each connection, independent of the responses. Calls may then be refused.
    /// `None`
    /// sends each call after the response to the previous one. Only for the gRPC client of this benchmark.
    pub pace: Option<f64>,
}

/// The client and the concurrency of a load.
#[derive(Debug, Clone, Copy)]
pub enum Shape {
    Grpc {
        connections: usize,
        in_flight: usize,
    },
    Rest {
        connections: usize,
    },
    /// Reads of one group with tonic's client, whatever requests the load generates.
    Tonic {
        connections: usize,
        in_flight: usize,
    },
}

/// The results of a load.
#[derive(Default)]
pub struct Tally {
    pub random: Random,
    /// The latency of each call, in the order of completion.
    pub latencies: Vec<Duration>,
    /// The latency of each refused call.
    pub refusals: Vec<Duration>,
}

/// Pseudo-random numbers (xorshift64), different for each connection.
pub struct Random(u64);

impl Default for Random {
    fn default() -> Self {
        use std::hash::{BuildHasher, RandomState};
        Self(RandomState::new().hash_one(0) | 1)
    }
}

impl Random {
    pub fn below(&mut self, end: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        u32::try_from((self.0 >> 32) % u64::from(end)).expect("below a u32")
    }
}

impl Load {
    pub fn goes_on(&self) -> bool {
        Instant::now() < self.until
    }

    /// Runs the load to its end.
    pub async fn run(&self, shape: Shape) -> Tally {
        let mut connections = JoinSet::new();
        let number = match shape {
            Shape::Grpc { connections, .. }
            | Shape::Rest { connections }
            | Shape::Tonic { connections, .. } => connections,
        };
        for _ in 0..number {
            let load = self.clone();
            connections.spawn_local(async move {
                match shape {
                    Shape::Grpc { in_flight, .. } => grpc::run(&load, in_flight).await,
                    Shape::Rest { .. } => http1::run(&load).await,
                    Shape::Tonic { in_flight, .. } => tonic_client::run(&load, in_flight).await,
                }
            });
        }
        let mut whole = Tally::default();
        for tally in connections.join_all().await {
            whole.latencies.extend(tally.latencies);
            whole.refusals.extend(tally.refusals);
        }
        whole.latencies.sort_unstable();
        whole.refusals.sort_unstable();
        whole
    }
}

impl Tally {
    pub fn count(&mut self, begun: Instant) {
        self.latencies.push(begun.elapsed());
    }

    /// A percentile of the latencies, which must be sorted.
    pub fn percentile(&self, percent: usize) -> Duration {
        percentile(&self.latencies, percent)
    }
}

/// A percentile of sorted durations.
pub fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    sorted.get(sorted.len() * percent / 100).copied().unwrap_or_default()
}
