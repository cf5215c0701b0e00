//! expose_table() and hide_table(): what is served, and what is refused with a way out.

use crate::tests::support::*;

/// A school's tables; Acme is a tenant.
pub fn school() -> Tenant {
    let acme = tenant("acme");
    run(
        "create schema school;
         grant usage on schema school to tenancy_app;
         create table school.countries (code text primary key, name text not null);
         insert into school.countries values ('ch', 'Switzerland'), ('fr', 'France');
         create table school.classes (id uuid primary key default tenancy.uuid_v7(), name text not null);
         create table school.students (
            id uuid primary key default tenancy.uuid_v7(),
            full_name text not null constraint students_name check (full_name <> ''),
            class_id uuid constraint students_class references school.classes,
            country_code text references school.countries,
            status text not null default 'here' check (status in ('here', 'away')),
            email varchar(40) constraint students_email unique,
            secret text constraint students_secret check (secret <> 'bad'),
            twice int generated always as (length(full_name) * 2) stored);
         comment on table school.students is 'Who learns here.';
         comment on column school.students.full_name is 'As on the certificate.';
         comment on constraint students_name on school.students is 'must not be empty';
         select tenancy.isolate_table('school.classes');
         select tenancy.isolate_table('school.students', unique_per_tenant => '{*}');
         create table school.plain (id int primary key, note text)",
    );
    acme
}

/// `CODE HINT` of a statement that fails.
pub fn way_out(sql: &str) -> String {
    pgrx::Spi::get_one_with_args::<String>("select tests.way_out($1)", &[sql.into()])
        .unwrap_or_else(|error| panic!("{sql}: {error}"))
        .unwrap_or_else(|| panic!("{sql}: no error"))
}

pgrx::extension_sql!(
    r"
    create function tests.way_out(statement text) returns text language plpgsql as $$
    declare
        hint text;
    begin
        execute statement;
        return null;
    exception when others then
        get stacked diagnostics hint = pg_exception_hint;
        return sqlstate || ' ' || hint;
    end $$;
    ",
    name = "way_out",
    requires = [tests]
);

/// A call that is refused with that code, with these words in its message and hint.
#[track_caller]
pub fn refused(call: &str, code: &str, message: &str, hint: &str) {
    let said = complaint(&format!("select tenancy.{call}"));
    assert!(
        said.starts_with(&format!("{code} ")) && said.contains(message),
        "{call}: {said}"
    );
    let way_out = way_out(&format!("select tenancy.{call}"));
    assert!(way_out.contains(hint), "{call}: {way_out}");
}

#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;

    use super::*;

    #[pg_test]
    fn what_is_neither_isolated_nor_shared_is_not_exposed() {
        school();
        run(
            "create materialized view school.copied as select * from school.students;
             create temporary table passing (id int primary key);
             create sequence school.numbers",
        );
        for (call, code, message, hint) in [
            (
                "expose_table('school.plain')",
                "TN431",
                "neither isolated nor shared",
                "isolate_table('school.plain')",
            ),
            (
                "expose_table('school.copied')",
                "TN430",
                "materialized",
                "security_invoker",
            ),
            ("expose_table('passing')", "TN430", "temporary", ""),
            (
                "expose_table('school.numbers')",
                "TN430",
                "neither a table nor a view",
                "",
            ),
            (
                "expose_table('school.students_pkey')",
                "TN430",
                "neither a table nor a view",
                "",
            ),
            (
                "expose_table(4000000000::oid::regclass)",
                "TN430",
                "no relation",
                "",
            ),
            ("expose_table(null)", "TN430", "no relation", ""),
            ("expose_table('pg_class')", "TN431", "neither", ""),
            (
                "expose_table('tenancy.tenants')",
                "TN434",
                "the service itself",
                "",
            ),
            (
                "expose_table('tenancy.tenants', 'companies')",
                "TN436",
                "the tenant alone",
                "",
            ),
        ] {
            refused(call, code, message, hint);
        }
    }

    #[pg_test]
    fn a_view_shows_no_more_than_the_tables_below() {
        school();
        run("create view school.owners as select id, full_name from school.students;
             create view school.above with (security_invoker) as select * from school.owners;
             create view school.mixed with (security_invoker) as
                 select s.id, p.note from school.students as s, school.plain as p;
             create materialized view school.copied as select * from school.students;
             create view school.of_copy with (security_invoker) as select id from school.copied;
             create function school.peek() returns bigint language sql security definer
                 set search_path = pg_catalog, pg_temp as 'select count(*) from school.students';
             create view school.peeking with (security_invoker) as select id, school.peek() as n from school.students;
             create operator school.=== (leftarg = uuid, rightarg = uuid, function = uuid_eq);
             create function school.same(uuid, uuid) returns boolean language sql security definer
                 set search_path = pg_catalog, pg_temp as 'select true';
             create operator school.~== (leftarg = uuid, rightarg = uuid, function = school.same);
             create view school.by_operator with (security_invoker) as
                 select id from school.students where id operator(school.~==) id;
             create view school.catalog with (security_invoker) as
                 select s.id, c.relname from school.students as s, pg_class as c;
             create view school.sessions with (security_invoker) as
                 select s.id, a.query from school.students as s, pg_stat_activity as a;
             create view school.fine with (security_invoker) as
                 select s.id, s.full_name, u.email, tenancy.current_tenant_id() as tenant
                 from school.students as s left join tenancy.users as u on u.email = s.email
                 where s.id operator(school.===) s.id");
        for (view, message, hint) in [
            (
                "owners",
                "reads with its owner's rights",
                "alter view school.owners set (security_invoker = on)",
            ),
            (
                "above",
                "the view school.owners",
                "alter view school.owners",
            ),
            (
                "mixed",
                "reads school.plain",
                "isolate_table('school.plain')",
            ),
            ("of_copy", "materialized view school.copied", ""),
            ("peeking", "calls school.peek()", "security invoker"),
            (
                "by_operator",
                "calls school.same(uuid,uuid)",
                "security invoker",
            ),
            ("catalog", "reads pg_class", "belongs to the system"),
            ("sessions", "pg_stat_activity", "belongs to the system"),
        ] {
            refused(
                &format!("expose_table('school.{view}', key => '{{id}}')"),
                "TN432",
                message,
                hint,
            );
        }
        refused(
            "expose_table('school.fine')",
            "TN436",
            "nothing tells",
            "key => '{id}'",
        );
        run("select tenancy.expose_table('school.fine', key => '{id}')");
    }

    #[pg_test]
    fn only_the_dba_says_what_is_served() {
        let acme = school();
        for call in [
            "expose_table('school.students')",
            "hide_table('tasks')",
            "share_table('school.countries')",
            "unshare_table('school.countries')",
        ] {
            become_role("tenancy_admin");
            assert_eq!(
                outcome(&format!("select tenancy.{call}")),
                "42501",
                "{call}"
            );
            run("reset role");
            run(&format!("select tenancy.set_tenant_context('{}')", acme.id));
            assert_eq!(
                outcome(&format!("select tenancy.{call}")),
                "TN707",
                "{call}"
            );
            become_dba();
        }
        become_app_of(&acme);
        for sql in [
            "select count(*) from tenancy.exposed_resources",
            "insert into tenancy.exposed_resources (resource, relation) values ('x', 'tenancy.tasks')",
            "update tenancy.shared_tables set relation = 'tenancy.tasks'",
            "select tenancy_private.forget_resources('tenancy.exposed_resources')",
            "select * from tenancy_private.served_resources(null)",
        ] {
            assert_eq!(outcome(sql), "42501", "{sql}");
        }
    }

    #[pg_test]
    fn exposing_again_replaces_the_lists_and_hiding_ends_it() {
        school();
        run("select tenancy.expose_table('school.students', filterable => '{full_name}')");
        assert_eq!(
            text("select tenancy.expose_table('school.students', columns => '{id,email}')"),
            "school.students is served as \"students\""
        );
        assert_eq!(
            text(
                "select concat(columns::text, filterable::text, is_hidden) from tenancy.exposed_resources where resource = 'students'"
            ),
            "{id,email}f"
        );
        run(
            "select tenancy.hide_table('students'); select tenancy.hide_table('tasks'); select tenancy.hide_table('tasks')",
        );
        assert_eq!(
            text(
                "select string_agg(resource || is_hidden, ' ' order by resource) from tenancy.exposed_resources"
            ),
            "projectsfalse taskstrue"
        );
        refused(
            "hide_table('students')",
            "TN437",
            "no resource \"students\"",
            "exposed_resources",
        );
        refused("hide_table(null)", "TN437", "", "");
    }
}
