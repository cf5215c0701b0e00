//! Sessions from two connections at once: one wins, and what has ended has ended
//! for everybody.

mod at_once;
mod ends;

use std::sync::Arc;

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use tests::{Database, token_now};
use tokio::task::JoinHandle;
use tokio_postgres::Client;

const HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$aGFzaA";
const OTHER: &str = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$b3RoZXI";
const REFRESH: &str = "select coalesce(refused, refresh_token) from tenancy.refresh_session($1)";
const START: &str =
    "select concat_ws(' ', session_id, refresh_token) from tenancy.start_session($1)";
const SWITCH: &str = "select session_id::text from tenancy.switch_tenant($1, 'acme')";
const LOGOUT: &str = "select tenancy.end_session($1)::text";
const LOGOUT_ALL: &str = "select tenancy.end_all_sessions($1)::text";

/// A tenant, its owner Ann, and the service's key.
struct Acme {
    database: Database,
    header: Header,
    tenant_id: String,
    ann: String,
}

/// Ann's session.
struct Session {
    token: String,
    refresh: String,
}

impl Acme {
    async fn new() -> Self {
        let database = Database::new().await;
        let row = database
            .superuser()
            .await
            .query_one(
                "select tenant_id::text, user_id::text, (select kid from tenancy.signing_keys)
                 from tenancy.register_tenant('Acme', null, 'ann@acme.example', $1)",
                &[&HASH],
            )
            .await
            .unwrap();
        let mut header = Header::new(Algorithm::HS256);
        header.kid = row.get(2);
        Self {
            database,
            header,
            tenant_id: row.get(0),
            ann: row.get(1),
        }
    }

    fn sign(&self, tenant_id: &str, name: &str, value: &str) -> String {
        let mut claims = json!({
            "sub": self.ann, "tenantId": tenant_id, "iat": token_now(),
            "exp": token_now() + 60, "jti": uuid::Uuid::new_v4(),
        });
        claims[name] = Value::from(value);
        let key = EncodingKey::from_secret(self.database.cluster.jwt_secret.as_bytes());
        jsonwebtoken::encode(&self.header, &claims, &key).unwrap()
    }

    /// The service's word on Ann, a new one each time.
    fn word(&self, purpose: &str) -> String {
        self.sign(&uuid::Uuid::nil().to_string(), "purpose", purpose)
    }

    /// A connection of the service.
    async fn service(&self) -> Arc<Client> {
        Arc::new(self.database.connect(&self.database.api_login).await)
    }

    async fn log_in(&self) -> Session {
        let told = ask(&*self.service().await, START, &[&self.word("session")])
            .await
            .unwrap();
        let (id, refresh) = told.split_once(' ').unwrap();
        Session {
            token: self.sign(&self.tenant_id, "sid", id),
            refresh: refresh.to_owned(),
        }
    }

    async fn living(&self) -> i64 {
        self.database
            .count("tenancy.sessions", "ended_at is null")
            .await
    }

    /// Asks on a connection of its own, and comes back when that waits for somebody.
    async fn waiting(
        &self,
        sql: &'static str,
        arguments: &[&str],
    ) -> JoinHandle<Result<String, String>> {
        let client = self.service().await;
        let pid: i32 = client
            .query_one("select pg_backend_pid()", &[])
            .await
            .unwrap()
            .get(0);
        let arguments: Vec<String> = arguments.iter().map(|one| (*one).to_owned()).collect();
        let asked = tokio::spawn(async move {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            ask(&client, sql, &arguments).await
        });
        let dba = self.database.superuser().await;
        while !dba
            .query_one("select cardinality(pg_blocking_pids($1)) > 0", &[&pid])
            .await
            .unwrap()
            .get::<_, bool>(0)
        {
            assert!(!asked.is_finished(), "it should wait: {sql}");
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        asked
    }
}

/// The text that a call answers (empty for none), or its SQLSTATE.
async fn ask(client: &Client, sql: &str, arguments: &[&str]) -> Result<String, String> {
    let arguments: Vec<_> = arguments
        .iter()
        .map(|one| one as &(dyn tokio_postgres::types::ToSql + Sync))
        .collect();
    match client.query_one(sql, &arguments).await {
        Ok(row) => Ok(row.get::<_, Option<String>>(0).unwrap_or_default()),
        Err(error) => Err(error.code().expect("an SQLSTATE").code().to_owned()),
    }
}

async fn run(client: &Client, sql: &str) {
    client.batch_execute(sql).await.unwrap();
}

const SEAL: &str = "select tenancy.seal()";
const ENTER: &str = "select tenancy.enter($1)::text";
