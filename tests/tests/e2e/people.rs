//! People and machines of a tenant, two or more at the same moment.

mod invited;
mod machines;
mod owners;

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::json;
use tests::{Database, Login, token_now};
use tokio_postgres::Client;

const HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaA";
const ISOLATIONS: [&str; 2] = ["read committed", "repeatable read"];

/// A tenant with people in it, and a login that may enter as any of them.
struct Office {
    database: Database,
    login: Login,
    tenant: String,
    alice: String,
}

impl Office {
    /// Of Alice alone, who owns it.
    async fn new() -> Self {
        let database = Database::new().await;
        let login = database
            .login(&["tenancy_gateway", "tenancy_authenticator"])
            .await;
        let dba = database.superuser().await;
        let made = dba
            .query_one(
                "select tenant_id::text, user_id::text
                 from tenancy.register_tenant('Acme', null, 'alice@acme.example')",
                &[],
            )
            .await
            .unwrap();
        Self {
            database,
            login,
            tenant: made.get(0),
            alice: made.get(1),
        }
    }

    async fn with(&self, name: &str, role: &str) -> String {
        let statement = format!(
            "with u as (insert into tenancy.users (email) values ('{name}@acme.example') returning id)
             insert into tenancy.memberships (tenant_id, user_id, role)
             select '{}', u.id, '{role}' from u returning user_id::text",
            self.tenant
        );
        value(&self.database.superuser().await, &statement)
            .await
            .unwrap()
    }

    /// A transaction of that person, whose snapshot is taken.
    async fn enters(&self, person: &str, isolation: &str) -> Client {
        let client = self.database.connect(&self.login).await;
        client
            .batch_execute(&format!(
                "begin isolation level {isolation};
                 select tenancy.set_tenant_context('{}', '{person}')",
                self.tenant
            ))
            .await
            .unwrap();
        client
    }

    async fn token_of(&self, person: &str) -> String {
        let dba = self.database.superuser().await;
        let mut header = Header::new(Algorithm::HS256);
        header.kid = value(&dba, "select kid from tenancy.signing_keys")
            .await
            .ok();
        let now = token_now();
        let claims = json!({"sub": person, "tenantId": self.tenant, "iat": now, "exp": now + 600});
        let secret = self.database.cluster.jwt_secret.as_bytes();
        encode(&header, &claims, &EncodingKey::from_secret(secret)).unwrap()
    }

    /// The key that a statement of Alice's makes.
    async fn api_key(&self, role: &str) -> (String, String) {
        let client = self.enters(&self.alice, "read committed").await;
        let row = client
            .query_one(
                &format!(
                    "select k ->> 'id', k ->> 'key' from tenancy.create_api_key('Importer', '{role}') as k"
                ),
                &[],
            )
            .await
            .unwrap();
        client.batch_execute("commit").await.unwrap();
        (row.get(0), row.get(1))
    }

    /// The token of an invitation that Alice makes.
    async fn invitation(&self, email: &str, role: &str) -> String {
        let client = self.enters(&self.alice, "read committed").await;
        let statement = format!("select token from tenancy.invite_member('{email}', '{role}')");
        let token = value(&client, &statement).await.unwrap();
        client.batch_execute("commit").await.unwrap();
        token
    }

    async fn owners(&self) -> i64 {
        self.database
            .count("tenancy.memberships", "role = 'owner'")
            .await
    }
}

/// The one value of a query, or the SQLSTATE that it ends with.
async fn value(client: &Client, statement: &str) -> Result<String, String> {
    match client.query_one(statement, &[]).await {
        Ok(row) => Ok(row.get(0)),
        Err(error) => Err(sqlstate(&error)),
    }
}

fn sqlstate(error: &tokio_postgres::Error) -> String {
    error
        .code()
        .unwrap_or_else(|| panic!("{error}"))
        .code()
        .to_owned()
}

/// How a statement ends: its SQLSTATE, or 00000.
async fn outcome(client: &Client, statement: &str) -> String {
    match client.batch_execute(statement).await {
        Ok(()) => "00000".to_owned(),
        Err(error) => sqlstate(&error),
    }
}

/// `first` acts, `second` acts and has to wait, `first` commits: how it ends for the second.
async fn at_once(office: &Office, first: (&Client, &str), second: (Client, String)) -> String {
    assert_eq!(outcome(first.0, first.1).await, "00000");
    let (client, statement) = second;
    let waiting = tokio::spawn(async move {
        let ended = outcome(&client, &statement).await;
        let _ = client.batch_execute("commit").await;
        ended
    });
    office.database.until_waiting(1).await;
    first.0.batch_execute("commit").await.unwrap();
    waiting.await.unwrap()
}
