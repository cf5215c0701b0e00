//! A connection that has let a token in doesn't look at its key, session, tenant and
//! membership again, and yet refuses it from the moment on at which that is committed.

use std::time::Duration;

use serde_json::{Value, json};
use tests::{Cluster, Database, Durability, token_now};
use tokio_postgres::Client;
use uuid::Uuid;

/// A database with a tenant, a member of it and a session, and a connection.
struct Place {
    database: Database,
    dba: Client,
    client: Client,
    kid: String,
    tenant: Uuid,
    user: Uuid,
    session: Uuid,
}

impl Place {
    async fn new() -> Self {
        Self::on(Database::new().await).await
    }

    async fn on(database: Database) -> Self {
        let dba = database.superuser().await;
        let text = "
            with t as (insert into tenancy.tenants (slug, name) values ('acme', 'Acme') returning id),
                u as (insert into tenancy.users (email) values ('ann@acme.example') returning id),
                k as (select kid from tenancy.signing_keys)
            select t.id, u.id, k.kid from t, u, k";
        let row = dba.query_one(text, &[]).await.unwrap();
        let (tenant, user, kid): (Uuid, Uuid, String) = (row.get(0), row.get(1), row.get(2));
        dba.execute(
            "insert into tenancy.memberships (tenant_id, user_id, role) values ($1, $2, 'admin')",
            &[&tenant, &user],
        )
        .await
        .unwrap();
        let session = Self::session(&dba, tenant, user).await;
        let client = database.connect(&database.api_login).await;
        Self {
            database,
            dba,
            client,
            kid,
            tenant,
            user,
            session,
        }
    }

    async fn session(dba: &Client, tenant: Uuid, user: Uuid) -> Uuid {
        let start = "insert into tenancy.sessions (tenant_id, user_id, expires_at)
            values ($1, $2, now() + interval '1 hour') returning id";
        dba.query_one(start, &[&tenant, &user])
            .await
            .unwrap()
            .get(0)
    }

    fn claims(&self) -> Value {
        json!({
            "sub": self.user, "tenantId": self.tenant, "sid": self.session,
            "iat": token_now(), "exp": token_now() + 3600, "jti": Uuid::new_v4(),
        })
    }

    fn sign(&self, claims: &Value) -> String {
        use jsonwebtoken::{EncodingKey, Header, encode};
        let header = Header {
            kid: Some(self.kid.clone()),
            ..Header::default()
        };
        let key = EncodingKey::from_secret(self.database.cluster.jwt_secret.as_bytes());
        encode(&header, claims, &key).unwrap()
    }

    fn token(&self) -> String {
        self.sign(&self.claims())
    }

    /// Good until it is revoked by its age.
    fn token_without_session(&self) -> String {
        let mut claims = self.claims();
        claims.as_object_mut().unwrap().remove("sid");
        self.sign(&claims)
    }

    async fn change(&self, sql: &str) {
        self.dba.batch_execute(sql).await.expect(sql);
    }

    /// The role there, or the code of the refusal.
    async fn enter(&self, token: &str) -> String {
        enter(&self.client, token).await
    }

    /// Such that it is known, if it can be.
    async fn warm(&self, token: &str) {
        // A new connection looks for residue first, then finds its way.
        for _ in 0..3 {
            let entered = self.enter(token).await;
            assert!(!entered.starts_with("TN"), "{entered}");
        }
    }

    /// How often the index of the sessions was asked while this ran.
    async fn look_ups(&self, token: &str) -> i64 {
        let before = self.sessions_scanned().await;
        for _ in 0..20 {
            self.enter(token).await;
        }
        self.sessions_scanned().await - before
    }

    async fn sessions_scanned(&self) -> i64 {
        let flush = "select pg_stat_force_next_flush()";
        self.client.execute(flush, &[]).await.unwrap();
        self.client.execute("select 1", &[]).await.unwrap();
        let scans = "select idx_scan from pg_stat_all_indexes where indexrelname = 'sessions_pkey'";
        self.dba.query_one(scans, &[]).await.unwrap().get(0)
    }
}

async fn enter(client: &Client, token: &str) -> String {
    let statement = "select tenancy.current_member_role() from tenancy.enter($1)";
    match client.query_one(statement, &[&token]).await {
        Ok(row) => row.get(0),
        Err(error) => error.code().expect("from the server").code().to_owned(),
    }
}

#[tokio::test]
async fn what_is_known_is_not_looked_up_again() {
    let place = Place::new().await;
    let token = place.token();
    place.warm(&token).await;
    assert_eq!(place.look_ups(&token).await, 0);

    // A login, a refresh and what is somebody else's change nothing.
    Place::session(&place.dba, place.tenant, place.user).await;
    place
        .change("update tenancy.sessions set last_used_at = clock_timestamp()")
        .await;
    place
        .change("update tenancy.users set email_verified_at = clock_timestamp()")
        .await;
    assert_eq!(place.look_ups(&token).await, 0);

    // Who takes a trigger away has each request look.
    for table in ["tenants", "memberships", "sessions", "signing_keys"] {
        place
            .change(&format!("alter table tenancy.{table} disable trigger user"))
            .await;
        assert!(place.look_ups(&token).await >= 20, "{table}");
        place
            .change(&format!(
                "alter table tenancy.{table} enable trigger tell_of_end"
            ))
            .await;
        // In a worker of replication it wouldn't fire.
        assert!(place.look_ups(&token).await >= 20, "{table}");
        place
            .change(&format!(
                "alter table tenancy.{table} enable always trigger tell_of_end"
            ))
            .await;
        place.warm(&token).await;
        assert_eq!(place.look_ups(&token).await, 0, "{table}");
    }
}

/// A change, what it has the token answer, and what puts it right again.
const ENDS: [(&str, &str, &str); 13] = [
    (
        "update tenancy.sessions set ended_at = clock_timestamp(), end_reason = 'test'",
        "TN015",
        "update tenancy.sessions set ended_at = null, end_reason = null",
    ),
    (
        "update tenancy.sessions set expires_at = clock_timestamp()",
        "TN015",
        "update tenancy.sessions set expires_at = clock_timestamp() + interval '1 hour'",
    ),
    (
        "create table kept as select * from tenancy.sessions; delete from tenancy.sessions",
        "TN015",
        "insert into tenancy.sessions select * from kept; drop table kept",
    ),
    (
        "create table kept as select * from tenancy.sessions; truncate tenancy.sessions cascade",
        "TN015",
        "insert into tenancy.sessions select * from kept; drop table kept",
    ),
    (
        "update tenancy.tenants set status = 'suspended'",
        "TN004",
        "update tenancy.tenants set status = 'active'",
    ),
    (
        "update tenancy.memberships set role = 'viewer'",
        "viewer",
        "update tenancy.memberships set role = 'admin'",
    ),
    (
        "create table kept as select * from tenancy.memberships; delete from tenancy.memberships",
        "TN002",
        "insert into tenancy.memberships select * from kept; drop table kept",
    ),
    (
        "update tenancy.signing_keys set status = 'retired'",
        "TN011",
        "update tenancy.signing_keys set status = 'active'",
    ),
    (
        "update tenancy.signing_keys set material = material || '\\x00'",
        "TN011",
        "update tenancy.signing_keys set material = substr(material, 1, octet_length(material) - 1)",
    ),
    (
        "update tenancy.signing_keys set audience = 'somebody else'",
        "TN014",
        "update tenancy.signing_keys set audience = null",
    ),
    (
        "alter table tenancy.memberships disable trigger all;
         update tenancy.memberships set role = 'viewer'",
        "viewer",
        "update tenancy.memberships set role = 'admin';
         alter table tenancy.memberships enable trigger all;
         alter table tenancy.memberships enable always trigger tell_of_end",
    ),
    (
        "drop trigger tell_of_end on tenancy.tenants; update tenancy.tenants set status = 'suspended'",
        "TN004",
        "update tenancy.tenants set status = 'active';
         create trigger tell_of_end after update or delete on tenancy.tenants
             for each row execute function tenancy_private.tell_of_end('id');
         alter table tenancy.tenants enable always trigger tell_of_end",
    ),
    (
        "alter table tenancy.sessions rename to logins",
        "42P01",
        "alter table tenancy.logins rename to sessions",
    ),
];

#[tokio::test]
async fn what_ends_a_proof_is_heard_of_at_once() {
    let place = Place::new().await;
    let token = place.token();
    for role in ["origin", "replica"] {
        place
            .change(&format!("set session_replication_role = {role}"))
            .await;
        for (end, refusal, mend) in ENDS {
            place.warm(&token).await;
            place.change(end).await;
            assert_eq!(place.enter(&token).await, refusal, "{role}: {end}");
            place.change(mend).await;
            assert_eq!(place.enter(&token).await, "admin", "{role}: {mend}");
        }
    }
}

#[tokio::test]
async fn a_token_without_a_session_ends_by_its_age() {
    let place = Place::new().await;
    for table in ["tenants", "users"] {
        let token = place.token_without_session();
        place.warm(&token).await;
        place
            .change(&format!(
                "update tenancy.{table} set tokens_valid_from = clock_timestamp() + interval '1 s'"
            ))
            .await;
        assert_eq!(place.enter(&token).await, "TN015", "{table}");
        place
            .change(&format!(
                "update tenancy.{table} set tokens_valid_from = null"
            ))
            .await;
        place.warm(&token).await;
    }
}

#[tokio::test]
async fn an_issuer_takes_its_tokens_from_our_keys() {
    let place = Place::new().await;
    let mut claims = place.claims();
    claims["iss"] = json!("https://idp.example");
    let token = place.sign(&claims);
    place.warm(&token).await;
    place
        .change(
            "insert into tenancy.issuers (issuer, audience) values ('https://idp.example', 'us')",
        )
        .await;
    assert_eq!(place.enter(&token).await, "TN011");
    place
        .change("update tenancy.issuers set issuer = 'https://other.example'")
        .await;
    place.warm(&token).await;
    place
        .change("update tenancy.issuers set issuer = 'https://idp.example'")
        .await;
    assert_eq!(place.enter(&token).await, "TN011");
}

#[tokio::test]
async fn dates_are_looked_at_each_time() {
    let place = Place::new().await;
    let mut claims = place.claims();
    // Two clocks may be half a minute apart.
    claims["exp"] = json!(token_now() - 30 + 3);
    let expiring = place.sign(&claims);
    let other = Place::session(&place.dba, place.tenant, place.user).await;
    place
        .change(&format!(
            "update tenancy.sessions set expires_at = clock_timestamp() + interval '3 s' where id = '{other}'"
        ))
        .await;
    let mut claims = place.claims();
    claims["sid"] = json!(other);
    let in_session = place.sign(&claims);
    place.warm(&expiring).await;
    place.warm(&in_session).await;
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(place.enter(&expiring).await, "TN012");
    assert_eq!(place.enter(&in_session).await, "TN015");
}

#[tokio::test]
async fn a_name_that_is_somebody_elses_now_is_refused() {
    let place = Place::new().await;
    let token = place.token();
    let named = "select 1 from tenancy.enter($1, 'acme')";
    for _ in 0..3 {
        place.client.execute(named, &[&token]).await.unwrap();
    }
    place
        .change("update tenancy.tenants set slug = 'acme-old'")
        .await;
    let error = place.client.execute(named, &[&token]).await.unwrap_err();
    assert_eq!(error.code().unwrap().code(), "TN026");
    assert_eq!(place.enter(&token).await, "admin");
}

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

/// More than are remembered, and one of them ends.
#[tokio::test]
async fn ten_thousand_tokens_are_told_apart() {
    let place = Place::new().await;
    let start = "insert into tenancy.sessions (tenant_id, user_id, expires_at)
        select $1, $2, now() + interval '1 hour' from generate_series(1, 10000) returning id";
    let sessions: Vec<Uuid> = place
        .dba
        .query(start, &[&place.tenant, &place.user])
        .await
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect();
    let mut claims = place.claims();
    let tokens: Vec<_> = sessions
        .iter()
        .map(|session| {
            claims["sid"] = json!(session);
            place.sign(&claims)
        })
        .collect();
    for token in &tokens {
        assert_eq!(place.enter(token).await, "admin");
    }
    for at in [0, 5000, 9999] {
        let end = "update tenancy.sessions set ended_at = now(), end_reason = 'test' where id = $1";
        place.dba.execute(end, &[&sessions[at]]).await.unwrap();
        assert_eq!(place.enter(&tokens[at]).await, "TN015", "{at}");
        assert_eq!(place.enter(&tokens[at / 2 + 2]).await, "admin");
    }
    // All of them at once, which says more than there are numbers for.
    place
        .change("update tenancy.sessions set ended_at = now(), end_reason = 'test' where ended_at is null")
        .await;
    for token in tokens.iter().rev().take(3000) {
        assert_eq!(place.enter(token).await, "TN015");
    }
}
