//! A DBA's own tables over HTTP: isolated, exposed, and as safe as tasks and projects.

use reqwest::Method;
use serde_json::{Value, json};
use tests::{Answer, World};

const SCHOOL: &str = r#"
    create table students (
        id uuid primary key default gen_random_uuid(),
        name text not null check (length(name) between 1 and 100),
        email text, page integer, created_at timestamptz not null default now());
    create table classes (id bigint generated always as identity primary key, name varchar(20) not null);
    create table enrolments (
        student_id uuid not null references students (id) on delete cascade,
        class_id bigint not null references classes (id) on delete cascade,
        mark text, primary key (student_id, class_id));
    create table countries (code text primary key, name text not null);
    insert into countries values ('de', 'Germany'), ('a,b/c%', 'Odd'), ('é', 'Accented');
    select tenancy.isolate_table('students');
    select tenancy.isolate_table('classes');
    select tenancy.isolate_table('enrolments');
    select tenancy.share_table('countries');
    create index on students (tenant_id, page);
    select tenancy.expose_table(t) from unnest('{students,classes,enrolments,countries}'::regclass[]) as t;
"#;

async fn school() -> World {
    let world = World::new().await;
    let dba = world.database.superuser().await;
    dba.batch_execute(SCHOOL).await.unwrap();
    world.api.serves("/countries", true).await;
    world.api.serves("/students", true).await;
    world
}

#[tokio::test]
async fn an_exposed_table_is_listed_read_added_to_changed_and_deleted_from() {
    let world = school().await;
    let ann = world.api.owner_of("Acme").await;
    let made = ann
        .post("/students", json!({"name": "Nora"}))
        .await
        .with_status(201);
    let path = made.header("location").to_owned();
    assert_eq!(path, format!("/students/{}", made.id()));

    let row = ann.get(&path).await.with_status(200);
    assert_eq!(row.body, made.body);
    let changed = ann
        .patch(&path, json!({"name": "Noor"}))
        .await
        .with_status(200);
    assert_eq!(changed.json()["name"], "Noor");
    let list = ann
        .get("/students?count=exact&fields=name")
        .await
        .with_status(200);
    assert_eq!(list.json()["data"], json!([{"name": "Noor"}]));
    assert_eq!(list.json()["total"], 1);
    ann.delete(&path).await.with_status(204);
    ann.get(&path).await.with_status(404);

    let wrong = ann.post("/students", json!({"name": ""})).await;
    wrong.is_problem(400);
    assert_eq!(wrong.json()["errors"][0]["field"], "name");
}

#[tokio::test]
async fn an_exposed_row_of_another_tenant_is_as_good_as_none() {
    let world = school().await;
    let ann = world.api.owner_of("Acme").await;
    let mallory = world.api.owner_of("Globex").await;
    let student = ann.post("/students", json!({"name": "Secret"})).await.id();
    let class = ann.post("/classes", json!({"name": "Secret"})).await.json()["id"].clone();
    let ids = json!({"studentId": student, "classId": class});
    ann.post("/enrolments", ids.clone()).await.with_status(201);

    let nobody = "01890000-0000-7000-8000-000000000000";
    for (hers, nobodys) in [
        (
            format!("/students/{student}"),
            format!("/students/{nobody}"),
        ),
        (format!("/classes/{class}"), "/classes/4711".to_owned()),
        (
            format!("/enrolments/{student},{class}"),
            format!("/enrolments/{nobody},4711"),
        ),
    ] {
        ann.get(&hers).await.with_status(200);
        for method in [Method::GET, Method::PATCH, Method::DELETE] {
            let body = (method == Method::PATCH).then(|| json!({"name": "Mine"}));
            let body = body.map(|body| {
                if hers.starts_with("/e") {
                    json!({"mark": "A"})
                } else {
                    body
                }
            });
            let id = &[("x-request-id", "same")];
            let missing = mallory
                .sends(method.clone(), &nobodys, id, body.clone())
                .await;
            let foreign = mallory.sends(method.clone(), &hers, id, body).await;
            assert_eq!(foreign.status, 404, "{method} {hers}: {}", foreign.text());
            assert_eq!(foreign.body, missing.body, "{method} {hers}");
            // Without a token nobody gets even so far.
            let request = world.api.request(method, &hers);
            Answer::to(request).await.with_status(401);
        }
        ann.get(&hers).await.with_status(200);
    }
    let refused = mallory.post("/enrolments", ids).await.with_status(400);
    assert_eq!(refused.code(), "TN411");
    for path in ["/students", "/classes", "/enrolments"] {
        assert_eq!(mallory.get(path).await.json()["data"], json!([]), "{path}");
    }
}

#[tokio::test]
async fn a_key_of_several_columns_is_a_path_of_several_parts() {
    let world = school().await;
    let ann = world.api.owner_of("Acme").await;
    let student = ann.post("/students", json!({"name": "Nora"})).await.id();
    let class = ann.post("/classes", json!({"name": "Maths"})).await.json()["id"].clone();
    let ids = json!({"studentId": student, "classId": class});
    let made = ann.post("/enrolments", ids).await.with_status(201);
    let path = format!("/enrolments/{student},{class}");
    assert_eq!(made.header("location"), path);
    let changed = ann
        .patch(&path, json!({"mark": "A"}))
        .await
        .with_status(200);
    assert_eq!(changed.json()["mark"], "A");
    for bad in [
        student.clone(),
        format!("{student},{class},1"),
        format!("{class},{student}"),
    ] {
        let answer = ann.get(&format!("/enrolments/{bad}")).await;
        answer.is_problem(400);
        assert_eq!(answer.code(), "TN405", "{bad}");
    }
    ann.delete(&path).await.with_status(204);
}

#[tokio::test]
async fn reference_data_is_read_by_all_and_written_by_nobody() {
    let world = school().await;
    for name in ["Acme", "Globex"] {
        let person = world.api.owner_of(name).await;
        let countries = person.get("/countries?count=exact").await.with_status(200);
        assert_eq!(countries.json()["total"], 3);
        // A comma of the value is escaped, one between the parts of a key is not.
        for (path, found) in [
            ("de", "Germany"),
            ("a%2Cb%2Fc%25", "Odd"),
            ("%C3%A9", "Accented"),
        ] {
            let row = person
                .get(&format!("/countries/{path}"))
                .await
                .with_status(200);
            assert_eq!(row.json()["name"], found);
        }
        person.get("/countries/fr").await.with_status(404);
        for (method, path, allowed) in [
            (Method::POST, "/countries", "GET,HEAD"),
            (Method::PATCH, "/countries/de", "GET,HEAD"),
            (Method::DELETE, "/countries/de", "GET,HEAD"),
        ] {
            let answer = person.sends(method, path, &[], Some(json!({}))).await;
            answer.is_problem(405);
            assert_eq!(answer.header("allow"), allowed);
        }
    }
}

#[tokio::test]
async fn many_rows_are_added_all_or_none() {
    let world = school().await;
    let ann = world.api.owner_of("Acme").await;
    let rows = json!([{"name": "Nora"}, {"name": "Omar"}]);
    let made = ann.post("/students", rows.clone()).await.with_status(201);
    assert_eq!(made.json()[1]["name"], "Omar");
    assert_eq!((made.header("location"), made.header("etag")), ("", ""));
    let minimal = &[("prefer", "return=minimal")];
    let made = ann
        .sends(Method::POST, "/students", minimal, Some(rows))
        .await;
    assert_eq!((made.status, &*made.body), (201, &b""[..]));

    let one_is_bad = json!([{"name": "Pia"}, {"name": ""}]);
    ann.post("/students", one_is_bad).await.is_problem(400);
    let many: Vec<Value> = (0..101).map(|n| json!({"name": format!("{n}")})).collect();
    for bad in [json!([]), json!(many)] {
        assert_eq!(
            ann.post("/students", bad).await.with_status(400).code(),
            "TN420"
        );
    }
    let list = ann.get("/students?count=exact").await.json();
    assert_eq!(list["total"], 4);
}

#[tokio::test]
async fn a_field_that_is_called_like_an_option_is_filtered_by_in_brackets() {
    let world = school().await;
    let ann = world.api.owner_of("Acme").await;
    let rows = json!([{"name": "Nora", "page": 1}, {"name": "Omar", "page": 2}]);
    ann.post("/students", rows).await.with_status(201);
    let list = ann
        .get("/students?page=1&page[eq]=2")
        .await
        .with_status(200)
        .json();
    assert_eq!(list["page"], 1);
    assert_eq!(list["data"].as_array().unwrap().len(), 1);
    assert_eq!(list["data"][0]["name"], "Omar");
}

#[tokio::test]
async fn what_is_fixed_wins_over_what_is_exposed() {
    let world = school().await;
    let ann = world.api.owner_of("Acme").await;
    // The database refuses the name; a service of another version would not be fooled either.
    let dba = world.database.superuser().await;
    let refused = dba
        .batch_execute("select tenancy.expose_table('students', 'members')")
        .await;
    assert_eq!(refused.unwrap_err().code().unwrap().code(), "TN434");
    let members = ann.get("/members").await.with_status(200).json();
    assert_eq!(members["data"][0]["email"], ann.email.as_str());
}

/// A head is a GET without its body.
#[tokio::test]
async fn a_head_tells_what_a_get_would() {
    let world = school().await;
    let ann = world.api.owner_of("Acme").await;
    let path = ann
        .post("/students", json!({"name": "Nora"}))
        .await
        .header("location")
        .to_owned();
    for path in ["/students", &path] {
        let get = ann.get(path).await.with_status(200);
        let head = ann
            .sends(Method::HEAD, path, &[], None)
            .await
            .with_status(200);
        assert_eq!(head.body, b"");
        for name in ["etag", "content-length", "content-type", "link"] {
            assert_eq!(head.header(name), get.header(name), "{name} of {path}");
        }
    }
    let request = world.api.request(Method::HEAD, &path);
    Answer::to(request).await.with_status(401);
}
