//! Functions that clients may call.

#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;
    use serde_json::{Value, json};

    use crate::tests::support::*;

    fn make(head: &str, body: &str) {
        run("create schema if not exists desk");
        run("grant usage on schema desk to tenancy_app");
        run(&format!("create function desk.{head} as $f${body}$f$"));
    }

    fn expose(function: &str) {
        run(&format!(
            "select tenancy.expose_function('desk.{function}')"
        ));
    }

    fn call(name: &str, arguments: &str) -> String {
        format!("select tenancy.call_function('{name}', '{arguments}')")
    }

    /// What the DBA is told of a function that can't be exposed.
    fn refusal(head: &str, body: &str, function: &str) -> String {
        make(head, body);
        complaint(&format!(
            "select tenancy.expose_function('desk.{function}')"
        ))
    }

    fn add_task() {
        make(
            "add_task(title text, project_id uuid default null, at timestamptz default now())
             returns tenancy.tasks language sql volatile",
            "insert into tenancy.tasks (title, project_id) values (title, project_id) returning *",
        );
        expose("add_task(text, uuid, timestamptz)");
    }

    #[pg_test]
    fn a_function_is_called_with_named_arguments_and_gives_a_row() {
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        add_task();
        become_app_of(&acme);
        let made = answer(&call(
            "add_task",
            &format!(r#"{{"projectId":"{}","title":"a \"b\""}}"#, acme.project),
        ));
        assert_eq!(made["title"], "a \"b\"");
        assert_eq!(made["tenantId"], json!(acme.id));
        assert_eq!(made["projectId"], json!(acme.project));
        assert_eq!(made["assigneeId"], Value::Null);
        // Exactly as the row functions write it.
        let id = made["id"].as_str().expect("an id");
        assert_eq!(
            answer(&format!("select tenancy.get_row('tenancy.tasks', '{id}')")),
            made
        );
        // Another tenant's project is none.
        assert_eq!(
            outcome(&call(
                "add_task",
                &format!(r#"{{"projectId":"{}","title":"x"}}"#, globex.project)
            )),
            "23503"
        );
    }

    #[pg_test]
    fn arguments_are_checked_and_named() {
        let acme = tenant("acme");
        run("create domain public.percent as integer check (value between 0 and 100)");
        make(
            "rate(task_id uuid, share public.percent, tags text[] default '{}', whole bigint default 5) returns json language sql stable",
            "select json_build_object('share', share, 'tags', tags, 'whole', whole)",
        );
        expose("rate(uuid, public.percent, text[], bigint)");
        become_app_of(&acme);
        let id = uuid::Uuid::nil();
        assert_eq!(
            answer(&call(
                "rate",
                &format!(r#"{{"taskId":"{id}","share":7,"tags":["a","b,c"]}}"#)
            )),
            json!({"share": 7, "tags": ["a", "b,c"], "whole": 5})
        );
        for (arguments, refused) in [
            (
                r#"{"taskId":"x","share":7}"#.to_owned(),
                "TN405 taskId: \"taskId\" must be a UUID in a string",
            ),
            (
                format!(r#"{{"taskId":"{id}","share":"7"}}"#),
                "TN405 share: \"share\" must be a whole number",
            ),
            (
                format!(r#"{{"taskId":"{id}","share":101}}"#),
                "TN405 share: \"share\" must be a whole number",
            ),
            (
                format!(r#"{{"taskId":"{id}","share":99999999999}}"#),
                "TN405 share: \"share\" must be a whole number",
            ),
            (
                format!(r#"{{"taskId":"{id}"}}"#),
                "TN410 share: \"share\" is required",
            ),
            (
                format!(r#"{{"taskId":"{id}","share":1,"task_id":1}}"#),
                "TN402 task_id: \"task_id\" is not an argument of rate",
            ),
            (r#"[]"#.to_owned(), "TN405 : a JSON object is needed"),
            (
                r#"{"share":1,"share":2}"#.to_owned(),
                "TN405 share: \"share\" is given twice",
            ),
        ] {
            assert_eq!(complaint(&call("rate", &arguments)), refused, "{arguments}");
        }
        // What is given as null is NULL, and not the default.
        assert_eq!(
            answer(&call(
                "rate",
                &format!(r#"{{"taskId":"{id}","share":null,"whole":null}}"#)
            )),
            json!({"share": null, "tags": [], "whole": null})
        );
    }

    #[pg_test]
    fn answers_have_the_shape_of_what_is_returned() {
        let acme = tenant("acme");
        for (head, body) in [
            ("nothing() returns void language sql", "select 1"),
            ("number() returns bigint language sql", "select 7::bigint"),
            (
                "moment() returns timestamptz language sql",
                "select timestamptz '2026-01-02 03:04:05+00'",
            ),
            (
                "no_row() returns tenancy.tasks language sql",
                "select null::tenancy.tasks",
            ),
            (
                "words() returns setof text language sql",
                "values ('a'), (null), ('\"')",
            ),
            (
                "one_column() returns table (total_count integer) language sql",
                "values (1), (2)",
            ),
            (
                "two_columns() returns table (a_b integer, \"since when\" date) language sql",
                "values (1, date '2026-01-02')",
            ),
            (
                "pair(out left_side integer, out right_side integer[]) language sql",
                "select 1, array[2, 3]",
            ),
            (
                "none() returns setof integer language sql",
                "select 1 where false",
            ),
        ] {
            make(head, body);
            let name = head.split('(').next().expect("a name");
            expose(&format!("{name}()"));
        }
        become_app_of(&acme);
        for (name, expected) in [
            ("nothing", json!(null)),
            ("number", json!(7)),
            ("moment", json!("2026-01-02T03:04:05.000000Z")),
            ("no_row", json!(null)),
            ("words", json!(["a", null, "\""])),
            ("one_column", json!([{"totalCount": 1}, {"totalCount": 2}])),
            (
                "two_columns",
                json!([{"aB": 1, "since when": "2026-01-02"}]),
            ),
            ("pair", json!({"leftSide": 1, "rightSide": [2, 3]})),
            ("none", json!([])),
        ] {
            assert_eq!(answer(&call(name, "{}")), expected, "{name}");
        }
    }

    #[pg_test]
    fn too_many_rows_are_refused_and_not_cut() {
        let acme = tenant("acme");
        make(
            "count_to(n integer) returns setof integer language sql stable",
            "select generate_series(1, n)",
        );
        expose("count_to(integer)");
        become_app_of(&acme);
        let page = answer(&call("count_to", r#"{"n":1000}"#));
        assert_eq!(page.as_array().map(Vec::len), Some(1000));
        assert_eq!(outcome(&call("count_to", r#"{"n":1001}"#)), "TN423");
    }

    #[pg_test]
    fn what_a_function_raises_goes_on_as_it_is() {
        let acme = tenant("acme");
        make(
            "refuse() returns void language plpgsql",
            "begin raise exception 'the class is full' using hint = 'Try another.'; end",
        );
        make(
            "refuse_by_role() returns void language plpgsql",
            "begin raise exception 'owners only' using errcode = 'TN201'; end",
        );
        expose("refuse()");
        expose("refuse_by_role()");
        become_app_of(&acme);
        assert_eq!(
            complaint(&call("refuse", "{}")),
            "P0001 : the class is full"
        );
        assert_eq!(
            complaint(&call("refuse_by_role", "{}")),
            "TN201 : owners only"
        );
    }

    #[pg_test]
    fn without_a_tenant_no_function_is_called() {
        tenant("acme");
        make(
            "number() returns integer language sql immutable",
            "select 1",
        );
        expose("number()");
        become_role("tenancy_app");
        assert_eq!(outcome(&call("number", "{}")), "TN001");
        run("reset role");
        run("set local pg_tenancy.missing_context = 'empty'");
        become_role("tenancy_app");
        assert_eq!(outcome(&call("number", "{}")), "TN001");
    }

    /// An IMMUTABLE function is a lie when it reads rows; the lie must not become
    /// another tenant's answer.
    #[pg_test]
    fn what_a_function_gave_one_tenant_is_not_kept_for_the_next() {
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        acme.task("of acme");
        globex.task("of globex");
        for volatility in ["immutable", "stable", "volatile"] {
            make(
                &format!("{volatility}_titles() returns text language plpgsql {volatility}"),
                "begin return (select string_agg(title, ',') from tenancy.tasks); end",
            );
            expose(&format!("{volatility}_titles()"));
        }
        for volatility in ["immutable", "stable", "volatile"] {
            let name = format!("{volatility}_titles");
            become_app_of(&acme);
            assert_eq!(answer(&call(&name, "{}")), json!("of acme"));
            become_dba();
            become_app_of(&globex);
            assert_eq!(answer(&call(&name, "{}")), json!("of globex"), "{name}");
            become_dba();
        }
    }

    #[pg_test]
    fn a_viewer_calls_what_does_not_write() {
        let acme = tenant("acme");
        let vera = member(&acme, "vera", "viewer");
        add_task();
        make(
            "titles() returns setof text language sql stable",
            "select title from tenancy.tasks",
        );
        expose("titles()");
        acme.task("seen");
        become_person(&acme, vera);
        assert_eq!(answer(&call("titles", "{}")), json!(["seen"]));
        assert_eq!(outcome(&call("add_task", r#"{"title":"x"}"#)), "25006");
    }

    #[pg_test]
    fn a_function_that_is_dropped_or_made_a_definer_is_not_there() {
        let acme = tenant("acme");
        make("number() returns integer language sql", "select 1");
        make("other() returns integer language sql", "select 2");
        expose("number()");
        expose("other()");
        run("alter function desk.number() security definer");
        run("drop function desk.other()");
        become_app_of(&acme);
        assert_eq!(
            complaint(&call("number", "{}")),
            "TN424 : there is no function \"number\""
        );
        assert_eq!(outcome(&call("other", "{}")), "TN424");
        become_dba();
        assert_eq!(
            text("select tenancy_private.described_functions('tenancy_app')::text"),
            "[]"
        );
        // Its name is free again.
        make("number(n integer) returns integer language sql", "select n");
        expose("number(integer)");
        become_app_of(&acme);
        assert_eq!(answer(&call("number", r#"{"n":3}"#)), json!(3));
    }

    #[pg_test]
    fn the_function_that_was_exposed_is_called_and_no_other_of_its_name() {
        let acme = tenant("acme");
        make(
            "pick(n bigint, more integer default 1) returns text language sql",
            "select 'exposed'",
        );
        expose("pick(bigint, integer)");
        make(
            "pick(n bigint) returns text language sql security definer",
            "select 'fewer'",
        );
        make(
            "pick(n integer, more integer default 1) returns text language sql",
            "select 'integer'",
        );
        become_app_of(&acme);
        assert_eq!(answer(&call("pick", r#"{"n":1}"#)), json!("exposed"));
        assert_eq!(
            answer(&call("pick", r#"{"n":1,"more":2}"#)),
            json!("exposed")
        );
    }

    #[pg_test]
    fn a_name_is_no_sql() {
        let acme = tenant("acme");
        make(
            r#""b"";drop"("a""; x" text, "$1" text default $d$'; drop table x; --$d$) returns text language sql"#,
            r#"select "a""; x" || "$1""#,
        );
        run(r#"select tenancy.expose_function('desk."b"";drop"(text, text)', 'odd')"#);
        become_app_of(&acme);
        assert_eq!(
            answer(&call("odd", r#"{"a\"; x":"1 "}"#)),
            json!("1 '; drop table x; --")
        );
        assert_eq!(outcome(&call(r#"''; drop"#, "{}")), "TN424");
    }

    #[pg_test]
    fn what_cannot_be_served_is_refused_with_the_reason() {
        run("create type public.pair as (a integer)");
        for (head, body, function, reason) in [
            (
                "a() returns integer language sql security definer",
                "select 1",
                "a()",
                "SECURITY DEFINER",
            ),
            (
                "b(integer) returns integer language sql",
                "select 1",
                "b(integer)",
                "without a name",
            ),
            (
                "c(x anyelement) returns anyelement language sql",
                "select x",
                "c(anyelement)",
                "polymorphic",
            ),
            (
                "d(variadic x integer[]) returns integer language sql",
                "select 1",
                "d(integer[])",
                "VARIADIC",
            ),
            (
                "e() returns trigger language plpgsql",
                "begin return new; end",
                "e()",
                "trigger's",
            ),
            (
                "f() returns record language sql",
                "select 1, 2",
                "f()",
                "only a caller can say",
            ),
            (
                "g(x public.pair) returns integer language sql",
                "select 1",
                "g(public.pair)",
                "takes a row",
            ),
            (
                "h(a_b integer, \"aB\" integer) returns integer language sql",
                "select 1",
                "h(integer, integer)",
                "two of its arguments",
            ),
            (
                "i(out a_b integer, out \"aB\" integer) language sql",
                "select 1, 2",
                "i()",
                "two of its columns",
            ),
            (
                "j(x public.pair[]) returns integer language sql",
                "select 1",
                "j(public.pair[])",
                "takes a row",
            ),
        ] {
            let said = refusal(head, body, function);
            assert!(said.starts_with("TN440") && said.contains(reason), "{said}");
        }
        run("create procedure desk.p() language sql as 'select 1'");
        run("create aggregate desk.total(integer) (sfunc = int4pl, stype = integer)");
        for (function, reason) in [
            ("desk.p()", "procedure"),
            ("desk.total(integer)", "aggregate"),
            ("now()", "system"),
            ("tenancy.enter(text)", "pg_tenancy"),
        ] {
            let said = complaint(&format!("select tenancy.expose_function('{function}')"));
            assert!(said.starts_with("TN440") && said.contains(reason), "{said}");
        }
        assert_eq!(outcome("select tenancy.expose_function(null)"), "TN440");
    }

    #[pg_test]
    fn names_and_grants_are_looked_at() {
        make("fine() returns integer language sql", "select 1");
        make("\"Fine\"() returns integer language sql", "select 1");
        let expose = |arguments: &str| format!("select tenancy.expose_function({arguments})");
        assert_eq!(outcome(&expose("'desk.fine()'")), "00000");
        // Again: no effect.
        assert_eq!(outcome(&expose("'desk.fine()'")), "00000");
        assert_eq!(outcome(&expose("'desk.\"Fine\"()'")), "TN441");
        assert_eq!(outcome(&expose("'desk.\"Fine\"()', 'fine'")), "TN441");
        assert_eq!(
            outcome(&expose("'desk.\"Fine\"()', 'also-fine_2'")),
            "00000"
        );
        assert_eq!(outcome(&expose("'desk.\"Fine\"()', E'fine\\n'")), "TN441");
        run("revoke execute on function desk.fine() from public");
        assert_eq!(outcome(&expose("'desk.fine()'")), "TN443");
        run("grant execute on function desk.fine() to tenancy_app");
        run("revoke usage on schema desk from tenancy_app");
        assert_eq!(outcome(&expose("'desk.fine()'")), "TN443");

        assert_eq!(outcome("select tenancy.hide_function('fine')"), "00000");
        assert_eq!(outcome("select tenancy.hide_function('fine')"), "TN442");
    }

    #[pg_test]
    fn only_the_dba_exposes_outside_of_a_tenant() {
        let acme = tenant("acme");
        make("fine() returns integer language sql", "select 1");
        let expose = "select tenancy.expose_function('desk.fine()')";
        run(&format!("select tenancy.set_tenant_context('{}')", acme.id));
        assert_eq!(outcome(expose), "TN444");
        become_dba();
        become_role("tenancy_admin");
        assert_eq!(outcome(expose), "42501");
        become_role("tenancy_app");
        assert_eq!(outcome("select from tenancy.exposed_functions"), "42501");
    }

    #[pg_test]
    fn a_function_is_described_for_clients() {
        make(
            "enrol(student_id uuid, note varchar default null, days date[] default null) returns table (seat integer) language sql stable",
            "select 1",
        );
        run("comment on function desk.enrol(uuid, varchar, date[]) is 'Enrols.'");
        expose("enrol(uuid, varchar, date[])");
        let described: Value = serde_json::from_str(&text(
            "select tenancy_private.described_functions('tenancy_app')::text",
        ))
        .expect("JSON");
        assert_eq!(
            described,
            json!([{
                "name": "enrol", "comment": "Enrols.", "isReading": true,
                "arguments": [
                    {"name": "studentId", "type": "uuid", "elementType": null, "isRequired": true},
                    {"name": "note", "type": "varchar", "elementType": null, "isRequired": false},
                    {"name": "days", "type": "array", "elementType": "date", "isRequired": false},
                ],
                "returns": {"type": "json", "elementType": null, "isSet": true,
                    "fields": [{"name": "seat", "type": "int4", "elementType": null}]},
            }])
        );
    }
}
