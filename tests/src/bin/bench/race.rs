//! Variants of the same work, in turns.
//!
//! Each variant has a connection of its own. In a round they take turns in blocks of
//! some milliseconds. A block is a transaction that enters, or does what the variant has
//! instead, outside of what is measured; then come the queries, sent one behind the other
//! without waiting, so that the server is measured and not the way to it. Beside the time
//! on the clock there is the time that the backend ran, which other programs on the
//! machine hardly touch.

use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use tests::Database;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Statement};

use crate::data::{self, Tenant};
use crate::machine;

/// What a query is given.
#[derive(Clone, Copy)]
pub enum Argument {
    Tenant,
    /// The tenant's id as a text, for `set_config`.
    TenantText,
    Token,
    /// The id of one of the tenant's rows.
    Row,
}

/// How a variant is written.
#[derive(Clone, Copy)]
pub struct Way<'a> {
    pub name: &'a str,
    /// What a block begins with, if it is a transaction.
    pub enter: Option<(&'a str, &'a [Argument])>,
    /// SET LOCAL and the like, in that transaction.
    pub set: &'a str,
    pub query: &'a str,
    pub arguments: &'a [Argument],
}

pub struct Variant<'a> {
    way: Way<'a>,
    tenants: &'a [Tenant],
    client: Client,
    backend: i32,
    enter: Option<Statement>,
    query: Statement,
    spent: Spent,
}

/// What the queries of one round took.
#[derive(Clone, Copy, Default)]
pub struct Spent {
    queries: u32,
    time: Duration,
    run: Duration,
}

impl Spent {
    /// Microseconds a query, on the clock.
    pub fn time(self) -> f64 {
        self.time.as_secs_f64() * 1e6 / f64::from(self.queries)
    }

    /// Microseconds a query that the backend ran.
    pub fn run(self) -> f64 {
        self.run.as_secs_f64() * 1e6 / f64::from(self.queries)
    }
}

impl<'a> Variant<'a> {
    pub async fn new(database: &Database, tenants: &'a [Tenant], way: Way<'a>) -> Self {
        let (client, backend) = data::connection(database).await;
        let enter = match way.enter {
            Some((sql, _)) => Some(client.prepare(sql).await.expect(sql)),
            None => None,
        };
        let query = client.prepare(way.query).await.expect(way.query);
        Self {
            way,
            tenants,
            client,
            backend,
            enter,
            query,
            spent: Spent::default(),
        }
    }

    /// One block of so many queries, as the tenant whose turn it is; each as another one
    /// where the query itself enters.
    async fn block(&mut self, turn: usize, queries: usize) {
        let tenant = &self.tenants[turn % self.tenants.len()];
        let client = &self.client;
        if let Some(enter) = &self.enter {
            let set = format!("begin; {}", self.way.set);
            client
                .batch_execute(&set)
                .await
                .expect("a transaction begins");
            let given = self.way.enter.map_or(&[][..], |(_, given)| given);
            let values = Values::new(tenant, 0);
            client
                .query(enter, &values.of(given))
                .await
                .expect("a tenant is entered");
        }
        let values: Vec<_> = (0..queries)
            .map(|n| match self.enter {
                Some(_) => Values::new(tenant, turn + n),
                None => {
                    let at = (turn * queries + n) % self.tenants.len();
                    Values::new(&self.tenants[at], turn)
                }
            })
            .collect();
        let parameters: Vec<_> = values
            .iter()
            .map(|values| values.of(self.way.arguments))
            .collect();

        let (run, start) = (machine::run_time(self.backend), Instant::now());
        let all = parameters
            .iter()
            .map(|parameters| client.query(&self.query, parameters));
        try_join_all(all).await.expect(self.way.query);
        self.spent.time += start.elapsed();
        self.spent.run += Duration::from_nanos(machine::run_time(self.backend) - run);
        self.spent.queries += queries as u32;

        if self.enter.is_some() {
            client.batch_execute("rollback").await.expect("it ends");
        }
    }
}

/// What a turn may give.
struct Values<'a> {
    tenant: &'a Tenant,
    tenant_text: String,
    row: uuid::Uuid,
}

impl<'a> Values<'a> {
    fn new(tenant: &'a Tenant, turn: usize) -> Self {
        let row = tenant.rows[turn % tenant.rows.len()];
        Self {
            tenant,
            tenant_text: tenant.id.to_string(),
            row,
        }
    }

    fn of(&self, arguments: &[Argument]) -> Vec<&(dyn ToSql + Sync)> {
        let of = |argument: &Argument| -> &(dyn ToSql + Sync) {
            match argument {
                Argument::Tenant => &self.tenant.id,
                Argument::TenantText => &self.tenant_text,
                Argument::Token => &self.tenant.token,
                Argument::Row => &self.row,
            }
        };
        arguments.iter().map(of).collect()
    }
}

/// What each variant spent, round by round: `rounds[round][variant]`.
pub async fn run(
    variants: &mut [Variant<'_>],
    rounds: usize,
    seconds: f64,
    queries: usize,
) -> Vec<Vec<Spent>> {
    // Plans, caches and what a connection asks once are made before the clock runs.
    for turn in 0..8 {
        for variant in &mut *variants {
            variant.block(turn, queries).await;
        }
    }
    let mut all = Vec::new();
    let mut turn = 0;
    for _ in 0..rounds {
        variants
            .iter_mut()
            .for_each(|variant| variant.spent = Spent::default());
        let end = Instant::now() + Duration::from_secs_f64(seconds * variants.len() as f64);
        while Instant::now() < end {
            for variant in &mut *variants {
                variant.block(turn, queries).await;
            }
            turn += 1;
        }
        all.push(variants.iter().map(|variant| variant.spent).collect());
    }
    all
}
