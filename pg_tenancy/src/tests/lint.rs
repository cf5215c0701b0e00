//! lint(): each rule sees its fault, and what it offers mends it.

use crate::tests::support::*;

/// What lint() says, one line a row.
pub fn findings() -> String {
    maybe("select string_agg(concat_ws(' | ', severity, rule, object, problem, fix), E'\\n') from tenancy.lint()")
        .unwrap_or_default()
}

/// Plants a fault in a clean database, sees the row, runs its fix, and sees
/// that the database is clean again.
#[track_caller]
pub fn mends(severity: &str, rule: &str, object: &str, fault: &str) {
    let fix = fix_of(severity, rule, object, fault);
    assert!(!fix.starts_with("--"), "{rule}: nothing to run: {fix}");
    run(&fix);
    assert_eq!(findings(), "", "{rule}: left after: {fix}");
}

/// Plants a fault and sees the row; what mends it.
#[track_caller]
pub fn fix_of(severity: &str, rule: &str, object: &str, fault: &str) -> String {
    run(fault);
    let fix = maybe(&format!(
        "select fix from tenancy.lint()
         where severity = '{severity}' and rule = '{rule}' and object = '{}'
           and problem <> '' and why <> '' and fix <> ''",
        object.replace('\'', "''")
    ));
    fix.unwrap_or_else(|| panic!("no {severity} {rule} of {object}, but:\n{}", findings()))
}

/// A table as isolate_table() would make it; its key is (tenant_id, id).
pub fn isolated(table: &str, more: &str) {
    run(&format!(
        "create table {table} (
            tenant_id uuid not null default tenancy.current_tenant_id() references tenancy.tenants (id),
            id uuid not null default tenancy.uuid_v7(), {more}
            primary key (tenant_id, id));
         alter table {table} enable row level security, force row level security;
         create policy tenant_boundary on {table} as restrictive for all to public
            using (tenant_id = tenancy.current_tenant_id()) with check (tenant_id = tenancy.current_tenant_id());
         create policy all_in_tenant on {table} for all to tenancy_app using (true) with check (true);
         grant select, insert, update, delete on {table} to tenancy_app"
    ));
}

/// A name that has to be quoted, in a schema that has to be.
pub const ODD: &str = r#""My School"."Order's ""Line""""#;

pub fn isolated_odd(more: &str) {
    run(r#"create schema "My School""#);
    isolated(ODD, more);
}

#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;

    use super::*;

    /// An application's login and isolated tables of all kinds, as the README says.
    #[pg_test]
    fn clean_database_gives_no_row() {
        take_turn();
        run("create role app_login login in role tenancy_app, tenancy_authenticator;
             create role app_gateway login in role tenancy_gateway;
             create role dba_login superuser login; create role cron login;
             create role nightly login in role tenancy_backup; create role boss login in role tenancy_admin");
        isolated("students", "class_id uuid, name text,");
        isolated("class", "");
        isolated_odd("number integer, unique (tenant_id, number),");
        run("alter table students add foreign key (tenant_id, class_id) references class on delete set null (class_id);
             create view seen with (security_invoker) as select * from students;
             create table plain (id integer primary key); create view plainly as select * from plain;
             create function quiet() returns integer language sql as 'select 1';
             create function careful() returns integer language sql security definer
                set search_path = pg_catalog, pg_temp as 'select 1';
             revoke execute on function careful() from public;
             create trigger one before update on students for each row execute function suppress_redundant_updates_trigger()");
        tenant("acme");
        assert_eq!(findings(), "");
    }

    #[pg_test]
    fn an_administrator_may_lint_and_the_application_may_not() {
        take_turn();
        for (role, outcome_of_it) in [
            ("tenancy_admin", "00000"),
            ("tenancy_app", "42501"),
            ("tenancy_authenticator", "42501"),
            ("tenancy_reporter", "42501"),
        ] {
            become_role(role);
            assert_eq!(
                outcome("select count(*) from tenancy.lint()"),
                outcome_of_it,
                "{role}"
            );
            run("reset role");
        }
    }

    #[pg_test]
    fn every_rule_has_a_function_and_every_function_a_reason() {
        take_turn();
        assert_eq!(
            maybe("select string_agg(p.proname, ' ') from pg_proc as p
                   join pg_type as t on t.oid = p.prorettype and t.typname = 'finding'
                   where p.pronamespace = 'tenancy_private'::regnamespace
                     and p.proname not in ('lint_hardened', 'lint_version')
                     and substr(p.proname, 6) not in (select rule from tenancy_private.lint_register())"),
            None
        );
    }

    #[pg_test]
    fn table_with_a_tenant_and_no_boundary() {
        take_turn();
        mends(
            "error",
            "missing_boundary",
            "public.students",
            "create table students (id integer, tenant_id uuid)",
        );
        mends(
            "error",
            "missing_boundary",
            r#""S"."Order's""#,
            r#"create schema "S"; create table "S"."Order's" (id integer primary key, "Owner" uuid references tenancy.tenants)"#,
        );
    }

    #[pg_test]
    fn row_security_off() {
        take_turn();
        isolated_odd("");
        mends(
            "error",
            "row_security_off",
            ODD,
            &format!("alter table {ODD} disable row level security"),
        );
    }

    #[pg_test]
    fn row_security_not_forced() {
        take_turn();
        isolated_odd("");
        mends(
            "error",
            "row_security_not_forced",
            ODD,
            &format!("alter table {ODD} no force row level security"),
        );
        mends(
            "error",
            "row_security_not_forced",
            "public.notes",
            "create table notes (id integer); alter table notes enable row level security",
        );
    }

    #[pg_test]
    fn boundary_changed() {
        take_turn();
        isolated_odd("");
        let policy = format!("policy tenant_boundary on {ODD}");
        let wall = "(tenant_id = tenancy.current_tenant_id())";
        for how in [
            format!("as permissive using {wall} with check {wall}"),
            format!("as restrictive for select using {wall}"),
            format!("as restrictive to tenancy_app using {wall} with check {wall}"),
            format!("as restrictive using {wall}"),
            format!("as restrictive using ({wall} or true) with check {wall}"),
            format!("as restrictive using {wall} with check (true)"),
            "as restrictive using (true)".to_owned(),
        ] {
            mends(
                "error",
                "boundary_changed",
                &policy,
                &format!("drop {policy}; create {policy} {how}"),
            );
        }
    }

    #[pg_test]
    fn policy_that_reads_a_setting() {
        take_turn();
        isolated_odd("");
        let setting = "(tenant_id = current_setting('app.tenant', true)::uuid)";
        mends(
            "warning",
            "plain_setting",
            &format!("policy old on {ODD}"),
            &format!("create policy old on {ODD} using {setting}"),
        );
        mends(
            "warning",
            "plain_setting",
            &format!("policy old on {ODD}"),
            &format!("create policy old on {ODD} for insert with check {setting}"),
        );
        mends("warning", "plain_setting", &format!("policy old on {ODD}"), &format!(
            "create function my_tenant() returns uuid language sql stable as $$select current_setting('app.tenant')::uuid$$;
             create policy old on {ODD} using (tenant_id = my_tenant())"));
        run(
            "create table tutorial (tenant_id uuid); alter table tutorial enable row level security, force row level security",
        );
        fix_of(
            "error",
            "plain_setting",
            "policy old on public.tutorial",
            &format!("create policy old on tutorial using {setting}"),
        );
    }

    #[pg_test]
    fn partition_or_child_outside() {
        take_turn();
        run("create table events (tenant_id uuid not null default tenancy.current_tenant_id(), at date) partition by range (at);
             create index on events (tenant_id)");
        run(&text(
            "select tenancy_private.lint_boundary('events'::regclass, 'tenant_id')",
        ));
        mends(
            "error",
            "child_outside",
            r#"public."Events 2026""#,
            r#"create table "Events 2026" partition of events for values from ('2026-01-01') to ('2027-01-01')"#,
        );

        isolated("parent", "");
        mends(
            "error",
            "child_outside",
            "public.child",
            "create table child () inherits (parent); create index on child (tenant_id)",
        );
    }

    #[pg_test]
    fn parent_outside() {
        take_turn();
        run("create table base (tenant_id uuid not null default tenancy.current_tenant_id()); create index on base (tenant_id);
             create table derived () inherits (base); create index on derived (tenant_id)");
        mends(
            "error",
            "child_outside",
            "public.base",
            &text("select tenancy_private.lint_boundary('derived'::regclass, 'tenant_id')"),
        );
    }

    #[pg_test]
    fn nullable_tenant() {
        take_turn();
        isolated_odd("");
        mends("warning", "nullable_tenant", &format!("{ODD}.tenant_id"), &format!(
            "alter table {ODD} drop constraint \"Order's \"\"Line\"\"_pkey\"; create index on {ODD} (tenant_id);
             alter table {ODD} alter column tenant_id drop not null"));
    }

    #[pg_test]
    fn tenant_without_default() {
        take_turn();
        isolated_odd("");
        let column = format!("{ODD}.tenant_id");
        for how in ["drop default", "set default gen_random_uuid()"] {
            mends(
                "warning",
                "tenant_without_default",
                &column,
                &format!("alter table {ODD} alter column tenant_id {how}"),
            );
        }
    }

    #[pg_test]
    fn no_tenant_index() {
        take_turn();
        isolated_odd("");
        mends(
            "warning",
            "no_tenant_index",
            ODD,
            &format!(
                "alter table {ODD} drop constraint \"Order's \"\"Line\"\"_pkey\"; create index on {ODD} (id, tenant_id)"
            ),
        );
    }

    /// A name may have a line end, and a comment must not end with it.
    #[pg_test]
    fn a_comment_stays_one_line() {
        take_turn();
        run("create schema l; create extension if not exists btree_gist");
        isolated(
            "l.\"x\nalter role tenancy_app superuser; --\"",
            "v text, exclude using gist (v with =),",
        );
        assert!(number("select count(*) from tenancy.lint() where fix like '--%'") > 0);
        assert_eq!(
            number("select count(*) from tenancy.lint() where fix like '--%' and fix ~ '[\n\r]'"),
            0
        );
    }
}
