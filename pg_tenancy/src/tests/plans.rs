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
}
