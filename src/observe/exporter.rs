//! The metrics exporter. The names are those of the semantic conventions of OpenTelemetry 1.44 where they have one, as
//! Prometheus writes them.

use std::fmt::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use super::metrics::{AllCallMetrics, Labels};
use super::process;
use super::readiness::{Readiness, Status};
use super::refusals::Refusals;
use crate::store::Store;
use crate::telemetry::{Counts, dropped_lines};

#[derive(Debug)]
pub(crate) struct MetricsExporter {
    pub(crate) calls: AllCallMetrics,
    pub(crate) refusals: Arc<Refusals>,
    pub(crate) readiness: Readiness,
    pub(crate) store: Store,
    /// Whether the database is the private one.
    pub(crate) is_embedded: bool,
    /// The end of the validity of the server's certificate, in seconds since 1970; `None` without TLS.
    pub(crate) certificate_end: Option<Arc<AtomicU64>>,
}

impl Collector for MetricsExporter {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let mut out = Encoder(encoder);
        self.calls(&mut out)?;
        self.refusals(&mut out)?;
        self.state(&mut out)?;
        self.database(&mut out)?;
        process(&mut out)
    }
}

impl MetricsExporter {
    fn calls(&self, out: &mut Encoder<'_>) -> Result<(), Error> {
        let (seconds, calls) = (Some(&Unit::Seconds), &self.calls);
        let help = "Duration of RPCs, from their first to their last byte";
        out.histograms("rpc_server_call_duration", help, seconds, calls.rpc_calls(), in_seconds)?;
        out.gauges("rpc_server_active_calls", "RPCs in progress", calls.active_rpcs())?;
        let help = "Duration of HTTP requests other than RPCs, from their first to their last byte";
        out.histograms("http_server_request_duration", help, seconds, calls.path_calls(), in_seconds)?;
        let help = "HTTP requests in progress, without RPCs";
        out.gauges("http_server_active_requests", help, calls.active_requests())
    }

    fn refusals(&self, out: &mut Encoder<'_>) -> Result<(), Error> {
        let Refusals { connections, overloads, failed_auths, unauthenticated } = &*self.refusals;
        for (name, help, count) in [
            ("customer_groups_refused_calls", "Calls refused: too many at once", overloads),
            ("customer_groups_refused_connections", "Connections closed: too many open", connections),
            ("customer_groups_refused_keys", "Calls refused: too many unknown API keys", failed_auths),
            (
                "customer_groups_unauthenticated_calls",
                "Calls refused: without a valid API key",
                unauthenticated,
            ),
        ] {
            out.counter(name, help, None, &count.load(Ordering::Relaxed))?;
        }
        let help = "Lines of the log that could not be written";
        out.counter("customer_groups_dropped_log_lines", help, None, &dropped_lines())
    }

    fn state(&self, out: &mut Encoder<'_>) -> Result<(), Error> {
        let is_ready = self.readiness.status() == Status::Ready;
        let is_up = self.readiness.is_database_up();
        for (name, help, value) in [
            ("customer_groups_ready", "Whether the service is ready", is_ready),
            ("customer_groups_database_up", "Whether the last probe found a writable database", is_up),
            (
                "customer_groups_embedded_database",
                "Whether the database is the private one",
                self.is_embedded,
            ),
        ] {
            out.gauge(name, help, None, &i64::from(value))?;
        }
        if let Some(end) = &self.certificate_end {
            let help = "End of the validity of the server's certificate, since 1970";
            let end = i64::try_from(end.load(Ordering::Relaxed)).unwrap_or(i64::MAX);
            out.gauge("customer_groups_certificate_not_after", help, Some(&Unit::Seconds), &end)?;
        }
        let mut build =
            out.0.encode_descriptor("customer_groups_build", "Version", None, MetricType::Info)?;
        build.encode_info(&[("version", env!("CARGO_PKG_VERSION"))])
    }

    fn database(&self, out: &mut Encoder<'_>) -> Result<(), Error> {
        let pools = self.store.pools();
        let usage = pools.iter().flat_map(|pool| {
            let states = [("idle", pool.idle), ("used", pool.used)];
            states.map(|(state, count)| (vec![("pool_name", pool.name), ("state", state)], count))
        });
        out.gauges("db_client_connections_usage", "Connections to PostgreSQL", usage)?;
        let max = pools.iter().map(|pool| (vec![("pool_name", pool.name)], pool.max));
        out.gauges("db_client_connections_max", "Maximum of connections to PostgreSQL", max)?;
        let waiting = pools.iter().map(|pool| (vec![("pool_name", pool.name)], pool.waiting));
        let help = "Calls that wait for a connection to PostgreSQL";
        out.gauges("db_client_connections_pending_requests", help, waiting)?;

        let sizes = self.store.batch_sizes();
        let sizes = sizes.into_iter().map(|(statement, sizes)| (vec![("statement", statement)], sizes));
        let help = "Number of reads, of one group or of its ancestors, that one statement answered";
        // Small enough to be exact.
        #[allow(clippy::cast_precision_loss)]
        out.histograms("customer_groups_read_batch_size", help, None, sizes, |reads| reads as f64)
    }
}

/// The metrics that the client libraries of Prometheus have in common.
fn process(out: &mut Encoder<'_>) -> Result<(), Error> {
    let Some(process) = process::read() else { return Ok(()) };
    let bytes = Some(&Unit::Bytes);
    out.counter("process_cpu", "Processor time of the process", Some(&Unit::Seconds), &process.cpu)?;
    let help = "Start of the process, since 1970";
    out.gauge("process_start_time", help, Some(&Unit::Seconds), &process.start)?;
    for (name, help, unit, value) in [
        ("process_resident_memory", "Resident memory of the process", bytes, process.resident),
        ("process_virtual_memory", "Virtual memory of the process", bytes, process.r#virtual),
        ("process_threads", "Threads of the process", None, process.threads),
        ("process_open_fds", "Open files of the process", None, process.open_files),
        ("process_max_fds", "Maximum of open files of the process", None, process.max_files),
    ] {
        out.gauge(name, help, unit, &value)?;
    }
    Ok(())
}

fn in_seconds(nanoseconds: u64) -> f64 {
    Duration::from_nanos(nanoseconds).as_secs_f64()
}

struct Encoder<'a>(DescriptorEncoder<'a>);

impl Encoder<'_> {
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

    fn gauge(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        value: &impl EncodeGaugeValue,
    ) -> Result<(), Error> {
        self.0.encode_descriptor(name, help, unit, MetricType::Gauge)?.encode_gauge(value)
    }

    fn gauges<'a>(
        &mut self,
        name: &str,
        help: &str,
        values: impl Iterator<Item = (Labels<'a>, impl EncodeGaugeValue)>,
    ) -> Result<(), Error> {
        let mut gauge = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in values {
            gauge.encode_family(&labels)?.encode_gauge(&value)?;
        }
        Ok(())
    }

    /// `convert` converts a recorded value to the unit of the metric.
    fn histograms<'a>(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        values: impl Iterator<Item = (Labels<'a>, Counts)>,
        convert: impl Fn(u64) -> f64,
    ) -> Result<(), Error> {
        let mut histogram = self.0.encode_descriptor(name, help, unit, MetricType::Histogram)?;
        for (labels, counts) in values {
            let buckets = counts.buckets();
            let buckets: Vec<_> =
                buckets.map(|(bound, count)| (bound.map_or(f64::INFINITY, &convert), count)).collect();
            let mut family = histogram.encode_family(&labels)?;
            family.encode_histogram::<NoLabelSet>(convert(counts.sum()), counts.total(), &buckets, None)?;
        }
        Ok(())
    }
}
