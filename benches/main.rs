//! Measures the service against the limit of its own database, on one machine and in one run.
//!
//! The works and their yardsticks take turns, so that a machine that changes its pace changes it for both. Every
//! answer is looked at. `--quick` runs everything, too briefly to mean anything.
#![allow(clippy::expect_used, clippy::panic, clippy::cast_precision_loss)]

mod compare;
mod database;
mod descendants;
mod grpc;
mod http1;
mod http2;
mod load;
mod overload;
mod report;
mod service;
mod throughput;
mod tonic_client;
mod works;

use std::time::Duration;

use database::{MILLION, THOUSAND, fill, tidy};
use report::{Bar, Spread, head, introduce, row};
use service::Service;
use works::{Work, works};

/// How often and how long everything is run.
struct Plan {
    rounds: usize,
    time: Duration,
    /// Creates, and moves, and deletes.
    writes: u32,
}

fn main() {
    let quick = std::env::args().any(|argument| argument == "--quick");
    let plan = if quick {
        Plan { rounds: 1, time: Duration::from_secs(1), writes: 100 }
    } else {
        Plan { rounds: 5, time: Duration::from_secs(5), writes: 1000 }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    tokio::task::LocalSet::new().block_on(&runtime, measure(&plan));
}

async fn measure(plan: &Plan) {
    let (mut million, thousand) = (Service::start(), Service::start());
    introduce(&million.sql().await).await;
    let (rounds, seconds) = (plan.rounds, plan.time.as_secs());
    println!(
        "Rounds: {rounds}, with {seconds} s for each load. Medians, with the least and the most of the rounds."
    );
    let idle = million.memory("VmRSS");
    fill(&million.sql().await, MILLION).await;
    fill(&thousand.sql().await, THOUSAND).await;
    let starts = Spread::of((0..plan.rounds).map(|_| million.restart().as_secs_f64() * 1e3));

    let (works, logging) = (works(), million.start_logging());
    let mut turns: Vec<Vec<throughput::Turn>> = works.iter().map(|_| Vec::new()).collect();
    // One that the database bounds, and one that the service does.
    let overloaded: Vec<&Work> = works.iter().filter(|work| work.overloaded).collect();
    let mut overloads: Vec<Vec<overload::Turn>> = overloaded.iter().map(|_| Vec::new()).collect();
    let (mut pairs, mut descendants, mut peak) = (Vec::new(), Vec::new(), 0.0_f64);
    for _ in 0..plan.rounds {
        million.forget_peak();
        for (work, turns) in works.iter().zip(&mut turns) {
            let service = if work.logged { &logging } else { &million };
            turns.push(throughput::turn(work, service, plan.time).await);
        }
        peak = peak.max(million.memory("VmHWM"));
        // For this alone, since the cluster has not so many connections for all three and pgbench.
        let crowded = million.start_overloaded();
        for (work, turns) in overloaded.iter().zip(&mut overloads) {
            turns.push(overload::turn(work, &crowded, plan.time).await);
        }
        drop(crowded);
        tidy(&million.sql().await, MILLION).await;
        tidy(&thousand.sql().await, THOUSAND).await;
        pairs.push(compare::turn(&million, &thousand, plan).await);
        peak = peak.max(million.memory("VmHWM"));
        descendants.push(descendants::turn(&million).await);
    }
    throughput::print(&works, &turns);
    compare::print(&pairs);
    descendants::print(&descendants);
    overload::print(&overloaded, &overloads);
    print(idle, million.memory("VmRSS"), peak, starts);
}

/// What the service takes beside the time of calls.
fn print(idle: f64, after: f64, peak: f64, starts: Spread) {
    head(&["the service", "", "bar", "met"]);
    for (name, figure, bar) in [
        ("memory before the first call, MiB", Spread::of([idle]), Bar::AtMost(20.0)),
        ("memory after everything, MiB", Spread::of([after]), Bar::AtMost(80.0)),
        ("most memory but for the descendants, MiB", Spread::of([peak]), Bar::None),
        ("start on an existing database until it serves, ms", starts, Bar::AtMost(200.0)),
    ] {
        row(&[&[name.to_owned(), format!("{figure:.1}")], &bar.of(figure)]);
    }
}
