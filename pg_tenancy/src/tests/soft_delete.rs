//! Tables that keep deleted rows, out of sight.

#[pgrx::pg_schema]
pub mod tests {
    use pgrx::prelude::*;

    use crate::tests::support::*;

    /// Notes of two tenants, softly deleted.
    pub fn notes() -> [Tenant; 2] {
        let both = [tenant("acme"), tenant("globex")];
        run("create table public.notes (
                 tenant_id uuid not null references tenancy.tenants (id),
                 id integer not null,
                 title text not null,
                 changes integer not null default 0,
                 primary key (tenant_id, id))");
        run("select tenancy.isolate_table('public.notes')");
        run("select tenancy.enable_soft_delete('public.notes', '10 days')");
        for tenant in &both {
            run(&format!(
                "insert into notes (tenant_id, id, title) select '{}', n, 'note ' || n from generate_series(1, 3) as n",
                tenant.id
            ));
        }
        both
    }

    fn seen() -> String {
        maybe("select string_agg(id::text, ' ' order by id) from notes").unwrap_or_default()
    }

    /// As the DBA: the deleted rows of all tenants.
    fn kept() -> i64 {
        become_dba();
        number("select count(*) from notes where deleted_at is not null")
    }

    #[pg_test]
    fn a_deleted_row_is_out_of_sight_and_kept() {
        let [acme, _] = notes();
        become_app_of(&acme);
        // As an ORM does it, and counts what it has deleted.
        assert_eq!(
            text(
                "with gone as (delete from notes where id = 2 returning id, deleted_at)
                  select id || ' ' || (deleted_at = now()) from gone"
            ),
            "2 true"
        );
        assert_eq!(seen(), "1 3");
        assert_eq!(
            text(
                "select count(*)::text from notes as a join notes as b using (id) where a.title like 'note%'"
            ),
            "2"
        );
        assert_eq!(maybe("select tenancy.get_row('notes', '2')::text"), None);
        assert_eq!(
            answer("select tenancy.list_rows('notes', '{\"count\":\"exact\"}')")["total"],
            2
        );
        assert_eq!(kept(), 1);
    }

    #[pg_test]
    fn every_form_of_delete_is_soft() {
        let [acme, _] = notes();
        let row = format!(
            "insert into notes (tenant_id, id, title) values ('{}', 9, 'x')",
            acme.id
        );
        for sql in [
            "delete from notes where id = 9",
            "delete from notes as n using notes as o where n.id = o.id and o.id = 9",
            "delete from only notes where id = 9",
            "with gone as (delete from notes where id = 9 returning *) select count(*) from gone",
            "select tenancy.delete_row('notes', '9')",
            "do $$ begin delete from notes where id = 9; assert found; end $$",
            "do $$ declare c cursor for select * from notes where id = 9 for update; r record;
             begin open c; fetch c into r; delete from notes where current of c; end $$",
            "do $$ begin execute 'delete from notes where id = $1' using 9; end $$",
        ] {
            run(&row);
            become_app_of(&acme);
            assert_eq!(outcome(sql), "00000", "{sql}");
            assert_eq!(seen(), "1 2 3", "{sql}");
            assert_eq!(kept(), 1, "{sql}");
            run("delete from notes where id = 9");
        }
    }

    #[pg_test]
    fn a_delete_through_a_view_is_soft() {
        let [acme, _] = notes();
        run(
            "create view public.titles with (security_invoker = on) as select id, title from notes where id < 3",
        );
        run("grant select, delete on titles to tenancy_app");
        become_app_of(&acme);
        assert_eq!(
            text(
                "with gone as (delete from titles returning id) select string_agg(id::text, ' ' order by id) from gone"
            ),
            "1 2"
        );
        assert_eq!(seen(), "3");
        assert_eq!(number("select count(*) from titles"), 0);
        assert_eq!(kept(), 2);
    }

    #[pg_test]
    fn a_delete_without_a_condition_takes_this_tenants_rows_alone() {
        let [acme, globex] = notes();
        become_app_of(&acme);
        run("delete from notes");
        assert_eq!(seen(), "");
        // What is deleted isn't deleted again.
        assert_eq!(
            text("with gone as (delete from notes returning 1) select count(*)::text from gone"),
            "0"
        );
        assert_eq!(kept(), 3);
        become_app_of(&globex);
        assert_eq!(seen(), "1 2 3");
    }

    #[pg_test]
    fn a_prepared_delete_stays_soft_and_goes_back_when_that_is_disabled() {
        let [acme, _] = notes();
        run("prepare gone as delete from notes where id = $1");
        run("grant select, delete on notes to tenancy_app");
        for id in 1..=3 {
            become_app_of(&acme);
            run(&format!("execute gone({id})"));
            assert_eq!(kept(), id);
        }
        // The DBA's is for good, and of all tenants.
        run("execute gone(3)");
        assert_eq!(number("select count(*) from notes"), 4);
        run("delete from notes where deleted_at is not null");
        run("select tenancy.disable_soft_delete('notes')");
        run(&format!(
            "insert into notes (tenant_id, id, title) values ('{}', 1, 'x')",
            acme.id
        ));
        become_app_of(&acme);
        run("execute gone(1)");
        become_dba();
        assert_eq!(number("select count(*) from notes"), 2);
    }

    #[pg_test]
    fn deleted_at_is_written_by_deleting_alone() {
        let [acme, _] = notes();
        become_app_of(&acme);
        run("delete from notes where id = 1");
        for (sql, expected) in [
            ("update notes set deleted_at = now() where id = 2", "42501"),
            ("update notes set deleted_at = now()", "42501"),
            (
                "insert into notes (id, title, deleted_at) values (7, 'x', now())",
                "42501",
            ),
            (
                "insert into notes (id, title) values (1, 'x') on conflict (tenant_id, id) do update set deleted_at = null",
                "42501",
            ),
            (
                "merge into notes as n using (select 2 as id) as o on n.id = o.id when matched then delete",
                "TN422",
            ),
            ("truncate notes", "42501"),
            // No error, and no effect.
            ("update notes set deleted_at = null", "00000"),
            ("update notes set title = 'x'", "00000"),
            (
                "insert into notes (id, title) values (1, 'x') on conflict do nothing",
                "00000",
            ),
        ] {
            assert_eq!(outcome(sql), expected, "{sql}");
        }
        assert_eq!(seen(), "2 3");
        become_dba();
        assert_eq!(
            text("select title from notes where deleted_at is not null"),
            "note 1"
        );
    }

    #[pg_test]
    fn who_may_delete_needs_no_right_to_update_and_the_other_way_round() {
        let [acme, _] = notes();
        run("revoke all on notes from tenancy_app");
        run("grant select, delete on notes to tenancy_app");
        become_app_of(&acme);
        assert_eq!(outcome("delete from notes where id = 1"), "00000");
        become_dba();
        run("revoke delete on notes from tenancy_app");
        run("grant update on notes to tenancy_app");
        become_app_of(&acme);
        assert_eq!(outcome("delete from notes where id = 2"), "42501");
        become_dba();
        // The DBA's own policy about deleting is asked, too.
        run("grant delete on notes to tenancy_app");
        run(
            "create policy no_third on notes as restrictive for delete to tenancy_app using (id <> 3)",
        );
        become_app_of(&acme);
        run("delete from notes");
        assert_eq!(seen(), "3");
    }

    #[pg_test]
    fn triggers_of_updates_run_and_generated_columns_follow() {
        let [acme, _] = notes();
        run(
            "alter table notes add column is_gone boolean generated always as (deleted_at is not null) stored",
        );
        run(
            "create function public.count_changes() returns trigger language plpgsql
             as $$ begin new.changes := old.changes + 1; return new; end $$",
        );
        run(
            "create trigger count_changes before update of deleted_at on notes for each row execute function public.count_changes()",
        );
        become_app_of(&acme);
        run("delete from notes where id = 1");
        become_dba();
        assert_eq!(
            text("select changes || ' ' || is_gone from notes where deleted_at is not null"),
            "1 true"
        );
    }

    #[pg_test]
    fn a_cascade_deletes_for_good() {
        let [acme, _] = notes();
        run("create table public.lines (
                 tenant_id uuid not null, id integer not null, note_id integer not null,
                 primary key (tenant_id, id),
                 foreign key (tenant_id, note_id) references notes (tenant_id, id) on delete cascade)");
        run("select tenancy.isolate_table('lines')");
        run("select tenancy.enable_soft_delete('lines')");
        // Not a superuser: row-level security is forced on the owner.
        run("create role keeper");
        run("alter table lines owner to keeper");
        run(&format!(
            "insert into lines (tenant_id, id, note_id) values ('{}', 1, 1), ('{}', 2, 2)",
            acme.id, acme.id
        ));
        become_app_of(&acme);
        // Soft: the line of a note that is deleted softly stays.
        run("delete from notes where id = 1");
        assert_eq!(number("select count(*) from lines"), 2);
        become_dba();
        run("delete from notes where id = 1");
        assert_eq!(number("select count(*) from lines"), 1);
        // And so where the application deletes a parent for good.
        run("delete from notes where deleted_at is not null");
        run("select tenancy.disable_soft_delete('notes')");
        become_app_of(&acme);
        run("delete from notes where id = 2");
        become_dba();
        assert_eq!(number("select count(*) from lines"), 0);
    }

    #[pg_test]
    fn reads_keep_their_index_and_their_estimate() {
        let [acme, _] = notes();
        run("create index notes_title on notes (tenant_id, title) where deleted_at is null");
        run(&format!(
            "insert into notes (tenant_id, id, title) select '{}', n, 'note ' || n from generate_series(10, 5000) as n",
            acme.id
        ));
        run("analyze notes");
        run("set local pg_tenancy.explain = 'allow'");
        become_app_of(&acme);
        // An index that leaves deleted rows out is good for a query that doesn't speak of them.
        let plan = text(
            "select string_agg(p, E'\\n') from tests.plan('select id from notes where title = ''note 77''') as p",
        );
        assert!(plan.contains("notes_title"), "{plan}");
        let newest = text(
            "select string_agg(p, E'\\n') from tests.plan('select * from notes order by id desc limit 20') as p",
        );
        assert!(
            newest.contains("notes_pkey") && !newest.contains("Sort"),
            "{newest}"
        );
        let estimate = text(
            "select substring(p from 'rows=(\\d+)') from tests.estimate('select * from notes') as p limit 1",
        );
        let rows: f64 = estimate.parse().expect("a number");
        assert!((4000.0..6000.0).contains(&rows), "{estimate}");
    }

    #[pg_test]
    fn trusted_operators_stay_trusted() {
        let [acme, _] = notes();
        run("create index notes_changes on notes (tenant_id, (title::text) text_pattern_ops)");
        run("create index notes_number on notes ((changes::numeric))");
        run(&format!(
            "insert into notes (tenant_id, id, title, changes) select '{}', n, 'x', n from generate_series(10, 5000) as n",
            acme.id
        ));
        run("analyze notes");
        run("set local pg_tenancy.explain = 'allow'");
        run("set local pg_tenancy.trusted_operators = 'numeric'");
        become_app_of(&acme);
        let query = "select id from notes where changes::numeric = 77";
        let plan = text(&format!(
            "select string_agg(p, E'\\n') from tests.plan('{query}') as p"
        ));
        assert!(plan.contains("notes_number"), "{plan}");
        run("delete from notes where changes = 77");
        assert_eq!(
            maybe(
                &format!("{query}::text")
                    .replace("select id", "select id::text")
                    .replace("77::text", "77")
            ),
            None
        );
    }

    #[pg_test]
    fn the_attacks_on_an_isolated_table_find_nothing() {
        notes();
        assert_eq!(
            maybe(
                "select string_agg(attack || ': ' || detail, E'\\n') from tenancy.assert_isolated('notes') where outcome = 'broken'"
            ),
            None
        );
    }

    #[pg_test]
    fn partitions_are_deleted_softly_through_their_table() {
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        run(
            "create table public.events (tenant_id uuid not null, id integer not null, primary key (tenant_id, id)) partition by range (id)",
        );
        run("create table public.events_low partition of events for values from (0) to (10)");
        run("create table public.events_high partition of events for values from (10) to (100)");
        run("select tenancy.isolate_table('events')");
        run("select tenancy.enable_soft_delete('events', '1 day')");
        for tenant in [&acme, &globex] {
            run(&format!(
                "insert into events (tenant_id, id) values ('{}', 1), ('{}', 11)",
                tenant.id, tenant.id
            ));
        }
        become_app_of(&acme);
        run("delete from events");
        assert_eq!(number("select count(*) from events"), 0);
        become_dba();
        assert_eq!(
            number("select count(*) from events where deleted_at is not null"),
            2
        );
        run(
            "update events set deleted_at = now() - interval '2 days' where deleted_at is not null",
        );
        assert_eq!(number("select tenancy.purge_deleted()"), 2);
        assert_eq!(number("select count(*) from events"), 2);
        assert_eq!(
            number("select count(*) from tenancy.lint() where rule = 'soft_delete_broken'"),
            0
        );
    }

    #[pg_test]
    fn what_cannot_have_soft_delete_is_refused_with_the_reason() {
        let acme = tenant("acme");
        run("create table public.plain (id integer primary key)");
        for (definition, reason) in [
            ("deleted_at timestamp", "no timestamptz"),
            ("deleted_at timestamptz default now()", "a default"),
            ("deleted_at timestamptz not null", "NOT NULL"),
        ] {
            run(&format!(
                "create table public.odd (tenant_id uuid not null, id integer not null, {definition}, primary key (tenant_id, id))"
            ));
            run("select tenancy.isolate_table('odd')");
            let said = complaint("select tenancy.enable_soft_delete('odd')");
            assert!(said.starts_with("TN445") && said.contains(reason), "{said}");
            run("drop table odd");
        }
        for (call, expected) in [
            ("enable_soft_delete('plain')", "TN445"),
            ("enable_soft_delete('tenancy.tasks')", "TN445"),
            ("enable_soft_delete(null)", "TN445"),
            ("enable_soft_delete('plain', '-1 day')", "TN446"),
            ("enable_soft_delete('plain', null)", "TN446"),
            ("disable_soft_delete('plain')", "TN447"),
            ("disable_soft_delete(null)", "TN447"),
        ] {
            assert_eq!(
                outcome(&format!("select tenancy.{call}")),
                expected,
                "{call}"
            );
        }
        run(
            "create table public.odd (tenant_id uuid not null, id integer not null, primary key (tenant_id, id))",
        );
        run("select tenancy.isolate_table('odd')");
        run(
            "create trigger soft_delete before delete on odd for each row execute function tsvector_update_trigger()",
        );
        assert_eq!(outcome("select tenancy.enable_soft_delete('odd')"), "TN445");
        run(&format!("select tenancy.set_tenant_context('{}')", acme.id));
        assert_eq!(
            outcome("select tenancy.enable_soft_delete('plain')"),
            "TN444"
        );
    }

    #[pg_test]
    fn deleted_rows_are_not_shown_by_disabling_or_releasing() {
        let [acme, _] = notes();
        become_app_of(&acme);
        run("delete from notes where id = 1");
        become_dba();
        assert_eq!(
            outcome("select tenancy.disable_soft_delete('notes')"),
            "TN448"
        );
        assert_eq!(outcome("select tenancy.release_table('notes')"), "TN448");
        // Nor by isolating once more.
        run("select tenancy.isolate_table('notes', replace_policies => true)");
        become_app_of(&acme);
        assert_eq!(seen(), "2 3");
    }

    #[pg_test]
    fn lint_finds_a_broken_soft_delete_and_mends_it() {
        let [acme, _] = notes();
        let found =
            || number("select count(*) from tenancy.lint() where rule = 'soft_delete_broken'");
        assert_eq!(found(), 0);
        for damage in [
            "drop policy without_deleted on notes",
            "alter policy without_deleted on notes using (true)",
            "drop trigger soft_delete on notes",
            "alter table notes disable trigger soft_delete",
            "revoke delete on notes from tenancy_purger",
        ] {
            run(damage);
            assert_eq!(found(), 1, "{damage}");
            let fix = text("select fix from tenancy.lint() where rule = 'soft_delete_broken'");
            run(&fix);
            assert_eq!(found(), 0, "{fix}");
        }
        become_app_of(&acme);
        run("delete from notes where id = 1");
        assert_eq!(kept(), 1);
    }
}
