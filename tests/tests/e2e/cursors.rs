//! Lists are walked while others add and delete rows.

use std::collections::HashMap;

use serde_json::{Value, json};
use tests::Database;
use tokio_postgres::Client;
use uuid::Uuid;

/// 300 things of one tenant, in five ranks and in none, those with an even number to stay.
async fn things() -> (Database, Uuid) {
    let database = Database::new().await;
    let dba = database.superuser().await;
    let row = dba
        .query_one(
            "select tenant_id from tenancy.register_tenant('Acme', null, 'a@acme.example')",
            &[],
        )
        .await
        .unwrap();
    let tenant: Uuid = row.get(0);
    dba.batch_execute(
        "create table public.things (id int primary key, rank int);
         create index on public.things (rank);
         select tenancy.isolate_table('public.things');
         grant select, insert, delete on public.things to tenancy_app",
    )
    .await
    .unwrap();
    dba.execute(
        "insert into public.things (tenant_id, id, rank)
         select $1, n * 10, nullif(n % 6, 5) from generate_series(0, 299) as n",
        &[&tenant],
    )
    .await
    .unwrap();
    (database, tenant)
}

async fn page(client: &Client, tenant: Uuid, query: &Value) -> Value {
    let row = client
        .query_one(
            "select tenancy.list_rows('public.things', $2::text::json)::text
             from tenancy.set_tenant_context($1)",
            &[&tenant, &query.to_string()],
        )
        .await
        .unwrap();
    serde_json::from_str(row.get(0)).unwrap()
}

/// How often each thing is met, on pages of seven; `between` happens after each page.
async fn walk(
    client: &Client,
    tenant: Uuid,
    sort: &str,
    mut between: impl AsyncFnMut(usize),
) -> HashMap<i64, usize> {
    let mut met = HashMap::new();
    let mut query = json!({"sort": sort, "limit": 7});
    for number in 0.. {
        let page = page(client, tenant, &query).await;
        for row in page["data"].as_array().unwrap() {
            *met.entry(row["id"].as_i64().unwrap()).or_default() += 1;
        }
        let Some(cursor) = page.get("nextCursor") else {
            break;
        };
        query["cursor"] = cursor.clone();
        between(number).await;
    }
    met
}

const SORTS: [&str; 5] = ["-id", "rank", "-rank", "rank,-id", "-rank,id"];

fn each_that_stayed_once(met: &HashMap<i64, usize>, sort: &str) {
    assert!(met.values().all(|times| *times == 1), "{sort}: {met:?}");
    for number in (0..300).step_by(2) {
        assert!(met.contains_key(&(number * 10)), "{sort}: {number}");
    }
}

#[tokio::test]
async fn no_row_is_missing_or_twice_while_others_add_and_delete_between_pages() {
    let (database, tenant) = things().await;
    let gateway = database.login(&["tenancy_gateway"]).await;
    let reader = database.connect(&gateway).await;
    let dba = database.superuser().await;
    for sort in SORTS {
        let met = walk(&reader, tenant, sort, async |page| {
            // Rows among those that were met and those that were not, the last one that
            // was met among them.
            let first = (page * 37 % 290) as i32 * 10;
            dba.execute(
                "insert into public.things (tenant_id, id, rank)
                 select $1, $2::int + n, nullif(n % 6, 5) from generate_series(1, 9) as n
                 on conflict do nothing",
                &[&tenant, &first],
            )
            .await
            .unwrap();
            dba.execute(
                "delete from public.things where tenant_id = $1 and id / 10 % 2 = 1 and id % 7 = $2::int",
                &[&tenant, &((page % 7) as i32)],
            )
            .await
            .unwrap();
        })
        .await;
        each_that_stayed_once(&met, sort);
    }
}

#[tokio::test]
async fn no_row_is_missing_or_twice_while_others_add_and_delete_all_the_time() {
    let (database, tenant) = things().await;
    let gateway = database.login(&["tenancy_gateway"]).await;
    let reader = database.connect(&gateway).await;
    let dba = database.superuser().await;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let writing = tokio::spawn(async move {
        let mut turns = 0;
        while !*stopped.borrow() {
            dba.execute(
                "with gone as (delete from public.things where tenant_id = $1 and id % 10 = $2::int)
                 insert into public.things (tenant_id, id, rank)
                 select $1, n * 10 + 1 + ($2::int + 4) % 9, nullif(n % 6, 5) from generate_series(0, 299) as n
                 on conflict do nothing",
                &[&tenant, &(1 + turns % 9)],
            )
            .await
            .unwrap();
            turns += 1;
        }
        turns
    });
    for sort in SORTS {
        let met = walk(&reader, tenant, sort, async |_| {}).await;
        assert!(met.values().all(|times| *times == 1), "{sort}: {met:?}");
        for number in 0..300 {
            assert!(met.contains_key(&(number * 10)), "{sort}: {number}");
        }
    }
    stop.send(true).unwrap();
    assert!(writing.await.unwrap() > 1);
}

#[tokio::test]
async fn a_key_that_was_replaced_elsewhere_ends_cursors_here() {
    let (database, tenant) = things().await;
    let gateway = database.login(&["tenancy_gateway"]).await;
    let reader = database.connect(&gateway).await;
    let dba = database.superuser().await;
    let first = page(&reader, tenant, &json!({"limit": 1})).await;
    let mut query = json!({"limit": 1, "cursor": first["nextCursor"]});
    dba.execute("select tenancy.rotate_seal_key()", &[])
        .await
        .unwrap();
    // The old key opens for another day, and the new one seals.
    let second = page(&reader, tenant, &query).await;
    dba.execute(
        "update tenancy.seal_keys set valid_until = now() where valid_until is not null",
        &[],
    )
    .await
    .unwrap();
    let call = "select tenancy.list_rows('public.things', $2::text::json)::text
                from tenancy.set_tenant_context($1)";
    let refused = reader.query_one(call, &[&tenant, &query.to_string()]).await;
    let error = refused.unwrap_err();
    assert_eq!(error.code().map(|code| code.code()), Some("TN415"));
    query["cursor"] = second["nextCursor"].clone();
    let third = page(&reader, tenant, &query).await;
    assert!(third["nextCursor"].is_string());
}
