//! Deleted rows that are kept: who lists and restores them.

#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;
    use serde_json::{Value, json};

    use crate::tests::support::*;

    /// Notes with a title that is theirs alone, and an admin.
    fn notes() -> (Tenant, Tenant, uuid::Uuid) {
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        let adam = member(&acme, "adam", "admin");
        run("create table public.notes (
                 tenant_id uuid not null references tenancy.tenants (id),
                 id integer not null,
                 title text not null,
                 primary key (tenant_id, id),
                 unique (tenant_id, title))");
        run("select tenancy.isolate_table('public.notes')");
        run("select tenancy.enable_soft_delete('public.notes')");
        run("select tenancy.expose_table('public.notes')");
        for tenant in [&acme, &globex] {
            run(&format!(
                "insert into notes (tenant_id, id, title) select '{}', n, 'note ' || n from generate_series(1, 5) as n",
                tenant.id
            ));
        }
        run("update notes set deleted_at = now() where id < 4");
        (acme, globex, adam)
    }

    fn list(query: &str) -> String {
        format!("select tenancy.list_resource('notes', '{query}')")
    }

    fn ids(query: &str) -> Vec<i64> {
        let page = answer(&list(query));
        let rows = page["data"].as_array().expect("rows");
        rows.iter()
            .map(|row| row["id"].as_i64().expect("an id"))
            .collect()
    }

    fn restore(id: i64) -> String {
        format!("select tenancy.restore_resource('notes', '{{{id}}}')")
    }

    #[pg_test]
    fn an_admin_lists_the_deleted_rows_of_the_own_tenant_alone() {
        let (acme, _, adam) = notes();
        become_person(&acme, adam);
        assert_eq!(ids("{}"), [5, 4]);
        assert_eq!(ids(r#"{"deleted":"only"}"#), [3, 2, 1]);
        assert_eq!(
            ids(r#"{"deleted":"only","filter":{"title":"note 2"}}"#),
            [2]
        );
        let page = answer(&list(r#"{"deleted":"only","limit":2,"count":"estimated"}"#));
        assert_eq!(page["total"], 3);
        assert_eq!(page["data"][0]["tenantId"], json!(acme.id));
        assert_ne!(page["data"][0]["deletedAt"], Value::Null);
        let cursor = page["nextCursor"].as_str().expect("a cursor");
        assert_eq!(
            ids(&format!(
                r#"{{"deleted":"only","limit":2,"cursor":"{cursor}"}}"#
            )),
            [1]
        );
        // A cursor of one list is none of the other.
        assert_eq!(
            outcome(&list(&format!(r#"{{"limit":2,"cursor":"{cursor}"}}"#))),
            "TN415"
        );
        assert_eq!(outcome(&list(r#"{"deleted":"also"}"#)), "TN406");
        // And the next statement sees none of them.
        assert_eq!(ids("{}"), [5, 4]);
        assert_eq!(number("select count(*) from notes"), 2);
    }

    #[pg_test]
    fn others_neither_list_nor_restore() {
        let (acme, _, _) = notes();
        let mia = member(&acme, "mia", "member");
        let vera = member(&acme, "vera", "viewer");
        become_person(&acme, mia);
        assert_eq!(outcome(&list(r#"{"deleted":"only"}"#)), "TN203");
        assert_eq!(outcome(&restore(1)), "TN203");
        become_dba();
        become_app_of(&acme);
        assert_eq!(outcome(&restore(1)), "TN203");
        become_person(&acme, vera);
        assert_eq!(outcome(&restore(1)), "TN204");
        assert_eq!(outcome(&list(r#"{"deleted":"only"}"#)), "TN203");
    }

    #[pg_test]
    fn a_restored_row_is_there_again() {
        let (acme, globex, adam) = notes();
        become_person(&acme, adam);
        let row = answer(&restore(2));
        assert_eq!(
            (row["id"].clone(), row["deletedAt"].clone()),
            (json!(2), Value::Null)
        );
        assert_eq!(ids("{}"), [5, 4, 2]);
        for id in [2, 5, 77] {
            assert_eq!(
                maybe(&format!("select ({})::text", restore(id))),
                None,
                "{id}"
            );
        }
        assert_eq!(
            outcome("select tenancy.restore_resource('notes', '{1,2}')"),
            "TN405"
        );
        // Another tenant's rows are none.
        become_person(&globex, globex.owner);
        assert_eq!(ids(r#"{"deleted":"only"}"#), [3, 2, 1]);
        assert_eq!(
            outcome("select tenancy.restore_resource('tasks', '{1}')"),
            "TN421"
        );
    }

    #[pg_test]
    fn what_was_taken_meanwhile_is_a_conflict_and_nothing_stays_visible() {
        let (acme, _, adam) = notes();
        become_person(&acme, adam);
        // A unique index counts deleted rows: this one leaves them out.
        become_dba();
        run("alter table notes drop constraint notes_tenant_id_title_key");
        run("create unique index notes_title on notes (tenant_id, title) where deleted_at is null");
        run(&format!(
            "insert into notes (tenant_id, id, title) values ('{}', 9, 'note 1')",
            acme.id
        ));
        become_person(&acme, adam);
        assert_eq!(complaint(&restore(1)), "TN412 title: \"title\" is taken");
        // The error has passed the end of it by.
        let sql = text(
            "select 'update public.notes set deleted_at = null where id = 1 and deleted_at is not null'",
        );
        run(&sql);
        assert_eq!(number("select count(*) from notes where id = 1"), 0);
        assert_eq!(ids("{}"), [9, 5, 4]);
    }

    #[pg_test]
    fn only_the_one_statement_sees_deleted_rows() {
        let (acme, _, adam) = notes();
        run("create table public.seen (number bigint)");
        run("grant insert, select on public.seen to tenancy_app");
        run(
            "create function public.look() returns trigger language plpgsql as $$
             begin insert into public.seen select count(*) from public.notes; return new; end $$",
        );
        run(
            "create trigger look before update on notes for each row execute function public.look()",
        );
        run(
            "create trigger look_after after update on notes for each row execute function public.look()",
        );
        become_person(&acme, adam);
        run(&restore(1));
        // Before it there were two, after it three.
        assert_eq!(
            text("select string_agg(number::text, ' ') from public.seen"),
            "2 3"
        );
        // Nor does a trigger's plan keep them in sight.
        run("update notes set title = title where id = 5");
        assert_eq!(
            text("select string_agg(number::text, ' ') from public.seen"),
            "2 3 3 3"
        );
    }

    #[pg_test]
    fn an_error_in_the_middle_leaves_nothing_in_sight() {
        let (acme, _, adam) = notes();
        run(
            "create function public.fail() returns trigger language plpgsql as $$
             begin raise exception 'no'; end $$",
        );
        run(
            "create trigger fail before update on notes for each row execute function public.fail()",
        );
        become_person(&acme, adam);
        assert_eq!(outcome(&restore(1)), "P0001");
        // The very text of that statement, by the application.
        for sql in [
            "update public.notes set deleted_at = null where id operator(pg_catalog.=) 1 and deleted_at is not null returning tenant_id, id, title, deleted_at",
            "select tenant_id, id, title, deleted_at from public.notes where deleted_at is not null order by id desc limit 21 offset 0",
        ] {
            assert_eq!(
                maybe(&sql.replacen("tenant_id, id,", "tenant_id::text, id,", 1)),
                None,
                "{sql}"
            );
        }
        assert_eq!(number("select count(*) from notes"), 2);
    }

    #[pg_test]
    fn it_works_again_after_the_plans_are_made_anew() {
        let (acme, _, adam) = notes();
        for round in 1..=3 {
            become_person(&acme, adam);
            assert_eq!(ids(r#"{"deleted":"only"}"#).len(), 4 - round);
            run(&restore(round as i64));
            become_dba();
            run("analyze notes");
            run(&format!(
                "alter table notes add column extra_{round} integer"
            ));
        }
        become_person(&acme, adam);
        assert_eq!(ids("{}").len(), 5);
    }

    #[pg_test]
    fn a_row_is_deleted_softly_as_the_version_that_was_seen() {
        let (acme, _, adam) = notes();
        become_person(&acme, adam);
        let tag = |id: i64| {
            let row = text(&format!(
                "select tenancy.get_resource('notes', '{{{id}}}', '{{}}')::text"
            ));
            text(&format!(
                "select translate(rtrim(encode(substring(sha256(convert_to($row${row}$row$, 'UTF8')) for 16), 'base64'), '='), '+/', '-_')"
            ))
        };
        let delete = |id: i64, tag: &str| {
            format!("select tenancy.delete_resource('notes', '{{{id}}}', array['{tag}'])")
        };
        assert_eq!(outcome(&delete(5, "another")), "TN414");
        assert_eq!(ids("{}"), [5, 4]);
        let seen = tag(5);
        assert_ne!(answer(&delete(5, &seen))["deletedAt"], Value::Null);
        assert_ne!(answer(&delete(4, "*"))["deletedAt"], Value::Null);
        assert_eq!(maybe(&format!("select ({})::text", delete(5, &seen))), None);
        assert_eq!(ids("{}"), Vec::<i64>::new());
    }

    #[pg_test]
    fn deleted_at_is_told_and_not_written() {
        let (acme, _, adam) = notes();
        become_person(&acme, adam);
        let insert = |fields: &str| format!("select tenancy.insert_resource('notes', '{fields}')");
        assert_eq!(
            complaint(&insert(
                r#"{"id":7,"title":"x","deletedAt":"2026-01-01T00:00:00Z"}"#
            )),
            "TN403 deletedAt: \"deletedAt\" can't be set"
        );
        assert_eq!(
            outcome("select tenancy.update_resource('notes', '{5}', '{\"deletedAt\":null}')"),
            "TN403"
        );
        assert_eq!(
            answer(&insert(r#"{"id":7,"title":"x"}"#))["deletedAt"],
            Value::Null
        );
        let all = answer("select tenancy.resources()");
        let resources = all["resources"].as_array().expect("resources");
        let notes = resources
            .iter()
            .find(|r| r["name"] == "notes")
            .expect("notes");
        assert_eq!(notes["isSoftDeleted"], true);
        let field = notes["fields"]
            .as_array()
            .expect("fields")
            .iter()
            .find(|f| f["name"] == "deletedAt")
            .expect("it");
        assert_eq!(
            (field["isInsertable"].clone(), field["isUpdatable"].clone()),
            (json!(false), json!(false))
        );
        let tasks = resources
            .iter()
            .find(|r| r["name"] == "tasks")
            .expect("tasks");
        assert_eq!(tasks["isSoftDeleted"], false);
    }

    #[pg_test]
    fn a_resource_is_added_once() {
        let (acme, _, adam) = notes();
        become_person(&acme, adam);
        let once =
            |body: &str| format!("select tenancy.insert_resource_once('notes', '{body}', 'k')");
        let first = answer(&once(r#"[{"id":7,"title":"x"},{"id":8,"title":"y"}]"#));
        assert_eq!(
            answer(&once(r#"[{"id":7,"title":"x"},{"id":8,"title":"y"}]"#)),
            first
        );
        assert_eq!(outcome(&once(r#"{"id":9,"title":"z"}"#)), "TN417");
        assert_eq!(ids("{}"), [8, 7, 5, 4]);
        assert_eq!(
            outcome("select tenancy.insert_resource_once('nothing', '{}', 'k2')"),
            "TN401"
        );
    }

    #[pg_test]
    fn exposed_functions_are_among_the_resources_of_who_may_call_them() {
        let (acme, _, adam) = notes();
        run("create function public.answer() returns integer language sql stable as 'select 42'");
        run("select tenancy.expose_function('public.answer()')");
        become_person(&acme, adam);
        let all = answer("select tenancy.resources()");
        assert_eq!(all["functions"][0]["name"], "answer");
        let version = all["version"].as_str().expect("a version");
        assert_eq!(
            maybe(&format!("select tenancy.resources('{version}')::text")),
            None
        );
        become_dba();
        run("revoke execute on function public.answer() from public");
        become_role("tenancy_app");
        assert_eq!(answer("select tenancy.resources()")["functions"], json!([]));
    }
}
