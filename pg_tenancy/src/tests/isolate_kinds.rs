//! Tables of every kind: those that can be isolated, in all their parts, and those
//! that are refused with a way out.

#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;

    use crate::tests::support::*;

    fn isolate(arguments: &str) -> String {
        text(&format!("select tenancy.isolate_table({arguments})"))
    }

    #[pg_test]
    fn every_partition_is_behind_the_wall() {
        take_turn();
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        run(
            "create table events (id bigserial, at date, kind text, primary key (id, at, kind)) partition by range (at)",
        );
        run(
            "create table events_20 partition of events for values from ('2020-01-01') to ('2021-01-01')",
        );
        run(
            "create table events_21 partition of events for values from ('2021-01-01') to ('2022-01-01') partition by list (kind)",
        );
        run("create table events_21_a partition of events_21 for values in ('a')");
        run("insert into events (at, kind) values ('2020-05-05', 'a'), ('2021-05-05', 'a')");
        run("grant all on events, events_20, events_21_a to public, tenancy_app");
        assert_eq!(
            outcome("select tenancy.isolate_table('events_20')"),
            "TN701"
        );
        isolate(&format!("'events', tenant => '{}'", acme.id));
        assert_eq!(
            text(
                "select string_agg(relation::text, ',' order by relation::text) from tenancy.isolated_tables where relation::text like 'events%'"
            ),
            "events,events_20,events_21,events_21_a"
        );
        become_app_of(&globex);
        for part in ["events", "events_20", "events_21_a"] {
            assert_eq!(number(&format!("select count(*) from {part}")), 0, "{part}");
            assert_eq!(outcome(&format!("truncate {part}")), "42501", "{part}");
        }
        run("insert into events (at, kind) values ('2020-06-06', 'x')");
        assert_eq!(number("select count(*) from events"), 1);
    }

    #[pg_test]
    fn a_partition_that_came_later_is_isolated_by_its_own_name() {
        take_turn();
        run(
            "create table events (id bigint, at date, primary key (id, at)) partition by range (at)",
        );
        isolate("'events'");
        run(
            "create table events_20 partition of events for values from ('2020-01-01') to ('2021-01-01')",
        );
        assert_eq!(
            maybe("select tenancy_private.tenant_column('events_20')::text"),
            None
        );
        isolate("'events_20'");
        assert_eq!(
            text("select tenancy_private.tenant_column('events_20')::text"),
            "tenant_id"
        );
    }

    #[pg_test]
    fn references_to_a_partition_get_the_tenant_and_lose_it_again() {
        take_turn();
        let acme = tenant("acme");
        run(
            "create table events (id integer, at date, primary key (id, at)) partition by range (at)",
        );
        run(
            "create table events_20 partition of events for values from ('2020-01-01') to ('2021-01-01')",
        );
        run(
            "create table guests (id integer primary key, event integer, at date,
                constraint whole foreign key (event, at) references events,
                constraint part foreign key (event, at) references events_20)",
        );
        for table in ["guests", "events"] {
            isolate(&format!("'{table}', tenant => '{}'", acme.id));
        }
        let references =
            "select string_agg(pg_get_constraintdef(oid), ';' order by conname) from pg_constraint
                where conname in ('whole', 'part')";
        assert_eq!(
            text(references),
            "FOREIGN KEY (tenant_id, event, at) REFERENCES events_20(tenant_id, id, at);FOREIGN KEY (tenant_id, event, at) REFERENCES events(tenant_id, id, at)"
        );
        text("select tenancy.release_table('events')");
        assert_eq!(
            text(references),
            "FOREIGN KEY (event, at) REFERENCES events_20(id, at);FOREIGN KEY (event, at) REFERENCES events(id, at)"
        );
    }

    #[pg_test]
    fn inheritance_children_are_isolated_with_their_parent() {
        take_turn();
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        run("create table base (id integer primary key)");
        run("create table child (extra text, primary key (id)) inherits (base)");
        run("insert into base values (1)");
        run("insert into child values (2, 'x')");
        assert_eq!(outcome("select tenancy.isolate_table('child')"), "TN701");
        isolate(&format!("'base', tenant => '{}'", acme.id));
        become_app_of(&globex);
        assert_eq!(number("select count(*) from base"), 0);
        assert_eq!(number("select count(*) from child"), 0);
        run("insert into child (id, extra) values (2, 'ours')");
        assert_eq!(number("select count(*) from base"), 1);
        assert_eq!(
            text(
                "select pg_get_constraintdef(oid) from pg_constraint where conname = 'child_pkey'"
            ),
            "PRIMARY KEY (tenant_id, id)"
        );
    }

    #[pg_test]
    fn a_part_that_another_table_shows_too_is_refused() {
        take_turn();
        run("create table base (id integer)");
        run("create table window_to (id integer)");
        run("create table child () inherits (base, window_to)");
        assert_eq!(outcome("select tenancy.isolate_table('base')"), "TN701");
        run("alter table child no inherit window_to");
        isolate("'base'");
    }

    #[pg_test]
    fn names_may_be_odd_and_long() {
        take_turn();
        let acme = tenant("acme");
        let long = "x".repeat(63);
        run("create schema \"a \"\"b\"\" ü\"");
        run(&format!(
            "create table \"a \"\"b\"\" ü\".\"{long}\" (\"select\" integer primary key, \"from'\" integer unique)"
        ));
        run(&format!(
            "create table \"a \"\"b\"\" ü\".\"Table\" (\"user\" integer primary key, \"to\" integer constraint \"Re'f\" references \"a \"\"b\"\" ü\".\"{long}\")"
        ));
        isolate(&format!(
            "'\"a \"\"b\"\" ü\".\"{long}\"', tenant_column => 'Mand\"ant', unique_per_tenant => '{{*}}'"
        ));
        isolate("'\"a \"\"b\"\" ü\".\"Table\"', tenant_column => 'group'");
        become_app_of(&acme);
        run(&format!(
            "insert into \"a \"\"b\"\" ü\".\"{long}\" values (1, 2)"
        ));
        run("insert into \"a \"\"b\"\" ü\".\"Table\" values (1, 1)");
        assert_eq!(
            outcome("insert into \"a \"\"b\"\" ü\".\"Table\" values (2, 9)"),
            "23503"
        );
    }

    #[pg_test]
    fn views_read_as_who_asks_and_copies_leave_the_reach() {
        take_turn();
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        run("create table t (id integer primary key)");
        run("insert into t values (1)");
        run("create view v as select * from t");
        run("create view w as select * from v");
        run("create materialized view m as select * from w");
        run("grant select on v, w, m to tenancy_app");
        isolate(&format!("'t', tenant => '{}'", acme.id));
        become_app_of(&globex);
        assert_eq!(number("select count(*) from v"), 0);
        assert_eq!(number("select count(*) from w"), 0);
        assert_eq!(outcome("select * from m"), "42501");
    }

    #[pg_test]
    fn what_can_not_be_isolated_is_refused() {
        take_turn();
        run("create temporary table temporary (id integer)");
        run("create unlogged table unlogged (id integer)");
        run("create table plain (id integer primary key)");
        run("create view view as select * from plain");
        run("create materialized view materialized as select * from plain");
        run("create type shape as (a integer)");
        run("create table typed of shape");
        run("create foreign data wrapper nothing");
        run("create server nowhere foreign data wrapper nothing");
        run("create foreign table abroad (id integer) server nowhere");
        run("create table split (id integer) partition by list (id)");
        run("create foreign table split_1 partition of split for values in (1) server nowhere");
        for relation in [
            "temporary",
            "unlogged",
            "view",
            "materialized",
            "typed",
            "abroad",
            "split",
            "shape",
            "plain_pkey",
            "pg_class",
            "information_schema.sql_features",
            "tenancy.tasks",
            "tenancy.users",
            "tenancy_private.backfills",
        ] {
            assert_eq!(
                outcome(&format!("select tenancy.isolate_table('{relation}')")),
                "TN701",
                "{relation}"
            );
            assert_eq!(
                outcome(&format!(
                    "select * from tenancy.plan_isolate_table('{relation}')"
                )),
                "TN701",
                "{relation}"
            );
        }
        assert_eq!(outcome("select tenancy.isolate_table('nothing')"), "42P01");
        assert_eq!(outcome("select tenancy.isolate_table(null)"), "TN701");
        assert_eq!(
            outcome("select tenancy.isolate_table(4000000000::oid::regclass)"),
            "TN701"
        );
    }

    #[pg_test]
    fn a_table_of_another_extension_is_refused() {
        take_turn();
        run("create table theirs (id integer)");
        run("insert into pg_depend values ('pg_class'::regclass, 'theirs'::regclass, 0, 'pg_extension'::regclass,
             (select oid from pg_extension where extname = 'plpgsql'), 0, 'e')");
        assert_eq!(
            complaint("select tenancy.isolate_table('theirs')"),
            "TN701 : public.theirs can't be isolated: it belongs to the extension \"plpgsql\""
        );
        run("delete from pg_depend where objid = 'theirs'::regclass and deptype = 'e'");
    }

    #[pg_test]
    fn a_column_that_can_not_hold_a_tenant_is_refused() {
        take_turn();
        run("create table numbers (id integer primary key, company integer)");
        run("create domain mine as uuid");
        run("create table domains (id integer primary key, tenant_id mine)");
        run(
            "create table made (id uuid primary key, tenant_id uuid generated always as (id) stored)",
        );
        assert_eq!(
            outcome("select tenancy.isolate_table('numbers', tenant_column => 'company')"),
            "TN702"
        );
        assert_eq!(outcome("select tenancy.isolate_table('domains')"), "TN702");
        assert_eq!(outcome("select tenancy.isolate_table('made')"), "TN702");
        isolate("'numbers'");
        assert_eq!(
            outcome("select tenancy.isolate_table('numbers', tenant_column => 'other')"),
            "TN702"
        );
    }

    #[pg_test]
    fn arguments_that_say_too_much_or_nothing_are_refused() {
        take_turn();
        let acme = tenant("acme");
        run("create table t (id integer primary key, company integer, self integer references t)");
        let id = acme.id;
        for arguments in [
            format!("tenant => '{id}', parent => 'x'"),
            "parent => 'company'".to_owned(),
            "mapping => 'select 1'".to_owned(),
            "mapping_column => 'company'".to_owned(),
            "mapping => 'nowhere', mapping_column => 'company'".to_owned(),
            "mapping => 'select ''x'', null::uuid', mapping_column => 'company'".to_owned(),
            "mapping => 'select 1, 2', mapping_column => 'company'".to_owned(),
            "mapping => 'select 1, null::uuid', mapping_column => 'nothing'".to_owned(),
            "mapping => 'select 1, null::uuid; drop table t', mapping_column => 'company'".to_owned(),
            "mapping => 'select 1, id from tenancy.tenants union all select 1, tenancy.uuid_v7()', mapping_column => 'company'".to_owned(),
            "unique_per_tenant => '{t_pkeyy}'".to_owned(),
            "parent => 'self'".to_owned(),
        ] {
            assert_eq!(
                outcome(&format!("select tenancy.isolate_table('t', {arguments})")),
                "TN705",
                "{arguments}"
            );
        }
        assert_eq!(
            maybe("select tenancy_private.tenant_column('t')::text"),
            None
        );
    }

    #[pg_test]
    fn inside_a_tenant_nothing_is_isolated_or_released() {
        take_turn();
        let acme = tenant("acme");
        run("create table t (id integer primary key)");
        run(&format!("select tenancy.set_tenant_context('{}')", acme.id));
        for call in [
            "isolate_table('t')",
            "plan_isolate_table('t')",
            "release_table('t')",
        ] {
            assert_eq!(
                outcome(&format!("select tenancy.{call}")),
                "TN707",
                "{call}"
            );
        }
    }

    #[pg_test]
    fn only_a_superuser_isolates() {
        take_turn();
        run("create table t (id integer primary key)");
        run("grant execute on function tenancy.isolate_table to tenancy_admin");
        for role in [
            "tenancy_admin",
            "tenancy_app",
            "tenancy_gateway",
            "tenancy_reporter",
        ] {
            become_role(role);
            assert_eq!(
                outcome("select tenancy.isolate_table('public.t')"),
                "42501",
                "{role}"
            );
            run("reset role");
        }
    }
}
