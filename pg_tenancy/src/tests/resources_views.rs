//! Views as resources: as narrow as told, and within the tenant.

#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;
    use serde_json::json;

    use crate::tests::exposed::school;
    use crate::tests::resources::{call, id_of};
    use crate::tests::support::*;

    fn views() -> Tenant {
        let acme = school();
        run("create view school.names with (security_invoker) as
                 select id, tenant_id, full_name, status, lower(full_name) as small from school.students where status = 'here' with check option;
             create view school.joined with (security_invoker) as
                 select s.id, s.full_name, c.name as class, k.name as country
                 from school.students as s left join school.classes as c on c.id = s.class_id
                 left join school.countries as k on k.code = s.country_code;
             grant select, insert, update, delete on school.names, school.joined to tenancy_app;
             select tenancy.share_table('school.countries');
             select tenancy.expose_table('school.joined', key => '{id}', filterable => '{country}', sortable => '{full_name}')");
        acme
    }

    #[pg_test]
    fn a_view_with_a_join_is_read_within_the_tenant() {
        let acme = views();
        let globex = tenant("globex");
        for (tenant, name) in [(&acme, "Ada"), (&globex, "Gus")] {
            run(&format!(
                "with c as (insert into school.classes (tenant_id, name) values ('{0}', 'of {name}') returning id)
                 insert into school.students (tenant_id, full_name, class_id, country_code) select '{0}', '{name}', c.id, 'ch' from c",
                tenant.id
            ));
        }
        become_app_of(&acme);
        let page = answer(&call(
            "list",
            r#"'joined', '{"count":"exact","sort":"fullName","filter":{"country":"Switzerland"}}'"#,
        ));
        assert_eq!(page["total"], 1);
        let row = &page["data"][0];
        assert_eq!(
            (&row["fullName"], &row["class"], &row["country"]),
            (&json!("Ada"), &json!("of Ada"), &json!("Switzerland"))
        );
        let id = id_of(row);
        assert_eq!(&answer(&call("get", &format!("'joined', '{{{id}}}'"))), row);
        for deed in [
            call("insert", r#"'joined', '{}'"#),
            call(
                "update",
                &format!(r#"'joined', '{{{id}}}', '{{"fullName":"x"}}'"#),
            ),
            call("delete", &format!("'joined', '{{{id}}}'")),
        ] {
            assert_eq!(outcome(&deed), "42501", "{deed}");
        }
        assert!(
            complaint(&call("list", r#"'joined', '{"sort":"class"}'"#)).starts_with("TN402 class")
        );
        assert!(
            complaint(&call("list", r#"'joined', '{"filter":{"id":"x"}}'"#))
                .starts_with("TN402 id")
        );
    }

    #[pg_test]
    fn a_view_is_written_through_what_is_listed() {
        let acme = views();
        run(
            "select tenancy.expose_table('school.names', key => '{id}', insertable => '{full_name}', updatable => '{full_name,status}')",
        );
        become_app_of(&acme);
        let made = answer(&call("insert", r#"'names', '{"fullName":"Ada"}'"#));
        assert_eq!(
            (&made["small"], &made["tenantId"]),
            (&json!("ada"), &json!(acme.id))
        );
        let id = id_of(&made);
        assert!(
            complaint(&call(
                "insert",
                r#"'names', '{"fullName":"x","status":"here"}'"#
            ))
            .starts_with("TN403 status")
        );
        assert!(
            complaint(&call(
                "update",
                &format!(r#"'names', '{{{id}}}', '{{"tenantId":"{}"}}'"#, acme.id)
            ))
            .starts_with("TN403 tenantId")
        );
        assert!(
            complaint(&call(
                "update",
                &format!(r#"'names', '{{{id}}}', '{{"small":"x"}}'"#)
            ))
            .starts_with("TN403 small")
        );
        for (row, expected) in [
            ("{}", "TN410 : a required value is missing"),
            (r#"{"fullName":""}"#, "TN410 : a value breaks a rule"),
        ] {
            assert_eq!(
                complaint(&call("insert", &format!("'names', '{row}'"))),
                expected
            );
        }
        let changed = answer(&call(
            "update",
            &format!(r#"'names', '{{{id}}}', '{{"fullName":"Bo"}}', '{{*}}'"#),
        ));
        assert_eq!(changed["small"], "bo");
        assert_eq!(
            outcome(&call(
                "update",
                &format!(r#"'names', '{{{id}}}', '{{"fullName":"Cy"}}', '{{x}}'"#)
            )),
            "TN414"
        );
        assert_eq!(
            outcome(&call(
                "update",
                &format!(r#"'names', '{{{id}}}', '{{"status":"away"}}'"#)
            )),
            "44000"
        );
        assert_eq!(
            answer(&call("delete", &format!("'names', '{{{id}}}', '{{*}}'"))),
            changed
        );
    }

    #[pg_test]
    fn a_view_whose_key_is_not_unique_is_an_error_and_not_two_rows() {
        let acme = views();
        run(
            "select tenancy.expose_table('school.names', key => '{full_name}', updatable => '{status}')",
        );
        run(&format!(
            "insert into school.students (tenant_id, full_name) select '{}', 'Ada' from generate_series(1, 2)",
            acme.id
        ));
        become_app_of(&acme);
        for deed in [
            call("get", "'names', '{Ada}'"),
            call("update", r#"'names', '{Ada}', '{"status":"here"}'"#),
            call("delete", "'names', '{Ada}'"),
        ] {
            assert_eq!(outcome(&deed), "21000", "{deed}");
        }
        assert_eq!(
            answer(&call("list", r#"'names', '{"count":"exact"}'"#))["total"],
            2
        );
    }

    /// What the view rests on is looked at again when it changes.
    #[pg_test]
    fn a_view_that_has_become_a_hole_is_not_served() {
        let acme = views();
        run("create function school.shout(text) returns text language sql immutable as 'select upper($1)';
             create view school.loud with (security_invoker) as select id, school.shout(full_name) as name from school.students;
             grant select on school.loud to tenancy_app;
             select tenancy.expose_table('school.loud', key => '{id}')");
        for (hole, mended) in [
            (
                "alter view school.loud reset (security_invoker)",
                "alter view school.loud set (security_invoker = on)",
            ),
            (
                "alter function school.shout(text) security definer",
                "alter function school.shout(text) security invoker",
            ),
            (
                "alter table school.students disable row level security",
                "alter table school.students enable row level security",
            ),
            (
                "revoke select on school.loud from tenancy_app",
                "grant select on school.loud to tenancy_app",
            ),
        ] {
            become_app_of(&acme);
            assert_eq!(outcome(&call("list", "'loud'")), "00000", "{hole}");
            become_dba();
            run(hole);
            become_app_of(&acme);
            assert_eq!(outcome(&call("list", "'loud'")), "TN401", "{hole}");
            become_dba();
            run(mended);
        }
    }

    #[pg_test]
    fn a_domain_whose_check_calls_a_definer_closes_the_view() {
        let acme = views();
        run("create function school.is_fine(text) returns boolean language sql immutable as 'select true';
             create domain school.word as text check (school.is_fine(value));
             create domain school.small_word as school.word;
             create view school.worded with (security_invoker) as
                 select id, array[full_name]::school.small_word[] as words from school.students;
             grant select on school.worded to tenancy_app;
             select tenancy.expose_table('school.worded', key => '{id}')");
        for (hole, mended) in [
            (
                "alter function school.is_fine(text) security definer",
                "alter function school.is_fine(text) security invoker",
            ),
            (
                "create function school.is_good(text) returns boolean language sql immutable security definer as 'select true';
                 alter domain school.word add constraint good check (school.is_good(value))",
                "alter domain school.word drop constraint good",
            ),
        ] {
            become_app_of(&acme);
            assert_eq!(outcome(&call("list", "'worded'")), "00000", "{hole}");
            become_dba();
            run(hole);
            become_app_of(&acme);
            assert_eq!(outcome(&call("list", "'worded'")), "TN401", "{hole}");
            become_dba();
            run(mended);
        }
        become_app_of(&acme);
        assert_eq!(outcome(&call("list", "'worded'")), "00000");
    }
}
