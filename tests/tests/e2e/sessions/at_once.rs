//! Two who use or end sessions at the same moment.

use super::*;

#[tokio::test]
async fn of_two_refreshes_at_once_one_wins_and_the_session_is_over() {
    let acme = Acme::new().await;
    let session = acme.log_in().await;
    let first = acme.service().await;
    run(&first, "begin").await;
    let next = ask(&first, REFRESH, &[&session.refresh]).await.unwrap();
    assert!(next.starts_with("pgr_"), "{next}");
    let second = acme.waiting(REFRESH, &[&session.refresh]).await;
    run(&first, "commit").await;
    assert_eq!(second.await.unwrap().unwrap(), "TN017");
    // Committed, though the second was refused.
    assert_eq!(acme.living().await, 0);
    assert_eq!(ask(&first, REFRESH, &[&next]).await.unwrap(), "TN016");
}

#[tokio::test]
async fn of_twenty_refreshes_at_once_at_most_one_gets_a_token() {
    let acme = Acme::new().await;
    let session = acme.log_in().await;
    let mut asked = Vec::new();
    for _ in 0..20 {
        let (client, token) = (acme.service().await, session.refresh.clone());
        asked.push(tokio::spawn(async move {
            ask(&client, REFRESH, &[&token]).await.unwrap()
        }));
    }
    let mut told = Vec::new();
    for one in asked {
        told.push(one.await.unwrap());
    }
    told.sort();
    let count = |start: &str| told.iter().filter(|one| one.starts_with(start)).count();
    assert_eq!(
        (count("pgr_"), count("TN017"), count("TN016")),
        (1, 1, 18),
        "{told:?}"
    );
    assert_eq!(acme.living().await, 0);
}

/// Its snapshot shows the token as unused; what is locked has changed since.
#[tokio::test]
async fn a_transaction_that_sees_yesterday_refreshes_nothing() {
    let acme = Acme::new().await;
    let [session, ended] = [acme.log_in().await, acme.log_in().await];
    let service = acme.service().await;
    let olds = [acme.service().await, acme.service().await];
    for old in &olds {
        run(old, "begin isolation level repeatable read; select 1").await;
    }
    let next = ask(&service, REFRESH, &[&session.refresh]).await.unwrap();
    ask(&service, LOGOUT, &[&ended.token]).await.unwrap();

    for (old, token) in olds.iter().zip([&session.refresh, &ended.refresh]) {
        assert_eq!(ask(old, REFRESH, &[token]).await.unwrap_err(), "40001");
        run(old, "rollback").await;
    }
    // Again, as one does after 40001: now it is seen for what it is.
    assert_eq!(
        ask(&olds[0], REFRESH, &[&session.refresh]).await.unwrap(),
        "TN017"
    );
    assert_eq!(ask(&service, REFRESH, &[&next]).await.unwrap(), "TN016");
}

#[tokio::test]
async fn a_login_that_is_under_way_ends_with_all_others() {
    for (login, ends, argument) in [
        (START, LOGOUT_ALL, "a token"),
        (START, "select tenancy.revoke_tenant($1::text::uuid, 'stolen')::text", "the tenant"),
        (START, "select tenancy.change_password($1, $2)::text", "a word"),
        (
            START,
            "with gone as (delete from tenancy.memberships where tenant_id = $1::text::uuid returning user_id, tenant_id)
             select tenancy_private.end_sessions(tenant_id, user_id, 'removed')::text from gone",
            "the tenant as the DBA",
        ),
        (SWITCH, LOGOUT_ALL, "a token"),
    ] {
        let acme = Acme::new().await;
        let session = acme.log_in().await;
        let first = acme.service().await;
        run(&first, "begin").await;
        let proof = if login == START { acme.word("session") } else { session.token.clone() };
        ask(&first, login, &[&proof]).await.unwrap();

        let end = match argument {
            "a token" => acme.waiting(ends, &[&session.token]).await,
            "a word" => acme.waiting(ends, &[&acme.word("password"), OTHER]).await,
            _ => {
                let dba = acme.database.superuser().await;
                let tenant = acme.tenant_id.clone();
                tokio::spawn(async move { ask(&dba, ends, &[&tenant]).await })
            }
        };
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        assert!(!end.is_finished(), "{ends}");
        run(&first, "commit").await;
        end.await.unwrap().unwrap();
        assert_eq!(acme.living().await, 0, "{ends}");
    }
}

/// Who has the database's password could keep a login open for as long as they like.
#[tokio::test]
async fn a_login_that_is_under_way_holds_up_no_suspension() {
    let acme = Acme::new().await;
    let session = acme.log_in().await;
    let first = acme.service().await;
    run(&first, "begin").await;
    ask(&first, START, &[&acme.word("session")]).await.unwrap();
    ask(&first, SWITCH, &[&session.token]).await.unwrap();
    ask(&first, REFRESH, &[&session.refresh]).await.unwrap();
    let dba = acme.database.superuser().await;
    run(&dba, "set lock_timeout = '1 s'").await;
    let suspend = "select tenancy.suspend_tenant($1::text::uuid, 'unpaid')::text";
    ask(&dba, suspend, &[&acme.tenant_id]).await.unwrap();
    run(&first, "rollback").await;
    assert_eq!(
        ask(&first, REFRESH, &[&session.refresh]).await.unwrap(),
        "TN004"
    );
}

#[tokio::test]
async fn a_switch_that_waited_for_a_logout_comes_too_late() {
    for end in [LOGOUT, LOGOUT_ALL] {
        let acme = Acme::new().await;
        let session = acme.log_in().await;
        let first = acme.service().await;
        run(&first, "begin").await;
        ask(&first, end, &[&session.token]).await.unwrap();
        if end == LOGOUT_ALL {
            let second = acme.waiting(SWITCH, &[&session.token]).await;
            run(&first, "commit").await;
            assert_eq!(second.await.unwrap().unwrap_err(), "TN015");
        } else {
            run(&first, "commit").await;
            let second = acme.service().await;
            assert_eq!(
                ask(&second, SWITCH, &[&session.token]).await.unwrap_err(),
                "TN015"
            );
        }
        assert_eq!(acme.living().await, 0);
    }
}

#[tokio::test]
async fn a_word_is_spent_once_also_at_once() {
    let acme = Acme::new().await;
    let word = acme.word("session");
    let first = acme.service().await;
    run(&first, "begin").await;
    ask(&first, START, &[&word]).await.unwrap();
    let second = acme.waiting(START, &[&word]).await;
    run(&first, "commit").await;
    assert_eq!(second.await.unwrap().unwrap_err(), "TN023");
    assert_eq!(acme.living().await, 1);
}

#[tokio::test]
async fn of_two_resets_at_once_one_sets_the_password() {
    let acme = Acme::new().await;
    let first = acme.service().await;
    let token = ask(
        &first,
        "select reset_token from tenancy.start_password_reset($1, 'ann@acme.example')",
        &[&acme.word("reset")],
    )
    .await
    .unwrap();
    let finish = "select tenancy.finish_password_reset($1, $2)::text";
    run(&first, "begin").await;
    ask(&first, finish, &[&token, OTHER]).await.unwrap();
    let second = acme.waiting(finish, &[&token, HASH]).await;
    run(&first, "commit").await;
    assert_eq!(second.await.unwrap().unwrap_err(), "TN022");
    assert_eq!(
        acme.database
            .count("tenancy.users", &format!("password_hash = '{OTHER}'"))
            .await,
        1
    );
}
