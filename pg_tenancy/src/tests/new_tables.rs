//! A new table in a schema of tenants' data is not forgotten.

#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;

    use crate::tests::support::*;

    const WAYS: [&str; 4] = [
        "create table tests.one (id int)",
        "create table tests.two as select 1 as id",
        "select 1 as id into tests.three",
        "create table tests.part partition of tests.parent for values from (1) to (2)",
    ];

    fn watch(mode: &str) {
        run("create table tests.parent (id int) partition by range (id)");
        run("set local pg_tenancy.new_tables_schemas = 'other, tests'");
        run(&format!("set local pg_tenancy.new_tables = '{mode}'"));
    }

    #[pg_test]
    fn refused_it_is_not_made() {
        watch("refuse");
        for way in WAYS {
            assert_eq!(outcome(way), "TN844", "{way}");
        }
        run("set local pg_tenancy.new_tables_schemas = 'other, tests, newone'");
        assert_eq!(
            outcome("create schema newone create table x (id int)"),
            "TN844"
        );
        assert_eq!(outcome("create temp table t (id int)"), "00000");
        run("create schema elsewhere");
        assert_eq!(outcome("create table elsewhere.t (id int)"), "00000");
    }

    #[pg_test]
    fn warned_of_it_is_made() {
        watch("warn");
        // PL/pgSQL, which `outcome` uses, runs no SELECT INTO.
        for way in WAYS {
            run(way);
        }
    }

    #[pg_test]
    fn ignored_it_is_made() {
        watch("ignore");
        for way in WAYS {
            run(way);
        }
    }

    #[pg_test]
    fn isolated_at_once_it_has_the_wall() {
        take_turn();
        watch("isolate");
        run("create table tests.one (id int primary key)");
        assert_eq!(
            text(
                "select relation::text from tenancy.isolated_tables where relation = 'tests.one'::regclass"
            ),
            "tests.one"
        );
        // What was copied has no tenant, so it can't be made like this.
        assert_eq!(outcome("create table tests.two as select 1 as id"), "TN703");
        run("create role maker in role tenancy_app");
        run("grant create, usage on schema tests to maker");
        become_role("maker");
        assert_eq!(outcome("create table tests.three (id int)"), "TN844");
    }
}
