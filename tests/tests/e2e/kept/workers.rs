//! The workers of a query, and queries that were bound before anybody entered.

use super::*;

#[tokio::test]
async fn the_workers_of_a_query_are_in_its_tenant() {
    let school = School::new().await;
    let client = school.client().await;
    let all = STUDENTS_EACH.to_string();
    for statements in [
        &["enter Acme", COUNT_BY_WORKERS][..],
        &["savepoint a", "enter Acme", "release a", COUNT_BY_WORKERS],
        // Those of a savepoint that is gone leave the context to who has entered before.
        &[
            "enter Acme",
            "savepoint a",
            COUNT_BY_WORKERS,
            "rollback to a",
            COUNT,
        ],
        &[
            "enter Acme",
            "savepoint a",
            COUNT_BY_WORKERS,
            "rollback to a",
            COUNT_BY_WORKERS,
        ],
        &[
            "enter Acme",
            "savepoint a",
            COUNT_BY_WORKERS,
            "release a",
            "savepoint b",
            "rollback to b",
            COUNT_BY_WORKERS,
        ],
    ] {
        assert_eq!(
            school.last(&client, statements).await,
            all,
            "{statements:?}"
        );
    }
    let gone = [
        "savepoint a",
        "enter Acme",
        COUNT_BY_WORKERS,
        "rollback to a",
        COUNT,
    ];
    assert_eq!(school.last(&client, &gone).await, "TN001");
    // Each in its own transaction, on one connection.
    for (tenant, other) in [("enter Acme", "Globex"), ("enter Globex", "Acme")] {
        let strangers = format!(
            "select count(*) filter (where s.process <> pg_backend_pid() and s.name like '{other}%')
             from (select school.process() as process, name from school.students) as s"
        );
        assert_eq!(school.last(&client, &[tenant, &strangers]).await, "0");
    }
}

/// The executor of a portal is started before the tenant is entered, and runs after.
/// (Where a missing tenant is an error, it isn't even planned.)
#[tokio::test]
async fn a_query_that_was_bound_before_is_read_in_the_tenant_that_was_entered() {
    let school = School::new().await;
    let empty =
        "do $$ begin execute format('alter database %I set pg_tenancy.missing_context = empty',
        current_database()); end $$";
    let dba = school.database.superuser().await;
    dba.batch_execute(empty).await.expect(empty);
    let mut client = school.client().await;
    assert_eq!(outcome(&client, &school.acme).await.len(), 36);
    // Without a tenant nobody expects enough rows for workers.
    let forced = "set force_parallel_mode = on";
    client.batch_execute(forced).await.expect(forced);
    let own = client.query_one("select pg_backend_pid()", &[]).await;
    let own: i32 = own.expect("a process").get(0);
    let sql = "select school.process() from school.students";
    let statement = client.prepare(sql).await.expect(sql);
    let transaction = client.transaction().await.unwrap();
    let portal = transaction.bind(&statement, &[]).await.expect(sql);
    transaction.batch_execute(&school.acme).await.unwrap();
    let rows = transaction.query_portal(&portal, 0).await.unwrap();
    assert_eq!(rows.len() as i64, STUDENTS_EACH);
    let is_a_workers = |process: i32| process != own;
    assert!(rows.iter().all(|row| is_a_workers(row.get(0))));
}
