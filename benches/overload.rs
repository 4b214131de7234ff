//! Overload: five times as many calls as the service can serve.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::grpc::Caller;
use crate::load::{Load, Shape, percentile};
use crate::report::{Limit, Spread, print_head, print_row};
use crate::service::Service;
use crate::workloads::{HEALTH, SERVING, Workload};

const TIMES: f64 = 5.0;

/// The connections, and the calls in flight on each: more than the service admits at once, so that the rate,
/// not the responses, determines when the next call is made.
const CONNECTIONS: u32 = 32;
const IN_FLIGHT: usize = 250;

/// The results of one measurement.
pub struct Measurement {
    /// Successful calls a second without overload.
    best: f64,
    made: f64,
    served: f64,
    refusals: Vec<Duration>,
    checks: Vec<Duration>,
    /// The peak memory of the service, in MiB.
    peak: f64,
}

pub async fn measure(workload: &Workload, service: &Service, time: Duration) -> Measurement {
    let second = |calls: usize| calls as f64 / time.as_secs_f64();
    let tally = workload.load(service, Instant::now() + time).run(workload.shape).await;
    let best = second(tally.latencies.len());
    service.forget_peak();
    let pace = Some(best * TIMES / f64::from(CONNECTIONS));
    let load = Load { pace, ..workload.load(service, Instant::now() + time) };
    let shape = Shape::Grpc { connections: CONNECTIONS as usize, in_flight: IN_FLIGHT };
    let (tally, checks) = tokio::join!(load.run(shape), checks(service, time));
    Measurement {
        best,
        made: second(tally.latencies.len() + tally.refusals.len()),
        served: second(tally.latencies.len()),
        refusals: tally.refusals,
        checks,
        peak: service.memory("VmHWM"),
    }
}

/// The latencies of health checks during the overload.
async fn checks(service: &Service, time: Duration) -> Vec<Duration> {
    const PAUSE: Duration = Duration::from_millis(20);
    let (mut caller, until, mut times) =
        (Caller::open(service.address).await, Instant::now() + time, Vec::new());
    while Instant::now() < until {
        let (response, took) = caller.call(HEALTH, &[]).await;
        assert_eq!(response, SERVING, "it is healthy");
        times.push(took);
        sleep(PAUSE).await;
    }
    times.sort_unstable();
    times
}

pub fn print(workloads: &[&Workload], measurements: &[Vec<Measurement>]) {
    print_head(&[
        "five times as many calls as are served at best",
        "best a second",
        "made",
        "served",
        "served against best (spread)",
        "bar",
        "met",
        "ms to a refusal, p50",
        "p99",
        "ms to a health check, p50",
        "p99",
        "most MiB of service",
    ]);
    for (workload, measurements) in workloads.iter().zip(measurements) {
        let of = |figure: &dyn Fn(&Measurement) -> f64| Spread::of(measurements.iter().map(figure)).median;
        let whole = |figure: &dyn Fn(&Measurement) -> f64| format!("{:.0}", of(figure));
        let ms = |times: &dyn Fn(&Measurement) -> Duration| {
            format!("{:.1}", of(&|measure| times(measure).as_secs_f64() * 1e3))
        };
        let kept = Spread::of(measurements.iter().map(|measure| measure.served / measure.best));
        let limit = Limit::AtLeast(0.9).of(kept);
        print_row(&[
            &[
                workload.name.to_owned(),
                whole(&|measure| measure.best),
                whole(&|measure| measure.made),
                whole(&|measure| measure.served),
                kept.to_string(),
            ],
            &limit,
            &[
                ms(&|measure| percentile(&measure.refusals, 50)),
                ms(&|measure| percentile(&measure.refusals, 99)),
                ms(&|measure| percentile(&measure.checks, 50)),
                ms(&|measure| percentile(&measure.checks, 99)),
                format!("{:.1}", of(&|measure| measure.peak)),
            ],
        ]);
    }
}
