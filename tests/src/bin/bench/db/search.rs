//! Conditions that aren't leakproof, with their indexes: `tenancy.trust_operators()`.

use super::{BY_HAND, Bench, ENTER};
use crate::race::Way;
use crate::report::{Report, Target};

const DATA: &str = include_str!("../../../../bench/search.sql");

const CONDITIONS: [(&str, &str); 6] = [
    ("ilike, trigrams", "title ilike '%number4711'"),
    ("full text", "words @@ 'number4711'::tsquery"),
    ("jsonb @>", "data @> '{\"number\": 4711}'"),
    ("array &&", "tags && array['tag4711']"),
    ("range &&", "valid && int4range(4711, 4712)"),
    ("numeric =", "amount = 4711.5"),
];

pub async fn measure(bench: &Bench<'_>, report: &mut Report) {
    if !bench.options.wants("search") {
        return;
    }
    let admin = bench.database.superuser().await;
    let rows = bench.options.scaled(200_000, 10_000).to_string();
    for sql in [&DATA.replace("{rows}", &rows), "vacuum analyze"] {
        admin
            .batch_execute(sql)
            .await
            .expect("the data can be made");
    }
    for (name, condition) in CONDITIONS {
        // With the id in it, as under the wall: with a parameter, PostgreSQL would plan for a
        // tenant of the average size, and read all of this one.
        let tenant = bench.tenants[0].id;
        let by_hand = format!(
            "select id, title from bench.texts_hand where tenant_id = '{tenant}' and {condition}"
        );
        let isolated = format!("select id, title from bench.texts where {condition}");
        let way = |name, enter, query| Way {
            name,
            enter: Some(enter),
            set: "",
            query,
            arguments: &[],
        };
        let ways = [
            way("by hand", BY_HAND, by_hand.as_str()),
            way("isolated", ENTER, isolated.as_str()),
        ];
        let name = format!("search, {name}");
        bench
            .time(&name, &ways, 20, Target::AtMost(1.1), report)
            .await;
    }
}
