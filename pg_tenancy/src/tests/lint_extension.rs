//! lint(): what somebody changed by hand on the extension's own objects.

#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;

    use crate::tests::lint::*;
    use crate::tests::support::*;

    fn changed(severity: &str, object: &str, fault: &str) {
        mends(severity, "extension_changed", object, fault);
    }

    #[pg_test]
    fn boundary_of_the_extension() {
        take_turn();
        let object = "policy tenant_boundary on tenancy.tasks";
        changed(
            "error",
            object,
            "drop policy tenant_boundary on tenancy.tasks",
        );
        changed(
            "error",
            object,
            "alter policy tenant_boundary on tenancy.tasks using (true)",
        );
        changed(
            "error",
            object,
            "alter policy tenant_boundary on tenancy.tasks to tenancy_app",
        );
        changed(
            "error",
            "policy tenant_boundary on tenancy.users",
            "alter policy tenant_boundary on tenancy.users using (true)",
        );
        changed(
            "error",
            "policy \"All\" on tenancy.signing_keys",
            "create policy \"All\" on tenancy.signing_keys using (true)",
        );
    }

    #[pg_test]
    fn row_security_of_the_extension() {
        take_turn();
        changed(
            "error",
            "row-level security tenancy.tasks",
            "alter table tenancy.tasks disable row level security",
        );
        changed(
            "error",
            "row-level security tenancy.tenants",
            "alter table tenancy.tenants no force row level security",
        );
    }

    #[pg_test]
    fn keys_of_the_extension() {
        take_turn();
        changed(
            "warning",
            "index tenancy.mine",
            "create index mine on tenancy.tasks (title)",
        );
        changed(
            "error",
            "index tenancy.users_email_key",
            "drop index tenancy.users_email_key",
        );
        changed("error", "constraint tasks_project on tenancy.tasks", "alter table tenancy.tasks drop constraint tasks_project,
            add constraint tasks_project foreign key (tenant_id, project_id) references tenancy.projects on delete cascade");
        changed(
            "warning",
            "constraint mine on tenancy.tasks",
            "alter table tenancy.tasks add constraint mine check (title <> '')",
        );
    }

    #[pg_test]
    fn columns_of_the_extension() {
        take_turn();
        let fix = fix_of(
            "error",
            "extension_changed",
            "column tenancy.tasks.\"Colour\"",
            "alter table tenancy.tasks add column \"Colour\" text not null default 'red'",
        );
        assert!(fix.starts_with("-- Move"), "{fix}");
        assert_eq!(number("select count(*) from tenancy.lint()"), 1);
        run("alter table tenancy.tasks drop column \"Colour\"");
        changed(
            "error",
            "default tenancy.tasks.tenant_id",
            "alter table tenancy.tasks alter column tenant_id drop default",
        );
        changed(
            "error",
            "not null tenancy.tasks.title",
            "alter table tenancy.tasks alter column title drop not null",
        );
    }

    #[pg_test]
    fn triggers_and_owners_of_the_extension() {
        take_turn();
        changed(
            "error",
            "trigger keep_times on tenancy.tasks",
            "alter table tenancy.tasks disable trigger keep_times",
        );
        changed(
            "error",
            "trigger spy on tenancy.tasks",
            "create trigger spy before insert on tenancy.tasks
            for each row execute function suppress_redundant_updates_trigger()",
        );
        changed(
            "error",
            "owner tenancy.tasks",
            "create role vendor; alter table tenancy.tasks owner to vendor",
        );
        changed(
            "error",
            "event trigger pg_tenancy_guard_drop",
            "alter event trigger pg_tenancy_guard_drop disable",
        );
    }

    #[pg_test]
    fn functions_of_the_extension() {
        take_turn();
        let object = "function tenancy.assert_service(text)";
        changed(
            "error",
            object,
            "create or replace function tenancy.assert_service(token text) returns void language plpgsql as 'begin end'",
        );
        changed(
            "error",
            object,
            "alter function tenancy.assert_service(text) security invoker",
        );
        changed(
            "error",
            "owner tenancy.enter(text)",
            "alter function tenancy.enter(text) owner to postgres",
        );
    }

    #[pg_test]
    fn grants_of_the_extension() {
        take_turn();
        let rule = "extension_grants";
        mends(
            "error",
            rule,
            "table tenancy.tasks",
            "revoke delete on tenancy.tasks from tenancy_app",
        );
        mends(
            "error",
            rule,
            "table tenancy.signing_keys",
            "grant select on tenancy.signing_keys to tenancy_admin",
        );
        mends(
            "error",
            rule,
            "column tenancy.users.password_hash",
            "grant select (password_hash) on tenancy.users to tenancy_app",
        );
        mends(
            "error",
            rule,
            "column tenancy.tasks.title",
            "revoke update (title) on tenancy.tasks from tenancy_app",
        );
        mends(
            "error",
            rule,
            "tenancy.set_tenant_context(uuid,uuid)",
            "grant execute on function tenancy.set_tenant_context to tenancy_app",
        );
        mends(
            "error",
            rule,
            "schema tenancy_private",
            "grant usage on schema tenancy_private to tenancy_app",
        );
    }

    #[pg_test]
    fn roles_of_the_extension() {
        take_turn();
        mends(
            "error",
            "role_changed",
            "role tenancy_owner",
            "alter role tenancy_owner login",
        );
        mends(
            "error",
            "role_changed",
            "role tenancy_reporter",
            "alter role tenancy_reporter createdb replication",
        );
        mends(
            "error",
            "role_changed",
            "role tenancy_backup",
            "alter role tenancy_backup nobypassrls",
        );
    }

    /// Another version of PostgreSQL spells definitions in another way.
    #[pg_test]
    fn after_an_upgrade_of_postgresql_the_dba_looks_and_remembers() {
        take_turn();
        mends("info", "extension_changed", "extension pg_tenancy",
            "create or replace function tenancy_private.lint_remembered() returns json language sql stable
                as $$select '{\"major\": 14, \"parts\": []}'::json$$");
    }
}
