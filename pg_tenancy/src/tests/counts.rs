//! Counts that are estimated where there are many rows.

#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;
    use serde_json::{Value, json};

    use crate::tests::support::*;

    /// A tenant of that many tasks among 50 of 100, every tenth of which is done.
    fn many(number: usize) -> Tenant {
        let big = tenant("big");
        run(&format!(
            "insert into tenancy.tenants (name, slug) select 't' || n, 't' || n from generate_series(1, 50) as n;
             insert into tenancy.tasks (tenant_id, title, status)
                 select id, 'x', 'in_progress' from tenancy.tenants, generate_series(1, 100) where name <> 'big';
             insert into tenancy.tasks (tenant_id, title, status)
                 select '{}', 'x', case n % 10 when 0 then 'done' else 'todo' end from generate_series(1, {number}) as n;
             analyze tenancy.tasks",
            big.id
        ));
        big
    }

    fn total(filter: &Value) -> (i64, bool) {
        let query = json!({"limit": 1, "count": "estimated", "filter": filter});
        let page = list("tenancy.tasks", &query);
        let is_estimate = page.get("totalIsEstimate").map(|told| *told == json!(true));
        (
            page["total"].as_i64().expect("a total"),
            is_estimate.unwrap_or(false),
        )
    }

    #[pg_test]
    fn up_to_a_thousand_rows_are_counted() {
        let big = many(1_000);
        become_app_of(&big);
        assert_eq!(total(&json!({})), (1_000, false));
        assert_eq!(total(&json!({"status": "done"})), (100, false));
        assert_eq!(total(&json!({"status": "in_progress"})), (0, false));
    }

    #[pg_test]
    fn more_are_estimated_for_this_tenant_as_it_is_now() {
        let big = many(20_000);
        let small = tenant("small");
        // A plan that was made for somebody else first.
        become_app_of(&small);
        assert_eq!(total(&json!({})), (0, false));
        become_dba();
        become_app_of(&big);
        let within = |(estimate, is_estimate): (i64, bool), exact: i64| {
            assert!(is_estimate, "{estimate}");
            assert!(
                (exact / 2..=exact * 2).contains(&estimate),
                "{estimate} of {exact}"
            );
            // Two digits.
            let unit = 10_i64.pow(estimate.ilog10() - 1);
            assert_eq!(estimate % unit, 0, "{estimate}");
        };
        let read = || {
            number(
                "select idx_tup_fetch + seq_tup_read from pg_stat_xact_user_tables
                 where schemaname = 'tenancy' and relname = 'tasks'",
            )
        };
        within(total(&json!({})), 20_000);
        let before = read();
        within(total(&json!({"status": "todo"})), 18_000);
        // The page, those that were counted, and the share's.
        let number = read() - before;
        assert!(number < 7_000, "{number}");
        within(total(&json!({"status": "done"})), 2_000);
    }

    #[pg_test]
    fn an_estimate_is_never_fewer_than_were_counted() {
        let big = many(20_000);
        // As if the table had been small when PostgreSQL last looked.
        run(
            "update pg_class set reltuples = 10 where oid = 'tenancy.tasks'::regclass;
             delete from pg_statistic where starelid = 'tenancy.tasks'::regclass",
        );
        become_app_of(&big);
        let (estimate, is_estimate) = total(&json!({}));
        assert!(is_estimate && estimate > 1_000, "{estimate}");
    }

    /// The statistics of values are of all tenants: they have no part in it.
    #[pg_test]
    fn an_estimate_does_not_tell_what_values_others_have() {
        let big = many(20_000);
        let other = tenant("other");
        run(&format!(
            "insert into tenancy.tasks (tenant_id, title, project_id)
             select '{}', 'x', '{}' from generate_series(1, 20000);
             insert into tenancy.tasks (tenant_id, title, project_id)
             select '{}', 'x', '{}' from generate_series(1, 1500);
             analyze tenancy.tasks",
            other.id, other.project, big.id, big.project
        ));
        become_app_of(&big);
        let nobody = "01890000-0000-7000-8000-000000000000";
        let [theirs, nobodys] = [other.project.to_string(), nobody.to_owned()].map(|project| {
            total(&json!({"projectId": {"in": [big.project.to_string(), project]}}))
        });
        assert_eq!(theirs, nobodys);
        assert!(theirs.1);
    }

    #[pg_test]
    fn a_count_is_exact_or_estimated() {
        let acme = tenant("acme");
        become_app_of(&acme);
        for count in ["", "yes", "Exact"] {
            let said = complaint(&list_call("tenancy.tasks", &json!({"count": count})));
            assert_eq!(said, "TN406 count: \"count\" must be exact or estimated");
        }
    }
}
