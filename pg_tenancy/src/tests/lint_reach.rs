//! lint(): ways around the wall over views, copies, functions, grants.

#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;

    use crate::tests::lint::*;
    use crate::tests::support::*;

    #[pg_test]
    fn view_without_invoker() {
        take_turn();
        isolated_odd("");
        mends(
            "error",
            "view_without_invoker",
            r#"public."All""#,
            &format!(r#"create view "All" as select * from {ODD}"#),
        );
        mends(
            "error",
            "view_without_invoker",
            "public.over",
            r#"create view over with (security_invoker = false) as select count(*) from "All""#,
        );
        run("create role viewer; grant usage, create on schema public to viewer");
        mends(
            "warning",
            "view_without_invoker",
            "public.bound",
            &format!("create view bound as select 1 from {ODD}; alter view bound owner to viewer"),
        );
    }

    #[pg_test]
    fn materialized_view_within_reach() {
        take_turn();
        isolated_odd("");
        run(&format!(
            "create view between with (security_invoker) as select * from {ODD}"
        ));
        mends(
            "error",
            "copy_within_reach",
            "public.copy",
            "create materialized view copy as select * from between with no data; grant select on copy to tenancy_app, public",
        );
        mends(
            "error",
            "copy_within_reach",
            "public.copy",
            "grant select (id) on copy to tenancy_gateway",
        );
    }

    #[pg_test]
    fn foreign_table_within_reach() {
        take_turn();
        run(
            "create foreign data wrapper w; create server s foreign data wrapper w; create foreign table far (id integer) server s",
        );
        assert_eq!(findings(), "");
        mends(
            "error",
            "copy_within_reach",
            "public.far",
            "grant select, insert on far to tenancy_app",
        );
    }

    #[pg_test]
    fn definer_function_without_its_path() {
        take_turn();
        let rule = "definer_without_path";
        mends(
            "error",
            rule,
            "public.f()",
            "create function f() returns integer language sql security definer as 'select 1'; revoke all on function f() from public",
        );
        assert_eq!(
            text("select proconfig::text from pg_proc where proname = 'f'"),
            r#"{"search_path=pg_catalog, public, pg_temp"}"#
        );
        mends(
            "error",
            rule,
            "public.f()",
            "alter function f() set search_path = public",
        );
        mends(
            "error",
            rule,
            "public.f()",
            r#"alter function f() set search_path = pg_temp, "Odd one", public"#,
        );
        assert_eq!(
            text("select proconfig::text from pg_proc where proname = 'f'"),
            r#"{"search_path=\"Odd one\", public, pg_temp"}"#
        );
        mends(
            "error",
            rule,
            r#"public."P"(integer)"#,
            r#"create procedure "P"(a integer) language plpgsql security definer as 'begin end'; revoke all on procedure "P" from public"#,
        );
        run("alter function f() set search_path = ''");
        assert_eq!(findings(), "");
    }

    #[pg_test]
    fn function_that_bypasses() {
        take_turn();
        mends(
            "error",
            "bypassing_function",
            "public.f()",
            "create function f() returns integer language sql security definer set search_path = pg_catalog, pg_temp as 'select 1'",
        );
        mends(
            "error",
            "bypassing_function",
            "public.f()",
            "grant execute on function f() to tenancy_app",
        );
        // Where nobody may look, nobody calls.
        run("create schema hidden; create function hidden.f() returns integer language sql security definer
                set search_path = pg_catalog, pg_temp as 'select 1'");
        assert_eq!(findings(), "");
    }

    #[pg_test]
    fn rewrite_rule() {
        take_turn();
        isolated_odd("");
        mends(
            "warning",
            "rewrite_rule",
            &format!("rule \"R\" on {ODD}"),
            &format!("create rule \"R\" as on insert to {ODD} do also notify made"),
        );
    }

    #[pg_test]
    fn trigger_of_another() {
        take_turn();
        isolated_odd("");
        run("create role vendor; create function public.theirs() returns trigger language plpgsql as 'begin return new; end';
             alter function theirs() owner to vendor");
        mends(
            "warning",
            "trigger_of_another",
            &format!("trigger \"T\" on {ODD}"),
            &format!(
                "create trigger \"T\" before insert on {ODD} for each row execute function theirs()"
            ),
        );
    }

    #[pg_test]
    fn sequence_within_reach() {
        take_turn();
        isolated_odd("number integer generated by default as identity,");
        run("create sequence counter; grant usage on counter to tenancy_app");
        assert_eq!(findings(), "");
        mends(
            "warning",
            "sequence_within_reach",
            "public.counter",
            "grant select on counter to tenancy_app",
        );
        mends(
            "warning",
            "sequence_within_reach",
            r#""My School"."Order's ""Line""_number_seq""#,
            r#"grant usage, select, update on all sequences in schema "My School" to public"#,
        );
    }

    #[pg_test]
    fn publication_without_filter() {
        take_turn();
        isolated_odd("");
        let (rule, publication) = ("publication_without_filter", "publication \"P\"");
        mends(
            "warning",
            rule,
            publication,
            "create publication \"P\" for all tables",
        );
        mends(
            "warning",
            rule,
            publication,
            &format!("create publication \"P\" for table {ODD}"),
        );
        run("drop publication \"P\"");
        mends(
            "warning",
            rule,
            publication,
            r#"create publication "P" for tables in schema "My School""#,
        );
        run("drop publication \"P\"");
        mends(
            "warning",
            rule,
            publication,
            "create publication \"P\" for table tenancy.tasks",
        );
        run(&format!(
            "create publication filtered for table {ODD} where (tenant_id = '00000000-0000-7000-8000-000000000000')"
        ));
        assert_eq!(findings(), "");
    }

    #[pg_test]
    fn granted_to_public() {
        take_turn();
        isolated_odd("title text,");
        mends(
            "error",
            "granted_to_public",
            ODD,
            &format!("grant select, update (title) on {ODD} to public"),
        );
    }

    #[pg_test]
    fn dangerous_grant() {
        take_turn();
        isolated_odd("");
        run("create role app_login login in role tenancy_app");
        mends(
            "error",
            "dangerous_grant",
            ODD,
            &format!("grant truncate, references (id), trigger on {ODD} to tenancy_app"),
        );
        mends(
            "error",
            "dangerous_grant",
            ODD,
            &format!("grant truncate on {ODD} to app_login"),
        );
        run("create role staff; grant staff to app_login");
        mends(
            "error",
            "dangerous_grant",
            ODD,
            &format!("grant all on {ODD} to staff"),
        );
    }

    #[pg_test]
    fn schema_that_the_application_creates_in() {
        take_turn();
        run(r#"create schema "S""#);
        mends(
            "error",
            "schema_create",
            "schema \"S\"",
            r#"grant usage, create on schema "S" to tenancy_app"#,
        );
        mends(
            "error",
            "schema_create",
            "schema public",
            "grant create on schema public to public",
        );
    }

    #[pg_test]
    fn default_grant() {
        take_turn();
        run(r#"create schema "S""#);
        mends(
            "warning",
            "default_grant",
            r#"default privileges of postgres in schema "S""#,
            r#"alter default privileges for role postgres in schema "S" grant select, truncate on tables to public"#,
        );
        mends(
            "warning",
            "default_grant",
            "default privileges of postgres",
            "alter default privileges for role postgres grant trigger on tables to tenancy_app",
        );
        run("alter default privileges for role postgres grant select on tables to tenancy_app");
        assert_eq!(findings(), "");
    }
}
