//! Statements that are kept and run for one tenant after the other.

use super::*;

/// The tenant is a constant of each execution, and of no plan that is kept.
#[tokio::test]
async fn a_statement_that_is_kept_is_run_for_whoever_has_entered() {
    let school = School::new().await;
    let client = school.client().await;
    school.last(&client, &["enter Acme"]).await;
    // Planned once, for all: by the key, by a part of it, and in a loop.
    let generic = "set plan_cache_mode = force_generic_plan";
    client.batch_execute(generic).await.expect(generic);
    let statements = [
        "select name from school.students where id = $1",
        "select max(name) from school.students where id between $1 and $1 + 5",
        "select max(t.name) from school.students as s join school.students as t on t.id = s.id
         where s.id = $1",
    ];
    client.batch_execute("begin").await.unwrap();
    outcome(&client, &school.acme).await;
    let mut prepared = Vec::new();
    for sql in statements {
        prepared.push(client.prepare(sql).await.expect(sql));
    }
    client.batch_execute("commit").await.unwrap();
    for turn in 0..20 {
        let (enter, own) = match turn % 2 {
            0 => (&school.acme, "Acme"),
            _ => (&school.globex, "Globex"),
        };
        client.batch_execute("begin").await.unwrap();
        for statement in &prepared {
            let error = client.query(statement, &[&7]).await.unwrap_err();
            assert_eq!(error.code().expect("a code").code(), "TN001");
            client
                .batch_execute("rollback; begin; savepoint a")
                .await
                .unwrap();
            outcome(&client, enter).await;
            for _ in 0..2 {
                let row = client.query_one(statement, &[&7]).await.unwrap();
                let name: &str = row.get(0);
                assert!(name.starts_with(own), "{name}");
            }
            client.batch_execute("rollback to a").await.unwrap();
        }
        client.batch_execute("rollback").await.unwrap();
    }
}

#[tokio::test]
async fn who_may_not_ask_for_the_tenant_reads_nothing() {
    let school = School::new().await;
    let client = school.client().await;
    let dba = school.database.superuser().await;
    let one = "select name from school.students where id = 7";
    assert_eq!(school.last(&client, &["enter Acme", one]).await, "Acme 7");
    let role = "create role without_functions; grant usage on schema school to without_functions;
        grant select on school.students to without_functions;
        create policy without_functions on school.students to without_functions using (true)";
    let role = role.replace("without_functions", &format!("without_{}", tests::unique()));
    dba.batch_execute(&role).await.expect(&role);
    let name = role.split([' ', ';']).nth(2).expect("a name");
    let member: String = client
        .query_one("select quote_ident(current_user)", &[])
        .await
        .unwrap()
        .get(0);
    let grant = format!("grant {name} to {member}");
    dba.batch_execute(&grant).await.expect(&grant);
    let become_it = format!("set local role {name}");
    let all = ["enter Acme", one, &become_it, one];
    assert_eq!(school.last(&client, &all).await, "42501");
    // From the next statement on.
    let revoke = "revoke execute on function tenancy.current_tenant_id() from tenancy_app";
    let grant = "grant execute on function tenancy.current_tenant_id() to tenancy_app";
    for (change, expected) in [(revoke, "42501"), (grant, "Acme 7")] {
        assert_eq!(outcome(&client, "begin").await, "");
        outcome(&client, &school.acme).await;
        outcome(&client, "savepoint a").await;
        outcome(&client, one).await;
        outcome(&client, "rollback to a").await;
        dba.batch_execute(change).await.expect(change);
        assert_eq!(outcome(&client, one).await, expected, "{change}");
        client.batch_execute("rollback").await.unwrap();
    }
}

/// A function's statements share the memory of the query that calls it.
#[tokio::test]
async fn a_function_that_reads_a_row_many_times_takes_no_more_memory() {
    let school = School::new().await;
    let dba = school.database.superuser().await;
    let functions = "
        create function school.name_of(wanted int) returns text language sql volatile
        as 'select name from school.students where id = wanted';
        create function school.memory() returns bigint language sql volatile
        security definer set search_path = pg_catalog
        as 'select sum(total_bytes)::bigint from pg_backend_memory_contexts'";
    dba.batch_execute(functions).await.expect(functions);
    let client = school.client().await;
    let growth = "select max(x.memory) - min(x.memory) + 0 * count(x.name)
        from (select n, school.name_of(1) as name,
                  case when n in (1000, 21000) then school.memory() end as memory
              from generate_series(1, 21000) as n) as x";
    let growth = school.last(&client, &["enter Acme", growth]).await;
    let growth: i64 = growth.parse().expect("a number");
    assert!(growth < 1_000_000, "{growth} bytes");
}
