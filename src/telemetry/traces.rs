//! Traces of calls, sent to a collector by OTLP. No call waits for the collector: a thread of its own sends the spans
//! from a bounded queue.  Without a collector this module has no effect. A call that is not sampled has no span.

use std::borrow::Cow;
use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{
    FutureExt, Span, SpanContext, SpanKind, Status, TraceContextExt, TraceId, TraceState, Tracer,
    TracerProvider,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::resource::{EnvResourceDetector, TelemetryResourceDetector};
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider, SpanData};

/// Set once, when there is a collector.
static TRACER: OnceLock<SdkTracer> = OnceLock::new();

/// Options of the export of traces.
#[derive(Debug, Clone)]
pub struct TraceOptions {
    /// The collector for OTLP over gRPC, such as `http://localhost:4317`.
    pub endpoint: String,
    /// Decides which calls have traces.
    pub sampler: Sampler,
    /// Replaces the service's own name and the one in `OTEL_RESOURCE_ATTRIBUTES`.
    pub service_name: Option<String>,
}

/// The running export of spans.
#[derive(Debug)]
pub struct TraceExport(SdkTracerProvider);

/// Starts to make spans and to send them, on the current runtime.
pub fn start(options: TraceOptions) -> Result<TraceExport, Box<dyn std::error::Error + Send + Sync>> {
    let exporter = SpanExporter::builder().with_tonic().with_endpoint(options.endpoint).build()?;
    let resource = Resource::builder_empty()
        .with_service_name(env!("CARGO_PKG_NAME"))
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_detectors(&[Box::new(EnvResourceDetector::new()), Box::new(TelemetryResourceDetector)])
        .with_attributes(options.service_name.map(|name| KeyValue::new("service.name", name)))
        .build();
    let provider = SdkTracerProvider::builder()
        .with_sampler(options.sampler)
        .with_resource(resource)
        .with_batch_exporter(TransitionLoggingExporter { exporter, is_failing: AtomicBool::new(false) })
        .build();
    TRACER.set(provider.tracer(env!("CARGO_PKG_NAME"))).map_err(|_| "the export of traces runs already")?;
    Ok(TraceExport(provider))
}

impl TraceExport {
    /// Sends the queued spans, within three seconds, and stops.
    pub async fn finish(self) {
        const TIMEOUT: Duration = Duration::from_secs(3);
        // The shutdown blocks its thread, and the runtime must go on sending.
        let sent = tokio::task::spawn_blocking(move || self.0.shutdown_with_timeout(TIMEOUT)).await;
        if !matches!(sent, Ok(Ok(()))) {
            tracing::warn!("the last traces were not sent");
        }
    }
}

/// Span exporter that logs only when exporting starts or stops failing.
#[derive(Debug)]
struct TransitionLoggingExporter {
    exporter: SpanExporter,
    is_failing: AtomicBool,
}

impl opentelemetry_sdk::trace::SpanExporter for TransitionLoggingExporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let sent = self.exporter.export(batch).await;
        match (&sent, self.is_failing.swap(sent.is_err(), Ordering::Relaxed)) {
            (Err(error), false) => {
                tracing::warn!(%error, "trace collector unavailable; traces are dropped");
            }
            (Ok(()), true) => tracing::info!("trace collector available again"),
            (Err(_), true) | (Ok(()), false) => {}
        }
        sent
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

/// The span of a sampled call.
#[derive(Clone)]
pub struct Trace(Context);

impl Trace {
    /// Begins the span of a call that began some time ago, as a child of the caller's span in W3C Trace Context;
    /// `None` when the call is not sampled.
    pub fn begin(
        caller: &dyn Extractor,
        begun: Instant,
        describe: impl FnOnce() -> (Cow<'static, str>, Vec<KeyValue>),
    ) -> Option<Self> {
        let tracer = TRACER.get()?;
        let builder = tracer.span_builder("").with_kind(SpanKind::Server);
        let builder = builder.with_start_time(SystemTime::now() - begun.elapsed());
        let mut span = tracer.build_with_context(builder, &parent(caller));
        if !span.span_context().is_sampled() {
            return None;
        }
        let (name, attributes) = describe();
        span.update_name(name);
        span.set_attributes(attributes);
        Some(Self(Context::new().with_span(span)))
    }

    /// Returns the span of the current call; `None` when the call is not sampled.
    #[must_use]
    pub fn current() -> Option<Self> {
        TRACER.get()?;
        let is_sampled = |context: &Context| context.span().span_context().is_sampled();
        Context::map_current(|context| is_sampled(context).then(|| Self(context.clone())))
    }

    /// Runs work as a part of the call.
    pub async fn around<F: Future>(self, work: F) -> F::Output {
        work.with_context(self.0).await
    }

    /// Returns the trace id.
    #[must_use]
    pub fn id(&self) -> TraceId {
        self.0.span().span_context().trace_id()
    }

    /// Ends the span of the call, with the error type unless the error is the caller's fault.
    pub fn end(self, attributes: Vec<KeyValue>, error: Option<Cow<'static, str>>) {
        let span = self.0.span();
        span.set_attributes(attributes);
        if let Some(error) = error {
            span.set_attribute(KeyValue::new("error.type", error));
            span.set_status(Status::error(""));
        }
        span.end();
    }

    /// Begins the span of a statement that answers `batch` calls at once.
    #[must_use]
    pub fn statement(&self, name: &'static str, batch: usize) -> Option<StatementSpan> {
        let tracer = TRACER.get()?;
        let mut attributes =
            vec![KeyValue::new("db.system.name", "postgresql"), KeyValue::new("db.query.summary", name)];
        if batch > 1 {
            let batch = i64::try_from(batch).unwrap_or(i64::MAX);
            attributes.push(KeyValue::new("db.operation.batch.size", batch));
        }
        let builder = tracer.span_builder(name).with_kind(SpanKind::Client).with_attributes(attributes);
        let span = Box::new(tracer.build_with_context(builder, &self.0));
        Some(StatementSpan { span, error: Some("cancelled".into()) })
    }
}

/// Reads the caller's span, without the caller's trace state.
fn parent(caller: &dyn Extractor) -> Context {
    let given = TraceContextPropagator::new().extract_with_context(&Context::new(), caller);
    let given = given.span().span_context().clone();
    if !given.is_valid() {
        return Context::new();
    }
    let (trace, span, flags) = (given.trace_id(), given.span_id(), given.trace_flags());
    Context::new().with_remote_span_context(SpanContext::new(trace, span, flags, true, TraceState::default()))
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Trace({})", self.id())
    }
}

/// The span of a statement. Dropped before [`StatementSpan::end`], it ends as cancelled.
#[derive(Debug)]
pub struct StatementSpan {
    span: Box<opentelemetry_sdk::trace::Span>,
    error: Option<Cow<'static, str>>,
}

impl StatementSpan {
    /// Ends the span, with the error type when the statement failed.
    pub fn end(mut self, error: Option<Cow<'static, str>>) {
        self.error = error;
    }
}

impl Drop for StatementSpan {
    fn drop(&mut self) {
        if let Some(error) = self.error.take() {
            self.span.set_attribute(KeyValue::new("error.type", error));
            self.span.set_status(Status::error(""));
        }
        self.span.end();
    }
}
