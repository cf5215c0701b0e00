//! lint(): what the application's roles are, and what of the server they reach.

#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;

    use crate::tests::lint::*;
    use crate::tests::support::*;

    const LOGIN: &str =
        r#"create role "App Login" login in role tenancy_app, tenancy_authenticator"#;
    const ROLE: &str = r#"role "App Login""#;

    #[pg_test]
    fn application_that_bypasses() {
        take_turn();
        run(LOGIN);
        for attribute in ["superuser", "bypassrls", "createrole", "replication"] {
            mends(
                "error",
                "application_bypasses",
                ROLE,
                &format!(r#"alter role "App Login" {attribute}"#),
            );
        }
    }

    #[pg_test]
    fn application_that_can_become_somebody_who_bypasses() {
        take_turn();
        run(LOGIN);
        run("create role \"God\" superuser; create role \"Ops\" in role \"God\"");
        for other in [
            "\"God\"",
            "\"Ops\"",
            "tenancy_owner",
            "tenancy_backup",
            "pg_read_server_files",
            "pg_execute_server_program",
        ] {
            run(&format!("grant {other} to \"App Login\""));
            // A backup may read all data, which is a finding by itself.
            run(&fix_of("error", "application_bypasses", ROLE, "select"));
            assert_eq!(findings(), "", "{other}");
        }
        mends(
            "error",
            "application_bypasses",
            "role tenancy_app",
            "grant \"Ops\" to tenancy_app",
        );
    }

    #[pg_test]
    fn application_that_sees_others() {
        take_turn();
        run(LOGIN);
        for other in [
            "tenancy_reporter",
            "tenancy_admin",
            "pg_monitor",
            "pg_signal_backend",
            "pg_read_all_data",
        ] {
            run(&format!("grant {other} to \"App Login\""));
            let fixes = text(
                "select string_agg(distinct fix, '; ') from tenancy.lint() where rule = 'application_sees_others'",
            );
            assert_eq!(fixes, format!("revoke {other} from \"App Login\""));
            run(&fixes);
            assert_eq!(findings(), "", "{other}");
        }
    }

    #[pg_test]
    fn application_that_owns() {
        take_turn();
        run(LOGIN);
        isolated_odd("");
        run("grant create on schema \"My School\" to tenancy_owner");
        mends(
            "error",
            "application_owns",
            ODD,
            &format!("alter table {ODD} owner to \"App Login\""),
        );
        mends(
            "error",
            "application_owns",
            r#"schema "My School""#,
            r#"alter schema "My School" owner to tenancy_app"#,
        );
        let database = text("select format('database %I', current_database())");
        mends(
            "error",
            "application_owns",
            &database,
            &format!("alter {database} owner to \"App Login\""),
        );
    }

    #[pg_test]
    fn owner_that_has_members() {
        take_turn();
        mends(
            "error",
            "owner_has_members",
            "role \"Dev\"",
            r#"create role "Dev" login in role tenancy_owner"#,
        );
    }

    #[pg_test]
    fn large_objects_within_reach() {
        take_turn();
        mends(
            "warning",
            "large_objects",
            "functions lo_create(oid), lo_get(oid)",
            "grant execute on function lo_get(oid), lo_create(oid) to tenancy_app",
        );
    }

    #[pg_test]
    fn other_sessions_within_reach() {
        take_turn();
        run(LOGIN);
        mends(
            "warning",
            "other_sessions",
            "views pg_locks, pg_stat_activity",
            "grant select on pg_stat_activity, pg_locks to \"App Login\"",
        );
        mends(
            "warning",
            "other_sessions",
            "functions pg_stat_get_activity(integer)",
            "grant execute on function pg_stat_get_activity(integer) to tenancy_app",
        );
    }

    #[pg_test]
    fn signals_within_reach() {
        take_turn();
        mends(
            "warning",
            "signals",
            "functions pg_terminate_backend(integer,bigint)",
            "grant execute on function pg_terminate_backend(integer, bigint) to tenancy_app",
        );
    }

    /// PostgreSQL's defaults are no finding until somebody has begun to take them away.
    #[pg_test]
    fn what_comes_back_after_harden() {
        take_turn();
        run("select from tenancy.harden(apply => true)");
        assert_eq!(findings(), "");
        mends(
            "warning",
            "signals",
            "functions pg_cancel_backend(integer)",
            "grant execute on function pg_cancel_backend(integer) to public",
        );
        mends(
            "warning",
            "large_objects",
            "functions lo_get(oid)",
            "grant execute on function lo_get(oid) to public",
        );
        mends(
            "warning",
            "other_sessions",
            "views pg_stat_activity",
            "grant select on pg_stat_activity to public",
        );
    }

    #[pg_test]
    fn server_function_within_reach() {
        take_turn();
        mends(
            "error",
            "server_functions",
            "pg_read_file(text)",
            "grant execute on function pg_read_file(text) to tenancy_app, public",
        );
        mends(
            "error",
            "server_functions",
            "lo_import(text)",
            "grant execute on function lo_import(text) to tenancy_app",
        );
    }

    #[pg_test]
    fn dblink_within_reach() {
        take_turn();
        let rule = "dblink";
        mends(
            "error",
            rule,
            "extension dblink",
            "create schema \"Links\"; create extension dblink schema \"Links\"",
        );
        mends(
            "error",
            rule,
            "extension dblink",
            "grant execute on function \"Links\".dblink(text) to tenancy_app",
        );
    }

    #[pg_test]
    fn compat_setting() {
        take_turn();
        let object = "setting pg_tenancy.compat_setting";
        let database = text("select format('database %I', current_database())");
        for fault in [
            "set pg_tenancy.compat_setting = 'app.tenant'",
            &format!("alter {database} set pg_tenancy.compat_setting = 'app.tenant'"),
            "alter role tenancy_app set pg_tenancy.compat_setting = 'app.tenant'",
            &format!(
                "alter role tenancy_app in {database} set pg_tenancy.compat_setting = 'app.tenant'"
            ),
        ] {
            mends("warning", "compat_setting", object, fault);
        }
    }

    #[pg_test]
    fn version_with_holes() {
        take_turn();
        let holes = |version: u32| {
            maybe(&format!(
                "select problem || '. ' || fix from tenancy_private.lint_version({version})"
            ))
        };
        assert_eq!(
            holes(150013).as_deref(),
            Some(
                "has known holes in row-level security: CVE-2025-8713, CVE-2026-120154. \
                  -- Install PostgreSQL 15.20 or a later one of that version, and restart the server."
            )
        );
        for hole in [150019, 160015, 170011, 180006] {
            assert_ne!(holes(hole), None, "{hole}");
        }
        for good in [150020, 160016, 170012, 180007, 190000] {
            assert_eq!(holes(good), None, "{good}");
        }
    }
}
