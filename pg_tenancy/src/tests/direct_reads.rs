//! What is read without the executor is what the executor reads, for whom it would.

#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;
    use serde_json::json;

    use crate::rows::walks;
    use crate::tests::support::*;

    fn as_dba(sql: &str) {
        run("reset role");
        run(sql);
        become_role("tenancy_app");
    }

    fn read(how: &str) {
        as_dba(&format!("set local pg_tenancy.direct_reads = '{how}'"));
    }

    /// What the query answers both ways, which is the same. Whether it was read directly.
    fn both(query: &str) -> (Option<String>, bool) {
        let query = format!("select ({query})::text");
        read("never");
        let before = walks();
        let by_executor = maybe(&query);
        assert_eq!(walks(), before, "{query}");
        read("always");
        let directly = maybe(&query);
        assert_eq!(directly, by_executor, "{query}");
        (directly, walks() > before)
    }

    fn list_of(query: &serde_json::Value) -> String {
        let query = pgrx::spi::quote_literal(query.to_string());
        format!("select tenancy.list_resource('things', {query})")
    }

    fn get_of(id: &[&str]) -> String {
        let parts: Vec<String> = id.iter().map(|part| format!("'{part}'")).collect();
        format!(
            "select tenancy.get_resource('things', array[{}])",
            parts.join(", ")
        )
    }

    /// A table that is served as `things`, with rows of two tenants in its first columns;
    /// goes on as the first.
    fn things(columns: &str, rows: &str) -> Tenant {
        let (acme, globex) = (tenant("acme"), tenant("globex"));
        run(&format!("create table tests.things ({columns})"));
        let names = text(
            "select string_agg(quote_ident(attname), ', ' order by attnum) from pg_attribute
             where attrelid = 'tests.things'::regclass and attnum > 0",
        );
        run("select tenancy.isolate_table('tests.things')");
        for tenant in [&acme, &globex] {
            run(&format!(
                "insert into tests.things (tenant_id, {names}) select '{}', new.* from ({rows}) as new",
                tenant.id
            ));
        }
        run("select tenancy.expose_table('tests.things', 'things')");
        become_app_of(&acme);
        acme
    }

    #[pg_test]
    fn rows_and_pages_are_the_same_either_way() {
        things(
            "id int primary key, title text, amount numeric(10, 2), at timestamptz,
             tags text[], extra jsonb, is_open boolean, span int4range",
            "select n, case when n % 7 = 0 then null else 'Thing \"' || n || E'\\n' end, n / 8.0,
                 case when n % 5 = 0 then null else '2026-01-01'::timestamptz + n * interval '1 day' end,
                 array['a', null, n::text], jsonb_build_object('n', n), n % 2 = 0,
                 int4range(n, n + 3)
             from generate_series(1, 250) as n",
        );
        for (id, is_there) in [("1", true), ("250", true), ("7", true), ("251", false)] {
            let (row, is_direct) = both(&get_of(&[id]));
            assert_eq!((row.is_some(), is_direct), (is_there, true), "{id}");
        }
        for query in [
            json!({}),
            json!({"limit": 1}),
            json!({"limit": 100, "page": 2}),
            json!({"limit": 100, "page": 3}),
            json!({"limit": 50, "page": 5}),
            json!({"limit": 50, "page": 6}),
            json!({"fields": "title,id"}),
            json!({"fields": "title"}),
            json!({"fields": "at,amount", "limit": 3}),
            json!({"count": "exact", "limit": 3}),
        ] {
            let (page, is_direct) = both(&list_of(&query));
            assert!(page.is_some() && is_direct, "{query}");
        }
        // A filter asks more of a row than a walk does.
        for query in [
            json!({"filter": {"id": {"gt": 5, "lt": 30}}, "limit": 50}),
            json!({"filter": {"id": {"in": "1,250,251"}}}),
            json!({"filter": {"id": {"ne": 250}}}),
            json!({"sort": "id"}),
        ] {
            both(&list_of(&query));
        }
        // To the end of the list, and not behind it.
        let mut cursor = None;
        for left in [150, 50, 0] {
            let mut query = json!({"limit": 100});
            if let Some(cursor) = cursor {
                query["cursor"] = cursor;
            }
            let (page, is_direct) = both(&list_of(&query));
            assert!(is_direct, "{left} are left");
            let page: serde_json::Value =
                serde_json::from_str(&page.expect("a page")).expect("JSON");
            cursor = page.get("nextCursor").cloned();
            assert_eq!(cursor.is_some(), left > 0, "{left} are left");
        }
    }

    fn is_key_found(columns: &str, rows: &str, known: &[&str], unknown: &[&str]) -> bool {
        things(columns, rows);
        let (row, is_direct) = both(&get_of(known));
        assert!(row.is_some());
        assert_eq!(both(&get_of(unknown)), (None, is_direct));
        assert!(both(&list_of(&json!({"limit": 7}))).1);
        is_direct
    }

    #[pg_test]
    fn a_row_with_a_word_for_a_key_is_found_either_way() {
        assert!(is_key_found(
            "code varchar(20) primary key, title text",
            "select 'c' || n, 'Thing ' || n from generate_series(1, 50) as n",
            &["c7"],
            &["c51"],
        ));
    }

    #[pg_test]
    fn a_row_with_a_uuid_for_a_key_is_found_either_way() {
        assert!(is_key_found(
            "id uuid primary key, title text",
            "select ('01890000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, 'Thing ' || n
             from generate_series(1, 50) as n",
            &["01890000-0000-7000-8000-000000000007"],
            &["01890000-0000-7000-8000-000000000077"],
        ));
    }

    #[pg_test]
    fn a_row_with_a_key_of_two_columns_is_found_either_way() {
        assert!(is_key_found(
            "place int, day date, title text, primary key (place, day)",
            "select n, '2026-01-01'::date + n, 'Thing ' || n from generate_series(1, 50) as n",
            &["7", "2026-01-08"],
            &["7", "2026-01-09"],
        ));
    }

    #[pg_test]
    fn a_row_with_a_domain_for_a_key_is_found_either_way() {
        run("create domain tests.code as text check (value <> '')");
        assert!(is_key_found(
            "id tests.code primary key, title text",
            "select 'c' || n, 'Thing ' || n from generate_series(1, 50) as n",
            &["c7"],
            &["c51"],
        ));
    }

    /// Numbers aren't compared before the boundary was asked: that is the executor's.
    #[pg_test]
    fn a_row_with_a_number_for_a_key_is_found_by_the_executor() {
        assert!(!is_key_found(
            "amount numeric primary key, title text",
            "select n / 4.0, 'Thing ' || n from generate_series(1, 50) as n",
            &["1.750"],
            &["99"],
        ));
    }

    /// A column that was dropped, one that came later, one that is made of others.
    #[pg_test]
    fn a_table_that_has_changed_is_read_as_it_is() {
        things(
            "id int primary key, gone text, title text",
            "select n, 'gone', 'Thing ' || n from generate_series(1, 30) as n",
        );
        let look = || {
            let (row, is_direct) = both(&get_of(&["7"]));
            assert!(is_direct);
            both(&list_of(&json!({"limit": 30})));
            row.expect("a row")
        };
        look();
        for (change, has) in [
            ("drop column gone", "\"title\""),
            ("add column rank int not null default 5", "\"rank\":5"),
            (
                "add column twice int generated always as (id * 2) stored",
                "\"twice\":14",
            ),
            ("rename column title to name", "\"name\":\"Thing 7\""),
            ("alter column rank type text", "\"rank\":\"5\""),
            ("add column more text", "\"more\":null"),
        ] {
            as_dba(&format!("alter table tests.things {change}"));
            let row = look();
            assert!(row.contains(has), "{change}: {row}");
        }
        // Without its index it is found by another way.
        as_dba(
            "alter table tests.things drop constraint things_pkey;
                alter table tests.things add primary key (id, tenant_id)",
        );
        both(&list_of(&json!({})));
    }

    #[pg_test]
    fn a_policy_that_somebody_adds_holds_from_the_next_call_on() {
        things(
            "id int primary key, title text",
            "select n, 'Thing ' || n from generate_series(1, 30) as n",
        );
        let titles = || {
            let page = both(&list_of(&json!({"limit": 3, "fields": "id"}))).0;
            page.expect("a page")
        };
        let before = titles();
        assert!(before.contains("[{\"id\":30},{\"id\":29},{\"id\":28}]"));
        as_dba("create policy odd on tests.things as restrictive for select using (id % 2 = 1)");
        assert!(titles().contains("[{\"id\":29},{\"id\":27},{\"id\":25}]"));
        assert_eq!(both(&get_of(&["30"])).0, None);
        as_dba("drop policy odd on tests.things");
        assert_eq!(titles(), before);
        as_dba(
            "create policy untitled on tests.things as restrictive for select using (title is null)",
        );
        assert!(titles().contains("\"data\":[]"));
        assert_eq!(both(&get_of(&["30"])).0, None);
    }

    #[pg_test]
    fn what_was_deleted_softly_is_passed_over() {
        let acme = things(
            "id int primary key, title text, deleted_at timestamptz",
            "select n, 'Thing ' || n, null::timestamptz from generate_series(1, 30) as n",
        );
        become_dba();
        run("select tenancy.enable_soft_delete('tests.things')");
        become_app_of(&acme);
        run("delete from tests.things where id in (30, 28)");
        let (page, is_direct) = both(&list_of(&json!({"limit": 2, "fields": "id"})));
        assert!(is_direct);
        assert!(page.expect("a page").contains("[{\"id\":29},{\"id\":27}]"));
        assert_eq!(both(&get_of(&["28"])), (None, true));
        assert!(both(&get_of(&["29"])).0.is_some());
        become_person(&acme, acme.owner);
        let page = answer("select tenancy.list_resource('things', '{\"deleted\": \"only\"}')");
        assert_eq!(page["data"].as_array().map(Vec::len), Some(2));
    }

    /// The same rights as a query needs: the table's or the column's, and the boundary's.
    #[pg_test]
    fn a_right_that_is_missing_is_missing_either_way() {
        things(
            "id int primary key, title text",
            "select n, 'Thing ' || n from generate_series(1, 30) as n",
        );
        let calls = [get_of(&["7"]), list_of(&json!({"limit": 2}))];
        let ends = |code: &str| {
            for how in ["never", "always"] {
                read(how);
                for call in &calls {
                    assert_eq!(outcome(call), code, "{how}: {call}");
                }
            }
        };
        ends("00000");
        as_dba("revoke execute on function tenancy.current_tenant_id() from tenancy_app");
        ends("42501");
        as_dba("grant execute on function tenancy.current_tenant_id() to tenancy_app");
        ends("00000");
        as_dba(
            "revoke select on tests.things from tenancy_app;
                grant select (id, title) on tests.things to tenancy_app",
        );
        let (row, is_direct) = both(&calls[0]);
        assert_eq!(row.as_deref(), Some("{\"id\":7,\"title\":\"Thing 7\"}"));
        assert!(is_direct);
        as_dba("revoke select (id, title) on tests.things from tenancy_app");
        ends("TN401");
    }

    /// What one statement has written, the next one reads; what it writes itself, it doesn't.
    #[pg_test]
    fn a_row_is_seen_from_the_next_statement_on() {
        things("id int primary key, title text", "select 1, 'one'");
        let both_at_once = "concat(tenancy.insert_resource('things', '{\"id\": N}'), ' ',
            tenancy.get_resource('things', array['N']))";
        for (id, how) in [("2", "never"), ("3", "always")] {
            read(how);
            let said = text(&format!("select {}", both_at_once.replace('N', id)));
            assert!(said.ends_with("} "), "{how}: {said}");
            assert!(
                maybe(&format!("{}::text", get_of(&[id]))).is_some(),
                "{how}"
            );
        }
        run("update tests.things set title = 'two' where id = 2");
        assert!(both(&get_of(&["2"])).0.expect("a row").contains("two"));
        run("delete from tests.things where id = 1");
        assert_eq!(both(&get_of(&["1"])), (None, true));
    }

    #[pg_test]
    fn without_a_tenant_there_are_no_rows_either_way() {
        let acme = things("id int primary key, title text", "select 1, 'one'");
        let calls = [get_of(&["1"]), list_of(&json!({}))];
        for how in ["never", "always"] {
            read(how);
            for call in &calls {
                assert_eq!(outcome(call), "00000");
            }
            become_dba();
            become_role("tenancy_app");
            for call in &calls {
                assert_eq!(outcome(call), "TN001", "{how}");
            }
            become_dba();
            run("set local pg_tenancy.missing_context = 'empty'");
            become_role("tenancy_app");
            assert_eq!(maybe(&format!("select ({})::text", calls[0])), None);
            assert!(text(&format!("select ({})::text", calls[1])).contains("\"data\":[]"));
            become_dba();
            run("set local pg_tenancy.missing_context = 'error'");
            become_app_of(&acme);
        }
    }

    /// Who audits statements sees them all.
    #[pg_test]
    fn an_extension_that_watches_the_executor_sees_each_statement() {
        things("id int primary key, title text", "select 1, 'one'");
        let get = format!("select ({})::text", get_of(&["1"]));
        let is_direct = || {
            let before = walks();
            text(&get);
            walks() > before
        };
        assert!(is_direct());
        run("reset role");
        run("load 'auto_explain'");
        become_role("tenancy_app");
        assert!(!is_direct());
        read("always");
        assert!(is_direct());
        read("never");
        assert!(!is_direct());
        assert_eq!(
            outcome("set local pg_tenancy.direct_reads = 'always'"),
            "42501"
        );
    }

    /// What a call takes goes with it.
    #[pg_test]
    fn many_calls_take_no_more_memory() {
        things(
            "id int primary key, title text",
            "select n, 'Thing ' || n from generate_series(1, 30) as n",
        );
        run("reset role");
        run(
            "create function tests.memory() returns bigint language sql volatile
             security definer set search_path = pg_catalog
             as 'select sum(total_bytes)::bigint from pg_backend_memory_contexts'",
        );
        become_role("tenancy_app");
        let before = walks();
        let growth = number(
            "select max(x.memory) - min(x.memory) + 0 * count(x.row)
             from (select n, tenancy.get_resource('things', array['7'])::text
                       || tenancy.list_resource('things', '{\"limit\": 3}')::text as row,
                       case when n in (500, 20500) then tests.memory() end as memory
                   from generate_series(1, 20500) as n) as x",
        );
        assert_eq!(walks() - before, 41_000);
        assert!(growth < 1_000_000, "{growth} bytes");
    }
}
