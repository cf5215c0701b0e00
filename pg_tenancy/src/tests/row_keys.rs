//! The row functions on tables whose key is no uuid, or several columns.

#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;
    use serde_json::{Value, json};

    use crate::tests::support::*;

    /// `tests.things` with that key beside the tenant; Acme has entered.
    fn things(columns: &str, key: &str) -> Tenant {
        let acme = tenant("acme");
        run(&format!(
            "create table tests.things ({columns}, note text, primary key ({key}));
             select tenancy.isolate_table('tests.things')"
        ));
        become_app_of(&acme);
        acme
    }

    fn notes(query: &str) -> Vec<Value> {
        let page = answer(&format!(
            "select tenancy.list_rows('tests.things', '{query}')"
        ));
        let rows = page["data"].as_array().expect("rows");
        rows.iter().map(|row| row["note"].clone()).collect()
    }

    /// A row that comes and goes by its id, which JSON and SQL write so.
    fn comes_and_goes(columns: &str, sent: &str, id: &str) {
        let acme = things(columns, "id");
        let made = answer(&format!(
            "select tenancy.insert_row('tests.things', '{{\"id\":{sent},\"note\":\"one\"}}')"
        ));
        assert_eq!(made["tenantId"], json!(acme.id));
        assert_eq!(
            answer(&format!("select tenancy.get_row('tests.things', '{id}')")),
            made
        );
        let changed = answer(&format!(
            "select tenancy.update_row('tests.things', '{id}', '{{\"note\":\"two\"}}')"
        ));
        assert_eq!(changed["note"], "two");
        let deletion = format!("select tenancy.delete_row('tests.things', '{id}')");
        assert_eq!(answer(&deletion), changed);
        assert_eq!(maybe(&format!("select ({deletion})::text")), None);
    }

    #[pg_test]
    fn a_key_may_be_a_number() {
        comes_and_goes("id bigint", "9223372036854775807", "9223372036854775807");
        let said = complaint("select tenancy.get_row('tests.things', '1.5')");
        assert!(said.starts_with("TN405 id: "), "{said}");
    }

    #[pg_test]
    fn a_key_may_be_any_text() {
        comes_and_goes(
            "id text",
            r#""a/b, \"c\" ''d'' ; drop""#,
            r#"a/b, "c" ''d'' ; drop"#,
        );
    }

    #[pg_test]
    fn a_key_may_be_a_date() {
        comes_and_goes("id date", r#""2026-02-28""#, "2026-02-28");
        let said = complaint("select tenancy.get_row('tests.things', '2026-02-30')");
        assert!(said.starts_with("TN405 id: "), "{said}");
    }

    /// In the order of the key, which isn't that of the columns.
    #[pg_test]
    fn a_key_of_several_columns_orders_a_list() {
        things("b int, a text", "a, b");
        for (a, b) in [("x", 1), ("x", 2), ("w", 9)] {
            run(&format!(
                "select tenancy.insert_row('tests.things', '{{\"a\":\"{a}\",\"b\":{b},\"note\":\"{a}{b}\"}}')"
            ));
        }
        assert_eq!(notes("{}"), ["x2", "x1", "w9"]);
        assert_eq!(notes(r#"{"sort":"b"}"#), ["x1", "x2", "w9"]);
        assert_eq!(notes(r#"{"sort":"a,-b"}"#), ["w9", "x2", "x1"]);
        assert_eq!(notes(r#"{"filter":{"a":"x"},"sort":"b"}"#), ["x1", "x2"]);
        for call in [
            "select tenancy.get_row('tests.things', 'x')",
            "select tenancy.update_row('tests.things', 'x', '{\"note\":\"y\"}')",
            "select tenancy.delete_row('tests.things', 'x')",
        ] {
            assert_eq!(
                complaint(call),
                "TN401 : not served: the key of tests.things has 2 columns beside the tenant, and this function takes one id"
            );
        }
    }

    #[pg_test]
    fn what_a_key_only_includes_is_no_part_of_it() {
        let acme = tenant("acme");
        run(
            "create table tests.things (tenant_id uuid, id int, note text);
             create unique index things_pkey on tests.things (tenant_id, id) include (note);
             alter table tests.things add primary key using index things_pkey;
             select tenancy.isolate_table('tests.things')",
        );
        become_app_of(&acme);
        run(r#"select tenancy.insert_row('tests.things', '{"id":7,"note":"seven"}')"#);
        let row = answer("select tenancy.get_row('tests.things', '7')");
        assert_eq!(row["note"], "seven");
    }

    /// In kilobytes, what this process has in memory.
    fn resident() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().nth(1));
        number.expect("a size").parse().expect("a number")
    }

    #[pg_test]
    fn an_id_that_is_refused_leaves_nothing_behind() {
        let acme = things("id int", "id");
        become_dba();
        run("select tenancy.expose_table('tests.things', 'things')");
        become_app_of(&acme);
        for call in [
            "tenancy.get_row('tests.things', repeat('x', 1000000))",
            "tenancy.update_row('tests.things', repeat('x', 1000000), '{\"note\":\"y\"}')",
            "tenancy.get_resource('things', array[repeat('x', 1000000)])",
        ] {
            let refuse = |times: usize| {
                for _ in 0..times {
                    assert_eq!(outcome(&format!("select {call}")), "TN405");
                }
            };
            refuse(10);
            let before = resident();
            refuse(100);
            let growth = resident().saturating_sub(before);
            assert!(growth < 20_000, "{call}: {growth} kB");
        }
    }
}
