//! TLS to the database: each sslmode keeps what it promises.

use std::fs;

use reqwest::Method;
use serde_json::json;
use tests::{Api, ApiSettings, Authority, Cluster, Database, Durability};

/// A database that only encrypted connections reach, whose server shows a certificate for `localhost`.
struct Place {
    database: Database,
    authority: Authority,
}

impl Place {
    async fn new() -> Self {
        let cluster = Cluster::of_its_own(Durability::None);
        let place = Self {
            database: Database::on(cluster).await,
            authority: Authority::new(),
        };
        place.shows_a_certificate_for("localhost");
        place
    }

    fn shows_a_certificate_for(&self, name: &str) {
        let shown = self.authority.certifies(name);
        self.database.cluster.shows(&shown.certificate, &shown.key);
    }

    fn api(&self, mode: &str) -> ApiSettings {
        Api::on(&self.database)
            .set("DB_HOST", "localhost")
            .set("DB_SSLMODE", mode)
    }

    /// One that believes this authority.
    fn api_that_believes(&self, mode: &str, authority: &Authority) -> ApiSettings {
        let file = self.database.file(&format!("{}.pem", tests::unique()));
        fs::write(&file, authority.pem()).unwrap();
        self.api(mode)
            .set("DB_SSLROOTCERT", &file.display().to_string())
    }

    /// Whether the connections of the API are encrypted.
    async fn is_encrypted(&self) -> bool {
        let query = "select bool_and(s.ssl) from pg_stat_ssl as s \
            join pg_stat_activity as a using (pid) where a.usename = $1";
        let login = &self.database.api_login.name;
        let superuser = self.database.superuser().await;
        superuser.query_one(query, &[login]).await.unwrap().get(0)
    }
}

async fn never_connects(api: ApiSettings, reason: &str) {
    let api = api.spawn();
    api.has_logged("listening on").await;
    assert!(api.log().contains(reason), "{}", api.log());
    api.get("/ready").await.is_problem(503);
}

async fn ends(api: ApiSettings, reason: &str) {
    let mut api = api.spawn();
    assert_eq!(api.has_ended().await.code(), Some(1));
    assert!(api.log().contains(reason), "{}", api.log());
}

#[tokio::test]
async fn verify_full_wants_the_authority_and_the_name() {
    let place = Place::new().await;
    let api = place.api_that_believes("verify-full", &place.authority);
    let api = api.start().await;
    assert!(place.is_encrypted().await);
    let alice = api.owner_of("Acme").await;
    alice.has_task("Over TLS").await;
    assert_eq!(alice.tasks().await, ["Over TLS"]);
    drop(api);

    // Of the same name, but with another key.
    let stranger = Authority::new();
    for mode in ["verify-full", "verify-ca", "require"] {
        let api = place.api_that_believes(mode, &stranger);
        never_connects(api, "invalid peer certificate: BadSignature").await;
    }

    place.shows_a_certificate_for("db.globex.example");
    let api = place.api_that_believes("verify-full", &place.authority);
    never_connects(api, "certificate not valid for name").await;
    for mode in ["verify-ca", "require"] {
        let api = place.api_that_believes(mode, &place.authority);
        drop(api.start().await);
    }

    let expired = place.authority.certified("localhost");
    let cluster = place.database.cluster;
    cluster.shows(&expired.certificate, &expired.key);
    for mode in ["verify-full", "verify-ca", "require"] {
        let api = place.api_that_believes(mode, &place.authority);
        never_connects(api, "certificate expired").await;
    }
}

#[tokio::test]
async fn without_an_authority_a_connection_is_encrypted_and_no_more() {
    let place = Place::new().await;
    for mode in ["require", "prefer"] {
        let _api = place.api(mode).start().await;
        assert!(place.is_encrypted().await, "{mode}");
    }
    ends(place.api("disable"), "no encryption").await;
    ends(place.api("verify-ca"), "needs DB_SSLROOTCERT").await;
    let nothing = place.api("verify-full").set("DB_SSLROOTCERT", "/dev/null");
    ends(nothing, "there is no certificate in it").await;
}

#[tokio::test]
async fn where_the_server_has_no_tls_only_prefer_does_without() {
    let database = Database::new().await;
    let api = |mode| Api::on(&database).set("DB_SSLMODE", mode);
    drop(api("prefer").start().await);
    for mode in ["require", "verify-full"] {
        never_connects(api(mode), "server does not support TLS").await;
    }
}

#[tokio::test]
async fn the_password_is_bound_to_the_channel() {
    let place = Place::new().await;
    let url = |database: &Database, mode: &str| {
        let (login, port) = (&database.api_login, database.cluster.port());
        format!(
            "postgres://{}:{}@localhost:{port}/{}?channel_binding=require&sslmode={mode}",
            login.name, login.password, database.name
        )
    };
    let url_of_place = url(&place.database, "require");
    let bound = Api::on(&place.database).set("DATABASE_URL", &url_of_place);
    drop(bound.start().await);
    // Without TLS there is nothing to bind to.
    let plain = Database::new().await;
    let unbound = Api::on(&plain).set("DATABASE_URL", &url(&plain, "prefer"));
    never_connects(unbound, "server did not use channel binding").await;
}

#[tokio::test]
async fn a_query_is_cancelled_over_tls_too() {
    let place = Place::new().await;
    let api = place.api_that_believes("verify-full", &place.authority);
    let api = api.start().await;
    let alice = api.owner_of("Acme").await;
    let task = alice.has_task("Plan").await;

    let mut superuser = place.database.superuser().await;
    let holds = superuser.transaction().await.unwrap();
    let lock = "select from tenancy.tasks for update";
    holds.execute(lock, &[]).await.unwrap();
    let request = alice.request(Method::PATCH, &format!("/tasks/{task}"));
    let request = tokio::spawn(request.json(&json!({"title": "Changed"})).send());
    place.database.until_waiting(1).await;
    request.abort();
    place.database.until_waiting(0).await;
    holds.rollback().await.unwrap();
    assert_eq!(alice.tasks().await, ["Plan"]);
    assert!(
        !api.log().contains("could not be cancelled"),
        "{}",
        api.log()
    );
}
