//! Call metrics: number and duration of calls. Each thread has its own counters, so that threads do not contend for a
//! cache line.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tonic::Code;

use super::call::End;
use super::endpoints::{self, Endpoint, Endpoints, METHODS, OTHER};
use crate::api::code_name;
use crate::telemetry::{Counts, Histogram};

/// The bucket bounds of durations, in nanoseconds: those of the semantic conventions of OpenTelemetry, and smaller ones
/// for fast calls.
const DURATIONS: [u64; 17] = {
    let mut bounds = [
        500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 75_000, 100_000, 250_000, 500_000, 750_000,
        1_000_000, 2_500_000, 5_000_000, 7_500_000, 10_000_000,
    ];
    let mut index = 0;
    while index < bounds.len() {
        bounds[index] *= 1_000;
        index += 1;
    }
    bounds
};

/// The number of gRPC codes.
const CODES: usize = 17;

/// The HTTP statuses of the service, in ascending order.
const STATUSES: [&str; 24] = [
    "200", "201", "204", "206", "303", "304", "307", "308", "400", "401", "403", "404", "405", "406", "409",
    "412", "413", "415", "416", "429", "431", "500", "503", "504",
];

/// The positions after the statuses: any other status, and a caller that went away.
const OTHER_STATUS: usize = STATUSES.len();
const CANCELLED: usize = OTHER_STATUS + 1;

/// The durations of the calls with one outcome, once there is one.
type Series = OnceLock<Box<Histogram>>;

/// The calls of a path, by outcome: the status, or [`CANCELLED`].
type Outcomes = [Series; CANCELLED + 1];

/// The labels of a time series.
pub(super) type Labels<'a> = Vec<(&'static str, &'a str)>;

/// The counts of one thread.
#[derive(Debug)]
pub(crate) struct CallMetrics {
    endpoints: Arc<Endpoints>,
    /// For each RPC: the calls in progress, and the finished calls by code.
    rpcs: Box<[(AtomicI64, [Series; CODES])]>,
    /// For each HTTP method: the calls in progress, and for each path the finished calls by outcome.
    methods: Box<[(AtomicI64, Box<[Outcomes]>)]>,
}

impl CallMetrics {
    fn new(endpoints: Arc<Endpoints>) -> Self {
        let paths = || (0..endpoints.routes()).map(|_| Default::default()).collect();
        let rpcs = (0..endpoints.rpcs()).map(|_| Default::default()).collect();
        let methods = (0..=METHODS.len()).map(|_| (AtomicI64::default(), paths())).collect();
        Self { endpoints, rpcs, methods }
    }

    pub(super) fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    pub(super) fn begin(&self, endpoint: Endpoint) {
        if let Some(active) = self.active(endpoint) {
            active.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn end(&self, endpoint: Endpoint, end: End, duration: Duration) {
        if let Some(active) = self.active(endpoint) {
            active.fetch_sub(1, Ordering::Relaxed);
        }
        if let Some(series) = self.series(endpoint, end) {
            let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
            series.get_or_init(|| Box::new(Histogram::new(&DURATIONS))).record(nanoseconds);
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
                let outcome = match end {
                    End::Http(status) => STATUSES.binary_search(&status.as_str()).unwrap_or(OTHER_STATUS),
                    End::Cancelled | End::Grpc(_) => CANCELLED,
                };
                self.methods.get(method)?.1.get(route)?.get(outcome)
            }
        }
    }
}

/// The sums over all threads, as labelled time series.
#[derive(Debug)]
pub(crate) struct AllCallMetrics {
    endpoints: Arc<Endpoints>,
    threads: Vec<Arc<CallMetrics>>,
}

impl AllCallMetrics {
    pub(crate) fn new(endpoints: Endpoints) -> Self {
        Self { endpoints: Arc::new(endpoints), threads: Vec::new() }
    }

    /// Adds the metrics of one more thread.
    pub(crate) fn add(&mut self) -> Arc<CallMetrics> {
        let thread = Arc::new(CallMetrics::new(self.endpoints.clone()));
        self.threads.push(thread.clone());
        thread
    }

    pub(super) fn active_rpcs(&self) -> impl Iterator<Item = (Labels<'_>, i64)> {
        (0..self.endpoints.rpcs()).map(|rpc| (self.rpc_labels(rpc), self.active(Endpoint::Rpc(rpc))))
    }

    pub(super) fn active_requests(&self) -> impl Iterator<Item = (Labels<'_>, i64)> {
        (0..=METHODS.len()).map(|method| {
            let active = self.active(Endpoint::Path { method, route: 0 });
            (vec![("http_request_method", endpoints::method(method))], active)
        })
    }

    fn active(&self, endpoint: Endpoint) -> i64 {
        let active = self.threads.iter().filter_map(|thread| thread.active(endpoint));
        active.map(|active| active.load(Ordering::Relaxed)).sum()
    }

    /// The durations of RPCs by code.
    pub(super) fn rpc_calls(&self) -> impl Iterator<Item = (Labels<'_>, Counts)> {
        let codes = (0..CODES).filter_map(|code| i32::try_from(code).ok()).map(Code::from_i32);
        (0..self.endpoints.rpcs()).flat_map(move |rpc| {
            codes.clone().filter_map(move |code| {
                let durations = self.sum(|thread| thread.series(Endpoint::Rpc(rpc), End::Grpc(code)))?;
                let mut labels = self.rpc_labels(rpc);
                labels.push(("rpc_response_status_code", code_name(code)));
                Some((labels, durations))
            })
        })
    }

    fn rpc_labels(&self, rpc: usize) -> Labels<'_> {
        vec![("rpc_system_name", "grpc"), ("rpc_method", self.endpoints.rpc(rpc))]
    }

    /// The durations of HTTP requests by method, path and outcome.
    pub(super) fn path_calls(&self) -> impl Iterator<Item = (Labels<'_>, Counts)> {
        let statuses =
            STATUSES.into_iter().chain([OTHER]).map(|status| ("http_response_status_code", status));
        let outcomes = statuses.chain([("error_type", "cancelled")]).enumerate();
        let pairs = (0..=METHODS.len())
            .flat_map(|method| (0..self.endpoints.routes()).map(move |route| (method, route)));
        pairs.flat_map(move |(method, route)| {
            outcomes.clone().filter_map(move |(index, outcome)| {
                let durations = self.sum(|thread| thread.methods.get(method)?.1.get(route)?.get(index))?;
                let mut labels = vec![("http_request_method", endpoints::method(method))];
                labels.extend(self.endpoints.route(route).map(|route| ("http_route", route)));
                labels.push(outcome);
                Some((labels, durations))
            })
        })
    }

    fn sum<'a>(&'a self, series: impl Fn(&'a CallMetrics) -> Option<&'a Series>) -> Option<Counts> {
        Counts::of(self.threads.iter().filter_map(|thread| series(thread)?.get()).map(AsRef::as_ref))
    }
}
