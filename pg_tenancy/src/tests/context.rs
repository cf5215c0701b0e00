//! The context: once per transaction, and what the readers tell.

#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;

    use crate::tests::support::*;

    #[pg_test]
    fn without_a_tenant_every_isolated_table_is_an_error() {
        tenant("acme").task("secret");
        become_role("tenancy_app");
        for table in ["tasks", "projects", "memberships"] {
            assert_eq!(
                outcome(&format!("select * from tenancy.{table}")),
                "TN001",
                "{table}"
            );
        }
        assert_eq!(outcome("select id from tenancy.tenants"), "TN001");
        assert_eq!(outcome("select id from tenancy.users"), "TN001");
    }

    #[pg_test]
    fn in_the_quiet_mode_every_isolated_table_is_empty() {
        tenant("acme").task("secret");
        run("set local pg_tenancy.missing_context = 'empty'");
        become_role("tenancy_app");
        for table in ["tasks", "projects", "memberships", "tenants", "users"] {
            assert_eq!(
                number(&format!("select count(*) from tenancy.{table}")),
                0,
                "{table}"
            );
        }
        assert_eq!(maybe("select tenancy.current_tenant_id()::text"), None);
        assert_eq!(maybe("select tenancy.current_user_id()::text"), None);
        assert_eq!(maybe("select tenancy.current_member_role()"), None);
        // And nothing can be written for nobody.
        assert_eq!(
            outcome("insert into tenancy.tasks (title) values ('x')"),
            "42501"
        );
    }

    #[pg_test]
    fn the_mode_is_not_the_applications_to_choose() {
        become_role("tenancy_app");
        assert_eq!(outcome("set pg_tenancy.missing_context = 'empty'"), "42501");
    }

    #[pg_test]
    fn the_readers_tell_who_has_entered() {
        let acme = tenant("acme");
        become_role("tenancy_gateway");
        run(&format!(
            "select tenancy.set_tenant_context('{}', '{}')",
            acme.id, acme.owner
        ));
        assert_eq!(
            text("select tenancy.current_tenant_id()::text"),
            acme.id.to_string()
        );
        assert_eq!(
            text("select tenancy.current_user_id()::text"),
            acme.owner.to_string()
        );
        assert_eq!(text("select tenancy.current_member_role()"), "owner");
    }

    #[pg_test]
    fn a_gateway_may_enter_for_nobody() {
        let acme = tenant("acme");
        become_app_of(&acme);
        assert_eq!(
            text("select tenancy.current_tenant_id()::text"),
            acme.id.to_string()
        );
        assert_eq!(maybe("select tenancy.current_user_id()::text"), None);
        assert_eq!(maybe("select tenancy.current_member_role()"), None);
    }

    #[pg_test]
    fn a_gateway_enters_only_for_members_of_active_tenants() {
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        run(&format!(
            "select tenancy.suspend_tenant('{}', 'unpaid')",
            globex.id
        ));
        become_role("tenancy_gateway");
        let enter = |tenant: String, user: String| {
            outcome(&format!(
                "select tenancy.set_tenant_context({tenant}, {user})"
            ))
        };
        let quoted = |id: uuid::Uuid| format!("'{id}'");
        assert_eq!(enter(quoted(acme.id), quoted(globex.owner)), "TN002");
        assert_eq!(enter(quoted(uuid::Uuid::nil()), "null".into()), "TN002");
        assert_eq!(enter("null".into(), "null".into()), "TN002");
        assert_eq!(enter(quoted(globex.id), "null".into()), "TN004");
        assert_eq!(enter(quoted(globex.id), quoted(globex.owner)), "TN004");
        // Who is no member doesn't learn that it is suspended.
        assert_eq!(enter(quoted(globex.id), quoted(acme.owner)), "TN002");
    }

    #[pg_test]
    fn the_first_tenant_of_a_transaction_stays() {
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        become_role("tenancy_gateway");
        let enter = |call: &str| outcome(&format!("select tenancy.set_tenant_context({call})"));
        assert_eq!(enter(&format!("'{}', '{}'", acme.id, acme.owner)), "00000");
        assert_eq!(enter(&format!("'{}'", globex.id)), "TN003");
        // Another person, or nobody in particular, is another context.
        assert_eq!(enter(&format!("'{}'", acme.id)), "TN003");
        assert_eq!(enter(&format!("'{}', '{}'", acme.id, acme.owner)), "00000");
        assert_eq!(
            text("select tenancy.current_tenant_id()::text"),
            acme.id.to_string()
        );
    }

    #[pg_test]
    fn a_rollback_to_a_savepoint_takes_the_context_away() {
        let acme = tenant("acme");
        become_role("tenancy_gateway");
        run(&format!(
            "do $$ begin
                perform tenancy.set_tenant_context('{}');
                raise division_by_zero;
            exception when division_by_zero then null;
            end $$",
            acme.id
        ));
        assert_eq!(outcome("select tenancy.current_tenant_id()"), "TN001");
        assert_eq!(outcome("select * from tenancy.tasks"), "TN001");
    }

    /// A cursor from before the savepoint goes on with the first tenant's rows, so
    /// no other tenant may come into that transaction.
    #[pg_test]
    fn after_a_rollback_to_a_savepoint_only_the_same_tenant_can_be_entered() {
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        run("create role gateway_one login in role tenancy_gateway");
        run("set local session authorization gateway_one");
        run(&format!(
            "do $$ begin
                perform tenancy.set_tenant_context('{}');
                raise division_by_zero;
            exception when division_by_zero then null;
            end $$",
            acme.id
        ));
        let enter = |tenant: &Tenant| {
            outcome(&format!(
                "select tenancy.set_tenant_context('{}')",
                tenant.id
            ))
        };
        assert_eq!(enter(&globex), "TN003");
        assert_eq!(enter(&acme), "00000");
    }

    #[pg_test]
    fn a_context_entered_inside_a_function_outlives_the_function() {
        let acme = tenant("acme");
        run(
            "create function tests.wrapped(id uuid) returns void language plpgsql
             set search_path = pg_catalog, pg_temp set work_mem = '1MB'
             as $$ begin perform tenancy.set_tenant_context(id); end $$",
        );
        become_role("tenancy_gateway");
        run(&format!("select tests.wrapped('{}')", acme.id));
        assert_eq!(
            text("select tenancy.current_tenant_id()::text"),
            acme.id.to_string()
        );
    }

    #[pg_test]
    fn one_statement_enters_and_reads() {
        add_key();
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        acme.task("ours");
        globex.task("theirs");
        become_role("tenancy_app");
        let page = answer(&format!(
            "select tenancy.list_rows('tenancy.tasks') from tenancy.enter('{}')",
            acme.token()
        ));
        assert_eq!(page["data"][0]["title"], "ours");
        assert_eq!(page["data"].as_array().map(Vec::len), Some(1));
    }

    #[pg_test]
    fn parallel_workers_are_in_the_same_tenant() {
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        for tenant in [&acme, &globex, &acme] {
            tenant.task("one");
        }
        run("set local force_parallel_mode = on");
        run("set local pg_tenancy.explain = 'allow'");
        become_app_of(&acme);
        // The worker refuses to write, so it is one that reads.
        let plan = text(
            "select string_agg(l, ' ') from (select tests.plan('select count(*) from tenancy.tasks') as l) as p",
        );
        assert!(plan.contains("Single Copy: true"), "{plan}");
        assert_eq!(number("select count(*) from tenancy.tasks"), 2);
    }

    #[pg_test]
    fn a_superuser_is_not_isolated_and_can_still_enter() {
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        globex.task("theirs");
        run(&format!("select tenancy.set_tenant_context('{}')", acme.id));
        assert_eq!(number("select count(*) from tenancy.tasks"), 1);
    }

    #[pg_test]
    fn ids_of_one_backend_ascend() {
        assert_eq!(
            number(
                "select count(*) from (
                    select id < lead(id) over (order by n) as ascends
                    from (select n, tenancy.uuid_v7() as id from generate_series(1, 1000) as n) as i
                ) as pairs where not ascends"
            ),
            0
        );
        assert_eq!(text("select substr(tenancy.uuid_v7()::text, 15, 1)"), "7");
    }
}
