//! Settings of traces, with the names that OpenTelemetry defines.

use clap::Args;
use http::Uri;
use opentelemetry_sdk::trace::Sampler;

use super::{Checked, Problems};
use crate::telemetry::traces::TraceOptions;

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
const SAMPLER_ARG: &str = "OTEL_TRACES_SAMPLER_ARG";
const DEFAULT_SAMPLER: &str = "parentbased_always_on";
const DEFAULT_RATIO: &str = "1";

#[derive(Debug, Args)]
#[command(next_help_heading = "Traces")]
pub(super) struct TraceSettings {
    /// URL of the collector that receives traces by OTLP over gRPC, such as http://localhost:4317 [default: no traces]
    #[arg(long = "otel-exporter-otlp-endpoint", env = ENDPOINT, value_name = "URL")]
    endpoint: Option<String>,

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
    /// Without a collector, the other settings are not checked.
    pub(super) fn check(&self, problems: &mut Problems) -> Checked<Option<TraceOptions>> {
        let Some(endpoint) = self.endpoint.as_deref().and_then(non_empty) else { return Some(None) };
        let endpoint = problems.check(ENDPOINT, collector(endpoint));
        let ratio = problems.check(SAMPLER_ARG, ratio(non_empty(&self.ratio).unwrap_or(DEFAULT_RATIO)));
        // With an invalid ratio, the sampler is checked all the same.
        let sampler = sampler(non_empty(&self.sampler).unwrap_or(DEFAULT_SAMPLER), ratio.unwrap_or(1.0));
        let sampler = problems.check(SAMPLER, sampler);
        ratio?;
        let service_name = self.service_name.as_deref().and_then(non_empty).map(str::to_owned);
        Some(Some(TraceOptions { endpoint: endpoint?, sampler: sampler?, service_name }))
    }
}

/// An empty value counts as unset, by OpenTelemetry's rules.
fn non_empty(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
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
