//! Environment variables of other conventions that the service cannot honour. They are refused, since whoever sets one
//! relies on it.

use std::env;

use super::Problems;

/// The variables of OpenTelemetry with the values that describe what the service does. A variable without values has no
/// effect here.
const OPENTELEMETRY: [(&str, &[&str]); 28] = [
    ("OTEL_PROPAGATORS", &["tracecontext", "tracecontext,baggage"]),
    ("OTEL_METRICS_EXPORTER", &["none", "prometheus"]),
    ("OTEL_LOGS_EXPORTER", &["none"]),
    ("OTEL_EXPORTER_OTLP_PROTOCOL", &["grpc"]),
    ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", &["grpc"]),
    ("OTEL_EXPORTER_OTLP_COMPRESSION", &["none"]),
    ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", &["none"]),
    ("OTEL_EXPORTER_OTLP_INSECURE", &["true"]),
    ("OTEL_EXPORTER_OTLP_TRACES_INSECURE", &["true"]),
    ("OTEL_EXPORTER_OTLP_CERTIFICATE", &[]),
    ("OTEL_EXPORTER_OTLP_CLIENT_KEY", &[]),
    ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", &[]),
    ("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", &[]),
    ("OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", &[]),
    ("OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE", &[]),
    ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", &[]),
    ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", &[]),
    ("OTEL_LOG_LEVEL", &[]),
    ("OTEL_CONFIG_FILE", &[]),
    ("OTEL_EXPERIMENTAL_CONFIG_FILE", &[]),
    ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", &[]),
    ("OTEL_ATTRIBUTE_COUNT_LIMIT", &[]),
    ("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", &[]),
    ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", &[]),
    ("OTEL_SPAN_EVENT_COUNT_LIMIT", &[]),
    ("OTEL_SPAN_LINK_COUNT_LIMIT", &[]),
    ("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", &[]),
    ("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", &[]),
];

/// The variables of [libpq] that name a server. Without DATABASE_URL, the service would not connect to it.
///
/// [libpq]: https://www.postgresql.org/docs/current/libpq-envars.html
const LIBPQ_SERVER: [&str; 4] = ["PGHOST", "PGHOSTADDR", "PGSERVICE", "PGSERVICEFILE"];

/// The other variables of libpq, which change connections to the server of DATABASE_URL.
const LIBPQ: [&str; 31] = [
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
];

/// Reads a variable. An empty one counts as unset.
fn value(name: &str) -> Option<String> {
    env::var_os(name).map(|value| value.to_string_lossy().into_owned()).filter(|value| !value.is_empty())
}

/// Refuses settings of OpenTelemetry that traces do not follow.
pub(super) fn check_opentelemetry(problems: &mut Problems) {
    for (name, honoured) in OPENTELEMETRY {
        let Some(value) = value(name).filter(|value| !honoured.contains(&value.as_str())) else { continue };
        let remedy = match honoured {
            [] => "unset it".to_owned(),
            [..] => format!("unset it, or use {}", honoured.join(" or ")),
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
