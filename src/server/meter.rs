//! How many calls there were and how long they took, counted by each thread for itself, so that no call waits for the
//! memory of another processor.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tonic::Code;

use super::call::{End, code_name};
use super::endpoints::{self, Endpoint, Endpoints, METHODS, OTHER};
use crate::histogram::{Counts, Histogram};

/// The bounds of durations, in nanoseconds: those that the semantic conventions of OpenTelemetry advise, and below
/// them some for what is faster.
const DURATIONS: [u64; 17] = {
    const MICROSECOND: u64 = 1_000;
    const MILLISECOND: u64 = 1_000 * MICROSECOND;
    const SECOND: u64 = 1_000 * MILLISECOND;
    [
        500 * MICROSECOND,
        MILLISECOND,
        2_500 * MICROSECOND,
        5 * MILLISECOND,
        10 * MILLISECOND,
        25 * MILLISECOND,
        50 * MILLISECOND,
        75 * MILLISECOND,
        100 * MILLISECOND,
        250 * MILLISECOND,
        500 * MILLISECOND,
        750 * MILLISECOND,
        SECOND,
        2_500 * MILLISECOND,
        5 * SECOND,
        7_500 * MILLISECOND,
        10 * SECOND,
    ]
};

/// How many gRPC codes there are.
const CODES: usize = 17;

/// The statuses that the service answers with, in order.
const STATUSES: [&str; 24] = [
    "200", "201", "204", "206", "303", "304", "307", "308", "400", "401", "403", "404", "405", "406", "409",
    "412", "413", "415", "416", "429", "431", "500", "503", "504",
];

/// The places of whatever ends otherwise: in another status, or when its caller went away.
const OTHER_STATUS: usize = STATUSES.len();
const CANCELLED: usize = OTHER_STATUS + 1;

/// The durations of the calls that ended in one way, once there was one.
type Series = OnceLock<Box<Histogram>>;

/// The calls of a path, by the status that they ended in.
type Ways = [Series; CANCELLED + 1];

/// What one thread counts.
#[derive(Debug)]
pub(super) struct Meter {
    endpoints: Arc<Endpoints>,
    /// For each RPC the calls that are under way, and those that ended in each code.
    rpcs: Box<[(AtomicI64, [Series; CODES])]>,
    /// For each HTTP method the calls that are under way, and for each path those that ended in each way.
    methods: Box<[(AtomicI64, Box<[Ways]>)]>,
}

impl Meter {
    fn new(endpoints: Arc<Endpoints>) -> Self {
        let paths = || (0..endpoints.routes()).map(|_| Default::default()).collect();
        let rpcs = (0..endpoints.rpcs()).map(|_| Default::default()).collect();
        let methods = (0..=METHODS.len()).map(|_| (AtomicI64::default(), paths())).collect();
        Self { endpoints, rpcs, methods }
    }

    pub(super) fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// Counts a call as under way.
    pub(super) fn begin(&self, endpoint: Endpoint) {
        if let Some(active) = self.active(endpoint) {
            active.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts it as ended.
    pub(super) fn end(&self, endpoint: Endpoint, end: End, duration: Duration) {
        if let Some(active) = self.active(endpoint) {
            active.fetch_sub(1, Ordering::Relaxed);
        }
        if let Some(series) = self.series(endpoint, end) {
            let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
            series.get_or_init(|| Box::new(Histogram::new(&DURATIONS))).count(nanoseconds);
        }
    }

    fn active(&self, endpoint: Endpoint) -> Option<&AtomicI64> {
        match endpoint {
            Endpoint::Rpc(rpc) => self.rpcs.get(rpc).map(|(active, _)| active),
            Endpoint::Path { method, .. } => self.methods.get(method).map(|(active, _)| active),
        }
    }

    fn series(&self, endpoint: Endpoint, end: End) -> Option<&Series> {
        match endpoint {
            Endpoint::Rpc(rpc) => self.rpcs.get(rpc)?.1.get(end.code() as usize),
            Endpoint::Path { method, route } => {
                let way = match end {
                    End::Http(status) => STATUSES.binary_search(&status.as_str()).unwrap_or(OTHER_STATUS),
                    End::Cancelled | End::Grpc(_) => CANCELLED,
                };
                self.methods.get(method)?.1.get(route)?.get(way)
            }
        }
    }
}

/// What all threads count.
#[derive(Debug)]
pub(super) struct Meters {
    endpoints: Arc<Endpoints>,
    meters: Vec<Arc<Meter>>,
}

/// The calls of a path that ended in one way.
#[derive(Debug)]
pub(super) struct PathCalls<'a> {
    pub(super) method: &'static str,
    /// `None` for whatever there is no handler for.
    pub(super) route: Option<&'a str>,
    /// `None` when the caller went away before it had all of the answer.
    pub(super) status: Option<&'static str>,
    pub(super) durations: Counts,
}

impl Meters {
    pub(super) fn new(endpoints: Endpoints) -> Self {
        Self { endpoints: Arc::new(endpoints), meters: Vec::new() }
    }

    /// That of one more thread.
    pub(super) fn add(&mut self) -> Arc<Meter> {
        let meter = Arc::new(Meter::new(self.endpoints.clone()));
        self.meters.push(meter.clone());
        meter
    }

    /// The calls of each RPC that are under way.
    pub(super) fn active_rpcs(&self) -> impl Iterator<Item = (&str, i64)> {
        (0..self.endpoints.rpcs()).map(|rpc| (self.endpoints.rpc(rpc), self.active(Endpoint::Rpc(rpc))))
    }

    /// The calls with each HTTP method that are under way.
    pub(super) fn active_requests(&self) -> impl Iterator<Item = (&'static str, i64)> {
        let active = |method| self.active(Endpoint::Path { method, route: 0 });
        (0..=METHODS.len()).map(move |method| (endpoints::method(method), active(method)))
    }

    fn active(&self, endpoint: Endpoint) -> i64 {
        let active = self.meters.iter().filter_map(|meter| meter.active(endpoint));
        active.map(|active| active.load(Ordering::Relaxed)).sum()
    }

    /// The calls of each RPC that ended in each code.
    pub(super) fn rpc_calls(&self) -> impl Iterator<Item = (&str, &'static str, Counts)> {
        let codes = (0..CODES).filter_map(|code| i32::try_from(code).ok()).map(Code::from_i32);
        (0..self.endpoints.rpcs()).flat_map(move |rpc| {
            codes.clone().filter_map(move |code| {
                let durations = self.sum(|meter| meter.series(Endpoint::Rpc(rpc), End::Grpc(code)))?;
                Some((self.endpoints.rpc(rpc), code_name(code), durations))
            })
        })
    }

    /// The calls of each path that ended in each way.
    pub(super) fn path_calls(&self) -> impl Iterator<Item = PathCalls<'_>> {
        let statuses = STATUSES.into_iter().map(Some).chain([Some(OTHER), None]).enumerate();
        let pairs = (0..=METHODS.len())
            .flat_map(|method| (0..self.endpoints.routes()).map(move |route| (method, route)));
        pairs.flat_map(move |(method, route)| {
            statuses.clone().filter_map(move |(way, status)| {
                let durations = self.sum(|meter| meter.methods.get(method)?.1.get(route)?.get(way))?;
                Some(PathCalls {
                    method: endpoints::method(method),
                    route: self.endpoints.route(route),
                    status,
                    durations,
                })
            })
        })
    }

    fn sum<'a>(&'a self, series: impl Fn(&'a Meter) -> Option<&'a Series>) -> Option<Counts> {
        Counts::of(self.meters.iter().filter_map(|meter| series(meter)?.get()).map(AsRef::as_ref))
    }
}
