//! What is told of the service when its metrics are asked for. The names are those of the semantic conventions of
//! OpenTelemetry 1.44 where they have one, as Prometheus writes them.

use std::fmt::Error;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, MetricEncoder, NoLabelSet,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use super::health::Health;
use super::limits::Refusals;
use super::meter::Meters;
use super::process::{self, Process};
use crate::histogram::Counts;
use crate::store::{PoolState, Store};

/// Where the figures are.
#[derive(Debug)]
pub(super) struct Scrape {
    pub(super) meters: Meters,
    pub(super) refusals: Arc<Refusals>,
    pub(super) health: Health,
    pub(super) store: Store,
    /// Whether the database is the private one.
    pub(super) is_embedded: bool,
}

impl Collector for Scrape {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let mut out = Out(encoder);
        self.calls(&mut out)?;
        self.database(&mut out)?;
        out.info("customer_groups_build", "What runs", &[("version", env!("CARGO_PKG_VERSION"))])?;
        match process::read() {
            Some(process) => out.process(&process),
            None => Ok(()),
        }
    }
}

impl Scrape {
    fn calls(&self, out: &mut Out<'_>) -> Result<(), Error> {
        let rpc = |method| [("rpc_system_name", "grpc"), ("rpc_method", method)];
        let help = "How long RPCs took, from their first to their last byte";
        let mut calls = out.histogram("rpc_server_call_duration", help, Some(&Unit::Seconds))?;
        for (method, code, durations) in self.meters.rpc_calls() {
            let [system, method] = rpc(method);
            let labels = [system, method, ("rpc_response_status_code", code)];
            durations_of(&mut calls, &labels, &durations)?;
        }
        let mut active = out.gauge("rpc_server_active_calls", "RPCs that are under way", None)?;
        for (method, calls) in self.meters.active_rpcs() {
            active.encode_family(&rpc(method))?.encode_gauge(&calls)?;
        }

        let help = "How long requests took that are no RPCs, from their first to their last byte";
        let mut requests = out.histogram("http_server_request_duration", help, Some(&Unit::Seconds))?;
        for calls in self.meters.path_calls() {
            let route = calls.route.map(|route| ("http_route", route));
            let end = calls
                .status
                .map_or(("error_type", "cancelled"), |status| ("http_response_status_code", status));
            let labels: Vec<_> =
                [("http_request_method", calls.method)].into_iter().chain(route).chain([end]).collect();
            durations_of(&mut requests, &labels, &calls.durations)?;
        }
        let help = "Requests that are under way and no RPCs";
        let mut active = out.gauge("http_server_active_requests", help, None)?;
        for (method, requests) in self.meters.active_requests() {
            active.encode_family(&[("http_request_method", method)])?.encode_gauge(&requests)?;
        }

        let (calls, connections) = (self.refusals.calls(), self.refusals.connections());
        out.counter(
            "customer_groups_refused_calls",
            "Calls refused since there were too many",
            None,
            &calls,
        )?;
        let help = "Connections closed at once since there were MAX_CONNECTIONS";
        out.counter("customer_groups_refused_connections", help, None, &connections)?;
        let help = "Calls refused since too many unknown API keys came from their addresses";
        out.counter("customer_groups_refused_keys", help, None, &self.refusals.guesses())
    }

    fn database(&self, out: &mut Out<'_>) -> Result<(), Error> {
        let is_ready = i64::from(self.health.is_ready());
        out.value("customer_groups_ready", "Whether calls can be served", None, &is_ready)?;
        let is_up = i64::from(self.health.database_answers());
        let help = "Whether the database answered, and took writes, when it was last asked";
        out.value("customer_groups_database_up", help, None, &is_up)?;
        let help = "Whether the database is the private PostgreSQL, with which the service would end";
        out.value("customer_groups_embedded_database", help, None, &i64::from(self.is_embedded))?;

        let pools = self.store.pools();
        let name = |pool: &PoolState| ("pool_name", pool.name);
        let mut count = out.gauge("db_client_connections_usage", "Connections to PostgreSQL", None)?;
        for pool in &pools {
            for (state, connections) in [("idle", pool.idle), ("used", pool.used)] {
                let labels = [name(pool), ("state", state)];
                count.encode_family(&labels)?.encode_gauge(&connections)?;
            }
        }
        let mut max = out.gauge("db_client_connections_max", "The most connections to PostgreSQL", None)?;
        for pool in &pools {
            max.encode_family(&[name(pool)])?.encode_gauge(&pool.max)?;
        }
        let help = "Those who wait for a connection to PostgreSQL";
        let mut waiting = out.gauge("db_client_connections_pending_requests", help, None)?;
        for pool in &pools {
            waiting.encode_family(&[name(pool)])?.encode_gauge(&pool.waiting)?;
        }

        let help = "How many reads of one group, or of its ancestors, one statement answered";
        let mut sizes = out.histogram("customer_groups_read_batch_size", help, None)?;
        for (statement, counts) in self.store.batch_sizes() {
            // Small enough to be exact.
            #[allow(clippy::cast_precision_loss)]
            distribution(&mut sizes, &[("statement", statement)], &counts, |reads| reads as f64)?;
        }
        Ok(())
    }
}

/// What is written, metric by metric.
struct Out<'a>(DescriptorEncoder<'a>);

impl Out<'_> {
    fn histogram<'a>(
        &'a mut self,
        name: &'a str,
        help: &str,
        unit: Option<&'a Unit>,
    ) -> Result<MetricEncoder<'a>, Error> {
        self.0.encode_descriptor(name, help, unit, MetricType::Histogram)
    }

    fn gauge<'a>(
        &'a mut self,
        name: &'a str,
        help: &str,
        unit: Option<&'a Unit>,
    ) -> Result<MetricEncoder<'a>, Error> {
        self.0.encode_descriptor(name, help, unit, MetricType::Gauge)
    }

    fn value(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        value: &impl EncodeGaugeValue,
    ) -> Result<(), Error> {
        self.gauge(name, help, unit)?.encode_gauge(value)
    }

    fn counter(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        value: &impl EncodeCounterValue,
    ) -> Result<(), Error> {
        let mut counter = self.0.encode_descriptor(name, help, unit, MetricType::Counter)?;
        counter.encode_counter::<NoLabelSet, _, f64>(value, None)
    }

    fn info(&mut self, name: &str, help: &str, labels: &[(&str, &str)]) -> Result<(), Error> {
        self.0.encode_descriptor(name, help, None, MetricType::Info)?.encode_info(&labels)
    }

    /// By the names that the clients of Prometheus have in common.
    fn process(&mut self, process: &Process) -> Result<(), Error> {
        let (seconds, bytes) = (Some(&Unit::Seconds), Some(&Unit::Bytes));
        self.counter("process_cpu", "Processor time of the process", seconds, &process.cpu)?;
        self.value("process_resident_memory", "Memory of the process", bytes, &process.resident)?;
        self.value("process_virtual_memory", "Addresses of the process", bytes, &process.r#virtual)?;
        self.value("process_start_time", "When the process began, since 1970", seconds, &process.start)?;
        self.value("process_threads", "Threads of the process", None, &process.threads)?;
        self.value("process_open_fds", "Open files of the process", None, &process.open_files)?;
        self.value("process_max_fds", "The most open files of the process", None, &process.max_files)
    }
}

fn durations_of(
    metric: &mut MetricEncoder<'_>,
    labels: &[(&str, &str)],
    durations: &Counts,
) -> Result<(), Error> {
    distribution(metric, labels, durations, |nanoseconds| Duration::from_nanos(nanoseconds).as_secs_f64())
}

fn distribution(
    metric: &mut MetricEncoder<'_>,
    labels: &[(&str, &str)],
    counts: &Counts,
    unit: impl Fn(u64) -> f64,
) -> Result<(), Error> {
    let ranges: Vec<_> =
        counts.ranges().map(|(bound, count)| (bound.map_or(f64::INFINITY, &unit), count)).collect();
    let mut metric = metric.encode_family(&labels)?;
    metric.encode_histogram::<NoLabelSet>(unit(counts.sum()), counts.total(), &ranges, None)
}
