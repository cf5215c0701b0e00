//! Keys and issuers from several connections: what is retired is retired everywhere,
//! what is linked comes along, and no log shows a key.

use tests::{Database, Token, World};
use tokio_postgres::Client;

/// A public key, of RFC 8037.
const JWKS: &str = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"1","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

async fn code(client: &Client, sql: &str, token: &str) -> String {
    match client.query(sql, &[&token]).await {
        Ok(_) => "00000".to_owned(),
        Err(error) => error.code().expect("an SQLSTATE").code().to_owned(),
    }
}

/// The other connection has seen that key, holds a plan, and has a snapshot from before.
#[tokio::test]
async fn a_retired_key_is_refused_also_where_an_old_snapshot_shows_it() {
    let world = World::new().await;
    let alice = world.api.owner_of("Acme").await;
    let token = Token::for_person(&world.database, &alice).sign();
    let enter = "select tenancy.enter($1)";
    let one = world.database.connect(&world.database.api_login).await;
    let other = world.database.connect(&world.database.api_login).await;
    for client in [&one, &other] {
        assert_eq!(code(client, enter, &token).await, "00000");
    }
    other
        .batch_execute("begin isolation level repeatable read; select tenancy.version()")
        .await
        .unwrap();

    let admin = world.database.login(&["tenancy_admin"]).await;
    let admin = world.database.connect(&admin).await;
    let kids = "select tenancy.retire_signing_key(s.kid) from tenancy.signing_key_states() as s where $1 <> ''";
    assert_eq!(code(&admin, kids, "all").await, "00000");

    assert_eq!(code(&one, enter, &token).await, "TN011");
    assert_eq!(code(&other, enter, &token).await, "TN011");
    other.batch_execute("rollback").await.unwrap();
    assert_eq!(code(&other, enter, &token).await, "TN011");
}

#[tokio::test]
async fn the_servers_log_shows_no_key_that_it_refused() {
    let database = Database::new().await;
    let admin = database.login(&["tenancy_admin"]).await;
    let admin = database.connect(&admin).await;
    let secret = "Zm9yIG5vYm9keXMgZXllcw";
    for call in [
        format!("tenancy.add_signing_key('{secret}')"),
        format!("tenancy.add_signing_key('{secret}{secret}', 'not a kid')"),
        format!("tenancy.add_signing_key('{secret}{secret}', algorithm => 'RS256')"),
        format!(
            "tenancy.add_signing_key('-----BEGIN PRIVATE KEY-----\n{secret}\n-----END PRIVATE KEY-----', algorithm => 'EdDSA')"
        ),
        format!(
            "tenancy.add_signing_key('{{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"{secret}\",\"d\":\"{secret}\"}}', algorithm => 'EdDSA')"
        ),
        format!(
            "tenancy.add_issuer('https://idp.example', null, '{{\"keys\":[{{\"d\":\"{secret}\"}}]}}')"
        ),
        format!(
            "tenancy.set_issuer_jwks('https://idp.example', '{{\"keys\":[{{\"k\":\"{secret}\"}}]}}')"
        ),
    ] {
        let error = admin
            .batch_execute(&format!("select {call}"))
            .await
            .expect_err("a refusal");
        let code = error.code().expect("an SQLSTATE").code();
        assert!(code == "TN501" || code == "TN506", "{call}: {code}");
        assert!(!format!("{error:?}").contains(secret), "{error:?}");
    }
    let log = database.cluster.log();
    assert!(log.contains("private key"), "the server logs nothing of it");
    assert!(!log.contains(secret));
}

#[tokio::test]
async fn issuers_and_their_links_come_along_with_a_dump() {
    let world = World::new().await;
    let alice = world.api.owner_of("Acme").await;
    let dba = world.database.superuser().await;
    dba.batch_execute(&format!(
        "select tenancy.add_issuer('https://idp.example', 'app', '{JWKS}', tenant_by => 'external', only_tenant => '{0}');
         select tenancy.link_identity('https://idp.example', 'ann', '{1}');
         select tenancy.link_tenant('https://idp.example', 'org_1', '{0}')",
        alice.tenant_id, alice.email
    ))
    .await
    .unwrap();

    let backup = world.database.login(&["tenancy_backup"]).await;
    let restored = Database::empty(world.database.cluster).await;
    restored.restore(&world.database.dump(&backup));
    for table in [
        "issuers",
        "issuer_keys",
        "user_identities",
        "issuer_tenants",
    ] {
        assert_eq!(
            restored.count(&format!("tenancy.{table}"), "true").await,
            1,
            "{table}"
        );
    }
}

/// Two operators at once: one of them adds the key, and links the subject.
#[tokio::test]
async fn two_at_once_add_one_key_and_one_link() {
    let world = World::new().await;
    let alice = world.api.owner_of("Acme").await;
    let bob = world.api.owner_of("Globex").await;
    let dba = world.database.superuser().await;
    dba.batch_execute(&format!(
        "select tenancy.add_issuer('https://idp.example', 'app', '{JWKS}')"
    ))
    .await
    .unwrap();
    let [one, other] = [
        world.database.superuser().await,
        world.database.superuser().await,
    ];

    let add = "select tenancy.add_signing_key($1, 'twice')";
    let secrets = [
        "a secret of thirty-two bytes, or more",
        "another secret of thirty-two bytes",
    ];
    let (first, second) = tokio::join!(code(&one, add, secrets[0]), code(&other, add, secrets[1]));
    let mut codes = [first, second];
    codes.sort();
    assert_eq!(codes, ["00000", "TN502"]);

    let link = "select tenancy.link_identity('https://idp.example', 'somebody', $1)";
    let (first, second) = tokio::join!(
        code(&one, link, &alice.email),
        code(&other, link, &bob.email)
    );
    let mut codes = [first, second];
    codes.sort();
    assert_eq!(codes, ["00000", "TN508"]);
}
