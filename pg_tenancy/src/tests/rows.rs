//! The row functions, on the tables that we ship.

#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;
    use serde_json::{Value, json};

    use crate::tests::support::*;

    fn insert(fields: &str) -> String {
        format!("select tenancy.insert_row('tenancy.tasks', '{fields}')")
    }

    fn list(query: &str) -> String {
        format!("select tenancy.list_rows('tenancy.tasks', '{query}')")
    }

    fn titles(query: &str) -> Vec<String> {
        let page = answer(&list(query));
        let rows = page["data"].as_array().expect("rows");
        rows.iter()
            .map(|row| row["title"].as_str().expect("a title").to_owned())
            .collect()
    }

    #[pg_test]
    fn a_row_comes_and_goes() {
        let acme = tenant("acme");
        become_app_of(&acme);
        let made = answer(&insert(&format!(
            r#"{{"title":"one","projectId":"{}","description":"a \"quoted\"\\n line"}}"#,
            acme.project
        )));
        assert_eq!(made["title"], "one");
        assert_eq!(made["status"], "todo");
        assert_eq!(made["tenantId"], json!(acme.id));
        assert_eq!(made["projectId"], json!(acme.project));
        assert_eq!(made["assigneeId"], Value::Null);
        let id = made["id"].as_str().expect("an id");

        assert_eq!(
            answer(&format!("select tenancy.get_row('tenancy.tasks', '{id}')")),
            made
        );
        let changed = answer(&format!(
            r#"select tenancy.update_row('tenancy.tasks', '{id}', '{{"description":null,"status":"done"}}')"#
        ));
        assert_eq!(changed["description"], Value::Null);
        assert_eq!(changed["status"], "done");
        assert_eq!(changed["title"], "one");
        let upper = id.to_uppercase();
        assert_eq!(
            answer(&format!(
                "select tenancy.delete_row('tenancy.tasks', '{upper}')"
            )),
            changed
        );
        for call in [
            format!("select tenancy.get_row('tenancy.tasks', '{id}')"),
            format!("select tenancy.update_row('tenancy.tasks', '{id}', '{{\"title\":\"x\"}}')"),
            format!("select tenancy.delete_row('tenancy.tasks', '{id}')"),
        ] {
            assert_eq!(
                maybe(
                    &call
                        .replacen("select ", "select (", 1)
                        .replacen("')", "'))::text", 1)
                ),
                None,
                "{call}"
            );
        }
    }

    #[pg_test]
    fn another_tenants_row_is_as_if_it_were_not() {
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        let theirs = globex.task("theirs");
        become_app_of(&acme);
        assert_eq!(
            maybe(&format!(
                "select tenancy.get_row('tenancy.tasks', '{theirs}')::text"
            )),
            None
        );
        assert_eq!(
            maybe(&format!(
                "select tenancy.update_row('tenancy.tasks', '{theirs}', '{{\"title\":\"x\"}}')::text"
            )),
            None
        );
        assert_eq!(
            maybe(&format!(
                "select tenancy.delete_row('tenancy.tasks', '{theirs}')::text"
            )),
            None
        );
        assert_eq!(titles("{}"), Vec::<String>::new());
        run("reset role");
        assert_eq!(text("select title from tenancy.tasks"), "theirs");
    }

    #[pg_test]
    fn without_a_context_the_error_keeps_its_code() {
        become_role("tenancy_app");
        assert_eq!(outcome(&list("{}")), "TN001");
        assert_eq!(outcome(&insert(r#"{"title":"x"}"#)), "TN001");
    }

    #[pg_test]
    fn a_list_is_newest_first_in_pages() {
        let acme = tenant("acme");
        become_app_of(&acme);
        for number in 1..=25 {
            run(&insert(&format!(r#"{{"title":"{number}"}}"#)));
        }
        let page = answer(&list("{}"));
        assert_eq!(
            (page["page"].clone(), page["limit"].clone()),
            (json!(1), json!(20))
        );
        assert_eq!(page.get("total"), None);
        assert_eq!(page["data"].as_array().map(Vec::len), Some(20));
        assert_eq!(titles(r#"{"limit":"3"}"#), ["25", "24", "23"]);
        assert_eq!(titles(r#"{"limit":3,"page":"2"}"#), ["22", "21", "20"]);
        assert_eq!(titles(r#"{"limit":"10","page":"3"}"#).len(), 5);
        assert_eq!(titles(r#"{"page":"1000000"}"#).len(), 0);
        assert_eq!(
            answer(&list(r#"{"limit":"1","count":"exact"}"#))["total"],
            25
        );
    }

    #[pg_test]
    fn a_list_is_filtered_by_what_an_index_holds() {
        let acme = tenant("acme");
        become_app_of(&acme);
        run(&insert(&format!(
            r#"{{"title":"a","projectId":"{}"}}"#,
            acme.project
        )));
        run(&insert(&format!(
            r#"{{"title":"b","projectId":"{}","status":"done"}}"#,
            acme.project
        )));
        run(&insert(r#"{"title":"c","status":"done"}"#));
        let project = acme.project;
        assert_eq!(
            titles(&format!(r#"{{"filter":{{"projectId":"{project}"}}}}"#)),
            ["b", "a"]
        );
        assert_eq!(titles(r#"{"filter":{"status":"done"}}"#), ["c", "b"]);
        assert_eq!(
            titles(&format!(
                r#"{{"filter":{{"status":"done","projectId":"{project}"}}}}"#
            )),
            ["b"]
        );
        assert_eq!(
            answer(&list(
                r#"{"filter":{"status":"done"},"limit":"1","count":"exact"}"#
            ))["total"],
            2
        );
        assert_eq!(
            titles(r#"{"filter":{"status":"'' or true --"}}"#),
            Vec::<String>::new()
        );
    }

    #[pg_test]
    fn a_bad_query_is_refused_with_its_name() {
        let acme = tenant("acme");
        become_app_of(&acme);
        for (query, expected) in [
            ("[]", "TN405 "),
            ("{", "22P02 "),
            (r#"{"page":"0"}"#, "TN406 page"),
            (r#"{"page":"-1"}"#, "TN406 page"),
            (r#"{"page":"1.5"}"#, "TN406 page"),
            (r#"{"page":""}"#, "TN406 page"),
            (r#"{"page":"1000001"}"#, "TN406 page"),
            (r#"{"page":"99999999999999999999"}"#, "TN406 page"),
            (r#"{"limit":"0"}"#, "TN406 limit"),
            (r#"{"limit":"101"}"#, "TN406 limit"),
            (r#"{"count":"all"}"#, "TN406 count"),
            (r#"{"page":"1","page":"2"}"#, "TN405 page"),
            (r#"{"filter":{"title":"x"}}"#, "TN402 title"),
            (r#"{"filter":{"tenantId":"x"}}"#, "TN402 tenantId"),
            (r#"{"filter":{"nonsense":"x"}}"#, "TN402 nonsense"),
            (r#"{"filter":{"projectId":"x"}}"#, "TN405 projectId"),
            (r#"{"filter":{"projectId":""}}"#, "TN405 projectId"),
            (r#"{"filter":{"status":"\u0000"}}"#, "TN405 status"),
            (r#"{"filter":"x"}"#, "TN405 "),
        ] {
            let said = complaint(&list(query));
            assert!(
                said.starts_with(&format!("{expected}: ")),
                "{query}: {said}"
            );
        }
    }

    #[pg_test]
    fn a_bad_row_is_refused_with_its_field() {
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        let task = acme.task("ours");
        become_app_of(&acme);
        let both: Vec<(String, &str)> = vec![
            ("[]".into(), "TN405 "),
            ("null".into(), "TN405 "),
            ("\"title\"".into(), "TN405 "),
            (r#"{"title":5}"#.into(), "TN405 title"),
            (r#"{"title":{}}"#.into(), "TN405 title"),
            (r#"{"title":true}"#.into(), "TN405 title"),
            (r#"{"title":"a\u0000b"}"#.into(), "TN405 title"),
            (r#"{"title":null}"#.into(), "TN410 title"),
            (r#"{"title":""}"#.into(), "TN410 title"),
            (
                format!(r#"{{"title":"{}"}}"#, "x".repeat(300)),
                "TN410 title",
            ),
            (r#"{"title":"x","title":"y"}"#.into(), "TN405 title"),
            (r#"{"title":"x","status":"later"}"#.into(), "TN410 status"),
            (r#"{"title":"x","status":null}"#.into(), "TN410 status"),
            (r#"{"title":"x","projectId":"x"}"#.into(), "TN405 projectId"),
            (r#"{"title":"x","projectId":7}"#.into(), "TN405 projectId"),
            (
                format!(r#"{{"title":"x","projectId":"{{{}}}"}}"#, acme.project),
                "TN405 projectId",
            ),
            (
                format!(r#"{{"title":"x","projectId":"{}"}}"#, globex.project),
                "TN411 projectId",
            ),
            (
                format!(r#"{{"title":"x","assigneeId":"{}"}}"#, globex.owner),
                "TN411 assigneeId",
            ),
            (
                format!(r#"{{"title":"x","tenantId":"{}"}}"#, acme.id),
                "TN403 tenantId",
            ),
            (
                r#"{"title":"x","createdAt":"2026-01-01"}"#.into(),
                "TN403 createdAt",
            ),
            (r#"{"title":"x","id":"x"}"#.into(), "TN403 id"),
            (
                r#"{"title":"x","project_id":null}"#.into(),
                "TN402 project_id",
            ),
            (r#"{"title":"x","nonsense":1}"#.into(), "TN402 nonsense"),
        ];
        for (fields, expected) in both {
            for call in [
                insert(&fields),
                format!("select tenancy.update_row('tenancy.tasks', '{task}', '{fields}')"),
            ] {
                let said = complaint(&call);
                assert!(said.starts_with(&format!("{expected}: ")), "{call}: {said}");
            }
        }
        assert_eq!(
            complaint(&insert("{}")),
            "TN410 title: \"title\" is required"
        );
        let nothing = format!("select tenancy.update_row('tenancy.tasks', '{task}', '{{}}')");
        assert!(
            complaint(&nothing).starts_with("TN404 : "),
            "{}",
            complaint(&nothing)
        );
        assert!(
            complaint("select tenancy.get_row('tenancy.tasks', 'x')").starts_with("TN405 id: ")
        );
        assert_eq!(
            complaint(&insert(r#"{"title":""}"#)),
            "TN410 title: \"title\" must be 1 to 255 characters long"
        );
        // None of it left a row or a change.
        assert_eq!(titles("{}"), ["ours"]);
    }

    #[pg_test]
    fn only_isolated_tables_are_served() {
        let acme = tenant("acme");
        run("create table tests.open (id int primary key, note text)");
        run("grant all on tests.open to tenancy_app");
        become_app_of(&acme);
        for relation in [
            "tests.open",
            "pg_class",
            "tenancy.users",
            "tenancy.tenants",
            "tenancy.tasks_pkey",
        ] {
            assert_eq!(
                outcome(&format!("select tenancy.list_rows('{relation}')")),
                "TN401",
                "{relation}"
            );
        }
        assert_eq!(
            outcome("select tenancy.list_rows(4000000000::oid::regclass)"),
            "TN401"
        );
        assert_eq!(
            outcome("select tenancy.list_rows('tenancy.nothing')"),
            "42P01"
        );
        assert_eq!(maybe("select tenancy.list_rows(null)::text"), None);
    }

    /// A grant or a column more is seen at once, and what was kept is let go.
    #[pg_test]
    fn a_changed_table_is_served_as_it_is_now() {
        let acme = tenant("acme");
        acme.task("ours");
        become_app_of(&acme);
        assert_eq!(answer(&list("{}"))["data"][0].get("dueOn"), None);
        run("reset role");
        run(
            "alter table tenancy.tasks add column due_on date default '2026-02-03', add column tags text[] default '{a,b}'",
        );
        become_role("tenancy_app");
        assert_eq!(answer(&list("{}"))["data"][0]["dueOn"], "2026-02-03");
        assert_eq!(answer(&list("{}"))["data"][0]["tags"], json!(["a", "b"]));
        assert!(
            complaint(&insert(r#"{"title":"x","dueOn":"2026-01-01"}"#)).starts_with("TN403 dueOn")
        );
        run("reset role");
        run("grant insert (due_on) on tenancy.tasks to tenancy_app");
        run("revoke select on tenancy.tasks from tenancy_app");
        run("grant select (tenant_id, id, title, due_on) on tenancy.tasks to tenancy_app");
        become_role("tenancy_app");
        let made = answer(&insert(r#"{"title":"x","dueOn":"2026-01-01"}"#));
        assert_eq!(made["dueOn"], "2026-01-01");
        assert_eq!(
            made.as_object().map(serde_json::Map::len),
            Some(4),
            "{made}"
        );
        // Not even the name of what may not be read.
        assert!(complaint(&insert(r#"{"title":"x","tags":[]}"#)).starts_with("TN402 tags"));
    }

    /// A trigger that waits for PostgreSQL's own code gets it.
    #[pg_test]
    fn a_triggers_own_handler_sees_the_error_as_it_is() {
        let acme = tenant("acme");
        run("create table tests.parent (id int primary key);
             create table tests.child (id int references tests.parent);
             grant insert on tests.child to tenancy_app;
             create function tests.careful() returns trigger language plpgsql as $$
             begin
                 begin
                     insert into tests.child values (1);
                 exception when foreign_key_violation then
                     new.description := 'handled';
                 end;
                 return new;
             end $$;
             create trigger careful before insert on tenancy.tasks
                 for each row execute function tests.careful()");
        become_app_of(&acme);
        assert_eq!(
            answer(&insert(r#"{"title":"x"}"#))["description"],
            "handled"
        );
        run("reset role");
        run(
            "create or replace function tests.careful() returns trigger language plpgsql as $$
             begin
                 insert into tests.child values (1);
                 return new;
             end $$",
        );
        become_role("tenancy_app");
        assert_eq!(outcome(&insert(r#"{"title":"x"}"#)), "23503");
    }

    #[pg_test]
    fn hostile_json_is_refused_and_not_followed() {
        let acme = tenant("acme");
        run("alter table tenancy.tasks add column tags text[]");
        run("grant insert (tags) on tenancy.tasks to tenancy_app");
        become_app_of(&acme);
        let deep = format!(
            "{{\"title\":\"x\",\"tags\":{}{}}}",
            "[".repeat(4000),
            "]".repeat(4000)
        );
        assert_eq!(outcome(&insert(&deep)), "TN405");
        let six = format!(
            "{{\"title\":\"x\",\"tags\":{}\"a\"{}}}",
            "[".repeat(6),
            "]".repeat(6)
        );
        assert_eq!(outcome(&insert(&six)), "00000");
        let many: String = (0..3000).map(|i| format!("\"k{i}\":1,")).collect();
        assert_eq!(
            outcome(&insert(&format!("{{{many}\"title\":\"x\"}}"))),
            "TN405"
        );
        let huge = format!("{{\"title\":\"{}\"}}", "x".repeat(40 << 20));
        assert_eq!(outcome(&insert(&huge)), "TN405");
        assert!(
            complaint(&insert(r#"{"title":"a","title":"b","status":"done"}"#))
                .starts_with("TN405 title")
        );
    }

    /// More kinds of statements in one transaction than are kept after it.
    #[pg_test]
    fn many_kinds_of_statements_are_fine() {
        let acme = tenant("acme");
        let columns: Vec<String> = (1..=9).map(|i| format!("o{i} text")).collect();
        run(&format!(
            "alter table tenancy.tasks add column {}",
            columns.join(", add column ")
        ));
        run("grant insert, update on tenancy.tasks to tenancy_app");
        become_app_of(&acme);
        let nobody = uuid::Uuid::nil();
        for subset in 1..512_u32 {
            let fields: Vec<String> = (0..9)
                .filter(|i| subset & 1 << i != 0)
                .map(|i| format!("\"o{}\":\"x\"", i + 1))
                .collect();
            let fields = fields.join(",");
            run(&format!(
                "select tenancy.update_row('tenancy.tasks', '{nobody}', '{{{fields}}}')"
            ));
        }
        assert_eq!(answer(&list(r#"{"count":"exact"}"#))["total"], 0);
    }

    #[pg_test]
    fn what_others_refer_to_is_not_deleted() {
        let acme = tenant("acme");
        run(&format!(
            "create table tests.notes (tenant_id uuid, id int, project_id uuid,
                 foreign key (tenant_id, project_id) references tenancy.projects);
             insert into tests.notes values ('{}', 1, '{}')",
            acme.id, acme.project
        ));
        become_app_of(&acme);
        let said = complaint(&format!(
            "select tenancy.delete_row('tenancy.projects', '{}')",
            acme.project
        ));
        assert_eq!(said, "TN413 : other rows still refer to this one");
    }
}
