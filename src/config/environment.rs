//! Environment variables of other conventions that the service cannot honour. They are refused, since whoever sets one
//! relies on it.

use std::env;

use super::Problems;

/// The variables of OpenTelemetry that the service honours, with the values that it can honour; without values, any.
const OPENTELEMETRY: [(&str, &[&str]); 29] = [
    ("OTEL_SDK_DISABLED", &[]),
    ("OTEL_SERVICE_NAME", &[]),
    ("OTEL_RESOURCE_ATTRIBUTES", &[]),
    ("OTEL_TRACES_EXPORTER", &[]),
    ("OTEL_TRACES_SAMPLER", &[]),
    ("OTEL_TRACES_SAMPLER_ARG", &[]),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", &[]),
    ("OTEL_EXPORTER_OTLP_HEADERS", &[]),
    ("OTEL_EXPORTER_OTLP_TIMEOUT", &[]),
    ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &[]),
    ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", &[]),
    ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", &[]),
    ("OTEL_BSP_SCHEDULE_DELAY", &[]),
    ("OTEL_BSP_EXPORT_TIMEOUT", &[]),
    ("OTEL_BSP_MAX_QUEUE_SIZE", &[]),
    ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", &[]),
    ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", &[]),
    ("OTEL_SPAN_EVENT_COUNT_LIMIT", &[]),
    ("OTEL_SPAN_LINK_COUNT_LIMIT", &[]),
    ("OTEL_PROPAGATORS", &["tracecontext", "tracecontext,baggage"]),
    // The metrics are for Prometheus, and the log is on standard error.
    ("OTEL_METRICS_EXPORTER", &["none", "prometheus"]),
    ("OTEL_LOGS_EXPORTER", &["none"]),
    ("OTEL_EXPORTER_OTLP_PROTOCOL", &["grpc"]),
    ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", &["grpc"]),
    ("OTEL_EXPORTER_OTLP_COMPRESSION", &["none"]),
    ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", &["none"]),
    ("OTEL_EXPORTER_OTLP_INSECURE", &["true"]),
    ("OTEL_EXPORTER_OTLP_TRACES_INSECURE", &["true"]),
    // A part of OTEL_RESOURCE_ATTRIBUTES, where an operator sets both.
    ("OTEL_RESOURCE_ATTRIBUTES_*", &[]),
];

/// The variables of [libpq] that name a server. Without DATABASE_URL, the service would not connect to it.
///
/// [libpq]: https://www.postgresql.org/docs/current/libpq-envars.html
const LIBPQ_SERVER: [&str; 4] = ["PGHOST", "PGHOSTADDR", "PGSERVICE", "PGSERVICEFILE"];

/// The other variables of libpq, which change connections to the server of DATABASE_URL.
const LIBPQ: [&str; 37] = [
    "PGPORT",
    "PGDATABASE",
    "PGUSER",
    "PGPASSWORD",
    "PGPASSFILE",
    "PGOPTIONS",
    "PGAPPNAME",
    "PGSSLMODE",
    "PGREQUIRESSL",
    "PGSSLNEGOTIATION",
    "PGSSLCOMPRESSION",
    "PGSSLCERT",
    "PGSSLKEY",
    "PGSSLCERTMODE",
    "PGSSLROOTCERT",
    "PGSSLCRL",
    "PGSSLCRLDIR",
    "PGSSLSNI",
    "PGREQUIREAUTH",
    "PGREQUIREPEER",
    "PGSSLMINPROTOCOLVERSION",
    "PGSSLMAXPROTOCOLVERSION",
    "PGGSSENCMODE",
    "PGKRBSRVNAME",
    "PGGSSLIB",
    "PGGSSDELEGATION",
    "PGCHANNELBINDING",
    "PGCONNECT_TIMEOUT",
    "PGCLIENTENCODING",
    "PGTARGETSESSIONATTRS",
    "PGLOADBALANCEHOSTS",
    "PGSYSCONFDIR",
    "PGMINPROTOCOLVERSION",
    "PGMAXPROTOCOLVERSION",
    "PGDATESTYLE",
    "PGTZ",
    "PGGEQO",
];

/// Reads a variable. An empty one counts as unset.
fn value(name: &str) -> Option<String> {
    env::var_os(name).map(|value| value.to_string_lossy().into_owned()).filter(|value| !value.is_empty())
}

/// Refuses settings of OpenTelemetry that the service cannot honour.
pub(super) fn check_opentelemetry(problems: &mut Problems) {
    let given = env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let mut given: Vec<_> = given.filter(|name| name.starts_with("OTEL_")).collect();
    given.sort();
    for name in given {
        let Some(value) = value(&name) else { continue };
        let is_known = |known: &str| match known.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => name == known,
        };
        let remedy = match OPENTELEMETRY.iter().find(|(known, _)| is_known(known)) {
            Some((_, [])) => continue,
            Some((_, honoured)) if honoured.contains(&&*value) => continue,
            Some((_, honoured)) => format!("unset it, or use {}", honoured.join(" or ")),
            None => "unset it".to_owned(),
        };
        problems.0.push(format!("{name}: the service cannot honour {value:?}; {remedy}"));
    }
}

/// Refuses variables of libpq that connections do not follow.
pub(super) fn check_libpq(has_url: bool, problems: &mut Problems) {
    let others = if has_url { &LIBPQ[..] } else { &[] };
    for name in LIBPQ_SERVER.iter().chain(others).filter(|name| value(name).is_some()) {
        problems.0.push(format!(
            "{name}: the service does not read the variables of libpq; unset it, and write its value in DATABASE_URL"
        ));
    }
}
