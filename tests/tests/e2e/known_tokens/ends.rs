//! What ends a proof, and what has it good again.

use serde_json::json;

use super::Place;

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
