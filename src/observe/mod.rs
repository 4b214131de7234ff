//! The record of one call: request id, access log, call metrics and call span; and the metrics exporter.

mod call;
mod endpoints;
mod exporter;
mod metrics;
mod metrics_server;
mod process;
mod readiness;
mod refusals;
mod span;

pub(crate) use call::Call;
#[cfg(test)]
pub(crate) use endpoints::{Endpoint, OTHER};
pub(crate) use endpoints::{Endpoints, Names};
pub(crate) use exporter::MetricsExporter;
pub(crate) use metrics::{AllCallMetrics, CallMetrics};
pub(crate) use metrics_server::MetricsServer;
pub(crate) use readiness::{Readiness, Status};
pub(crate) use refusals::Refusals;
