//! API keys: a machine's own way in.

#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;
    use serde_json::Value;

    use crate::tests::support::*;

    fn created(role: &str) -> Value {
        answer(&format!(
            "select tenancy.create_api_key('Importer', '{role}')"
        ))
    }

    fn key_of(made: &Value) -> String {
        made["key"].as_str().expect("a key").to_owned()
    }

    fn id_of(made: &Value) -> String {
        made["id"].as_str().expect("an id").to_owned()
    }

    fn entering(key: &str) -> String {
        outcome(&format!("select tenancy.enter('{key}')"))
    }

    fn become_application() {
        become_dba();
        become_role("tenancy_app");
    }

    fn become_machine(key: &str) {
        become_application();
        run(&format!("select tenancy.enter('{key}')"));
    }

    #[pg_test]
    fn a_machine_enters_with_a_key_and_is_nobody() {
        let acme = tenant("acme");
        acme.task("Plan");
        become_person(&acme, acme.owner);
        let made = created("member");
        let key = key_of(&made);
        let prefix = made["prefix"].as_str().unwrap();
        assert_eq!(key.len(), 60);
        assert!(key.starts_with(&format!("pgt_{prefix}_")), "{made}");
        assert!(prefix.chars().all(|c| c.is_ascii_alphanumeric()) && prefix.len() == 12);
        assert_eq!(made["createdBy"], acme.owner.to_string());
        assert_eq!(made["expiresAt"], Value::Null);

        become_machine(&key);
        assert_eq!(
            text("select tenancy.current_tenant_id()::text"),
            acme.id.to_string()
        );
        assert_eq!(maybe("select tenancy.current_user_id()::text"), None);
        assert_eq!(text("select tenancy.current_member_role()"), "member");
        assert_eq!(text("select title from tenancy.tasks"), "Plan");
        run("insert into tenancy.tasks (title) values ('By a machine')");
        assert_eq!(answer("select tenancy.me()")["user"], Value::Null);

        become_person(&acme, acme.owner);
        let listed = answer("select tenancy.list_api_keys()");
        assert!(listed["data"][0]["lastUsedAt"].is_string(), "{listed}");
        assert!(listed["data"][0].get("key").is_none());
        assert!(!listed.to_string().contains(&key[17..]));
    }

    #[pg_test]
    fn a_viewers_key_only_reads() {
        let acme = tenant("acme");
        acme.task("Plan");
        become_person(&acme, acme.owner);
        let key = key_of(&created("viewer"));
        become_machine(&key);
        assert_eq!(text("select title from tenancy.tasks"), "Plan");
        assert_eq!(
            outcome("insert into tenancy.tasks (title) values ('x')"),
            "25006"
        );
        run("reset role");
        assert_eq!(
            number("select count(*) from tenancy.api_key_uses where last_used_at is not null"),
            1
        );
    }

    #[pg_test]
    fn the_key_is_stored_nowhere_and_no_part_of_it_opens() {
        let acme = tenant("acme");
        become_person(&acme, acme.owner);
        let made = created("admin");
        let key = key_of(&made);
        become_dba();
        let row = text("select k::text from tenancy.api_keys as k");
        assert!(!row.contains(&key[17..]), "{row}");
        let digest = text("select encode(digest, 'hex') from tenancy.api_keys");
        become_role("tenancy_app");
        let other_end = if key.ends_with('A') { 'B' } else { 'A' };
        for guess in [
            "pgt_".to_owned(),
            format!("pgt_{}", &digest[..56]),
            key[..59].to_owned(),
            format!("{}{other_end}", &key[..59]),
            format!("{key}="),
            format!("{key} "),
            format!(" {key}"),
            key.to_uppercase(),
            key.to_lowercase(),
            format!(
                "pgt_{}_{}",
                made["prefix"].as_str().unwrap(),
                "A".repeat(43)
            ),
            format!("pgt_{}", "é".repeat(28)),
            format!("pgt_{}", "x".repeat(1 << 20)),
        ] {
            let code = entering(&guess);
            assert!(
                code == "TN018" || (code == "TN010" && !guess.starts_with("pgt_")),
                "{guess}: {code}"
            );
        }
        assert_eq!(entering(&key), "00000");
    }

    #[pg_test]
    fn an_error_does_not_tell_the_key() {
        let acme = tenant("acme");
        become_person(&acme, acme.owner);
        let made = created("admin");
        let key = key_of(&made);
        run(&format!(
            "select tenancy.revoke_api_key('{}')",
            id_of(&made)
        ));
        become_application();
        let said = complaint(&format!("select tenancy.enter('{key}')"));
        assert!(
            said.starts_with("TN018") && !said.contains(&key[4..16]),
            "{said}"
        );
    }

    #[pg_test]
    fn revoked_and_expired_keys_and_those_of_a_suspended_tenant_are_refused() {
        let acme = tenant("acme");
        become_person(&acme, acme.owner);
        let [revoked, expired, good] = [created("member"), created("member"), created("member")];
        let once = answer(&format!(
            "select tenancy.revoke_api_key('{}')",
            id_of(&revoked)
        ));
        let again = answer(&format!(
            "select tenancy.revoke_api_key('{}')",
            id_of(&revoked)
        ));
        assert_eq!(once["revokedAt"], again["revokedAt"]);
        assert!(once["revokedAt"].is_string());
        become_dba();
        run(&format!(
            "update tenancy.api_keys set expires_at = clock_timestamp() where id = '{}'",
            id_of(&expired)
        ));
        become_role("tenancy_app");
        assert_eq!(entering(&key_of(&revoked)), "TN018");
        assert_eq!(entering(&key_of(&expired)), "TN018");
        become_dba();
        run(&format!(
            "select tenancy.suspend_tenant('{}', 'unpaid')",
            acme.id
        ));
        become_role("tenancy_app");
        assert_eq!(entering(&key_of(&good)), "TN004");
        assert_eq!(
            entering(&key_of(&revoked)),
            "TN018",
            "which says nothing of the tenant"
        );
        become_dba();
        run(&format!("select tenancy.resume_tenant('{}')", acme.id));
        become_role("tenancy_app");
        assert_eq!(entering(&key_of(&good)), "00000");
    }

    #[pg_test]
    fn a_key_makes_no_keys_and_no_owners() {
        let acme = tenant("acme");
        let bob = member(&acme, "bob", "member");
        become_person(&acme, acme.owner);
        let made = created("admin");
        let key = key_of(&made);
        become_machine(&key);
        for (attempt, expected) in [
            (
                "select tenancy.create_api_key('more', 'viewer')".to_owned(),
                "TN207",
            ),
            ("select tenancy.list_api_keys()".to_owned(), "TN207"),
            (
                format!("select tenancy.revoke_api_key('{}')", id_of(&made)),
                "TN207",
            ),
            (
                format!("select tenancy.set_member_role('{bob}', 'owner')"),
                "TN201",
            ),
            (
                format!("select tenancy.set_member_role('{}', 'viewer')", acme.owner),
                "TN201",
            ),
            (
                format!("select tenancy.remove_member('{}')", acme.owner),
                "TN201",
            ),
            (
                "select tenancy.invite_member('eve@acme.example', 'owner')".to_owned(),
                "TN201",
            ),
            (
                format!("select tenancy.set_member_role('{bob}', 'admin')"),
                "00000",
            ),
            (format!("select tenancy.remove_member('{bob}')"), "00000"),
        ] {
            assert_eq!(outcome(&attempt), expected, "{attempt}");
        }
        let invitation =
            text("select token from tenancy.invite_member('eve@acme.example', 'member')");
        assert_eq!(
            answer("select tenancy.list_invitations()")["data"][0]["invitedWith"],
            made["id"]
        );

        // Who takes the key away takes back what it has asked for.
        become_person(&acme, acme.owner);
        run(&format!(
            "select tenancy.revoke_api_key('{}')",
            id_of(&made)
        ));
        become_dba();
        become_role("tenancy_authenticator");
        assert_eq!(
            outcome(&format!(
                "select tenancy.accept_invitation('{invitation}', null, '{HASH}')"
            )),
            "TN303"
        );
    }

    #[pg_test]
    fn a_key_that_is_revoked_in_mid_transaction_manages_nobody() {
        let acme = tenant("acme");
        let bob = member(&acme, "bob", "member");
        become_person(&acme, acme.owner);
        let made = created("admin");
        let key = key_of(&made);
        become_machine(&key);
        run("reset role");
        run("update tenancy.api_keys set revoked_at = now()");
        become_role("tenancy_app");
        assert_eq!(
            outcome(&format!("select tenancy.remove_member('{bob}')")),
            "TN018"
        );
    }

    #[pg_test]
    fn it_stays_when_who_made_it_goes_and_the_one_who_removes_is_told() {
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        let alice = member(&acme, "alice", "admin");
        become_person(&globex, globex.owner);
        created("admin");
        become_person(&acme, alice);
        let made = created("member");
        let revoked = created("admin");
        run(&format!(
            "select tenancy.revoke_api_key('{}')",
            id_of(&revoked)
        ));
        become_person(&acme, acme.owner);
        let removed = answer(&format!("select tenancy.remove_member('{alice}')"));
        assert_eq!(removed["apiKeys"].as_array().unwrap().len(), 1, "{removed}");
        assert_eq!(removed["apiKeys"][0]["id"], made["id"]);
        become_application();
        assert_eq!(entering(&key_of(&made)), "00000");
    }

    #[pg_test]
    fn a_bad_name_role_or_expiry_is_refused() {
        let acme = tenant("acme");
        become_person(&acme, acme.owner);
        for arguments in [
            "null, 'member'",
            "'', 'member'",
            "'  ', 'member'",
            "E'a\\nb', 'member'",
            "repeat('x', 101), 'member'",
            "'x', null",
            "'x', 'owner'",
            "'x', 'Admin'",
            "'x', ' member'",
            "'x', 'superuser'",
            "'x', 'member', now()",
            "'x', 'member', '-infinity'",
            "'x', 'member', 'infinity'",
            "'x', 'member', '10000-01-01'",
        ] {
            assert_eq!(
                outcome(&format!("select tenancy.create_api_key({arguments})")),
                "TN310",
                "{arguments}"
            );
        }
        let made =
            answer("select tenancy.create_api_key(' Importer ', 'viewer', '2999-12-31T00:00:00Z')");
        assert_eq!(made["name"], "Importer");
        assert_eq!(made["expiresAt"], "2999-12-31T00:00:00.000000Z");
    }

    #[pg_test]
    fn another_tenants_key_is_not_there() {
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        become_person(&acme, acme.owner);
        let made = created("member");
        become_person(&globex, globex.owner);
        assert_eq!(
            outcome(&format!(
                "select tenancy.revoke_api_key('{}')",
                id_of(&made)
            )),
            "TN311"
        );
        assert_eq!(
            answer("select tenancy.list_api_keys()")["data"],
            serde_json::json!([])
        );
        become_application();
        assert_eq!(entering(&key_of(&made)), "00000");
    }

    #[pg_test]
    fn an_admin_makes_keys_for_admins_and_below() {
        let acme = tenant("acme");
        let alice = member(&acme, "alice", "admin");
        become_person(&acme, alice);
        assert_eq!(created("admin")["role"], "admin");
        run("reset role");
        run(&format!(
            "update tenancy.memberships set role = 'member' where user_id = '{alice}'"
        ));
        become_role("tenancy_app");
        assert_eq!(
            outcome("select tenancy.create_api_key('x', 'viewer')"),
            "TN203",
            "who was demoted in mid-transaction makes none"
        );
    }

    #[pg_test]
    fn a_key_is_revoked_without_a_lock_on_the_owners_by_who_may_do_so_now() {
        let acme = tenant("acme");
        let alice = member(&acme, "alice", "admin");
        become_person(&acme, alice);
        let id = id_of(&created("member"));
        let revoking = || outcome(&format!("select tenancy.revoke_api_key('{id}')"));
        run("reset role");
        // What has locked the rows of owner and admin last.
        let locked =
            || text("select string_agg(xmax::text, ' ' order by user_id) from tenancy.memberships");
        let before = locked();
        become_role("tenancy_app");
        assert_eq!(revoking(), "00000");
        run("reset role");
        assert_eq!(locked(), before);
        for deed in [
            "update tenancy.memberships set role = 'member'",
            "delete from tenancy.memberships",
        ] {
            run(&format!("{deed} where user_id = '{alice}'"));
            become_role("tenancy_app");
            assert_eq!(revoking(), "TN203", "{deed}");
            run("reset role");
        }
    }

    #[pg_test]
    fn an_invitation_of_a_key_that_has_expired_since_is_void() {
        let acme = tenant("acme");
        become_person(&acme, acme.owner);
        let key = key_of(&answer(
            "select tenancy.create_api_key('Importer', 'admin', clock_timestamp() + interval '1 hour')",
        ));
        become_machine(&key);
        let [early, late] = ["early", "late"].map(|name| {
            text(&format!(
                "select token from tenancy.invite_member('{name}@acme.example', 'member')"
            ))
        });
        let accepting = |invitation: &str| {
            become_dba();
            become_role("tenancy_authenticator");
            outcome(&format!(
                "select tenancy.accept_invitation('{invitation}', null, '{HASH}')"
            ))
        };
        assert_eq!(accepting(&early), "00000");
        become_dba();
        run("update tenancy.api_keys set expires_at = clock_timestamp()");
        assert_eq!(accepting(&late), "TN303");
    }

    #[pg_test]
    fn a_read_only_transaction_enters_and_notes_nothing() {
        let acme = tenant("acme");
        become_person(&acme, acme.owner);
        let key = key_of(&created("member"));
        become_dba();
        run("set local transaction_read_only = on");
        become_role("tenancy_app");
        assert_eq!(entering(&key), "00000");
        assert_eq!(text("select tenancy.current_member_role()"), "member");
        run("reset role");
        assert_eq!(
            number("select count(*) from tenancy.api_key_uses where last_used_at is not null"),
            0
        );
    }

    #[pg_test]
    fn a_use_is_noted_once_a_minute() {
        let acme = tenant("acme");
        become_person(&acme, acme.owner);
        let key = key_of(&created("member"));
        become_machine(&key);
        become_dba();
        let first = text("select last_used_at::text from tenancy.api_key_uses");
        become_machine(&key);
        become_dba();
        assert_eq!(
            text("select last_used_at::text from tenancy.api_key_uses"),
            first
        );
        run("update tenancy.api_key_uses set last_used_at = last_used_at - interval '61 seconds'");
        become_machine(&key);
        become_dba();
        assert_eq!(
            text(&format!(
                "select (last_used_at >= '{first}')::text from tenancy.api_key_uses"
            )),
            "true"
        );
    }

    /// One look-up by the digest, however many keys there are.
    #[pg_test]
    fn among_a_hundred_thousand_keys_one_is_found_at_once() {
        let acme = tenant("acme");
        become_person(&acme, acme.owner);
        let key = key_of(&created("member"));
        become_dba();
        run(&format!(
            "insert into tenancy.api_keys (tenant_id, name, role, prefix, digest)
             select '{}', 'key ' || n, 'member', lpad(n::text, 12, 'x'), sha256(n::text::bytea)
             from generate_series(1, 100000) as n",
            acme.id
        ));
        run("insert into tenancy.api_key_uses (tenant_id, key_id)
             select tenant_id, id from tenancy.api_keys on conflict do nothing");
        run("analyze tenancy.api_keys, tenancy.api_key_uses");
        let plan = text(
            "select string_agg(l, E'\\n') from tests.plan($$ select k.id from tenancy.api_keys as k
             left join tenancy.api_key_uses as u on u.tenant_id = k.tenant_id and u.key_id = k.id
             where k.digest = tenancy_private.digest_of('x') $$) as l",
        );
        assert!(
            plan.contains("api_keys_digest_key") && !plan.contains("Seq Scan"),
            "{plan}"
        );

        become_machine(&key);
        let before = std::time::Instant::now();
        for _ in 0..100 {
            run(&format!("select tenancy.enter('{key}')"));
        }
        assert!(
            before.elapsed().as_millis() < 1000,
            "{:?}",
            before.elapsed()
        );

        become_person(&acme, acme.owner);
        let page =
            answer(r#"select tenancy.list_api_keys('{"limit":"2","page":"3","count":"exact"}')"#);
        assert_eq!(page["total"], 100_001);
        assert_eq!(page["data"].as_array().unwrap().len(), 2);
    }
}
