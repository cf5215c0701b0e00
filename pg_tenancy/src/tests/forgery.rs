//! A context can't be forged: every way to a setting that SQL has, tried.

#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;

    use crate::tests::support::*;

    #[pg_test]
    fn the_application_can_not_set_the_context() {
        let acme = tenant("acme");
        let id = acme.id;
        become_role("tenancy_app");
        for attempt in [
            format!("set pg_tenancy.context = '{id}'"),
            format!("set local pg_tenancy.context = '{id}'"),
            format!("select set_config('pg_tenancy.context', '{id}', true)"),
            format!("select set_config('pg_tenancy.context', '{id}', false)"),
            format!("update pg_settings set setting = '{id}' where name = 'pg_tenancy.context'"),
            format!("alter role current_user set pg_tenancy.context = '{id}'"),
            format!(
                "create function pg_temp.f() returns void language sql set pg_tenancy.context = '{id}' as ''"
            ),
        ] {
            assert_eq!(outcome(&attempt), "42501", "{attempt}");
        }
        // A setting of that class can't be made up either.
        assert_eq!(outcome("set pg_tenancy.contexts = 'x'"), "42602");
        assert_eq!(
            outcome(&format!("select tenancy.set_tenant_context('{id}')")),
            "42501"
        );
        assert_eq!(outcome("select tenancy.current_tenant_id()"), "TN001");
    }

    #[pg_test]
    fn the_application_can_not_leave_its_tenant() {
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        become_app_of(&acme);
        let id = globex.id;
        for attempt in [
            format!("set pg_tenancy.context = '{id}'"),
            format!("set local pg_tenancy.context = '{id}'"),
            format!("select set_config('pg_tenancy.context', '{id}', true)"),
            "reset pg_tenancy.context".to_owned(),
            "set local pg_tenancy.context to default".to_owned(),
            "set pg_tenancy.context = ''".to_owned(),
            "discard all".to_owned(),
        ] {
            assert_ne!(outcome(&attempt), "00000", "{attempt}");
            assert_eq!(
                text("select tenancy.current_tenant_id()::text"),
                acme.id.to_string()
            );
        }
        run("reset all");
        assert_eq!(
            text("select tenancy.current_tenant_id()::text"),
            acme.id.to_string()
        );
    }

    #[pg_test]
    fn not_even_a_superuser_writes_a_context() {
        let acme = tenant("acme");
        for attempt in [
            format!("set pg_tenancy.context = '{}'", acme.id),
            format!("set local pg_tenancy.context = '{}'", acme.id),
            format!(
                "select set_config('pg_tenancy.context', '{}', true)",
                acme.id
            ),
            format!(
                "alter role tenancy_app set pg_tenancy.context = '{}'",
                acme.id
            ),
        ] {
            assert_eq!(outcome(&attempt), "22023", "{attempt}");
        }
    }

    #[pg_test]
    fn a_grant_to_set_the_parameter_opens_nothing() {
        let acme = tenant("acme");
        run("grant set on parameter pg_tenancy.context to tenancy_app");
        become_role("tenancy_app");
        assert_eq!(
            outcome(&format!("set local pg_tenancy.context = '{}'", acme.id)),
            "22023"
        );
    }

    /// The trick that opens walls built on a plain setting: change it within
    /// the query that the policy is read for.
    #[pg_test]
    fn a_query_can_not_change_tenants_on_its_way() {
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        acme.task("ours");
        globex.task("theirs");
        become_app_of(&acme);
        let setting = format!("set_config('pg_tenancy.context', '{}', true)", globex.id);
        for attempt in [
            format!("select title from tenancy.tasks union all
                     select t.title from (select {setting}) as s, lateral (select title from tenancy.tasks) as t"),
            format!("update tenancy.tasks set title = {setting}"),
            format!("select title from tenancy.tasks where {setting} is not null"),
            format!("with s as materialized (select {setting}) select title from s, tenancy.tasks"),
        ] {
            assert_eq!(outcome(&attempt), "42501", "{attempt}");
        }
    }

    #[pg_test]
    fn roles_are_not_a_way_out() {
        become_role("tenancy_app");
        for role in [
            "tenancy_owner",
            "tenancy_purger",
            "tenancy_gateway",
            "tenancy_admin",
            "tenancy_backup",
            "postgres",
        ] {
            // In a test the session is a superuser's; what counts is what the role is a member of.
            assert_eq!(
                text(&format!(
                    "select pg_has_role('tenancy_app', rolname, 'MEMBER')::text from pg_roles
                     where rolname = '{role}' union all select 'false' limit 1"
                )),
                "false",
                "{role}"
            );
        }
    }
}
