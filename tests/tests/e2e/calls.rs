//! A DBA's functions over HTTP, called as who calls them; and rows that come back.

use reqwest::Method;
use serde_json::{Value, json};
use tests::{Answer, Person, World};

async fn call(person: &Person<'_>, name: &str, arguments: Value) -> Answer {
    person.post(&format!("/rpc/{name}"), arguments).await
}

#[tokio::test]
async fn a_function_is_called_as_the_caller() {
    let world = World::new().await;
    let dba = world.database.superuser().await;
    let functions = "
        create table students (id uuid primary key default gen_random_uuid(), name text not null);
        select tenancy.isolate_table('students');
        select tenancy.expose_table('students');
        create function rename(student_id uuid, new_name text default 'Anonymous') returns students
            language sql as 'update students set name = new_name where id = student_id returning *';
        create function how_many() returns bigint language sql stable as 'select count(*) from students';
        grant execute on function rename, how_many to tenancy_app;
        select tenancy.expose_function('rename(uuid,text)');
        select tenancy.expose_function('how_many()', 'how-many');";
    dba.batch_execute(functions).await.unwrap();
    let ann = world.api.owner_of("Acme").await;
    let mallory = world.api.owner_of("Globex").await;
    // One transaction has exposed the table and the functions.
    wait_for_function(&world, "/rpc/rename").await;
    let student = ann.post("/students", json!({"name": "Nora"})).await.id();

    assert_eq!(
        call(&ann, "how-many", json!({}))
            .await
            .with_status(200)
            .json(),
        1
    );
    assert_eq!(
        call(&mallory, "how-many", json!({}))
            .await
            .with_status(200)
            .json(),
        0
    );
    let arguments = json!({"studentId": student});
    call(&mallory, "rename", arguments.clone())
        .await
        .with_status(200);
    assert_eq!(
        ann.get(&format!("/students/{student}")).await.json()["name"],
        "Nora"
    );
    let renamed = call(&ann, "rename", arguments)
        .await
        .with_status(200)
        .json();
    assert_eq!(renamed["name"], "Anonymous");

    let wrong = call(
        &ann,
        "rename",
        json!({"studentId": student, "tenantId": "x"}),
    )
    .await;
    wrong.is_problem(400);
    assert_eq!(wrong.json()["errors"][0]["field"], "tenantId");
    assert_eq!(
        call(&ann, "drop", json!({})).await.with_status(404).code(),
        "no_such_route"
    );
    let answer = ann.get("/rpc/rename").await;
    assert_eq!((answer.status, answer.header("allow")), (405, "POST"));
}

#[tokio::test]
async fn what_a_functions_author_says_reaches_the_caller_and_nothing_else_does() {
    let world = World::new().await;
    let dba = world.database.superuser().await;
    let functions = "
        create function refuse(how text) returns void language plpgsql as $$
        begin
            if how = 'full' then
                raise exception 'the class is full' using detail = 'a secret', hint = 'Try another.';
            elsif how = 'code' then
                raise exception 'not on Sundays' using errcode = 'TN777', detail = 'a secret';
            end if;
            raise exception 'a secret' using errcode = how;
        end $$;
        grant execute on function refuse to tenancy_app;
        select tenancy.expose_function('refuse(text)');";
    dba.batch_execute(functions).await.unwrap();
    wait_for_function(&world, "/rpc/refuse").await;
    let ann = world.api.owner_of("Acme").await;
    for (how, status, code, detail) in [
        ("full", 400, "P0001", "the class is full. Try another."),
        ("code", 400, "TN777", "not on Sundays"),
        ("23505", 409, "conflict", "A value is taken already."),
        (
            "XX001",
            500,
            "internal",
            "Something went wrong; the service's log has the reason under this requestId.",
        ),
    ] {
        let answer = call(&ann, "refuse", json!({"how": how})).await;
        answer.is_problem(status);
        assert_eq!(answer.code(), code);
        assert!(!answer.text().contains("secret"), "{}", answer.text());
        assert_eq!(answer.json()["detail"], detail);
    }
}

async fn wait_for_function(world: &World, path: &str) {
    loop {
        if world.api.post(path, json!({})).await.status == 401 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_function_is_called_once_under_one_key() {
    let world = World::new().await;
    let dba = world.database.superuser().await;
    let functions = "
        create function add_task(title text) returns tenancy.tasks language sql
            as 'insert into tenancy.tasks (title) values (title) returning *';
        grant execute on function add_task to tenancy_app;
        select tenancy.expose_function('add_task(text)');";
    dba.batch_execute(functions).await.unwrap();
    wait_for_function(&world, "/rpc/add_task").await;
    let ann = world.api.owner_of("Acme").await;
    let key = [("idempotency-key", "k")];
    let send = |title: &'static str| {
        let body = Some(json!({ "title": title }));
        ann.sends(Method::POST, "/rpc/add_task", &key, body)
    };
    let first = send("Buy milk").await.with_status(200);
    assert_eq!(send("Buy milk").await.with_status(200).body, first.body);
    assert_eq!(send("Buy bread").await.with_status(422).code(), "TN417");
    assert_eq!(ann.tasks().await, ["Buy milk"]);
}

#[tokio::test]
async fn a_row_that_was_deleted_softly_is_listed_and_brought_back_by_an_owner() {
    let (world, mailbox) = World::with_mail().await;
    let dba = world.database.superuser().await;
    let table = "
        create table notes (id uuid primary key default gen_random_uuid(), title text not null);
        select tenancy.isolate_table('notes');
        select tenancy.enable_soft_delete('notes');
        select tenancy.expose_table('notes');";
    dba.batch_execute(table).await.unwrap();
    world.api.serves("/notes", true).await;
    let ann = world.api.owner_of("Acme").await;
    let bob = ann.invites(&mailbox, "bob@acme.example", "member").await;
    let mallory = world.api.owner_of("Globex").await;
    let made = ann
        .post("/notes", json!({"title": "Secret"}))
        .await
        .with_status(201);
    let path = made.header("location").to_owned();
    let restore = format!("{path}/restore");

    ann.delete(&path).await.with_status(204);
    ann.get(&path).await.with_status(404);
    assert!(ann.get("/notes").await.titles().is_empty());
    assert_eq!(
        ann.get("/notes?deleted=only")
            .await
            .with_status(200)
            .titles(),
        ["Secret"]
    );
    bob.get("/notes?deleted=only").await.with_status(403);
    assert!(
        mallory
            .get("/notes?deleted=only")
            .await
            .with_status(200)
            .titles()
            .is_empty()
    );

    bob.post(&restore, json!({})).await.with_status(403);
    mallory.post(&restore, json!({})).await.with_status(404);
    world.api.post(&restore, json!({})).await.with_status(401);
    let restored = ann.post(&restore, json!({})).await.with_status(200);
    let row = bob.get(&path).await.with_status(200);
    assert_eq!(restored.json(), row.json());
    assert_eq!(restored.header("etag"), row.header("etag"));
    // What keeps no deleted rows has no such route.
    let task = ann.has_task("Buy milk").await;
    let answer = ann.post(&format!("/tasks/{task}/restore"), json!({})).await;
    assert_eq!(answer.with_status(404).code(), "no_such_route");
}
