//! harden(): what PUBLIC may not any longer, and who still may.

#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;

    use crate::tests::lint::findings;
    use crate::tests::support::*;

    fn subjects(arguments: &str) -> String {
        text(&format!(
            "select coalesce(string_agg(distinct subject, ' '), '') from tenancy.harden({arguments})"
        ))
    }

    #[pg_test]
    fn statements_are_shown_and_nothing_is_done() {
        take_turn();
        assert_eq!(
            subjects(""),
            "advisory_locks large_objects sessions signals temporary_tables"
        );
        assert_eq!(
            subjects(""),
            "advisory_locks large_objects sessions signals temporary_tables"
        );
        assert_eq!(
            subjects("keep => '{}'"),
            "advisory_locks large_objects sessions set_config signals temporary_tables"
        );
        assert_eq!(
            subjects("keep => '{signals,temporary_tables,large_objects,sessions,set_config}'"),
            "advisory_locks"
        );
        run("grant create on schema public to public");
        assert!(subjects("").contains("schema_public"));
    }

    #[pg_test]
    fn what_was_done_is_not_shown_again() {
        take_turn();
        run("create role \"App Login\" login in role tenancy_app");
        let arguments = "'\"App Login\"', keep => '{}'";
        assert!(subjects(arguments).contains("timeouts"));
        run(&format!(
            "select from tenancy.harden({arguments}, apply => true)"
        ));
        assert_eq!(subjects(arguments), "");
        assert_eq!(findings(), "");
    }

    #[pg_test]
    fn application_can_no_longer_and_those_who_must_still_can() {
        take_turn();
        run("create role app_login login in role tenancy_app; create role watcher in role pg_monitor;
             create role killer in role pg_signal_backend; select from tenancy.harden('app_login', true, '{}')");
        for (role, code) in [("app_login", "42501"), ("postgres", "00000")] {
            become_role(role);
            for statement in [
                "create temporary table t ()",
                "select lo_create(0)",
                "select * from pg_stat_activity",
                "select * from pg_stat_get_activity(null)",
                "select * from pg_locks",
                "select * from pg_lock_status()",
                "select * from pg_prepared_xacts",
                "select pg_stat_get_backend_activity(1)",
                "select pg_cancel_backend(0)",
                "select pg_advisory_lock(1)",
                "select pg_try_advisory_lock_shared(1, 2)",
                "select set_config('app.x', 'y', true)",
            ] {
                assert_eq!(outcome(statement), code, "{role}: {statement}");
            }
            run("reset role");
        }
        become_role("app_login");
        assert_eq!(outcome("select pg_advisory_xact_lock(1)"), "00000");
        run("reset role");
        become_role("watcher");
        assert_eq!(
            outcome("select count(*) from pg_stat_activity, pg_locks"),
            "00000"
        );
        run("reset role");
        become_role("killer");
        assert_eq!(outcome("select pg_cancel_backend(0)"), "00000");
        run("reset role");
        become_role("tenancy_backup");
        assert_eq!(outcome("select set_config('app.x', 'y', true)"), "00000");
        assert_ne!(outcome("select lo_open(0, 1)"), "42501");
    }

    /// Entering looks for locks that the connection carries, in a view that is closed now.
    #[pg_test]
    fn entering_still_sees_what_the_connection_carries() {
        take_turn();
        let acme = tenant("acme");
        run("select from tenancy.harden(apply => true); select pg_advisory_lock(20261121)");
        become_role("tenancy_gateway");
        assert_eq!(
            outcome(&format!("select tenancy.set_tenant_context('{}')", acme.id)),
            "TN843"
        );
    }

    #[pg_test]
    fn login_gets_its_limits_in_this_database() {
        take_turn();
        run("create role \"App Login\" login in role tenancy_app;
             select from tenancy.harden('\"App Login\"', true, lock_timeout => '2 s', statement_timeout => null)");
        assert_eq!(
            text("select array_to_string(setconfig, ' ') from pg_db_role_setting where setrole = '\"App Login\"'::regrole
                  and setdatabase = (select oid from pg_database where datname = current_database())"),
            "lock_timeout=2000ms idle_in_transaction_session_timeout=60000ms"
        );
    }

    #[pg_test]
    fn bad_arguments_are_refused() {
        take_turn();
        assert_eq!(
            complaint("select tenancy.harden(keep => '{signals,everything}')"),
            "TN801 : there is no subject \"everything\" to keep"
        );
        run("create role stranger login");
        assert_eq!(outcome("select tenancy.harden('stranger', true)"), "TN802");
        assert_eq!(
            outcome("select tenancy.harden('tenancy_app', true)"),
            "TN802"
        );
        become_role("tenancy_admin");
        assert_eq!(outcome("select tenancy.harden()"), "42501");
    }
}
