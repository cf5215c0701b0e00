//! Sessions: how they start, go on and move to another tenant.

#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;
    use serde_json::json;
    use uuid::Uuid;

    use crate::tests::support::*;

    /// What a refresh gives: the next token, or why not.
    fn refreshing(token: &str) -> Result<String, String> {
        let row = text(&format!(
            "select concat_ws(' ', refused, refresh_token) from tenancy.refresh_session('{token}')"
        ));
        if row.starts_with("pgr_") {
            Ok(row)
        } else {
            Err(row)
        }
    }

    fn refused(token: &str) -> String {
        refreshing(token).expect_err("a refusal")
    }

    fn starting(arguments: &str) -> String {
        outcome(&format!("select tenancy.start_session({arguments})"))
    }

    fn switching(token: &str, tenant: &str) -> String {
        outcome(&format!(
            "select tenancy.switch_tenant('{token}', '{tenant}')"
        ))
    }

    #[pg_test]
    fn a_random_token_is_43_characters_of_base64url_and_never_the_same() {
        assert_eq!(
            number(
                "select count(distinct t) from (
                     select tenancy_private.random_token() as t from generate_series(1, 1000)) as q
                 where t ~ '^[A-Za-z0-9_-]{43}$'"
            ),
            1000
        );
    }

    #[pg_test]
    fn a_secret_is_told_once_and_stored_nowhere() {
        add_key();
        let acme = tenant("acme");
        let login = acme.log_in();
        let next = refreshing(&login.refresh).expect("a token");
        for table in ["sessions", "refresh_tokens", "spent_words", "audit_log"] {
            for secret in [&login.refresh, &next, &next[4..].to_owned()] {
                assert_eq!(
                    number(&format!(
                        "select count(*) from tenancy.{table} as t where t::text like '%{secret}%'"
                    )),
                    0,
                    "{table}"
                );
            }
        }
        become_role("tenancy_authenticator");
        for table in ["sessions", "refresh_tokens", "spent_words"] {
            assert_eq!(
                outcome(&format!("select from tenancy.{table}")),
                "42501",
                "{table}"
            );
        }
        // A grant made by mistake shows a tenant nothing either: no policy is there.
        run("reset role");
        run("grant select on tenancy.sessions, tenancy.refresh_tokens to tenancy_app");
        become_app_of(&acme);
        assert_eq!(number("select count(*) from tenancy.sessions"), 0);
        assert_eq!(number("select count(*) from tenancy.refresh_tokens"), 0);
    }

    /// With the database's password alone nobody is logged in.
    #[pg_test]
    fn a_session_starts_by_a_word_for_it_and_by_nothing_else() {
        add_key();
        let acme = tenant("acme");
        become_role("tenancy_authenticator");
        assert_eq!(starting("null"), "TN023");
        assert_eq!(starting("''"), "TN010");
        assert_eq!(starting(&format!("'{}'", acme.token())), "TN023");
        for purpose in ["password", "reset", "startup", "Session"] {
            let word = word(acme.owner, purpose);
            assert_eq!(starting(&format!("'{word}'")), "TN023", "{purpose}");
        }
        for no_name in ["", "session ", "session\u{0}", "sëssion", &"s".repeat(65)] {
            let word = word(acme.owner, no_name);
            assert_eq!(starting(&format!("'{word}'")), "TN010", "{no_name}");
        }
        let nobody = word(Uuid::nil(), "session");
        assert_eq!(starting(&format!("'{nobody}'")), "TN002");
    }

    #[pg_test]
    fn a_word_is_good_once() {
        add_key();
        let acme = tenant("acme");
        become_role("tenancy_authenticator");
        let word = word(acme.owner, "session");
        assert_eq!(starting(&format!("'{word}'")), "00000");
        assert_eq!(starting(&format!("'{word}'")), "TN023");
        assert_eq!(starting(&format!("'{word}', 'acme'")), "TN023");
    }

    #[pg_test]
    fn a_word_that_a_rollback_gave_back_is_good_again_and_left_nothing() {
        add_key();
        let acme = tenant("acme");
        let word = word(acme.owner, "session");
        // Suspended: the error takes all back.
        assert_eq!(starting(&format!("'{word}', 'nowhere'")), "TN002");
        assert_eq!(number("select count(*) from tenancy.sessions"), 0);
        assert_eq!(starting(&format!("'{word}', 'acme'")), "00000");
    }

    /// A slug is anybody's choice, an id is nobody's.
    #[pg_test]
    fn an_id_is_the_tenants_whose_id_it_is() {
        add_key();
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        globex.add_member(acme.owner, "viewer");
        run(&format!(
            "update tenancy.tenants set slug = '{}' where id = '{}'",
            globex.id, acme.id
        ));
        assert_eq!(
            text(&format!(
                "select tenant_id::text from tenancy.start_session('{}', '{}')",
                word(acme.owner, "session"),
                globex.id
            )),
            globex.id.to_string()
        );
    }

    /// What a client says of itself is shown to people, in lists and terminals.
    #[pg_test]
    fn a_label_is_cut_and_shows_no_tricks() {
        add_key();
        let acme = tenant("acme");
        let label = |client: &str, address: &str| {
            let session = text(&format!(
                "select session_id::text from tenancy.start_session('{}', null, {client}, {address})",
                word(acme.owner, "session")
            ));
            text(&format!(
                "select concat(client, '|', address) from tenancy.sessions where id = '{session}'"
            ))
        };
        assert_eq!(label("null", "null"), "|");
        assert_eq!(label("''", "E' \\n\\t '"), "|");
        assert_eq!(
            label("E'Fire\\x1b[31mfox\\r\\n\\u0085 8'", "' ::1 '"),
            "Fire [31mfox  8|::1"
        );
        assert_eq!(label("E'a\\u202Eb\\u200Bc\\uFEFF'", "'日本'"), "a b c|日本");
        assert_eq!(
            label(
                "E'a\\u00ADb\\u061Cc\\u180Ed\\U000E0000e\\U000E0041\\U000E007Ff'",
                "E'\\U000E0031'"
            ),
            "a b c d e f|"
        );
        assert_eq!(
            label("repeat('x', 1 << 20)", "repeat(E'\\n', 1 << 20) || 'x'"),
            format!("{}|", "x".repeat(200))
        );
        assert_eq!(
            label("repeat('ü', 300)", "repeat('1', 300)"),
            format!("{}|{}", "ü".repeat(200), "1".repeat(64))
        );
    }

    #[pg_test]
    fn no_session_is_endless() {
        add_key();
        let acme = tenant("acme");
        let lifetime =
            |lifetime: &str| format!("'{}', lifetime => {lifetime}", word(acme.owner, "session"));
        for bad in [
            "'0'",
            "'-1 day'",
            "'0.1 s'",
            "'401 days'",
            "'14 months'",
            "'178000000 years'",
            // Compared as one day, and added as fourteen years.
            "'1000 years -359999 days'",
            "'-178000000 years'",
            "'2147483647 days'",
        ] {
            assert_eq!(starting(&lifetime(bad)), "TN025", "{bad}");
        }
        assert_eq!(starting(&lifetime("'infinity'")), "22007");
        for (given, expected) in [
            ("null", "30 days"),
            ("'30 days'", "30 days"),
            ("'400 days'", "400 days"),
            ("'1 s'", "1 s"),
        ] {
            assert_eq!(
                text(&format!(
                    "select (abs(extract(epoch from refresh_expires_at - clock_timestamp() - '{expected}')) < 60)::text
                     from tenancy.start_session({})",
                    lifetime(given)
                )),
                "true",
                "{given}"
            );
        }
    }

    #[pg_test]
    fn a_refresh_gives_the_next_token_and_the_role_of_now() {
        add_key();
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        globex.add_member(acme.owner, "viewer");
        let login = globex.log_in_as(acme.owner);
        run("update tenancy.memberships set role = 'admin' where role = 'viewer'");
        become_role("tenancy_authenticator");
        assert_eq!(
            text(&format!(
                "select concat_ws(' ', user_id, email, tenant_id, role, session_id = '{}',
                     refresh_token <> '{}', refresh_expires_at > now() + interval '29 days', refused)
                 from tenancy.refresh_session('{}')",
                login.session, login.refresh, login.refresh
            )),
            format!(
                "{} owner@acme.example {} admin t t t",
                acme.owner, globex.id
            )
        );
    }

    #[pg_test]
    fn a_session_goes_on_from_token_to_token_and_no_longer_than_it_was_made_for() {
        add_key();
        let acme = tenant("acme");
        let login = acme.log_in();
        run(
            "update tenancy.sessions set created_at = now() - interval '29 days',
                 last_used_at = now() - interval '29 days', expires_at = now() + interval '1 day'",
        );
        let mut token = login.refresh;
        for _ in 0..5 {
            token = refreshing(&token).expect("the next");
        }
        assert_eq!(
            text(
                "select concat_ws(' ', bool_and(s.expires_at = now() + interval '1 day'), bool_and(s.last_used_at > now() - interval '1 hour'),
                     count(*), count(r.used_at), min(r.expires_at) = now() + interval '1 day')
                 from tenancy.sessions as s join tenancy.refresh_tokens as r on r.session_id = s.id"
            ),
            "t t 6 5 t"
        );
        run("update tenancy.sessions set expires_at = now() - interval '1 second'");
        assert_eq!(refused(&token), "TN016");
    }

    /// Two have the token, and nobody knows which is the thief.
    #[pg_test]
    fn a_second_use_ends_the_session_for_both() {
        add_key();
        let acme = tenant("acme");
        let [login, other] = [acme.log_in(), acme.log_in()];
        let next = refreshing(&login.refresh).expect("the next");
        let third = refreshing(&next).expect("the one after");
        assert_eq!(refused(&login.refresh), "TN017");
        assert_eq!(refused(&third), "TN016");
        assert_eq!(refused(&login.refresh), "TN016");
        assert_eq!(
            text(&format!(
                "select end_reason from tenancy.sessions where id = '{}'",
                login.session
            )),
            "a refresh token was used twice"
        );
        assert!(refreshing(&other.refresh).is_ok());
    }

    #[pg_test]
    fn what_is_no_refresh_token_is_refused_and_nothing_is_told() {
        add_key();
        let acme = tenant("acme");
        let login = acme.log_in();
        let digest = text("select encode(digest, 'escape') from tenancy.refresh_tokens");
        become_role("tenancy_authenticator");
        for token in [
            String::new(),
            "pgr_".to_owned(),
            login.refresh[4..].to_owned(),
            login.refresh.to_lowercase(),
            format!(" {}", login.refresh),
            format!("{}=", login.refresh),
            login.token.clone(),
            login.session.clone(),
            digest.replace('\'', "''"),
            "x".repeat(1 << 20),
        ] {
            assert_eq!(refused(&token), "TN016");
        }
        assert_eq!(
            text("select row(r.*)::text from tenancy.refresh_session(null) as r"),
            "(,,,,,,,TN016)"
        );
        assert!(refreshing(&login.refresh).is_ok());
    }

    #[pg_test]
    fn who_was_removed_is_refused_and_who_was_suspended_comes_back() {
        add_key();
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        globex.add_member(acme.owner, "admin");
        let login = globex.log_in_as(acme.owner);
        let home = acme.log_in();

        run(&format!(
            "select tenancy.suspend_tenant('{}', 'unpaid')",
            globex.id
        ));
        assert_eq!(refused(&login.refresh), "TN004");
        run(&format!("select tenancy.resume_tenant('{}')", globex.id));
        let next = refreshing(&login.refresh).expect("not used up");

        run(&format!(
            "delete from tenancy.memberships where tenant_id = '{}' and user_id = '{}'",
            globex.id, acme.owner
        ));
        assert_eq!(refused(&next), "TN002");
        assert_eq!(
            text(&format!(
                "select row(r.*)::text from tenancy.refresh_session('{next}') as r"
            )),
            "(,,,,,,,TN002)"
        );
        // A used one is a theft all the same.
        assert_eq!(refused(&login.refresh), "TN017");
        assert!(refreshing(&home.refresh).is_ok());
    }

    #[pg_test]
    fn a_person_of_two_tenants_switches_and_stays_in_both() {
        add_key();
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        globex.add_member(acme.owner, "viewer");
        let login = acme.log_in();
        become_role("tenancy_authenticator");
        let row = text(&format!(
            "select concat_ws(' ', user_id, email, tenant_id, role, session_id <> '{}', json_array_length(tenants), refresh_token)
             from tenancy.switch_tenant('{}', 'globex', 'a phone', '192.0.2.7')",
            login.session, login.token
        ));
        let (told, refresh) = row.rsplit_once(' ').expect("two");
        assert_eq!(
            told,
            format!("{} owner@acme.example {} viewer t 2", acme.owner, globex.id)
        );
        assert!(refreshing(refresh).is_ok());
        assert!(refreshing(&login.refresh).is_ok());
    }

    /// Or a password once given would be good for ever.
    #[pg_test]
    fn a_switch_makes_no_session_last_longer() {
        add_key();
        let acme = tenant("acme");
        let login = acme.log_in();
        run("update tenancy.sessions set expires_at = now() + interval '1 hour'");
        let expiry = |lifetime: &str| {
            text(&format!(
                "select to_char(refresh_expires_at - now(), 'DD HH24:MI')
                 from tenancy.switch_tenant('{}', 'acme', lifetime => {lifetime})",
                login.token
            ))
        };
        assert_eq!(expiry("'400 days'"), "00 01:00");
        assert_eq!(expiry("null"), "00 01:00");
        assert_eq!(expiry("'10 min 30 s'"), "00 00:10");
    }

    #[pg_test]
    fn a_switch_takes_a_living_session_and_a_membership() {
        add_key();
        let [acme, globex, initech] = [tenant("acme"), tenant("globex"), tenant("initech")];
        globex.add_member(acme.owner, "member");
        let login = acme.log_in();
        run(&format!(
            "select tenancy.suspend_tenant('{}', 'unpaid')",
            globex.id
        ));
        become_role("tenancy_authenticator");
        assert_eq!(switching(&login.token, "globex"), "TN004");
        assert_eq!(switching(&login.token, "initech"), "TN002");
        assert_eq!(switching(&login.token, &initech.id.to_string()), "TN002");
        assert_eq!(switching(&login.token, "nowhere"), "TN002");
        assert_eq!(
            outcome(&format!(
                "select tenancy.switch_tenant('{}', null)",
                login.token
            )),
            "TN002"
        );
        assert_eq!(switching(&acme.token(), "acme"), "TN010");
        assert_eq!(switching(&word(acme.owner, "session"), "acme"), "TN010");
        assert_eq!(switching(&login.refresh, "acme"), "TN010");
        assert_eq!(
            outcome("select tenancy.switch_tenant(null, 'acme')"),
            "TN010"
        );

        // A session of somebody else, of another tenant, and of nobody.
        let theirs = initech.log_in();
        for (tenant, session) in [
            (&acme, theirs.session.as_str()),
            (&globex, login.session.as_str()),
            (&acme, "00000000-0000-0000-0000-000000000000"),
        ] {
            assert_eq!(switching(&tenant.token_of(session), "acme"), "TN015");
        }
        assert_eq!(switching(&login.token, "acme"), "00000");
        run(&format!("select tenancy.end_session('{}')", login.token));
        assert_eq!(switching(&login.token, "acme"), "TN015");
    }

    /// In a viewer's context, and in anybody's read-only transaction, nothing is written.
    #[pg_test]
    fn nothing_starts_in_a_transaction_that_can_only_read() {
        add_key();
        let acme = tenant("acme");
        let login = acme.log_in();
        let word = word(acme.owner, "session");
        run("set local transaction_read_only = on");
        assert_eq!(starting(&format!("'{word}'")), "25006");
        assert_eq!(switching(&login.token, "acme"), "25006");
        assert_eq!(
            outcome(&format!(
                "select tenancy.refresh_session('{}')",
                login.refresh
            )),
            "25006"
        );
    }

    #[pg_test]
    fn claims_are_read_whatever_their_length() {
        for claims in [
            json!({}),
            json!({"a": 1}),
            json!({"a": 12}),
            json!({"é": "日本"}),
        ] {
            let token = sign(&claims, "test", SECRET);
            assert_eq!(
                text(&format!(
                    "select (tenancy_private.claims_of('{token}')::jsonb = '{claims}')::text"
                )),
                "true"
            );
        }
    }
}
