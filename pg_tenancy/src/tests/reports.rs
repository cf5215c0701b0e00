//! Reports across tenants, platform administrators, lifecycle.

#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;

    use crate::tests::support::*;

    #[pg_test]
    fn the_report_counts_each_tenants_rows() {
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        for (title, status) in [
            ("a", "todo"),
            ("b", "done"),
            ("c", "done"),
            ("d", "in_progress"),
        ] {
            let task = acme.task(title);
            run(&format!(
                "update tenancy.tasks set status = '{status}' where id = '{task}'"
            ));
        }
        run(&format!(
            "select tenancy.suspend_tenant('{}', 'unpaid')",
            globex.id
        ));
        become_role("tenancy_reporter");
        assert_eq!(
            text(
                "select string_agg(concat_ws(' ', slug, status, members, projects, tasks_todo, tasks_in_progress,
                     tasks_done, first_activity_at = now(), last_activity_at = now()), ', ' order by slug)
                 from tenancy.report_tenants()"
            ),
            "acme active 1 1 1 1 2 t t, globex suspended 1 1 0 0 0 t t"
        );
    }

    #[pg_test]
    fn the_daily_report_counts_what_was_made() {
        let acme = tenant("acme");
        run(&format!(
            "insert into tenancy.tasks (tenant_id, title, created_at) values
             ('{0}', 'x', '2026-01-02 23:59:59.999999Z'), ('{0}', 'y', '2026-01-03 00:00:00Z')",
            acme.id
        ));
        become_role("tenancy_reporter");
        run("set local timezone = 'Asia/Tokyo'");
        assert_eq!(
            text(
                "select string_agg(concat_ws(' ', day, tenants, users, projects, tasks), ', ' order by day)
                 from tenancy.report_daily('2026-01-01', '2026-01-03')"
            ),
            "2026-01-01 0 0 0 0, 2026-01-02 0 0 0 1, 2026-01-03 0 0 0 1"
        );
        for range in [
            "'2026-01-02', '2026-01-01'",
            "'2000-01-01', '2026-01-01'",
            "null, '2026-01-01'",
            "'-infinity', 'infinity'",
        ] {
            assert_eq!(
                outcome(&format!("select tenancy.report_daily({range})")),
                "TN602",
                "{range}"
            );
        }
        assert_eq!(
            outcome("select tenancy.report_daily('2026-01-02', '2026-01-01')"),
            "TN602"
        );
    }

    #[pg_test]
    fn a_reporter_reads_no_table_and_an_admin_the_log() {
        tenant("acme");
        become_role("tenancy_reporter");
        for table in ["tasks", "tenants", "users", "audit_log"] {
            assert_eq!(
                outcome(&format!("select from tenancy.{table}")),
                "42501",
                "{table}"
            );
        }
        run("reset role");
        become_role("tenancy_admin");
        for table in ["tasks", "tenants", "users", "signing_keys"] {
            assert_eq!(
                outcome(&format!("select from tenancy.{table}")),
                "42501",
                "{table}"
            );
        }
        run("select tenancy.add_signing_key('a secret that is quite long enough', 'audited')");
        assert_eq!(
            text("select concat_ws(' ', login = session_user, role, arguments) from tenancy.audit_log
                  where arguments ->> 'kid' = 'audited' order by at desc limit 1"),
            "t tenancy_admin {\"kid\": \"audited\", \"status\": \"active\", \"algorithm\": \"HS256\"}"
        );
        assert_eq!(outcome("delete from tenancy.audit_log"), "42501");
        assert_eq!(
            outcome("update tenancy.audit_log set action = 'x'"),
            "42501"
        );
    }

    /// A look can't be undone, so its row stays when the looker rolls back.
    #[pg_test]
    fn a_report_is_in_the_log_whatever_becomes_of_its_transaction() {
        let count = "select count(*) from tenancy.audit_log where action = 'report_tenants' and role = 'tenancy_admin'";
        let before = number(count);
        become_role("tenancy_admin");
        run("do $$ begin
                perform * from tenancy.report_tenants();
                raise division_by_zero;
             exception when division_by_zero then null;
             end $$");
        assert_eq!(number(count), before + 1);
    }

    #[pg_test]
    fn a_platform_administrator_sees_the_report_with_a_token() {
        add_key();
        let [acme, _globex] = [tenant("acme"), tenant("globex")];
        become_role("tenancy_app");
        let report = format!(
            "select tenancy.platform_report_tenants() from tenancy.enter('{}')",
            acme.token()
        );
        assert_eq!(outcome(&report), "TN210");
        run("reset role");
        become_role("tenancy_admin");
        run("select tenancy.grant_platform_administrator('OWNER@acme.example')");
        run("select tenancy.grant_platform_administrator('owner@acme.example')");
        assert_eq!(
            outcome("select tenancy.grant_platform_administrator('nobody@acme.example')"),
            "TN603"
        );
        run("reset role");
        become_role("tenancy_app");
        let report = answer(&report);
        assert_eq!(report["data"].as_array().map(Vec::len), Some(2));
        assert_eq!(report["data"][0]["slug"], "acme");
        assert_eq!(report["data"][0]["tasks"]["todo"], 0);
        run("reset role");
        run("select tenancy.revoke_platform_administrator('owner@acme.example')");
        become_role("tenancy_app");
        assert_eq!(outcome("select tenancy.platform_report_tenants()"), "TN210");
    }

    #[pg_test]
    fn only_an_admin_suspends() {
        let acme = tenant("acme");
        for role in [
            "tenancy_app",
            "tenancy_gateway",
            "tenancy_authenticator",
            "tenancy_reporter",
        ] {
            become_role(role);
            assert_eq!(
                outcome(&format!(
                    "select tenancy.suspend_tenant('{}', 'x')",
                    acme.id
                )),
                "42501",
                "{role}"
            );
            assert_eq!(
                outcome(&format!("select tenancy.resume_tenant('{}')", acme.id)),
                "42501",
                "{role}"
            );
            run("reset role");
        }
        become_role("tenancy_admin");
        assert_eq!(
            outcome(&format!(
                "select tenancy.suspend_tenant('{}', 'x')",
                uuid::Uuid::nil()
            )),
            "TN601"
        );
        assert_eq!(
            outcome(&format!(
                "select tenancy.suspend_tenant('{}', 'unpaid')",
                acme.id
            )),
            "00000"
        );
        assert_eq!(
            outcome(&format!(
                "select tenancy.suspend_tenant('{}', 'unpaid')",
                acme.id
            )),
            "00000"
        );
        assert_eq!(
            text(
                "select arguments ->> 'reason' from tenancy.audit_log where action = 'suspend_tenant' limit 1"
            ),
            "unpaid"
        );
    }

    #[pg_test]
    fn a_service_with_too_strong_a_role_is_told() {
        add_key();
        let acme = tenant("acme");
        let said = complaint(&format!(
            "select tenancy.assert_service('{}')",
            acme.token()
        ));
        assert!(
            said.starts_with("TN211") && said.contains("is a superuser"),
            "{said}"
        );

        run("create role service_one login in role tenancy_app, tenancy_authenticator");
        run("set local session authorization service_one");
        assert_eq!(
            outcome(&format!(
                "select tenancy.assert_service('{}')",
                acme.token()
            )),
            "00000"
        );
        assert_eq!(
            outcome(&format!(
                "select tenancy.assert_service('{}')",
                sign(&acme.claims(), "other", SECRET)
            )),
            "TN011"
        );
        assert_eq!(text("select tenancy.version()"), env!("CARGO_PKG_VERSION"));

        for (change, reason) in [
            ("alter role service_one bypassrls", "has BYPASSRLS"),
            (
                "alter role service_one nobypassrls createrole",
                "has CREATEROLE",
            ),
            (
                "alter role service_one nocreaterole replication",
                "has REPLICATION",
            ),
            (
                "alter role service_one noreplication; grant pg_execute_server_program to service_one",
                "pg_execute_server_program",
            ),
            (
                "revoke pg_execute_server_program from service_one; grant tenancy_backup to service_one",
                "tenancy_backup",
            ),
            (
                "revoke tenancy_backup from service_one; grant tenancy_reporter to service_one",
                "tenancy_reporter",
            ),
            (
                "revoke tenancy_reporter from service_one; grant tenancy_gateway to service_one",
                "tenancy_gateway",
            ),
            (
                "revoke tenancy_gateway from service_one; grant tenancy_owner to service_one",
                "tenancy_owner",
            ),
            (
                "revoke tenancy_owner from service_one; alter table tenancy.tasks owner to service_one",
                "tenancy.tasks",
            ),
        ] {
            run("reset session authorization");
            run(change);
            run("set local session authorization service_one");
            let said = complaint(&format!(
                "select tenancy.assert_service('{}')",
                acme.token()
            ));
            assert!(
                said.starts_with("TN211") && said.contains(reason),
                "{change}: {said}"
            );
        }
    }
}
