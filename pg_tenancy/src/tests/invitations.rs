//! Invitations: good once, for one address, from somebody who may.

#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;

    use crate::tests::support::*;

    /// The token of a new invitation, made by who has entered.
    fn invited(email: &str, role: &str) -> String {
        text(&format!(
            "select token from tenancy.invite_member('{email}', '{role}')"
        ))
    }

    /// How a new person's attempt ends; what it made is there if it is 00000.
    fn accepting(invitation: &str) -> String {
        outcome(&format!(
            "select tenancy.accept_invitation('{invitation}', null, '{HASH}')"
        ))
    }

    fn accepting_with(invitation: &str, token: &str) -> String {
        outcome(&format!(
            "select tenancy.accept_invitation('{invitation}', '{token}')"
        ))
    }

    fn become_authenticator() {
        become_dba();
        become_role("tenancy_authenticator");
    }

    #[pg_test]
    fn a_new_person_accepts_once() {
        let acme = tenant("acme");
        become_person(&acme, acme.owner);
        let made = text(
            "select concat_ws(' ', role, email, tenant_name, left(token, 4), length(token),
                 round(extract(epoch from expires_at - now()) / 3600))
             from tenancy.invite_member(' Bob@Acme.example ', 'member')",
        );
        assert_eq!(made, "member Bob@Acme.example acme pgi_ 47 168");
        let invitation = invited("bob@acme.example", "admin");

        become_authenticator();
        assert_eq!(
            text(&format!(
                "select concat_ws(' ', email, role, tenant_name, has_account) from tenancy.peek_invitation('{invitation}')"
            )),
            "bob@acme.example admin acme f"
        );
        assert_eq!(
            outcome(&format!("select tenancy.accept_invitation('{invitation}')")),
            "TN306"
        );
        assert_eq!(
            outcome(&format!(
                "select tenancy.accept_invitation('{invitation}', null, 'password123')"
            )),
            "TN106"
        );
        let accepted = text(&format!(
            "select concat_ws(' ', email, tenant_id, role) from tenancy.accept_invitation('{invitation}', null, '{HASH}')"
        ));
        assert_eq!(accepted, format!("bob@acme.example {} admin", acme.id));
        assert_eq!(accepting(&invitation), "TN303");
        assert_eq!(
            outcome(&format!("select tenancy.peek_invitation('{invitation}')")),
            "TN303"
        );
        become_dba();
        assert_eq!(
            text("select concat_ws(' ', m.role, u.email_verified_at is not null, u.password_hash is not null)
                  from tenancy.users as u join tenancy.memberships as m on m.user_id = u.id
                  where u.email = 'bob@acme.example'"),
            "admin f t",
            "who invited her knows the token: it verifies no address"
        );
    }

    /// Only its digest is there: who reads the table can't accept.
    #[pg_test]
    fn the_token_is_stored_nowhere() {
        let acme = tenant("acme");
        become_person(&acme, acme.owner);
        let invitation = invited("bob@acme.example", "member");
        become_dba();
        let row = text("select i::text from tenancy.invitations as i");
        assert!(!row.contains(&invitation[4..]), "{row}");
        let digest = text("select encode(digest, 'hex') from tenancy.invitations");
        assert_eq!(
            digest,
            text(&format!("select encode(sha256('{invitation}'), 'hex')"))
        );
        become_role("tenancy_authenticator");
        for guess in [
            String::new(),
            "pgi_".to_owned(),
            digest,
            invitation[4..].to_owned(),
            format!("{invitation} "),
            invitation[..46].to_owned(),
            invitation.to_uppercase(),
        ] {
            assert_eq!(accepting(&guess), "TN303", "{guess}");
        }
        assert_eq!(
            outcome(&format!(
                "select tenancy.accept_invitation(null, null, '{HASH}')"
            )),
            "TN303"
        );
        assert_eq!(outcome("select tenancy.peek_invitation(null)"), "TN303");
        assert_eq!(
            outcome(&format!("select tenancy.enter('{invitation}')")),
            "42501"
        );
    }

    #[pg_test]
    fn who_has_an_account_logs_in_first() {
        add_key();
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        let mallory = member(&globex, "mallory", "member");
        become_person(&acme, acme.owner);
        let invitation = invited("OWNER@Globex.example", "viewer");
        become_authenticator();
        assert_eq!(
            text(&format!(
                "select has_account::text from tenancy.peek_invitation('{invitation}')"
            )),
            "true"
        );
        assert_eq!(
            accepting(&invitation),
            "TN304",
            "a password of somebody's choice"
        );
        assert_eq!(
            accepting_with(&invitation, &token_of(&globex, mallory)),
            "TN305"
        );
        assert_eq!(accepting_with(&invitation, &acme.token()), "TN305");
        assert_eq!(accepting_with(&invitation, "nonsense"), "TN010");
        assert_eq!(accepting_with(&invitation, ""), "TN010");
        let mut word = globex.claims();
        word["purpose"] = "session".into();
        assert_eq!(
            accepting_with(&invitation, &sign(&word, "test", SECRET)),
            "TN010"
        );
        // Both: the account's password stays what it was.
        assert_eq!(
            text(&format!(
                "select role from tenancy.accept_invitation('{invitation}', '{}', '{HASH}')",
                globex.token()
            )),
            "viewer"
        );
        become_dba();
        assert_eq!(
            text(
                "select (password_hash is null and email_verified_at is null)::text
                  from tenancy.users where email = 'owner@globex.example'"
            ),
            "true"
        );
        assert_eq!(
            text(&format!(
                "select string_agg(role, ',' order by role) from tenancy.memberships where user_id = '{}'",
                globex.owner
            )),
            "owner,viewer"
        );
    }

    #[pg_test]
    fn a_new_one_for_the_same_address_revokes_the_old() {
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        become_person(&globex, globex.owner);
        let elsewhere = invited("bob@acme.example", "member");
        become_person(&acme, acme.owner);
        let first = invited("bob@acme.example", "admin");
        let second = invited("BOB@ACME.EXAMPLE", "viewer");
        let list = answer(r#"select tenancy.list_invitations('{"count":"exact"}')"#);
        assert_eq!(list["total"], 1);
        assert_eq!(list["data"][0]["role"], "viewer");
        assert_eq!(list["data"][0]["invitedBy"], acme.owner.to_string());
        assert!(!list.to_string().contains(&second[4..]));
        become_authenticator();
        assert_eq!(accepting(&first), "TN303");
        assert_eq!(accepting(&second), "00000");
        assert_eq!(
            accepting(&elsewhere),
            "TN304",
            "another tenant's is as good as before"
        );
    }

    #[pg_test]
    fn an_owner_alone_invites_an_owner() {
        let acme = tenant("acme");
        let alice = member(&acme, "alice", "admin");
        become_person(&acme, acme.owner);
        let invitation = invited("bob@acme.example", "owner");
        become_person(&acme, alice);
        assert_eq!(
            outcome("select tenancy.invite_member('eve@acme.example', 'owner')"),
            "TN201"
        );
        assert_eq!(
            outcome("select tenancy.invite_member('Bob@acme.example', 'viewer')"),
            "TN201",
            "nor takes the place of an owner's"
        );
        let id = answer("select tenancy.list_invitations()")["data"][0]["id"].clone();
        let id = id.as_str().unwrap();
        assert_eq!(
            outcome(&format!("select tenancy.revoke_invitation('{id}')")),
            "TN201"
        );
        become_authenticator();
        assert_eq!(accepting(&invitation), "00000");
        become_person(&acme, acme.owner);
        assert_eq!(
            outcome(&format!(
                "select tenancy.set_member_role('{}', 'viewer')",
                acme.owner
            )),
            "00000",
            "there are two now"
        );
    }

    #[pg_test]
    fn it_is_void_when_who_made_it_may_no_more() {
        let acme = tenant("acme");
        let [alice, bob, carol] = [
            member(&acme, "alice", "admin"),
            member(&acme, "bob", "owner"),
            member(&acme, "carol", "admin"),
        ];
        become_person(&acme, alice);
        let by_the_demoted = invited("one@acme.example", "member");
        become_person(&acme, bob);
        let for_an_owner = invited("two@acme.example", "owner");
        let for_a_member = invited("three@acme.example", "member");
        become_person(&acme, carol);
        let by_hand = invited("four@acme.example", "member");

        become_person(&acme, acme.owner);
        run(&format!(
            "select tenancy.set_member_role('{alice}', 'member')"
        ));
        run(&format!("select tenancy.set_member_role('{bob}', 'admin')"));
        // Coming back doesn't bring them back.
        run(&format!(
            "select tenancy.set_member_role('{alice}', 'admin')"
        ));
        run(&format!("select tenancy.set_member_role('{bob}', 'owner')"));
        become_dba();
        run(&format!(
            "delete from tenancy.memberships where user_id = '{carol}'"
        ));
        become_role("tenancy_authenticator");
        assert_eq!(accepting(&by_the_demoted), "TN303");
        assert_eq!(accepting(&for_an_owner), "TN303");
        assert_eq!(accepting(&by_hand), "TN303");
        assert_eq!(accepting(&for_a_member), "00000");
    }

    #[pg_test]
    fn expired_revoked_and_suspended_ones_are_refused() {
        let acme = tenant("acme");
        become_person(&acme, acme.owner);
        let expired = invited("one@acme.example", "member");
        let revoked = invited("two@acme.example", "member");
        let good = invited("three@acme.example", "member");
        let id = text(
            "select value ->> 'id' from json_array_elements(tenancy.list_invitations() -> 'data')
                       where value ->> 'email' = 'two@acme.example'",
        );
        let answered = answer(&format!("select tenancy.revoke_invitation('{id}')"));
        assert!(answered["revokedAt"].is_string());
        assert_eq!(
            outcome(&format!("select tenancy.revoke_invitation('{id}')")),
            "TN303"
        );
        assert_eq!(
            outcome(&format!(
                "select tenancy.revoke_invitation('{}')",
                acme.owner
            )),
            "TN303"
        );
        become_dba();
        run(
            "update tenancy.invitations set expires_at = clock_timestamp() where email = 'one@acme.example'",
        );
        run(&format!(
            "select tenancy.suspend_tenant('{}', 'unpaid')",
            acme.id
        ));
        become_role("tenancy_authenticator");
        assert_eq!(accepting(&expired), "TN302");
        assert_eq!(accepting(&revoked), "TN303");
        assert_eq!(accepting(&good), "TN004");
        assert_eq!(
            outcome(&format!("select tenancy.peek_invitation('{good}')")),
            "TN004"
        );
        become_dba();
        run(&format!("select tenancy.resume_tenant('{}')", acme.id));
        become_role("tenancy_authenticator");
        assert_eq!(accepting(&good), "00000");
    }

    #[pg_test]
    fn another_tenants_invitation_is_not_there() {
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        become_person(&acme, acme.owner);
        invited("bob@acme.example", "member");
        let id = answer("select tenancy.list_invitations()")["data"][0]["id"].clone();
        become_person(&globex, globex.owner);
        assert_eq!(
            outcome(&format!(
                "select tenancy.revoke_invitation('{}')",
                id.as_str().unwrap()
            )),
            "TN303"
        );
        assert_eq!(
            answer("select tenancy.list_invitations()")["data"],
            serde_json::json!([])
        );
    }

    #[pg_test]
    fn a_bad_address_or_lifetime_is_refused() {
        let acme = tenant("acme");
        let alice = member(&acme, "alice", "member");
        become_person(&acme, acme.owner);
        for email in [
            "''",
            "null",
            "'bob'",
            "'a b@c'",
            "'@c'",
            "'a@'",
            "E'a@b\\nc'",
        ] {
            assert_eq!(
                outcome(&format!("select tenancy.invite_member({email}, 'member')")),
                "TN105",
                "{email}"
            );
        }
        for lifetime in [
            "'0'",
            "'-1 day'",
            "'0.9 seconds'",
            "'91 days'",
            "'1000000 years'",
            "'1000 years -359999 days'",
        ] {
            assert_eq!(
                outcome(&format!(
                    "select tenancy.invite_member('bob@acme.example', 'member', {lifetime})"
                )),
                "TN025",
                "{lifetime}"
            );
        }
        assert_eq!(
            outcome(&format!(
                "select tenancy.invite_member('ALICE@{}.Example', 'member')",
                acme.id
            )),
            "TN301"
        );
        // Who comes in by another way before accepting.
        let invitation = invited("bob@acme.example", "member");
        become_dba();
        add_key();
        run(&format!(
            "with u as (insert into tenancy.users (email) values ('bob@acme.example') returning id)
             insert into tenancy.memberships (tenant_id, user_id) select '{}', id from u",
            acme.id
        ));
        let bob: uuid::Uuid =
            text("select id::text from tenancy.users where email = 'bob@acme.example'")
                .parse()
                .unwrap();
        let token = token_of(&acme, bob);
        become_role("tenancy_authenticator");
        assert_eq!(accepting_with(&invitation, &token), "TN301");
        assert_ne!(alice, bob);
    }
}
