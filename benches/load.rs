//! What is asked for again and again, and what came of it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::{grpc, http1, tonic_client};

/// What a request was for.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The number of the group.
    pub number: u32,
}

/// Makes the request: over gRPC its message, over REST the end of its path or its body.
pub type Ask = fn(&mut Random) -> (Vec<u8>, Asked);

/// Whether an answer is the one that was asked for.
pub type Check = fn(&Asked, &[u8]) -> bool;

/// One kind of request to one service, for a time.
#[derive(Clone)]
pub struct Load {
    pub address: SocketAddr,
    /// The path of an RPC, or the method and the path of REST.
    pub path: String,
    pub ask: Ask,
    pub check: Check,
    pub until: Instant,
    /// How many calls a second are made on each connection, whatever comes of them; without it, one follows the
    /// other. Some may be refused then. Only over gRPC by hand.
    pub pace: Option<f64>,
}

/// How the requests come.
#[derive(Debug, Clone, Copy)]
pub enum Shape {
    Grpc {
        connections: usize,
        in_flight: usize,
    },
    Rest {
        connections: usize,
    },
    /// Reads of one group, whatever the load asks for.
    Tonic {
        connections: usize,
        in_flight: usize,
    },
}

/// What came of a load.
#[derive(Default)]
pub struct Tally {
    pub random: Random,
    /// How long each call took, in the order of their ends.
    pub latencies: Vec<Duration>,
    /// The same for those that were refused.
    pub refusals: Vec<Duration>,
}

/// Numbers that look like chance (xorshift64), others for each connection.
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

    /// Runs it to its end.
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

    /// A percentile, once the latencies are sorted.
    pub fn percentile(&self, percent: usize) -> Duration {
        percentile(&self.latencies, percent)
    }
}

/// A percentile of what is sorted.
pub fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    sorted.get(sorted.len() * percent / 100).copied().unwrap_or_default()
}
