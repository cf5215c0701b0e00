//! expose_table(): the lists, the key and the name that it takes.

#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;

    use crate::tests::exposed::{refused, school};
    use crate::tests::lint::findings;
    use crate::tests::support::*;

    #[pg_test]
    fn a_list_names_columns_that_can_stand_in_it() {
        school();
        run(
            "create view school.names with (security_invoker) as select id, tenant_id, full_name, lower(full_name) as small from school.students",
        );
        for (call, code, message, hint) in [
            (
                "'school.students', columns => '{id,nothing}'",
                "TN433",
                "names \"nothing\", and there is no",
                "full_name",
            ),
            (
                "'school.students', columns => '{id,id}'",
                "TN433",
                "twice",
                "",
            ),
            (
                "'school.students', columns => '{id,NULL}'",
                "TN433",
                "NULL",
                "",
            ),
            (
                "'school.students', columns => '{}'",
                "TN433",
                "names no column",
                "",
            ),
            (
                "'school.students', columns => '{full_name}'",
                "TN436",
                "its key is not among columns",
                "Add id",
            ),
            (
                "'school.students', columns => '{id,email}', filterable => '{secret}'",
                "TN433",
                "names \"secret\", which is not among columns",
                "",
            ),
            (
                "'school.students', insertable => '{twice}'",
                "TN433",
                "which the database generates",
                "",
            ),
            (
                "'school.students', updatable => '{tenant_id}'",
                "TN433",
                "which holds the tenant",
                "",
            ),
            (
                "'school.students', sortable => '{xmin}'",
                "TN433",
                "there is no such column",
                "",
            ),
            (
                "'school.students', key => '{email}'",
                "TN436",
                "the key of a table is its primary key",
                "Leave key out",
            ),
            (
                "'school.names', key => '{small,nothing}'",
                "TN433",
                "names \"nothing\"",
                "",
            ),
            (
                "'school.names', key => '{tenant_id,id}'",
                "TN436",
                "the tenant is part",
                "",
            ),
            (
                "'school.names', key => '{id}', insertable => '{tenant_id}'",
                "TN433",
                "which holds the tenant",
                "",
            ),
            (
                "'school.names', key => '{id}', updatable => '{small}'",
                "TN433",
                "can't write through this view",
                "",
            ),
        ] {
            refused(&format!("expose_table({call})"), code, message, hint);
        }
        run("alter table school.students add \"fullName\" text");
        refused(
            "expose_table('school.students')",
            "TN435",
            "fullName, full_name of school.students are all \"fullName\"",
            "columns =>",
        );
        run("select tenancy.expose_table('school.students', columns => '{id,full_name}')");
    }

    #[pg_test]
    fn a_table_needs_a_key_within_its_tenant() {
        take_turn();
        for (table, key, message) in [
            ("tests.keyless", "", "it has no primary key"),
            ("tests.outside", ", primary key (id)", "without the tenant"),
            (
                "tests.single",
                ", primary key (tenant_id)",
                "the tenant alone",
            ),
        ] {
            run(&format!(
                "create table {table} (tenant_id uuid not null default tenancy.current_tenant_id(), id int not null {key});
                 alter table {table} enable row level security, force row level security;
                 create policy tenant_boundary on {table} as restrictive for all to public
                    using (tenant_id = tenancy.current_tenant_id()) with check (tenant_id = tenancy.current_tenant_id())"
            ));
            refused(&format!("expose_table('{table}')"), "TN436", message, "");
        }
    }

    #[pg_test]
    fn a_name_stands_in_a_url_once() {
        school();
        run(r#"create table school."o'clock; drop" (id int primary key);
               select tenancy.isolate_table('school."o''clock; drop"')"#);
        for (call, message) in [
            (r#"'school."o''clock; drop"'"#, "can't be the name"),
            ("'school.students', 'Students'", "can't be the name"),
            ("'school.students', ''", "can't be the name"),
            ("'school.students', 'a/b'", "can't be the name"),
            ("'school.students', E'a\\n'", "can't be the name"),
            (
                "'school.students', 'members'",
                "the service itself answers at /members",
            ),
            ("'school.students', 'openapi.json'", "can't be the name"),
            ("'school.students', 'metrics'", "the service itself"),
            (
                "'school.students', 'tasks'",
                "\"tasks\" is the resource of tenancy.tasks already",
            ),
        ] {
            refused(&format!("expose_table({call})"), "TN434", message, "");
        }
        let long = "a".repeat(64);
        refused(
            &format!("expose_table('school.students', '{long}')"),
            "TN434",
            "can't be the name",
            "",
        );
        run(r#"select tenancy.expose_table('school."o''clock; drop"', 'o-clock')"#);
        run(&format!(
            "select tenancy.expose_table('school.students', '{}')",
            &long[1..]
        ));
        // A hidden one gives its name away.
        run(
            "select tenancy.hide_table('tasks'); select tenancy.expose_table('school.students', 'tasks')",
        );
        assert_eq!(
            text("select relation::text from tenancy.exposed_resources where resource = 'tasks'"),
            "school.students"
        );
    }

    #[pg_test]
    fn lint_names_what_the_lists_have_lost() {
        school();
        run("drop table school.plain;
             select tenancy.share_table('school.countries'), tenancy.expose_table('school.students', filterable => '{email,status}');
             alter table school.students rename email to \"e-mail\"");
        let found = findings();
        assert!(
            found.contains("warning | not_served | resource students | names email, and school.students has no such column | -- Expose it again"),
            "{found}"
        );
        run("select tenancy.expose_table('school.students', filterable => '{e-mail,status}')");
        assert_eq!(findings(), "");
        // Two columns of one name close it, for resources() as for the row functions.
        run("alter table school.students add column country text, add column \"countryCode\" text");
        become_role("tenancy_app");
        assert!(!text("select tenancy.resources()::text").contains("\"students\""));
    }
}
