//! What the row functions know of a table is what it is, in the same transaction, too.

#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;
    use serde_json::json;

    use crate::tests::support::*;

    const CALLS: [&str; 8] = [
        "select tenancy.get_row('tests.things', '1')",
        "select tenancy.list_rows('tests.things', '{}')",
        "select tenancy.insert_row('tests.things', '{\"id\":9}')",
        "select tenancy.update_row('tests.things', '1', '{\"note\":\"x\"}')",
        "select tenancy.get_resource('things', array['1'])",
        "select tenancy.list_resource('things', '{}')",
        "select tenancy.insert_resource('things', '{\"id\":8}')",
        "select tenancy.update_resource('things', array['1'], '{\"note\":\"x\"}')",
    ];

    /// A table that is served; all calls have been made, so that all of it is known.
    fn things() -> Tenant {
        let acme = tenant("acme");
        run("create table tests.things (id int primary key, note text);
             select tenancy.isolate_table('tests.things');
             select tenancy.expose_table('tests.things', 'things')");
        run(&format!(
            "insert into tests.things (tenant_id, id, note) values ('{}', 1, 'one')",
            acme.id
        ));
        become_app_of(&acme);
        for call in CALLS {
            assert_eq!(outcome(call), "00000", "{call}");
        }
        acme
    }

    fn all_end(calls: &[&str], code: &str, why: &str) {
        for call in calls {
            assert_eq!(outcome(call), code, "{why}: {call}");
        }
    }

    fn as_dba(sql: &str) {
        run("reset role");
        run(sql);
        become_role("tenancy_app");
    }

    #[pg_test]
    fn a_right_that_is_taken_back_is_gone_at_once() {
        things();
        as_dba("revoke select on tests.things from tenancy_app");
        all_end(&CALLS, "TN401", "nothing may be read");
        as_dba("grant select on tests.things to tenancy_app");
        as_dba("revoke insert, update on tests.things from tenancy_app");
        for call in [CALLS[0], CALLS[1], CALLS[4], CALLS[5]] {
            assert_eq!(outcome(call), "00000", "{call}");
        }
        assert_eq!(outcome(CALLS[3]), "TN403");
        assert_eq!(outcome(CALLS[7]), "TN403");
    }

    /// What one role knows is nothing to another on the same connection.
    #[pg_test]
    fn a_role_that_may_read_nothing_is_told_nothing() {
        things();
        run("reset role");
        run("create role tests_stranger in role tenancy_app;
             create role tests_nobody;
             grant usage on schema tenancy to tests_nobody;
             grant execute on all functions in schema tenancy to tests_nobody");
        become_role("tests_stranger");
        for call in [CALLS[0], CALLS[1], CALLS[4], CALLS[5]] {
            assert_eq!(outcome(call), "00000", "{call}");
        }
        run("reset role");
        become_role("tests_nobody");
        all_end(&CALLS, "TN401", "it has no right");
        run("reset role");
        run("revoke tenancy_app from tests_stranger;
             grant usage on schema tenancy to tests_stranger;
             grant execute on all functions in schema tenancy to tests_stranger");
        become_role("tests_stranger");
        all_end(&CALLS, "TN401", "it is no member any more");
    }

    #[pg_test]
    fn a_table_that_is_hidden_is_not_served() {
        let acme = things();
        become_dba();
        run("select tenancy.hide_table('things')");
        become_app_of(&acme);
        all_end(&CALLS[4..], "TN401", "it is hidden");
        assert_eq!(outcome(CALLS[0]), "00000");
    }

    #[pg_test]
    fn a_table_that_is_dropped_is_not_served() {
        things();
        let oid = text("select 'tests.things'::regclass::oid::text");
        as_dba("drop table tests.things");
        all_end(&CALLS[4..], "TN401", "it is dropped");
        let gone = format!("select tenancy.get_row({oid}::oid::regclass, '1')");
        assert_eq!(outcome(&gone), "TN401");
        as_dba("create table tests.things (id int primary key, colour text)");
        all_end(&CALLS, "TN401", "it is another, and not isolated");
    }

    #[pg_test]
    fn a_column_is_told_by_the_name_and_type_that_it_has() {
        things();
        as_dba("alter table tests.things rename column note to words");
        assert_eq!(answer(CALLS[0])["words"], "x");
        assert_eq!(answer(CALLS[4])["words"], "x");
        as_dba("alter table tests.things rename to matters");
        let get = "select tenancy.get_row('tests.matters', '1')";
        assert_eq!(answer(get)["words"], "x");
        assert_eq!(answer(CALLS[4])["words"], "x");
        as_dba("alter table tests.matters alter words type int using 7, add column more uuid");
        assert_eq!(answer(get)["words"], json!(7));
        assert_eq!(answer(CALLS[4])["more"], json!(null));
    }

    /// Ids and texts, which are read without their types, are what these make of them.
    #[pg_test]
    fn texts_and_ids_are_kept_as_they_were_sent() {
        things();
        as_dba(
            "alter table tests.things add column key uuid, add column short varchar(3), add column is_on bool",
        );
        for note in ["", " ", "null", "it's \\ \" {a,b}", "ä\n\t€", "\u{10FFFF}"] {
            let sent = json!({"note": note, "key": "0192F0A0-0000-7000-8000-00000000000A", "short": "abc", "isOn": true});
            let row = answer(&format!(
                "select tenancy.update_resource('things', array['1'], {})",
                pgrx::spi::quote_literal(sent.to_string())
            ));
            assert_eq!(row["note"], note);
            assert_eq!(row["key"], "0192f0a0-0000-7000-8000-00000000000a");
            assert_eq!((&row["short"], &row["isOn"]), (&json!("abc"), &json!(true)));
        }
        for (sent, field) in [
            (json!({"key": "0192f0a000007000800000000000000a"}), "key"),
            (
                json!({"key": "0192f0a0-0000-7000-8000-00000000000g"}),
                "key",
            ),
            (json!({"key": ""}), "key"),
            (json!({"note": "a\u{0}b"}), "note"),
            (json!({"short": "abcd"}), "short"),
        ] {
            let said = complaint(&format!(
                "select tenancy.update_row('tests.things', '1', {})",
                pgrx::spi::quote_literal(sent.to_string())
            ));
            assert!(said.starts_with(&format!("TN405 {field}: ")), "{said}");
        }
        let row = answer(
            "select tenancy.update_row('tests.things', '1', '{\"note\":null,\"key\":null}')",
        );
        assert_eq!((&row["note"], &row["key"]), (&json!(null), &json!(null)));
    }
}
