//! What the DBA leaves out of a resource isn't there.

#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;

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
}
