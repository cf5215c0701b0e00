//! tenancy.resources(): what a service is told.

#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;
    use serde_json::{Value, json};

    use crate::tests::exposed::school;
    use crate::tests::resources::call;
    use crate::tests::support::*;

    fn told() -> Vec<Value> {
        let all = answer("select tenancy.resources()");
        all["resources"].as_array().expect("resources").clone()
    }

    fn resource(name: &str) -> Value {
        let all = told();
        let mut found = all.into_iter().filter(|resource| resource["name"] == name);
        let resource = found.next().unwrap_or_else(|| panic!("no {name}"));
        assert_eq!(found.next(), None);
        resource
    }

    fn field(resource: &Value, name: &str) -> Value {
        let fields = resource["fields"].as_array().expect("fields");
        let mut found = fields.iter().filter(|field| field["name"] == name);
        found
            .next()
            .unwrap_or_else(|| panic!("no {name}: {resource}"))
            .clone()
    }

    #[pg_test]
    fn tasks_and_projects_are_there_by_themselves() {
        take_turn();
        become_role("tenancy_app");
        let names: Vec<Value> = told()
            .iter()
            .map(|resource| resource["name"].clone())
            .collect();
        assert_eq!(names, ["projects", "tasks"]);
        let tasks = resource("tasks");
        assert_eq!(
            (&tasks["kind"], &tasks["key"], &tasks["isWritable"]),
            (&json!("table"), &json!(["id"]), &json!(true))
        );
        assert_eq!(tasks["comment"], "A tenant's tasks.");
        assert_eq!(
            tasks["includes"],
            json!([{"name": "project", "resource": "projects", "field": "projectId"}])
        );
        assert_eq!(
            field(&tasks, "status"),
            json!({
                "name": "status", "column": "status", "type": "text", "elementType": null, "isNullable": false, "hasDefault": true,
                "isInsertable": true, "isUpdatable": true, "isFilterable": true, "isSortable": true,
                "maxLength": null, "choices": ["todo", "in_progress", "done"], "comment": "todo, in_progress or done.",
            })
        );
        let created = field(&tasks, "createdAt");
        assert_eq!(
            (
                &created["type"],
                &created["isInsertable"],
                &created["isFilterable"]
            ),
            (&json!("timestamptz"), &json!(false), &json!(false))
        );
        let tenant = field(&tasks, "tenantId");
        assert_eq!(
            (&tenant["isInsertable"], &tenant["isFilterable"]),
            (&json!(false), &json!(false))
        );
    }

    #[pg_test]
    fn a_version_stays_while_nothing_changes() {
        school();
        become_role("tenancy_app");
        let all = answer("select tenancy.resources('another')");
        let version = all["version"].as_str().expect("a version").to_owned();
        let again = format!("select tenancy.resources('{version}')::text");
        assert_eq!(maybe(&again), None);
        for change in [
            "select tenancy.expose_table('school.students')",
            "comment on column school.students.email is 'Where to write to.'",
            "alter table school.students add nickname text",
            "create index on school.students (nickname)",
            "revoke delete, insert on school.students from tenancy_app",
            "select tenancy.expose_table('school.students', columns => '{id}')",
        ] {
            let before = answer("select tenancy.resources()")["version"].clone();
            run("reset role");
            run(change);
            become_role("tenancy_app");
            assert_ne!(
                answer("select tenancy.resources()")["version"],
                before,
                "{change}"
            );
        }
    }

    /// A service's prepared question has a plan that is kept, as this function's has.
    #[pg_test]
    fn a_plan_that_is_kept_tells_of_every_change_and_to_each_role_what_it_may() {
        school();
        run("set local plan_cache_mode = force_generic_plan");
        run(
            "create function school.newer(known text) returns text language plpgsql as $$
            begin
                return (select r.resources from tenancy.newer_resources(known) as r (resources));
            end $$",
        );
        let newer = |known: &str| maybe(&format!("select school.newer('{known}')"));
        let version = |known: &str| {
            let all = newer(known).unwrap_or_else(|| panic!("none newer than {known}"));
            let all: Value = serde_json::from_str(&all).expect("JSON");
            all["version"].as_str().expect("a version").to_owned()
        };
        become_role("tenancy_app");
        let mut known = version("none");
        for change in [
            "select tenancy.expose_table('school.students')",
            "alter table school.students add nickname text",
            "revoke select on school.students from tenancy_app",
        ] {
            assert_eq!(newer(&known), None);
            run("reset role");
            run(change);
            become_role("tenancy_app");
            let told = answer("select tenancy.resources()");
            known = version(&known);
            assert_eq!(told["version"], *known, "{change}");
        }
        let has_students = || newer("none").is_some_and(|all| all.contains("students"));
        assert!(!has_students());
        run("reset role");
        assert!(has_students());
        run("create role stranger; grant usage on schema school to stranger");
        become_role("stranger");
        assert_eq!(outcome("select school.newer('none')"), "42501");
    }

    #[pg_test]
    fn fields_are_told_with_their_types() {
        let acme = school();
        run(r#"create domain school.short as varchar(3);
               create domain school.shorter as school.short not null check (value <> '');
               create domain school.small as int check (value < 100);
               create domain school.smaller as school.small check (value < 10);
               create type school.mood as enum ('sad', 'o''k');
               create table school.kinds (id bigint generated always as identity primary key,
                   code school.shorter default 'x', level school.smaller, mood school.mood, moods school.mood[], tags text[], amounts numeric(4,2)[],
                   at timestamptz, fixed char(2), size text check (size in ('s', 'it''s', 'a, ''b''::text')), place point,
                   "o'clock" text constraint odd check ("o'clock" = any (array['a', 'b'])), free text check (free <> 'x'), span int4range);
               select tenancy.isolate_table('school.kinds'), tenancy.expose_table('school.kinds', sortable => '{place,mood,span,id}')"#);
        become_app_of(&acme);
        let kinds = resource("kinds");
        for (name, key, expected) in [
            ("code", "type", json!("varchar")),
            ("code", "maxLength", json!(3)),
            ("code", "isNullable", json!(false)),
            ("code", "hasDefault", json!(true)),
            ("level", "type", json!("int4")),
            ("id", "type", json!("int8")),
            ("id", "hasDefault", json!(true)),
            ("id", "isInsertable", json!(false)),
            ("mood", "type", json!("mood")),
            ("mood", "choices", json!(["sad", "o'k"])),
            ("mood", "isSortable", json!(true)),
            ("span", "isSortable", json!(true)),
            ("place", "isSortable", json!(false)),
            ("moods", "type", json!("array")),
            ("moods", "elementType", json!("mood")),
            ("tags", "elementType", json!("text")),
            ("amounts", "elementType", json!("numeric")),
            ("fixed", "maxLength", json!(2)),
            ("size", "choices", json!(["s", "it's", "a, 'b'::text"])),
            ("o'clock", "choices", json!(["a", "b"])),
            ("free", "choices", Value::Null),
        ] {
            assert_eq!(field(&kinds, name)[key], expected, "{name} {key}");
        }
        assert!(
            complaint(&call("list", r#"'kinds', '{"sort":"place"}'"#)).starts_with("TN402 place")
        );
        assert_eq!(
            outcome(&call("list", r#"'kinds', '{"sort":"mood,span"}'"#)),
            "00000"
        );
    }

    /// What is told of a field is what the row functions do with it.
    #[pg_test]
    fn what_is_told_is_what_is_done() {
        let acme = school();
        run("create view school.names with (security_invoker) as select id, tenant_id, full_name, status from school.students;
             grant select, insert, update on school.names to tenancy_app;
             select tenancy.share_table('school.countries'), tenancy.expose_table('school.countries'),
                tenancy.expose_table('school.names', key => '{id}', updatable => '{status}', filterable => '{full_name}'),
                tenancy.expose_table('school.students', updatable => '{email}', sortable => '{full_name}'),
                tenancy.expose_table('school.students', 'pupils', columns => '{id,tenant_id,full_name,class_id}'),
                tenancy.expose_table('school.classes');
             revoke insert on school.classes from tenancy_app;
             grant insert (id) on school.classes to tenancy_app");
        become_app_of(&acme);
        let mut looked_at = 0;
        for resource in told() {
            let name = resource["name"].as_str().expect("a name");
            for field in resource["fields"].as_array().expect("fields") {
                let of = field["name"].as_str().expect("a name");
                let can = |deed: String| {
                    !complaint_or_none(&deed).is_some_and(|said| {
                        ["TN402", "TN403", "42501"]
                            .iter()
                            .any(|code| said.starts_with(code))
                    })
                };
                let id = "array['0190ab12-3456-7890-abcd-ef0123456789']";
                for (key, deed) in [
                    (
                        "isFilterable",
                        call(
                            "list",
                            &format!(r#"'{name}', '{{"filter":{{"{of}":{{"is":"null"}}}}}}'"#),
                        ),
                    ),
                    (
                        "isSortable",
                        call("list", &format!(r#"'{name}', '{{"sort":"{of}"}}'"#)),
                    ),
                    (
                        "isInsertable",
                        call("insert", &format!(r#"'{name}', '{{"{of}":null}}'"#)),
                    ),
                    (
                        "isUpdatable",
                        call("update", &format!(r#"'{name}', {id}, '{{"{of}":null}}'"#)),
                    ),
                ] {
                    assert_eq!(field[key], can(deed.clone()), "{deed}");
                    looked_at += 1;
                }
            }
        }
        assert!(looked_at > 100, "{looked_at}");
        let [countries, names, pupils] = ["countries", "names", "pupils"].map(resource);
        assert_eq!(
            (
                &countries["kind"],
                &countries["isWritable"],
                &countries["key"]
            ),
            (&json!("shared"), &json!(false), &json!(["code"]))
        );
        assert_eq!(
            (&names["kind"], &names["isWritable"], &names["key"]),
            (&json!("view"), &json!(true), &json!(["id"]))
        );
        assert_eq!(
            pupils["includes"],
            json!([{"name": "class", "resource": "classes", "field": "classId"}])
        );
    }

    fn complaint_or_none(sql: &str) -> Option<String> {
        Spi::get_one_with_args::<String>("select tests.complaint($1)", &[sql.into()])
            .expect("an answer")
    }

    #[pg_test]
    fn a_role_is_told_of_what_it_may_read() {
        school();
        run("select tenancy.expose_table('school.students'), tenancy.expose_table('school.classes');
             create role reading in role tenancy_app;
             revoke select on school.classes from tenancy_app;
             revoke select on school.students from tenancy_app;
             grant select (full_name) on school.students to tenancy_app;
             grant select (id) on school.students to reading");
        become_role("tenancy_app");
        let names = |all: Vec<Value>| {
            all.iter()
                .map(|one| one["name"].clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(names(told()), ["projects", "tasks"]);
        run("reset role");
        become_role("reading");
        assert_eq!(names(told()), ["projects", "students", "tasks"]);
        assert_eq!(
            resource("students")["fields"].as_array().map(Vec::len),
            Some(2)
        );
        run("reset role");
        become_role("tenancy_authenticator");
        assert_eq!(outcome("select tenancy.resources()"), "42501");
    }
}
