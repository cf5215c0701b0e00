//! The data sets, and tenants of them to ask as.

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::json;
use tests::{Cluster, Database, Durability, token_now};
use tokio_postgres::Client;
use uuid::Uuid;

const TABLES: &str = include_str!("../../../bench/tables.sql");

/// A tenant to ask as.
pub struct Tenant {
    pub id: Uuid,
    /// An access token of its owner.
    pub token: String,
    /// Ids of some of its rows in the `bench` tables.
    pub rows: Vec<Uuid>,
}

/// A cluster whose data fits into its memory, and which nothing else disturbs.
pub async fn cluster() -> &'static Cluster {
    let cluster = Cluster::of_its_own(Durability::None);
    let admin = Database::on(cluster).await.superuser().await;
    for setting in [
        "shared_buffers = '2GB'",
        "max_wal_size = '8GB'",
        "autovacuum = off",
        "jit = off",
    ] {
        admin
            .batch_execute(&format!("alter system set {setting}"))
            .await
            .expect("settings can be changed");
    }
    drop(admin);
    cluster.stop();
    cluster.start();
    cluster
}

/// A database with so many tenants of so many rows, and more for the first.
pub async fn database(
    cluster: &'static Cluster,
    tenants: u32,
    rows_each: u32,
    more_of_one: u32,
) -> Database {
    eprintln!("Data: {tenants} tenants of {rows_each} rows, {more_of_one} more of one");
    let database = Database::on(cluster).await;
    let admin = database.superuser().await;
    let fill = format!("call bench.fill({tenants}, {rows_each}); call bench.grow({more_of_one})");
    for sql in [TABLES, &fill, "vacuum analyze", "checkpoint"] {
        admin
            .batch_execute(sql)
            .await
            .expect("the data can be made");
    }
    database
}

/// So many tokens, of these tenants in turns.
pub async fn with_more_tokens(
    database: &Database,
    tenants: &[Tenant],
    number: usize,
) -> Vec<Tenant> {
    let admin = database.superuser().await;
    let sql = "select w.user_id, w.session_id, (select kid from tenancy.signing_keys)
        from bench.who as w where w.tenant_id = $1";
    let mut all = Vec::with_capacity(number);
    for tenant in tenants {
        let row = admin.query_one(sql, &[&tenant.id]).await.expect("a tenant");
        let (user, session, kid): (Uuid, Uuid, String) = (row.get(0), row.get(1), row.get(2));
        let secret = &database.cluster.jwt_secret;
        for _ in 0..number.div_ceil(tenants.len()) {
            all.push(Tenant {
                id: tenant.id,
                token: sign(secret, &kid, tenant.id, user, session),
                rows: tenant.rows.clone(),
            });
        }
    }
    all
}

/// Up to so many tenants, evenly spread over all; the first is the one with more rows.
pub async fn tenants(database: &Database, most: i64) -> Vec<Tenant> {
    let admin = database.superuser().await;
    let kid: String = admin
        .query_one("select kid from tenancy.signing_keys", &[])
        .await
        .expect("there is a key")
        .get(0);
    let sql = "
        select w.tenant_id, w.user_id, w.session_id, array(
            select h.id from bench.hand as h where h.tenant_id = w.tenant_id order by h.id limit 200)
        from bench.who as w
        where (w.n - 1) % greatest((select count(*) from bench.who) / $1, 1) = 0
        order by w.n
        limit $1";
    let found = admin.query(sql, &[&most]).await.expect("tenants");
    found
        .iter()
        .map(|row| {
            let (id, user, session): (Uuid, Uuid, Uuid) = (row.get(0), row.get(1), row.get(2));
            Tenant {
                id,
                token: sign(&database.cluster.jwt_secret, &kid, id, user, session),
                rows: row.get(3),
            }
        })
        .collect()
}

fn sign(secret: &str, kid: &str, tenant: Uuid, user: Uuid, session: Uuid) -> String {
    let mut header = Header::new(Algorithm::HS256);
    header.kid = Some(kid.to_owned());
    let claims = json!({
        "sub": user, "tenantId": tenant, "sid": session, "email": "person@example.com",
        "role": "owner", "iat": token_now(), "exp": token_now() + 86_400, "jti": Uuid::new_v4(),
    });
    encode(
        &header,
        &claims,
        &EncodingKey::from_secret(secret.as_bytes()),
    )
    .expect("these claims can be signed")
}

/// A connection of the application's login, and its backend's process.
pub async fn connection(database: &Database) -> (Client, i32) {
    let client = database.connect(&database.api_login).await;
    let process = client
        .query_one("select pg_backend_pid()", &[])
        .await
        .expect("a pid")
        .get(0);
    (client, process)
}
