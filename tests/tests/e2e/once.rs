//! One key, many requests at once: the work is done once.

use std::sync::Arc;

use tests::Database;
use tokio_postgres::Client;

const DESK: &str = "
    create schema desk;
    grant usage on schema desk to tenancy_app;
    create function desk.add_task(title text) returns tenancy.tasks language sql volatile
        as 'insert into tenancy.tasks (title) values (title) returning *';
    select tenancy.expose_function('desk.add_task(text)');";

struct Office {
    database: Database,
    tenants: Vec<String>,
}

impl Office {
    async fn new() -> Self {
        let database = Database::new().await;
        let dba = database.superuser().await;
        dba.batch_execute(DESK).await.expect(DESK);
        let mut tenants = Vec::new();
        for name in ["Acme", "Globex"] {
            let register = "select tenant_id::text from tenancy.register_tenant($1, null, $1 || '@example.com')";
            let row = dba.query_one(register, &[&name]).await.expect(register);
            tenants.push(row.get(0));
        }
        Self { database, tenants }
    }

    async fn gateway(&self) -> Client {
        let login = self.database.login(&["tenancy_gateway"]).await;
        self.database.connect(&login).await
    }

    async fn tasks(&self) -> i64 {
        self.database.count("tenancy.tasks", "true").await
    }
}

/// Asks for a task under that key, in a statement of its own; an error's code.
async fn ask(client: &Client, tenant: &str, key: &str) -> Result<String, String> {
    let query = format!(
        "select tenancy.call_function_once('add_task', '{{\"title\":\"one\"}}', '{key}')::text
         from tenancy.set_tenant_context('{tenant}')"
    );
    let row = client.query_one(&query, &[]).await;
    row.map(|row| row.get(0))
        .map_err(|error| error.code().map_or("", |code| code.code()).to_owned())
}

#[tokio::test]
async fn a_second_request_is_refused_at_once_while_the_first_is_under_way() {
    let office = Office::new().await;
    let acme = &office.tenants[0];
    let [first, second] = [office.gateway().await, office.gateway().await];
    first.batch_execute("begin").await.unwrap();
    let made = ask(&first, acme, "k").await.unwrap();

    assert_eq!(ask(&second, acme, "k").await, Err("TN418".to_owned()));
    // Another key, and another tenant's same one, wait for nothing.
    ask(&second, acme, "other").await.unwrap();
    ask(&second, &office.tenants[1], "k").await.unwrap();

    first.batch_execute("commit").await.unwrap();
    assert_eq!(ask(&second, acme, "k").await, Ok(made));
    assert_eq!(office.tasks().await, 3);
}

#[tokio::test]
async fn a_first_that_rolled_back_leaves_the_work_to_the_next() {
    let office = Office::new().await;
    let acme = &office.tenants[0];
    let [first, second] = [office.gateway().await, office.gateway().await];
    first.batch_execute("begin").await.unwrap();
    let undone = ask(&first, acme, "k").await.unwrap();
    first.batch_execute("rollback").await.unwrap();

    let made = ask(&second, acme, "k").await.unwrap();
    assert_ne!(made, undone);
    assert_eq!(ask(&first, acme, "k").await, Ok(made));
    assert_eq!(office.tasks().await, 1);
}

#[tokio::test]
async fn an_old_snapshot_doesnt_do_it_twice() {
    let office = Office::new().await;
    let acme = &office.tenants[0];
    let [first, second] = [office.gateway().await, office.gateway().await];
    second
        .batch_execute("begin isolation level repeatable read; select from tenancy.version()")
        .await
        .unwrap();
    let made = ask(&first, acme, "k").await.unwrap();
    assert_eq!(ask(&second, acme, "k").await, Err("40001".to_owned()));
    second.batch_execute("rollback").await.unwrap();
    assert_eq!(ask(&second, acme, "k").await, Ok(made));
    assert_eq!(office.tasks().await, 1);
}

#[tokio::test]
async fn of_twenty_at_once_one_does_the_work() {
    let office = Office::new().await;
    let acme = Arc::new(office.tenants[0].clone());
    let mut asking = Vec::new();
    for _ in 0..20 {
        let (client, acme) = (office.gateway().await, acme.clone());
        asking.push(tokio::spawn(async move { ask(&client, &acme, "k").await }));
    }
    let mut answers = Vec::new();
    for asked in asking {
        answers.push(asked.await.unwrap());
    }
    let client = office.gateway().await;
    let made = ask(&client, &acme, "k").await.unwrap();
    assert!(answers.iter().any(|answer| answer.as_ref() == Ok(&made)));
    for answer in answers {
        assert!(answer == Ok(made.clone()) || answer == Err("TN418".to_owned()));
    }
    assert_eq!(office.tasks().await, 1);
}

#[tokio::test]
async fn two_purges_at_once_share_the_work_and_wait_for_nobody() {
    let office = Office::new().await;
    let client = office.gateway().await;
    for number in 0..6 {
        ask(&client, &office.tenants[0], &format!("k{number}"))
            .await
            .unwrap();
    }
    let dba = office.database.superuser().await;
    dba.batch_execute("update tenancy.idempotency_keys set expires_at = clock_timestamp()")
        .await
        .unwrap();
    let login = office.database.login(&["tenancy_admin"]).await;
    let purge = async |client: &Client, most: i32| -> i64 {
        let query = "select tenancy.purge_idempotency_keys($1)";
        client.query_one(query, &[&most]).await.unwrap().get(0)
    };
    let [one, other] = [
        office.database.connect(&login).await,
        office.database.connect(&login).await,
    ];
    one.batch_execute("begin").await.unwrap();
    assert_eq!(purge(&one, 4).await, 4);
    assert_eq!(purge(&other, 10).await, 2);
    // Nor does a client wait whose key is being purged, nor whose new key takes old ones along.
    ask(&client, &office.tenants[0], "new").await.unwrap();
    one.batch_execute("commit").await.unwrap();
    assert_eq!(purge(&other, 10).await, 0);
    assert_eq!(
        office
            .database
            .count("tenancy.idempotency_keys", "true")
            .await,
        1
    );
}

#[tokio::test]
async fn what_was_done_and_exposed_goes_with_a_dump() {
    let office = Office::new().await;
    let acme = &office.tenants[0];
    let made = ask(&office.gateway().await, acme, "k").await.unwrap();
    let backup = office.database.login(&["tenancy_backup"]).await;
    let dump = office.database.dump(&backup);
    let restored = Database::empty(office.database.cluster).await;
    restored.restore(&dump);

    let login = restored.login(&["tenancy_gateway"]).await;
    let client = restored.connect(&login).await;
    assert_eq!(ask(&client, acme, "k").await, Ok(made));
    ask(&client, acme, "k2").await.unwrap();
    assert_eq!(restored.count("tenancy.tasks", "true").await, 2);
}

#[tokio::test]
async fn who_listens_is_told_of_exposed_functions() {
    let office = Office::new().await;
    // psql prints what its own session is told.
    let mut command = office.database.program("psql", None);
    command.args([
        "-X",
        "-q",
        "-t",
        "-c",
        "listen pg_tenancy_resources",
        "-c",
        "select tenancy.hide_function('add_task')",
    ]);
    let output = command.output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(told.contains("pg_tenancy_resources"), "{told}");
}
