//! `make bench`: how fast it is, in ratios to what somebody would write by hand.
//!
//! `bench db`, `bench http`, `bench all`; `bench floor` is the program that the service
//! is measured against. Everything runs on a cluster of its own. Variants take turns in
//! short blocks within one run, so that what else the machine does hits all of them;
//! what is reported is the median of the rounds' ratios. See tests/bench/README.md.

#![forbid(unsafe_code)]

mod data;
mod db;
mod floor;
mod http;
mod load;
mod machine;
mod race;
mod report;

use report::Report;

/// What a run can be given by the environment.
pub struct Options {
    /// How large the data sets are, 1 for those of the documentation.
    pub scale: f64,
    pub rounds: usize,
    /// How long each variant is measured in each round.
    pub seconds: f64,
    /// Only rows whose name has this in it.
    pub only: Option<String>,
}

impl Options {
    fn read() -> Self {
        let number = |name: &str, default: f64| {
            std::env::var(name).map_or(default, |text| {
                text.parse()
                    .unwrap_or_else(|_| panic!("{name} is {text}, which is no number"))
            })
        };
        Self {
            scale: number("BENCH_SCALE", 1.0),
            rounds: number("BENCH_ROUNDS", 5.0) as usize,
            seconds: number("BENCH_SECONDS", 1.0),
            only: std::env::var("BENCH_ONLY").ok(),
        }
    }

    /// So many, in a run of this scale.
    pub fn scaled(&self, number: u32, least: u32) -> u32 {
        ((f64::from(number) * self.scale) as u32).max(least)
    }

    pub fn wants(&self, name: &str) -> bool {
        self.only.as_deref().is_none_or(|only| name.contains(only))
    }
}

#[tokio::main]
async fn main() {
    let what = std::env::args().nth(1).unwrap_or_default();
    if what == "floor" {
        return floor::serve().await;
    }
    let options = Options::read();
    let mut report = Report::new(&options);
    match what.as_str() {
        "db" => db::measure(&options, &mut report).await,
        "http" => http::measure(&options, &mut report).await,
        "all" => {
            db::measure(&options, &mut report).await;
            http::measure(&options, &mut report).await;
        }
        other => panic!("bench db, http or all, and not {other:?}"),
    }
    report.finish();
}
