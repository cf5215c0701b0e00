//! share_table(): reference data is read by all, and changed by nobody.

#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;

    use crate::tests::exposed::school;
    use crate::tests::lint::findings;
    use crate::tests::support::*;

    #[pg_test]
    fn a_shared_table_is_read_and_not_written() {
        let acme = school();
        run(
            "create role clerks; create role desk login in role tenancy_app, clerks;
             grant all on school.countries to public, clerks, tenancy_app;
             grant insert (name), update (name) on school.countries to desk;
             select tenancy.share_table('school.countries');
             select tenancy.expose_table('school.countries')",
        );
        assert_eq!(
            maybe(
                "select string_agg(privileges, ' ') from tenancy_private.writers('school.countries'::regclass)"
            ),
            None
        );
        become_app_of(&acme);
        become_role("desk");
        for sql in [
            "insert into school.countries values ('de', 'Germany')",
            "insert into school.countries (name) values ('Germany')",
            "update school.countries set name = 'x'",
            "delete from school.countries",
            "truncate school.countries",
            r#"select tenancy.insert_resource('countries', '{"code":"de","name":"Germany"}')"#,
            r#"select tenancy.insert_resource('countries', '{}')"#,
            r#"select tenancy.update_resource('countries', '{ch}', '{"name":"x"}')"#,
            "select tenancy.delete_resource('countries', '{ch}')",
        ] {
            assert_eq!(outcome(sql), "42501", "{sql}");
        }
        let page =
            answer(r#"select tenancy.list_resource('countries', '{"filter":{"code":"ch"}}')"#);
        assert_eq!(page["data"][0]["name"], "Switzerland");
        let row = answer("select tenancy.get_resource('countries', '{fr}')");
        assert_eq!(row, serde_json::json!({"code": "fr", "name": "France"}));
        become_dba();
        become_role("tenancy_app");
        // As everything, it takes a tenant.
        assert_eq!(
            outcome("select tenancy.list_resource('countries')"),
            "TN001"
        );
    }

    #[pg_test]
    fn what_belongs_to_tenants_is_not_shared() {
        school();
        run(
            "create table tests.loose (id int primary key, tenant_id uuid);
             create table tests.refers (id int primary key, owner uuid references tenancy.tenants);
             create table tests.parent (id int primary key);
             create table tests.child (tenant_id uuid) inherits (tests.parent);
             create view tests.seen as select 1 as one;
             create role desk login in role tenancy_app;
             create table tests.desks (id int primary key);
             alter table tests.desks owner to desk",
        );
        for (table, reason) in [
            ("school.students", "it has a tenant boundary"),
            ("tests.loose", "it has a column \"tenant_id\""),
            ("tests.refers", "it refers to tenancy.tenants"),
            (
                "tests.parent",
                "it has the part tests.child, and of that: it has a column",
            ),
            ("tests.seen", "it is not a table"),
            ("tests.desks", "its owner desk serves requests"),
            ("tenancy.users", "it belongs to the system or to pg_tenancy"),
            ("pg_class", "it belongs to the system"),
        ] {
            let said = complaint(&format!("select tenancy.share_table('{table}')"));
            assert!(
                said.starts_with("TN438 ") && said.contains(reason),
                "{table}: {said}"
            );
        }
        assert_eq!(outcome("select tenancy.share_table(null)"), "TN438");
        assert_eq!(
            outcome("select tenancy.unshare_table('tests.parent')"),
            "TN439"
        );
    }

    /// Another's grant stays out of the owner's reach, so it is refused and not overlooked.
    #[pg_test]
    fn a_grant_by_another_is_named() {
        school();
        run(
            "create role giver; grant insert on school.countries to giver with grant option;
             grant usage on schema school to giver;
             set local role giver; grant insert on school.countries to tenancy_app; reset role",
        );
        let said = complaint("select tenancy.share_table('school.countries')");
        assert!(
            said.contains("tenancy_app has insert by another's grant"),
            "{said}"
        );
    }

    #[pg_test]
    fn lint_knows_shared_tables() {
        school();
        run("select tenancy.share_table('school.countries'); drop table school.plain");
        assert_eq!(findings(), "");
        run("grant update (name) on school.countries to tenancy_app");
        let found = findings();
        assert!(
            found.contains("error | shared_written | school.countries | is shared, and tenancy_app has update | select tenancy.share_table('school.countries')"),
            "{found}"
        );
        run("select tenancy.share_table('school.countries')");
        assert_eq!(findings(), "");
        run("alter table school.countries add tenant_id uuid");
        let found = findings();
        assert!(
            found.contains("missing_boundary | school.countries"),
            "{found}"
        );
        assert!(found.contains("not_served | school.countries"), "{found}");
        // Sharing it again is refused, so that is no advice.
        run("grant update (name) on school.countries to tenancy_app");
        let found = findings();
        assert!(!found.contains("shared_written"), "{found}");
    }

    #[pg_test]
    fn what_is_shared_no_more_is_out_of_reach() {
        let acme = school();
        run(
            "select tenancy.share_table('school.countries'); select tenancy.expose_table('school.countries')",
        );
        become_app_of(&acme);
        assert_eq!(
            outcome("select tenancy.list_resource('countries')"),
            "00000"
        );
        become_dba();
        run("select tenancy.unshare_table('school.countries')");
        let found = findings();
        assert!(found.contains("not_served | resource countries"), "{found}");
        become_app_of(&acme);
        assert_eq!(
            outcome("select tenancy.list_resource('countries')"),
            "TN401"
        );
        assert_eq!(outcome("select from school.countries"), "42501");
    }

    /// Isolated since, it is shared no more, and keeps what isolating has granted.
    #[pg_test]
    fn what_was_isolated_since_stays_within_reach() {
        let acme = school();
        run("select tenancy.share_table('school.countries');
             delete from school.countries;
             select tenancy.isolate_table('school.countries'), tenancy.expose_table('school.countries')");
        let found = findings();
        assert!(!found.contains("shared"), "{found}");
        assert_eq!(
            outcome("select tenancy.unshare_table('school.countries')"),
            "TN439"
        );
        become_app_of(&acme);
        assert_eq!(
            outcome(
                r#"select tenancy.insert_resource('countries', '{"code":"de","name":"Germany"}')"#
            ),
            "00000"
        );
    }

    /// A column of tenants that comes later closes it.
    #[pg_test]
    fn a_shared_table_that_gets_tenants_is_not_served() {
        let acme = school();
        run(
            "select tenancy.share_table('school.countries'); select tenancy.expose_table('school.countries')",
        );
        become_app_of(&acme);
        assert_eq!(
            outcome("select tenancy.list_resource('countries')"),
            "00000"
        );
        run("reset role; alter table school.countries add tenant_id uuid");
        become_role("tenancy_app");
        assert_eq!(
            outcome("select tenancy.list_resource('countries')"),
            "TN401"
        );
    }

    /// Also of a part of it, and of what a view reads.
    #[pg_test]
    fn a_shared_table_with_a_part_that_gets_tenants_is_not_served() {
        let acme = school();
        run(
            "create table school.regions () inherits (school.countries);
             select tenancy.share_table('school.countries'), tenancy.expose_table('school.countries');
             create view school.places with (security_invoker = on) as select code, name from school.countries;
             grant select on school.places to tenancy_app;
             select tenancy.expose_table('school.places', key => '{code}')",
        );
        let lists = [
            "select tenancy.list_resource('countries')",
            "select tenancy.list_resource('places')",
        ];
        become_app_of(&acme);
        for list in lists {
            assert_eq!(outcome(list), "00000", "{list}");
        }
        run("reset role; alter table school.regions add tenant_id uuid");
        become_role("tenancy_app");
        for list in lists {
            assert_eq!(outcome(list), "TN401", "{list}");
        }
    }
}
