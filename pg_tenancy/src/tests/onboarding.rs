//! Registration, credentials and sessions.

#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;

    use crate::tests::support::*;

    const HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$aGFzaA";

    fn register(name: &str, slug: &str, email: &str) -> String {
        outcome(&format!(
            "select tenancy.register_tenant({name}, {slug}, {email}, '{HASH}')"
        ))
    }

    #[pg_test]
    fn a_registration_makes_tenant_owner_and_project() {
        take_turn();
        become_role("tenancy_authenticator");
        assert_eq!(
            text(&format!(
                "select concat_ws(' ', name, slug, email)
                 from tenancy.register_tenant('  Company A ', null, 'Admin@companyA.com', '{HASH}')"
            )),
            "Company A company-a Admin@companyA.com"
        );
        run("reset role");
        assert_eq!(
            text(
                "select concat_ws(' ', t.status, m.role, p.title, p.owner_id = u.id)
                 from tenancy.tenants as t
                 join tenancy.memberships as m on m.tenant_id = t.id
                 join tenancy.users as u on u.id = m.user_id
                 join tenancy.projects as p on p.tenant_id = t.id"
            ),
            "active owner Getting Started t"
        );
    }

    #[pg_test]
    fn what_is_taken_is_refused_and_leaves_nothing() {
        take_turn();
        assert_eq!(register("'Company A'", "null", "'a@example.com'"), "00000");
        assert_eq!(register("'company a'", "null", "'b@example.com'"), "TN101");
        assert_eq!(
            register("'Company A'", "'other'", "'b@example.com'"),
            "TN101"
        );
        assert_eq!(register("'Company-A'", "null", "'b@example.com'"), "TN102");
        assert_eq!(
            register("'Company B'", "'company-a'", "'b@example.com'"),
            "TN102"
        );
        assert_eq!(register("'Company B'", "null", "'A@Example.com'"), "TN103");
        for table in ["tenants", "users", "memberships", "projects"] {
            assert_eq!(
                number(&format!("select count(*) from tenancy.{table}")),
                1,
                "{table}"
            );
        }
    }

    #[pg_test]
    fn bad_names_and_emails_are_refused_with_the_field() {
        take_turn();
        for (name, slug, email, expected) in [
            ("null", "null", "'a@b.c'", "TN104 tenantName"),
            ("'  '", "null", "'a@b.c'", "TN104 tenantName"),
            ("repeat('x', 256)", "null", "'a@b.c'", "TN104 tenantName"),
            ("E'a\\tb'", "null", "'a@b.c'", "TN104 tenantName"),
            ("'x'", "''", "'a@b.c'", "00000"),
            ("'y'", "'Not A Slug'", "'a2@b.c'", "TN104 slug"),
            ("'y'", "'-y'", "'a2@b.c'", "TN104 slug"),
            ("'y'", "repeat('y', 64)", "'a2@b.c'", "TN104 slug"),
            ("'y'", "null", "null", "TN105 email"),
            ("'y'", "null", "'nobody'", "TN105 email"),
            ("'y'", "null", "'a b@c.d'", "TN105 email"),
            ("'y'", "null", "'a@b@c'", "TN105 email"),
            ("'y'", "null", "repeat('x', 300) || '@c.d'", "TN105 email"),
        ] {
            let call = format!("select tenancy.register_tenant({name}, {slug}, {email})");
            if expected == "00000" {
                assert_eq!(outcome(&call), expected, "{call}");
            } else {
                let said = complaint(&call);
                assert!(said.starts_with(&format!("{expected}: ")), "{call}: {said}");
            }
        }
    }

    #[pg_test]
    fn only_argon2id_is_kept_as_a_password() {
        take_turn();
        for hash in [
            "password123",
            "",
            "$argon2i$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$aGFzaA",
            "$2b$12$abc",
        ] {
            assert_eq!(
                outcome(&format!(
                    "select tenancy.register_tenant('x', null, 'a@b.c', '{hash}')"
                )),
                "TN106",
                "{hash}"
            );
        }
    }

    #[pg_test]
    fn names_that_look_like_sql_are_names() {
        take_turn();
        let name = "\"; drop table tenancy.tenants; --";
        assert_eq!(
            text(&format!(
                "select slug from tenancy.register_tenant('{name}', null, 'a@b.c')"
            )),
            "drop-table-tenancy-tenants"
        );
        assert_eq!(text("select name from tenancy.tenants"), name);
        // A name without a Latin letter gets a slug that is no name.
        let slug = text("select slug from tenancy.register_tenant('日本', null, 'b@b.c')");
        assert!(slug.starts_with("tenant-") && slug.len() == 19, "{slug}");
        assert_eq!(
            text("select slug from tenancy.register_tenant(repeat('ab ', 80), null, 'c@b.c')")
                .len(),
            62
        );
    }

    #[pg_test]
    fn credentials_are_found_one_address_at_a_time() {
        tenant("acme");
        assert_eq!(
            register("'Company A'", "null", "'Ann@example.com'"),
            "00000"
        );
        become_role("tenancy_authenticator");
        assert_eq!(
            text(
                "select concat_ws(' ', email, password_hash) from tenancy.find_credentials(' ann@EXAMPLE.com')"
            ),
            format!("Ann@example.com {HASH}")
        );
        for email in ["%", "_%@example.com", "ann@example.co", "", ".*"] {
            assert_eq!(
                number(&format!(
                    "select count(*) from tenancy.find_credentials('{email}')"
                )),
                0,
                "{email}"
            );
        }
        for table in ["users", "tenants", "memberships", "tasks", "signing_keys"] {
            assert_eq!(
                outcome(&format!("select from tenancy.{table}")),
                "42501",
                "{table}"
            );
        }
        assert_eq!(outcome("select tenancy.enter('x')"), "42501");
    }

    #[pg_test]
    fn a_session_starts_in_a_tenant_of_the_person() {
        add_key();
        let [acme, globex, initech] = [tenant("acme"), tenant("globex"), tenant("initech")];
        globex.add_member(acme.owner, "viewer");
        become_role("tenancy_authenticator");
        let start = |tenant: &str| {
            format!(
                "select concat_ws(' ', tenant_id, role, json_array_length(tenants))
                 from tenancy.start_session('{}', {tenant})",
                word(acme.owner, "session")
            )
        };
        // The database's password alone tells nothing of who is where.
        let mut claims = acme.claims();
        claims["purpose"] = serde_json::json!("session");
        let forged = sign(&claims, "test", "another secret, which is long enough");
        assert_eq!(
            outcome(&format!("select tenancy.start_session('{forged}')")),
            "TN011"
        );
        assert_eq!(text(&start("null")), format!("{} owner 2", acme.id));
        assert_eq!(text(&start("'globex'")), format!("{} viewer 2", globex.id));
        assert_eq!(
            text(&start(&format!("'{}'", globex.id).to_uppercase())),
            format!("{} viewer 2", globex.id)
        );
        assert_eq!(outcome(&start("'initech'")), "TN002");
        assert_eq!(outcome(&start(&format!("'{}'", initech.id))), "TN002");
        assert_eq!(outcome(&start("'nowhere'")), "TN002");

        run("reset role");
        run(&format!(
            "select tenancy.suspend_tenant('{}', 'unpaid')",
            acme.id
        ));
        become_role("tenancy_authenticator");
        assert_eq!(text(&start("null")), format!("{} viewer 2", globex.id));
        assert_eq!(outcome(&start("'acme'")), "TN004");
    }
}
