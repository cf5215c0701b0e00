//! `make bench-db`: in the database, against the same tables by hand.

mod figures;
mod pgbench;
mod search;

use serde_json::json;

use crate::data::{self, Tenant};
use crate::race::{self, Argument, Spent, Variant, Way};
use crate::report::{Report, Target, median};
use crate::{Options, race::Argument::*};
use tests::Database;

pub async fn measure(options: &Options, report: &mut Report) {
    let cluster = data::cluster().await;
    let rows = options.scaled(1_000_000, 1_000);

    let small = data::database(cluster, options.scaled(1_000, 100), 100, 0).await;
    let tenants = data::tenants(&small, 1_000).await;
    let bench = Bench::new(options, "1,000 × 100", &small, &tenants);
    figures::queries(&bench, report).await;
    figures::entering(&bench, report).await;
    figures::requests(&bench, report);

    let ten = data::database(cluster, 10, 20, 0).await;
    let few = data::tenants(&ten, 10).await;
    let many = data::database(cluster, options.scaled(50_000, 1_000), 20, 0).await;
    let of_many = data::tenants(&many, 10_000).await;
    let bench = Bench::new(options, "50,000 × 20", &many, &of_many);
    figures::queries(&bench, report).await;
    figures::many_and_few(&bench, &Bench::new(options, "10 × 20", &ten, &few), report).await;

    let mixed = data::database(cluster, options.scaled(10_000, 100), 20, rows).await;
    let tenants = data::tenants(&mixed, 100).await;
    let large = Bench::new(options, "the one of 1,000,000", &mixed, &tenants[..1]);
    figures::queries(&large, report).await;
    figures::scans(&large, report).await;
    let small = Bench::new(options, "small beside 1,000,000", &mixed, &tenants[1..]);
    figures::queries(&small, report).await;

    let texts = data::database(cluster, options.scaled(1_000, 10), 1, 0).await;
    let tenants = data::tenants(&texts, 1).await;
    let bench = Bench::new(options, "200,000 among 1,000 × 100", &texts, &tenants);
    search::measure(&bench, report).await;
}

/// A data set, and how long to look at it.
struct Bench<'a> {
    options: &'a Options,
    data: &'a str,
    database: &'a Database,
    tenants: &'a [Tenant],
}

/// What a block begins with.
const BY_HAND: (&str, &[Argument]) = ("select 1", &[]);
const TUTORIAL: (&str, &[Argument]) = (
    "select set_config('app.current_tenant_id', $1, true)",
    &[TenantText],
);
const ENTER: (&str, &[Argument]) = ("select tenancy.enter($1)", &[Token]);

impl<'a> Bench<'a> {
    fn new(
        options: &'a Options,
        data: &'a str,
        database: &'a Database,
        tenants: &'a [Tenant],
    ) -> Self {
        Self {
            options,
            data,
            database,
            tenants,
        }
    }

    /// Each way in turns, so many queries in a block.
    async fn race(&self, ways: &[Way<'_>], queries: usize) -> Vec<Vec<Spent>> {
        let mut variants = Vec::new();
        for &way in ways {
            variants.push(Variant::new(self.database, self.tenants, way).await);
        }
        let (rounds, seconds) = (self.options.rounds, self.options.seconds);
        race::run(&mut variants, rounds, seconds, queries).await
    }

    /// What the second and later ways reach of the first one's throughput, in queries for
    /// a second that the backend runs.
    async fn throughput(
        &self,
        name: &str,
        ways: &[Way<'_>],
        queries: usize,
        target: Target,
        report: &mut Report,
    ) {
        if !self.options.wants(name) {
            return;
        }
        let rounds = self.race(ways, queries).await;
        for (at, way) in ways.iter().enumerate().skip(1) {
            report.add(
                &format!("{name}, {}: {} ÷ {}", self.data, way.name, ways[0].name),
                "",
                &ratios(&rounds, |spent| spent[0].run() / spent[at].run()),
                if at == 1 { target } else { Target::None },
                json!({
                    "onTheClock": ratios_median(&rounds, |spent| spent[0].time() / spent[at].time()),
                    "microseconds": micros(&rounds, at), "byHand": micros(&rounds, 0),
                }),
            );
        }
    }

    /// How much longer the second and later ways take than the first.
    async fn time(
        &self,
        name: &str,
        ways: &[Way<'_>],
        queries: usize,
        target: Target,
        report: &mut Report,
    ) {
        if !self.options.wants(name) {
            return;
        }
        let rounds = self.race(ways, queries).await;
        for (at, way) in ways.iter().enumerate().skip(1) {
            report.add(
                &format!("{name}: time, {} ÷ {}", way.name, ways[0].name),
                "",
                &ratios(&rounds, |spent| spent[at].run() / spent[0].run()),
                if at == 1 { target } else { Target::None },
                json!({
                    "onTheClock": ratios_median(&rounds, |spent| spent[at].time() / spent[0].time()),
                    "microseconds": micros(&rounds, at), "byHand": micros(&rounds, 0),
                }),
            );
        }
    }
}

fn ratios(rounds: &[Vec<Spent>], of: impl Fn(&[Spent]) -> f64) -> Vec<f64> {
    rounds.iter().map(|round| of(round)).collect()
}

fn ratios_median(rounds: &[Vec<Spent>], of: impl Fn(&[Spent]) -> f64) -> f64 {
    median(&ratios(rounds, of))
}

fn micros(rounds: &[Vec<Spent>], at: usize) -> f64 {
    ratios_median(rounds, |spent| spent[at].run())
}
