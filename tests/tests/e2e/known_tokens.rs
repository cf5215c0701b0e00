//! A connection that has let a token in doesn't look at its key, session, tenant and
//! membership again, and yet refuses it from the moment on at which that is committed.

mod ends;
mod seldom;
mod transactions;

use std::time::Duration;

use serde_json::{Value, json};
use tests::{Database, token_now};
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
