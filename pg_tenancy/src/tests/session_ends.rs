//! How sessions end, and who can end them.

#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;

    use crate::tests::support::*;

    /// The living sessions' ids, as the DBA sees them.
    fn living() -> Vec<String> {
        maybe("select string_agg(id::text, ' ' order by id) from tenancy.sessions where ended_at is null")
            .map(|ids| ids.split(' ').map(str::to_owned).collect())
            .unwrap_or_default()
    }

    fn ids<const N: usize>(logins: [&Login; N]) -> Vec<String> {
        let mut ids: Vec<_> = logins.iter().map(|login| login.session.clone()).collect();
        ids.sort();
        ids
    }

    fn calling(function: &str, token: &str) -> String {
        outcome(&format!("select tenancy.{function}('{token}')"))
    }

    fn ending(token: &str, session: &str) -> String {
        outcome(&format!(
            "select tenancy.end_one_session('{token}', '{session}')"
        ))
    }

    fn epoch(table: &str, id: uuid::Uuid) -> Option<String> {
        maybe(&format!(
            "select tokens_valid_from::text from tenancy.{table} where id = '{id}'"
        ))
    }

    #[pg_test]
    fn a_logout_ends_this_session_and_can_be_said_again() {
        add_key();
        let acme = tenant("acme");
        let [login, other] = [acme.log_in(), acme.log_in()];
        become_role("tenancy_authenticator");
        assert_eq!(calling("end_session", &login.token), "00000");
        assert_eq!(calling("end_session", &login.token), "00000");
        assert_eq!(
            text(&format!(
                "select refused from tenancy.refresh_session('{}')",
                login.refresh
            )),
            "TN016"
        );
        assert_eq!(calling("find_password_hash", &login.token), "TN015");
        run("reset role");
        assert_eq!(living(), ids([&other]));
        assert_eq!(epoch("users", acme.owner), None);
    }

    #[pg_test]
    fn a_viewer_logs_out_and_so_does_who_is_in_a_suspended_tenant() {
        add_key();
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        globex.add_member(acme.owner, "viewer");
        let viewer = globex.log_in_as(acme.owner);
        let owner = globex.log_in();
        run(&format!(
            "select tenancy.suspend_tenant('{}', 'unpaid')",
            globex.id
        ));
        become_role("tenancy_authenticator");
        assert_eq!(calling("end_session", &viewer.token), "00000");
        assert_eq!(calling("end_all_sessions", &owner.token), "00000");
        run("reset role");
        assert_eq!(living(), ids([]));
    }

    #[pg_test]
    fn a_logout_takes_a_token_of_a_session() {
        add_key();
        let acme = tenant("acme");
        let login = acme.log_in();
        become_role("tenancy_authenticator");
        let mut claims = acme.claims();
        claims["sid"] = serde_json::json!(login.session);
        let forged = sign(&claims, "test", "another secret, which is long enough");
        let expired = {
            claims["exp"] = serde_json::json!(1);
            sign(&claims, "test", SECRET)
        };
        for function in ["end_session", "end_all_sessions", "list_sessions"] {
            for (token, expected) in [
                (forged.as_str(), "TN011"),
                (&expired, "TN012"),
                (&word(acme.owner, "session"), "TN010"),
                (&login.refresh, "TN010"),
                ("", "TN010"),
            ] {
                assert_eq!(calling(function, token), expected, "{function}");
            }
            assert_eq!(
                outcome(&format!("select tenancy.{function}(null)")),
                "TN010"
            );
        }
        // Of another service: there is no session to end here.
        assert_eq!(calling("end_session", &acme.token()), "TN010");
        run("reset role");
        assert_eq!(living(), ids([&login]));
    }

    /// PostgreSQL has no text for a NUL, and an error for it that is none of ours.
    #[pg_test]
    fn a_good_token_with_a_nul_in_it_is_no_token() {
        add_key();
        let acme = tenant("acme");
        let login = acme.log_in();
        become_role("tenancy_authenticator");
        let with = |claim: &str, value: &str| {
            let mut claims = acme.claims();
            claims["sid"] = serde_json::json!(login.session);
            claims[claim] = serde_json::json!(value);
            sign(&claims, "test", SECRET)
        };
        for function in [
            "list_sessions",
            "end_session",
            "end_all_sessions",
            "leave_tenant",
        ] {
            let token = with("purpose", "\u{0}");
            assert_eq!(calling(function, &token), "TN010", "{function}");
        }
        assert_eq!(calling("start_session", &with("purpose", "\u{0}")), "TN010");
        let mut word = acme.claims();
        word["purpose"] = serde_json::json!("session");
        word["note"] = serde_json::json!("\u{0}");
        let word = sign(&word, "test", SECRET);
        assert_eq!(calling("start_session", &word), "TN010");
        // Also where the claims are looked at once more.
        let noted = with("note", "\u{0}");
        assert_eq!(calling("end_session", &noted), "00000");
        assert_eq!(calling("end_all_sessions", &noted), "TN010");
    }

    #[pg_test]
    fn a_logout_everywhere_ends_all_of_the_person_and_of_nobody_else() {
        add_key();
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        globex.add_member(acme.owner, "viewer");
        acme.add_member(globex.owner, "admin");
        let mine = [acme.log_in(), acme.log_in(), globex.log_in_as(acme.owner)];
        let theirs = [globex.log_in(), acme.log_in_as(globex.owner)];
        become_role("tenancy_authenticator");
        assert_eq!(calling("end_all_sessions", &mine[2].token), "00000");
        // A second time, with what is no proof any more: there is nothing left to end.
        assert_eq!(calling("end_all_sessions", &mine[2].token), "00000");
        run("reset role");
        assert_eq!(living(), ids([&theirs[0], &theirs[1]]));
        assert!(epoch("users", acme.owner).is_some());
        assert_eq!(epoch("users", globex.owner), None);
    }

    #[pg_test]
    fn a_person_sees_where_they_are_logged_in_and_nobody_else() {
        add_key();
        let [acme, globex, initech] = [tenant("acme"), tenant("globex"), tenant("initech")];
        globex.add_member(acme.owner, "viewer");
        initech.add_member(acme.owner, "viewer");
        let first = acme.log_in();
        let second = globex.log_in_as(acme.owner);
        let gone = acme.log_in();
        let expired = acme.log_in();
        let removed = initech.log_in_as(acme.owner);
        globex.log_in();
        run(&format!("select tenancy.end_session('{}')", gone.token));
        run(&format!(
            "update tenancy.sessions set expires_at = now() where id = '{}'",
            expired.session
        ));
        run(&format!(
            "delete from tenancy.memberships where tenant_id = '{}' and user_id = '{}'",
            initech.id, acme.owner
        ));
        run(&format!(
            "update tenancy.sessions set created_at = '2026-01-02 03:04:05Z', last_used_at = '2026-01-02 03:04:06.5Z'
             where id = '{}'",
            first.session
        ));
        become_role("tenancy_authenticator");
        let list = answer(&format!("tenancy.list_sessions('{}')", first.token));
        let list = list["data"].as_array().expect("a list");
        let shown: Vec<_> = list
            .iter()
            .map(|one| one["id"].as_str().expect("an id"))
            .collect();
        assert_eq!(shown, [second.session.as_str(), &first.session]);
        assert!(!shown.contains(&removed.session.as_str()));
        let mut last = list[1].clone();
        last["expiresAt"] = serde_json::Value::Null;
        assert_eq!(
            last,
            serde_json::json!({
                "id": first.session,
                "tenant": {"id": acme.id, "slug": "acme", "name": "acme"},
                "createdAt": "2026-01-02T03:04:05.000000Z",
                "lastUsedAt": "2026-01-02T03:04:06.500000Z",
                "expiresAt": null,
                "client": "a browser",
                "address": "192.0.2.1",
                "current": true
            })
        );
        assert_eq!(list[0]["current"], false);
    }

    #[pg_test]
    fn a_person_ends_one_of_their_sessions_and_somebody_elses_is_none() {
        add_key();
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        acme.add_member(globex.owner, "member");
        globex.add_member(acme.owner, "viewer");
        let [here, there] = [acme.log_in(), globex.log_in_as(acme.owner)];
        let [theirs, ours] = [globex.log_in(), acme.log_in_as(globex.owner)];
        become_role("tenancy_authenticator");
        let said = |session: &str| {
            complaint(&format!(
                "select tenancy.end_one_session('{}', '{session}')",
                here.token
            ))
        };
        let missing = said("00000000-0000-0000-0000-000000000000");
        assert!(missing.starts_with("TN024"), "{missing}");
        assert_eq!(said(&theirs.session), missing);
        assert_eq!(said(&ours.session), missing);
        assert_eq!(
            outcome(&format!(
                "select tenancy.end_one_session('{}', null)",
                here.token
            )),
            "TN024"
        );
        assert_eq!(ending(&here.token, &there.session), "00000");
        assert_eq!(ending(&here.token, &there.session), "00000");
        assert_eq!(ending(&here.token, &here.session), "00000");
        run("reset role");
        assert_eq!(living(), ids([&theirs, &ours]));
    }

    /// What becomes of it when somebody of that role logs everybody out; the
    /// sessions that live on, and the one of another tenant.
    fn revoking_as(role: &str) -> (String, usize, Login) {
        add_key();
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        acme.add_member(globex.owner, role);
        acme.log_in();
        acme.log_in_as(globex.owner);
        let elsewhere = globex.log_in();
        become_role("tenancy_gateway");
        run(&format!(
            "select tenancy.set_tenant_context('{}', '{}')",
            acme.id, globex.owner
        ));
        become_role("tenancy_app");
        let said = outcome("select tenancy.revoke_tenant_sessions()");
        run("reset role");
        assert_eq!(epoch("tenants", acme.id).is_some(), said == "00000");
        assert_eq!(epoch("tenants", globex.id), None);
        (said, living().len(), elsewhere)
    }

    #[pg_test]
    fn an_owner_logs_everybody_out_of_their_tenant() {
        let (said, _, elsewhere) = revoking_as("owner");
        assert_eq!(said, "00000");
        assert_eq!(living(), ids([&elsewhere]));
    }

    #[pg_test]
    fn an_admin_logs_everybody_out_of_their_tenant() {
        let (said, _, elsewhere) = revoking_as("admin");
        assert_eq!(said, "00000");
        assert_eq!(living(), ids([&elsewhere]));
    }

    #[pg_test]
    fn a_member_logs_nobody_out() {
        let (said, living, _) = revoking_as("member");
        assert_eq!((said.as_str(), living), ("TN203", 3));
    }

    #[pg_test]
    fn a_viewer_logs_nobody_out() {
        let (said, living, _) = revoking_as("viewer");
        assert_eq!((said.as_str(), living), ("TN203", 3));
    }

    #[pg_test]
    fn a_gateway_for_nobody_and_a_login_without_a_tenant_log_nobody_out() {
        let acme = tenant("acme");
        become_app_of(&acme);
        assert_eq!(outcome("select tenancy.revoke_tenant_sessions()"), "TN203");
        run("reset role");
        become_role("tenancy_authenticator");
        assert_eq!(outcome("select tenancy.revoke_tenant_sessions()"), "42501");
    }

    #[pg_test]
    fn without_a_tenant_nobody_is_logged_out() {
        for mode in ["error", "empty"] {
            run(&format!("set local pg_tenancy.missing_context = '{mode}'"));
            become_role("tenancy_app");
            let said = outcome("select tenancy.revoke_tenant_sessions()");
            assert!(
                ["TN001", "TN203"].contains(&said.as_str()),
                "{mode}: {said}"
            );
            run("reset role");
        }
    }

    #[pg_test]
    fn the_operator_logs_everybody_out_of_a_tenant_and_leaves_a_trace() {
        add_key();
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        acme.log_in();
        let other = globex.log_in();
        become_role("tenancy_admin");
        run(&format!(
            "select tenancy.revoke_tenant('{}', 'a laptop was stolen')",
            acme.id
        ));
        assert_eq!(
            outcome("select tenancy.revoke_tenant('00000000-0000-0000-0000-000000000000', 'x')"),
            "TN601"
        );
        assert_eq!(outcome("select tenancy.revoke_tenant(null, 'x')"), "TN601");
        run("reset role");
        assert_eq!(living(), ids([&other]));
        assert_eq!(
            text(
                "select arguments ->> 'reason' from tenancy.audit_log where action = 'revoke_tenant'"
            ),
            "a laptop was stolen"
        );
    }

    #[pg_test]
    fn sessions_of_a_person_in_one_tenant_end_for_who_removes_them() {
        add_key();
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        globex.add_member(acme.owner, "viewer");
        let [home, away, other] = [acme.log_in(), globex.log_in_as(acme.owner), globex.log_in()];
        run("select tenancy_private.end_sessions(null, null, 'everybody')");
        assert_eq!(living(), ids([&home, &away, &other]));
        run(&format!(
            "select tenancy_private.end_sessions('{}', '{}', 'removed')",
            globex.id, acme.owner
        ));
        assert_eq!(living(), ids([&home, &other]));
        run(&format!(
            "select tenancy_private.end_sessions('{}', null, null)",
            globex.id
        ));
        assert_eq!(living(), ids([&home]));
        assert_eq!(
            text(
                "select string_agg(end_reason, ' ' order by end_reason) from tenancy.sessions where ended_at is not null"
            ),
            "ended removed"
        );
    }

    #[pg_test]
    fn what_has_long_been_over_is_purged_and_what_lives_is_not() {
        add_key();
        let acme = tenant("acme");
        let [living_one, ended, old, expired] =
            [acme.log_in(), acme.log_in(), acme.log_in(), acme.log_in()];
        for login in [&ended, &old] {
            run(&format!("select tenancy.end_session('{}')", login.token));
        }
        run(&format!(
            "update tenancy.sessions set ended_at = now() - interval '31 days' where id = '{}'",
            old.session
        ));
        run(&format!(
            "update tenancy.sessions set expires_at = now() - interval '31 days' where id = '{}'",
            expired.session
        ));
        run(
            "update tenancy.spent_words set expires_at = now() - interval '1 s'
             where digest = (select digest from tenancy.spent_words limit 1)",
        );
        become_role("tenancy_admin");
        for bad in [
            "-1 day",
            // Compared as one day, and taken off as minus fourteen years.
            "-1000 years 360001 days",
            "178000000 years",
            "-178000000 years",
        ] {
            assert_eq!(
                outcome(&format!("select tenancy.purge_sessions('{bad}')")),
                "TN025",
                "{bad}"
            );
        }
        assert_eq!(number("select tenancy.purge_sessions()"), 2);
        assert_eq!(number("select tenancy.purge_sessions(null)"), 0);
        run("reset role");
        assert_eq!(
            text("select string_agg(id::text, ' ' order by id) from tenancy.sessions"),
            ids([&living_one, &ended]).join(" ")
        );
        assert_eq!(number("select count(*) from tenancy.refresh_tokens"), 2);
        assert_eq!(number("select count(*) from tenancy.spent_words"), 3);
        become_role("tenancy_admin");
        assert_eq!(number("select tenancy.purge_sessions('0')"), 1);
        run("reset role");
        assert_eq!(living(), ids([&living_one]));
        assert_eq!(
            number(&format!(
                "select count(*) from tenancy.refresh_session('{}') where refused is null",
                living_one.refresh
            )),
            1
        );
    }
}
