//! Walks by cursor, sorted by every type that has an order, with NULLs and duplicates
//! as chance brings them: each row once, in the order of PostgreSQL.

#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;
    use serde_json::{Value, json};

    use crate::tests::support::*;

    /// A column, its type, and values that it takes.
    const COLUMNS: &[(&str, &str, &[&str])] = &[
        ("small", "int2", &["1", "-5", "32767"]),
        ("middle", "int4", &["1", "-5", "2147483647"]),
        (
            "large",
            "int8",
            &["1", "-9223372036854775808", "9007199254740993"],
        ),
        (
            "rough",
            "float4",
            &[
                "'NaN'",
                "'Infinity'",
                "'-Infinity'",
                "'-0'",
                "0",
                "0.1",
                "1e-40",
            ],
        ),
        (
            "double",
            "float8",
            &[
                "'NaN'",
                "'Infinity'",
                "'-0'",
                "0",
                "0.1",
                "0.10000000000000002",
                "5e-324",
            ],
        ),
        (
            "exact",
            "numeric",
            &[
                "'NaN'",
                "'Infinity'",
                "1.0",
                "1.00",
                "0.1",
                "1234567890123456789.0000000001",
            ],
        ),
        (
            "words",
            "text",
            &[
                "''",
                "'a'",
                "'A'",
                "'ä'",
                "E'quote\\'\"\\\\'",
                "E'\\n'",
                "'\u{1F600}'",
            ],
        ),
        ("code", "varchar(3)", &["'abc'", "'abd'", "''"]),
        ("padded", "char(3)", &["'a'", "'a  '", "'b'"]),
        (
            "folded",
            "text collate tests.folded",
            &["'a'", "'A'", "'b'", "'B'"],
        ),
        ("mood", "tests.mood", &["'sad'", "'ok'", "'glad'"]),
        ("percent", "tests.percent", &["0", "50", "100"]),
        ("fresh", "bool", &["true", "false"]),
        (
            "tag",
            "uuid",
            &[
                "'01890000-0000-7000-8000-000000000001'",
                "'ffffffff-ffff-ffff-ffff-ffffffffffff'",
            ],
        ),
        (
            "moment",
            "timestamptz",
            &[
                "'infinity'",
                "'-infinity'",
                "'0044-03-15 BC'",
                "'2026-01-01 00:00:00.000001+00'",
                "'2026-01-01 00:00:00.000002+00'",
                "'20000-01-01'",
            ],
        ),
        (
            "here",
            "timestamp",
            &[
                "'infinity'",
                "'-infinity'",
                "'4713-01-01 BC'",
                "'2026-01-01 00:00:00.000001'",
            ],
        ),
        (
            "day",
            "date",
            &[
                "'infinity'",
                "'-infinity'",
                "'0044-03-15 BC'",
                "'2026-01-02'",
                "'2026-02-01'",
            ],
        ),
        (
            "clock",
            "time",
            &["'24:00'", "'00:00:00.000001'", "'12:00'"],
        ),
        (
            "zoned",
            "timetz",
            &["'12:00+01'", "'11:00+00'", "'12:00+00'"],
        ),
        (
            "span",
            "interval",
            &[
                "'1 month'",
                "'30 days'",
                "'-1 day +02:00'",
                "'1 year -3 days'",
            ],
        ),
        ("bytes", "bytea", &["''", "'\\x00'", "'\\x00ff'"]),
        ("address", "inet", &["'10.0.0.1'", "'10.0.0.1/8'", "'::1'"]),
        ("price", "money", &["1.5::numeric", "-2::numeric"]),
        (
            "names",
            "text[]",
            &["array['a']", "array[null, 'b']", "'{}'"],
        ),
        (
            "moments",
            "timestamptz[]",
            &[
                "array['2026-02-01 01:00+00'::timestamptz]",
                "array['2026-01-02 01:00+00'::timestamptz]",
            ],
        ),
        (
            "period",
            "tstzrange",
            &[
                "tstzrange('2026-02-01 00:00+00', null)",
                "tstzrange('2026-01-02 00:00+00', null)",
                "'empty'",
            ],
        ),
        (
            "facts",
            "jsonb",
            &["'{\"a\": 1}'", "'[1.0]'", "'[1.00]'", "'null'"],
        ),
    ];

    /// 40 things of acme, and as many of somebody else.
    fn things() -> Tenant {
        let [globex, acme] = [tenant("globex"), tenant("acme")];
        let declared: Vec<String> = COLUMNS
            .iter()
            .map(|(name, kind, _)| format!("{name} {kind}"))
            .collect();
        run(&format!(
            "create collation tests.folded (provider = icu, locale = 'und-u-ks-level1', deterministic = false);
             create type tests.mood as enum ('sad', 'ok', 'glad');
             create domain tests.percent as int check (value between 0 and 100);
             create table tests.things (a int not null, b text not null, sure int not null, {}, primary key (a, b));
             create index on tests.things (sure)",
            declared.join(", ")
        ));
        for (name, _, _) in COLUMNS {
            run(&format!("create index on tests.things ({name})"));
        }
        run("select tenancy.isolate_table('tests.things');
             grant select on tests.things to tenancy_app");
        for tenant in [&acme, &globex] {
            run(&format!(
                "insert into tests.things (tenant_id, a, b, sure)
                 select '{}', n % 9, 'part ' || n, n % 4 from generate_series(1, 40) as n",
                tenant.id
            ));
        }
        let set: Vec<String> = COLUMNS
            .iter()
            .map(|(name, kind, values)| {
                let kind = kind.replace(" collate tests.folded", "");
                let number = values.len();
                let whens: String = (0..number)
                    .map(|i| format!(" when {i} then ({})::{kind}", values[i]))
                    .collect();
                format!("{name} = case floor(random() * {number} * 1.2)::int{whens} end")
            })
            .collect();
        run(&format!("update tests.things set {}", set.join(", ")));
        acme
    }

    fn keys(rows: &[Value]) -> Vec<(Value, Value)> {
        let key = |row: &Value| (row["a"].clone(), row["b"].clone());
        rows.iter().map(key).collect()
    }

    /// The rows as one page would have them, if it were long enough.
    fn whole(query: &Value) -> Vec<Value> {
        let mut query = query.clone();
        query["limit"] = json!(100);
        let page = list("tests.things", &query);
        assert_eq!(page.get("nextCursor"), None);
        page["data"].as_array().expect("rows").clone()
    }

    fn is_walked_whole(sort: &str) {
        let query = json!({"sort": sort, "fields": "b,a", "limit": 3});
        let (rows, _) = walk("tests.things", &query);
        assert_eq!(rows.len(), 40, "{sort}");
        assert_eq!(keys(&rows), keys(&whole(&query)), "{sort}");
    }

    #[pg_test]
    fn every_type_is_walked_in_both_directions() {
        let acme = things();
        become_app_of(&acme);
        for (column, _, _) in COLUMNS {
            for direction in ["", "-"] {
                is_walked_whole(&format!("{direction}{}", column));
            }
        }
        for sort in ["a", "-a", "b", "-b", "a,b", "-b,a", "a,-b"] {
            is_walked_whole(sort);
        }
    }

    /// Pairs of columns, one that has NULLs and one that has none among them, in all
    /// directions: as the rows stand by chance in each run.
    #[pg_test]
    fn several_columns_are_walked_in_all_directions() {
        let acme = things();
        become_app_of(&acme);
        for (first, second) in [
            ("sure", "day"),
            ("day", "sure"),
            ("day", "fresh"),
            ("mood", "padded"),
            ("folded", "exact"),
            ("double", "folded"),
            ("fresh", "a"),
        ] {
            for [one, two] in [["", ""], ["", "-"], ["-", ""], ["-", "-"]] {
                is_walked_whole(&format!("{one}{first},{two}{second}"));
                is_walked_whole(&format!("{one}{first},{two}{second},-code,b"));
            }
        }
    }

    #[pg_test]
    fn a_filtered_list_is_walked() {
        let acme = things();
        become_app_of(&acme);
        for filter in [
            json!({"day": {"is": "null"}}),
            json!({"day": {"is": "notNull"}, "sure": {"in": "1,2"}}),
            json!({"fresh": "true", "sure": {"gt": 0}}),
        ] {
            for sort in ["day", "-day,moment", "moment,-sure"] {
                let query = json!({"sort": sort, "filter": filter, "limit": 2});
                let (rows, _) = walk("tests.things", &query);
                assert_eq!(rows, whole(&query), "{query}");
            }
        }
    }

    /// A cursor that was made under one setting of a session is read under another.
    #[pg_test]
    fn settings_of_the_session_do_not_change_where_a_list_goes_on() {
        let acme = things();
        become_app_of(&acme);
        let settings = [
            ["DateStyle", "ISO, MDY", "German, DMY"],
            ["TimeZone", "UTC", "America/New_York"],
            ["IntervalStyle", "postgres", "sql_standard"],
            ["extra_float_digits", "1", "-15"],
            ["bytea_output", "hex", "escape"],
            ["client_encoding", "UTF8", "LATIN1"],
        ];
        let set = |place: usize| {
            for setting in settings {
                run(&format!("set local {} = '{}'", setting[0], setting[place]));
            }
        };
        let by_settings = ["names", "moments", "period"];
        for (column, _, _) in COLUMNS {
            set(1);
            let query = json!({"sort": column, "fields": "a,b", "limit": 20});
            let first = list("tests.things", &query);
            set(2);
            let mut query = query.clone();
            query["cursor"] = first["nextCursor"].clone();
            if by_settings.contains(column) {
                // Or it is refused.
                let said = outcome(&list_call("tests.things", &query));
                assert_eq!(said, "TN415", "{column}");
                continue;
            }
            let second = list("tests.things", &query);
            set(1);
            let rows = [first, second].map(|page| page["data"].as_array().expect("rows").clone());
            assert_eq!(
                rows.concat(),
                whole(&query_without_cursor(&query)),
                "{column}"
            );
        }
    }

    fn query_without_cursor(query: &Value) -> Value {
        let mut query = query.clone();
        query.as_object_mut().expect("an object").remove("cursor");
        query
    }

    /// citext's operators are its own, and stand where the extension was put.
    #[pg_test]
    fn a_type_of_an_extension_is_walked_whatever_the_search_path() {
        let acme = tenant("acme");
        run("create schema odd; create extension citext schema odd;
             create table tests.labels (id int primary key, label odd.citext);
             create index on tests.labels (label)");
        run(
            "select tenancy.isolate_table('tests.labels');
             grant select on tests.labels to tenancy_app; grant usage on schema odd to tenancy_app",
        );
        run(&format!(
            "insert into tests.labels (tenant_id, id, label)
             select '{}', n, (array['b', 'A', 'a', 'B', null])[1 + n % 5] from generate_series(1, 20) as n",
            acme.id
        ));
        become_app_of(&acme);
        for path in ["pg_catalog", "odd", "tests, odd, pg_catalog"] {
            run(&format!("set local search_path = {path}"));
            for sort in ["label", "-label", "-label,id"] {
                let (rows, _) = walk("tests.labels", &json!({"sort": sort, "limit": 3}));
                let whole = list("tests.labels", &json!({"sort": sort, "limit": 100}));
                assert_eq!(json!(rows), whole["data"], "{sort} {path}");
            }
        }
    }
}
