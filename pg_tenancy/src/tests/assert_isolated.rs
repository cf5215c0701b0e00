//! What assert_isolated() finds: nothing in a sound table, each planted fault
//! in a broken one; and that it leaves nothing behind.

#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;

    use crate::tests::support::*;

    /// A table of notes about books, isolated by hand.
    fn notes() {
        take_turn();
        run("
            create schema library;
            create table library.books (
                tenant_id uuid not null default tenancy.current_tenant_id() references tenancy.tenants (id),
                id bigint not null generated always as identity,
                title text not null,
                primary key (tenant_id, id)
            );
            create table library.notes (
                tenant_id uuid not null default tenancy.current_tenant_id() references tenancy.tenants (id),
                id uuid not null default tenancy.uuid_v7(),
                book_id bigint,
                email text not null check (email like '%@%'),
                stars int not null check (stars between 1 and 5),
                read_from date not null,
                read_to date not null,
                primary key (tenant_id, id),
                constraint notes_email_key unique (tenant_id, email),
                constraint notes_book foreign key (tenant_id, book_id)
                    references library.books (tenant_id, id) on delete cascade,
                constraint notes_in_order check (read_to > read_from)
            );
            grant usage on schema library to tenancy_app;");
        for table in ["library.books", "library.notes"] {
            isolate(table);
        }
    }

    fn isolate(table: &str) {
        run(&format!("
            grant select, insert, update, delete on {table} to tenancy_app;
            alter table {table} enable row level security, force row level security;
            create policy tenant_boundary on {table} as restrictive for all to public
                using (tenant_id = tenancy.current_tenant_id())
                with check (tenant_id = tenancy.current_tenant_id());
            create policy all_in_tenant on {table} for all to tenancy_app using (true) with check (true)"));
    }

    /// The names of the attacks that ended like that.
    fn attacks(table: &str, ended: &str) -> String {
        maybe(&format!(
            "select string_agg(attack, ', ' order by attack collate \"C\")
             from tenancy.assert_isolated('{table}') where outcome = '{ended}'"
        ))
        .unwrap_or_default()
    }

    fn assert_sound(table: &str) {
        assert_eq!(attacks(table, "broken"), "", "{table}");
        assert_eq!(attacks(table, "skipped"), "copy", "{table}");
    }

    fn assert_finds(table: &str, expected: &[&str]) {
        let found = maybe(&format!(
            "select string_agg(attack || ': ' || outcome || ': ' || detail, E'\\n')
             from tenancy.assert_isolated('{table}')"
        ))
        .unwrap_or_default();
        for attack in expected {
            assert!(
                found.contains(&format!("{attack}: broken")),
                "{attack} should be broken:\n{found}"
            );
        }
    }

    #[pg_test]
    fn a_sound_table_holds() {
        notes();
        for table in [
            "tenancy.tasks",
            "tenancy.projects",
            "library.books",
            "library.notes",
        ] {
            assert_sound(table);
        }
        assert!(attacks("tenancy.memberships", "broken").is_empty());
    }

    #[pg_test]
    fn it_leaves_nothing_behind() {
        notes();
        let acme = tenant("acme");
        acme.task("ours");
        let everything = "select concat(
            (select count(*) from tenancy.tenants), (select count(*) from tenancy.users),
            (select count(*) from tenancy.tasks), (select count(*) from tenancy.projects),
            (select count(*) from library.notes), (select count(*) from library.books),
            current_user, current_setting('search_path'), current_setting('session_replication_role'),
            current_setting('pg_tenancy.context'), current_setting('pg_tenancy.missing_context'),
            (select count(*) from pg_class))";
        let before = text(everything);
        assert_sound("tenancy.tasks");
        assert_sound("library.notes");
        run("create table library.broken (tenant_id uuid, what library.books not null)");
        let _ = outcome("select tenancy.assert_isolated('library.broken')");
        run("drop table if exists library.broken");
        assert_eq!(text(everything), before);
    }

    #[pg_test]
    fn a_table_without_a_wall_is_found() {
        notes();
        run("alter table library.notes disable row level security");
        assert_finds(
            "library.notes",
            &[
                "read by full scan",
                "read by key",
                "count",
                "lock",
                "leaking condition",
                "row_security = off",
                "insert for the other tenant",
                "update",
                "update without a condition",
                "delete",
                "delete without a condition",
                "move to the other tenant",
                "merge",
                "upsert on library.notes_pkey as the other tenant",
                "read without a context",
                "insert without a context",
                "forge pg_tenancy.context",
                "forge other settings",
            ],
        );
    }

    #[pg_test]
    fn an_owner_who_is_not_forced_is_found() {
        notes();
        run("alter table library.notes no force row level security");
        assert_finds("library.notes", &["read as the owner"]);
        run("alter table library.notes owner to tenancy_app");
        assert_finds(
            "library.notes",
            &[
                "read by full scan",
                "insert for the other tenant",
                "truncate",
            ],
        );
    }

    #[pg_test]
    fn a_permissive_boundary_is_found() {
        notes();
        run("drop policy tenant_boundary on library.notes;
             create policy tenant_boundary on library.notes
                 using (tenant_id = tenancy.current_tenant_id())");
        assert_finds("library.notes", &["read by full scan", "update", "delete"]);
    }

    #[pg_test]
    fn a_boundary_that_checks_nothing_is_found() {
        notes();
        run("alter policy tenant_boundary on library.notes with check (true)");
        assert_finds(
            "library.notes",
            &[
                "insert for the other tenant",
                "move to the other tenant without a condition",
            ],
        );
        assert!(!attacks("library.notes", "broken").contains("read"));
    }

    #[pg_test]
    fn a_boundary_for_reading_alone_is_found() {
        notes();
        run("drop policy tenant_boundary on library.notes;
             create policy tenant_boundary on library.notes as restrictive for select
                 using (tenant_id = tenancy.current_tenant_id())");
        assert_finds(
            "library.notes",
            &[
                "update without a condition",
                "delete without a condition",
                "insert for the other tenant",
            ],
        );
    }

    #[pg_test]
    fn a_reference_that_leaves_the_tenant_out_is_found() {
        notes();
        run("alter table library.books add unique (id);
             alter table library.notes drop constraint notes_book;
             alter table library.notes add constraint notes_book foreign key (book_id)
                 references library.books (id) on delete cascade");
        assert_finds(
            "library.notes",
            &[
                "reference the other's row through notes_book",
                "cascade over notes_book to library.notes",
            ],
        );
        assert_finds(
            "library.books",
            &[
                "cascade over notes_book to library.notes",
                "probe for a value by books_id_key",
            ],
        );
    }

    #[pg_test]
    fn a_unique_constraint_that_leaves_the_tenant_out_is_found() {
        notes();
        run("create unique index notes_of_all on library.notes (lower(email)) where stars > 0");
        assert_finds("library.notes", &["probe for a value by notes_of_all"]);
        assert_eq!(
            attacks("library.notes", "broken"),
            "probe for a value by notes_of_all"
        );
    }

    #[pg_test]
    fn what_is_checked_at_the_end_of_a_transaction_is_found() {
        notes();
        run("alter table library.books add unique (id);
             alter table library.notes alter constraint notes_book deferrable initially deferred;
             alter table library.notes add column nights int4range not null,
                 add constraint one_at_a_time exclude using gist (nights with &&) deferrable initially deferred,
                 add constraint notes_stars unique (tenant_id, stars) include (email) deferrable initially deferred");
        let broken = attacks("library.notes", "broken");
        assert_eq!(broken, "probe for a value by one_at_a_time");
        run("alter table library.notes drop constraint notes_book;
             alter table library.notes add constraint notes_book foreign key (book_id)
                 references library.books (id) deferrable initially deferred");
        assert_finds(
            "library.notes",
            &[
                "reference the other's row through notes_book",
                "cascade over notes_book to library.notes",
            ],
        );
    }

    #[pg_test]
    fn who_has_entered_is_a_person() {
        notes();
        run("alter table library.notes
                 add column author_id uuid not null,
                 alter column author_id set default tenancy.current_user_id(),
                 add foreign key (tenant_id, author_id) references tenancy.memberships (tenant_id, user_id);
             create function library.sign() returns trigger language plpgsql as $$
                 begin new.author_id := tenancy.current_user_id(); return new; end $$;
             create trigger sign before insert on library.notes
                 for each row execute function library.sign()");
        assert_eq!(attacks("library.notes", "broken"), "");
        assert_eq!(attacks("library.notes", "skipped"), "copy");
    }

    #[pg_test]
    fn privileges_past_the_policies_are_found() {
        notes();
        run("grant truncate, references, trigger on library.notes to public");
        assert_eq!(
            attacks("library.notes", "broken"),
            "references, trigger, truncate"
        );
    }

    #[pg_test]
    fn views_that_read_as_their_owner_are_found() {
        notes();
        run("create view library.open as select stars from library.notes;
             create view library.open_above as select count(*) from library.open;
             create view library.closed with (security_invoker) as select * from library.notes;
             create view library.private as select * from library.notes;
             create materialized view library.copied as select * from library.notes;
             grant select on library.open, library.open_above, library.closed, library.copied to tenancy_app");
        assert_eq!(
            attacks("library.notes", "broken"),
            "read through library.copied, read through library.open, read through library.open_above"
        );
    }

    #[pg_test]
    fn a_policy_on_a_plain_setting_is_found() {
        notes();
        for setting in ["app.current_tenant_id", "library.whose"] {
            run(&format!(
                "drop policy tenant_boundary on library.notes;
                 create policy tenant_boundary on library.notes as restrictive
                     using (tenant_id = nullif(current_setting('{setting}', true), '')::uuid)"
            ));
            assert_finds(
                "library.notes",
                &[
                    "forge other settings",
                    "forge other settings without a context",
                ],
            );
        }
    }

    #[pg_test]
    fn partitions_are_attacked_by_their_own_names() {
        take_turn();
        run("
            create schema library;
            grant usage on schema library to tenancy_app;
            create table library.events (
                tenant_id uuid not null default tenancy.current_tenant_id(),
                at timestamptz not null default '1999-01-01',
                what text not null
            ) partition by range (at);
            create table library.events_2020 partition of library.events
                for values from ('2020-01-01') to ('2021-01-01');
            create table library.events_2021 partition of library.events
                for values from ('2021-01-01') to ('2022-01-01')");
        isolate("library.events");
        let skipped = "copy, read by key, upsert";
        assert_eq!(attacks("library.events", "broken"), "");
        assert_eq!(attacks("library.events", "skipped"), skipped);
        run("grant select, insert, update on library.events_2021 to tenancy_app");
        assert_finds(
            "library.events",
            &[
                "read library.events_2021 by its own name",
                "update library.events_2021 by its own name",
                "insert into library.events_2021 by its own name",
            ],
        );
        isolate("library.events_2021");
        assert_eq!(attacks("library.events", "broken"), "");
    }

    #[pg_test]
    fn a_column_of_an_exotic_type_asks_for_a_sample() {
        notes();
        run("create type library.shape as (width int, height int);
             alter table library.notes add shape library.shape not null");
        assert!(
            complaint("select tenancy.assert_isolated('library.notes')")
                .starts_with("TN823 shape: no value can be made up for column \"shape\""),
        );
        for sample in [
            r#"{"shape": {"width": 1, "height": 2}}"#,
            r#"{"shape": "(1,2)", "stars": 4}"#,
            r#"[{"shape": "(1,2)"}, {"shape": "(3,4)"}]"#,
        ] {
            let broken = number(&format!(
                "select count(*) from tenancy.assert_isolated('library.notes', '{sample}') where outcome <> 'held'"
            ));
            assert_eq!(broken, 1, "{sample}");
        }
        for (sample, code) in [
            ("[]", "TN824 : "),
            ("1", "TN824 : "),
            (r#"[{}, 1]"#, "TN824 : "),
            (r#"{"shapes": "(1,2)"}"#, "TN824 shapes: "),
            (r#"{"shape": "(1,2,3)"}"#, "TN824 : "),
            (r#"{"shape": "(1,2)", "stars": 7}"#, "TN823 : "),
        ] {
            let complaint = complaint(&format!(
                "select tenancy.assert_isolated('library.notes', '{sample}')"
            ));
            assert!(complaint.starts_with(code), "{sample}: {complaint}");
        }
    }

    #[pg_test]
    fn a_trigger_that_refuses_rows_leaves_the_rest_to_be_tried() {
        notes();
        run(
            "create function library.refuse() returns trigger language plpgsql
                 as $$ begin raise exception 'closed'; end $$;
             create trigger refuse before insert or update on library.notes
                 for each row execute function library.refuse()",
        );
        assert_eq!(attacks("library.notes", "broken"), "");
        // What the trigger stops proves nothing about the policy.
        assert!(attacks("library.notes", "skipped").contains("insert for the other tenant"));
        run("alter table library.notes disable row level security");
        assert_finds("library.notes", &["read by full scan", "delete"]);
    }

    #[pg_test]
    fn names_may_be_anything() {
        take_turn();
        run(r#"create schema "My ""Schema""";
             grant usage on schema "My ""Schema""" to tenancy_app;
             create type "My ""Schema"""."Kind" as enum ('it''s', 'B');
             create table "My ""Schema"""."Order" (
                 "Tenant ""Id""" uuid not null default tenancy.current_tenant_id() references tenancy.tenants (id),
                 "select" uuid not null default gen_random_uuid(),
                 "user" "My ""Schema"""."Kind" not null,
                 "%I it's" varchar(3) not null,
                 "Parent" uuid,
                 primary key ("Tenant ""Id""", "select"),
                 constraint "The ""parent""" foreign key ("Tenant ""Id""", "Parent")
                     references "My ""Schema"""."Order" ("Tenant ""Id""", "select"),
                 constraint "No 1's" unique ("Tenant ""Id""", "%I it's")
             );
             create view "My ""Schema"""."The View" with (security_invoker) as select * from "My ""Schema"""."Order";
             grant select on "My ""Schema"""."The View" to tenancy_app;
             grant select, insert, update, delete on "My ""Schema"""."Order" to tenancy_app;
             alter table "My ""Schema"""."Order" enable row level security, force row level security;
             create policy tenant_boundary on "My ""Schema"""."Order" as restrictive for all to public
                 using ("Tenant ""Id""" = tenancy.current_tenant_id())
                 with check ("Tenant ""Id""" = tenancy.current_tenant_id());
             create policy everything on "My ""Schema"""."Order" to tenancy_app using (true)"#);
        assert_sound(r#""My ""Schema"""."Order""#);
    }

    #[pg_test]
    fn it_says_why_it_can_not_attack() {
        notes();
        let acme = tenant("acme");
        run("create table library.shared (id int);
             create view library.view as select * from library.notes");
        for (relation, code) in [
            ("library.shared", "TN820"),
            ("library.view", "TN820"),
            ("tenancy.tenants", "TN820"),
            ("tenancy.users", "TN820"),
            ("library.nothing", "42P01"),
        ] {
            assert_eq!(
                outcome(&format!("select tenancy.assert_isolated('{relation}')")),
                code,
                "{relation}"
            );
        }
        let attack = "select tenancy.assert_isolated('library.notes')";
        assert_eq!(
            outcome("select tenancy.assert_isolated(0::regclass)"),
            "TN820"
        );
        assert_eq!(
            outcome(&format!("set transaction_read_only = on; {attack}")),
            "TN822"
        );
        assert_eq!(
            outcome(&format!("create temp table residue (id int); {attack}")),
            "TN843"
        );
        become_app_of(&acme);
        assert_eq!(outcome(attack), "42501");
        run("reset role");
        assert_eq!(outcome(attack), "TN821");
    }

    /// A function of somebody's on the search path is not called for the DBA.
    #[pg_test]
    fn nobodys_function_runs_for_the_dba() {
        take_turn();
        // A sequence tells, though everything is rolled back.
        run("create sequence tests.calls;
             grant usage on sequence tests.calls to public;
             create function public.hashtextextended(text, int) returns bigint language plpgsql as
                 $$ begin return nextval('tests.calls'); end $$");
        let broken = text(
            "select string_agg(attack, ', ') from tenancy.assert_isolated('tenancy.projects')
             where outcome = 'broken' having count(*) > 0 union all select 'none' limit 1",
        );
        assert_eq!(broken, "none");
        assert_eq!(text("select is_called::text from tests.calls"), "false");
    }
}
