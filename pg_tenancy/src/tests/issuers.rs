//! Issuers: whose tokens are believed, about whom, for which tenant, and no further.

#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;
    use serde_json::{Value, json};

    use crate::tests::signer::Signer;
    use crate::tests::support::*;
    use crate::token::Algorithm;

    const IDP: &str = "https://idp.example/";

    fn entering(token: &str) -> String {
        outcome(&format!("select tenancy.enter('{token}')"))
    }

    /// An issuer of that name whose keys these are; `more` are further arguments.
    fn trust(issuer: &str, signer: &Signer, more: &str) {
        run(&format!(
            "select tenancy.add_issuer('{issuer}', 'app', '{}'{more})",
            signer.jwks()
        ));
    }

    /// What that issuer says of a subject and a tenant.
    fn claims(issuer: &str, subject: &str, tenant: impl ToString) -> Value {
        let now = jsonwebtoken::get_current_timestamp();
        json!({"iss": issuer, "aud": "app", "sub": subject, "tenantId": tenant.to_string(),
            "iat": now, "exp": now + 600})
    }

    fn link(subject: &str, tenant: &str) {
        run(&format!(
            "select tenancy.link_identity('{IDP}', '{subject}', 'owner@{tenant}.example')"
        ));
    }

    #[pg_test]
    fn a_linked_subject_enters_where_the_person_is_a_member() {
        take_turn();
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        let signer = Signer::new("1", Algorithm::RS256);
        trust(IDP, &signer, "");
        let token = signer.sign(&claims(IDP, "idp|ann", acme.id));
        assert_eq!(entering(&token), "TN021");
        link("idp|ann", "acme");
        link("idp|ann", "acme");
        let said: Value = serde_json::from_str(&text(&format!(
            "select tenancy_private.verify_token('{token}')::text"
        )))
        .expect("JSON");
        assert_eq!(
            said,
            json!({"userId": acme.owner, "tenantId": acme.id, "sessionId": null,
                "purpose": null, "issuer": IDP, "email": null})
        );
        assert_eq!(entering(&token), "00000");
        assert_eq!(
            text("select tenancy.current_user_id()::text"),
            acme.owner.to_string()
        );
        assert_eq!(text("select tenancy.current_member_role()"), "owner");

        run("select tenancy.unlink_identity('https://idp.example/', 'idp|ann')");
        assert_eq!(entering(&token), "TN021");
        link("idp|ann", "acme");
        // The tenant in the token is no proof of being a member of it.
        assert_eq!(
            entering(&signer.sign(&claims(IDP, "idp|ann", globex.id))),
            "TN002"
        );
        run("delete from tenancy.memberships where role = 'owner'");
        assert_eq!(entering(&token), "TN002");
    }

    /// What an attacker tries who has an account, or an identity provider, of their own.
    #[pg_test]
    fn an_issuer_speaks_for_itself_alone() {
        take_turn();
        let acme = tenant("acme");
        run(&format!(
            "select tenancy.add_signing_key('{SECRET}', 'ours', 'https://us.example')"
        ));
        let [one, other] = ["same", "same"].map(|kid| Signer::new(kid, Algorithm::ES256));
        trust(IDP, &one, "");
        trust("https://other.example", &other, ", subject_by => 'id'");
        link("ann", "acme");
        let good = claims(IDP, "ann", acme.id);
        assert_eq!(entering(&one.sign(&good)), "00000");

        // Two issuers with the same kid: each verifies its own.
        assert_eq!(entering(&other.sign(&good)), "TN011");
        assert_eq!(
            entering(&one.sign(&claims(
                "https://other.example",
                &acme.owner.to_string(),
                acme.id
            ))),
            "TN011"
        );
        // A subject that looks like one of our people is a stranger all the same.
        assert_eq!(
            entering(&one.sign(&claims(IDP, &acme.owner.to_string(), acme.id))),
            "TN021"
        );
        // As if we had issued it.
        assert_eq!(
            entering(&one.sign(&claims(
                "https://us.example",
                &acme.owner.to_string(),
                acme.id
            ))),
            "TN011"
        );
        // Nobody said who issued it.
        let mut nameless = good.clone();
        nameless.as_object_mut().expect("claims").remove("iss");
        assert_eq!(entering(&one.sign(&nameless)), "TN011");
        // Our own key under an issuer's name, known and unknown.
        for issuer in [IDP, "https://third.example"] {
            let token = sign(
                &claims(issuer, &acme.owner.to_string(), acme.id),
                "ours",
                SECRET,
            );
            let expected = if issuer == IDP { "TN011" } else { "TN014" };
            assert_eq!(entering(&token), expected, "{issuer}");
        }
        // An issuer that differs in a slash, in case.
        for issuer in ["https://idp.example", "https://IDP.example/"] {
            assert_eq!(
                entering(&one.sign(&claims(issuer, "ann", acme.id))),
                "TN011"
            );
        }
        // The audience.
        for audience in [json!(null), json!("mail"), json!(["mail"]), json!([])] {
            let mut claims = good.clone();
            claims["aud"] = audience;
            assert_eq!(entering(&one.sign(&claims)), "TN014");
        }
    }

    #[pg_test]
    fn an_issuers_word_is_not_a_services() {
        take_turn();
        let acme = tenant("acme");
        let signer = Signer::new("1", Algorithm::EdDSA);
        trust(IDP, &signer, ", subject_by => 'id'");
        let mut claims = claims(IDP, &acme.owner.to_string(), acme.id);
        assert_eq!(entering(&signer.sign(&claims)), "00000");
        for purpose in ["session", "jwks", "reset", "password"] {
            claims["purpose"] = json!(purpose);
            let token = signer.sign(&claims);
            assert_eq!(entering(&token), "TN010");
            assert_eq!(
                outcome(&format!(
                    "select tenancy_private.require_word('{token}', '{purpose}')"
                )),
                "TN023"
            );
        }
    }

    #[pg_test]
    fn an_address_is_believed_where_both_have_verified_it() {
        take_turn();
        let acme = tenant("acme");
        let signer = Signer::new("1", Algorithm::ES256);
        trust(IDP, &signer, ", subject_by => 'verified_email'");
        let entering_as = |email: &str, is_verified: Value| {
            let mut claims = claims(IDP, "anybody", acme.id);
            claims["email"] = json!(email);
            claims["email_verified"] = is_verified;
            entering(&signer.sign(&claims))
        };
        // We don't know that the person here reads that mail: somebody could have
        // registered with an address that isn't theirs.
        assert_eq!(entering_as("owner@acme.example", json!(true)), "TN021");
        run("update tenancy.users set email_verified_at = now()");
        assert_eq!(entering_as("Owner@ACME.example", json!(true)), "00000");
        assert_eq!(entering_as("owner@acme.example", json!(false)), "TN021");
        assert_eq!(entering_as("owner@acme.example", json!("true")), "TN021");
        assert_eq!(
            entering_as("owner@acme.exampl\u{0435}", json!(true)),
            "TN021"
        );
        assert_eq!(entering_as("%@acme.example", json!(true)), "TN021");
        // Where addresses are not to be believed, they are not.
        trust("https://strict.example", &signer, "");
        let mut strict = claims("https://strict.example", "anybody", acme.id);
        strict["email"] = json!("owner@acme.example");
        strict["email_verified"] = json!(true);
        assert_eq!(entering(&signer.sign(&strict)), "TN021");
    }

    #[pg_test]
    fn a_link_counts_before_an_address() {
        take_turn();
        let [acme, _globex] = [tenant("acme"), tenant("globex")];
        run("update tenancy.users set email_verified_at = now()");
        let signer = Signer::new("1", Algorithm::ES256);
        trust(IDP, &signer, ", subject_by => 'verified_email'");
        link("ann", "acme");
        let mut claims = claims(IDP, "ann", acme.id);
        claims["email"] = json!("owner@globex.example");
        claims["email_verified"] = json!(true);
        assert_eq!(entering(&signer.sign(&claims)), "00000");
        assert_eq!(
            text("select tenancy.current_user_id()::text"),
            acme.owner.to_string()
        );
    }

    /// A customer's own identity provider must not open other customers' doors to the
    /// people that the two have in common.
    #[pg_test]
    fn an_issuer_of_one_tenant_opens_no_other() {
        take_turn();
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        run(&format!(
            "insert into tenancy.memberships (tenant_id, user_id, role) values ('{}', '{}', 'admin')",
            globex.id, acme.owner
        ));
        let signer = Signer::new("1", Algorithm::RS256);
        trust(IDP, &signer, &format!(", only_tenant => '{}'", acme.id));
        link("ann", "acme");
        assert_eq!(
            entering(&signer.sign(&claims(IDP, "ann", globex.id))),
            "TN002"
        );
        assert_eq!(
            entering(&signer.sign(&claims(IDP, "ann", acme.id))),
            "00000"
        );
        // Nor does it speak for the person beyond: end sessions elsewhere, leave a tenant.
        let token = signer.sign(&claims(IDP, "ann", acme.id));
        assert_eq!(
            outcome(&format!("select tenancy_private.verify_token('{token}')")),
            "TN014"
        );
        // Such an issuer needs to name no tenant.
        let mut nameless = claims(IDP, "ann", acme.id);
        nameless.as_object_mut().expect("claims").remove("tenantId");
        assert_eq!(entering(&signer.sign(&nameless)), "00000");
    }

    #[pg_test]
    fn a_tenant_is_found_by_id_by_slug_or_by_the_issuers_name_for_it() {
        take_turn();
        let acme = tenant("acme");
        let signer = Signer::new("1", Algorithm::EdDSA);
        let kinds = ["id", "slug", "external"];
        for kind in kinds {
            trust(
                &format!("https://{kind}.example"),
                &signer,
                &format!(", tenant_by => '{kind}', subject_by => 'id'"),
            );
        }
        run(&format!(
            "select tenancy.link_tenant('https://external.example', 'org_1', '{}')",
            acme.id
        ));
        let names = [acme.id.to_string(), "acme".to_owned(), "org_1".to_owned()];
        for (i, kind) in kinds.iter().enumerate() {
            let issuer = format!("https://{kind}.example");
            for (j, name) in names.iter().enumerate() {
                let token = signer.sign(&claims(&issuer, &acme.owner.to_string(), name));
                let expected = if i == j { "00000" } else { "TN002" };
                assert_eq!(entering(&token), expected, "{kind}: {name}");
            }
            for bad in [
                json!(null),
                json!([acme.id]),
                json!({}),
                json!(true),
                json!(""),
            ] {
                let mut claims = claims(&issuer, &acme.owner.to_string(), "");
                claims["tenantId"] = bad;
                assert_eq!(entering(&signer.sign(&claims)), "TN010");
            }
            let mut without = claims(&issuer, &acme.owner.to_string(), "");
            without.as_object_mut().expect("claims").remove("tenantId");
            assert_eq!(entering(&signer.sign(&without)), "TN010");
        }
        run("select tenancy.unlink_tenant('https://external.example', 'org_1')");
        let token = signer.sign(&claims(
            "https://external.example",
            &acme.owner.to_string(),
            "org_1",
        ));
        assert_eq!(entering(&token), "TN002");
    }

    /// Its session is none of ours, and what ends ours ends what was issued before.
    #[pg_test]
    fn an_issuers_token_ends_with_the_epoch() {
        take_turn();
        let acme = tenant("acme");
        let signer = Signer::new("1", Algorithm::EdDSA);
        trust(IDP, &signer, "");
        link("ann", "acme");
        let mut claims = claims(IDP, "ann", acme.id);
        claims["sid"] = json!("sess_123");
        let token = signer.sign(&claims);
        assert_eq!(entering(&token), "00000");
        run("update tenancy.users set tokens_valid_from = clock_timestamp() + interval '1 s'");
        assert_eq!(entering(&token), "TN015");
        run("update tenancy.users set tokens_valid_from = null");
        run("update tenancy.tenants set tokens_valid_from = clock_timestamp() + interval '1 s'");
        assert_eq!(entering(&token), "TN015");
    }

    #[pg_test]
    fn another_key_set_closes_at_once_what_the_old_one_opened() {
        take_turn();
        let acme = tenant("acme");
        let [old, new] = ["1", "1"].map(|kid| Signer::new(kid, Algorithm::ES256));
        trust(IDP, &old, "");
        link("ann", "acme");
        let token = old.sign(&claims(IDP, "ann", acme.id));
        assert_eq!([entering(&token), entering(&token)], ["00000", "00000"]);
        run(&format!(
            "select tenancy.set_issuer_jwks('{IDP}', '{}')",
            new.jwks()
        ));
        assert_eq!(entering(&token), "TN011");
        assert_eq!(entering(&new.sign(&claims(IDP, "ann", acme.id))), "00000");
        // A bad set changes nothing.
        for bad in ["", "{}", "{\"keys\":[]}"] {
            assert_eq!(
                outcome(&format!("select tenancy.set_issuer_jwks('{IDP}', '{bad}')")),
                "TN506"
            );
        }
        assert_eq!(entering(&new.sign(&claims(IDP, "ann", acme.id))), "00000");
        run(&format!("select tenancy.remove_issuer('{IDP}')"));
        assert_eq!(entering(&new.sign(&claims(IDP, "ann", acme.id))), "TN011");
        assert_eq!(number("select count(*) from tenancy.user_identities"), 0);
    }

    /// Who has the database password of the service, and not its key, plants none.
    #[pg_test]
    fn a_service_stores_what_it_fetched_with_its_word() {
        add_key();
        let acme = tenant("acme");
        let [old, evil] = ["1", "2"].map(|kid| Signer::new(kid, Algorithm::ES256));
        run(&format!(
            "select tenancy.add_issuer('{IDP}', 'app', jwks_url => 'https://idp.example/jwks')"
        ));
        trust("https://by.hand", &old, "");
        become_role("tenancy_authenticator");
        assert_eq!(
            text(
                "select string_agg(concat(issuer, ' ', jwks_url, ' ', fetched_at), ',') from tenancy.issuers_to_fetch()"
            ),
            format!("{IDP} https://idp.example/jwks ")
        );
        let store = |word: &str, issuer: &str, signer: &Signer| {
            outcome(&format!(
                "select tenancy.store_issuer_jwks({word}, '{issuer}', '{}')",
                signer.jwks()
            ))
        };
        let word = |purpose: &str| {
            let mut claims = acme.claims();
            claims["purpose"] = json!(purpose);
            format!("'{}'", sign(&claims, "test", SECRET))
        };
        assert_eq!(store("null", IDP, &evil), "TN010");
        assert_eq!(store("''", IDP, &evil), "TN010");
        assert_eq!(store(&format!("'{}'", acme.token()), IDP, &evil), "TN023");
        assert_eq!(store(&word("session"), IDP, &evil), "TN023");
        assert_eq!(store(&word("jwks"), "https://none.example", &evil), "TN505");
        // What a DBA set by hand is not the service's.
        assert_eq!(store(&word("jwks"), "https://by.hand", &evil), "TN505");
        let fresh = word("jwks");
        assert_eq!(store(&fresh, IDP, &old), "00000");
        assert_eq!(store(&fresh, IDP, &evil), "TN023", "a word is good once");
        run("reset role");
        assert_eq!(
            text("select string_agg(kid, ',') from tenancy.issuer_keys where issuer like '%idp%'"),
            "1"
        );
        assert_eq!(
            number("select count(*) from tenancy.issuers_to_fetch() where fetched_at is not null"),
            1
        );
    }

    /// An identity provider may write anybody's id as its `sub`.
    #[pg_test]
    fn a_token_of_an_issuer_does_not_tell_who_is_logged_in() {
        add_key();
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        let signer = Signer::new("1", Algorithm::ES256);
        trust(IDP, &signer, "");
        // Ann's account there is called like Globex's owner here.
        link(&globex.owner.to_string(), "acme");
        run(&format!(
            "update tenancy.users set tokens_valid_from = now() + interval '1 minute' where id = '{}'",
            acme.owner
        ));
        let mut revoked = claims(IDP, &globex.owner.to_string(), acme.id);
        revoked["sid"] = json!(uuid::Uuid::new_v4());
        let revoked = signer.sign(&revoked);
        let ending = || outcome(&format!("select tenancy.end_all_sessions('{revoked}')"));
        become_role("tenancy_authenticator");
        assert_eq!(ending(), "TN015", "nobody is logged in");
        run("reset role");
        let login = globex.log_in();
        become_role("tenancy_authenticator");
        assert_eq!(ending(), "TN015", "Globex's owner is");
        let sessions = answer(&format!("tenancy.list_sessions('{}')", login.token));
        assert_eq!(sessions["data"].as_array().map(Vec::len), Some(1));
    }

    /// A row that stays when the deed is undone was written by a background worker, and
    /// somebody who is to be shut out may keep all of those busy.
    #[pg_test]
    fn nobody_is_shut_out_by_way_of_a_background_worker() {
        take_turn();
        let acme = tenant("acme");
        let signer = Signer::new("1", Algorithm::ES256);
        trust(IDP, &signer, ", tenant_by => 'external'");
        link("ann", "acme");
        run(&format!(
            "select tenancy.link_tenant('{IDP}', 'org_1', '{}')",
            acme.id
        ));
        for deed in [
            format!("unlink_identity('{IDP}', 'ann')"),
            format!("unlink_tenant('{IDP}', 'org_1')"),
            format!("remove_issuer('{IDP}')"),
        ] {
            let action = deed.split('(').next().expect("a name");
            let written =
                format!("select count(*) from tenancy.audit_log where action = '{action}'");
            let before = number(&written);
            run(&format!(
                "do $$ begin perform tenancy.{deed}; raise exception using errcode = 'ZZ001';
                 exception when sqlstate 'ZZ001' then null; end $$"
            ));
            assert_eq!(number(&written), before, "{action}");
            run(&format!("select tenancy.{deed}"));
            assert_eq!(number(&written), before + 1, "{action}");
        }
    }

    #[pg_test]
    fn bad_settings_of_an_issuer_are_refused() {
        take_turn();
        let acme = tenant("acme");
        run(&format!(
            "select tenancy.add_signing_key('{SECRET}', 'x', 'https://us.example')"
        ));
        let jwks = Signer::new("1", Algorithm::EdDSA).jwks();
        let add = |arguments: &str| {
            outcome(&format!(
                "select tenancy.add_issuer({})",
                arguments.replace("KEYS", &format!("jwks => '{jwks}'"))
            ))
        };
        become_role("tenancy_admin");
        for arguments in [
            "'https://a', null",
            "null, null, KEYS",
            "'', null, KEYS",
            "'https://a b', null, KEYS",
            "'https://us.example', null, KEYS",
            "'https://a', '', KEYS",
            "'https://a', null, KEYS, tenant_claim => '{}'",
            "'https://a', null, KEYS, tenant_claim => null",
            "'https://a', null, KEYS, tenant_claim => '{*}'",
            "'https://a', null, KEYS, tenant_claim => '{a,null}'",
            "'https://a', null, KEYS, tenant_claim => '{a,\"\"}'",
            "'https://a', null, KEYS, tenant_claim => '{a,b,c,d,e,f,g,h,i}'",
            "'https://a', null, KEYS, tenant_by => 'name'",
            "'https://a', null, KEYS, subject_by => 'email'",
            "'https://a', null, jwks_url => 'http://idp.example/jwks'",
            "'https://a', null, jwks_url => 'http://localhost:80@evil.example/jwks'",
            "'https://a', null, jwks_url => 'https://user:password@idp.example/jwks'",
            "'https://a', null, jwks_url => 'file:///etc/passwd'",
            "'https://a', null, jwks_url => 'https://'",
        ] {
            assert_eq!(add(arguments), "TN504", "{arguments}");
        }
        assert_eq!(add("'https://a', null, '{}'"), "TN506");
        assert_eq!(
            add("'https://a', null, KEYS, only_tenant => gen_random_uuid()"),
            "TN601"
        );
        assert_eq!(
            add("'https://a', null, jwks_url => 'http://localhost:8080/jwks'"),
            "00000"
        );
        assert_eq!(add("'https://a', null, KEYS"), "TN504");

        assert_eq!(
            outcome("select tenancy.set_issuer_jwks('https://none', '{}')"),
            "TN506"
        );
        assert_eq!(
            outcome(&format!(
                "select tenancy.set_issuer_jwks('https://none', '{jwks}')"
            )),
            "TN505"
        );
        assert_eq!(
            outcome("select tenancy.remove_issuer('https://none')"),
            "TN505"
        );
        let link = |arguments: &str| outcome(&format!("select tenancy.link_identity({arguments})"));
        assert_eq!(link("'https://none', 's', 'owner@acme.example'"), "TN505");
        assert_eq!(link("'https://a', 's', 'nobody@acme.example'"), "TN603");
        assert_eq!(link("'https://a', '', 'owner@acme.example'"), "TN504");
        assert_eq!(link("'https://a', null, 'owner@acme.example'"), "TN504");
        assert_eq!(link("'https://a', 's', 'owner@acme.example'"), "00000");
        run("reset role");
        let globex = tenant("globex");
        become_role("tenancy_admin");
        assert_eq!(link("'https://a', 's', 'owner@globex.example'"), "TN508");
        let link = |name: &str, tenant: uuid::Uuid| {
            outcome(&format!(
                "select tenancy.link_tenant('https://a', {name}, '{tenant}')"
            ))
        };
        assert_eq!(link("'o'", acme.id), "00000");
        assert_eq!(link("'o'", acme.id), "00000");
        assert_eq!(link("'o'", globex.id), "TN508");
        assert_eq!(link("''", acme.id), "TN504");
        assert_eq!(link("null", acme.id), "TN504");
        assert_eq!(link("'p'", uuid::Uuid::nil()), "TN601");
        assert_eq!(
            text("select string_agg(issuer, ',') from tenancy.issuers"),
            "https://a"
        );
        // And none of our own services takes that name.
        assert_eq!(
            outcome(&format!(
                "select tenancy.add_signing_key('{SECRET}', 'y', 'https://a')"
            )),
            "TN504"
        );
    }

    #[pg_test]
    fn nobody_but_the_admin_keeps_issuers_and_nobody_reads_their_links() {
        take_turn();
        for role in [
            "tenancy_app",
            "tenancy_gateway",
            "tenancy_authenticator",
            "tenancy_reporter",
        ] {
            become_role(role);
            for sql in [
                "select tenancy.add_issuer('https://a', null, '{}')",
                "select tenancy.set_issuer_jwks('https://a', '{}')",
                "select tenancy.link_identity('https://a', 's', 'e')",
                "select tenancy.link_tenant('https://a', 's', null)",
                "select tenancy.activate_signing_key('x')",
                "select from tenancy.issuers",
                "select from tenancy.issuer_keys",
                "select from tenancy.user_identities",
                "select from tenancy.issuer_tenants",
            ] {
                assert_eq!(outcome(sql), "42501", "{role}: {sql}");
            }
            run("reset role");
        }
        become_role("tenancy_admin");
        for table in [
            "issuer_keys",
            "user_identities",
            "issuer_tenants",
            "signing_keys",
        ] {
            assert_eq!(outcome(&format!("select from tenancy.{table}")), "42501");
        }
    }
}
