//! The table that a run ends with, and the same as JSON.

use serde_json::{Value, json};

use crate::{Options, machine};

#[derive(Clone, Copy)]
pub enum Target {
    AtLeast(f64),
    AtMost(f64),
    /// For comparison.
    None,
}

impl Target {
    fn is_reached(self, value: f64) -> Option<bool> {
        match self {
            Self::AtLeast(target) => Some(value >= target),
            Self::AtMost(target) => Some(value <= target),
            Self::None => None,
        }
    }

    fn write(self) -> String {
        match self {
            Self::AtLeast(target) => format!("≥ {target}"),
            Self::AtMost(target) => format!("≤ {target}"),
            Self::None => String::new(),
        }
    }
}

pub struct Report {
    machine: Value,
    rows: Vec<Value>,
}

impl Report {
    pub fn new(options: &Options) -> Self {
        Self {
            machine: json!({
                "machine": machine::describe(),
                "scale": options.scale, "rounds": options.rounds, "seconds": options.seconds,
            }),
            rows: Vec::new(),
        }
    }

    /// A figure with the values of its rounds; the median counts.
    pub fn add(&mut self, name: &str, unit: &str, rounds: &[f64], target: Target, more: Value) {
        let value = median(rounds);
        let is_reached = target.is_reached(value);
        let mark = is_reached.map_or("", |reached| if reached { "yes" } else { "NO" });
        eprintln!(
            "{name:<66} {value:>9.3} {unit:<6} {:<8} {mark}",
            target.write()
        );
        self.rows.push(json!({
            "name": name, "value": value, "unit": unit, "rounds": rounds,
            "target": target.write(), "reached": is_reached, "more": more,
        }));
    }

    /// Prints the table as Markdown, and writes the JSON where `BENCH_JSON` says.
    pub fn finish(&self) {
        println!(
            "\n| figure | value | | to reach | reached | on the clock |\n| --- | ---: | --- | --- | --- | ---: |"
        );
        for row in &self.rows {
            let reached = match row["reached"].as_bool() {
                Some(true) => "yes",
                Some(false) => "**no**",
                None => "",
            };
            let clock = row["more"]["onTheClock"]
                .as_f64()
                .map_or(String::new(), |value| format!("{value:.2}"));
            println!(
                "| {} | {:.2} | {} | {} | {reached} | {clock} |",
                row["name"].as_str().unwrap_or_default(),
                row["value"].as_f64().unwrap_or(f64::NAN),
                row["unit"].as_str().unwrap_or_default(),
                row["target"].as_str().unwrap_or_default(),
            );
        }
        let path = std::env::var("BENCH_JSON").unwrap_or_else(|_| "bench.json".to_owned());
        let all = json!({"run": self.machine, "rows": self.rows});
        std::fs::write(&path, format!("{all:#}\n"))
            .unwrap_or_else(|error| panic!("can't write {path}: {error}"));
        eprintln!("\nWritten to {path}.");
    }
}

pub fn median(values: &[f64]) -> f64 {
    percentile(values, 0.5)
}

/// The value below which that part of the values lies; in the middle of two for a median
/// of an even number.
pub fn percentile(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else {
        return f64::NAN;
    };
    let at = part * last as f64;
    (sorted[at.floor() as usize] + sorted[at.ceil() as usize]) / 2.0
}
