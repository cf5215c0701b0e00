//! What a list includes of the rows that its own refer to.

#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;
    use serde_json::{Value, json};

    use crate::tests::support::*;

    /// Two schools, each with two courses and four marks, one of which is of no course.
    fn schools() -> [Tenant; 2] {
        let schools = [tenant("acme"), tenant("globex")];
        run(
            "create schema school;
             create table school.levels (code text primary key, title text);
             insert into school.levels values ('a1', 'Beginners'), ('b2', 'Advanced');
             create table school.courses (id int primary key, title text, secret text);
             create table school.exams (number numeric primary key, title text);
             create table school.marks (id int primary key, course_id int references school.courses, exam numeric references school.exams,
                 level_id text references school.levels, other_course_id int references school.courses, room_id int, room text);
             create index on school.marks (course_id)",
        );
        run("select tenancy.share_table('school.levels');
             select tenancy.isolate_table('school.courses');
             select tenancy.isolate_table('school.exams');
             select tenancy.isolate_table('school.marks');
             grant select, insert, update, delete on school.courses, school.exams, school.marks to tenancy_app;
             grant select on school.levels to tenancy_app");
        for school in &schools {
            run(&format!(
                "insert into school.courses (tenant_id, id, title, secret) values ('{0}', 1, 'Maths of {0}', 's'), ('{0}', 2, 'Art', 's');
                 insert into school.exams (tenant_id, number, title) values ('{0}', 1.0, 'First');
                 insert into school.marks (tenant_id, id, course_id, exam, level_id)
                 values ('{0}', 1, 1, 1.00, 'a1'), ('{0}', 2, 2, null, 'b2'), ('{0}', 3, 1, 1, null), ('{0}', 4, null, null, null)",
                school.id
            ));
        }
        schools
    }

    fn expose() {
        run("select tenancy.expose_table('school.levels');
             select tenancy.expose_table('school.courses', columns => '{id,title}');
             select tenancy.expose_table('school.exams');
             select tenancy.expose_table('school.marks')");
    }

    fn of_resource(resource: &str, query: &Value) -> String {
        format!(
            "select tenancy.list_resource('{resource}', {})",
            pgrx::spi::quote_literal(query.to_string())
        )
    }

    fn one(resource: &str, id: &str, query: &Value) -> String {
        format!(
            "select tenancy.get_resource('{resource}', '{{{id}}}', {})",
            pgrx::spi::quote_literal(query.to_string())
        )
    }

    #[pg_test]
    fn a_list_includes_what_its_rows_refer_to() {
        let [acme, _] = schools();
        expose();
        become_app_of(&acme);
        let query = json!({"include": "course", "sort": "id", "fields": "id"});
        let maths = json!({"id": 1, "title": format!("Maths of {}", acme.id)});
        assert_eq!(
            answer(&of_resource("marks", &query))["data"],
            json!([
                {"id": 1, "course": maths},
                {"id": 2, "course": {"id": 2, "title": "Art"}},
                {"id": 3, "course": maths},
                {"id": 4, "course": null},
            ])
        );
        let query = json!({"include": "level,exams,course", "fields": "courseId,id"});
        let page = text(&format!("select ({})::text", one("marks", "3", &query)));
        let exam = format!(
            r#"{{"number":1.0,"title":"First","tenantId":"{}"}}"#,
            acme.id
        );
        assert_eq!(
            page,
            format!(r#"{{"courseId":1,"id":3,"level":null,"exams":{exam},"course":{maths}}}"#)
        );
        let query = json!({"include": "level", "fields": "id"});
        assert_eq!(
            answer(&one("marks", "1", &query)),
            json!({"id": 1, "level": {"code": "a1", "title": "Beginners"}})
        );
        assert_eq!(
            maybe(&format!("select ({})::text", one("marks", "9", &query))),
            None
        );
    }

    #[pg_test]
    fn a_walked_list_includes_as_well() {
        let [acme, _] = schools();
        expose();
        become_app_of(&acme);
        let mut query =
            json!({"include": "course", "sort": "courseId", "fields": "id", "limit": 1});
        let mut found = Vec::new();
        for _ in 0..4 {
            let page = answer(&of_resource("marks", &query));
            found.push(page["data"][0]["course"]["id"].clone());
            query["cursor"] = page["nextCursor"].clone();
        }
        assert_eq!(json!(found), json!([1, 1, 2, null]));
        assert_eq!(query["cursor"], Value::Null);
    }

    #[pg_test]
    fn what_can_be_included_is_what_is_served_and_has_a_name() {
        let [acme, _] = schools();
        run(
            "alter table school.marks add constraint room foreign key (tenant_id, room_id) references school.courses (tenant_id, id)",
        );
        expose();
        // "room" is a column, "otherCourse" is not.
        run(&format!(
            "update school.marks set other_course_id = 2 where tenant_id = '{}'",
            acme.id
        ));
        let described = || {
            let marks = text(
                "select (r -> 'includes')::text from json_array_elements(tenancy.resources() -> 'resources') as r
                 where r ->> 'name' = 'marks'",
            );
            let includes: Value = serde_json::from_str(&marks).expect("JSON");
            let names = includes.as_array().expect("a list").iter();
            let mut names: Vec<String> = names
                .map(|include| include["name"].as_str().expect("a name").to_owned())
                .collect();
            names.sort();
            names
        };
        let tried = || {
            let names = [
                "course",
                "otherCourse",
                "exams",
                "exam",
                "level",
                "room",
                "courses",
                "tenant",
            ];
            let works =
                |name: &&&str| outcome(&of_resource("marks", &json!({"include": name}))) == "00000";
            let mut names: Vec<String> = names
                .iter()
                .filter(works)
                .map(|n| (*n).to_owned())
                .collect();
            names.sort();
            names
        };
        become_app_of(&acme);
        let all = ["course", "exams", "level", "otherCourse"];
        assert_eq!(tried(), all);
        assert_eq!(described(), all);
        assert_eq!(
            answer(&of_resource(
                "marks",
                &json!({"include": "otherCourse", "limit": 1})
            ))["data"][0]["otherCourse"]["title"],
            "Art"
        );
        let said = complaint(&of_resource("marks", &json!({"include": "course,room"})));
        assert_eq!(said, "TN402 include: \"room\" can't be included in marks");
        become_dba();
        run("select tenancy.expose_table('school.marks', 'grades')");
        become_app_of(&acme);
        let said = complaint(&of_resource("grades", &json!({"include": "room"})));
        assert_eq!(said, "TN402 include: \"room\" can't be included in grades");
        for (include, begins) in [
            ("course,course", "TN406 include"),
            ("", "TN402 include"),
            ("course,", "TN402 include"),
            ("courseId", "TN402 include"),
        ] {
            let said = complaint(&of_resource("marks", &json!({"include": include})));
            assert!(said.starts_with(begins), "{include}: {said}");
        }

        // What is hidden, or not the role's to read, is not offered.
        become_dba();
        run("select tenancy.hide_table('exams'); revoke select on school.levels from tenancy_app");
        become_app_of(&acme);
        assert_eq!(tried(), ["course", "otherCourse"]);
        assert_eq!(described(), ["course", "otherCourse"]);
        become_dba();
        run("select tenancy.expose_table('school.marks', columns => '{id,course_id}')");
        become_app_of(&acme);
        assert_eq!(tried(), ["course"]);
        assert_eq!(described(), ["course"]);
    }

    #[pg_test]
    fn a_table_that_is_not_exposed_is_included_in_sql_alone() {
        let [acme, _] = schools();
        become_app_of(&acme);
        let query = json!({"include": "course", "fields": "id", "sort": "id", "limit": 1});
        assert_eq!(
            list("school.marks", &query)["data"][0]["course"]["secret"],
            "s"
        );
        let task = acme.project;
        become_dba();
        run(&format!(
            "insert into tenancy.tasks (tenant_id, title, project_id, assignee_id) values ('{}', 'x', '{task}', '{}')",
            acme.id, acme.owner
        ));
        become_app_of(&acme);
        let query = json!({"include": "project,assignee", "fields": "title"});
        let row = list("tenancy.tasks", &query)["data"][0].clone();
        assert_eq!(row["project"]["title"], "Getting Started");
        assert_eq!(row["assignee"]["userId"], json!(acme.owner));
        // Members have routes of their own: they are no resource.
        assert_eq!(
            outcome(&of_resource("tasks", &json!({"include": "assignee"}))),
            "TN402"
        );
        assert_eq!(
            outcome(&of_resource("tasks", &json!({"include": "project"}))),
            "00000"
        );
    }

    #[pg_test]
    fn what_a_policy_hides_is_null() {
        let [acme, _] = schools();
        expose();
        run(
            "create policy no_maths on school.courses as restrictive for select to tenancy_app using (id <> 1)",
        );
        become_app_of(&acme);
        let query = json!({"include": "course", "fields": "courseId", "sort": "id"});
        let page = answer(&of_resource("marks", &query));
        assert_eq!(page["data"][0], json!({"courseId": 1, "course": null}));
        assert_eq!(page["data"][1]["course"]["title"], "Art");
    }

    /// One statement for each reference, however many rows.
    #[pg_test]
    fn a_page_reads_what_it_includes_once() {
        let [acme, _] = schools();
        expose();
        run(&format!(
            "insert into school.marks (tenant_id, id, course_id)
             select '{}', n, 1 + n % 2 from generate_series(100, 180) as n",
            acme.id
        ));
        become_app_of(&acme);
        let scans = || {
            number(
                "select (idx_scan + seq_scan)::bigint from pg_stat_xact_user_tables
                 where schemaname = 'school' and relname = 'courses'",
            )
        };
        let query = of_resource("marks", &json!({"include": "course", "limit": 100}));
        run(&query);
        let before = scans();
        let page = answer(&query);
        assert_eq!(page["data"].as_array().map(Vec::len), Some(85));
        // An index is looked into once for each id.
        let number = scans() - before;
        assert!((1..=2).contains(&number), "{number}");
    }

    /// Names are quoted, in SQL and in JSON.
    #[pg_test]
    fn odd_names_are_only_names() {
        let acme = tenant("acme");
        run(r#"create schema odd;
               create table odd."x""; drop table t; --" (id int primary key, t text);
               create table odd.refers (id int primary key, "a""b'Id" int references odd."x""; drop table t; --")"#);
        run(
            r#"select tenancy.isolate_table('odd."x""; drop table t; --"');
               select tenancy.isolate_table('odd.refers');
               select tenancy.expose_table('odd."x""; drop table t; --"', 'things');
               select tenancy.expose_table('odd.refers', 'refers');
               grant select on odd."x""; drop table t; --", odd.refers to tenancy_app"#,
        );
        run(&format!(
            r#"insert into odd."x""; drop table t; --" (tenant_id, id, t) values ('{0}', 1, 'x');
               insert into odd.refers (tenant_id, id, "a""b'Id") values ('{0}', 1, 1)"#,
            acme.id
        ));
        become_app_of(&acme);
        let query = json!({"include": "a\"b'", "fields": "id"});
        let page = answer(&of_resource("refers", &query));
        assert_eq!(page["data"][0]["a\"b'"]["t"], "x");
    }
}
