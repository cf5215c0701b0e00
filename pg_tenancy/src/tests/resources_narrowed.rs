//! What the DBA leaves out of a resource isn't there, and views are as narrow as told.

#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;
    use serde_json::json;

    use crate::tests::exposed::school;
    use crate::tests::resources::{call, id_of};
    use crate::tests::support::*;

    /// Neither by its name nor by its value, though the role is granted it.
    #[pg_test]
    fn a_hidden_column_is_nowhere() {
        let acme = school();
        run("alter table school.students
                add column hidden_note text not null default 'n',
                add constraint students_pair check (email is null or hidden_note <> 'pair'),
                add constraint students_hidden check (hidden_note <> 'bad');
             create index on school.students (secret);
             comment on constraint students_pair on school.students is 'must not pair with the hidden note';
             comment on constraint students_hidden on school.students is 'must hide well';
             select tenancy.expose_table('school.students', columns => '{id,full_name,email}')");
        become_app_of(&acme);
        let made = answer(&call("insert", r#"'students', '{"fullName":"Ada"}'"#));
        let fields: Vec<&String> = made.as_object().expect("a row").keys().collect();
        assert_eq!(fields, ["email", "fullName", "id"]);
        let id = id_of(&made);
        for unknown in [
            "secret",
            "hiddenNote",
            "tenantId",
            "status",
            "xmin",
            "hidden_note",
        ] {
            for query in [
                format!("'students', '{{\"sort\":\"{unknown}\"}}'"),
                format!("'students', '{{\"fields\":\"{unknown}\"}}'"),
                format!("'students', '{{\"filter\":{{\"{unknown}\":\"x\"}}}}'"),
            ] {
                let said = complaint(&call("list", &query));
                assert_eq!(
                    said,
                    format!("TN402 {unknown}: \"{unknown}\" is not a field of students"),
                    "{query}"
                );
            }
            for said in [
                complaint(&call(
                    "get",
                    &format!("'students', '{{{id}}}', '{{\"fields\":\"{unknown}\"}}'"),
                )),
                complaint(&call(
                    "insert",
                    &format!("'students', '{{\"{unknown}\":\"x\"}}'"),
                )),
                complaint(&call(
                    "update",
                    &format!("'students', '{{{id}}}', '{{\"{unknown}\":\"x\"}}'"),
                )),
            ] {
                assert_eq!(
                    said,
                    format!("TN402 {unknown}: \"{unknown}\" is not a field of students")
                );
            }
        }
        // What a trigger puts there breaks rules of which the caller knows nothing.
        become_dba();
        run("create function school.spoil() returns trigger language plpgsql as $$
             begin
                 new.hidden_note := case new.full_name when 'null' then null when 'bad' then 'bad' else 'pair' end;
                 return new;
             end $$;
             create trigger spoil before insert on school.students for each row execute function school.spoil()");
        become_app_of(&acme);
        for (row, expected) in [
            (
                r#"{"fullName":"null"}"#,
                "TN410 : a required value is missing",
            ),
            (r#"{"fullName":"bad"}"#, "TN410 : a value breaks a rule"),
            (
                r#"{"fullName":"pair","email":"x"}"#,
                "TN410 : a value breaks a rule",
            ),
            (
                r#"{"fullName":""}"#,
                "TN410 fullName: \"fullName\" must not be empty",
            ),
        ] {
            assert_eq!(
                complaint(&call("insert", &format!("'students', '{row}'"))),
                expected,
                "{row}"
            );
        }
    }

    #[pg_test]
    fn the_lists_say_what_can_be_done_with_a_column() {
        let acme = school();
        run("select tenancy.expose_table('school.students', insertable => '{full_name,email}', updatable => '{status}',
                filterable => '{status,class_id,full_name}', sortable => '{full_name}')");
        become_app_of(&acme);
        let made = answer(&call(
            "insert",
            r#"'students', '{"fullName":"Ada","email":"a@x"}'"#,
        ));
        let id = id_of(&made);
        assert!(
            complaint(&call(
                "insert",
                r#"'students', '{"fullName":"x","status":"away"}'"#
            ))
            .starts_with("TN403 status")
        );
        assert!(
            complaint(&call(
                "update",
                &format!(r#"'students', '{{{id}}}', '{{"fullName":"x"}}'"#)
            ))
            .starts_with("TN403 fullName")
        );
        assert_eq!(
            answer(&call(
                "update",
                &format!(r#"'students', '{{{id}}}', '{{"status":"away"}}'"#)
            ))["status"],
            "away"
        );
        assert!(
            complaint(&call(
                "insert",
                &format!(
                    r#"'students', '{{"fullName":"x","tenantId":"{}"}}'"#,
                    acme.id
                )
            ))
            .starts_with("TN403 tenantId")
        );
        let page = answer(&call(
            "list",
            r#"'students', '{"sort":"-fullName","filter":{"status":"away","fullName":{"like":"A%"}}}'"#,
        ));
        assert_eq!(page["data"][0]["fullName"], "Ada");
        // An index holds these, and they are not listed.
        assert!(
            complaint(&call("list", r#"'students', '{"filter":{"email":"x"}}'"#))
                .starts_with("TN402 email")
        );
        assert!(complaint(&call("list", r#"'students', '{"sort":"id"}'"#)).starts_with("TN402 id"));
    }

    #[pg_test]
    fn an_empty_list_lets_nothing_be_done() {
        let acme = school();
        run(
            "select tenancy.expose_table('school.students', insertable => '{}', updatable => '{}', filterable => '{}', sortable => '{}')",
        );
        become_app_of(&acme);
        run("insert into school.students (full_name) values ('Ada')");
        let row = answer(&call("list", "'students'"))["data"][0].clone();
        let id = id_of(&row);
        assert_eq!(
            complaint(&call("insert", "'students', '{}'")),
            "42501 : rows of students can't be added"
        );
        assert_eq!(outcome(&call("insert", "'students', '[{}]'")), "42501");
        assert_eq!(
            outcome(&call(
                "update",
                &format!(r#"'students', '{{{id}}}', '{{"fullName":"x"}}'"#)
            )),
            "42501"
        );
        assert_eq!(
            outcome(&call("list", r#"'students', '{"sort":"id"}'"#)),
            "TN402"
        );
        // To delete is a grant's to say.
        assert_eq!(
            answer(&call("delete", &format!("'students', '{{{id}}}'"))),
            row
        );
    }

    /// A key that is shown in part is none.
    #[pg_test]
    fn a_renamed_key_column_closes_the_resource() {
        let acme = tenant("acme");
        run("create table tests.things (a int, b int, primary key (a, b));
             select tenancy.isolate_table('tests.things'), tenancy.expose_table('tests.things', columns => '{a,b}');
             alter table tests.things rename column b to c");
        become_app_of(&acme);
        assert_eq!(outcome(&call("get", "'things', '{1}'")), "TN401");
        assert_eq!(outcome(&call("list", "'things'")), "TN401");
    }

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
}
