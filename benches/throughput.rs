//! Calls a second, compared with `pgbench` running the same statement on the same database.

use std::time::{Duration, Instant};

use crate::database::pgbench;
use crate::report::{Spread, print_head, print_row};
use crate::service::Service;
use crate::workloads::Workload;

/// One measurement of a workload and its baseline.
pub struct Measurement {
    rate: f64,
    baseline: Option<f64>,
    p50: Duration,
    p99: Duration,
    /// Processor time per call in microseconds.
    service: f64,
    client: f64,
    database: f64,
    /// The same for the database alone under pgbench.
    pgbench: f64,
}

pub async fn measure(workload: &Workload, service: &Service, time: Duration) -> Measurement {
    let before = service.cost();
    let baseline = match &workload.baseline {
        Some(script) => {
            let (socket, script) = (service.socket(), script.clone());
            let run = tokio::task::spawn_blocking(move || pgbench(&socket, &script, time));
            Some(run.await.expect("pgbench"))
        }
        None => None,
    };
    let between = service.cost();
    let begun = Instant::now();
    let tally = workload.load(service, begun + time).run(workload.shape).await;
    let took = begun.elapsed().as_secs_f64();
    let after = service.cost();
    service.forget_log();
    let calls = tally.latencies.len() as f64;
    let transactions = baseline.unwrap_or(f64::INFINITY) * time.as_secs_f64();
    Measurement {
        rate: calls / took,
        baseline,
        p50: tally.percentile(50),
        p99: tally.percentile(99),
        service: (after.service - between.service) / calls * 1e6,
        client: (after.client - between.client) / calls * 1e6,
        database: (after.database - between.database) / calls * 1e6,
        pgbench: (between.database - before.database) / transactions * 1e6,
    }
}

pub fn print(workloads: &[Workload], measurements: &[Vec<Measurement>]) {
    print_head(&[
        "work",
        "a second",
        "p50 µs",
        "p99 µs",
        "pgbench a second",
        "ratio (spread)",
        "bar",
        "met",
        "µs of service",
        "of client",
        "of database",
        "of database under pgbench",
        "service and database against that (spread)",
        "bar",
        "met",
    ]);
    for (workload, measurements) in workloads.iter().zip(measurements) {
        let of = |figure: fn(&Measurement) -> f64| Spread::of(measurements.iter().map(figure)).median;
        let whole = |figure| format!("{:.0}", of(figure));
        let tenths = |figure| format!("{:.1}", of(figure));
        let calls = [
            workload.name.to_owned(),
            whole(|measure| measure.rate),
            whole(|measure| measure.p50.as_secs_f64() * 1e6),
            whole(|measure| measure.p99.as_secs_f64() * 1e6),
        ];
        let mut against = vec!["-".to_owned(); 4];
        let mut costs = vec!["-".to_owned(); 4];
        if workload.baseline.is_some() {
            let ratio =
                Spread::of(measurements.iter().filter_map(|measure| Some(measure.rate / measure.baseline?)));
            against = vec![whole(|measure| measure.baseline.unwrap_or_default()), ratio.to_string()];
            against.extend(workload.limit.of(ratio));
            let ratio = Spread::of(
                measurements.iter().map(|measure| (measure.service + measure.database) / measure.pgbench),
            );
            costs = vec![tenths(|measure| measure.pgbench), ratio.to_string()];
            costs.extend(workload.cost_limit.of(ratio));
        }
        let cost = [
            tenths(|measure| measure.service),
            tenths(|measure| measure.client),
            tenths(|measure| measure.database),
        ];
        print_row(&[&calls, &against, &cost, &costs]);
    }
}
