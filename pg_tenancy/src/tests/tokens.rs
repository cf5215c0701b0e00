//! Tokens: which one opens the door, and which not.

#[pgrx::pg_schema]
mod tests {
    use jsonwebtoken::{Algorithm, EncodingKey, Header};
    use pgrx::prelude::*;
    use serde_json::{Value, json};

    use crate::tests::support::*;

    fn entering(token: &str) -> String {
        let token = token.replace('\'', "''");
        outcome(&format!("select tenancy.enter('{token}')"))
    }

    fn with(claims: &Value, name: &str, value: Value) -> String {
        let mut claims = claims.clone();
        claims[name] = value;
        sign(&claims, "test", SECRET)
    }

    fn without(claims: &Value, name: &str) -> String {
        let mut claims = claims.clone();
        claims.as_object_mut().expect("claims").remove(name);
        sign(&claims, "test", SECRET)
    }

    /// As base64url writes it.
    fn encoded(json: &str) -> String {
        let hex: String = json.bytes().map(|byte| format!("{byte:02x}")).collect();
        text(&format!(
            "select translate(encode('\\x{hex}', 'base64'), E'+/=\\n', '-_')"
        ))
    }

    /// A token of these very bytes, well signed.
    fn raw(header: &str, claims: &str) -> String {
        let message = format!("{}.{}", encoded(header), encoded(claims));
        let signature = jsonwebtoken::crypto::sign(
            message.as_bytes(),
            &EncodingKey::from_secret(SECRET.as_bytes()),
            Algorithm::HS256,
        )
        .expect("a signature");
        format!("{message}.{signature}")
    }

    #[pg_test]
    fn a_member_enters_with_a_token() {
        add_key();
        let acme = tenant("acme");
        become_role("tenancy_app");
        assert_eq!(
            text(&format!("select tenancy.enter('{}')::text", acme.token())),
            acme.id.to_string()
        );
        assert_eq!(
            text("select tenancy.current_user_id()::text"),
            acme.owner.to_string()
        );
        assert_eq!(text("select tenancy.current_member_role()"), "owner");
    }

    /// The role is what the membership says now, not what the token says.
    #[pg_test]
    fn the_tokens_role_is_not_believed() {
        add_key();
        let acme = tenant("acme");
        run("update tenancy.memberships set role = 'viewer'");
        become_role("tenancy_app");
        run(&format!("select tenancy.enter('{}')", acme.token()));
        assert_eq!(text("select tenancy.current_member_role()"), "viewer");
    }

    #[pg_test]
    fn membership_and_status_are_looked_at_now() {
        add_key();
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        let claims = acme.claims();
        let stranger = with(&claims, "tenantId", json!(globex.id));
        let nobody = with(&claims, "sub", json!(uuid::Uuid::nil()));
        let nowhere = with(&claims, "tenantId", json!(uuid::Uuid::nil()));
        assert_eq!(entering(&stranger), "TN002");
        assert_eq!(entering(&nobody), "TN002");
        assert_eq!(entering(&nowhere), "TN002");

        run(&format!(
            "select tenancy.suspend_tenant('{}', 'unpaid')",
            acme.id
        ));
        assert_eq!(entering(&acme.token()), "TN004");
        run(&format!("select tenancy.resume_tenant('{}')", acme.id));
        run(&format!(
            "delete from tenancy.memberships where tenant_id = '{}'",
            acme.id
        ));
        assert_eq!(entering(&acme.token()), "TN002");
    }

    #[pg_test]
    fn a_token_of_another_shape_is_refused() {
        add_key();
        let acme = tenant("acme");
        let claims = acme.claims();
        let good = acme.token();
        let body = claims.to_string();
        let header = r#"{"alg":"HS256","kid":"test"}"#;
        become_role("tenancy_app");

        for token in [
            String::new(),
            ".".to_owned(),
            "..".to_owned(),
            "not a token".to_owned(),
            format!(" {good}"),
            format!("{good} "),
            format!("{good}."),
            good.replacen('.', "..", 1),
            good.rsplit('.').collect::<Vec<_>>().join("."),
            good[..good.len() / 2].to_owned(),
            "x".repeat(1 << 20),
            raw(header, "[]"),
            raw(header, "null"),
            raw(header, "{"),
            raw("[]", &body),
            raw(r#"{"kid":"test"}"#, &body),
            raw(r#"{"alg":"HS256"}"#, &body),
            raw(r#"{"alg":"none","kid":"test"}"#, &body),
            raw(
                r#"{"alg":"HS256","kid":"test","jku":"https://evil.example"}"#,
                &body,
            ),
            raw(
                r#"{"alg":"HS256","kid":"test","jwk":{"kty":"oct","k":"AAAA"}}"#,
                &body,
            ),
            raw(
                r#"{"alg":"HS256","kid":"test","crit":["exp"],"exp":1}"#,
                &body,
            ),
            without(&claims, "sub"),
            without(&claims, "tenantId"),
            without(&claims, "exp"),
            with(&claims, "tenantId", json!(null)),
            with(&claims, "tenantId", json!([acme.id])),
            with(&claims, "tenantId", json!("acme")),
            with(&claims, "sub", json!(17)),
            with(&claims, "exp", json!("4102444800")),
            with(&claims, "exp", json!(-1)),
            with(&claims, "exp", json!(1e300)),
            with(&claims, "exp", json!(null)),
            with(&claims, "iat", json!("now")),
            with(&claims, "nbf", json!("now")),
            raw(
                header,
                &body.replace("\"exp\":", "\"exp\":99999999999999999999999,\"was\":"),
            ),
            raw(
                header,
                &body.replacen('{', &format!("{{\"tenantId\":\"{}\",", acme.id), 1),
            ),
        ] {
            let shown: String = token.chars().take(120).collect();
            assert_eq!(entering(&token), "TN010", "{shown}");
        }
        assert_eq!(entering(&good), "00000");
    }

    #[pg_test]
    fn a_token_of_another_key_is_refused() {
        add_key();
        run(&format!(
            "select tenancy.add_signing_key('{SECRET} and more', 'other')"
        ));
        let acme = tenant("acme");
        let claims = acme.claims();
        let mut other_algorithm = Header::new(Algorithm::HS512);
        other_algorithm.kid = Some("test".to_owned());
        let key = EncodingKey::from_secret(SECRET.as_bytes());
        let tampered = {
            let good = acme.token();
            let mut parts: Vec<&str> = good.split('.').collect();
            let other = sign(&tenant("globex").claims(), "test", SECRET);
            let body = other.split('.').nth(1).expect("a body").to_owned();
            parts[1] = &body;
            parts.join(".")
        };
        become_role("tenancy_app");
        for token in [
            sign(&claims, "unknown", SECRET),
            sign(&claims, "test", "another secret, which is long enough, too"),
            sign(&claims, "other", SECRET),
            jsonwebtoken::encode(&other_algorithm, &claims, &key).expect("a token"),
            tampered,
        ] {
            assert_eq!(entering(&token), "TN011", "{token}");
        }
    }

    #[pg_test]
    fn a_retired_key_opens_nothing() {
        add_key();
        let acme = tenant("acme");
        run("select tenancy.retire_signing_key('test')");
        assert_eq!(entering(&acme.token()), "TN011");
    }

    #[pg_test]
    fn dates_are_checked_with_half_a_minute_of_leeway() {
        add_key();
        let acme = tenant("acme");
        let claims = acme.claims();
        let now = jsonwebtoken::get_current_timestamp();
        become_role("tenancy_app");
        assert_eq!(entering(&with(&claims, "exp", json!(now - 60))), "TN012");
        assert_eq!(entering(&with(&claims, "exp", json!(0))), "TN012");
        assert_eq!(entering(&with(&claims, "nbf", json!(now + 60))), "TN013");
        assert_eq!(entering(&with(&claims, "iat", json!(now + 60))), "TN013");
        assert_eq!(entering(&with(&claims, "exp", json!(now - 10))), "00000");
        assert_eq!(entering(&with(&claims, "nbf", json!(now + 10))), "00000");
    }

    #[pg_test]
    fn issuer_and_audience_are_required_where_the_key_names_them() {
        take_turn();
        run(&format!(
            "select tenancy.add_signing_key('{SECRET}', 'test', 'us', 'tasks')"
        ));
        let acme = tenant("acme");
        let claim = |issuer: Value, audience: Value| {
            let mut claims = acme.claims();
            claims["iss"] = issuer;
            claims["aud"] = audience;
            entering(&sign(&claims, "test", SECRET))
        };
        assert_eq!(entering(&acme.token()), "TN014");
        assert_eq!(claim(json!("them"), json!("tasks")), "TN014");
        assert_eq!(claim(json!("us"), json!("mail")), "TN014");
        assert_eq!(claim(json!(["us"]), json!(["mail", "chat"])), "TN014");
        assert_eq!(claim(json!("us"), json!("tasks")), "00000");
    }

    #[pg_test]
    fn a_token_tells_what_it_claims_and_nobody_but_the_owner_may_ask() {
        add_key();
        let acme = tenant("acme");
        let session = session_of(&acme);
        let token = with(&acme.claims(), "sid", json!(session));
        let said: Value = serde_json::from_str(&text(&format!(
            "select tenancy_private.verify_token('{token}')::text"
        )))
        .expect("JSON");
        assert_eq!(
            said,
            json!({"userId": acme.owner, "tenantId": acme.id, "sessionId": session,
                "purpose": null, "issuer": null, "email": "owner@example.com"})
        );
        become_role("tenancy_app");
        assert_eq!(
            outcome(&format!("select tenancy_private.verify_token('{token}')")),
            "42501"
        );
    }

    /// A session of its owner, good for an hour.
    fn session_of(tenant: &Tenant) -> String {
        text(&format!(
            "insert into tenancy.sessions (tenant_id, user_id, expires_at)
             values ('{}', '{}', now() + interval '1 hour') returning id::text",
            tenant.id, tenant.owner
        ))
    }

    #[pg_test]
    fn a_token_ends_with_its_session() {
        add_key();
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        let [own, others] = [session_of(&acme), session_of(&globex)];
        let of = |session: &str| entering(&with(&acme.claims(), "sid", json!(session)));
        let end = |change: &str| {
            run(&format!(
                "update tenancy.sessions set {change} where id = '{own}'"
            ))
        };
        assert_eq!(of(&own), "00000");
        // Another's, of another tenant, and none.
        assert_eq!(of(&others), "TN015");
        assert_eq!(of(&uuid::Uuid::new_v4().to_string()), "TN015");
        assert_eq!(of("mine"), "TN010");
        assert_eq!(entering(&with(&acme.claims(), "sid", json!(null))), "TN010");
        end(&format!("user_id = '{}'", globex.owner));
        assert_eq!(of(&own), "TN015");
        end(&format!("user_id = '{}'", acme.owner));
        assert_eq!(of(&own), "00000");

        end("expires_at = clock_timestamp()");
        assert_eq!(of(&own), "TN015");
        end("expires_at = now() + interval '1 hour', ended_at = now(), end_reason = 'logout'");
        assert_eq!(of(&own), "TN015");
        // What says so is the session, not that the person has left.
        let verify =
            |token: &str| outcome(&format!("select tenancy_private.verify_token('{token}')"));
        assert_eq!(verify(&with(&acme.claims(), "sid", json!(own))), "TN015");
        assert_eq!(verify(&acme.token()), "00000");
    }

    #[pg_test]
    fn a_token_without_a_session_ends_with_the_epoch_of_its_person_or_tenant() {
        add_key();
        let acme = tenant("acme");
        let now = jsonwebtoken::get_current_timestamp();
        let issued = |iat: u64| with(&acme.claims(), "iat", json!(iat));
        for (table, id) in [("users", acme.owner), ("tenants", acme.id)] {
            let epoch = |when: &str| {
                run(&format!(
                    "update tenancy.{table} set tokens_valid_from = {when} where id = '{id}'"
                ));
            };
            epoch(&format!("to_timestamp({now}) + interval '0.5 s'"));
            assert_eq!(entering(&issued(now - 1)), "TN015");
            assert_eq!(entering(&issued(now)), "TN015");
            assert_eq!(entering(&issued(now + 1)), "00000");
            epoch(&format!("to_timestamp({now})"));
            assert_eq!(entering(&issued(now)), "00000");
            assert_eq!(entering(&issued(now - 1)), "TN015");
            // Who doesn't say when is from long ago.
            assert_eq!(entering(&without(&acme.claims(), "iat")), "TN015");
            epoch("'infinity'");
            assert_eq!(entering(&issued(now)), "TN015");
            // A session has an end of its own, and a word is fresh.
            let session = session_of(&acme);
            assert_eq!(
                entering(&with(&acme.claims(), "sid", json!(session))),
                "00000"
            );
            let word = with(&acme.claims(), "purpose", json!("session"));
            assert_eq!(
                outcome(&format!(
                    "select tenancy_private.require_word('{word}', 'session')"
                )),
                "00000"
            );
            epoch("null");
        }
        assert_eq!(entering(&without(&acme.claims(), "iat")), "00000");
    }

    #[pg_test]
    fn a_services_word_is_good_for_its_purpose_and_opens_nothing() {
        add_key();
        let acme = tenant("acme");
        let demanding = |token: &str, purpose: &str| {
            outcome(&format!(
                "select tenancy_private.require_word('{token}', '{purpose}')"
            ))
        };
        let word = with(&acme.claims(), "purpose", json!("session"));
        assert_eq!(demanding(&word, "session"), "00000");
        assert_eq!(demanding(&word, "password"), "TN023");
        assert_eq!(demanding(&word, ""), "TN023");
        assert_eq!(demanding(&acme.token(), "session"), "TN023");
        assert_eq!(entering(&word), "TN010");
        assert_eq!(
            entering(&with(&acme.claims(), "purpose", json!(""))),
            "TN010"
        );
    }

    #[pg_test]
    fn a_key_is_readable_by_nobody() {
        add_key();
        for role in [
            "tenancy_app",
            "tenancy_gateway",
            "tenancy_authenticator",
            "tenancy_reporter",
            "tenancy_admin",
        ] {
            become_role(role);
            assert_eq!(
                outcome("select * from tenancy.signing_keys"),
                "42501",
                "{role}"
            );
            run("reset role");
        }
        // A grant made by mistake shows no row: there is no policy.
        run("grant select on tenancy.signing_keys to tenancy_app");
        become_role("tenancy_app");
        assert_eq!(number("select count(*) from tenancy.signing_keys"), 0);
    }

    #[pg_test]
    fn a_weak_or_doubled_key_is_refused() {
        add_key();
        become_role("tenancy_admin");
        let add = |secret: &str, kid: &str| {
            outcome(&format!("select tenancy.add_signing_key({secret}, {kid})"))
        };
        assert_eq!(add("'short'", "null"), "TN501");
        assert_eq!(add("null", "'x'"), "TN501");
        assert_eq!(add("repeat('x', 2000)", "null"), "TN501");
        assert_eq!(add(&format!("'{SECRET}'"), "'a b'"), "TN501");
        assert_eq!(add(&format!("'{SECRET}'"), "'test'"), "TN502");
        assert_eq!(
            outcome("select tenancy.retire_signing_key('none')"),
            "TN503"
        );
        // No kid: the same one that a service makes of the same secret.
        assert_eq!(
            text(&format!("select tenancy.add_signing_key('{SECRET}')")),
            text(&format!(
                "select left(encode(sha256('{SECRET}'), 'hex'), 16)"
            ))
        );
    }
}
