//! The row functions on a table of a DBA's own, with one column of each kind:
//! what they write is what PostgreSQL itself would say, and comes back as it went.

#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;
    use serde_json::{Value, json};

    use crate::tests::support::*;

    /// A table with odd names, isolated by hand.
    fn things() -> Tenant {
        let acme = tenant("acme");
        run(r#"
            create domain tests.percent as int check (value between 0 and 100);
            create type tests.mood as enum ('sad', 'ok');
            create table tests."Select" (
                tenant_id uuid not null default tenancy.current_tenant_id(),
                "order" bigint generated always as identity,
                a_text text, a_varchar varchar(5), a_uuid uuid, a_bool bool,
                a_small int2, an_int int4, a_big int8, a_real float4, a_double float8, a_numeric numeric(12,2),
                a_time timestamptz, a_local timestamp, a_date date, a_json json, a_jsonb jsonb,
                some_texts text[], some_ints int[], some_times timestamptz[], some_json jsonb[],
                a_percent tests.percent, a_mood tests.mood, an_inet inet, an_interval interval, some_bytes bytea,
                "Weird "" name" text, twice int generated always as (an_int * 2) stored,
                primary key (tenant_id, "order"),
                unique (tenant_id, a_text)
            );
            alter table tests."Select" enable row level security, force row level security;
            create policy tenant_boundary on tests."Select" as restrictive for all to public
                using (tenant_id = tenancy.current_tenant_id()) with check (tenant_id = tenancy.current_tenant_id());
            create policy everything on tests."Select" to tenancy_app using (true) with check (true);
            grant select, insert, update, delete on tests."Select" to tenancy_app;
        "#);
        become_app_of(&acme);
        acme
    }

    fn insert(fields: &Value) -> String {
        let fields = fields.to_string().replace('\'', "''");
        format!(r#"select tenancy.insert_row('tests."Select"', '{fields}')"#)
    }

    #[pg_test]
    fn every_kind_of_value_comes_back_as_it_went() {
        let acme = things();
        let sent = json!({
            "aText": "tab\t quote\" back\\ ünïcödé \u{1F600} \u{1} /", "aVarchar": "abcde",
            "aUuid": "0190ab12-3456-7890-abcd-ef0123456789", "aBool": true,
            "aSmall": -32768, "anInt": 1073741823, "aBig": 9007199254740993_i64,
            "aReal": 1.5, "aDouble": 0.1, "aNumeric": 1234567890.12,
            "aTime": "2026-01-02T03:04:05.678900Z", "aLocal": "2026-01-02T03:04:05.000001", "aDate": "1999-12-31",
            "aJson": {"b": [1, null, "x"]}, "aJsonb": {"a": 1},
            "someTexts": ["a", null, "b\"c\\d", "{}", ""], "someInts": [[1, 2], [3, 4]],
            "someTimes": ["2026-01-02T03:04:05.000000Z"], "someJson": [{"a": "b"}, [1]],
            "aPercent": 100, "aMood": "ok", "anInet": "10.0.0.1/8", "anInterval": "1 day 02:00:00",
            "someBytes": "\\x00ff", "Weird \" name": "odd",
        });
        let made = answer(&insert(&sent));
        for (name, value) in sent.as_object().expect("an object") {
            let (found, expected) = (&made[name], value);
            if name == "someInts" || !found.is_number() {
                assert_eq!(found, expected, "{name}");
            } else {
                assert_eq!(found.as_f64(), expected.as_f64(), "{name}");
            }
        }
        assert_eq!(made["order"], 1);
        assert_eq!(made["tenantId"], json!(acme.id));
        assert_eq!(
            answer(r#"select tenancy.get_row('tests."Select"', '1')"#),
            made
        );
    }

    #[pg_test]
    fn what_json_has_no_form_for_is_a_string() {
        things();
        run(
            r#"insert into tests."Select" (a_double, a_real, a_numeric, a_time, a_local, a_date, an_int, some_ints, some_texts)
               values ('NaN', '-Infinity', 'NaN', 'infinity', '0044-03-15 BC', '-infinity', 1, '{}', '[0:1]={x,y}')"#,
        );
        let row = answer(r#"select tenancy.get_row('tests."Select"', '1')"#);
        for (name, expected) in [
            ("aDouble", "NaN"),
            ("aReal", "-Infinity"),
            ("aNumeric", "NaN"),
            ("aTime", "infinity"),
            ("aDate", "-infinity"),
        ] {
            assert_eq!(row[name], expected, "{name}");
        }
        assert!(
            row["aLocal"]
                .as_str()
                .is_some_and(|time| time.ends_with("BC")),
            "{}",
            row["aLocal"]
        );
        assert_eq!(row["someInts"], json!([]));
        assert_eq!(row["someTexts"], json!(["x", "y"]));
        assert_eq!(row["twice"], 2);
    }

    #[pg_test]
    fn numbers_that_a_double_can_not_hold_come_exactly() {
        things();
        let big = "9223372036854775807";
        for fields in [
            format!(r#"{{"aBig":{big},"aNumeric":9999999999.99}}"#),
            format!(r#"{{"aBig":"{big}","aNumeric":"9999999999.99"}}"#),
        ] {
            let row = text(&format!(
                r#"select tenancy.insert_row('tests."Select"', '{fields}')::text"#
            ));
            assert!(
                row.contains(&format!("\"aBig\":{big}"))
                    && row.contains("\"aNumeric\":9999999999.99"),
                "{row}"
            );
        }
    }

    #[pg_test]
    fn dates_are_right_across_the_calendar() {
        things();
        run(r#"insert into tests."Select" (a_date, a_local)
               select d, d + time '23:59:59.999999'
               from generate_series(timestamp '0001-01-01', '9999-12-31', '97 days 3 hours') as s (t), lateral (select t::date as d) as x"#);
        assert_eq!(
            number(
                r#"select count(*) from tests."Select" as s,
                   lateral (select tenancy.get_row('tests."Select"', s."order"::text)::jsonb as j) as r
                   where j ->> 'aDate' <> to_char(a_date, 'YYYY-MM-DD')
                      or j ->> 'aLocal' <> to_char(a_local, 'YYYY-MM-DD"T"HH24:MI:SS.US')"#
            ),
            0
        );
        assert!(number(r#"select count(*) from tests."Select""#) > 30_000);
    }

    #[pg_test]
    fn a_value_that_its_type_refuses_names_the_field() {
        things();
        for (fields, expected) in [
            (
                json!({"aVarchar": "abcdef"}),
                "TN405 aVarchar: \"aVarchar\" is too long",
            ),
            (
                json!({"aSmall": 32768}),
                "TN405 aSmall: \"aSmall\" must be a whole number",
            ),
            (
                json!({"anInt": 1.5}),
                "TN405 anInt: \"anInt\" must be a whole number",
            ),
            (
                json!({"anInt": "1"}),
                "TN405 anInt: \"anInt\" must be a whole number",
            ),
            (
                json!({"aNumeric": 1e11}),
                "TN405 aNumeric: \"aNumeric\" must be a number",
            ),
            (
                json!({"aBool": "true"}),
                "TN405 aBool: \"aBool\" must be true or false",
            ),
            (
                json!({"aTime": "soon"}),
                "TN405 aTime: \"aTime\" must be a time in a string, as ISO 8601 writes it",
            ),
            (
                json!({"aTime": 5}),
                "TN405 aTime: \"aTime\" must be a time in a string, as ISO 8601 writes it",
            ),
            (
                json!({"aMood": "happy"}),
                "TN405 aMood: \"aMood\" is not a valid tests.mood",
            ),
            (
                json!({"anInet": "x"}),
                "TN405 anInet: \"anInet\" is not a valid inet",
            ),
            (
                json!({"someInts": ["x"]}),
                "TN405 someInts: \"someInts\" must be a whole number",
            ),
            (
                json!({"someInts": [[1], [2, 3]]}),
                "TN405 someInts: \"someInts\" must be an array",
            ),
            (
                json!({"someTexts": "x"}),
                "TN405 someTexts: \"someTexts\" must be an array",
            ),
            (
                json!({"aJsonb": "a\u{0}b"}),
                "TN405 aJsonb: \"aJsonb\" must not contain a NUL character",
            ),
            (json!({"order": 5}), "TN403 order: \"order\" can't be set"),
            (json!({"twice": 5}), "TN403 twice: \"twice\" can't be set"),
        ] {
            assert_eq!(complaint(&insert(&fields)), expected, "{fields}");
        }
        assert_eq!(outcome(&insert(&json!({"aPercent": 101}))), "23514");
        // The same letters behind a backslash are text.
        assert_eq!(outcome(&insert(&json!({"aJsonb": "\\u0000"}))), "00000");
        run(&insert(&json!({"aText": "once"})));
        assert_eq!(
            complaint(&insert(&json!({"aText": "once"}))),
            "TN412 aText: \"aText\" is taken"
        );
    }

    #[pg_test]
    fn a_table_without_a_json_form_is_refused() {
        let acme = tenant("acme");
        run(r#"create table tests.clash (
                tenant_id uuid, id int, foo_bar int, "fooBar" int, primary key (tenant_id, id));
            alter table tests.clash enable row level security, force row level security;
            create policy tenant_boundary on tests.clash as restrictive for all to public
                using (tenant_id = tenancy.current_tenant_id());
            grant select on tests.clash to tenancy_app"#);
        become_app_of(&acme);
        assert_eq!(outcome("select tenancy.list_rows('tests.clash')"), "TN401");
    }

    /// PostgreSQL's words would tell which there are.
    #[pg_test]
    fn a_name_of_what_is_not_there_is_a_value_that_its_type_refuses() {
        let acme = tenant("acme");
        run("create table tests.names (id int primary key, a_class regclass, a_type regtype, an_oper regoper);
             select tenancy.isolate_table('tests.names');
             grant select, insert on tests.names to tenancy_app");
        become_app_of(&acme);
        for (field, value, type_name) in [
            ("aClass", "gone", "regclass"),
            ("aClass", "no.such", "regclass"),
            ("aClass", "a.b.c", "regclass"),
            ("aClass", "a.b.c.d", "regclass"),
            ("aType", "gone", "regtype"),
            ("anOper", "+", "regoper"),
        ] {
            let said = complaint(&format!(
                r#"select tenancy.insert_row('tests.names', '{{"id":1,"{field}":"{value}"}}')"#
            ));
            assert_eq!(
                said,
                format!("TN405 {field}: \"{field}\" is not a valid {type_name}"),
                "{value}"
            );
        }
    }

    #[pg_test]
    fn a_filter_compares_by_what_the_type_has() {
        let acme = tenant("acme");
        run("create extension hstore schema tests;
             create table tests.odd (id int primary key, a_json json, an_xml xml, a_jsonpath jsonpath, a_point point,
                 a_box box, some_json json[], an_xid xid, a_hstore tests.hstore);
             select tenancy.isolate_table('tests.odd');
             select tenancy.expose_table('tests.odd',
                 filterable => '{a_json,an_xml,a_jsonpath,a_point,a_box,some_json,an_xid,a_hstore}');
             grant select, insert on tests.odd to tenancy_app");
        become_app_of(&acme);
        run(
            r#"select tenancy.insert_resource('odd', '{"id":1,"anXid":"7","aHstore":"a=>1","aPoint":"(1,1)"}')"#,
        );
        let filter = |field: &str, operator: &str, value: &str| {
            let filter = if field.contains("Json") && field != "aJsonpath" && field != "someJson" {
                json!({ field: value })
            } else {
                json!({ field: { operator: value } })
            };
            format!(
                "select tenancy.list_resource('odd', '{}')",
                json!({"filter": filter, "count": "exact"})
            )
        };
        for field in ["aJson", "anXml", "aJsonpath", "aPoint", "aBox", "someJson"] {
            for operator in ["eq", "ne", "in", "gt", "lte"] {
                let said = complaint(&filter(field, operator, "x"));
                assert!(said.starts_with("TN406"), "{field} {operator}: {said}");
            }
        }
        assert!(complaint(&filter("anXid", "gt", "7")).starts_with("TN406"));
        for (field, operator, value, expected) in [
            ("anXid", "eq", "7", 1),
            ("anXid", "ne", "7", 0),
            ("anXid", "in", "7,8", 1),
            ("aHstore", "eq", "a=>1", 1),
            ("aHstore", "ne", "a=>1", 0),
            ("aHstore", "gt", "a=>1", 0),
            ("aHstore", "gte", "a=>1", 1),
            ("aHstore", "lte", "a=>1", 1),
            ("aHstore", "lt", "a=>1", 0),
            ("aPoint", "is", "notNull", 1),
        ] {
            let page = answer(&filter(field, operator, value));
            assert_eq!(page["total"], expected, "{field} {operator}");
        }
    }
}
