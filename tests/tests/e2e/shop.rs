//! A web shop made after the usual tutorials: taken over, served, dumped, released.

use serde_json::json;

use crate::schemas::{Product, Session};

const TABLES: &[&str] = &[
    "shop.customers",
    "shop.products",
    "shop.orders",
    "shop.order_lines",
    r#"shop."Event Log""#,
];

#[tokio::test]
async fn three_merchants_in_one_shop_are_kept_apart() {
    let shop = Product::new(TABLES).await;
    let mut merchants = Vec::new();
    for name in ["acme", "globex", "initech"] {
        merchants.push(shop.world.api.owner_of(name).await);
    }
    // The rows know their merchants by the tenants' ids.
    shop.run(include_str!("schemas/shop.sql")).await;
    shop.run(include_str!("schemas/shop_isolated.sql")).await;
    assert_eq!(shop.isolated().await.len(), TABLES.len());
    shop.assert_sound().await;

    let database = &shop.world.database;
    for merchant in &merchants {
        let mut session = Session::of(database, merchant).await;
        for (table, rows) in TABLES.iter().zip([10, 5, 10, 30, 30]) {
            let query = format!("select count(*) from {table}");
            assert_eq!(session.number(&query).await, rows, "{table}");
        }
        assert_eq!(
            session
                .number("select sum(amount)::bigint from shop.turnover")
                .await,
            10 * 21
        );
        // A partition has a wall of its own, and no grants.
        for partition in ["shop.events_2026_0", r#""Shop Archive".events_2025"#] {
            let query = format!("select 1 from {partition}");
            assert_eq!(session.refusal(&query).await, "42501", "{partition}");
        }
    }

    let mut acme = Session::of(database, &merchants[0]).await;
    let globex = Session::of(database, &merchants[1]).await;
    let customers = globex
        .answer(r#"tenancy.list_rows('shop.customers', '{"limit":1}')"#)
        .await;
    let customer = &customers["data"][0];
    // The same address and the same number are free for another merchant.
    let fields = json!({"email": customer["email"], "name": "Bo"});
    let bo = acme
        .answer(&format!("tenancy.insert_row('shop.customers', '{fields}')"))
        .await;
    assert_eq!(bo["email"], customer["email"]);
    let fields = json!({"customerId": bo["id"], "number": 11});
    let order = acme
        .answer(&format!("tenancy.insert_row('shop.orders', '{fields}')"))
        .await;
    assert_eq!(order["number"], 11);
    assert_eq!(
        globex
            .answer(&format!(
                "tenancy.get_row('shop.orders', '{}')",
                order["id"].as_str().expect("an id")
            ))
            .await,
        json!(null)
    );
    assert_eq!(
        acme.refusal(&format!(
            "select tenancy.insert_row('shop.orders', '{}')",
            json!({"customerId": customer["id"], "number": 12})
        ))
        .await,
        "TN411"
    );

    let restored = shop.restored().await;
    let mut session = Session::of(&restored, &merchants[0]).await;
    assert_eq!(session.number("select count(*) from shop.orders").await, 11);
    // Without the tenant the number would not be unique any more.
    shop.run("update shop.orders set number = number + 1000 where number = 11 and customer_id = (select max(id) from shop.customers)")
        .await;
    shop.release(&merchants[0]).await;
}
