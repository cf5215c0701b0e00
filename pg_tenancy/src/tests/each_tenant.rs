//! Every tenant in turn. What commits is in `tests/tests/e2e/background.rs`.

#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;

    use crate::tests::support::*;

    #[pg_test]
    fn a_gateway_lists_active_tenants_page_by_page() {
        let [acme, globex, initech] = [tenant("acme"), tenant("globex"), tenant("initech")];
        run(&format!(
            "select tenancy.suspend_tenant('{}', 'x')",
            globex.id
        ));
        become_role("tenancy_gateway");
        assert_eq!(
            text("select string_agg(a::text, ' ') from tenancy.active_tenants() as a"),
            format!("{} {}", acme.id, initech.id)
        );
        assert_eq!(
            text(&format!(
                "select string_agg(a::text, ' ') from tenancy.active_tenants('{}', 1) as a",
                acme.id
            )),
            initech.id.to_string()
        );
        assert_eq!(
            number(&format!(
                "select count(*) from tenancy.active_tenants('{}')",
                initech.id
            )),
            0
        );
        for bad in ["0", "10001", "null"] {
            assert_eq!(
                outcome(&format!("select tenancy.active_tenants(null, {bad})")),
                "TN852"
            );
        }
        run("reset role");
        become_role("tenancy_app");
        assert_eq!(outcome("select tenancy.active_tenants()"), "42501");
        assert_eq!(outcome("call tenancy.for_each_tenant('select 1')"), "42501");
    }

    #[pg_test]
    fn a_bad_call_does_nothing() {
        tenant("acme");
        assert_eq!(outcome("call tenancy.for_each_tenant('select 1')"), "TN852");
        become_role("tenancy_gateway");
        for nothing in ["null", "''", "'  '"] {
            assert_eq!(
                outcome(&format!("call tenancy.for_each_tenant({nothing})")),
                "TN852",
                "{nothing}"
            );
        }
        // Inside a transaction it can't commit.
        assert_eq!(outcome("call tenancy.for_each_tenant('select 1')"), "2D000");
    }

    /// refuse_residue() tells what the commit would, and changes nothing of it.
    #[pg_test]
    fn asking_for_residue_forgets_none() {
        let acme = tenant("acme");
        become_app_of(&acme);
        run("reset role");
        become_role("tenancy_gateway");
        run("select tenancy.refuse_residue(), set_config('my.secret', 'x', false)");
        for _ in 0..2 {
            assert_eq!(outcome("select tenancy.refuse_residue()"), "TN841");
        }
    }
}
