//! Refusals on record: who named another tenant than their own.

use uuid::Uuid;

use crate::tests::support::*;

fn recorded(person: Uuid) -> i64 {
    run("reset role");
    let count = number(&format!(
        "select count(*) from tenancy.audit_log where action = 'record_denial' and user_id = '{person}'"
    ));
    become_role("tenancy_app");
    count
}

#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;

    use super::*;

    #[pg_test]
    fn who_names_another_tenant_is_recorded_once_a_minute() {
        add_key();
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        let token = acme.log_in().token;
        become_role("tenancy_app");
        for named in ["globex", "nowhere", &globex.id.to_string()] {
            run(&format!(
                "select tenancy.record_denial('{token}', '{named}')"
            ));
            assert_eq!(recorded(acme.owner), 1, "{named}");
        }
        run("reset role");
        let line = text(&format!(
            "select concat_ws(' ', login = session_user, arguments ->> 'tenantId', arguments ->> 'named')
             from tenancy.audit_log where action = 'record_denial' and user_id = '{}'",
            acme.owner
        ));
        assert_eq!(line, format!("t {} globex", acme.id));
    }

    #[pg_test]
    fn a_viewer_is_recorded_too() {
        add_key();
        let [acme, _] = [tenant("acme"), tenant("globex")];
        let viewer = member(&acme, "val", "viewer");
        let token = token_of(&acme, viewer);
        become_role("tenancy_app");
        run(&format!(
            "select tenancy.record_denial('{token}', 'globex')"
        ));
        assert_eq!(recorded(viewer), 1);
    }

    /// Nobody fills the log with what didn't happen.
    #[pg_test]
    fn what_is_not_refused_is_not_recorded() {
        add_key();
        let acme = tenant("acme");
        let token = acme.token();
        become_role("tenancy_app");
        for named in ["acme", &acme.id.to_string()] {
            run(&format!(
                "select tenancy.record_denial('{token}', '{named}')"
            ));
        }
        for (proof, named, code) in [
            ("nonsense", "globex", "TN010"),
            ("", "globex", "TN010"),
            (&*token, "", "TN027"),
            (&*token, "No Slug", "TN027"),
        ] {
            let call = format!("select tenancy.record_denial('{proof}', '{named}')");
            assert_eq!(outcome(&call), code, "{proof} {named}");
        }
        assert_eq!(recorded(acme.owner), 0);
    }

    #[pg_test]
    fn who_may_choose_a_tenant_is_not_recorded_for_it() {
        add_key();
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        globex.add_member(acme.owner, "member");
        let token = acme.token();
        run("set local pg_tenancy.select_tenant = on");
        become_role("tenancy_app");
        run(&format!(
            "select tenancy.record_denial('{token}', 'globex')"
        ));
        assert_eq!(recorded(acme.owner), 0);
    }
}
