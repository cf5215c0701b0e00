//! A viewer can only read, however the write is wrapped.

#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;

    use crate::tests::support::*;

    /// What PostgreSQL says to a write in a transaction that only reads.
    const READ_ONLY: &str = "25006";

    #[pg_test]
    fn a_viewer_reads_and_writes_nothing() {
        let acme = tenant("acme");
        let vera = member(&acme, "vera", "viewer");
        let task = acme.task("Plan");
        run("create table public.notes (id int primary key, body text)");
        run("select tenancy.isolate_table('public.notes')");
        run(
            "create function public.by_definer() returns void language sql security definer
             as $$ insert into tenancy.tasks (title) values ('by the DBA') $$",
        );
        run(
            "create function public.by_setting() returns void language sql
             set transaction_read_only = off
             as $$ insert into tenancy.tasks (title) values ('by a setting') $$",
        );
        run("create sequence public.numbers; grant all on sequence public.numbers to tenancy_app");
        become_role("tenancy_app");
        run("prepare earlier as insert into tenancy.tasks (title) values ('prepared')");

        become_person(&acme, vera);
        assert_eq!(text("select title from tenancy.tasks"), "Plan");
        assert_eq!(
            answer("select tenancy.list_rows('tenancy.tasks')")["data"][0]["title"],
            "Plan"
        );
        for attempt in [
            "insert into tenancy.tasks (title) values ('x')".to_owned(),
            "update tenancy.tasks set title = 'x'".to_owned(),
            "delete from tenancy.tasks".to_owned(),
            "merge into tenancy.tasks as t using (select 1) as s on true when matched then delete".to_owned(),
            "with w as (insert into tenancy.tasks (title) values ('x') returning 1) select * from w".to_owned(),
            "select * from tenancy.tasks for update".to_owned(),
            "execute earlier".to_owned(),
            "insert into public.notes values (1, 'x')".to_owned(),
            "select public.by_definer()".to_owned(),
            "select public.by_setting()".to_owned(),
            "select nextval('public.numbers')".to_owned(),
            "do $$ begin insert into tenancy.tasks (title) values ('x'); end $$".to_owned(),
            "copy public.notes from program 'true'".to_owned(),
            "set transaction read write".to_owned(),
            "set local transaction_read_only = off".to_owned(),
            "set transaction_read_only = off".to_owned(),
            "select set_config('transaction_read_only', 'off', true)".to_owned(),
            "update pg_settings set setting = 'off' where name = 'transaction_read_only'".to_owned(),
            "reset transaction_read_only; insert into tenancy.tasks (title) values ('x')".to_owned(),
        ] {
            assert_ne!(outcome(&attempt), "00000", "{attempt}");
            // As if behind a savepoint that took it back.
            assert_ne!(
                outcome("insert into tenancy.tasks (title) values ('x')"),
                "00000",
                "after {attempt}"
            );
        }
        for write in [
            "insert into tenancy.tasks (title) values ('x')".to_owned(),
            format!("delete from tenancy.tasks where id = '{task}'"),
            "select public.by_definer()".to_owned(),
        ] {
            assert_eq!(outcome(&write), READ_ONLY, "{write}");
        }
        for write in [
            r#"select tenancy.insert_row('tenancy.tasks', '{"title":"x"}')"#.to_owned(),
            format!(r#"select tenancy.update_row('tenancy.tasks', '{task}', '{{"title":"x"}}')"#),
            format!("select tenancy.delete_row('tenancy.tasks', '{task}')"),
        ] {
            assert_eq!(outcome(&write), "TN204", "{write}");
        }
        run("reset role");
        assert_eq!(
            text("select string_agg(title, ',') from tenancy.tasks"),
            "Plan"
        );
        assert_eq!(number("select count(*) from public.notes"), 0);
    }

    /// PostgreSQL asks whether a statement may write before the statement enters.
    #[pg_test]
    fn a_viewer_does_not_write_by_the_statement_that_enters() {
        add_key();
        let acme = tenant("acme");
        let vera = member(&acme, "vera", "viewer");
        acme.task("Plan");
        run(
            "create function public.entering(token text) returns uuid language plpgsql
             as $$ begin return tenancy.enter(token); end $$",
        );
        run(
            "create function public.guarded(token text) returns uuid language sql volatile
             set transaction_read_only = on as $$ select tenancy.enter(token) $$",
        );
        let token = token_of(&acme, vera);
        become_role("tenancy_app");
        for attempt in [
            format!("insert into tenancy.tasks (title) select 'x' from tenancy.enter('{token}')"),
            format!("insert into tenancy.tasks (title) select 'x' from public.entering('{token}')"),
            format!(
                "with e as materialized (select tenancy.enter('{token}') as id), w as (insert into tenancy.tasks (title) select 'x' from e where id is not null returning 1) select * from w"
            ),
            format!(
                "with w as (insert into tenancy.tasks (title) values ('x') returning 1) select tenancy.enter('{token}')"
            ),
            format!("update tenancy.tasks set title = 'x' from tenancy.enter('{token}')"),
            format!(
                "insert into tenancy.tasks (title) values (case when tenancy.enter('{token}') is not null then 'x' end)"
            ),
            format!(
                "do $$ begin insert into tenancy.tasks (title) select 'x' from tenancy.enter('{token}'); end $$"
            ),
            format!(
                "merge into tenancy.tasks as t using (select tenancy.enter('{token}') as id) as s on t.tenant_id = s.id when not matched then insert (title) values ('x') when matched then delete"
            ),
            // What entering has set is taken back by the end of the function's own setting,
            // or of the savepoint.
            format!(
                "do $$ begin begin perform tenancy.enter('{token}'); exception when division_by_zero then null; end; insert into tenancy.tasks (title) values ('x'); end $$"
            ),
            format!(
                "do $$ begin perform public.guarded('{token}'); insert into tenancy.tasks (title) values ('x'); end $$"
            ),
        ] {
            assert_ne!(outcome(&attempt), "00000", "{attempt}");
        }
        assert_eq!(
            outcome(&format!(
                "insert into tenancy.tasks (title) select 'x' from tenancy.enter('{token}')"
            )),
            "TN204"
        );
        // And one whose member may write does, in one statement too.
        run("reset role");
        run("update tenancy.memberships set role = 'member' where role = 'viewer'");
        become_role("tenancy_app");
        run(&format!(
            "insert into tenancy.tasks (title) select 'Mine' from tenancy.enter('{token}')"
        ));
        run("reset role");
        assert_eq!(
            text("select string_agg(title, ',' order by id) from tenancy.tasks"),
            "Plan,Mine"
        );
    }

    /// Nor where no foreign key would ask once more.
    #[pg_test]
    fn a_viewer_does_not_delete_or_change_by_the_statement_that_enters() {
        add_key();
        let acme = tenant("acme");
        let vera = member(&acme, "vera", "viewer");
        acme.task("Plan");
        let token = token_of(&acme, vera);
        // Else planning asks the policy, which is TN001.
        run("set local pg_tenancy.missing_context = 'empty'");
        become_role("tenancy_app");
        // With a row for what doesn't match, PostgreSQL has to look at the source first.
        let merge = format!(
            "merge into tenancy.tasks as t using (select tenancy.enter('{token}') as id) as s on t.tenant_id = s.id
             when matched then "
        );
        for deed in ["delete", "update set title = 'x'"] {
            assert_eq!(
                outcome(&format!(
                    "{merge} {deed} when not matched then insert (title) values ('x')"
                )),
                "TN204",
                "{deed}"
            );
        }
        run("reset role");
        assert_eq!(text("select title from tenancy.tasks"), "Plan");
    }

    #[pg_test]
    fn a_refused_entry_does_not_keep_the_next_one_out() {
        add_key();
        let acme = tenant("acme");
        let vera = member(&acme, "vera", "viewer");
        let token = token_of(&acme, vera);
        become_role("tenancy_app");
        let both =
            format!("insert into tenancy.tasks (title) select 'x' from tenancy.enter('{token}')");
        assert_eq!(outcome(&both), "TN204");
        assert_eq!(outcome(&both), "TN204");
        assert_eq!(
            outcome(&format!("select tenancy.enter('{token}')")),
            "00000"
        );
        assert_eq!(text("select tenancy.current_member_role()"), "viewer");
    }

    /// Nor locks a row in the statement that enters, by a plan from before.
    #[pg_test]
    fn a_viewer_holds_up_nobody() {
        let acme = tenant("acme");
        add_key();
        let vera = member(&acme, "vera", "viewer");
        acme.task("Plan");
        let mut claims = acme.claims();
        claims["sub"] = vera.to_string().into();
        let token = sign(&claims, "test", SECRET);
        run("set local plan_cache_mode = force_generic_plan");
        run("set local pg_tenancy.missing_context = 'empty'");
        become_role("tenancy_app");
        for strength in ["update", "no key update", "share", "key share"] {
            let query = format!(
                "select t.title
                 from (select tenancy.enter('{token}') as x offset 0) as e,
                 lateral (select title from tenancy.tasks where e.x is not null for {strength}) as t"
            );
            assert_eq!(outcome(&query), "TN204", "{strength}");
        }
    }
}
