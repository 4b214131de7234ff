//! How many calls a second, against `pgbench` with the same statement on the same database.

use std::time::{Duration, Instant};

use crate::database::pgbench;
use crate::report::{Spread, head, row};
use crate::service::Service;
use crate::works::Work;

/// One turn of a work and its yardstick.
pub struct Turn {
    rate: f64,
    yardstick: Option<f64>,
    p50: Duration,
    p99: Duration,
    /// Microseconds of processor time a call.
    service: f64,
    client: f64,
    database: f64,
    /// The same for the database alone under pgbench.
    pgbench: f64,
}

pub async fn turn(work: &Work, service: &Service, time: Duration) -> Turn {
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
    let tally = work.load(service, begun + time).run(work.shape).await;
    let took = begun.elapsed().as_secs_f64();
    let after = service.cost();
    service.forget_log();
    let calls = tally.latencies.len() as f64;
    let transactions = yardstick.unwrap_or(f64::INFINITY) * time.as_secs_f64();
    Turn {
        rate: calls / took,
        yardstick,
        p50: tally.percentile(50),
        p99: tally.percentile(99),
        service: (after.service - between.service) / calls * 1e6,
        client: (after.client - between.client) / calls * 1e6,
        database: (after.database - between.database) / calls * 1e6,
        pgbench: (between.database - before.database) / transactions * 1e6,
    }
}

pub fn print(works: &[Work], turns: &[Vec<Turn>]) {
    head(&[
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
    for (work, turns) in works.iter().zip(turns) {
        let of = |figure: fn(&Turn) -> f64| Spread::of(turns.iter().map(figure)).median;
        let whole = |figure| format!("{:.0}", of(figure));
        let tenths = |figure| format!("{:.1}", of(figure));
        let calls = [
            work.name.to_owned(),
            whole(|turn| turn.rate),
            whole(|turn| turn.p50.as_secs_f64() * 1e6),
            whole(|turn| turn.p99.as_secs_f64() * 1e6),
        ];
        let mut against = vec!["-".to_owned(); 4];
        let mut costs = vec!["-".to_owned(); 4];
        if work.yardstick.is_some() {
            let ratio = Spread::of(turns.iter().filter_map(|turn| Some(turn.rate / turn.yardstick?)));
            against = vec![whole(|turn| turn.yardstick.unwrap_or_default()), ratio.to_string()];
            against.extend(work.bar.of(ratio));
            let ratio = Spread::of(turns.iter().map(|turn| (turn.service + turn.database) / turn.pgbench));
            costs = vec![tenths(|turn| turn.pgbench), ratio.to_string()];
            costs.extend(work.cost_bar.of(ratio));
        }
        let cost = [tenths(|turn| turn.service), tenths(|turn| turn.client), tenths(|turn| turn.database)];
        row(&[&calls, &against, &cost, &costs]);
    }
}
