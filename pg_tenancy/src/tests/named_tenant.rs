//! Entering the tenant that is named: that one, or none.

use uuid::Uuid;

use crate::tests::support::*;

/// How it ends; what was entered is left again.
pub fn entering(token: &str, tenant: &str) -> String {
    let attempt = format!("select tests.enter_and_leave('{token}', {tenant})");
    outcome(&attempt).replace("ZZ001", "00000")
}

/// Tenant, person, role, and whether the transaction can only read.
pub fn entered(token: &str, tenant: &str) -> String {
    let said = complaint(&format!(
        "select tests.enter_and_leave('{token}', {tenant})"
    ));
    said.strip_prefix("ZZ001 : ")
        .unwrap_or_else(|| panic!("{said}"))
        .to_owned()
}

pub fn quoted(id: Uuid) -> String {
    format!("'{id}'")
}

pub fn select_tenant() {
    run("set local pg_tenancy.select_tenant = on");
}

#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;

    use super::*;

    extension_sql!(
        r"
        create function tests.enter_and_leave(token text, tenant text) returns void language plpgsql as $$
        begin
            perform tenancy.enter(token, tenant);
            raise exception using errcode = 'ZZ001', message = concat_ws(' ', tenancy.current_tenant_id(),
                tenancy.current_user_id(), tenancy.current_member_role(), current_setting('transaction_read_only'));
        end $$;
        ",
        name = "named_tenant_test",
        requires = [tests]
    );

    #[pg_test]
    fn a_token_enters_the_tenant_that_is_named_and_is_its_own() {
        add_key();
        let acme = tenant("acme");
        let login = acme.log_in();
        become_role("tenancy_app");
        let expected = format!("{} {} owner off", acme.id, acme.owner);
        for token in [&login.token, &acme.token()] {
            assert_eq!(entered(token, "'acme'"), expected);
            assert_eq!(entered(token, &quoted(acme.id)), expected);
            assert_eq!(entered(token, &quoted(acme.id).to_uppercase()), expected);
            assert_eq!(entered(token, "null"), expected);
        }
    }

    /// Not whether there is one, not whether it is suspended.
    #[pg_test]
    fn another_tenant_is_refused_in_the_same_words_as_none() {
        add_key();
        let [acme, globex, initech] = [tenant("acme"), tenant("globex"), tenant("initech")];
        globex.add_member(acme.owner, "owner");
        run(&format!(
            "select tenancy.suspend_tenant('{}', 'unpaid')",
            initech.id
        ));
        let token = acme.log_in().token;
        let words = complaint(&format!("select tenancy.enter('{token}', 'nowhere')"));
        assert!(words.starts_with("TN026"), "{words}");
        for select in ["off", "on"] {
            run(&format!("set local pg_tenancy.select_tenant = {select}"));
            become_role("tenancy_app");
            for other in ["initech", &initech.id.to_string(), &Uuid::nil().to_string()] {
                assert_eq!(
                    complaint(&format!("select tenancy.enter('{token}', '{other}')")),
                    words,
                    "{other}, {select}"
                );
            }
            run("reset role");
        }
        run("set local pg_tenancy.select_tenant = off");
        become_role("tenancy_app");
        assert_eq!(entering(&token, "'globex'"), "TN026");
        assert_eq!(entering(&token, "'acme'"), "00000");
    }

    #[pg_test]
    fn what_can_not_be_a_name_is_refused() {
        add_key();
        let token = tenant("acme").token();
        become_role("tenancy_app");
        for bad in [
            String::new(),
            " acme".to_owned(),
            "acme ".to_owned(),
            "Acme".to_owned(),
            "-acme".to_owned(),
            "acme-".to_owned(),
            "ac_me".to_owned(),
            "acmé".to_owned(),
            "acme.example".to_owned(),
            "acme\"; drop table tenancy.tenants".to_owned(),
            "x".repeat(64),
            "x".repeat(1 << 20),
            "{00000000-0000-0000-0000-000000000000}".to_owned(),
        ] {
            assert_eq!(entering(&token, &format!("'{bad}'")), "TN027", "{bad}");
        }
        assert_eq!(entering(&token, &format!("'{}'", "x".repeat(63))), "TN026");
        assert_eq!(entering("", "'acme'"), "TN010");
        assert_eq!(maybe("select tenancy.enter(null, 'acme')::text"), None);
        assert_eq!(outcome("select tenancy.current_tenant_id()"), "TN001");
    }

    /// A slug is anybody's choice, an id is nobody's.
    #[pg_test]
    fn a_slug_that_looks_like_an_id_names_the_tenant_of_that_id() {
        add_key();
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        globex.add_member(acme.owner, "member");
        run(&format!(
            "update tenancy.tenants set slug = '{}' where id = '{}'",
            globex.id, acme.id
        ));
        let token = acme.token();
        become_role("tenancy_app");
        assert_eq!(entering(&token, &quoted(globex.id)), "TN026");
        run("reset role");
        select_tenant();
        become_role("tenancy_app");
        assert_eq!(
            entered(&token, &quoted(globex.id)),
            format!("{} {} member off", globex.id, acme.owner)
        );
    }

    #[pg_test]
    fn keys_capsules_and_support_lead_to_their_own_tenant_alone() {
        add_key();
        select_tenant();
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        globex.add_member(acme.owner, "owner");
        become_person(&acme, acme.owner);
        let key = answer("tenancy.create_api_key('a machine', 'admin')")["key"]
            .as_str()
            .expect("a key")
            .to_owned();
        let capsule = text("select tenancy.seal()");
        become_dba();
        let support = text(&format!(
            "select token from tenancy.impersonate('{}', 'a ticket')",
            acme.id
        ));
        become_role("tenancy_app");
        for proof in [&key, &capsule] {
            assert_eq!(entering(proof, "'acme'"), "00000", "{proof}");
            assert_eq!(entering(proof, &quoted(acme.id)), "00000", "{proof}");
        }
        for proof in [&key, &capsule, &support] {
            assert_eq!(entering(proof, "'globex'"), "TN026", "{proof}");
            assert_eq!(entering(proof, &quoted(globex.id)), "TN026", "{proof}");
            assert_eq!(entering(proof, "'nowhere'"), "TN026", "{proof}");
            assert_eq!(entering(proof, "''"), "TN027", "{proof}");
        }
        // Nobody was let in, so nobody has looked.
        run("reset role");
        assert_eq!(
            number("select count(*) from tenancy.audit_log where action = 'enter_support'"),
            0
        );
    }
}
