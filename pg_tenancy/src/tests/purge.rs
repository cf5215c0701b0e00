//! purge_deleted(): what was deleted softly goes for good, and gives nobody more rights.

#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;

    use crate::tests::soft_delete::tests::notes;
    use crate::tests::support::*;

    #[pg_test]
    fn a_purge_deletes_what_is_older_than_the_retention() {
        let [acme, globex] = notes();
        run("create table public.lines (
                 tenant_id uuid not null, id integer not null, note_id integer not null,
                 primary key (tenant_id, id),
                 foreign key (tenant_id, note_id) references notes (tenant_id, id) deferrable initially deferred)");
        run("select tenancy.isolate_table('lines')");
        run(&format!(
            "insert into lines (tenant_id, id, note_id) values ('{}', 1, 2)",
            acme.id
        ));
        for tenant in [&acme, &globex] {
            become_app_of(tenant);
            run("delete from notes");
            become_dba();
        }
        run("update notes set deleted_at = now() - interval '11 days' where id < 3");
        become_role("tenancy_admin");
        assert_eq!(number("select tenancy.purge_deleted(1)"), 1);
        // All but the one to which a line refers.
        assert_eq!(number("select tenancy.purge_deleted()"), 2);
        assert_eq!(number("select tenancy.purge_deleted()"), 0);
        assert_eq!(outcome("select tenancy.purge_deleted(0)"), "TN025");
        run("reset role");
        assert_eq!(
            text("select string_agg(id::text, ' ' order by id, tenant_id) from notes"),
            "2 3 3"
        );
        become_app_of(&acme);
        assert_eq!(outcome("select tenancy.purge_deleted()"), "42501");
    }

    /// As what it is, whoever's code it is: who it ran as and what it could read.
    const SPY: &str = "
        create table public.seen (who name, what text);
        grant insert on seen to public;
        create function public.spy() returns text language plpgsql as $$
        declare what text := 'nothing';
        begin
            begin
                select 'keys' into what from tenancy.signing_keys;
            exception when insufficient_privilege then null;
            end;
            begin
                select 'notes' into what from public.notes where current_user = 'mallory';
            exception when insufficient_privilege then null;
            end;
            insert into public.seen values (current_user, coalesce(what, 'nothing'));
            return what;
        end $$;
        create function public.spy_on_row() returns trigger language plpgsql as $$
        begin perform public.spy(); return old; end $$";

    /// Two deleted rows of a table that belongs to somebody else than the DBA.
    fn memos() {
        notes();
        run("create role mallory; grant usage on schema public to mallory");
        run(SPY);
        run("create table public.memos (id integer primary key, pages integer default 0)");
        run("alter table memos owner to mallory");
        run("select tenancy.isolate_table('memos'), tenancy.enable_soft_delete('memos', '1 day')");
        delete_memos();
        run("alter function spy() owner to mallory; alter function spy_on_row() owner to mallory");
    }

    fn delete_memos() {
        run("insert into memos (tenant_id, id, deleted_at)
             select t.id, 1, now() - interval '2 days' from tenancy.tenants as t where t.slug in ('acme', 'globex')");
    }

    fn purge() -> i64 {
        become_role("tenancy_admin");
        let purged = number("select tenancy.purge_deleted()");
        become_dba();
        purged
    }

    fn seen() -> String {
        maybe("select string_agg(distinct who || ' ' || what, ', ') from seen").unwrap_or_default()
    }

    #[pg_test]
    fn a_tables_own_code_runs_as_its_owner_in_a_purge() {
        memos();
        for code in [
            "create trigger spying before delete on memos for each row execute function spy_on_row()",
            "create trigger spying after delete on memos for each row execute function spy_on_row()",
            "create rule spying as on delete to memos do also select spy()",
            "create constraint trigger spying after delete on memos deferrable for each row execute function spy_on_row()",
        ] {
            run(code);
            assert_eq!(purge(), 2, "{code}");
            assert_eq!(seen(), "mallory nothing", "{code}");
            run("drop trigger if exists spying on memos; drop rule if exists spying on memos");
            run("truncate seen");
            delete_memos();
        }
    }

    /// At the commit it would run as who has called the purge.
    #[pg_test]
    fn no_code_of_a_table_waits_for_the_end_of_a_purge() {
        memos();
        run("create table public.marks (id integer); alter table marks owner to mallory");
        run(
            "create constraint trigger spying after insert on marks deferrable initially deferred
             for each row execute function spy_on_row()",
        );
        run("create function public.mark() returns trigger language plpgsql as $$
             begin set constraints all deferred; insert into public.marks values (1); return old; end $$");
        run("create trigger marking before delete on memos for each row execute function mark()");
        assert_eq!(purge(), 0);
        run("set constraints all immediate");
        assert_eq!(seen(), "");
        // The others' rows are purged nevertheless.
        run("update notes set deleted_at = now() - interval '11 days'");
        assert_eq!(purge(), 6);
    }

    #[pg_test]
    fn the_dbas_tables_are_purged_by_who_may_nothing_else() {
        memos();
        run(
            "create trigger spying before delete on notes for each row execute function spy_on_row()",
        );
        run("update notes set deleted_at = now() - interval '11 days'");
        run("drop table memos");
        assert_eq!(purge(), 6);
        assert_eq!(seen(), "tenancy_purger nothing");
        for table in ["tenancy.signing_keys", "tenancy.tasks"] {
            become_role("tenancy_purger");
            let refused = outcome(&format!("select from {table}"));
            assert!(
                ["42501", "42P01"].contains(&refused.as_str()),
                "{table}: {refused}"
            );
            run("reset role");
        }
    }

    /// What waits in the caller's transaction is the caller's.
    #[pg_test]
    fn triggers_that_wait_before_a_purge_run_as_the_caller() {
        memos();
        run("create table public.marks (id integer); grant insert on marks to tenancy_admin");
        run(
            "create constraint trigger spying after insert on marks deferrable initially deferred
             for each row execute function spy_on_row()",
        );
        become_role("tenancy_admin");
        run("insert into marks values (1)");
        become_dba();
        purge();
        assert_eq!(seen(), "tenancy_admin nothing");
    }
}
