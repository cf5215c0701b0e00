//! What the DBA exposes is served within seconds, by every process, without a restart.

use tests::{Api, Database, World};

const STUDENTS: &str = "
    create table students (id uuid primary key default gen_random_uuid(), name text not null);
    select tenancy.isolate_table('students');";
const EXPOSE: &str = "select tenancy.expose_table('students')";
const HIDE: &str = "select tenancy.hide_table('students')";

/// The connections that listen, and no others of a service.
const LISTENING: &str = "from pg_stat_activity
    where datname = current_database() and application_name = 'pg_tenancy_api'
      and query like 'listen %'";

#[tokio::test]
async fn a_table_is_served_as_soon_as_it_is_exposed_and_no_longer_when_it_is_hidden() {
    let database = Database::new().await;
    // So seldom that only hearing of it can be the reason.
    let api = Api::on(&database)
        .set("CATALOG_REFRESH", "1h")
        .start()
        .await;
    let other = Api::on(&database)
        .set("CATALOG_REFRESH", "1h")
        .start()
        .await;
    let dba = database.superuser().await;
    dba.batch_execute(STUDENTS).await.unwrap();
    let ann = api.owner_of("Acme").await;

    assert_eq!(ann.get("/students").await.code(), "no_such_route");
    dba.batch_execute(EXPOSE).await.unwrap();
    for api in [&api, &other] {
        api.serves("/students", true).await;
        let students = ann.at(api).get("/students").await.with_status(200);
        assert_eq!(students.json()["data"], serde_json::json!([]));
    }
    dba.batch_execute(HIDE).await.unwrap();
    for api in [&api, &other] {
        api.serves("/students", false).await;
    }
    // The routes in the log are templates, with the names that the DBA gave.
    assert!(api.log().contains(r#"route="/students""#));
    assert!(api.log().contains(r#"route="/{resource}""#));
}

#[tokio::test]
async fn a_service_whose_listening_was_cut_off_catches_up() {
    let database = Database::new().await;
    let api = Api::on(&database)
        .set("CATALOG_REFRESH", "1h")
        .start()
        .await;
    let dba = database.superuser().await;
    dba.batch_execute(STUDENTS).await.unwrap();
    let pid = listening(&dba, 0).await;

    // Nobody hears of this: the connection is gone by then.
    let cut = format!("select pg_terminate_backend(pid, 10000) {LISTENING}; {EXPOSE}");
    dba.batch_execute(&cut).await.unwrap();
    api.serves("/students", true).await;
    listening(&dba, pid).await;
    dba.batch_execute(HIDE).await.unwrap();
    api.serves("/students", false).await;
}

/// The process that listens, once there is another than this one.
async fn listening(dba: &tokio_postgres::Client, before: i32) -> i32 {
    let query = format!("select pid {LISTENING} and pid <> {before}");
    loop {
        if let Some(row) = dba.query_opt(&query, &[]).await.unwrap() {
            return row.get(0);
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn what_nobody_announced_is_found_by_asking() {
    let database = Database::new().await;
    let api = Api::on(&database)
        .set("CATALOG_REFRESH", "1s")
        .start()
        .await;
    let dba = database.superuser().await;
    dba.batch_execute(STUDENTS).await.unwrap();
    dba.batch_execute(EXPOSE).await.unwrap();
    api.serves("/students", true).await;
    // A change of the table itself announces nothing.
    dba.batch_execute("drop table students cascade")
        .await
        .unwrap();
    api.serves("/students", false).await;
}

#[tokio::test]
async fn a_service_that_knows_too_little_or_too_much_does_no_harm() {
    let database = Database::new().await;
    let dba = database.superuser().await;
    dba.batch_execute(STUDENTS).await.unwrap();
    dba.batch_execute(EXPOSE).await.unwrap();
    // Deaf, and asking too seldom: what it knows is what it knew at its start.
    let api = Api::on(&database)
        .set("CATALOG_REFRESH", "1h")
        .start()
        .await;
    let ann = api.owner_of("Acme").await;
    ann.get("/students").await.with_status(200);

    let quiet = "
        alter table tenancy.exposed_resources disable trigger user;
        delete from tenancy.exposed_resources where resource = 'students';
        alter table tenancy.exposed_resources enable trigger user;";
    dba.batch_execute(quiet).await.unwrap();
    assert_eq!(ann.get("/students").await.with_status(404).code(), "TN401");
}

#[tokio::test]
async fn whoever_announces_without_end_costs_little() {
    let world = World::new().await;
    let ann = world.api.owner_of("Acme").await;
    let login = world.database.login(&["tenancy_app"]).await;
    let noise = world.database.connect(&login).await;
    for _ in 0..20 {
        noise
            .batch_execute(
                "do $$ begin for i in 1..1000 loop notify pg_tenancy_resources; end loop; end $$",
            )
            .await
            .unwrap();
    }
    ann.get("/tasks").await.with_status(200);
}
