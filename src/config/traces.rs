//! Settings of traces, with the names that OpenTelemetry defines.

use clap::Args;
use http::Uri;
use opentelemetry_sdk::trace::Sampler;

use super::environment::check_opentelemetry;
use super::{Checked, Problems, parse};
use crate::telemetry::traces::TraceOptions;

const SDK_DISABLED: &str = "OTEL_SDK_DISABLED";
const EXPORTER: &str = "OTEL_TRACES_EXPORTER";
const TRACES_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
const SAMPLER_ARG: &str = "OTEL_TRACES_SAMPLER_ARG";
const DEFAULT_EXPORTER: &str = "otlp";
const DEFAULT_SAMPLER: &str = "parentbased_always_on";
const DEFAULT_RATIO: &str = "1";

#[derive(Debug, Args)]
#[command(next_help_heading = "Traces")]
pub(super) struct TraceSettings {
    /// URL of the collector that receives traces by OTLP over gRPC, such as http://localhost:4317 [default: no traces]
    #[arg(long = "otel-exporter-otlp-endpoint", env = ENDPOINT, value_name = "URL")]
    endpoint: Option<String>,

    /// URL of the collector for traces alone, which has priority
    #[arg(long = "otel-exporter-otlp-traces-endpoint", env = TRACES_ENDPOINT, value_name = "URL")]
    traces_endpoint: Option<String>,

    /// Whether to disable traces whatever the other settings are: true or false
    #[arg(long = "otel-sdk-disabled", env = SDK_DISABLED, default_value = "false", value_name = "BOOLEAN")]
    sdk_disabled: String,

    /// Exporter of traces: otlp, or none to disable them
    #[arg(long = "otel-traces-exporter", env = EXPORTER, default_value = DEFAULT_EXPORTER, value_name = "EXPORTER")]
    exporter: String,

    /// Sampler: always_on, always_off or traceidratio; with the prefix parentbased_, the decision of the caller has
    /// priority
    #[arg(
        long = "otel-traces-sampler",
        env = SAMPLER,
        default_value = DEFAULT_SAMPLER,
        value_name = "SAMPLER"
    )]
    sampler: String,

    /// Ratio of sampled traces for traceidratio, 0 to 1
    #[arg(
        long = "otel-traces-sampler-arg",
        env = SAMPLER_ARG,
        default_value = DEFAULT_RATIO,
        value_name = "RATIO"
    )]
    ratio: String,

    /// Name of the service in traces
    #[arg(long = "otel-service-name", env = "OTEL_SERVICE_NAME", value_name = "NAME")]
    service_name: Option<String>,
}

impl TraceSettings {
    /// When traces are disabled, or without a collector, the other settings are not checked.
    pub(super) fn check(&self, problems: &mut Problems) -> Checked<Option<TraceOptions>> {
        let is_disabled =
            problems.check(SDK_DISABLED, parse::boolean(non_empty(&self.sdk_disabled).unwrap_or("false")));
        let is_exported =
            problems.check(EXPORTER, exporter(non_empty(&self.exporter).unwrap_or(DEFAULT_EXPORTER)));
        if is_disabled == Some(true) {
            return Some(None);
        }
        check_opentelemetry(problems);
        if is_exported == Some(false) {
            return Some(None);
        }
        let of_traces = self.traces_endpoint.as_deref().and_then(non_empty).map(|url| (TRACES_ENDPOINT, url));
        let of_all = self.endpoint.as_deref().and_then(non_empty).map(|url| (ENDPOINT, url));
        let Some((setting, endpoint)) = of_traces.or(of_all) else {
            return is_disabled.and(is_exported).map(|_| None);
        };
        let endpoint = problems.check(setting, collector(endpoint));
        let ratio = problems.check(SAMPLER_ARG, ratio(non_empty(&self.ratio).unwrap_or(DEFAULT_RATIO)));
        // With an invalid ratio, the sampler is checked all the same.
        let sampler = sampler(non_empty(&self.sampler).unwrap_or(DEFAULT_SAMPLER), ratio.unwrap_or(1.0));
        let sampler = problems.check(SAMPLER, sampler);
        is_disabled.and(is_exported).and(ratio)?;
        let service_name = self.service_name.as_deref().and_then(non_empty).map(str::to_owned);
        Some(Some(TraceOptions { endpoint: endpoint?, sampler: sampler?, service_name }))
    }
}

/// An empty value counts as unset, by OpenTelemetry's rules.
fn non_empty(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// Whether traces are exported.
fn exporter(name: &str) -> Result<bool, String> {
    match name {
        DEFAULT_EXPORTER => Ok(true),
        "none" => Ok(false),
        _ => Err(format!("{name:?} is not a supported exporter of traces; use otlp or none")),
    }
}

fn collector(text: &str) -> Result<String, String> {
    let is_http = |uri: &Uri| uri.scheme_str() == Some("http") && uri.host().is_some();
    match text.parse() {
        Ok(uri) if is_http(&uri) => Ok(text.to_owned()),
        Ok(_) | Err(_) => {
            Err(format!("{text:?} is not a valid URL of a collector; use one such as http://localhost:4317"))
        }
    }
}

fn ratio(text: &str) -> Result<f64, String> {
    let ratio = text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
    ratio.ok_or_else(|| format!("{text:?} is not a valid ratio; use one from 0 to 1, such as 0.01"))
}

fn sampler(name: &str, ratio: f64) -> Result<Sampler, String> {
    let (is_parent_based, root) = match name.strip_prefix("parentbased_") {
        Some(root) => (true, root),
        None => (false, name),
    };
    let sampler = match root {
        "always_on" => Sampler::AlwaysOn,
        "always_off" => Sampler::AlwaysOff,
        "traceidratio" => Sampler::TraceIdRatioBased(ratio),
        _ => {
            let known = "always_on, always_off or traceidratio, with or without the prefix parentbased_";
            return Err(format!("{name:?} is not a valid sampler; use {known}"));
        }
    };
    Ok(if is_parent_based { Sampler::ParentBased(Box::new(sampler)) } else { sampler })
}
