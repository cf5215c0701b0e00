//! What the end of a session reaches, and what outlasts it.

use super::*;

#[tokio::test]
async fn a_refresh_that_is_rolled_back_was_none() {
    let acme = Acme::new().await;
    let session = acme.log_in().await;
    let first = acme.service().await;
    run(&first, "begin").await;
    let lost = ask(&first, REFRESH, &[&session.refresh]).await.unwrap();
    let second = acme.waiting(REFRESH, &[&session.refresh]).await;
    run(&first, "rollback").await;
    let next = second.await.unwrap().unwrap();
    assert!(next.starts_with("pgr_") && next != lost, "{next}");
    assert_eq!(ask(&first, REFRESH, &[&lost]).await.unwrap(), "TN016");
    assert_eq!(acme.living().await, 1);
}

#[tokio::test]
async fn a_logout_is_seen_by_another_connection_in_its_next_transaction() {
    let acme = Acme::new().await;
    let [session, other] = [acme.log_in().await, acme.log_in().await];
    let [here, there] = [acme.service().await, acme.service().await];
    for look in [
        "select tenancy.find_password_hash($1)",
        "select tenancy.list_sessions($1)::text",
        "select tenancy.enter($1)::text",
    ] {
        ask(&there, look, &[&session.token]).await.unwrap();
    }
    // A transaction that sees yesterday is refused all the same.
    let old = acme.service().await;
    run(&old, "begin isolation level repeatable read; select 1").await;
    ask(&here, LOGOUT, &[&session.token]).await.unwrap();
    for look in [
        "select tenancy.find_password_hash($1)",
        "select tenancy.list_sessions($1)::text",
        "select tenancy.enter($1)::text",
        SWITCH,
        LOGOUT_ALL,
    ] {
        assert_eq!(
            ask(&there, look, &[&session.token]).await.unwrap_err(),
            "TN015",
            "{look}"
        );
        assert_eq!(
            ask(&old, look, &[&session.token]).await.unwrap_err(),
            "TN015",
            "{look}"
        );
        run(
            &old,
            "rollback; begin isolation level repeatable read; select 1",
        )
        .await;
    } // What has ended ends nothing else; what lives does, and then all is said.
    assert_eq!(acme.living().await, 1);
    for _ in 0..2 {
        ask(&here, LOGOUT_ALL, &[&other.token]).await.unwrap();
        ask(&here, LOGOUT_ALL, &[&session.token]).await.unwrap();
    }
    assert_eq!(acme.living().await, 0);
}

#[tokio::test]
async fn a_restored_database_knows_which_sessions_live_and_which_tokens_were_used() {
    let acme = Acme::new().await;
    let [living, ended, stolen] = [
        acme.log_in().await,
        acme.log_in().await,
        acme.log_in().await,
    ];
    let service = acme.service().await;
    ask(&service, LOGOUT, &[&ended.token]).await.unwrap();
    ask(&service, REFRESH, &[&stolen.refresh]).await.unwrap();
    let word = acme.word("session");
    ask(&service, START, &[&word]).await.unwrap();

    let backup = acme.database.login(&["tenancy_backup"]).await;
    let dump = acme.database.dump(&backup);
    let restored = Database::empty(acme.database.cluster).await;
    restored.restore(&dump);

    let service = restored.connect(&restored.api_login).await;
    let next = ask(&service, REFRESH, &[&living.refresh]).await.unwrap();
    assert!(next.starts_with("pgr_"), "{next}");
    assert_eq!(
        ask(&service, REFRESH, &[&ended.refresh]).await.unwrap(),
        "TN016"
    );
    assert_eq!(
        ask(&service, REFRESH, &[&stolen.refresh]).await.unwrap(),
        "TN017"
    );
    assert_eq!(ask(&service, START, &[&word]).await.unwrap_err(), "TN023");
    // After an old dump: whoever logged out since then is in again, until all are out.
    restored
        .superuser()
        .await
        .execute(
            "select tenancy.revoke_tenant(id, 'restored') from tenancy.tenants",
            &[],
        )
        .await
        .unwrap();
    assert_eq!(ask(&service, REFRESH, &[&next]).await.unwrap(), "TN016");
}

/// A revocation is dated when it begins and holds when it is committed. Who keeps it
/// waiting and enters meanwhile must not come away with a capsule from after it.
#[tokio::test]
async fn who_enters_while_a_revocation_waits_seals_nothing_after_it() {
    let acme = Acme::new().await;
    let session = acme.log_in().await;
    let thief = acme.service().await;
    run(&thief, "begin").await;
    ask(&thief, ENTER, &[&session.token]).await.unwrap();
    let sealed = ask(&thief, SEAL, &[]).await.unwrap();
    run(&thief, "commit").await;

    // The end of the session's row is held open, and the change of password waits for it.
    let holder = acme.database.superuser().await;
    run(&holder, "begin; select from tenancy.sessions for update").await;
    let change = "select tenancy.change_password($1, $2)::text";
    let changing = acme.waiting(change, &[&acme.word("password"), OTHER]).await;
    run(&thief, "begin").await;
    ask(&thief, ENTER, &[&sealed]).await.unwrap();
    run(&holder, "rollback").await;
    changing.await.unwrap().unwrap();

    assert_eq!(ask(&thief, SEAL, &[]).await.unwrap_err(), "TN015");
    run(&thief, "rollback").await;
    assert_eq!(ask(&thief, ENTER, &[&sealed]).await.unwrap_err(), "TN015");
}

/// What lasts is not made in a transaction that was left open over the end.
#[tokio::test]
async fn an_open_transaction_makes_nothing_that_outlasts_its_session() {
    let acme = Acme::new().await;
    let dba = acme.database.superuser().await;
    for (ending, code) in [
        ("logout", "TN015"),
        ("password", "TN015"),
        ("suspension", "TN004"),
    ] {
        let session = acme.log_in().await;
        let thief = acme.service().await;
        for deed in [
            "select tenancy.create_api_key('backdoor', 'admin')::text",
            "select email from tenancy.invite_member('more@evil.example', 'admin')",
            "select tenancy.seal()",
        ] {
            let session = if ending == "suspension" {
                &session
            } else {
                &acme.log_in().await
            };
            run(&thief, "begin").await;
            ask(&thief, ENTER, &[&session.token]).await.unwrap();
            match ending {
                "logout" => {
                    let service = acme.service().await;
                    ask(&service, LOGOUT, &[&session.token]).await.unwrap();
                }
                "password" => {
                    let service = acme.service().await;
                    let change = "select tenancy.change_password($1, $2)::text";
                    let word = acme.word("password");
                    ask(&service, change, &[&word, OTHER]).await.unwrap();
                }
                _ => {
                    dba.batch_execute(
                        "select tenancy.suspend_tenant(id, 'test') from tenancy.tenants",
                    )
                    .await
                    .unwrap();
                }
            }
            assert_eq!(
                ask(&thief, deed, &[]).await.unwrap_err(),
                code,
                "{ending}: {deed}"
            );
            run(&thief, "rollback").await;
            dba.batch_execute("select tenancy.resume_tenant(id) from tenancy.tenants")
                .await
                .unwrap();
        }
    }
    assert_eq!(acme.database.count("tenancy.api_keys", "true").await, 0);
    assert_eq!(acme.database.count("tenancy.invitations", "true").await, 0);
}
