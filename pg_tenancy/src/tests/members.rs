//! Who may change the people of a tenant.

#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;
    use uuid::Uuid;

    use crate::tests::support::*;

    fn setting(person: Uuid, role: &str) -> String {
        outcome(&format!(
            "select tenancy.set_member_role('{person}', '{role}')"
        ))
    }

    fn removing(person: Uuid) -> String {
        outcome(&format!("select tenancy.remove_member('{person}')"))
    }

    #[pg_test]
    fn roles_change_as_the_rules_say() {
        let acme = tenant("acme");
        let [alice, bob, carol, dave] = [
            member(&acme, "alice", "admin"),
            member(&acme, "bob", "admin"),
            member(&acme, "carol", "member"),
            member(&acme, "dave", "owner"),
        ];

        become_person(&acme, alice);
        assert_eq!(
            setting(alice, "owner"),
            "TN201",
            "an admin makes no owner, least of all himself"
        );
        assert_eq!(setting(carol, "owner"), "TN201");
        assert_eq!(setting(dave, "member"), "TN201", "and demotes none");
        assert_eq!(setting(dave, "owner"), "TN201");
        assert_eq!(removing(dave), "TN201", "and removes none");
        assert_eq!(setting(carol, "admin"), "00000");
        assert_eq!(setting(carol, "viewer"), "00000");
        assert_eq!(
            setting(bob, "member"),
            "00000",
            "an admin changes another admin"
        );
        assert_eq!(setting(alice, "member"), "00000", "and himself");
        assert_eq!(
            setting(bob, "admin"),
            "TN203",
            "from then on no more, also in the same transaction"
        );

        become_person(&acme, acme.owner);
        assert_eq!(setting(bob, "owner"), "00000");
        assert_eq!(setting(dave, "viewer"), "00000", "an owner demotes another");
        assert_eq!(
            setting(acme.owner, "member"),
            "00000",
            "and himself while there is one more"
        );
        become_person(&acme, bob);
        assert_eq!(setting(bob, "admin"), "TN202");
        assert_eq!(removing(bob), "TN202");
        assert_eq!(setting(bob, "owner"), "00000", "which he is");
    }

    #[pg_test]
    fn members_and_viewers_change_nobody() {
        let acme = tenant("acme");
        let alice = member(&acme, "alice", "member");
        let bob = member(&acme, "bob", "viewer");
        for person in [alice, bob] {
            become_person(&acme, person);
            for attempt in [
                format!("select tenancy.set_member_role('{person}', 'owner')"),
                format!("select tenancy.remove_member('{}')", acme.owner),
                "select tenancy.invite_member('eve@acme.example', 'member')".to_owned(),
                "select tenancy.list_invitations()".to_owned(),
                format!("select tenancy.revoke_invitation('{person}')"),
                "select tenancy.create_api_key('key', 'viewer')".to_owned(),
                "select tenancy.list_api_keys()".to_owned(),
                format!("select tenancy.revoke_api_key('{person}')"),
            ] {
                assert_eq!(outcome(&attempt), "TN203", "{attempt}");
            }
        }
    }

    #[pg_test]
    fn without_a_tenant_or_a_person_there_is_nobody_to_change() {
        let acme = tenant("acme");
        let calls = [
            format!("select tenancy.set_member_role('{}', 'member')", acme.owner),
            format!("select tenancy.remove_member('{}')", acme.owner),
            "select tenancy.invite_member('eve@acme.example', 'member')".to_owned(),
            "select tenancy.list_invitations()".to_owned(),
            "select tenancy.create_api_key('key', 'viewer')".to_owned(),
            "select tenancy.list_api_keys()".to_owned(),
        ];
        become_role("tenancy_app");
        for call in &calls {
            assert_eq!(outcome(call), "TN001", "{call}");
        }
        assert_eq!(outcome("select tenancy.list_members()"), "TN001");
        become_dba();
        run("set local pg_tenancy.missing_context = 'empty'");
        become_role("tenancy_app");
        for call in &calls {
            assert_eq!(outcome(call), "TN001", "{call}");
        }
        assert_eq!(
            answer("select tenancy.list_members()")["data"],
            serde_json::json!([])
        );
        // A plain setting names a tenant, and nobody in it.
        become_dba();
        run("set local pg_tenancy.compat_setting = 'app.tenant'");
        run(&format!("set local app.tenant = '{}'", acme.id));
        become_role("tenancy_app");
        for call in &calls {
            assert_eq!(outcome(call), "TN001", "{call}");
        }
        become_dba();
        become_app_of(&acme);
        for call in &calls {
            assert_eq!(outcome(call), "TN203", "a gateway for nobody: {call}");
        }
    }

    #[pg_test]
    fn who_is_not_in_the_tenant_is_not_there() {
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        become_person(&acme, acme.owner);
        for stranger in [globex.owner, Uuid::nil()] {
            assert_eq!(setting(stranger, "member"), "TN205");
            assert_eq!(setting(stranger, "owner"), "TN205");
            assert_eq!(removing(stranger), "TN205");
        }
        assert_eq!(outcome("select tenancy.remove_member(null)"), "TN205");
        become_dba();
        assert_eq!(
            number("select count(*) from tenancy.memberships where role = 'owner'"),
            2
        );
    }

    #[pg_test]
    fn a_role_has_exactly_one_spelling() {
        let acme = tenant("acme");
        let alice = member(&acme, "alice", "member");
        become_person(&acme, acme.owner);
        for role in [
            "Admin",
            " admin",
            "admin ",
            "ADMIN",
            "",
            "superuser",
            "owner,admin",
            "admin\n",
        ] {
            assert_eq!(setting(alice, role), "TN206", "{role:?}");
            assert_eq!(
                outcome(&format!(
                    "select tenancy.invite_member('eve@acme.example', '{role}')"
                )),
                "TN206",
                "{role:?}"
            );
        }
        assert_eq!(
            outcome(&format!("select tenancy.set_member_role('{alice}', null)")),
            "TN206"
        );
    }

    #[pg_test]
    fn people_are_listed_page_by_page_and_only_those_of_the_tenant() {
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        let alice = member(&acme, "alice", "viewer");
        member(&globex, "mallory", "admin");
        become_person(&acme, alice);
        let list = answer(r#"select tenancy.list_members('{"limit":"1","count":"exact"}')"#);
        assert_eq!(list["total"], 2);
        assert_eq!(list["limit"], 1);
        assert_eq!(list["data"][0]["userId"], alice.to_string());
        assert_eq!(list["data"][0]["role"], "viewer");
        assert!(
            list["data"][0]["createdAt"]
                .as_str()
                .unwrap()
                .ends_with('Z')
        );
        let second = answer(r#"select tenancy.list_members('{"limit":1,"page":2}')"#);
        assert_eq!(second["data"][0]["email"], "owner@acme.example");
        assert!(second.get("total").is_none());
        assert_eq!(
            answer(r#"select tenancy.list_members('{"page":3}')"#)["data"],
            serde_json::json!([])
        );
        let all = text("select tenancy.list_members()::text");
        assert!(!all.contains("globex") && !all.contains("mallory"), "{all}");
    }

    #[pg_test]
    fn a_bad_page_is_refused() {
        let acme = tenant("acme");
        become_person(&acme, acme.owner);
        for list in ["list_members", "list_invitations", "list_api_keys"] {
            for query in [
                r#"{"page":0}"#,
                r#"{"page":"-1"}"#,
                r#"{"page":1.5}"#,
                r#"{"page":1000001}"#,
                r#"{"page":99999999999999999999}"#,
                r#"{"page":null}"#,
                r#"{"page":[1]}"#,
                r#"{"limit":101}"#,
                r#"{"limit":""}"#,
                r#"{"limit":"1 or 1=1"}"#,
                r#"{"count":"all"}"#,
                r#"{"count":null}"#,
                r#"{"filter":{"role":"owner"}}"#,
                r#"{"page":1,"page":2}"#,
                r#"{"\u0000":1}"#,
                r#"{"count":"\u0000"}"#,
                "[]",
                "null",
                "1",
            ] {
                assert_eq!(
                    outcome(&format!("select tenancy.{list}('{query}')")),
                    "TN406",
                    "{list} {query}"
                );
            }
            run(&format!("select tenancy.{list}(null)"));
        }
    }

    #[pg_test]
    fn who_is_removed_is_out_and_comes_back_as_a_stranger() {
        add_key();
        let acme = tenant("acme");
        let alice = member(&acme, "alice", "admin");
        let session = text(&format!(
            "insert into tenancy.sessions (tenant_id, user_id, expires_at)
             values ('{}', '{alice}', now() + interval '1 day') returning id::text",
            acme.id
        ));
        let task = acme.task("Call the bank");
        run(&format!("update tenancy.tasks set assignee_id = '{alice}'"));
        become_person(&acme, alice);
        run("select tenancy.invite_member('eve@acme.example', 'member')");

        become_person(&acme, acme.owner);
        let removed = answer(&format!("select tenancy.remove_member('{alice}')"));
        assert_eq!(removed["userId"], alice.to_string());
        assert_eq!(removed["role"], "admin");
        assert_eq!(removed["apiKeys"], serde_json::json!([]));
        assert_eq!(removing(alice), "TN205");
        assert_eq!(
            text(&format!(
                "select status || coalesce(assignee_id::text, ' nobody') from tenancy.tasks where id = '{task}'"
            )),
            "todo nobody"
        );
        assert_eq!(
            answer("select tenancy.list_invitations()")["data"],
            serde_json::json!([]),
            "what she has asked for goes with her"
        );
        become_dba();
        assert_eq!(
            text(&format!(
                "select end_reason from tenancy.sessions where id = '{session}'"
            )),
            "removed"
        );
        let token = token_of(&acme, alice);
        assert_eq!(
            outcome(&format!("select tenancy.enter('{token}')")),
            "TN002"
        );

        become_person(&acme, acme.owner);
        let address = format!("ALICE@{}.example", acme.id);
        let invitation = text(&format!(
            "select token from tenancy.invite_member('{address}', 'viewer')"
        ));
        become_dba();
        become_role("tenancy_authenticator");
        assert_eq!(
            text(&format!(
                "select role from tenancy.accept_invitation('{invitation}', '{token}')"
            )),
            "viewer"
        );
        become_dba();
        assert_eq!(
            text(&format!(
                "select end_reason from tenancy.sessions where id = '{session}'"
            )),
            "removed",
            "an old session does not come back"
        );
    }

    #[pg_test]
    fn anybody_leaves_with_a_token_and_the_last_owner_stays() {
        add_key();
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        let alice = member(&acme, "alice", "viewer");
        let leaving = |token: &str| outcome(&format!("select tenancy.leave_tenant('{token}')"));
        become_role("tenancy_authenticator");
        assert_eq!(leaving(&acme.token()), "TN202");
        assert_eq!(leaving(&token_of(&acme, alice)), "00000");
        assert_eq!(leaving(&token_of(&acme, alice)), "TN002");
        assert_eq!(leaving(&token_of(&acme, globex.owner)), "TN002");
        assert_eq!(leaving("nonsense"), "TN010");
        assert_eq!(outcome("select tenancy.leave_tenant(null)"), "TN010");

        let mut word = acme.claims();
        word["purpose"] = "session".into();
        assert_eq!(
            leaving(&sign(&word, "test", SECRET)),
            "TN010",
            "a word is no proof"
        );
        let forged = sign(
            &acme.claims(),
            "test",
            "another secret, which is long enough",
        );
        assert_eq!(leaving(&forged), "TN011");

        become_dba();
        run(&format!(
            "select tenancy.suspend_tenant('{}', 'unpaid')",
            acme.id
        ));
        become_role("tenancy_app");
        assert_eq!(leaving(&acme.token()), "TN004");
        become_dba();
        assert_eq!(number("select count(*) from tenancy.memberships"), 2);
    }

    /// Who keeps that transaction open would hold up everybody who manages people.
    #[pg_test]
    fn who_leaves_locks_no_owner_unless_they_are_one() {
        add_key();
        let acme = tenant("acme");
        let [vera, bob] = [
            member(&acme, "vera", "viewer"),
            member(&acme, "bob", "owner"),
        ];
        // What has locked the first owner's row last.
        let locked = || {
            text(&format!(
                "select xmax::text from tenancy.memberships where user_id = '{}'",
                acme.owner
            ))
        };
        let leaving = |person| {
            let token = token_of(&acme, person);
            outcome(&format!("select tenancy.leave_tenant('{token}')"))
        };
        let before = locked();
        assert_eq!(leaving(vera), "00000");
        assert_eq!(locked(), before);
        assert_eq!(leaving(bob), "00000");
        assert_ne!(locked(), before);
        assert_eq!(leaving(acme.owner), "TN202");
    }

    #[pg_test]
    fn a_table_that_needs_the_member_keeps_her() {
        let acme = tenant("acme");
        let alice = member(&acme, "alice", "member");
        run(
            "create table public.payslips (id int primary key, tenant_id uuid, person uuid,
                foreign key (tenant_id, person) references tenancy.memberships)",
        );
        run(&format!(
            "insert into public.payslips values (1, '{}', '{alice}')",
            acme.id
        ));
        become_person(&acme, acme.owner);
        assert_eq!(removing(alice), "TN413");
    }

    /// Not by any statement of the application's own.
    #[pg_test]
    fn nobody_writes_memberships_by_hand() {
        let acme = tenant("acme");
        let alice = member(&acme, "alice", "admin");
        become_person(&acme, alice);
        assert_eq!(number("select count(*) from tenancy.memberships"), 2);
        for attempt in [
            "update tenancy.memberships set role = 'owner'",
            "delete from tenancy.memberships",
            "insert into tenancy.memberships (user_id, role) values (gen_random_uuid(), 'owner')",
            "insert into tenancy.memberships (user_id, role) select user_id, 'owner' from tenancy.memberships on conflict (tenant_id, user_id) do update set role = 'owner'",
            "merge into tenancy.memberships as m using (select 1) as s on true when matched then update set role = 'owner'",
            "with w as (update tenancy.memberships set role = 'owner' returning 1) select * from w",
            "select * from tenancy.memberships for update",
            "select * from tenancy.tenants for update",
            "truncate tenancy.memberships",
            "copy tenancy.memberships from program 'true'",
            "update tenancy.users set email = 'owner@acme.example'",
            "update tenancy.tenants set status = 'active'",
            "select tenancy.update_row('tenancy.memberships', 'x', '{\"role\":\"owner\"}')",
            "select tenancy.insert_row('tenancy.memberships', '{\"role\":\"owner\"}')",
            "select tenancy.list_rows('tenancy.invitations')",
            "select tenancy.list_rows('tenancy.api_keys')",
            "select tenancy.list_rows('tenancy.api_key_uses')",
            "select * from tenancy.invitations",
            "select * from tenancy.api_keys",
            "select * from tenancy.api_key_uses",
            "update tenancy.api_keys set role = 'admin'",
            "select tenancy_private.lock_people()",
            "select tenancy_private.end_membership(null, null, null)",
            "select tenancy_private.note_use(null, null)",
        ] {
            assert_ne!(outcome(attempt), "00000", "{attempt}");
        }
        become_dba();
        assert_eq!(
            text(&format!(
                "select role from tenancy.memberships where user_id = '{alice}'"
            )),
            "admin"
        );
    }
}
