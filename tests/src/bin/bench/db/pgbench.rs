//! pgbench, the client that costs least: one connection, prepared statements, each query
//! a transaction and a round trip.

use std::fs;

use serde_json::json;
use tests::postgres::output_of;

use super::Bench;
use crate::report::{Report, Target, median};

/// A script of one query, in which `:token`, `:tenant` and `:row` may stand.
pub struct Script<'a> {
    pub name: &'a str,
    pub query: &'a str,
}

impl Bench<'_> {
    /// What each script takes in microseconds, `rounds[round][script]`. They take turns.
    pub fn round_trips(&self, scripts: &[Script<'_>]) -> Vec<Vec<f64>> {
        let files: Vec<_> = scripts
            .iter()
            .enumerate()
            .map(|(number, script)| {
                let path = self.database.file(&format!("{number}.pgbench"));
                fs::write(&path, format!("{};\n", script.query)).expect("the folder is writable");
                path
            })
            .collect();
        // Some hundred milliseconds each, so that what else the machine does hits all.
        let turns = (self.options.seconds * 4.0).ceil() as usize;
        (0..self.options.rounds)
            .map(|_| {
                let mut all = vec![Vec::new(); scripts.len()];
                for _ in 0..turns {
                    for (times, file) in all.iter_mut().zip(&files) {
                        times.push(self.pgbench(&file.display().to_string()));
                    }
                }
                all.iter().map(|times| median(times)).collect()
            })
            .collect()
    }

    fn pgbench(&self, file: &str) -> f64 {
        let tenant = &self.tenants[self.tenants.len() / 2];
        let mut command = self
            .database
            .program("pgbench", Some(&self.database.api_login));
        command.args(["-n", "-M", "prepared", "-t", "4000", "-f", file]);
        for (name, value) in [
            ("token", tenant.token.as_str()),
            ("tenant", &tenant.id.to_string()),
            ("row", &tenant.rows[0].to_string()),
        ] {
            command.arg("-D").arg(format!("{name}={value}"));
        }
        let said = output_of(&mut command);
        let per_second = said.lines().find_map(|line| {
            line.strip_prefix("tps = ")?
                .split(' ')
                .next()?
                .parse::<f64>()
                .ok()
        });
        1e6 / per_second.unwrap_or_else(|| panic!("pgbench said: {said}"))
    }

    /// What a request as one statement reaches of the hand-written query's throughput.
    pub fn request(&self, name: &str, by_hand: &str, request: &str, report: &mut Report) {
        let name = format!("one statement, {name}: enter and row function ÷ the query by hand");
        if !self.options.wants(&name) {
            return;
        }
        let scripts = [
            Script {
                name: "nothing",
                query: "select 1",
            },
            Script {
                name: "by hand",
                query: by_hand,
            },
            Script {
                name: "enter",
                query: "select tenancy.enter(:token)",
            },
            Script {
                name: "request",
                query: request,
            },
        ];
        let rounds = self.round_trips(&scripts);
        let ratios: Vec<_> = rounds.iter().map(|times| times[1] / times[3]).collect();
        let micros: serde_json::Map<_, _> = scripts
            .iter()
            .enumerate()
            .map(|(at, script)| {
                let times: Vec<_> = rounds.iter().map(|times| times[at]).collect();
                (script.name.to_owned(), json!(median(&times)))
            })
            .collect();
        report.add(
            &name,
            "",
            &ratios,
            Target::AtLeast(0.90),
            json!({"microseconds": micros}),
        );
    }
}
