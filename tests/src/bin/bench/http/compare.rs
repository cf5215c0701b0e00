//! The same load on the service and on the floor, in turns.

use std::time::Duration;

use serde_json::json;

use super::Server;
use crate::load;
use crate::report::{Report, Target, median, percentile};
use crate::{Options, machine};

const CONNECTIONS: usize = 32;

/// Seconds of a turn. What else the machine does changes from second to second, so that many
/// short turns say more than few long ones do in the same time.
const TURN: f64 = 0.2;

/// What one turn of load took.
struct Turn {
    per_second: f64,
    p50: f64,
    p99: f64,
    /// Seconds of the processor's time for a request.
    service: f64,
    postgres: f64,
}

/// Throughput, waiting, and what the processors did, for one kind of request.
pub async fn compare(
    name: &str,
    status: &'static str,
    ask: impl Fn(usize) -> Vec<u8> + Clone + Send + 'static,
    [service, floor]: [&Server; 2],
    postgres: u32,
    options: &Options,
    report: &mut Report,
) {
    if !options.wants(name) {
        return;
    }
    // Both orders take turns, too.
    let seconds = options.rounds as f64 * 2.0 * options.seconds;
    let rounds = options.rounds.max((seconds / TURN).round() as usize);
    let mut pairs = Vec::new();
    for server in [service, floor] {
        turn(server, postgres, 0.5, status, ask.clone()).await;
    }
    for round in 0..rounds {
        let order = if round % 2 == 0 {
            [service, floor]
        } else {
            [floor, service]
        };
        let first = turn(order[0], postgres, TURN, status, ask.clone()).await;
        let second = turn(order[1], postgres, TURN, status, ask.clone()).await;
        pairs.push(if round % 2 == 0 {
            (first, second)
        } else {
            (second, first)
        });
    }
    let ratio = |of: fn(&Turn) -> f64| -> Vec<f64> {
        pairs
            .iter()
            .map(|(ours, floor)| of(ours) / of(floor))
            .collect()
    };
    let each = |of: fn(&Turn) -> f64| {
        let ours: Vec<_> = pairs.iter().map(|(ours, _)| of(ours)).collect();
        let floor: Vec<_> = pairs.iter().map(|(_, floor)| of(floor)).collect();
        json!({"service": median(&ours), "floor": median(&floor)})
    };
    report.add(
        &format!("service, {name}: throughput ÷ floor"),
        "",
        &ratio(|turn| turn.per_second),
        Target::AtLeast(0.85),
        json!({"perSecond": each(|turn| turn.per_second), "p50": each(|turn| turn.p50)}),
    );
    report.add(
        &format!("service, {name}: p99 ÷ floor"),
        "",
        &ratio(|turn| turn.p99),
        Target::AtMost(1.3),
        json!({"milliseconds": each(|turn| turn.p99)}),
    );
    report.add(
        &format!("service, {name}: processor time of the service ÷ floor"),
        "",
        &ratio(|turn| turn.service),
        Target::None,
        json!({"secondsPerRequest": each(|turn| turn.service)}),
    );
    report.add(
        &format!("service, {name}: processor time of PostgreSQL ÷ floor"),
        "",
        &ratio(|turn| turn.postgres),
        Target::None,
        json!({"secondsPerRequest": each(|turn| turn.postgres)}),
    );
}

async fn turn(
    server: &Server,
    postgres: u32,
    seconds: f64,
    status: &'static str,
    ask: impl Fn(usize) -> Vec<u8> + Clone + Send + 'static,
) -> Turn {
    let before = (
        machine::cpu_seconds(server.process),
        machine::cpu_seconds_of_all(postgres),
    );
    let duration = Duration::from_secs_f64(seconds);
    let answers = load::run(server.port, CONNECTIONS, duration, status, ask).await;
    let number = answers.times.len() as f64;
    Turn {
        per_second: answers.per_second(),
        p50: percentile(&answers.times, 0.5),
        p99: percentile(&answers.times, 0.99),
        service: (machine::cpu_seconds(server.process) - before.0) / number,
        postgres: (machine::cpu_seconds_of_all(postgres) - before.1) / number,
    }
}
