//! What is asked for twice under one key is done once. Two at the same moment are in
//! `tests/`.

#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;

    use crate::tests::exposed::school;
    use crate::tests::support::*;

    /// A function that leaves a task each time it is called.
    fn add_task() {
        run("create schema desk");
        run("grant usage on schema desk to tenancy_app");
        run(
            "create function desk.add_task(title text) returns tenancy.tasks language sql volatile
             as 'insert into tenancy.tasks (title) values (title) returning *'",
        );
        run("select tenancy.expose_function('desk.add_task(text)')");
    }

    fn once(arguments: &str, key: &str) -> String {
        format!("select tenancy.call_function_once('add_task', '{arguments}', '{key}')")
    }

    fn tasks() -> i64 {
        number("select count(*) from tenancy.tasks")
    }

    #[pg_test]
    fn the_first_answer_is_given_again_whatever_became_of_the_row() {
        let acme = tenant("acme");
        add_task();
        become_app_of(&acme);
        let call = format!("select ({})::text", once(r#"{"title":"one"}"#, "k-1"));
        let first = text(&call);
        run("update tenancy.tasks set title = 'changed'");
        assert_eq!(text(&call), first);
        run("delete from tenancy.tasks");
        assert_eq!(text(&call), first);
        assert_eq!(tasks(), 0);
        // Another key is another request.
        run(&once(r#"{"title":"one"}"#, "k-2"));
        assert_eq!(tasks(), 1);
    }

    #[pg_test]
    fn another_body_or_route_under_the_key_is_refused() {
        let acme = tenant("acme");
        add_task();
        run("select tenancy.expose_function('desk.add_task(text)', 'also')");
        become_app_of(&acme);
        run(&once(r#"{"title":"one"}"#, "k"));
        assert_eq!(outcome(&once(r#"{"title":"two"}"#, "k")), "TN417");
        // Byte for byte.
        assert_eq!(outcome(&once(r#"{"title": "one"}"#, "k")), "TN417");
        assert_eq!(
            outcome(r#"select tenancy.call_function_once('also', '{"title":"one"}', 'k')"#),
            "TN417"
        );
        assert_eq!(tasks(), 1);
    }

    #[pg_test]
    fn what_failed_leaves_nothing() {
        let acme = tenant("acme");
        add_task();
        become_app_of(&acme);
        assert_eq!(outcome(&once(r#"{"title":""}"#, "k")), "23514");
        assert_eq!(outcome(&once(r#"{"title":"now"}"#, "k")), "00000");
        assert_eq!(tasks(), 1);
    }

    #[pg_test]
    fn persons_and_tenants_have_keys_of_their_own() {
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        let ann = member(&acme, "ann", "member");
        add_task();
        for (of, person) in [(&acme, acme.owner), (&acme, ann), (&globex, globex.owner)] {
            become_person(of, person);
            run(&once(r#"{"title":"x"}"#, "same"));
            run(&once(r#"{"title":"x"}"#, "same"));
        }
        become_dba();
        assert_eq!(tasks(), 3);
    }

    #[pg_test]
    fn an_expired_key_is_as_if_it_were_not() {
        let acme = tenant("acme");
        add_task();
        run(&format!(
            "insert into tenancy.idempotency_keys (tenant_id, actor, key, route, body_digest, answer, shown, expires_at)
             values ('{}', '{}', 'k', 'another', sha256(''), '1', '{{}}', clock_timestamp())",
            acme.id,
            uuid::Uuid::nil()
        ));
        become_app_of(&acme);
        run(&once(r#"{"title":"two"}"#, "k"));
        run(&once(r#"{"title":"two"}"#, "k"));
        assert_eq!(tasks(), 1);
        become_dba();
        assert_eq!(number("select count(*) from tenancy.idempotency_keys"), 1);
    }

    #[pg_test]
    fn old_keys_go_with_new_ones_and_with_a_purge() {
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        add_task();
        for of in [&acme, &globex] {
            become_app_of(of);
            for key in 0..3 {
                run(&once(r#"{"title":"x"}"#, &format!("old-{key}")));
            }
            become_dba();
        }
        run("update tenancy.idempotency_keys set expires_at = clock_timestamp()");
        become_app_of(&acme);
        run(&once(r#"{"title":"x"}"#, "new"));
        become_dba();
        let keys = || number("select count(*) from tenancy.idempotency_keys");
        // Acme's went, Globex's are still there.
        assert_eq!(keys(), 4);
        become_role("tenancy_admin");
        assert_eq!(number("select tenancy.purge_idempotency_keys(2)"), 2);
        assert_eq!(number("select tenancy.purge_idempotency_keys()"), 1);
        assert_eq!(number("select tenancy.purge_idempotency_keys()"), 0);
        assert_eq!(outcome("select tenancy.purge_idempotency_keys(0)"), "TN025");
        run("reset role");
        assert_eq!(keys(), 1);
    }

    #[pg_test]
    fn a_key_is_visible_ascii() {
        let acme = tenant("acme");
        add_task();
        become_app_of(&acme);
        let long = "x".repeat(255);
        for (key, expected) in [
            ("", "TN419"),
            ("a b", "TN419"),
            ("é", "TN419"),
            (&format!("{long}x"), "TN419"),
            (&long, "00000"),
            ("!~\"\\", "00000"),
        ] {
            assert_eq!(outcome(&once(r#"{"title":"x"}"#, key)), expected, "{key}");
        }
        assert_eq!(tasks(), 2);
    }

    #[pg_test]
    fn a_request_that_calls_itself_under_its_key_is_refused() {
        let acme = tenant("acme");
        add_task();
        run(
            "create function desk.twice() returns json language sql volatile
             as $f$select tenancy.call_function_once('twice', '{}', 'k')$f$",
        );
        run("select tenancy.expose_function('desk.twice()')");
        become_app_of(&acme);
        assert_eq!(
            outcome("select tenancy.call_function_once('twice', '{}', 'k')"),
            "TN418"
        );
    }

    #[pg_test]
    fn who_can_only_read_keeps_no_answer_and_may_ask_again() {
        let acme = tenant("acme");
        let vera = member(&acme, "vera", "viewer");
        add_task();
        run(
            "create function desk.titles() returns setof text language sql stable
             as 'select title from tenancy.tasks'",
        );
        run("select tenancy.expose_function('desk.titles()')");
        acme.task("seen");
        become_person(&acme, vera);
        let read = "select tenancy.call_function_once('titles', '{}', 'k')";
        assert_eq!(answer(read), serde_json::json!(["seen"]));
        assert_eq!(answer(read), serde_json::json!(["seen"]));
        assert_eq!(outcome(&once(r#"{"title":"x"}"#, "k")), "25006");
    }

    #[pg_test]
    fn nobody_reads_or_plants_an_answer() {
        let acme = tenant("acme");
        add_task();
        become_app_of(&acme);
        run(&once(r#"{"title":"x"}"#, "k"));
        for sql in [
            "select from tenancy.idempotency_keys",
            "insert into tenancy.idempotency_keys (actor, key, route, body_digest, answer, shown) values (null, null, null, null, null, null)",
            "delete from tenancy.idempotency_keys",
            "select tenancy_private.keep_answer('call_function add_task', '{}', 'k2', '1', '{}')",
            "select tenancy_private.kept_answer('call_function add_task', '{}', 'k', '{}')",
            "select tenancy.purge_idempotency_keys()",
        ] {
            assert_eq!(outcome(sql), "42501", "{sql}");
        }
        become_dba();
        become_role("tenancy_app");
        assert_eq!(outcome(&once(r#"{"title":"x"}"#, "k")), "TN001");
    }

    const HIRE: &str = r#"select tenancy.insert_resource_once('students', '{"fullName":"Ada","secret":"s"}', 'k')"#;

    /// Neither is the old answer given nor the work done again.
    #[pg_test]
    fn what_was_taken_back_since_is_not_in_a_first_answer() {
        let acme = school();
        run("grant select, insert on school.students to tenancy_app;
             select tenancy.expose_table('school.students')");
        become_app_of(&acme);
        let first = answer(HIRE);
        assert_eq!(first["secret"], "s");
        for (deed, expected, undone) in [
            (
                "select tenancy.expose_table('school.students', columns => '{id,full_name}')",
                "TN417",
                "select tenancy.expose_table('school.students')",
            ),
            (
                "select tenancy.hide_table('students')",
                "TN401",
                "select tenancy.expose_table('school.students')",
            ),
            (
                "select tenancy.expose_table('school.students', insertable => '{}')",
                "42501",
                "select tenancy.expose_table('school.students')",
            ),
            (
                "revoke all on school.students from tenancy_app",
                "TN401",
                "grant select, insert on school.students to tenancy_app",
            ),
            (
                "revoke select on school.students from tenancy_app;
                 grant select (id, tenant_id, full_name) on school.students to tenancy_app",
                "TN417",
                "grant select on school.students to tenancy_app",
            ),
            // More than before is no less.
            (
                "alter table school.students add column more text",
                "00000",
                "select",
            ),
        ] {
            become_dba();
            run(deed);
            become_app_of(&acme);
            assert_eq!(outcome(HIRE), expected, "{deed}");
            become_dba();
            run(undone);
            become_app_of(&acme);
            assert_eq!(answer(HIRE), first, "{undone}");
        }
        assert_eq!(number("select count(*) from school.students"), 1);
    }

    #[pg_test]
    fn a_function_that_may_not_be_called_any_more_gives_no_first_answer() {
        let acme = tenant("acme");
        add_task();
        let call = once(r#"{"title":"one"}"#, "k");
        become_app_of(&acme);
        run(&call);
        for (deed, expected, undone) in [
            (
                "revoke execute on function desk.add_task(text) from public",
                "42501",
                "grant execute on function desk.add_task(text) to public",
            ),
            (
                "revoke usage on schema desk from tenancy_app",
                "42501",
                "grant usage on schema desk to tenancy_app",
            ),
            (
                "alter function desk.add_task(text) security definer",
                "TN424",
                "alter function desk.add_task(text) security invoker",
            ),
            (
                "select tenancy.hide_function('add_task');
                 create function desk.other(title text) returns text language sql as 'select title';
                 select tenancy.expose_function('desk.other(text)', 'add_task')",
                "TN417",
                "select tenancy.hide_function('add_task');
                 select tenancy.expose_function('desk.add_task(text)')",
            ),
        ] {
            become_dba();
            run(deed);
            become_app_of(&acme);
            assert_eq!(outcome(&call), expected, "{deed}");
            become_dba();
            run(undone);
            become_app_of(&acme);
            assert_eq!(outcome(&call), "00000", "{undone}");
        }
        assert_eq!(tasks(), 1);
    }
}
