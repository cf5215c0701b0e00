//! Cursors: walking a list from page to page, whatever it is sorted by.

#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;
    use serde_json::{Value, json};

    use crate::tests::support::*;

    fn with(query: &Value, name: &str, value: impl Into<Value>) -> Value {
        let mut query = query.clone();
        query[name] = value.into();
        query
    }

    fn tasks(tenant: &Tenant, number: usize) {
        for n in 0..number {
            tenant.task(&format!("task {n}"));
        }
    }

    const TASKS: &str = "tenancy.tasks";

    #[pg_test]
    fn a_list_is_walked_from_page_to_page() {
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        tasks(&acme, 7);
        tasks(&globex, 7);
        become_app_of(&acme);
        let whole = list(TASKS, &json!({"limit": 100}));
        let (rows, pages) = walk(TASKS, &json!({"limit": 3}));
        assert_eq!(json!(rows), whole["data"]);
        assert_eq!(pages, 3);
        // A page that is just full is the last one.
        assert_eq!(whole.get("nextCursor"), None);
        assert_eq!(list(TASKS, &json!({"limit": 7})).get("nextCursor"), None);
        assert_eq!(walk(TASKS, &json!({"limit": 1})).1, 7);
        // The limit may be another on the next page, and so may the fields.
        let first = list(TASKS, &json!({"limit": 2, "fields": "title"}));
        assert_eq!(first["data"][0], json!({"title": "task 6"}));
        let rest = json!({"limit": "100", "cursor": first["nextCursor"], "fields": "status,title"});
        let rest = list(TASKS, &rest);
        assert_eq!(rest["data"].as_array().map(Vec::len), Some(5));
        assert_eq!(
            rest["data"][0],
            json!({"status": "todo", "title": "task 4"})
        );
    }

    #[pg_test]
    fn what_is_told_beside_the_rows_has_one_order() {
        let acme = tenant("acme");
        tasks(&acme, 3);
        become_app_of(&acme);
        let told = |query: &Value| {
            let page = text(&format!("select ({})::text", list_call(TASKS, query)));
            page[page.rfind(']').expect("rows")..].to_owned()
        };
        let page = told(&json!({"limit": 2, "count": "exact"}));
        let (before, cursor) = page.split_once(r#","nextCursor":""#).expect("a cursor");
        assert_eq!(before, r#"],"page":1,"limit":2,"total":3"#);
        let cursor = cursor.strip_suffix("\"}").expect("the end");
        assert!(
            cursor.starts_with("pgn_")
                && cursor
                    .bytes()
                    .all(|c| c.is_ascii_alphanumeric() || c == b'-' || c == b'_'),
            "{cursor}"
        );
        let last = told(&json!({"limit": 2, "count": "exact", "cursor": cursor}));
        assert_eq!(last, r#"],"limit":2,"total":3}"#);
    }

    /// The walk as it is with that cursor: TN415 in always the same words.
    fn is_refused(relation: &str, query: &Value) {
        let said = complaint(&list_call(relation, query));
        assert_eq!(
            said, "TN415 cursor: the cursor is not good for this list",
            "{query}"
        );
    }

    #[pg_test]
    fn a_cursor_is_good_for_its_list_alone() {
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        for tenant in [&acme, &globex] {
            tasks(tenant, 3);
            run(&format!(
                "insert into tenancy.projects (tenant_id, title) values ('{}', 'a'), ('{0}', 'b')",
                tenant.id
            ));
        }
        become_app_of(&acme);
        let query = json!({"limit": 1, "sort": "status", "filter": {"status": "todo"}});
        let cursor = list(TASKS, &query)["nextCursor"].clone();
        let good = with(&query, "cursor", cursor.clone());
        assert_eq!(list(TASKS, &good)["data"][0]["title"], "task 1");
        // The same filter, said otherwise.
        let said = with(&good, "filter", json!({"status": {"eq": "todo"}}));
        assert_eq!(list(TASKS, &said)["data"][0]["title"], "task 1");

        for (name, value) in [
            ("sort", json!("-status")),
            ("sort", json!("status,-id")),
            ("sort", json!("projectId")),
            ("filter", json!({"status": "done"})),
            ("filter", json!({"status": {"ne": "todo"}})),
            ("filter", json!({})),
            (
                "filter",
                json!({"status": "todo", "projectId": {"is": "null"}}),
            ),
            ("cursor", json!("")),
            ("cursor", json!("pgn_")),
            ("cursor", json!("pgn_AAAA")),
            ("cursor", json!(null)),
            ("cursor", json!(7)),
            ("cursor", json!("x".repeat(1_000_000))),
            ("cursor", json!("ü")),
        ] {
            is_refused(TASKS, &with(&good, name, value));
        }
        is_refused("tenancy.projects", &json!({"limit": 1, "cursor": cursor}));
        let plain = list(TASKS, &json!({"limit": 1}))["nextCursor"].clone();
        is_refused("tenancy.projects", &json!({"cursor": plain}));

        become_dba();
        become_app_of(&globex);
        is_refused(TASKS, &good);
        is_refused(TASKS, &json!({"cursor": plain}));
        let twice = json!({"cursor": plain, "page": 1});
        assert!(complaint(&list_call(TASKS, &twice)).starts_with("TN406 page"));
    }

    #[pg_test]
    fn a_cursor_is_no_proof() {
        let acme = tenant("acme");
        tasks(&acme, 2);
        become_app_of(&acme);
        let cursor = list(TASKS, &json!({"limit": 1}))["nextCursor"].clone();
        let cursor = cursor.as_str().expect("a cursor").to_owned();
        let capsule = text("select tenancy.seal()");
        is_refused(TASKS, &json!({"cursor": capsule}));
        is_refused(TASKS, &json!({"cursor": capsule.replace("pgc_", "pgn_")}));
        become_dba();
        become_role("tenancy_app");
        for proof in [cursor.clone(), cursor.replace("pgn_", "pgc_")] {
            let code = outcome(&format!("select tenancy.enter('{proof}')"));
            assert!(["TN010", "TN019"].contains(&code.as_str()), "{code}");
        }
    }

    #[pg_test]
    fn a_cursor_opens_as_long_as_its_key_does() {
        let acme = tenant("acme");
        tasks(&acme, 3);
        become_app_of(&acme);
        let next = |cursor: &Value| json!({"limit": 1, "cursor": cursor});
        let old = list(TASKS, &json!({"limit": 1}))["nextCursor"].clone();
        become_dba();
        run("select tenancy.rotate_seal_key()");
        become_app_of(&acme);
        let new = list(TASKS, &next(&old))["nextCursor"].clone();
        assert!(new.is_string());
        become_dba();
        run("select tenancy.rotate_seal_key('0')");
        become_app_of(&acme);
        is_refused(TASKS, &next(&old));
        is_refused(TASKS, &next(&new));
        assert!(list(TASKS, &json!({"limit": 1}))["nextCursor"].is_string());
    }

    #[pg_test]
    fn who_sorts_by_a_text_that_is_too_long_is_told() {
        let acme = tenant("acme");
        run("create table tests.notes (id int primary key, words text);
             create index on tests.notes (words)");
        run(
            "select tenancy.isolate_table('tests.notes'); grant select on tests.notes to tenancy_app",
        );
        run(&format!(
            "insert into tests.notes (tenant_id, id, words)
             select '{}', n, repeat('x', n * 7000) from generate_series(1, 3) as n",
            acme.id
        ));
        become_app_of(&acme);
        let query = json!({"sort": "words", "limit": 1, "fields": "id"});
        let second = with(
            &query,
            "cursor",
            list("tests.notes", &query)["nextCursor"].clone(),
        );
        assert!(complaint(&list_call("tests.notes", &second)).starts_with("TN416 sort"));
        // By number, all pages can be turned.
        let page = list("tests.notes", &with(&query, "page", 2));
        assert_eq!(
            (&page["data"], page.get("nextCursor")),
            (&json!([{"id": 2}]), None)
        );
    }

    #[pg_test]
    fn without_a_tenant_there_is_nothing_to_go_on_from() {
        let acme = tenant("acme");
        tasks(&acme, 2);
        become_app_of(&acme);
        let cursor = list(TASKS, &json!({"limit": 1}))["nextCursor"].clone();
        become_dba();
        become_role("tenancy_app");
        let with_cursor = json!({"cursor": cursor});
        assert_eq!(outcome(&list_call(TASKS, &with_cursor)), "TN001");
        run(
            "reset role; set local pg_tenancy.missing_context = 'empty'; set local role tenancy_app",
        );
        is_refused(TASKS, &with_cursor);
        let empty = list(TASKS, &json!({"count": "estimated", "include": "project"}));
        assert_eq!(
            empty,
            json!({"data": [], "page": 1, "limit": 20, "total": 0})
        );
    }

    /// The rows of a view may have NULL where a table's could not.
    #[pg_test]
    fn a_view_and_a_partitioned_table_are_walked() {
        let acme = tenant("acme");
        run("create table tests.parts (id int, day date, name text, primary key (id, day)) partition by range (day);
             create table tests.parts_early partition of tests.parts for values from (minvalue) to ('2026-01-15');
             create table tests.parts_late partition of tests.parts for values from ('2026-01-15') to (maxvalue);
             create index on tests.parts (name)");
        run(
            "select tenancy.isolate_table('tests.parts'); grant select on tests.parts to tenancy_app",
        );
        run(&format!(
            "insert into tests.parts (tenant_id, id, day, name)
             select '{}', n, '2026-01-01'::date + n, nullif(n % 4, 3)::text from generate_series(1, 25) as n",
            acme.id
        ));
        run("create view tests.shown with (security_invoker = on) as
                 select id as number, nullif(name, '2') as name, day from tests.parts;
             grant select on tests.shown to tenancy_app");
        run(
            "select tenancy.expose_table('tests.shown', 'shown', key => '{name,number}', sortable => '{day,name}')",
        );
        become_app_of(&acme);
        for sort in ["name", "-name", "day,-name"] {
            let (rows, _) = walk("tests.parts", &json!({"sort": sort, "limit": 4}));
            let whole = list("tests.parts", &json!({"sort": sort, "limit": 100}));
            assert_eq!(json!(rows), whole["data"], "{sort}");
        }
        for sort in ["day", "-name", "name,day"] {
            let mut query = json!({"sort": sort, "limit": 100});
            let call = |query: &Value| {
                let query = pgrx::spi::quote_literal(query.to_string());
                answer(&format!("select tenancy.list_resource('shown', {query})"))
            };
            let whole = call(&query)["data"].as_array().expect("rows").clone();
            assert_eq!(whole.len(), 25);
            query["limit"] = json!(4);
            let mut rows = Vec::new();
            for _ in 0..7 {
                let page = call(&query);
                rows.extend(page["data"].as_array().expect("rows").clone());
                query["cursor"] = page["nextCursor"].clone();
            }
            assert_eq!(rows, whole, "{sort}");
            assert_eq!(query["cursor"], Value::Null);
        }
    }

    /// A connection of another search path describes the table anew.
    #[pg_test]
    fn a_cursor_is_good_whatever_the_search_path() {
        let acme = tenant("acme");
        run("create type tests.size as enum ('s', 'm');
             create table tests.shirts (id int primary key, size tests.size);
             select tenancy.isolate_table('tests.shirts');
             grant select on tests.shirts to tenancy_app;
             create index on tests.shirts (tenant_id, size)");
        run(&format!(
            "insert into tests.shirts (tenant_id, id, size) values ('{}', 1, 's'), ('{0}', 2, 'm')",
            acme.id
        ));
        let describe_anew = "alter table tests.shirts add check (id > 0)";
        run(&format!("set local search_path = tests; {describe_anew}"));
        become_app_of(&acme);
        let query = json!({"limit": 1, "sort": "size"});
        let cursor = list("tests.shirts", &query)["nextCursor"].clone();
        become_dba();
        run(&format!(
            "set local search_path = pg_catalog; {describe_anew}"
        ));
        become_app_of(&acme);
        let next = list("tests.shirts", &with(&query, "cursor", cursor));
        assert_eq!(next["data"][0]["id"], 2);
    }
}
