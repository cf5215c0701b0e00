//! A row that becomes another tenant's while somebody waits to write it.

use tests::World;

#[tokio::test]
async fn who_waits_for_a_row_does_not_get_what_another_tenant_has_by_then() {
    let world = World::new().await;
    let alice = world.api.owner_of("Acme").await;
    let bob = world.api.owner_of("Globex").await;
    let admin = world.database.superuser().await;
    admin
        .batch_execute(
            "create schema shop; grant usage on schema shop to tenancy_app;
             create table shop.docs (id int primary key, title text);
             create table shop.notes (id int primary key, doc_id int);
             select tenancy.isolate_table('shop.docs'), tenancy.isolate_table('shop.notes')",
        )
        .await
        .expect("two tables");
    let (acme, globex) = (&alice.tenant_id, &bob.tenant_id);
    admin
        .batch_execute(&format!(
            "insert into shop.docs (tenant_id, id, title) select '{acme}', i, 'as it was' from generate_series(1, 500) as i;
             insert into shop.notes (tenant_id, id, doc_id) values ('{acme}', 1, 1);
             analyze shop.docs; analyze shop.notes"
        ))
        .await
        .expect("rows");
    for writing in [
        "update shop.docs set title = 'changed' where id = 1 returning id",
        "update shop.docs as d set title = 'changed' from shop.notes as n
         where n.id = 1 and d.id = n.doc_id returning d.id",
        "delete from shop.docs where id = 1 returning id",
        "select id from shop.docs where id = 1 for update",
        "select id from shop.docs where id < 2 order by id limit 1 for no key update",
    ] {
        for kind in ["enable_seqscan = off", "enable_indexscan = off"] {
            let mut client = world.database.connect(&world.database.api_login).await;
            let prepared = client.prepare(writing).await.expect(writing);
            admin
                .batch_execute(&format!(
                    "begin; update shop.docs set tenant_id = '{globex}' where id = 1"
                ))
                .await
                .expect("the row is moved");
            let transaction = client.transaction().await.expect("a transaction");
            transaction
                .batch_execute(&format!(
                    "set local {kind}; set local enable_hashjoin = off"
                ))
                .await
                .expect(kind);
            transaction
                .execute("select tenancy.enter($1)", &[&alice.token])
                .await
                .expect("she enters");
            let (written, ()) = tokio::join!(transaction.query(&prepared, &[]), async {
                world.database.until_waiting(1).await;
                admin.batch_execute("commit").await.expect("it is Globex's");
            });
            assert!(written.expect(writing).is_empty(), "{kind}: {writing}");
            transaction.commit().await.expect("nothing was done");
            let left = world
                .database
                .count("shop.docs", "id = 1 and title = 'as it was'");
            assert_eq!(left.await, 1, "{kind}: {writing}");
            admin
                .batch_execute(&format!(
                    "update shop.docs set tenant_id = '{acme}' where id = 1"
                ))
                .await
                .expect("the row is back");
        }
    }
}
