//! Plans fit the tenant: what the planner expects, and what it does, is about the rows of
//! the tenant that has been entered, as if its id stood in the query.

#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;

    use crate::tests::support::*;

    const LARGE: i64 = 60_000;
    const SMALL: i64 = 20;

    /// A tenant with many things among 300 with few, one of which comes second.
    fn things() -> [Tenant; 2] {
        let [large, small] = [tenant("large"), tenant("small")];
        run(&format!(
            "insert into tenancy.tenants (name, slug) select 't' || n, 't' || n from generate_series(1, 300) as n;
             create table public.things (
                 tenant_id uuid not null, id uuid not null default tenancy.uuid_v7() primary key, title text not null);
             insert into public.things (tenant_id, title)
             select t.id, 'A thing' from tenancy.tenants as t, generate_series(1, {SMALL}) where t.slug <> 'large';
             insert into public.things (tenant_id, title)
             select '{}', 'A thing' from generate_series(1, {LARGE});
             create table public.things_by_hand as select * from public.things;
             alter table public.things_by_hand add primary key (tenant_id, id);
             grant select on public.things_by_hand to tenancy_app;
             select tenancy.isolate_table('public.things', tenant_column => 'tenant_id');
             analyze public.things, public.things_by_hand",
            large.id
        ));
        run("set local pg_tenancy.explain = 'allow'");
        [large, small]
    }

    fn enter(tenant: &Tenant) {
        become_dba();
        become_app_of(tenant);
    }

    fn plan(query: &str) -> String {
        text(&format!(
            "select string_agg(l, E'\\n') from tests.plan({}) as l",
            pgrx::spi::quote_literal(query)
        ))
    }

    fn estimate(query: &str) -> i64 {
        number(&format!(
            "select (regexp_match(l, 'rows=(\\d+)'))[1]::int8 from tests.estimate({}) as l limit 1",
            pgrx::spi::quote_literal(query)
        ))
    }

    #[pg_test]
    fn estimates_are_within_a_factor_of_two_for_large_and_small_tenants() {
        let [large, small] = things();
        for (tenant, rows) in [(&large, LARGE), (&small, SMALL)] {
            enter(tenant);
            for query in [
                "select * from public.things",
                "select * from public.things where title = 'A thing'",
                "select * from public.things order by id desc",
            ] {
                let estimated = estimate(query);
                assert!(
                    (rows / 2..=rows * 2).contains(&estimated),
                    "{query}: {estimated} for {rows}"
                );
            }
        }
    }

    /// Why policies call the function directly: what a subquery gives is known only when
    /// the query runs, and every tenant is expected to be of the average size.
    #[pg_test]
    fn in_a_subquery_the_tenant_would_not_be_known_to_the_planner() {
        let [large, _small] = things();
        enter(&large);
        for (tenant, is_known) in [
            ("tenancy.current_tenant_id()", true),
            ("(select tenancy.current_tenant_id())", false),
        ] {
            let query = format!("select * from public.things_by_hand where tenant_id = {tenant}");
            let estimated = estimate(&query);
            assert_eq!(estimated > LARGE / 2, is_known, "{tenant}: {estimated}");
        }
    }

    #[pg_test]
    fn every_tenants_rows_come_from_the_index_and_the_newest_first_without_a_sort() {
        let [large, small] = things();
        for tenant in [&large, &small] {
            enter(tenant);
            let list = plan("select * from public.things order by id desc limit 20");
            assert!(list.contains("Index Scan Backward"), "{list}");
            let get = plan(&format!(
                "select * from public.things where id = '{}'",
                small.id
            ));
            assert!(get.contains("current_tenant_id()) AND (id ="), "{get}");
            let change = plan(&format!(
                "update public.things set title = 'x' where id = '{}'",
                small.id
            ));
            assert!(change.contains("Index Scan"), "{change}");
            let next = plan(&format!(
                "select * from public.things where id < '{}' order by id desc limit 20",
                small.id
            ));
            for plan in [list, get, next] {
                assert!(!plan.contains("Sort") && !plan.contains("Filter"), "{plan}");
                assert!(!plan.contains("Seq Scan"), "{plan}");
            }
        }
        enter(&small);
        let count = plan("select count(*) from public.things");
        assert!(count.contains("Index Cond: (tenant_id ="), "{count}");
    }

    /// The tenant's size decides, as it does for a query by hand.
    #[pg_test]
    fn a_large_tenant_is_read_in_parallel_and_a_small_one_is_not() {
        let [large, small] = things();
        // The table is smaller than one that PostgreSQL would take workers for.
        run("set local min_parallel_table_scan_size = '256kB'");
        run("set local min_parallel_index_scan_size = '64kB'");
        run("set local parallel_setup_cost = 10");
        for (tenant, is_parallel) in [(&large, true), (&small, false)] {
            enter(tenant);
            let isolated = plan("select count(*) from public.things where title like '%x%'");
            let by_hand = plan(&format!(
                "select count(*) from public.things_by_hand where title like '%x%' and tenant_id = '{}'",
                tenant.id
            ));
            for plan in [isolated, by_hand] {
                assert_eq!(plan.contains("Workers Planned"), is_parallel, "{plan}");
            }
            let all = if is_parallel { LARGE } else { SMALL };
            assert_eq!(number("select count(*) from public.things"), all);
        }
    }
}
