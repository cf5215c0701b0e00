//! The row functions by the name of a resource.

use serde_json::Value;

use crate::tests::exposed::school;
use crate::tests::support::*;

/// A call of a row function on `students`, or on what it names.
pub fn call(deed: &str, arguments: &str) -> String {
    format!("select tenancy.{deed}_resource({arguments})")
}

/// The entity tag of a row as JSON writes it.
pub fn tag(row: &str) -> String {
    text(&format!(
        "select rtrim(translate(encode(substr(sha256(convert_to({}, 'UTF8')), 1, 16), 'base64'), '+/', '-_'), '=')",
        pgrx::spi::quote_literal(row)
    ))
}

pub fn id_of(row: &Value) -> String {
    row["id"].as_str().expect("an id").to_owned()
}

/// `students` is exposed, and Acme has entered.
pub fn students() -> Tenant {
    let acme = school();
    run("select tenancy.expose_table('school.students')");
    become_app_of(&acme);
    acme
}

#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;
    use serde_json::json;

    use super::*;

    #[pg_test]
    fn a_row_comes_and_goes_by_the_resources_name() {
        let acme = students();
        let made = answer(&call("insert", r#"'students', '{"fullName":"Ada"}'"#));
        assert_eq!(made["tenantId"], json!(acme.id));
        assert_eq!(made["twice"], 6);
        let id = id_of(&made);
        assert_eq!(
            answer(&call("get", &format!("'students', '{{{id}}}'"))),
            made
        );
        let part = text(&format!(
            r#"select tenancy.get_resource('students', '{{{id}}}', '{{"fields":"fullName,id"}}')::text"#
        ));
        assert_eq!(part, format!(r#"{{"fullName":"Ada","id":"{id}"}}"#));
        let changed = answer(&call(
            "update",
            &format!(r#"'students', '{{{id}}}', '{{"fullName":"Bo"}}'"#),
        ));
        assert_eq!(changed["fullName"], "Bo");
        let page = answer(&call("list", r#"'students', '{"count":"exact"}'"#));
        assert_eq!(
            page,
            json!({"data": [changed], "page": 1, "limit": 20, "total": 1})
        );
        assert_eq!(
            answer(&call("delete", &format!("'students', '{{{id}}}'"))),
            changed
        );
        for gone in [
            format!("select tenancy.get_resource('students', '{{{id}}}')::text"),
            format!(
                r#"select tenancy.update_resource('students', '{{{id}}}', '{{"fullName":"x"}}')::text"#
            ),
            format!("select tenancy.delete_resource('students', '{{{id}}}', '{{*}}')::text"),
        ] {
            assert_eq!(maybe(&gone), None, "{gone}");
        }
    }

    #[pg_test]
    fn another_tenants_row_of_a_resource_is_as_if_it_were_not() {
        let acme = students();
        let ada = id_of(&answer(&call(
            "insert",
            r#"'students', '{"fullName":"Ada"}'"#,
        )));
        become_dba();
        let globex = tenant("globex");
        become_app_of(&globex);
        for theirs in [
            format!("select tenancy.get_resource('students', '{{{ada}}}')::text"),
            format!(
                r#"select tenancy.update_resource('students', '{{{ada}}}', '{{"fullName":"x"}}')::text"#
            ),
            format!(
                r#"select tenancy.update_resource('students', '{{{ada}}}', '{{"fullName":"x"}}', '{{x}}')::text"#
            ),
            format!("select tenancy.delete_resource('students', '{{{ada}}}')::text"),
            format!("select tenancy.delete_resource('students', '{{{ada}}}', '{{x}}')::text"),
        ] {
            assert_eq!(maybe(&theirs), None, "{theirs}");
        }
        assert_eq!(answer(&call("list", "'students'"))["data"], json!([]));
        become_dba();
        become_app_of(&acme);
        assert_eq!(
            answer(&call("list", "'students'"))["data"][0]["fullName"],
            "Ada"
        );
    }

    /// Whatever there is behind the name: the words are the same.
    #[pg_test]
    fn what_is_not_served_is_unknown() {
        let acme = students();
        become_dba();
        run("create role stranger in role tenancy_app;
             create table tests.mine (tenant_id uuid, id int, primary key (tenant_id, id));
             select tenancy.isolate_table('tests.mine'), tenancy.expose_table('tests.mine'), tenancy.hide_table('projects');
             revoke all on tests.mine from tenancy_app");
        become_app_of(&acme);
        for name in [
            "mine",
            "projects",
            "nothing",
            "school.students",
            "Students",
            "",
            "'' or true --",
        ] {
            for (deed, more) in [
                ("list", ""),
                ("get", ", '{1}'"),
                ("insert", ", '{}'"),
                ("update", ", '{1}', '{}'"),
                ("delete", ", '{1}'"),
            ] {
                let said = complaint(&call(deed, &format!("'{name}'{more}")));
                let shown = name.replace("''", "'");
                assert_eq!(
                    said,
                    format!("TN401 : there is no resource \"{shown}\""),
                    "{deed}"
                );
            }
        }
        assert_eq!(maybe("select tenancy.list_resource(null)::text"), None);
        assert_eq!(
            maybe("select tenancy.update_resource('students', null, '{}')::text"),
            None
        );
        assert_eq!(
            maybe("select tenancy.delete_resource(null, '{1}')::text"),
            None
        );
    }

    #[pg_test]
    fn without_a_context_no_resource_is_told_of() {
        students();
        become_dba();
        become_role("tenancy_app");
        for arguments in ["'students'", "'nothing'"] {
            assert_eq!(outcome(&call("list", arguments)), "TN001");
        }
    }

    /// No query asks the registry again, and yet a change is seen at once.
    #[pg_test]
    fn a_changed_registry_is_seen_at_once() {
        let acme = students();
        let made = answer(&call("insert", r#"'students', '{"fullName":"Ada"}'"#));
        assert!(made.get("email").is_some());
        run("reset role; select set_config('pg_tenancy.context', '', true)");
        run("select tenancy.expose_table('school.students', columns => '{id,full_name}')");
        become_app_of(&acme);
        assert_eq!(
            answer(&call("list", "'students'"))["data"][0],
            json!({"id": made["id"], "fullName": "Ada"})
        );
        become_dba();
        run("alter table school.students rename to pupils");
        become_app_of(&acme);
        assert_eq!(
            answer(&call("list", "'students'"))["data"]
                .as_array()
                .map(Vec::len),
            Some(1)
        );
        // A column of another name is not among those that are shown.
        become_dba();
        run("alter table school.pupils rename column full_name to name");
        become_app_of(&acme);
        assert_eq!(
            answer(&call("list", "'students'"))["data"][0],
            json!({"id": made["id"]})
        );
        become_dba();
        run("select tenancy.release_table('school.pupils')");
        run("grant select on school.pupils to tenancy_app");
        become_app_of(&acme);
        assert_eq!(outcome(&call("list", "'students'")), "TN401");
        become_dba();
        run("drop table school.pupils");
        become_app_of(&acme);
        assert_eq!(outcome(&call("list", "'students'")), "TN401");
    }

    /// What stands first in the caller's path is nothing to the service.
    #[pg_test]
    fn a_table_of_the_same_name_is_not_mistaken_for_it() {
        let acme = tenant("acme");
        acme.task("ours");
        become_app_of(&acme);
        run(
            "create temporary table tasks (tenant_id uuid, id uuid, title text) on commit drop;
             create temporary table exposed_resources (resource text) on commit drop;
             set local search_path = pg_temp, tenancy, pg_catalog",
        );
        assert_eq!(answer(&call("list", "'tasks'"))["data"][0]["title"], "ours");
    }

    #[pg_test]
    fn an_id_has_as_many_parts_as_the_key() {
        let acme = tenant("acme");
        run(
            r#"create table tests."o'clock; drop" (b int, "A ""a""" text, note text, primary key ("A ""a""", b));
               select tenancy.isolate_table('tests."o''clock; drop"'), tenancy.expose_table('tests."o''clock; drop"', 'clocks')"#,
        );
        become_app_of(&acme);
        let made = answer(&call(
            "insert",
            r#"'clocks', '{"A \"a\"":"x,{y}''\"","b":-7}'"#,
        ));
        let id = r#"array['x,{y}''"', '-7']"#;
        assert_eq!(answer(&call("get", &format!("'clocks', {id}"))), made);
        // As PostgreSQL stores it, with a shorter head.
        let stored = format!("with ids as materialized (select {id} as id)");
        let get = "select tenancy.get_resource('clocks', id)::text from ids";
        assert_eq!(answer(&format!("{stored} {get}")), made);
        let changed = answer(&call(
            "update",
            &format!(r#"'clocks', {id}, '{{"note":"n"}}', '{{*}}'"#),
        ));
        assert_eq!(changed["note"], "n");
        assert_eq!(answer(&call("delete", &format!("'clocks', {id}"))), changed);
        for wrong in [
            "'{}'",
            "'{x}'",
            "'{x,1,2}'",
            "'{x,NULL}'",
            "'{x,y}'",
            "'{{x,1,2},{x,1,2}}'",
        ] {
            let said = complaint(&call("get", &format!("'clocks', {wrong}")));
            assert!(said.starts_with("TN405 "), "{wrong}: {said}");
        }
        assert_eq!(
            complaint(&call("delete", "'clocks', '{x}'")),
            "TN405 : an id has 2 parts"
        );
    }

    #[pg_test]
    fn a_partitioned_table_is_one_resource() {
        let acme = tenant("acme");
        run("create table tests.events (id int, at date, note text, primary key (id, at)) partition by range (at);
             create table tests.events_2026 partition of tests.events for values from ('2026-01-01') to ('2027-01-01');
             create table tests.events_2027 partition of tests.events for values from ('2027-01-01') to ('2028-01-01');
             select tenancy.isolate_table('tests.events'), tenancy.expose_table('tests.events')");
        become_app_of(&acme);
        answer(&call(
            "insert",
            r#"'events', '[{"id":1,"at":"2026-05-05"},{"id":2,"at":"2027-05-05"}]'"#,
        ));
        let moved = answer(&call(
            "update",
            r#"'events', '{1,2026-05-05}', '{"at":"2027-06-06","note":"later"}', '{*}'"#,
        ));
        assert_eq!(moved["at"], "2027-06-06");
        assert_eq!(
            answer(&call("list", r#"'events', '{"count":"exact"}'"#))["total"],
            2
        );
        assert_eq!(
            outcome(&call("delete", "'events', '{1,2027-06-06}', '{*}'")),
            "00000"
        );
    }
}
