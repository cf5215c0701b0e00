//! Choosing between a person's tenants with one token, where the DBA lets it.

#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;
    use serde_json::{Value, json};
    use uuid::Uuid;

    use crate::tests::named_tenant::*;
    use crate::tests::signer::Signer;
    use crate::tests::support::*;
    use crate::token::Algorithm;

    #[pg_test]
    fn a_person_selects_a_tenant_and_is_there_what_the_membership_says() {
        add_key();
        select_tenant();
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        globex.add_member(acme.owner, "viewer");
        globex.task("theirs");
        let login = acme.log_in();
        become_role("tenancy_app");
        for token in [&login.token, &acme.token()] {
            assert_eq!(
                entered(token, "'globex'"),
                format!("{} {} viewer on", globex.id, acme.owner)
            );
            assert_eq!(
                entered(token, "'acme'"),
                format!("{} {} owner off", acme.id, acme.owner)
            );
        }
        // A stranger the other way round.
        assert_eq!(entering(&globex.token(), "'acme'"), "TN026");
        // The first one stays.
        run(&format!(
            "select tenancy.enter('{}', 'globex')",
            login.token
        ));
        run(&format!(
            "select tenancy.enter('{}', 'globex')",
            login.token
        ));
        for tenant in ["'acme'", "null"] {
            assert_eq!(entering(&login.token, tenant), "TN003", "{tenant}");
        }
        assert_eq!(
            text("select string_agg(title, ' ') from tenancy.tasks"),
            "theirs"
        );
    }

    #[pg_test]
    fn a_selected_tenant_is_looked_at_now() {
        add_key();
        select_tenant();
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        globex.add_member(acme.owner, "member");
        let login = acme.log_in();
        let selecting = || entering(&login.token, "'globex'");
        assert_eq!(selecting(), "00000");

        run(&format!(
            "select tenancy.suspend_tenant('{}', 'unpaid')",
            globex.id
        ));
        assert_eq!(selecting(), "TN004");
        run(&format!("select tenancy.resume_tenant('{}')", globex.id));
        // As with switch_tenant(), a suspended tenant keeps nobody from the others.
        run(&format!(
            "select tenancy.suspend_tenant('{}', 'unpaid')",
            acme.id
        ));
        assert_eq!(selecting(), "00000");
        assert_eq!(entering(&login.token, "'acme'"), "TN004");

        run(&format!(
            "delete from tenancy.memberships where tenant_id = '{}' and user_id = '{}'",
            globex.id, acme.owner
        ));
        assert_eq!(selecting(), "TN026");
    }

    /// Revoking what was given before a moment holds for who selects the tenant, too.
    #[pg_test]
    fn who_logged_in_before_a_tenants_tokens_were_revoked_selects_it_no_more() {
        add_key();
        select_tenant();
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        globex.add_member(acme.owner, "member");
        let before = acme.log_in();
        let mut old = acme.claims();
        old["iat"] = json!(jsonwebtoken::get_current_timestamp() - 10);
        let old = sign(&old, "test", SECRET);
        run(&format!(
            "select tenancy.revoke_tenant('{}', 'a theft')",
            globex.id
        ));
        assert_eq!(entering(&before.token, "'globex'"), "TN015");
        assert_eq!(entering(&old, "'globex'"), "TN015");
        assert_eq!(entering(&before.token, "'acme'"), "00000");
        assert_eq!(entering(&acme.log_in().token, "'globex'"), "00000");

        run(&format!("select tenancy.end_session('{}')", before.token));
        assert_eq!(entering(&before.token, "'globex'"), "TN015");
    }

    /// The session is of another tenant, and what is sealed there is as good as it.
    #[pg_test]
    fn a_capsule_is_sealed_in_a_selected_tenant_while_the_session_lives() {
        add_key();
        select_tenant();
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        globex.add_member(acme.owner, "member");
        let login = acme.log_in();
        run(&format!(
            "select tenancy.enter('{}', 'globex')",
            login.token
        ));
        let capsule = text("select tenancy.seal()");
        run(&format!("select tenancy.end_session('{}')", login.token));
        assert_eq!(outcome("select tenancy.seal()"), "TN015");
        become_dba();
        assert_eq!(
            text(&format!("select tenancy.enter('{capsule}')::text")),
            globex.id.to_string()
        );
    }

    #[pg_test]
    fn nothing_is_sealed_in_a_selected_tenant_whose_tokens_were_revoked() {
        add_key();
        select_tenant();
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        globex.add_member(acme.owner, "member");
        let login = acme.log_in();
        run(&format!(
            "select tenancy.enter('{}', 'globex')",
            login.token
        ));
        run(&format!(
            "select tenancy_private.end_tenant('{}', 'a theft')",
            globex.id
        ));
        assert_eq!(outcome("select tenancy.seal()"), "TN015");
    }

    #[pg_test]
    fn a_word_selects_nothing_and_a_token_without_a_tenant_does() {
        add_key();
        select_tenant();
        let acme = tenant("acme");
        let word = word(acme.owner, "session");
        let mut claims = acme.claims();
        claims.as_object_mut().expect("claims").remove("tenantId");
        let nowhere = sign(&claims, "test", SECRET);
        become_role("tenancy_app");
        assert_eq!(entering(&word, "'acme'"), "TN010");
        assert_eq!(entering(&nowhere, "null"), "TN010");
        assert_eq!(entering(&nowhere, "'acme'"), "00000");
        let ended: Value = json!(Uuid::nil());
        let mut of_session = claims.clone();
        of_session["sid"] = ended;
        assert_eq!(
            entering(&sign(&of_session, "test", SECRET), "'acme'"),
            "TN015"
        );
    }

    /// A customer's own identity provider doesn't lead to another customer.
    #[pg_test]
    fn an_issuer_that_speaks_for_one_tenant_selects_no_other() {
        select_tenant();
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        globex.add_member(acme.owner, "member");
        let signer = Signer::new("1", Algorithm::EdDSA);
        let now = jsonwebtoken::get_current_timestamp();
        for (issuer, only, expected) in [
            (
                "https://one.example",
                format!(", only_tenant => '{}'", acme.id),
                "TN026",
            ),
            ("https://all.example", String::new(), "00000"),
        ] {
            run(&format!(
                "select tenancy.add_issuer('{issuer}', 'app', '{}', subject_by => 'id'{only})",
                signer.jwks()
            ));
            let mut claims = json!({"iss": issuer, "aud": "app", "sub": acme.owner,
                "tenantId": acme.id, "iat": now, "exp": now + 600});
            let token = signer.sign(&claims);
            assert_eq!(entering(&token, "'acme'"), "00000", "{issuer}");
            assert_eq!(entering(&token, "'globex'"), expected, "{issuer}");
            claims.as_object_mut().expect("claims").remove("tenantId");
            let nameless = signer.sign(&claims);
            assert_eq!(entering(&nameless, "'acme'"), "00000", "{issuer}");
            assert_eq!(entering(&nameless, "'globex'"), expected, "{issuer}");
        }
    }

    #[pg_test]
    fn the_application_can_not_switch_selection_on() {
        become_role("tenancy_app");
        for attempt in [
            "set pg_tenancy.select_tenant = on",
            "set local pg_tenancy.select_tenant = on",
            "select set_config('pg_tenancy.select_tenant', 'on', true)",
            "alter role tenancy_app set pg_tenancy.select_tenant = on",
        ] {
            assert_eq!(outcome(attempt), "42501", "{attempt}");
        }
        assert_eq!(text("show pg_tenancy.select_tenant"), "off");
    }
}
