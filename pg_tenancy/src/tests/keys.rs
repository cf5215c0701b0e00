//! Signing keys: their forms, their states, and what nobody is told of them.

#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;
    use serde_json::{Value, json};

    use crate::tests::signer::{ALGORITHMS, Signer, encode, pem};
    use crate::tests::support::*;
    use crate::token::Algorithm;

    fn entering(token: &str) -> String {
        outcome(&format!("select tenancy.enter('{token}')"))
    }

    fn add(signer: &Signer, more: &str) -> String {
        text(&format!(
            "select tenancy.add_signing_key($key${}$key$, '{}', algorithm => '{}'{more})",
            signer.pem(),
            signer.kid,
            signer.algorithm.name()
        ))
    }

    fn adding(key: &str, more: &str) -> String {
        outcome(&format!(
            "select tenancy.add_signing_key($key${key}$key${more})"
        ))
    }

    #[pg_test]
    fn a_key_of_every_algorithm_opens_the_door_as_pem_and_as_jwk() {
        take_turn();
        let acme = tenant("acme");
        for algorithm in ALGORITHMS {
            let signer = Signer::new(&format!("pem-{}", algorithm.name()), algorithm);
            assert_eq!(add(&signer, ""), signer.kid);
            assert_eq!(entering(&signer.sign(&acme.claims())), "00000");

            let signer = Signer::new(&format!("jwk-{}", algorithm.name()), algorithm);
            let kid = text(&format!(
                "select tenancy.add_signing_key('{}', algorithm => '{}')",
                signer.jwk(),
                algorithm.name()
            ));
            assert_eq!(kid, signer.kid);
            let token = signer.sign(&acme.claims());
            // The second time its signature is known.
            assert_eq!([entering(&token), entering(&token)], ["00000", "00000"]);
        }
        assert_eq!(number("select count(*) from tenancy.signing_keys"), 10);
    }

    #[pg_test]
    fn a_key_speaks_for_its_algorithm_alone() {
        take_turn();
        let acme = tenant("acme");
        let rsa = Signer::new("rsa", Algorithm::RS256);
        add(&rsa, "");
        let header = json!({"alg": "PS256", "kid": "rsa"}).to_string();
        assert_eq!(
            entering(&rsa.sign_raw(&header, &acme.claims().to_string())),
            "TN011"
        );

        // HS256 with the bytes of the public key, which everybody has.
        let message = format!(
            "{}.{}",
            encode(json!({"alg": "HS256", "kid": "rsa"}).to_string()),
            encode(acme.claims().to_string())
        );
        for secret in [rsa.material(), rsa.pem().into_bytes()] {
            let signature = crate::tests::signer::hmac_of(&secret, message.as_bytes());
            assert_eq!(
                entering(&format!("{message}.{}", encode(signature))),
                "TN011"
            );
        }
    }

    /// next, active, retired: in between, no good token is refused.
    #[pg_test]
    fn a_rotation_refuses_no_good_token() {
        take_turn();
        let acme = tenant("acme");
        let [old, new] = ["old", "new"].map(|kid| Signer::new(kid, Algorithm::EdDSA));
        let [from_old, from_new] = [&old, &new].map(|signer| signer.sign(&acme.claims()));
        let both = || [entering(&from_old), entering(&from_new)];
        let first = || {
            text(
                "select concat(kid, ' ', status) from tenancy.signing_key_states('{old,new}')
                 where status = 'active' limit 1",
            )
        };

        add(&old, "");
        assert_eq!(both(), ["00000", "TN011"]);
        add(&new, ", status => 'next'");
        assert_eq!(both(), ["00000", "00000"]);
        assert_eq!(first(), "old active");
        become_role("tenancy_admin");
        run("select tenancy.activate_signing_key('new')");
        run("reset role");
        assert_eq!(both(), ["00000", "00000"]);
        assert_eq!(first(), "new active");
        // And back, while both are there.
        run("select tenancy.activate_signing_key('old')");
        assert_eq!(first(), "old active");
        run("select tenancy.activate_signing_key('new')");
        run("select tenancy.retire_signing_key('old')");
        assert_eq!(both(), ["TN011", "00000"]);
        assert_eq!(
            outcome("select tenancy.activate_signing_key('old')"),
            "TN507"
        );
        assert_eq!(
            outcome("select tenancy.activate_signing_key('none')"),
            "TN503"
        );
        assert_eq!(
            text(
                "select string_agg(kid || ' ' || status, ', ') from tenancy.signing_key_states('{old,new}')"
            ),
            "new active, old retired"
        );
    }

    #[pg_test]
    fn a_signature_that_was_seen_does_not_outlive_its_key() {
        take_turn();
        let acme = tenant("acme");
        let [one, other] = [(); 2].map(|()| Signer::new("same", Algorithm::ES256));
        add(&one, "");
        let token = one.sign(&acme.claims());
        assert_eq!([entering(&token), entering(&token)], ["00000", "00000"]);
        // As a DBA could who takes another's place: the same name, another key.
        let hex: String = other
            .material()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        run(&format!(
            "update tenancy.signing_keys set material = '\\x{hex}'"
        ));
        assert_eq!(entering(&token), "TN011");
        assert_eq!(entering(&other.sign(&acme.claims())), "00000");
        run("select tenancy.retire_signing_key('same')");
        assert_eq!(entering(&other.sign(&acme.claims())), "TN011");
    }

    #[pg_test]
    fn a_private_a_weak_or_a_wrong_key_is_not_stored() {
        take_turn();
        let rsa = Signer::new("rsa", Algorithm::RS256);
        let mut private = rsa.jwk();
        private["d"] = json!("c2VjcmV0");
        let mut weak = rsa.jwk();
        weak["n"] = json!(encode([0xC5; 128]));
        for (key, more) in [
            (
                pem("PRIVATE KEY", &rsa.material()),
                ", algorithm => 'RS256'",
            ),
            (pem("RSA PRIVATE KEY", &rsa.material()), ""),
            (private.to_string(), ", algorithm => 'RS256'"),
            (weak.to_string(), ", algorithm => 'RS256'"),
            (rsa.pem(), ""),
            (rsa.pem(), ", algorithm => 'ES256'"),
            (rsa.pem(), ", algorithm => 'none'"),
            (rsa.pem(), ", algorithm => null"),
            (rsa.pem(), ", algorithm => 'RS256', status => 'retired'"),
            (rsa.pem(), ", algorithm => 'RS256', status => null"),
            // The arguments in an order that another version might have.
            (SECRET.to_owned(), ", 'HS256'"),
            (String::new(), ""),
        ] {
            assert_eq!(adding(&key, more), "TN501", "{more}");
        }
        assert_eq!(number("select count(*) from tenancy.signing_keys"), 0);
    }

    #[pg_test]
    fn no_error_shows_a_key() {
        take_turn();
        let ed = Signer::new("ed", Algorithm::EdDSA);
        let body = ed.pem().lines().nth(1).expect("a body").to_owned();
        for sql in [
            format!("select tenancy.add_signing_key('{}')", ed.pem()),
            format!(
                "select tenancy.add_signing_key('{}', 'a b', algorithm => 'EdDSA')",
                ed.pem()
            ),
            format!(
                "select tenancy.add_issuer('https://idp.example', null, '{{\"keys\":[{}]}}')",
                json!({"kty": "OKP", "crv": "Ed25519", "kid": "1", "x": body, "d": body})
            ),
        ] {
            let said = complaint(&sql);
            assert!(said.starts_with("TN50") && !said.contains(&body), "{said}");
        }
    }

    #[pg_test]
    fn a_service_learns_its_keys_states_and_no_material() {
        add_key();
        become_role("tenancy_authenticator");
        let states: Value = serde_json::from_str(&text(
            "select json_agg(s)::text from tenancy.signing_key_states('{test,none}') as s",
        ))
        .expect("JSON");
        let [state] = states.as_array().expect("a list").as_slice() else {
            panic!("{states}");
        };
        let mut columns: Vec<_> = state.as_object().expect("a row").keys().collect();
        columns.sort();
        assert_eq!(columns, ["activated_at", "algorithm", "kid", "status"]);
        assert_eq!(state["status"], "active");
    }

    #[pg_test]
    fn a_strange_kid_is_an_unknown_key() {
        add_key();
        let acme = tenant("acme");
        become_role("tenancy_app");
        for kid in [
            "' or true --",
            "%",
            "test ",
            "TEST",
            "\u{fffd}",
            "../test",
            "te\u{0301}st",
        ] {
            let token = sign(&acme.claims(), kid, SECRET);
            let token = token.replace('\'', "''");
            assert_eq!(entering(&token), "TN011", "{kid}");
        }
        assert_eq!(entering(&sign(&acme.claims(), "te\0st", SECRET)), "TN010");
    }
}
