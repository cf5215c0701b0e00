//! What would outlive the transaction is refused within a tenant. What takes
//! two transactions to show is tested end to end.

#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;

    use crate::tests::support::*;

    #[pg_test]
    fn in_a_tenant_nothing_is_left_on_the_connection() {
        let acme = tenant("acme");
        run("create type tests.words as (word text)");
        become_app_of(&acme);
        for residue in [
            "declare c cursor with hold for select title from tenancy.tasks",
            "create temp table t as select title from tenancy.tasks",
            "create temp table t (title text)",
            "create table pg_temp.t (title text) on commit delete rows",
            "select title into temp t from tenancy.tasks",
            "create temp view v as select 1",
            "create temp sequence s",
            "create function pg_temp.f() returns text language sql as 'select 1::text'",
            "do $$ begin create temp table t (title text); end $$",
            "listen acme",
            "set \"TRANSACTION\".leak = 'secret'",
            "alter role tenancy_app set search_path = 'secret'",
            "set application_name = 'secret'",
            "set session application_name = 'secret'",
            "set role tenancy_app",
            "set session characteristics as transaction read only",
            "do $$ begin set application_name = 'secret'; end $$",
            "select pg_advisory_lock(1)",
            "select pg_advisory_lock_shared(1, 2)",
            "select pg_try_advisory_lock(1)",
            "do $$ begin perform pg_advisory_lock(1); end $$",
        ] {
            assert_eq!(outcome(residue), "TN841", "{residue}");
        }
    }

    /// The hooks know these functions by their oids.
    #[pg_test]
    fn the_functions_that_leave_something_are_known() {
        let known = crate::objects::SESSION_LOCKS
            .map(|oid| oid.to_string())
            .join(",");
        assert_eq!(
            text(
                "select string_agg(oid::text, ',' order by oid) from pg_proc
                 where proname ~ '^pg_(try_)?advisory_lock'"
            ),
            known
        );
        assert_eq!(
            number("select 'set_config'::regproc::oid::int8"),
            i64::from(crate::objects::SET_CONFIG)
        );
    }

    #[pg_test]
    fn a_temporary_table_is_one_under_any_name() {
        let acme = tenant("acme");
        become_app_of(&acme);
        run("set local search_path = pg_temp");
        assert_eq!(outcome("create table t (title text)"), "TN841");
        assert_eq!(
            outcome("create function f() returns int language sql as 'select 1'"),
            "TN841"
        );
    }

    #[pg_test]
    fn in_a_tenant_what_ends_with_the_transaction_is_fine() {
        let acme = tenant("acme");
        become_app_of(&acme);
        for fine in [
            "create temp table t on commit drop as select title from tenancy.tasks",
            "create temp table u (title text) on commit drop",
            "create temp table v (id serial primary key, code text unique, n int generated always as identity) on commit drop",
            "create index on v (code)",
            "create temp table w (like v including all) on commit drop",
            "set local application_name = 'x'",
            "select set_config('application_name', 'x', true)",
            "reset application_name",
            "set transaction read write",
            "set constraints all immediate",
            "select pg_advisory_xact_lock(1)",
            "select pg_try_advisory_xact_lock(1)",
            "notify acme",
        ] {
            assert_eq!(outcome(fine), "00000", "{fine}");
        }
    }

    #[pg_test]
    fn without_a_tenant_a_connection_is_free() {
        for fine in [
            "create temp table t (title text)",
            "set application_name = 'x'",
            "select pg_advisory_lock(1)",
            "select pg_advisory_unlock(1)",
        ] {
            assert_eq!(outcome(fine), "00000", "{fine}");
        }
    }

    #[pg_test]
    fn who_carries_residue_can_not_enter() {
        let acme = tenant("acme");
        let enter = format!("select tenancy.set_tenant_context('{}')", acme.id);
        become_role("tenancy_gateway");
        run("create temp table leftover (title text)");
        let said = complaint(&enter);
        assert!(
            said.starts_with("TN843") && said.contains("leftover"),
            "{said}"
        );
        run("drop table leftover");
        run("select pg_advisory_lock(7)");
        let said = complaint(&enter);
        assert!(
            said.starts_with("TN843") && said.contains("advisory lock"),
            "{said}"
        );
        run("select pg_advisory_unlock(7)");
        assert_eq!(outcome(&enter), "00000");
    }

    #[pg_test]
    fn a_superuser_can_allow_a_kind_and_the_application_not() {
        let acme = tenant("acme");
        assert_eq!(
            outcome("set local pg_tenancy.allowed_residue = 'everything'"),
            "22023"
        );
        run("set local pg_tenancy.allowed_residue = 'listen, temporary_object'");
        become_app_of(&acme);
        assert_eq!(outcome("create temp table t (title text)"), "00000");
        assert_eq!(outcome("select pg_advisory_lock(1)"), "TN841");
        assert_eq!(
            outcome("set local pg_tenancy.allowed_residue = 'session_lock'"),
            "42501"
        );
    }

    #[pg_test]
    fn explain_tells_a_tenant_nothing() {
        add_key();
        let acme = tenant("acme");
        let explain_entering = format!("explain analyze select tenancy.enter('{}')", acme.token());
        become_role("tenancy_app");
        assert_eq!(outcome(&explain_entering), "TN842");
        // A failed EXPLAIN is over: entering works.
        run(&format!("select tenancy.enter('{}')", acme.token()));
        for attempt in [
            "explain select * from tenancy.tasks where title = 'x'",
            "explain (analyze, format json) select * from tenancy.tasks",
            "do $$ begin execute 'explain select 1'; end $$",
        ] {
            assert_eq!(outcome(attempt), "TN842", "{attempt}");
        }
        assert_eq!(outcome("set local pg_tenancy.explain = 'allow'"), "42501");
        run("reset role");
        assert_eq!(outcome("explain select * from tenancy.tasks"), "00000");
        run("set local pg_tenancy.explain = 'allow'");
        become_role("tenancy_app");
        assert_eq!(outcome("explain select * from tenancy.tasks"), "00000");
    }

    /// What PostgreSQL prints of a plan tells as much.
    #[pg_test]
    fn a_plan_is_not_printed_in_a_tenant() {
        let acme = tenant("acme");
        become_app_of(&acme);
        run("set local debug_print_plan = on");
        run("select count(*) from tenancy.tasks");
        // SAFETY: reads a global of this backend.
        assert!(!unsafe { pgrx::pg_sys::Debug_print_plan });
    }

    #[pg_test]
    fn a_savepoint_within_explain_does_not_end_it() {
        add_key();
        let acme = tenant("acme");
        run(
            "create function tests.fails_inside() returns int language plpgsql as $$
             begin perform 1 / 0; return 1; exception when division_by_zero then return 0; end $$",
        );
        become_role("tenancy_app");
        assert_eq!(
            outcome(&format!(
                "explain analyze select tests.fails_inside(), tenancy.enter('{}')",
                acme.token()
            )),
            "TN842"
        );
    }

    #[pg_test]
    fn a_plain_setting_names_the_tenant_only_while_a_superuser_says_so() {
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        acme.task("ours");
        globex.task("theirs");
        run(&format!(
            "select set_config('app.current_tenant_id', '{}', true)",
            acme.id
        ));
        become_role("tenancy_app");
        assert_eq!(outcome("select * from tenancy.tasks"), "TN001");
        assert_eq!(
            outcome("set local pg_tenancy.compat_setting = 'app.current_tenant_id'"),
            "42501"
        );
        run("reset role");
        run("set local pg_tenancy.compat_setting = 'app.current_tenant_id'");
        become_role("tenancy_app");
        assert_eq!(text("select title from tenancy.tasks"), "ours");
        assert_eq!(maybe("select tenancy.current_user_id()::text"), None);
        run(&format!(
            "select set_config('app.current_tenant_id', '{}', true)",
            globex.id
        ));
        assert_eq!(text("select title from tenancy.tasks"), "theirs");
        for none in ["", "acme", "00000000"] {
            run(&format!(
                "select set_config('app.current_tenant_id', '{none}', true)"
            ));
            assert_eq!(outcome("select * from tenancy.tasks"), "TN001", "{none}");
        }
        // Who enters is in that tenant, whatever the setting says.
        run("reset role");
        become_app_of(&acme);
        run(&format!(
            "select set_config('app.current_tenant_id', '{}', true)",
            globex.id
        ));
        assert_eq!(text("select title from tenancy.tasks"), "ours");
    }
}
