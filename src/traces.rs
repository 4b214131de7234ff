//! Traces of calls, which go to a collector by OTLP. No call waits for that: spans are kept until they are sent, some
//! thousands at most, by a thread of its own.
//!
//! Without a collector nothing here does anything, and for a call that is not sampled no span is made.

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

use crate::error::Cause;

/// What makes spans, once there is a collector for them.
static TRACER: OnceLock<SdkTracer> = OnceLock::new();

/// Where traces go, and which.
#[derive(Debug, Clone)]
pub struct Options {
    /// The collector, as in `http://localhost:4317`. It is sent OTLP over gRPC.
    pub endpoint: String,
    /// Which calls have traces.
    pub sampler: Sampler,
    /// What the service is called in them, when that is neither its own name nor in `OTEL_RESOURCE_ATTRIBUTES`.
    pub service_name: Option<String>,
}

/// What sends the spans.
#[derive(Debug)]
pub struct Export(SdkTracerProvider);

/// Makes spans from now on, and sends them by the runtime that this is called in.
///
/// # Errors
///
/// That the address of the collector cannot be used, or that spans are made already.
pub fn start(options: Options) -> Result<Export, Cause> {
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
        .with_batch_exporter(Telling { exporter, is_refused: AtomicBool::new(false) })
        .build();
    TRACER.set(provider.tracer(env!("CARGO_PKG_NAME"))).map_err(|_| "traces are made already")?;
    Ok(Export(provider))
}

impl Export {
    /// Sends what is left, for so long at most, and makes no more spans.
    pub async fn finish(self) {
        const PATIENCE: Duration = Duration::from_secs(3);
        // It waits by blocking its thread, while the runtime must go on to send.
        let sent = tokio::task::spawn_blocking(move || self.0.shutdown_with_timeout(PATIENCE)).await;
        if !matches!(sent, Ok(Ok(()))) {
            tracing::warn!("the last traces were not sent");
        }
    }
}

/// Sends spans, and says so when that fails for the first time, and when it works again.
#[derive(Debug)]
struct Telling {
    exporter: SpanExporter,
    is_refused: AtomicBool,
}

impl opentelemetry_sdk::trace::SpanExporter for Telling {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let sent = self.exporter.export(batch).await;
        match (&sent, self.is_refused.swap(sent.is_err(), Ordering::Relaxed)) {
            (Err(error), false) => {
                tracing::warn!(%error, "the collector takes no traces, which are thrown away");
            }
            (Ok(()), true) => tracing::info!("the collector takes traces again"),
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

/// The trace of a call that is sampled, with its span.
#[derive(Clone)]
pub struct Trace(Context);

impl Trace {
    /// Begins the span of a call that began some time ago, below the caller's when that says which one it is (W3C Trace
    /// Context); `None` when it is not sampled.
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

    /// That of the call that this is done for; `None` when it is not sampled.
    #[must_use]
    pub fn current() -> Option<Self> {
        TRACER.get()?;
        let is_sampled = |context: &Context| context.span().span_context().is_sampled();
        Context::map_current(|context| is_sampled(context).then(|| Self(context.clone())))
    }

    /// Does the work as a part of the call.
    pub async fn around<F: Future>(self, work: F) -> F::Output {
        work.with_context(self.0).await
    }

    /// What it is known by.
    #[must_use]
    pub fn id(&self) -> TraceId {
        self.0.span().span_context().trace_id()
    }

    /// Ends the span of the call. The type of an error that is no fault of the caller comes with it.
    pub fn end(self, attributes: Vec<KeyValue>, error: Option<Cow<'static, str>>) {
        let span = self.0.span();
        span.set_attributes(attributes);
        if let Some(error) = error {
            span.set_attribute(KeyValue::new("error.type", error));
            span.set_status(Status::error(""));
        }
        span.end();
    }

    /// Begins the span of a statement of that name, which answers so many of the same kind at once.
    #[must_use]
    pub fn statement(&self, name: &'static str, batch: usize) -> Option<Statement> {
        let tracer = TRACER.get()?;
        let mut attributes =
            vec![KeyValue::new("db.system.name", "postgresql"), KeyValue::new("db.query.summary", name)];
        if batch > 1 {
            let batch = i64::try_from(batch).unwrap_or(i64::MAX);
            attributes.push(KeyValue::new("db.operation.batch.size", batch));
        }
        let builder = tracer.span_builder(name).with_kind(SpanKind::Client).with_attributes(attributes);
        let span = Box::new(tracer.build_with_context(builder, &self.0));
        Some(Statement { span, error: Some("cancelled".into()) })
    }
}

/// The caller's span. What else the caller says of its trace stays out of ours.
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

/// The span of a statement. One that is dropped before its end was given up.
#[derive(Debug)]
pub struct Statement {
    span: Box<opentelemetry_sdk::trace::Span>,
    error: Option<Cow<'static, str>>,
}

impl Statement {
    /// Ends it, with the type of the error when the statement failed.
    pub fn end(mut self, error: Option<Cow<'static, str>>) {
        self.error = error;
    }
}

impl Drop for Statement {
    fn drop(&mut self) {
        if let Some(error) = self.error.take() {
            self.span.set_attribute(KeyValue::new("error.type", error));
            self.span.set_status(Status::error(""));
        }
        self.span.end();
    }
}
