//! Queries within a tenant, entering, and whole requests.

use serde_json::json;

use super::{BY_HAND, Bench, ENTER, TUTORIAL, ratios, ratios_median};
use crate::data;
use crate::race::Argument::{self, *};
use crate::race::{self, Variant, Way};
use crate::report::{Report, Target};

/// What everybody does: by hand, then under the wall, then as it is often done.
struct Query {
    name: &'static str,
    by_hand: &'static str,
    arguments_by_hand: &'static [Argument],
    /// With `TABLE` for the table, which has a policy.
    isolated: &'static str,
    arguments: &'static [Argument],
    /// So many in a block.
    number: usize,
}

const QUERIES: [Query; 5] = [
    Query {
        name: "get by id",
        by_hand: "select * from bench.hand where tenant_id = $1 and id = $2",
        arguments_by_hand: &[Tenant, Row],
        isolated: "select * from bench.TABLE where id = $1",
        arguments: &[Row],
        number: 50,
    },
    Query {
        name: "list 20",
        by_hand: "select * from bench.hand where tenant_id = $1 order by id desc limit 20",
        arguments_by_hand: &[Tenant],
        isolated: "select * from bench.TABLE order by id desc limit 20",
        arguments: &[],
        number: 50,
    },
    Query {
        name: "insert",
        by_hand: "insert into bench.hand (tenant_id, title) values ($1, 'A new one') returning id",
        arguments_by_hand: &[Tenant],
        isolated: "insert into bench.TABLE (title) values ('A new one') returning id",
        arguments: &[],
        number: 50,
    },
    Query {
        name: "update",
        by_hand: "update bench.hand set status = 'done' where tenant_id = $1 and id = $2",
        arguments_by_hand: &[Tenant, Row],
        isolated: "update bench.TABLE set status = 'done' where id = $1",
        arguments: &[Row],
        number: 10,
    },
    Query {
        name: "count",
        by_hand: "select count(*) from bench.hand where tenant_id = $1",
        arguments_by_hand: &[Tenant],
        isolated: "select count(*) from bench.TABLE",
        arguments: &[],
        number: 20,
    },
];

pub async fn queries(bench: &Bench<'_>, report: &mut Report) {
    for query in &QUERIES {
        let [ours, tutorial, chosen] =
            ["ours", "tutorial", "chosen"].map(|table| query.isolated.replace("TABLE", table));
        let tutorial = match query.name {
            "insert" => {
                "insert into bench.tutorial (tenant_id, title)
                 values (current_setting('app.current_tenant_id')::uuid, 'A new one') returning id"
            }
            _ => &tutorial,
        };
        let way = |name, enter, query| Way {
            name,
            enter: Some(enter),
            // Workers are processes of their own, whose time isn't the backend's.
            set: "set local max_parallel_workers_per_gather = 0",
            query,
            arguments: &[],
        };
        let by_hand = Way {
            arguments: query.arguments_by_hand,
            ..way("by hand", BY_HAND, query.by_hand)
        };
        let isolated = |name, enter, sql| Way {
            arguments: query.arguments,
            ..way(name, enter, sql)
        };
        let ways = [
            by_hand,
            isolated("isolated", ENTER, &ours),
            isolated("the tutorial's policy", TUTORIAL, tutorial),
            isolated("policy with (select …)", ENTER, &chosen),
        ];
        // Counting a million rows takes long enough by itself.
        let number = if bench.data.starts_with("the one") && query.name == "count" {
            1
        } else {
            query.number
        };
        let target = Target::AtLeast(0.97);
        bench
            .throughput(query.name, &ways, number, target, report)
            .await;
    }
}

/// Every row is looked at, and the tenant is a filter.
pub async fn scans(bench: &Bench<'_>, report: &mut Report) {
    const NAME: &str = "full scan";
    let way = |name, enter, query, arguments| Way {
        name,
        enter: Some(enter),
        set: "set local enable_indexscan = off; set local enable_bitmapscan = off;
              set local enable_indexonlyscan = off; set local max_parallel_workers_per_gather = 0",
        query,
        arguments,
    };
    let ways = [
        way(
            "by hand",
            BY_HAND,
            "select count(*) from bench.hand where tenant_id = $1 and status = 'todo'",
            &[Tenant][..],
        ),
        way(
            "isolated",
            ENTER,
            "select count(*) from bench.ours where status = 'todo'",
            &[],
        ),
        way(
            "the tutorial's policy",
            TUTORIAL,
            "select count(*) from bench.tutorial where status = 'todo'",
            &[],
        ),
        way(
            "policy with (select …)",
            ENTER,
            "select count(*) from bench.chosen where status = 'todo'",
            &[],
        ),
    ];
    bench
        .time(NAME, &ways, 1, Target::AtMost(1.3), report)
        .await;
}

/// What `enter` takes of the server, over a statement that does nothing.
pub async fn entering(bench: &Bench<'_>, report: &mut Report) {
    const NAME: &str = "enter(token), server time";
    const NEW: &str = "enter(token) that the connection hasn't seen, server time";
    let way = |name, query, arguments| Way {
        name,
        enter: None,
        set: "",
        query,
        arguments,
    };
    let ways = [
        way("nothing", "select $1::text", &[Token][..]),
        way("enter", "select tenancy.enter($1)", &[Token]),
        way(
            "enter a tenant that is named",
            "select tenancy.enter($1, $2)",
            &[Token, TenantText],
        ),
    ];
    let named = [
        (1, NAME, Target::AtMost(20.0)),
        (2, "enter(token, tenant), server time", Target::None),
    ];
    entering_as(bench, &ways, &named, report).await;
    // More tokens than a connection remembers.
    let many = data::with_more_tokens(bench.database, bench.tenants, 20_000).await;
    let bench = Bench::new(bench.options, bench.data, bench.database, &many);
    let ways = &ways[..2];
    entering_as(&bench, ways, &[(1, NEW, Target::None)], report).await;
}

/// The ways of these numbers, over the first one.
async fn entering_as(
    bench: &Bench<'_>,
    ways: &[Way<'_>],
    named: &[(usize, &str, Target)],
    report: &mut Report,
) {
    if !bench.options.wants(named[0].1) {
        return;
    }
    let rounds = bench.race(ways, 50).await;
    for &(at, name, target) in named {
        report.add(
            name,
            "µs",
            &ratios(&rounds, |spent| spent[at].run() - spent[0].run()),
            target,
            json!({"onTheClock": ratios_median(&rounds, |spent| spent[at].time() - spent[0].time())}),
        );
    }
}

/// A whole request as one statement, against the hand-written query alone.
pub fn requests(bench: &Bench<'_>, report: &mut Report) {
    for (name, by_hand, request) in [
        (
            "get by id",
            "select * from bench.hand where tenant_id = :tenant and id = :row",
            "select tenancy.enter(:token), tenancy.get_row('bench.ours', :row)",
        ),
        (
            "list 20",
            "select * from bench.hand where tenant_id = :tenant order by id desc limit 20",
            "select tenancy.enter(:token), tenancy.list_rows('bench.ours', '{\"limit\": 20}')",
        ),
        (
            "insert",
            "insert into bench.hand (tenant_id, title) values (:tenant, 'A new one') returning *",
            "select tenancy.enter(:token), tenancy.insert_row('bench.ours', '{\"title\": \"A new one\"}')",
        ),
    ] {
        bench.request(name, by_hand, request, report);
    }
}

/// Whether it matters how many tenants there are.
pub async fn many_and_few(many: &Bench<'_>, few: &Bench<'_>, report: &mut Report) {
    const NAME: &str = "list 20, 50,000 tenants ÷ 10";
    if !many.options.wants(NAME) {
        return;
    }
    let list = &QUERIES[1];
    let isolated = list.isolated.replace("TABLE", "ours");
    let ways = [
        (BY_HAND, list.by_hand, list.arguments_by_hand),
        (ENTER, isolated.as_str(), list.arguments),
    ];
    let mut variants = Vec::new();
    for (enter, query, arguments) in ways {
        for bench in [few, many] {
            let way = Way {
                name: bench.data,
                enter: Some(enter),
                set: "",
                query,
                arguments,
            };
            variants.push(Variant::new(bench.database, bench.tenants, way).await);
        }
    }
    let options = many.options;
    let rounds = race::run(&mut variants, options.rounds, options.seconds, 50).await;
    report.add(
        NAME,
        "",
        &ratios(&rounds, |spent| spent[2].run() / spent[3].run()),
        Target::AtLeast(0.95),
        json!({
            "byHand": ratios_median(&rounds, |spent| spent[0].run() / spent[1].run()),
            "onTheClock": ratios_median(&rounds, |spent| spent[2].time() / spent[3].time()),
        }),
    );
}
