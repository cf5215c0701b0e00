//! What hardly ever happens: messages that get lost, rows that come late, triggers that
//! somebody has changed.

use super::Place;

/// PostgreSQL drops messages that it fails to act on: here because a relation that is
/// open has changed, and the catalog can't be read in time.
#[tokio::test]
async fn a_message_that_gets_lost_is_as_if_all_had_changed() {
    let place = Place::new().await;
    let token = place.token();
    let client = &place.client;
    place.warm(&token).await;
    client
        .batch_execute("set statement_timeout = '1 s'")
        .await
        .unwrap();
    client.batch_execute("begin").await.unwrap();
    assert_eq!(place.enter(&token).await, "admin");
    client
        .batch_execute(
            "declare c cursor for select 1 from tenancy.memberships, generate_series(1, 9);
             fetch 1 from c",
        )
        .await
        .unwrap();
    let sql = "alter table tenancy.memberships disable trigger user";
    place.change(sql).await;
    place
        .change("begin; lock table pg_attribute in access exclusive mode")
        .await;
    let error = client
        .execute("select tenancy.enter($1::text)", &[&token])
        .await;
    assert_eq!(error.unwrap_err().code().unwrap().code(), "57014");
    client.batch_execute("rollback").await.unwrap();
    place.change("rollback").await;
    // Nobody is told of this one.
    place
        .change("update tenancy.memberships set role = 'viewer'")
        .await;
    assert_eq!(place.enter(&token).await, "viewer");
}

/// As a worker of replication may bring them: a membership before its person.
#[tokio::test]
async fn a_person_who_comes_later_ends_older_tokens() {
    let place = Place::new().await;
    let token = place.token_without_session();
    place
        .change(
            "set session_replication_role = replica;
             create table kept as select * from tenancy.users;
             update kept set tokens_valid_from = clock_timestamp() + interval '1 s';
             delete from tenancy.users",
        )
        .await;
    place.warm(&token).await;
    place
        .change("insert into tenancy.users select * from kept")
        .await;
    assert_eq!(place.enter(&token).await, "TN015");
}

/// Of the right name and function, and yet not one that tells.
#[tokio::test]
async fn a_trigger_that_was_changed_is_not_believed() {
    let place = Place::new().await;
    let token = place.token();
    for trigger in [
        "when (old.role = 'owner') execute function tenancy_private.tell_of_end('user_id')",
        "execute function tenancy_private.tell_of_end('tenant_id')",
        "execute function tenancy_private.tell_of_end('user_id', 'tenant_id')",
        "execute function tests.nothing()",
    ] {
        place
            .change(&format!(
                "drop trigger tell_of_end on tenancy.memberships;
                 create schema if not exists tests;
                 create or replace function tests.nothing() returns trigger language plpgsql
                 as 'begin return null; end';
                 create trigger tell_of_end after update or delete on tenancy.memberships
                 for each row {trigger};
                 alter table tenancy.memberships enable always trigger tell_of_end"
            ))
            .await;
        place.warm(&token).await;
        place
            .change("update tenancy.memberships set role = 'viewer'")
            .await;
        assert_eq!(place.enter(&token).await, "viewer", "{trigger}");
        place
            .change("update tenancy.memberships set role = 'admin'")
            .await;
    }
}
