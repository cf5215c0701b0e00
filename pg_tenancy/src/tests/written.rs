//! What is written belongs to the tenant that was entered, however it got its value.

#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;

    use crate::tests::support::*;

    /// acme has five rows, globex one; acme has entered.
    fn shop() -> [Tenant; 2] {
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        run("create schema shop;
             create table shop.docs (id int primary key, title text, n int);
             select tenancy.isolate_table('shop.docs')");
        run(&format!(
            "insert into shop.docs (tenant_id, id, title, n)
             select '{0}', i, 'mine ' || i, i from generate_series(1, 5) as i;
             insert into shop.docs (tenant_id, id, title, n) values ('{1}', 100, 'theirs', 100);
             grant usage on schema shop to public;
             create function shop.move() returns trigger language plpgsql as $$
             begin
                 new.tenant_id := '{1}';
                 return new;
             end $$",
            acme.id, globex.id
        ));
        become_app_of(&acme);
        [acme, globex]
    }

    /// How each of these ends, the first time and once its plan is kept.
    fn outcomes(statements: &[&str]) -> Vec<String> {
        let each = statements.iter().flat_map(|statement| [statement; 2]);
        each.map(|statement| outcome(statement)).collect()
    }

    fn rows_of(tenant: &Tenant) -> i64 {
        become_dba();
        number(&format!(
            "select count(*) from shop.docs where tenant_id = '{}'",
            tenant.id
        ))
    }

    #[pg_test]
    fn a_value_that_names_another_tenant_is_refused() {
        let [acme, globex] = shop();
        let other = globex.id;
        for statement in [
            format!("insert into shop.docs (tenant_id, id) values ('{other}', 200)"),
            format!("insert into shop.docs (id, tenant_id) select 200, '{other}'"),
            format!("insert into shop.docs (id, tenant_id) values (6, default), (200, '{other}')"),
            format!(
                "insert into shop.docs (id, tenant_id) values (200, coalesce('{other}'::uuid, tenancy.current_tenant_id()))"
            ),
            format!("update shop.docs set tenant_id = '{other}' where id = 1"),
            format!(
                "update shop.docs set (title, tenant_id) = (select 'x', '{other}'::uuid) where id = 1"
            ),
            format!(
                "insert into shop.docs (id) values (1) on conflict (tenant_id, id) do update set tenant_id = '{other}'"
            ),
            format!(
                "with w as (insert into shop.docs (id, tenant_id) values (200, '{other}') returning id) select id from w"
            ),
            format!(
                "merge into shop.docs as d using (values (1)) as v (id) on d.id = v.id when matched then update set tenant_id = '{other}'"
            ),
            format!(
                "merge into shop.docs as d using (values (9)) as v (id) on d.id = v.id when not matched then insert (tenant_id, id) values ('{other}', 9)"
            ),
        ] {
            assert_eq!(outcome(&statement), "42501", "{statement}");
        }
        assert_eq!(rows_of(&globex), 1);
        assert_eq!(rows_of(&acme), 5);
    }

    /// Also one that comes after the plans were made and kept.
    #[pg_test]
    fn what_a_trigger_makes_of_a_row_is_asked() {
        let [acme, globex] = shop();
        run(
            "prepare adding (int) as insert into shop.docs (id) values ($1);
             prepare changing (int) as update shop.docs set title = 'x' where id = $1;
             set local plan_cache_mode = force_generic_plan",
        );
        let [add, change] = ["execute adding (%)", "execute changing (1)"];
        assert_eq!(outcome(&add.replace('%', "6")), "00000");
        assert_eq!(outcome(change), "00000");
        for (event, adding, changing) in [
            ("insert", "42501", "00000"),
            ("update", "00000", "42501"),
            ("insert or update", "42501", "42501"),
        ] {
            run("reset role");
            run(&format!(
                "create trigger moving before {event} on shop.docs for each row execute function shop.move()"
            ));
            become_role("tenancy_app");
            let id = 10 + event.len();
            assert_eq!(
                outcome(&add.replace('%', &id.to_string())),
                adding,
                "{event}"
            );
            assert_eq!(outcome(change), changing, "{event}");
            assert_eq!(
                outcome(&format!(
                    "select tenancy.insert_row('shop.docs', '{{\"id\":{}}}')",
                    id + 100
                )),
                adding,
                "{event}"
            );
            assert_eq!(
                outcome("select tenancy.update_row('shop.docs', '2', '{\"title\":\"y\"}')"),
                changing,
                "{event}"
            );
            run("reset role");
            run("drop trigger moving on shop.docs");
            become_role("tenancy_app");
        }
        run("deallocate adding; deallocate changing");
        assert_eq!(rows_of(&globex), 1);
        assert_eq!(rows_of(&acme), 8);
    }

    #[pg_test]
    fn what_a_trigger_of_a_part_makes_of_a_row_is_asked() {
        let [acme, globex] = shop();
        become_dba();
        run(
            "create table shop.parts (id int primary key, title text) partition by range (id);
             create table shop.part partition of shop.parts for values from (0) to (100);
             create table shop.olds (id int primary key, title text);
             create table shop.old (primary key (id)) inherits (shop.olds);
             select tenancy.isolate_table('shop.parts'), tenancy.isolate_table('shop.olds')",
        );
        run(&format!(
            "insert into shop.parts (tenant_id, id) values ('{0}', 1); insert into shop.old (tenant_id, id) values ('{0}', 1)",
            acme.id
        ));
        for part in ["part", "old"] {
            run(&format!(
                "create trigger moving before insert or update on shop.{part} for each row execute function shop.move()"
            ));
        }
        become_app_of(&acme);
        for statement in [
            "insert into shop.parts (id) values (2)",
            "update shop.parts set title = 'x' where id = 1",
            "update shop.olds set title = 'x' where id = 1",
            "update shop.old set title = 'x' where id = 1",
            "insert into shop.old (id) values (2)",
        ] {
            let ended = outcomes(&[statement]);
            // A partition takes no row of which its own trigger makes another's.
            assert!(
                ended.iter().all(|code| code == "42501"),
                "{statement}: {ended:?}"
            );
        }
        become_dba();
        for table in ["parts", "olds"] {
            let theirs = format!(
                "select count(*) from shop.{table} where tenant_id = '{}'",
                globex.id
            );
            assert_eq!(number(&theirs), 0, "{table}");
        }
    }

    /// Policies of the DBA's own, with the words of the boundary in one half only.
    #[pg_test]
    fn a_condition_for_reading_is_none_for_writing_and_the_other_way_round() {
        let [_, globex] = shop();
        become_dba();
        run(&format!(
            "create table shop.made (tenant_id uuid, other uuid, title text,
                 copied uuid generated always as (other) stored);
             insert into shop.made values ('{0}', null, 'theirs');
             grant select, insert, update on shop.made to tenancy_app;
             alter table shop.made enable row level security, force row level security;
             create policy reading on shop.made for select using (true);
             create policy adding on shop.made for insert with check (tenant_id = tenancy.current_tenant_id());
             create policy changing on shop.made for update using (true) with check (tenant_id = tenancy.current_tenant_id());
             create table shop.computed (like shop.made including all);
             grant select, insert, update on shop.computed to tenancy_app;
             alter table shop.computed enable row level security, force row level security;
             create policy boundary on shop.computed using (copied = tenancy.current_tenant_id())",
            globex.id
        ));
        let acme = text("select id::text from tenancy.tenants where slug = 'acme'");
        run(&format!(
            "insert into shop.computed (tenant_id, other) values ('{acme}', '{acme}')"
        ));
        become_role("tenancy_gateway");
        run(&format!("select tenancy.set_tenant_context('{acme}')"));
        become_role("tenancy_app");
        let other = globex.id;
        for (statement, code) in [
            ("update shop.made set title = 'x'".to_owned(), "42501"),
            (
                "insert into shop.made (tenant_id) values (tenancy.current_tenant_id())".to_owned(),
                "00000",
            ),
            (
                "insert into shop.made (title) values ('nobody''s')".to_owned(),
                "42501",
            ),
            (
                format!("update shop.computed set other = '{other}'"),
                "42501",
            ),
            ("update shop.computed set title = 'x'".to_owned(), "00000"),
            (
                format!("insert into shop.computed (other) values ('{other}')"),
                "42501",
            ),
        ] {
            assert_eq!(outcome(&statement), code, "{statement}");
        }
    }

    #[pg_test]
    fn without_a_tenant_nothing_is_written() {
        let [acme, globex] = shop();
        run(
            "prepare adding (int) as insert into shop.docs (id) values ($1);
             prepare changing as update shop.docs set title = 'x' where id = 1",
        );
        assert_eq!(outcome("execute adding (6)"), "00000");
        assert_eq!(outcome("execute changing"), "00000");
        for (mode, adding, changing) in [("error", "TN001", "TN001"), ("empty", "42501", "00000")] {
            become_dba();
            run(&format!("set local pg_tenancy.missing_context = '{mode}'"));
            become_role("tenancy_app");
            for (statement, code) in [
                ("insert into shop.docs (id) values (7)", adding),
                (
                    "update shop.docs set title = 'nobody''s' where id = 1",
                    changing,
                ),
                ("execute changing", changing),
            ] {
                assert_eq!(outcome(statement), code, "{mode}: {statement}");
            }
            assert_ne!(outcome("execute adding (7)"), "00000", "{mode}");
        }
        assert_eq!(rows_of(&acme), 6);
        assert_eq!(rows_of(&globex), 1);
        assert_eq!(
            number("select count(*) from shop.docs where title = 'nobody''s'"),
            0
        );
    }

    /// Through a view, too, and where a plan was made for another role.
    #[pg_test]
    fn a_plan_is_for_who_made_it() {
        let [acme, globex] = shop();
        run("reset role");
        run(
            "create view shop.seen with (security_invoker) as select * from shop.docs;
             create view shop.owned as select * from shop.docs;
             alter view shop.owned owner to tenancy_owner;
             grant select, insert, update on shop.seen, shop.docs to tenancy_app, tenancy_owner",
        );
        let other = globex.id;
        run(&format!(
            "prepare adding (int) as insert into shop.docs (id) values ($1);
             prepare moving as update shop.docs set tenant_id = '{other}' where id = 2;
             prepare changing as update shop.docs set title = 'x' where id in (1, 100) returning id;
             set local plan_cache_mode = force_generic_plan"
        ));
        // Whom no policy holds has made the plans.
        run("execute adding (50)");
        become_role("tenancy_app");
        assert_eq!(outcome("execute moving"), "42501");
        assert_eq!(
            number(
                "with c as (update shop.docs set title = 'x' where id in (1, 100) returning id) select count(*) from c"
            ),
            1
        );
        run("execute changing");
        assert_eq!(
            outcome(&format!(
                "update shop.seen set tenant_id = '{other}' where id = 1"
            )),
            "42501"
        );
        assert_eq!(
            outcome(&format!(
                "insert into shop.seen (tenant_id, id) values ('{other}', 70)"
            )),
            "42501"
        );
        assert_eq!(outcome("insert into shop.seen (id) values (70)"), "00000");
        become_dba();
        assert_eq!(text("select title from shop.docs where id = 100"), "theirs");
        assert_eq!(rows_of(&globex), 1);
        assert_eq!(rows_of(&acme), 7);
    }

    /// What a statement that shows something shows.
    fn lines(sql: &str) -> String {
        Spi::connect(|client| {
            let rows = client.select(sql, None, &[]).expect(sql);
            let lines = rows.filter_map(|row| row.get::<String>(1).expect("a line"));
            lines.collect::<Vec<_>>().join("\n")
        })
    }

    /// The plan is shown whole, also after it has run.
    #[pg_test]
    fn a_plan_shows_the_boundary_where_it_is() {
        shop();
        run("reset role");
        run("set local pg_tenancy.explain = 'allow'");
        become_role("tenancy_app");
        run("set local enable_seqscan = off; set local enable_bitmapscan = off;
             set local plan_cache_mode = force_generic_plan;
             prepare one (int) as select title from shop.docs where id = $1;
             prepare counted (int) as select count(id) from shop.docs where id > $1;
             prepare locked (int) as select title from shop.docs where id = $1 for update;
             prepare changed (int) as update shop.docs set title = 'x' where id = $1;
             prepare joined (int) as select a.title from shop.docs as a join shop.docs as b on b.id = a.n where a.id = $1");
        for name in ["one", "counted", "locked", "changed", "joined"] {
            for way in [
                "explain (costs off)",
                "explain (analyze, costs off)",
                "explain (costs off)",
            ] {
                run(&format!("execute {name} (1)"));
                let plan = lines(&format!("{way} execute {name} (1)"));
                let boundaries = plan
                    .matches("tenant_id = tenancy.current_tenant_id()")
                    .count();
                let scans = plan.matches("Index Cond").count();
                assert!(scans > 0 && boundaries == scans, "{way} {name}: {plan}");
            }
            run(&format!("deallocate {name}"));
        }
    }
}
