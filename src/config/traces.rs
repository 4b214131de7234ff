//! The settings of traces, by the names that OpenTelemetry has for them.

use clap::Args;
use http::Uri;
use opentelemetry_sdk::trace::Sampler;

use super::Problems;
use crate::traces::Options;

const SAMPLER: &str = "parentbased_always_on";
const RATIO: &str = "1";

/// Where traces go, and which.
#[derive(Debug, Args)]
#[command(next_help_heading = "Settings of traces")]
pub(super) struct Traces {
    /// The collector that traces are sent to, by OTLP over gRPC, such as http://localhost:4317; without it there are no
    /// traces
    #[arg(
        long = "otel-exporter-otlp-endpoint",
        env = "OTEL_EXPORTER_OTLP_ENDPOINT",
        global = true,
        value_name = "URL"
    )]
    endpoint: Option<String>,

    /// Which calls have traces: always_on, always_off, traceidratio, and each with parentbased_ before it, for the
    /// caller to decide who has a trace
    #[arg(
        long = "otel-traces-sampler",
        env = "OTEL_TRACES_SAMPLER",
        global = true,
        default_value = SAMPLER,
        value_name = "SAMPLER"
    )]
    sampler: String,

    /// How many of them for traceidratio, from 0 to 1
    #[arg(
        long = "otel-traces-sampler-arg",
        env = "OTEL_TRACES_SAMPLER_ARG",
        global = true,
        default_value = RATIO,
        value_name = "RATIO"
    )]
    ratio: String,

    /// What the service is called in traces
    #[arg(long = "otel-service-name", env = "OTEL_SERVICE_NAME", global = true, value_name = "NAME")]
    service_name: Option<String>,
}

impl Traces {
    /// The collector; `None` for no traces.
    pub(super) fn endpoint(&self) -> Option<&str> {
        self.endpoint.as_deref().and_then(given)
    }

    /// The settings for a collector.
    pub(super) fn parse(&self, endpoint: &str, problems: &mut Problems) -> Option<Options> {
        let endpoint = problems.check("OTEL_EXPORTER_OTLP_ENDPOINT", collector(endpoint));
        let ratio = problems.check("OTEL_TRACES_SAMPLER_ARG", ratio(given(&self.ratio).unwrap_or(RATIO)));
        // With a ratio that is none, the sampler may still be one.
        let sampler = problems.check(
            "OTEL_TRACES_SAMPLER",
            sampler(given(&self.sampler).unwrap_or(SAMPLER), ratio.unwrap_or(1.0)),
        );
        ratio?;
        Some(Options {
            endpoint: endpoint?,
            sampler: sampler?,
            service_name: self.service_name.as_deref().and_then(given).map(str::to_owned),
        })
    }
}

/// Set to nothing is as good as not set, by OpenTelemetry's rules.
fn given(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

fn collector(text: &str) -> Result<String, String> {
    let is_http = |uri: &Uri| uri.scheme_str() == Some("http") && uri.host().is_some();
    match text.parse() {
        Ok(uri) if is_http(&uri) => Ok(text.to_owned()),
        Ok(_) | Err(_) => {
            Err(format!("{text:?} is no address of a collector; give one such as http://localhost:4317"))
        }
    }
}

fn ratio(text: &str) -> Result<f64, String> {
    let ratio = text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
    ratio.ok_or_else(|| format!("{text:?} is no ratio; give one from 0 to 1, such as 0.01"))
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
            let known = "always_on, always_off, traceidratio or one of them with parentbased_ before it";
            return Err(format!("{name:?} is no sampler; give {known}"));
        }
    };
    Ok(if is_parent_based { Sampler::ParentBased(Box::new(sampler)) } else { sampler })
}
