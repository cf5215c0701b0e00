//! What is rolled back, what is prepared, and transactions with an older snapshot.

use tests::{Cluster, Database, Durability};

use super::{Place, enter};

/// Neither by the one who rolls it back, nor by others.
#[tokio::test]
async fn what_is_rolled_back_is_remembered_by_nobody() {
    let place = Place::new().await;
    let token = place.token();
    let (dba, other) = (&place.dba, place.database.superuser().await);
    place
        .change("update tenancy.memberships set role = 'viewer'")
        .await;
    for end in ["rollback", "rollback to savepoint s; commit"] {
        dba.batch_execute("begin; savepoint s; update tenancy.memberships set role = 'owner'")
            .await
            .unwrap();
        for _ in 0..2 {
            assert_eq!(enter(dba, &token).await, "owner");
            assert_eq!(place.enter(&token).await, "viewer");
            assert_eq!(enter(&other, &token).await, "viewer");
        }
        dba.batch_execute(end).await.unwrap();
        for client in [dba, &place.client, &other] {
            assert_eq!(enter(client, &token).await, "viewer", "{end}");
        }
    }
}

#[tokio::test]
async fn an_old_snapshot_hears_it_too() {
    let place = Place::new().await;
    let token = place.token();
    place.warm(&token).await;
    for level in ["repeatable read", "serializable"] {
        place
            .client
            .batch_execute(&format!(
                "begin isolation level {level}; select 1 from pg_class limit 1"
            ))
            .await
            .unwrap();
        place
            .change("update tenancy.tenants set status = 'suspended'")
            .await;
        assert_eq!(place.enter(&token).await, "TN004", "{level}");
        place.client.batch_execute("rollback").await.unwrap();
        place
            .change("update tenancy.tenants set status = 'active'")
            .await;
        place.warm(&token).await;
    }
}

/// The one who sends the messages may be another than the one who prepared them.
#[tokio::test]
async fn a_prepared_transaction_tells_at_its_commit() {
    let cluster = Cluster::of_its_own(Durability::None);
    let admin = Database::on(cluster).await.superuser().await;
    admin
        .batch_execute("alter system set max_prepared_transactions = 4")
        .await
        .unwrap();
    drop(admin);
    cluster.stop();
    cluster.start();
    let place = Place::on(Database::on(cluster).await).await;
    let token = place.token();
    place.warm(&token).await;
    place
        .change("begin; update tenancy.tenants set status = 'suspended'; prepare transaction 'end'")
        .await;
    assert_eq!(place.enter(&token).await, "admin");
    let other = place.database.superuser().await;
    other.batch_execute("commit prepared 'end'").await.unwrap();
    assert_eq!(place.enter(&token).await, "TN004");
}
