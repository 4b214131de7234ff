//! Measures the service against the throughput of its own database, on one machine in one run.
//!
//! The workloads and their baselines alternate, so that a change of the machine's speed affects both. Every
//! response is checked. `--quick` runs everything once, too briefly for meaningful results.
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
mod workloads;

use std::time::Duration;

use database::{MILLION, THOUSAND, fill, reset};
use report::{Limit, Spread, print_environment, print_head, print_row};
use service::Service;
use workloads::{Workload, workloads};

/// The number and duration of the measurements.
struct Plan {
    rounds: usize,
    time: Duration,
    /// The number of creates, moves and deletes each.
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
    print_environment(&million.sql().await).await;
    let (rounds, seconds) = (plan.rounds, plan.time.as_secs());
    println!(
        "Rounds: {rounds}, with {seconds} s for each load. Medians, with the least and the most of the rounds."
    );
    let idle = million.memory("VmRSS");
    fill(&million.sql().await, MILLION).await;
    fill(&thousand.sql().await, THOUSAND).await;
    let starts = Spread::of((0..plan.rounds).map(|_| million.restart().as_secs_f64() * 1e3));

    let (workloads, logging) = (workloads(), million.start_logging());
    let mut measurements: Vec<Vec<throughput::Measurement>> = workloads.iter().map(|_| Vec::new()).collect();
    // A workload that the database limits, and one that the service limits.
    let overloaded: Vec<&Workload> = workloads.iter().filter(|workload| workload.overloaded).collect();
    let mut overloads: Vec<Vec<overload::Measurement>> = overloaded.iter().map(|_| Vec::new()).collect();
    let (mut pairs, mut descendants, mut peak) = (Vec::new(), Vec::new(), 0.0_f64);
    for _ in 0..plan.rounds {
        million.forget_peak();
        for (workload, measurements) in workloads.iter().zip(&mut measurements) {
            let service = if workload.logged { &logging } else { &million };
            measurements.push(throughput::measure(workload, service, plan.time).await);
        }
        peak = peak.max(million.memory("VmHWM"));
        // Only for this measurement: the cluster does not have enough connections for all three services and
        // pgbench.
        let crowded = million.start_overloaded();
        for (workload, measurements) in overloaded.iter().zip(&mut overloads) {
            measurements.push(overload::measure(workload, &crowded, plan.time).await);
        }
        drop(crowded);
        reset(&million.sql().await, MILLION).await;
        reset(&thousand.sql().await, THOUSAND).await;
        pairs.push(compare::measure(&million, &thousand, plan).await);
        peak = peak.max(million.memory("VmHWM"));
        descendants.push(descendants::measure(&million).await);
    }
    throughput::print(&workloads, &measurements);
    compare::print(&pairs);
    descendants::print(&descendants);
    overload::print(&overloaded, &overloads);
    print(idle, million.memory("VmRSS"), peak, starts);
}

/// Prints memory and start-up time.
fn print(idle: f64, after: f64, peak: f64, starts: Spread) {
    print_head(&["the service", "", "bar", "met"]);
    for (name, figure, limit) in [
        ("memory before the first call, MiB", Spread::of([idle]), Limit::AtMost(20.0)),
        ("memory after everything, MiB", Spread::of([after]), Limit::AtMost(80.0)),
        ("most memory but for the descendants, MiB", Spread::of([peak]), Limit::None),
        ("start on an existing database until it serves, ms", starts, Limit::AtMost(200.0)),
    ] {
        print_row(&[&[name.to_owned(), format!("{figure:.1}")], &limit.of(figure)]);
    }
}
