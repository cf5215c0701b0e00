//! How PostgreSQL finds the rows: by the tenant's part of an index, always.

#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;

    use crate::tests::support::*;

    fn plan(query: &str) -> String {
        text(&format!(
            "select string_agg(l, E'\\n') from tests.plan({}) as l",
            pgrx::spi::quote_literal(query)
        ))
    }

    /// 200 tenants of 20 tasks, and one of 5,000.
    fn many() -> Tenant {
        let big = tenant("big");
        run(&format!(
            "insert into tenancy.tenants (name, slug) select 't' || n, 't' || n from generate_series(1, 200) as n;
             insert into tenancy.tasks (tenant_id, title) select id, 'x' from tenancy.tenants, generate_series(1, 20);
             insert into tenancy.tasks (tenant_id, title) select '{}', 'x' from generate_series(1, 5000);
             analyze tenancy.tasks",
            big.id
        ));
        run("set local pg_tenancy.explain = 'allow'");
        big
    }

    #[pg_test]
    fn a_list_is_a_backward_scan_of_the_primary_key() {
        let big = many();
        become_app_of(&big);
        let plan = plan("select * from tenancy.tasks order by id desc limit 20");
        assert!(
            plan.contains("Index Scan Backward using tasks_pkey"),
            "{plan}"
        );
        assert!(
            plan.contains("Index Cond: (tenant_id = tenancy.current_tenant_id())"),
            "{plan}"
        );
        assert!(!plan.contains("Sort") && !plan.contains("Filter"), "{plan}");
    }

    /// As the row functions have it: once for all values.
    fn generic_plan(query: &str, values: &str) -> String {
        run("set local plan_cache_mode = force_generic_plan; set local enable_seqscan = off");
        run(&format!("prepare page as {query}"));
        let plan = plan(&format!("execute page ({values})"));
        run("deallocate page");
        plan
    }

    #[pg_test]
    fn a_list_goes_on_from_a_cursor_where_the_index_has_it() {
        let big = many();
        run("create index tasks_created on tenancy.tasks (tenant_id, created_at, id)");
        become_app_of(&big);
        let id = "'01890000-0000-7000-8000-000000000000'";
        for (query, values, condition) in [
            (
                "select * from tenancy.tasks where row(id) operator(pg_catalog.<) row($1) order by id desc limit $2",
                format!("{id}, 21"),
                "AND (id < $1)",
            ),
            (
                "select * from tenancy.tasks where row(created_at, id) operator(pg_catalog.<) row($1, $2)
                 order by created_at desc, id desc limit $3",
                format!("now(), {id}, 21"),
                "AND (ROW(created_at, id) < ROW($1, $2))",
            ),
            (
                "select * from tenancy.tasks where created_at operator(pg_catalog.=) $1 and row(id) operator(pg_catalog.<) row($2)
                 order by created_at, id desc limit $3",
                format!("now(), {id}, 21"),
                "AND (created_at = $1) AND (id < $2)",
            ),
        ] {
            let plan = generic_plan(query, &values);
            assert!(plan.contains("Index Scan"), "{plan}");
            assert!(plan.contains(condition), "{plan}");
            assert!(!plan.contains("Sort") && !plan.contains("Filter"), "{plan}");
        }
    }

    /// How many rows of the tasks this transaction has read by an index.
    fn read_by_index() -> i64 {
        number(
            "select idx_tup_fetch from pg_stat_xact_user_tables
             where schemaname = 'tenancy' and relname = 'tasks'",
        )
    }

    #[pg_test]
    fn a_page_far_down_reads_no_row_before_it() {
        let big = many();
        run(
            "create index tasks_created on tenancy.tasks (tenant_id, created_at, id);
             update tenancy.tasks set created_at = now() - random() * interval '1 day';
             analyze tenancy.tasks",
        );
        become_app_of(&big);
        for sort in ["", "id", "createdAt", "-createdAt"] {
            let mut query = serde_json::json!({"limit": 100, "fields": "title"});
            if !sort.is_empty() {
                query["sort"] = sort.into();
            }
            for _ in 0..20 {
                query["cursor"] = list("tenancy.tasks", &query)["nextCursor"].clone();
            }
            query["limit"] = 10.into();
            let before = read_by_index();
            let page = list("tenancy.tasks", &query);
            assert_eq!(page["data"].as_array().map(Vec::len), Some(10));
            assert_eq!(read_by_index() - before, 11, "{sort}");
        }
    }

    #[pg_test]
    fn a_row_is_found_by_the_whole_primary_key() {
        let big = many();
        become_app_of(&big);
        let plan =
            plan("select * from tenancy.tasks where id = '01890000-0000-7000-8000-000000000000'");
        assert!(plan.contains("Index Scan using tasks_pkey"), "{plan}");
        assert!(plan.contains("current_tenant_id()) AND (id ="), "{plan}");
    }

    #[pg_test]
    fn members_are_found_without_reading_everybody() {
        let big = many();
        become_app_of(&big);
        run("set local enable_seqscan = off");
        let plan = plan("select id, email from tenancy.users");
        assert!(plan.contains("Index Cond: (id = ANY ($0))"), "{plan}");
    }

    /// Per tenant, because the policy calls the function directly.
    #[pg_test]
    fn the_planner_knows_how_large_a_tenant_is() {
        let big = many();
        become_app_of(&big);
        let rows = "select (regexp_match(l, 'rows=(\\d+)'))[1]::int8
                    from tests.estimate('select * from tenancy.tasks') as l limit 1";
        let estimated = number(rows);
        assert!((2500..10_000).contains(&estimated), "{estimated}");
    }

    /// 2,000 tenants of one person each, who is logged in five times.
    fn many_people() {
        run(
            "insert into tenancy.tenants (name, slug) select 't' || n, 't' || n from generate_series(1, 2000) as n;
             insert into tenancy.users (email) select t.slug || '@example.com' from tenancy.tenants as t where t.name ~ '^t[0-9]';
             insert into tenancy.memberships (tenant_id, user_id)
                 select t.id, u.id from tenancy.tenants as t join tenancy.users as u on u.email = t.slug || '@example.com';
             insert into tenancy.sessions (tenant_id, user_id, expires_at)
                 select m.tenant_id, m.user_id, now() + (n - 2) * interval '40 days'
                 from tenancy.memberships as m, generate_series(1, 5) as n where m.role = 'member';
             insert into tenancy.refresh_tokens (tenant_id, session_id, digest, expires_at)
                 select s.tenant_id, s.id, sha256(s.id::text::bytea), s.expires_at from tenancy.sessions as s;
             analyze tenancy.tenants, tenancy.users, tenancy.memberships, tenancy.sessions, tenancy.refresh_tokens",
        );
    }

    /// How often this transaction has read a whole table.
    fn whole_reads(tables: &str) -> i64 {
        number(&format!(
            "select sum(seq_scan)::bigint from pg_stat_xact_user_tables
             where schemaname = 'tenancy' and relname in ({tables})"
        ))
    }

    /// More than five times each: PostgreSQL makes a plan for all arguments then.
    #[pg_test]
    fn who_logs_in_and_out_is_found_among_many_without_reading_all() {
        const TABLES: &str = "'tenants', 'users', 'memberships', 'sessions', 'refresh_tokens'";
        add_key();
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        many_people();
        globex.add_member(acme.owner, "viewer");
        let before = whole_reads(TABLES);
        for _ in 0..8 {
            let [here, there] = [acme.log_in(), globex.log_in_as(acme.owner)];
            for call in [
                format!("refresh_session('{}')", here.refresh),
                format!("refresh_session('{}')", here.refresh),
                format!("switch_tenant('{}', 'acme')", there.token),
                format!("start_session('{}')", word(acme.owner, "session")),
                format!("list_sessions('{}')", there.token),
                format!("end_one_session('{}', '{}')", there.token, here.session),
                format!("find_password_hash('{}')", there.token),
                format!("end_session('{}')", there.token),
                format!("end_all_sessions('{}')", acme.log_in().token),
                format!("revoke_tenant('{}', 'x')", globex.id),
                format!(
                    "start_password_reset('{}', 'owner@acme.example')",
                    word(acme.owner, "reset")
                ),
            ] {
                run(&format!("select tenancy.{call}"));
            }
            run(&format!(
                "select tenancy_private.end_sessions('{}', '{}', 'removed')",
                acme.id, acme.owner
            ));
        }
        assert_eq!(whole_reads(TABLES), before);

        let before = whole_reads("'sessions'");
        assert_eq!(number("select tenancy.purge_sessions()"), 2000);
        assert_eq!(whole_reads("'sessions'"), before);
    }
}
