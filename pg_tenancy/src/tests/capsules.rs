//! Capsules: a context that a queue carries, and what it is worth when it arrives.

#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;
    use uuid::Uuid;

    use crate::capsule::{self, Content};
    use crate::context::{Context, Proof, Role};
    use crate::tests::support::*;

    /// Goes on as the owner of this tenant, in an application.
    fn become_owner_of(tenant: &Tenant) {
        become_role("tenancy_gateway");
        run(&format!(
            "select tenancy.set_tenant_context('{}', '{}')",
            tenant.id, tenant.owner
        ));
        become_role("tenancy_app");
    }

    /// What a query gives after that statement has entered; then both are undone.
    fn after(entering: &str, query: &str) -> String {
        let answer = Spi::get_one_with_args::<String>(
            "select tests.after($1, $2)",
            &[entering.into(), query.into()],
        );
        answer.expect("an answer").expect("a value")
    }

    /// The same, where the tenant's owner enters.
    fn within(tenant: &Tenant, query: &str) -> String {
        let enter = format!(
            "select tenancy.set_tenant_context('{}', '{}')",
            tenant.id, tenant.owner
        );
        after(&enter, query)
    }

    extension_sql!(
        r"
        create function tests.after(entering text, query text) returns text language plpgsql as $$
        declare
            answer text;
        begin
            execute entering;
            execute query into answer;
            raise exception using errcode = 'ZZ001';
        exception when sqlstate 'ZZ001' then
            return answer;
        end $$;
        ",
        name = "capsule_test_after",
        requires = [tests]
    );

    fn capsule_of(tenant: &Tenant) -> String {
        within(tenant, "select tenancy.seal()")
    }

    fn entering(capsule: &str) -> String {
        outcome(&format!("select tests.leave('{capsule}')")).replace("ZZ001", "00000")
    }

    extension_sql!(
        r"
        -- Enters, and takes it back.
        create function tests.leave(proof text) returns void language plpgsql as $$
        begin
            perform tenancy.enter(proof);
            raise exception using errcode = 'ZZ001';
        end $$;
        ",
        name = "capsule_test_leave",
        requires = [tests]
    );

    #[pg_test]
    fn a_capsule_takes_its_person_back_into_the_tenant() {
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        acme.task("ours");
        globex.task("theirs");
        let capsule = within(&acme, "select tenancy.seal('5 minutes', 'invoices.send')");
        assert!(capsule.starts_with("pgc_"), "{capsule}");
        // Who carries it reads nothing in it.
        for id in [acme.id, acme.owner] {
            assert!(!capsule.contains(&id.to_string()), "{capsule}");
        }
        become_role("tenancy_app");
        assert_eq!(outcome("select tenancy.current_purpose()"), "TN001");
        run(&format!("select tenancy.enter('{capsule}')"));
        assert_eq!(
            text(
                "select concat_ws(' ', tenancy.current_tenant_id(), tenancy.current_user_id(),
                      tenancy.current_member_role(), tenancy.current_purpose())"
            ),
            format!("{} {} owner invoices.send", acme.id, acme.owner)
        );
        assert_eq!(
            text("select string_agg(title, ' ') from tenancy.tasks"),
            "ours"
        );
        // The first one stays.
        run(&format!("select tenancy.enter('{capsule}')"));
    }

    #[pg_test]
    fn a_second_capsule_of_another_tenant_or_purpose_is_refused() {
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        let [first, second] = [capsule_of(&acme), capsule_of(&globex)];
        let other = within(&acme, "select tenancy.seal('1 hour', 'other')");
        become_role("tenancy_app");
        run(&format!("select tenancy.enter('{first}')"));
        assert_eq!(
            outcome(&format!("select tenancy.enter('{second}')")),
            "TN003"
        );
        assert_eq!(
            outcome(&format!("select tenancy.enter('{other}')")),
            "TN003"
        );
        assert_eq!(
            text("select tenancy.current_tenant_id()::text"),
            acme.id.to_string()
        );
        assert_eq!(maybe("select tenancy.current_purpose()"), None);
    }

    #[pg_test]
    fn a_worker_can_demand_its_purpose() {
        add_key();
        let acme = tenant("acme");
        let plain = capsule_of(&acme);
        let invoices = within(&acme, "select tenancy.seal('1 hour', 'invoices')");
        become_role("tenancy_app");
        let demanding = |proof: &str, purpose: &str| {
            outcome(&format!(
                "select tenancy.enter_sealed('{proof}', '{purpose}')"
            ))
        };
        for wrong in ["export", "", "Invoices"] {
            assert_eq!(demanding(&invoices, wrong), "TN019", "{wrong}");
        }
        assert_eq!(demanding(&plain, "invoices"), "TN019");
        assert_eq!(demanding(&acme.token(), "invoices"), "TN019");
        assert_eq!(demanding(&invoices, "invoices"), "00000");
    }

    #[pg_test]
    fn only_what_was_sealed_here_opens() {
        add_key();
        let acme = tenant("acme");
        let good = capsule_of(&acme);
        let body = &good[4..];
        become_role("tenancy_app");
        for bad in [
            "pgc_".to_owned(),
            "pgc_A".to_owned(),
            format!("pgc_{}", "A".repeat(300)),
            format!("pgc_{}", "A".repeat(1 << 20)),
            format!("pgc_{}", acme.token()),
            format!("pgc_{good}"),
            format!("{good}="),
            format!("{good} "),
            format!("pgc_ {body}"),
            good[..good.len() - 1].to_owned(),
            format!("pgc_{}", body.replacen('A', "B", 1)),
            format!("pgc_AAAAAg{}", &body[6..]),
            format!("pgc_/////w{}", &body[6..]),
        ] {
            let shown: String = bad.chars().take(80).collect();
            assert_eq!(entering(&bad), "TN019", "{shown}");
        }
        // No capsule is a token, whatever is put before it.
        assert_eq!(entering(body), "TN010");
        assert_eq!(entering(&format!("pgt_{body}")), "TN018");
        assert_eq!(entering(&format!("pgs_{body}")), "TN020");
        assert_ne!(
            outcome(&format!("select tenancy.assert_service('{good}')")),
            "00000"
        );
        assert_eq!(entering(&good), "00000");
    }

    #[pg_test]
    fn the_role_is_what_it_is_when_the_capsule_is_opened() {
        let acme = tenant("acme");
        let capsule = capsule_of(&acme);
        run(&format!(
            "update tenancy.memberships set role = 'viewer' where tenant_id = '{}'",
            acme.id
        ));
        assert_eq!(
            after(
                &format!("select tenancy.enter('{capsule}')"),
                "select concat_ws(' ', tenancy.current_member_role(), current_setting('transaction_read_only'))"
            ),
            "viewer on"
        );
    }

    #[pg_test]
    fn a_capsule_of_who_was_removed_or_suspended_opens_nothing() {
        let acme = tenant("acme");
        let capsule = capsule_of(&acme);
        run(&format!(
            "select tenancy.suspend_tenant('{}', 'unpaid')",
            acme.id
        ));
        assert_eq!(entering(&capsule), "TN004");
        run(&format!("select tenancy.resume_tenant('{}')", acme.id));
        assert_eq!(entering(&capsule), "00000");
        run(&format!(
            "delete from tenancy.memberships where tenant_id = '{}'",
            acme.id
        ));
        assert_eq!(entering(&capsule), "TN002");
    }

    /// As a change of password does it, or "revoke all of this tenant".
    #[pg_test]
    fn a_capsule_dies_when_all_tokens_are_revoked() {
        let acme = tenant("acme");
        for (table, id) in [("users", acme.owner), ("tenants", acme.id)] {
            let before = capsule_of(&acme);
            assert_eq!(entering(&before), "00000");
            run(&format!(
                "update tenancy.{table} set tokens_valid_from = now() - interval '1 second' where id = '{id}'"
            ));
            assert_eq!(entering(&before), "TN015", "{table}");
            // A second time within the second is a second time.
            let between = capsule_of(&acme);
            assert_eq!(entering(&between), "00000");
            run(&format!(
                "update tenancy.{table} set tokens_valid_from = tokens_valid_from + interval '1 microsecond' where id = '{id}'"
            ));
            assert_eq!(entering(&between), "TN015", "{table}");
        }
    }

    /// Who has entered with a token that is revoked while the transaction runs
    /// must not get away with a capsule from after it.
    #[pg_test]
    fn what_was_revoked_meanwhile_is_not_sealed() {
        let acme = tenant("acme");
        become_owner_of(&acme);
        assert_eq!(outcome("select tenancy.seal()"), "00000");
        run("reset role");
        run(&format!(
            "update tenancy.users set tokens_valid_from = clock_timestamp() where id = '{}'",
            acme.owner
        ));
        become_role("tenancy_app");
        assert_eq!(outcome("select tenancy.seal()"), "TN015");
    }

    /// As enter() does with an API key.
    #[pg_extern]
    fn enter_as_key(tenant: pgrx::Uuid, key: pgrx::Uuid) {
        let context = Context {
            tenant_id: Uuid::from_bytes(*tenant.as_bytes()),
            user_id: None,
            role: Some(Role::Member),
            session_id: None,
            proof: Proof::ApiKey(Uuid::from_bytes(*key.as_bytes())),
            is_read_only: false,
            epochs: crate::context::Epochs::default(),
        };
        crate::context::set(context, None).expect("a context");
    }

    #[pg_test]
    fn a_capsule_of_an_api_key_is_worth_what_the_key_is() {
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        let secret = format!("pgt_abcdefghijkl_{}", "x".repeat(43));
        let key = text(&format!(
            "insert into tenancy.api_keys (tenant_id, name, role, prefix, digest)
             values ('{}', 'importer', 'member', 'abcdefghijkl', tenancy_private.digest_of('{secret}'))
             returning id::text",
            acme.id
        ));
        let capsule = after(
            &format!("select tenancy.enter('{secret}')"),
            "select tenancy.seal()",
        );
        assert_eq!(entering(&capsule), "00000");
        // A key of another tenant is none of this one.
        let elsewhere = format!(
            "select tests.after('select tests.enter_as_key(''{}'', ''{key}'')', 'select tenancy.seal()')",
            globex.id
        );
        assert_eq!(outcome(&elsewhere), "TN018");
        let role_and_person =
            "select concat_ws(' ', tenancy.current_member_role(), tenancy.current_user_id())";
        let enter = format!("select tenancy.enter('{capsule}')");
        assert_eq!(after(&enter, role_and_person), "member");
        run("update tenancy.api_keys set role = 'viewer'");
        assert_eq!(after(&enter, role_and_person), "viewer");

        run("update tenancy.api_keys set expires_at = clock_timestamp()");
        assert_eq!(entering(&capsule), "TN018");
        run("update tenancy.api_keys set expires_at = null");
        assert_eq!(entering(&capsule), "00000");
        run("update tenancy.api_keys set revoked_at = clock_timestamp()");
        assert_eq!(entering(&capsule), "TN018");
    }

    #[pg_test]
    fn the_end_of_its_session_ends_no_capsule_but_lets_none_be_sealed() {
        let acme = tenant("acme");
        let session = text(&format!(
            "insert into tenancy.sessions (tenant_id, user_id, expires_at)
             values ('{}', '{}', now() + '1 hour') returning id::text",
            acme.id, acme.owner
        ));
        let enter = format!(
            "select tests.enter_by_session('{}', '{}', '{session}')",
            acme.id, acme.owner
        );
        let capsule = after(&enter, "select tenancy.seal()");
        run("update tenancy.sessions set ended_at = now(), end_reason = 'logout'");
        assert_eq!(entering(&capsule), "00000");
        run(&enter);
        assert_eq!(outcome("select tenancy.seal()"), "TN015");
    }

    #[pg_extern]
    fn enter_by_session(tenant: pgrx::Uuid, person: pgrx::Uuid, session: pgrx::Uuid) {
        let context = Context {
            tenant_id: Uuid::from_bytes(*tenant.as_bytes()),
            user_id: Some(Uuid::from_bytes(*person.as_bytes())),
            role: Some(Role::Owner),
            session_id: Some(Uuid::from_bytes(*session.as_bytes())),
            proof: Proof::Token,
            is_read_only: false,
            epochs: crate::context::Epochs::default(),
        };
        crate::context::set(context, None).expect("a context");
    }

    /// Who knows the form and not the key.
    #[pg_test]
    fn a_capsule_can_not_be_made_up() {
        let acme = tenant("acme");
        let content = Content {
            tenant: acme.id,
            user: Some(acme.owner),
            proof: "token".to_owned(),
            proof_id: None,
            purpose: None,
            iat: 0,
            exp: i64::MAX,
            jti: Uuid::nil(),
            epochs: crate::context::Epochs::default(),
        };
        let made_up = |number| capsule::seal(&content, number, &[0; 32]).expect("a capsule");
        assert_eq!(entering(&made_up(1)), "TN019");
        // Nor with the key that was wiped.
        run("select tenancy.rotate_seal_key('0')");
        assert_eq!(entering(&made_up(1)), "TN019");
        assert_eq!(entering(&made_up(u32::MAX)), "TN019");
    }

    #[pg_test]
    fn sealing_again_prolongs_nothing() {
        let acme = tenant("acme");
        let first = within(&acme, "select tenancy.seal('2 seconds', 'first')");
        become_role("tenancy_app");
        run(&format!("select tenancy.enter('{first}')"));
        // For a day: it ends with the first one all the same.
        let second = text("select tenancy.seal('24 hours')");
        run("reset role");
        run("select pg_sleep(2.1)");
        become_role("tenancy_app");
        for over in [&first, &second] {
            let said = complaint(&format!("select tenancy.enter('{over}')"));
            assert!(
                said.starts_with("TN019") && said.contains("expired"),
                "{said}"
            );
        }
    }

    #[pg_test]
    fn a_lifetime_and_a_purpose_have_bounds() {
        let acme = tenant("acme");
        become_role("tenancy_app");
        assert_eq!(outcome("select tenancy.seal()"), "TN001");
        run("reset role");
        become_owner_of(&acme);
        for bad in [
            "null",
            "'0'",
            "'-1 hour'",
            "'999 ms'",
            "'24 hours 1 ms'",
            "'1 month'",
            "'178000000 years'",
            // PostgreSQL compares this as a day, and adds it as 14 years.
            "'1000 years -359999 days'",
            "'-1000 years 360001 days'",
            "'1 hour', ''",
            "'1 hour', '-'",
            "'1 hour', 'a/b'",
            "'1 hour', 'a b'",
            "'1 hour', E'a\\nb'",
            "'1 hour', repeat('a', 65)",
            "'1 hour', 'é'",
        ] {
            assert_eq!(
                outcome(&format!("select tenancy.seal({bad})")),
                "TN851",
                "{bad}"
            );
        }
        assert_eq!(outcome("select tenancy.seal('24 hours', 'a')"), "00000");
        assert_eq!(outcome("select tenancy.seal('1 second', null)"), "00000");
    }

    #[pg_test]
    fn a_purpose_stays_when_it_is_sealed_again() {
        let acme = tenant("acme");
        let sealed = within(&acme, "select tenancy.seal('1 hour', 'invoices.send')");
        let enter = format!("select tenancy.enter('{sealed}')");
        let again = after(&enter, "select tenancy.seal()");
        assert_eq!(
            after(
                &format!("select tenancy.enter('{again}')"),
                "select tenancy.current_purpose()"
            ),
            "invoices.send"
        );
        run(&enter);
        assert_eq!(
            outcome("select tenancy.seal('1 hour', 'tenant.delete')"),
            "TN851"
        );
        assert_eq!(
            outcome("select tenancy.seal('1 hour', 'invoices.send')"),
            "00000"
        );
    }

    #[pg_test]
    fn a_gateways_word_without_a_person_can_be_sealed_too() {
        let acme = tenant("acme");
        let enter = format!("select tenancy.set_tenant_context('{}')", acme.id);
        let capsule = after(&enter, "select tenancy.seal()");
        become_role("tenancy_app");
        run(&format!("select tenancy.enter('{capsule}')"));
        assert_eq!(
            text("select tenancy.current_tenant_id()::text"),
            acme.id.to_string()
        );
        assert_eq!(maybe("select tenancy.current_user_id()::text"), None);
        assert_eq!(maybe("select tenancy.current_member_role()"), None);
    }

    #[pg_test]
    fn an_old_key_opens_until_it_is_over_and_seals_no_more() {
        let acme = tenant("acme");
        let old = capsule_of(&acme);
        become_role("tenancy_admin");
        assert_eq!(number("select tenancy.rotate_seal_key()"), 2);
        run("reset role");
        let new = capsule_of(&acme);
        assert_eq!(entering(&old), "00000");
        assert_eq!(entering(&new), "00000");
        assert_eq!(
            text("select string_agg(concat_ws(' ', number, valid_until > now() + '24 hours'), ', ' order by number)
                  from tenancy.seal_keys"),
            "1 t, 2"
        );
        become_role("tenancy_admin");
        assert_eq!(number("select tenancy.rotate_seal_key('0')"), 3);
        for bad in [
            "null",
            "'-1 s'",
            "'26 hours'",
            // Compared as one day, and added as fourteen years.
            "'1000 years -359999 days'",
            "'178000000 years'",
        ] {
            assert_eq!(
                outcome(&format!("select tenancy.rotate_seal_key({bad})")),
                "TN851",
                "{bad}"
            );
        }
        run("reset role");
        assert_eq!(entering(&old), "TN019");
        assert_eq!(entering(&new), "TN019");
        assert_eq!(
            number("select count(*) from tenancy.seal_keys where secret <> ''"),
            1
        );
        assert_eq!(entering(&capsule_of(&acme)), "00000");
    }

    #[pg_test]
    fn the_keys_are_readable_by_nobody() {
        for role in [
            "tenancy_app",
            "tenancy_gateway",
            "tenancy_authenticator",
            "tenancy_reporter",
            "tenancy_admin",
        ] {
            become_role(role);
            assert_eq!(
                outcome("select * from tenancy.seal_keys"),
                "42501",
                "{role}"
            );
            assert_eq!(
                outcome("select tenancy_private.seal_context(1000000, null)"),
                "42501",
                "{role}"
            );
            run("reset role");
        }
        run("grant select on tenancy.seal_keys to tenancy_app");
        become_role("tenancy_app");
        assert_eq!(number("select count(*) from tenancy.seal_keys"), 0);
    }

    /// What CREATE EXTENSION makes makes room for what a dump brings.
    #[pg_test]
    fn a_key_of_a_dump_takes_the_place_of_the_installed_one() {
        run("insert into tenancy.seal_keys (number, secret) values (1, sha256('dumped'))");
        assert_eq!(
            text(
                "select string_agg(concat_ws(' ', number, secret = sha256('dumped')), ', ') from tenancy.seal_keys"
            ),
            "1 t"
        );
    }
}
