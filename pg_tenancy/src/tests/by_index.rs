//! Entering without SQL: by the indexes of our own tables, and in SQL where these
//! aren't as expected; with the same outcome.

#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;
    use serde_json::json;
    use uuid::Uuid;

    use crate::tests::support::*;

    extension_sql!(
        r"
        -- Enters, tells as what, and leaves.
        create function tests.entered_by(call text) returns text language plpgsql as $$
        declare
            said text;
        begin
            execute call;
            raise exception using errcode = 'ZZ001', message = current_setting('pg_tenancy.context');
        exception when others then
            get stacked diagnostics said = pg_exception_hint;
            return concat_ws(' ', sqlstate, sqlerrm, nullif(said, ''));
        end $$;
        ",
        name = "by_index_test",
        requires = [tests]
    );

    fn entered_by(function: &str, arguments: &str) -> String {
        let call = format!("select {function}({arguments})");
        Spi::get_one_with_args::<String>("select tests.entered_by($1)", &[call.as_str().into()])
            .expect("an answer")
            .expect("a text")
    }

    /// How it ends, and who that is; the same with SQL and without.
    fn entering(arguments: &str) -> String {
        let entered = entered_by("tenancy.enter", arguments);
        assert_eq!(
            entered,
            entered_by("tenancy_private.enter_as_owner", arguments),
            "{arguments}"
        );
        entered
    }

    /// Takes the other way, in SQL, away.
    fn without_sql() {
        run("alter function tenancy_private.enter_as_owner(text) rename to gone");
    }

    const GONE: &str = "XX000 tenancy_private.enter_as_owner is gone";

    #[pg_test]
    fn both_ways_come_to_the_same() {
        add_key();
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        globex.add_member(acme.owner, "viewer");
        let login = acme.log_in();
        let claims = acme.claims();
        let now = jsonwebtoken::get_current_timestamp();
        let mut tokens = vec![login.token.clone(), acme.token(), String::new()];
        for (name, value) in [
            ("sub", json!(globex.owner)),
            ("sub", json!(Uuid::nil())),
            ("sub", json!("idp|ann")),
            ("tenantId", json!(globex.id)),
            ("tenantId", json!(Uuid::nil())),
            ("tenantId", json!("acme")),
            ("sid", json!(login.session)),
            ("sid", json!(Uuid::nil())),
            ("sid", json!("none")),
            ("iss", json!("https://us.example")),
            ("iss", json!(17)),
            ("exp", json!(now - 60)),
            ("iat", json!(now - 60)),
            ("iat", json!(0)),
            ("iat", json!(u64::MAX)),
            ("nbf", json!(now + 60)),
            ("purpose", json!("session")),
        ] {
            let mut claims = claims.clone();
            claims[name] = value;
            tokens.push(sign(&claims, "test", SECRET));
            tokens.push(sign(&claims, "another", SECRET));
            tokens.push(sign(
                &claims,
                "test",
                "another secret, which is long enough, too",
            ));
        }
        let all = || -> Vec<String> {
            let names = ["", ", 'acme'", ", 'globex'", ", 'nowhere'"];
            let named = names
                .map(str::to_owned)
                .into_iter()
                .chain([format!(", '{}'", acme.id), format!(", '{}'", globex.id)]);
            named
                .flat_map(|name| tokens.iter().map(move |token| format!("'{token}'{name}")))
                .map(|arguments| entering(&arguments))
                .collect()
        };
        let before = all();
        assert!(before[0].starts_with("ZZ001"), "{}", before[0]);
        for change in [
            "set local pg_tenancy.select_tenant = on",
            "update tenancy.users set tokens_valid_from = clock_timestamp() - interval '10 s'",
            "update tenancy.tenants set tokens_valid_from = clock_timestamp() + interval '10 s' where slug = 'acme'",
            "update tenancy.signing_keys set issuer = 'https://us.example', audience = 'us'",
            "update tenancy.signing_keys set audience = null",
            "update tenancy.sessions set expires_at = clock_timestamp()",
            "update tenancy.tenants set status = 'suspended' where slug = 'globex'",
            "update tenancy.memberships set role = 'admin'",
            "delete from tenancy.memberships where role = 'admin'",
            "update tenancy.signing_keys set status = 'retired'",
        ] {
            run(change);
            all();
        }
    }

    /// The first time on a connection looks for residue, in SQL.
    #[pg_test]
    fn a_connection_that_has_entered_before_needs_no_sql() {
        add_key();
        let acme = tenant("acme");
        let login = acme.log_in();
        without_sql();
        become_role("tenancy_app");
        for token in [&login.token, &acme.token()] {
            let entered = entered_by("tenancy.enter", &format!("'{token}'"));
            assert!(entered.starts_with("ZZ001"), "{entered}");
        }
        // An API key is looked up in SQL.
        assert_eq!(entered_by("tenancy.enter", "'pgt_'"), GONE);
        assert_eq!(
            outcome("select tenancy_private.enter_as_owner('x')"),
            "42501"
        );
    }

    #[pg_test]
    fn an_index_may_have_any_name_and_order() {
        add_key();
        let acme = tenant("acme");
        let token = format!("'{}'", acme.log_in().token);
        let good = entering(&token);
        run("alter index tenancy.sessions_pkey rename to \"a \"\"key\"");
        assert_eq!(entering(&token), good);
        run("alter table tenancy.sessions drop constraint \"a \"\"key\" cascade");
        assert_eq!(entering(&token), good);
        // In SQL, so far.
        without_sql();
        assert_eq!(entered_by("tenancy.enter", &token), GONE);
        for useless in [
            "create index on tenancy.sessions using hash (id)",
            "create index on tenancy.sessions (tenant_id, user_id, id)",
            "create index on tenancy.sessions (tenant_id, id) where ended_at is null",
            "create index on tenancy.sessions ((tenant_id::text), id)",
        ] {
            run(useless);
            assert_eq!(entered_by("tenancy.enter", &token), GONE, "{useless}");
        }
        run("create index on tenancy.sessions (id, tenant_id, user_id)");
        assert_eq!(entered_by("tenancy.enter", &token), good);
        run("reindex table tenancy.sessions");
        assert_eq!(entered_by("tenancy.enter", &token), good);
    }

    /// What SQL would see, and an index of the table alone would not.
    #[pg_test]
    fn a_table_that_was_changed_is_asked_in_sql() {
        add_key();
        let acme = tenant("acme");
        let token = format!("'{}'", acme.log_in().token);
        let good = entering(&token);
        run("alter table tenancy.sessions add column note text default 'x'");
        run("alter table tenancy.sessions drop column address");
        assert_eq!(entering(&token), good);

        run("create table tests.more_sessions () inherits (tenancy.sessions)");
        assert_eq!(entering(&token), good);
        run("alter function tenancy_private.enter_as_owner(text) rename to gone");
        assert_eq!(entered_by("tenancy.enter", &token), GONE);
        run("alter function tenancy_private.gone(text) rename to enter_as_owner");

        run("alter table tenancy.sessions rename to logins");
        assert!(
            entering(&token).starts_with("42P01"),
            "{}",
            entering(&token)
        );
        run("alter table tenancy.logins rename to sessions");
        assert_eq!(entering(&token), good);
    }
}
