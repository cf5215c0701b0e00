//! Passwords: changed by who knows the old one, reset by who reads the mail.

#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;
    use uuid::Uuid;

    use crate::tests::support::*;

    const HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$aGFzaA";
    const OTHER: &str = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$b3RoZXI";

    fn set_hash(person: Uuid) {
        run(&format!(
            "update tenancy.users set password_hash = '{HASH}' where id = '{person}'"
        ));
    }

    fn hash_of(person: Uuid) -> Option<String> {
        maybe(&format!(
            "select password_hash from tenancy.users where id = '{person}'"
        ))
    }

    fn living() -> i64 {
        number("select count(*) from tenancy.sessions where ended_at is null")
    }

    fn changing(word: &str, hash: &str) -> String {
        outcome(&format!("select tenancy.change_password('{word}', {hash})"))
    }

    /// The token of a reset that was asked for.
    fn reset_of(email: &str) -> Option<String> {
        maybe(&format!(
            "select reset_token from tenancy.start_password_reset('{}', '{email}')",
            word(Uuid::nil(), "reset")
        ))
    }

    fn finishing(token: &str, hash: &str) -> String {
        outcome(&format!(
            "select tenancy.finish_password_reset('{token}', {hash})"
        ))
    }

    #[pg_test]
    fn a_new_password_ends_all_sessions_of_the_person() {
        add_key();
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        globex.add_member(acme.owner, "member");
        set_hash(acme.owner);
        let login = acme.log_in();
        globex.log_in_as(acme.owner);
        globex.log_in();
        become_role("tenancy_authenticator");
        assert_eq!(
            text(&format!(
                "select tenancy.find_password_hash('{}')",
                login.token
            )),
            HASH
        );
        assert_eq!(
            changing(&word(acme.owner, "password"), &format!("'{OTHER}'")),
            "00000"
        );
        run("reset role");
        assert_eq!(hash_of(acme.owner).as_deref(), Some(OTHER));
        assert_eq!(living(), 1);
        assert_eq!(
            text(&format!(
                "select (tokens_valid_from between now() and clock_timestamp())::text
                 from tenancy.users where id = '{}'",
                acme.owner
            )),
            "true"
        );
        assert_eq!(
            number("select count(*) from tenancy.users where tokens_valid_from is not null"),
            1
        );
    }

    /// What ends everything before it ends nothing after it, not even in the same second.
    #[pg_test]
    fn after_a_new_password_the_person_is_back_at_once() {
        add_key();
        let acme = tenant("acme");
        set_hash(acme.owner);
        let before = acme.log_in();
        run(&format!(
            "select tenancy.change_password('{}', '{OTHER}')",
            word(acme.owner, "password")
        ));
        let after = acme.log_in();
        become_role("tenancy_authenticator");
        let hash = |token: &str| format!("select tenancy.find_password_hash('{token}')");
        assert_eq!(outcome(&hash(&before.token)), "TN015");
        assert_eq!(text(&hash(&after.token)), OTHER);
    }

    #[pg_test]
    fn a_password_is_changed_by_a_word_for_it_once_and_by_nothing_else() {
        add_key();
        let acme = tenant("acme");
        set_hash(acme.owner);
        let login = acme.log_in();
        let new = format!("'{OTHER}'");
        become_role("tenancy_authenticator");
        for (token, expected) in [
            (login.token.as_str(), "TN023"),
            (&word(acme.owner, "session"), "TN023"),
            (&word(acme.owner, "reset"), "TN023"),
            (&login.refresh, "TN010"),
            ("", "TN010"),
        ] {
            assert_eq!(changing(token, &new), expected);
        }
        assert_eq!(
            outcome(&format!("select tenancy.change_password(null, {new})")),
            "TN023"
        );
        let word = word(acme.owner, "password");
        for bad in ["null", "''", "'password123'", "repeat('x', 1 << 20)"] {
            assert_eq!(changing(&word, bad), "TN106", "{bad}");
        }
        assert_eq!(changing(&word, &new), "00000");
        assert_eq!(changing(&word, &format!("'{HASH}'")), "TN023");
        run("reset role");
        assert_eq!(hash_of(acme.owner).as_deref(), Some(OTHER));
    }

    /// The old one is a secret, too, and stands in the row that a constraint would print.
    #[pg_test]
    fn a_refused_password_shows_no_hash() {
        add_key();
        let acme = tenant("acme");
        set_hash(acme.owner);
        run(
            "alter table tenancy.users add constraint of_the_dba check (password_hash not like '%b3RoZXI')",
        );
        run("create function tests.detail(statement text) returns text language plpgsql as $$
            declare a text; b text; c text;
            begin
                execute statement;
                return null;
            exception when others then
                get stacked diagnostics a = pg_exception_detail, b = pg_exception_hint, c = message_text;
                return sqlstate || a || b || c;
            end $$");
        for (hash, code) in [(OTHER, "23514"), ("$argon2id$nonsense", "TN106")] {
            let said = text(&format!(
                "select tests.detail($q$select tenancy.change_password('{}', '{hash}')$q$)",
                word(acme.owner, "password")
            ));
            assert!(said.starts_with(code), "{said}");
            assert!(!said.contains("$argon2id$"), "{said}");
            assert!(!said.contains("@"), "{said}");
        }
    }

    #[pg_test]
    fn a_hash_is_told_to_who_has_a_living_session_and_only_their_own() {
        add_key();
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        set_hash(acme.owner);
        let [login, other] = [acme.log_in(), globex.log_in()];
        become_role("tenancy_authenticator");
        let asking =
            |token: &str| outcome(&format!("select tenancy.find_password_hash('{token}')"));
        assert_eq!(asking(&login.token), "00000");
        assert_eq!(asking(&acme.token()), "TN010");
        assert_eq!(asking(&word(acme.owner, "password")), "TN010");
        assert_eq!(asking(&acme.token_of(&other.session)), "TN015");
        assert_eq!(outcome("select tenancy.find_password_hash(null)"), "TN010");
        assert_eq!(
            maybe(&format!(
                "select tenancy.find_password_hash('{}')",
                other.token
            )),
            None
        );
        run("reset role");
        run("update tenancy.sessions set expires_at = now() - interval '1 s'");
        become_role("tenancy_authenticator");
        assert_eq!(asking(&login.token), "TN015");
    }

    #[pg_test]
    fn who_reads_the_mail_sets_a_new_password_once() {
        add_key();
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        set_hash(acme.owner);
        acme.log_in();
        globex.log_in();
        become_role("tenancy_authenticator");
        let token = reset_of(" OWNER@acme.EXAMPLE ").expect("a token");
        assert!(token.starts_with("pgw_"), "{token}");
        // Until it is used nothing changes.
        run("reset role");
        assert_eq!(living(), 2);
        assert_eq!(
            number(&format!(
                "select count(*) from tenancy.password_resets as r where r::text like '%{}%'",
                &token[4..]
            )),
            0
        );
        become_role("tenancy_authenticator");
        assert_eq!(finishing(&token, "'password123'"), "TN106");
        assert_eq!(finishing(&token, "null"), "TN106");
        assert_eq!(finishing(&token, &format!("'{OTHER}'")), "00000");
        assert_eq!(finishing(&token, &format!("'{HASH}'")), "TN022");
        run("reset role");
        assert_eq!(hash_of(acme.owner).as_deref(), Some(OTHER));
        assert_eq!(living(), 1);
        assert_eq!(
            text(
                "select string_agg(email, ' ') from tenancy.users where email_verified_at is not null and tokens_valid_from is not null"
            ),
            "owner@acme.example"
        );
    }

    #[pg_test]
    fn the_last_mail_counts_and_not_for_ever() {
        add_key();
        let [acme, globex] = [tenant("acme"), tenant("globex")];
        let new = format!("'{OTHER}'");
        let first = reset_of("owner@acme.example").expect("a token");
        let second = reset_of("owner@acme.example").expect("a token");
        let theirs = reset_of("owner@globex.example").expect("a token");
        assert_eq!(finishing(&first, &new), "TN022");
        run(&format!(
            "update tenancy.password_resets set expires_at = now() - interval '1 s' where user_id = '{}'",
            acme.owner
        ));
        assert_eq!(finishing(&second, &new), "TN022");
        assert_eq!(hash_of(acme.owner), None);
        // Whoever changes the password makes a reset void that somebody else asked for.
        assert_eq!(changing(&word(globex.owner, "password"), &new), "00000");
        assert_eq!(finishing(&theirs, &new), "TN022");
        for token in ["", "pgw_", "x", &"x".repeat(1 << 20)] {
            assert_eq!(finishing(token, &new), "TN022");
        }
        assert_eq!(
            outcome(&format!(
                "select tenancy.finish_password_reset(null, {new})"
            )),
            "TN022"
        );
    }

    #[pg_test]
    fn a_reset_is_asked_for_by_the_service_and_tells_of_nobody_else() {
        add_key();
        let acme = tenant("acme");
        become_role("tenancy_authenticator");
        for email in ["nobody@acme.example", "%", "_wner@acme.example", ""] {
            assert_eq!(reset_of(email), None, "{email}");
        }
        let asking = |token: &str, lifetime: &str| {
            outcome(&format!(
                "select tenancy.start_password_reset('{token}', 'owner@acme.example', {lifetime})"
            ))
        };
        for (token, expected) in [
            (acme.token(), "TN023"),
            (word(acme.owner, "password"), "TN023"),
            (word(acme.owner, "session"), "TN023"),
            (String::new(), "TN010"),
        ] {
            assert_eq!(asking(&token, "'1 hour'"), expected);
        }
        for lifetime in ["'0'", "'-1 hour'", "'8 days'", "'1000 years -359999 days'"] {
            let word = word(Uuid::nil(), "reset");
            assert_eq!(asking(&word, lifetime), "TN025", "{lifetime}");
        }
        let word = word(Uuid::nil(), "reset");
        assert_eq!(asking(&word, "null"), "00000");
        // Whoever read the word in a log can't have a mail's token made with it.
        assert_eq!(asking(&word, "null"), "TN023");
    }
}
