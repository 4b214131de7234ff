//! Five times as many calls as can be served, whatever comes of them.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::grpc::Caller;
use crate::load::{Load, Shape, percentile};
use crate::report::{Bar, Spread, head, row};
use crate::service::Service;
use crate::works::{HEALTH, SERVING, Work};

const TIMES: f64 = 5.0;

/// How many connections make the calls, and how many calls each may have under way: more than the service takes on at
/// once, so that the pace and not the answers say when the next is made.
const CONNECTIONS: u32 = 32;
const IN_FLIGHT: usize = 250;

/// What came of one turn.
pub struct Turn {
    /// Calls a second that were served when no more were made than can be.
    best: f64,
    made: f64,
    served: f64,
    refusals: Vec<Duration>,
    checks: Vec<Duration>,
    /// The most memory of the service, in MiB.
    peak: f64,
}

pub async fn turn(work: &Work, service: &Service, time: Duration) -> Turn {
    let second = |calls: usize| calls as f64 / time.as_secs_f64();
    let tally = work.load(service, Instant::now() + time).run(work.shape).await;
    let best = second(tally.latencies.len());
    service.forget_peak();
    let pace = Some(best * TIMES / f64::from(CONNECTIONS));
    let load = Load { pace, ..work.load(service, Instant::now() + time) };
    let shape = Shape::Grpc { connections: CONNECTIONS as usize, in_flight: IN_FLIGHT };
    let (tally, checks) = tokio::join!(load.run(shape), checks(service, time));
    Turn {
        best,
        made: second(tally.latencies.len() + tally.refusals.len()),
        served: second(tally.latencies.len()),
        refusals: tally.refusals,
        checks,
        peak: service.memory("VmHWM"),
    }
}

/// How long health checks take meanwhile.
async fn checks(service: &Service, time: Duration) -> Vec<Duration> {
    const PAUSE: Duration = Duration::from_millis(20);
    let (mut caller, until, mut times) =
        (Caller::open(service.address).await, Instant::now() + time, Vec::new());
    while Instant::now() < until {
        let (answer, took) = caller.call(HEALTH, &[]).await;
        assert_eq!(answer, SERVING, "it is healthy");
        times.push(took);
        sleep(PAUSE).await;
    }
    times.sort_unstable();
    times
}

pub fn print(works: &[&Work], turns: &[Vec<Turn>]) {
    head(&[
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
    for (work, turns) in works.iter().zip(turns) {
        let of = |figure: &dyn Fn(&Turn) -> f64| Spread::of(turns.iter().map(figure)).median;
        let whole = |figure: &dyn Fn(&Turn) -> f64| format!("{:.0}", of(figure));
        let ms =
            |times: &dyn Fn(&Turn) -> Duration| format!("{:.1}", of(&|turn| times(turn).as_secs_f64() * 1e3));
        let kept = Spread::of(turns.iter().map(|turn| turn.served / turn.best));
        let bar = Bar::AtLeast(0.9).of(kept);
        row(&[
            &[
                work.name.to_owned(),
                whole(&|turn| turn.best),
                whole(&|turn| turn.made),
                whole(&|turn| turn.served),
                kept.to_string(),
            ],
            &bar,
            &[
                ms(&|turn| percentile(&turn.refusals, 50)),
                ms(&|turn| percentile(&turn.refusals, 99)),
                ms(&|turn| percentile(&turn.checks, 50)),
                ms(&|turn| percentile(&turn.checks, 99)),
                format!("{:.1}", of(&|turn| turn.peak)),
            ],
        ]);
    }
}
