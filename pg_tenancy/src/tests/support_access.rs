//! Support access: what an operator may and may not, and who sees it. What is
//! committed and what is not stands in `tests/tests/e2e/support.rs`.

#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;

    use crate::tests::support::*;

    /// Its id, and what enter() takes.
    fn impersonate(arguments: &str) -> (String, String) {
        become_role("tenancy_admin");
        let row = text(&format!(
            "select concat_ws(' ', id, token) from tenancy.impersonate({arguments})"
        ));
        run("reset role");
        let (id, token) = row.split_once(' ').expect("two");
        (id.to_owned(), token.to_owned())
    }

    fn become_owner_of(tenant: &Tenant) {
        become_role("tenancy_gateway");
        run(&format!(
            "select tenancy.set_tenant_context('{}', '{}')",
            tenant.id, tenant.owner
        ));
        become_role("tenancy_app");
    }

    #[pg_test]
    fn support_reads_one_tenant_and_writes_nothing() {
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        acme.task("ours");
        globex.task("theirs");
        let (_, token) = impersonate(&format!("'{}', 'The list is empty', 'T-17'", acme.id));
        assert_eq!(token.len(), 47);
        become_role("tenancy_app");
        run(&format!("select tenancy.enter('{token}')"));
        assert_eq!(
            text(
                "select concat_ws(' ', tenancy.current_tenant_id(), tenancy.current_user_id(), tenancy.current_member_role())"
            ),
            format!("{} viewer", acme.id)
        );
        assert_eq!(
            text("select string_agg(title, ' ') from tenancy.tasks"),
            "ours"
        );
        for write in [
            "insert into tenancy.tasks (title) values ('x')",
            "update tenancy.tasks set title = 'x'",
            "delete from tenancy.tasks",
            "do $$ begin set transaction read write; delete from tenancy.tasks; end $$",
            "do $$ begin perform set_config('transaction_read_only', null, true); delete from tenancy.tasks; end $$",
        ] {
            assert_ne!(outcome(write), "00000", "{write}");
        }
        let said = complaint("select tenancy.insert_row('tenancy.tasks', '{\"title\":\"x\"}')");
        assert!(
            said.starts_with("TN204") && said.contains("support"),
            "{said}"
        );
    }

    /// Also where it may write: it is an admin, and no person.
    #[pg_test]
    fn support_can_not_stay_or_cover_its_traces() {
        let acme = tenant("acme");
        let (id, token) = impersonate(&format!("'{}', 'Mend the list', null, 5, false", acme.id));
        become_role("tenancy_app");
        run(&format!("select tenancy.enter('{token}')"));
        assert_eq!(text("select tenancy.current_member_role()"), "admin");
        run("insert into tenancy.tasks (title) values ('mended')");
        for (deed, code) in [
            ("select tenancy.seal()".to_owned(), "TN207"),
            (
                format!("select tenancy.end_support_access('{id}')"),
                "TN201",
            ),
            ("select tenancy.list_support_access()".to_owned(), "TN201"),
            ("delete from tenancy.support_access".to_owned(), "42501"),
            (
                "update tenancy.support_access set reason = 'x'".to_owned(),
                "42501",
            ),
            (
                "select digest from tenancy.support_access".to_owned(),
                "42501",
            ),
            ("delete from tenancy.audit_log".to_owned(), "42501"),
            (
                format!("select tenancy.impersonate('{}', 'x')", acme.id),
                "42501",
            ),
            (
                "select tenancy.invite_member('new@acme.example', 'member')".to_owned(),
                "TN207",
            ),
            (
                format!("select tenancy.set_member_role('{}', 'viewer')", acme.owner),
                "TN207",
            ),
            (
                format!("select tenancy.remove_member('{}')", acme.owner),
                "TN207",
            ),
            (
                "select tenancy.create_api_key('mine', 'admin')".to_owned(),
                "TN207",
            ),
            (
                "select tenancy.revoke_tenant_sessions()".to_owned(),
                "TN207",
            ),
        ] {
            assert_eq!(outcome(&deed), code, "{deed}");
        }
        assert_eq!(number("select count(*) from tenancy.support_access"), 0);
        // Not even as an operator, as long as the tenant is entered.
        run("reset role");
        become_role("tenancy_admin");
        assert_eq!(
            outcome(&format!("select tenancy.end_support_access('{id}')")),
            "TN201"
        );
    }

    #[pg_test]
    fn owners_see_who_looked_and_why_and_how_often() {
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        let (id, token) = impersonate(&format!("'{}', ' The list is empty ', 'T-17', 5", acme.id));
        let (theirs, _) = impersonate(&format!("'{}', 'Other'", globex.id));
        for _ in 0..3 {
            run(&format!(
                "do $$ begin
                    perform tenancy.enter('{token}');
                    perform tenancy.enter('{token}');
                    raise division_by_zero;
                 exception when division_by_zero then null;
                 end $$"
            ));
        }
        become_owner_of(&acme);
        let list = answer("select tenancy.list_support_access()");
        assert_eq!(list["data"].as_array().map(Vec::len), Some(1), "{list}");
        let access = &list["data"][0];
        assert_eq!(access["id"], id.as_str());
        assert_eq!(access["reason"], "The list is empty");
        assert_eq!(access["ticket"], "T-17");
        assert_eq!(access["readOnly"], true);
        assert_eq!(access["active"], true);
        assert_eq!(access["login"], text("select session_user::text").as_str());
        assert_eq!(access["transactions"], 3, "{access}");
        assert_eq!(
            text(
                "select string_agg(concat_ws(' ', id, reason, ticket), ', ') from tenancy.support_access"
            ),
            format!("{id} The list is empty T-17")
        );

        assert_eq!(
            outcome(&format!("select tenancy.end_support_access('{theirs}')")),
            "TN605"
        );
        let ended = answer(&format!("select tenancy.end_support_access('{id}')"));
        assert_eq!(ended["active"], false);
        assert_eq!(ended["endedBy"], acme.owner.to_string());
        // Again: no effect.
        assert_eq!(
            answer(&format!("select tenancy.end_support_access('{id}')")),
            ended
        );
        for bad in [
            "[]",
            "{\"page\":0}",
            "{\"limit\":101}",
            "{\"x\":1}",
            "{\"page\":\"a\"}",
            "{\"page\":null}",
            "1",
        ] {
            assert_eq!(
                outcome(&format!("select tenancy.list_support_access('{bad}')")),
                "TN406",
                "{bad}"
            );
        }
        let second = answer(
            "select tenancy.list_support_access('{\"page\":\"2\",\"limit\":\"1\",\"count\":\"exact\"}')",
        );
        assert_eq!(
            second,
            serde_json::json!({"data": [], "page": 2, "limit": 1, "total": 1})
        );
    }

    #[pg_test]
    fn only_owners_see_and_end_it() {
        let acme = tenant("acme");
        let (id, _) = impersonate(&format!("'{}', 'x'", acme.id));
        run("update tenancy.memberships set role = 'admin'");
        become_owner_of(&acme);
        assert_eq!(outcome("select tenancy.list_support_access()"), "TN201");
        assert_eq!(
            outcome(&format!("select tenancy.end_support_access('{id}')")),
            "TN201"
        );
        assert_eq!(number("select count(*) from tenancy.support_access"), 0);
    }

    #[pg_test]
    fn what_is_over_opens_nothing() {
        let acme = tenant("acme");
        let enter = |token: &str| {
            outcome(&format!(
                "do $x$ begin perform tenancy.enter('{token}'); raise division_by_zero; end $x$"
            ))
        };
        let (id, token) = impersonate(&format!("'{}', 'x'", acme.id));
        assert_eq!(enter(&token), "22012");
        run(&format!(
            "select tenancy.suspend_tenant('{}', 'x')",
            acme.id
        ));
        assert_eq!(enter(&token), "TN004");
        run(&format!("select tenancy.resume_tenant('{}')", acme.id));
        for wrong in [
            token[..46].to_owned(),
            format!("{token}x"),
            format!("{}A", &token[..46]),
            token.replace("pgs_", "pgs_ "),
            "pgs_".to_owned(),
            format!("pgs_{}", "x".repeat(1 << 20)),
        ] {
            if wrong != token {
                assert_eq!(enter(&wrong), "TN020");
            }
        }
        become_role("tenancy_admin");
        run(&format!("select tenancy.end_support_access('{id}')"));
        assert_eq!(
            text(&format!(
                "select concat_ws(' ', ended_at is not null, ended_by, transactions)
                 from tenancy.report_support_access('{}')",
                acme.id
            )),
            "t 1"
        );
        run("reset role");
        assert_eq!(enter(&token), "TN020");

        let (id, token) = impersonate(&format!("'{}', 'x'", acme.id));
        run(&format!(
            "update tenancy.support_access set expires_at = clock_timestamp() where id = '{id}'"
        ));
        assert_eq!(enter(&token), "TN020");
    }

    #[pg_test]
    fn bad_arguments_are_refused_and_strangers() {
        let acme = tenant("acme");
        become_role("tenancy_admin");
        for bad in [
            "null",
            "''",
            "'  '",
            "E'a\\nb'",
            "repeat('x', 501)",
            "'x', ''",
            "'x', repeat('x', 101)",
            "'x', null, 0",
            "'x', null, 481",
            "'x', null, null",
            "'x', null, 5, null",
        ] {
            assert_eq!(
                outcome(&format!("select tenancy.impersonate('{}', {bad})", acme.id)),
                "TN604",
                "{bad}"
            );
        }
        assert_eq!(
            outcome(&format!(
                "select tenancy.impersonate('{}', 'x')",
                uuid::Uuid::nil()
            )),
            "TN601"
        );
        assert_eq!(outcome("select tenancy.impersonate(null, 'x')"), "TN601");
        assert_eq!(
            outcome(&format!(
                "select tenancy.end_support_access('{}')",
                uuid::Uuid::nil()
            )),
            "TN605"
        );
        run("reset role");
        for role in [
            "tenancy_app",
            "tenancy_gateway",
            "tenancy_authenticator",
            "tenancy_reporter",
        ] {
            become_role(role);
            assert_eq!(
                outcome(&format!("select tenancy.impersonate('{}', 'x')", acme.id)),
                "42501",
                "{role}"
            );
            run("reset role");
        }
        become_role("tenancy_app");
        assert_eq!(
            outcome(&format!(
                "select tenancy.end_support_access('{}')",
                uuid::Uuid::nil()
            )),
            "TN001"
        );
    }

    /// What was typed to enter, and what was read, is no business of the log.
    #[pg_test]
    fn the_log_holds_who_and_when_and_no_secret() {
        let acme = tenant("acme");
        acme.task("Secret plan");
        let (id, token) = impersonate(&format!("'{}', 'x'", acme.id));
        run(&format!(
            "do $$ begin
                perform tenancy.enter('{token}'), (select title from tenancy.tasks limit 1);
                raise division_by_zero;
             exception when division_by_zero then null;
             end $$"
        ));
        let rows = text(&format!(
            "select string_agg(l::text, E'\\n') from tenancy.audit_log as l where arguments ->> 'access' = '{id}'"
        ));
        assert!(
            rows.contains("enter_support") && rows.contains("impersonate"),
            "{rows}"
        );
        assert!(
            !rows.contains(&token[4..]) && !rows.contains("Secret"),
            "{rows}"
        );
        assert_eq!(
            text(&format!(
                "select concat_ws(' ', (arguments ->> 'pid')::integer = pg_backend_pid(),
                     arguments ->> 'transaction' like '%/%', arguments ->> 'tenant' = '{}', login = session_user)
                 from tenancy.audit_log where action = 'enter_support' and arguments ->> 'access' = '{id}'",
                acme.id
            )),
            "t t t t"
        );
    }
}
