//! Measures the service against the limit of its own database, on one machine and in one run.
//!
//! The works and their yardsticks take turns, so that a machine that changes its pace changes it for both. Every
//! answer is looked at. `--quick` runs everything, too briefly to mean anything.
#![allow(clippy::expect_used, clippy::panic, clippy::cast_precision_loss)]

mod database;
mod http1;
mod http2;
mod load;
mod service;
mod works;

use std::time::{Duration, Instant};

use database::{MILLION, fill, pgbench};
use load::Load;
use service::{KEY, Service};
use works::{Work, works};

/// How often and how long everything is run.
struct Plan {
    rounds: usize,
    time: Duration,
}

/// One turn of a work and its yardstick.
struct Turn {
    rate: f64,
    yardstick: Option<f64>,
    p50: Duration,
    p99: Duration,
    /// Microseconds of processor time a call.
    service: f64,
    database: f64,
    /// The same for the database alone under pgbench.
    pgbench: f64,
}

fn main() {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let plan = if quick {
        Plan { rounds: 1, time: Duration::from_secs(1) }
    } else {
        Plan { rounds: 5, time: Duration::from_secs(5) }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    tokio::task::LocalSet::new().block_on(&runtime, measure(&plan));
}

async fn measure(plan: &Plan) {
    let mut service = Service::start();
    println!("idle: {:.1} MiB", service.memory("VmRSS"));
    fill(&service.sql().await, MILLION).await;
    println!("start on an existing database: {} ms", service.restart().as_millis());

    let works = works();
    let mut turns: Vec<Vec<Turn>> = works.iter().map(|_| Vec::new()).collect();
    for _ in 0..plan.rounds {
        for (work, turns) in works.iter().zip(&mut turns) {
            turns.push(turn(work, &service, plan.time).await);
        }
    }
    print(&works, &turns);
    println!("after all: {:.1} MiB, {:.1} at most", service.memory("VmRSS"), service.memory("VmHWM"));
}

async fn turn(work: &Work, service: &Service, time: Duration) -> Turn {
    let before = service.cost();
    let yardstick = match &work.yardstick {
        Some(script) => {
            let (socket, script) = (service.socket(), script.clone());
            let run = tokio::task::spawn_blocking(move || pgbench(&socket, &script, time));
            Some(run.await.expect("pgbench"))
        }
        None => None,
    };
    let between = service.cost();
    let begun = Instant::now();
    let load = Load {
        address: service.address,
        authorization: format!("Bearer {KEY}"),
        path: work.path.clone(),
        ask: work.ask,
        check: work.check,
        until: begun + time,
    };
    let tally = load.run(work.shape).await;
    let took = begun.elapsed().as_secs_f64();
    let after = service.cost();
    let calls = tally.latencies.len() as f64;
    let transactions = yardstick.unwrap_or(f64::INFINITY) * time.as_secs_f64();
    Turn {
        rate: calls / took,
        yardstick,
        p50: tally.percentile(50),
        p99: tally.percentile(99),
        service: (after.service - between.service) / calls * 1e6,
        database: (after.database - between.database) / calls * 1e6,
        pgbench: (between.database - before.database) / transactions * 1e6,
    }
}

fn print(works: &[Work], turns: &[Vec<Turn>]) {
    println!(
        "| work | a second | p50 µs | p99 µs | pgbench a second | ratio (spread) | µs of service | of database | of database under pgbench |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for (work, turns) in works.iter().zip(turns) {
        let of = |figure: fn(&Turn) -> f64| median(turns.iter().map(figure).collect());
        let mut ratios: Vec<f64> =
            turns.iter().filter_map(|turn| turn.yardstick.map(|yardstick| turn.rate / yardstick)).collect();
        ratios.sort_by(f64::total_cmp);
        let ratio = match (ratios.first(), ratios.last()) {
            (Some(least), Some(most)) => {
                format!("{:.2} ({least:.2} to {most:.2})", median(ratios.clone()))
            }
            _ => "-".to_owned(),
        };
        println!(
            "| {} | {:.0} | {:.0} | {:.0} | {:.0} | {ratio} | {:.1} | {:.1} | {:.1} |",
            work.name,
            of(|turn| turn.rate),
            of(|turn| turn.p50.as_secs_f64() * 1e6),
            of(|turn| turn.p99.as_secs_f64() * 1e6),
            of(|turn| turn.yardstick.unwrap_or_default()),
            of(|turn| turn.service),
            of(|turn| turn.database),
            of(|turn| turn.pgbench),
        );
    }
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or_default()
}
