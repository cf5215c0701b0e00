//! The setting that shows the context, and who may write it.

use super::*;

/// Who has been given the right to the setting can hide the context, and no more.
#[tokio::test]
async fn who_may_set_the_setting_gets_nobody_elses_tenant() {
    let school = School::new().await;
    let client = school.client().await;
    let dba = school.database.superuser().await;
    let role: String = client
        .query_one("select quote_ident(current_user)", &[])
        .await
        .unwrap()
        .get(0);
    school.last(&client, &["enter Acme"]).await;
    let grant = format!("grant set on parameter pg_tenancy.context to {role}");
    dba.batch_execute(&grant).await.expect(&grant);
    let all = STUDENTS_EACH.to_string();
    let hide = "set local pg_tenancy.context = ''";
    for (statements, expected) in [
        (&["enter Acme", hide, COUNT][..], "TN001"),
        (&["enter Acme", hide, "enter Globex"], "TN003"),
        (&["enter Acme", hide, "enter Acme", COUNT], &all),
        (&["enter Acme", hide, "enter Acme", COUNT_BY_WORKERS], &all),
        (
            &["enter Acme", "savepoint a", hide, "rollback to a", COUNT],
            &all,
        ),
        (
            &[
                "enter Acme",
                "savepoint a",
                hide,
                "rollback to a",
                COUNT_BY_WORKERS,
            ],
            &all,
        ),
        (
            &[
                "savepoint a",
                "enter Acme",
                "savepoint b",
                hide,
                "rollback to a",
                COUNT,
            ],
            "TN001",
        ),
        (
            &["enter Acme", "reset pg_tenancy.context", "enter Globex"],
            "TN003",
        ),
        (&[hide, "enter Acme", COUNT], &all),
        (&[hide, "enter Acme", COUNT_BY_WORKERS], &all),
        (
            &["enter Acme", "set local pg_tenancy.context = 'x'"],
            "22023",
        ),
    ] {
        assert_eq!(
            school.last(&client, statements).await,
            expected,
            "{statements:?}"
        );
    }
    // For the session, before anybody has entered.
    client
        .batch_execute("set pg_tenancy.context = ''")
        .await
        .unwrap();
    assert_eq!(school.last(&client, &["enter Acme", COUNT]).await, all);
    assert_eq!(
        school
            .last(&client, &["enter Globex", COUNT_BY_WORKERS])
            .await,
        all
    );
}

#[tokio::test]
async fn the_setting_shows_the_context() {
    let school = School::new().await;
    let client = school.client().await;
    let show = "select current_setting('pg_tenancy.context')";
    let shown = school.last(&client, &["enter Acme", show]).await;
    let id = school.acme.split('\'').nth(1).expect("an id");
    assert!(shown.starts_with(id), "{shown}");
    let same = school
        .last(&client, &["enter Acme", COUNT_BY_WORKERS, show])
        .await;
    assert_eq!(same, shown);
    let gone = ["savepoint a", "enter Acme", "rollback to a", show];
    assert_eq!(school.last(&client, &gone).await, "");
}
