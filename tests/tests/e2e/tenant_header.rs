//! A request may name its tenant, by a header or by the address it is sent to. It opens
//! nothing: the token has to lead there.

use reqwest::Method;
use serde_json::json;
use tests::{Answer, Api, Database, PASSWORD, Person, World};

async fn get(person: &Person<'_>, path: &str, named: &str) -> Answer {
    person
        .sends(Method::GET, path, &[("x-tenant-id", named)], None)
        .await
}

async fn denials(database: &Database) -> i64 {
    database
        .count("tenancy.audit_log", "action = 'record_denial'")
        .await
}

#[tokio::test]
async fn who_names_their_own_tenant_is_served_as_ever() {
    let world = World::new().await;
    let ann = world.api.owner_of("Acme").await;
    ann.has_task("Buy milk").await;
    for named in ["acme", &ann.tenant_id, &ann.tenant_id.to_uppercase()] {
        assert_eq!(
            get(&ann, "/tasks", named).await.with_status(200).titles(),
            ["Buy milk"]
        );
        for path in ["/me", "/members", "/auth/sessions", "/invitations"] {
            get(&ann, path, named).await.with_status(200);
        }
    }
    assert_eq!(denials(&world.database).await, 0);
}

#[tokio::test]
async fn who_names_another_tenant_is_refused_and_put_on_record() {
    let world = World::new().await;
    let ann = world.api.owner_of("Acme").await;
    let bob = world.api.owner_of("Globex").await;
    bob.has_task("Secret").await;
    let id = [("x-request-id", "same")];
    let words = ann
        .sends(
            Method::GET,
            "/tasks",
            &[id[0], ("x-tenant-id", "nowhere")],
            None,
        )
        .await;
    words.is_problem(403);
    assert_eq!(words.code(), "TN026");
    for path in ["/tasks", "/tasks/1", "/me", "/members", "/auth/sessions"] {
        for named in ["globex", &bob.tenant_id] {
            let headers = [id[0], ("x-tenant-id", named)];
            let answer = ann.sends(Method::GET, path, &headers, None).await;
            assert_eq!((answer.status, &answer.body), (403, &words.body), "{path}");
        }
    }
    for (method, path) in [
        (Method::POST, "/auth/logout"),
        (Method::POST, "/auth/logout-all"),
        (Method::DELETE, "/members/me"),
        (Method::POST, "/tenants/revoke-sessions"),
    ] {
        let headers = [("x-tenant-id", "globex")];
        ann.sends(method, path, &headers, None)
            .await
            .with_status(403);
    }
    ann.get("/tasks").await.with_status(200);

    // However often they try, it is one line a minute.
    assert_eq!(denials(&world.database).await, 1);
    let query = "select arguments ->> 'named', user_id::text, login from tenancy.audit_log where action = 'record_denial'";
    let line = world
        .database
        .superuser()
        .await
        .query_one(query, &[])
        .await
        .unwrap();
    assert_eq!(line.get::<_, String>(0), "nowhere");
    assert_eq!(line.get::<_, String>(1), ann.user_id);
    assert_eq!(line.get::<_, String>(2), world.database.api_login.name);
}

#[tokio::test]
async fn a_name_that_is_none_is_refused() {
    let world = World::new().await;
    let ann = world.api.owner_of("Acme").await;
    for named in ["", "No Slug", "acme; drop table", &"x".repeat(300)] {
        get(&ann, "/tasks", named).await.is_problem(400);
    }
    let twice = [("x-tenant-id", "acme"), ("x-tenant-id", "acme")];
    ann.sends(Method::GET, "/tasks", &twice, None)
        .await
        .is_problem(400);
    let request = world
        .api
        .request(Method::GET, "/tasks")
        .header("x-tenant-id", "acme");
    Answer::to(request).await.with_status(401);
    assert_eq!(denials(&world.database).await, 0);
}

#[tokio::test]
async fn an_address_below_the_domain_names_a_tenant() {
    let database = Database::new().await;
    let api = Api::on(&database)
        .set("TENANT_DOMAIN", "example.com")
        .set("TENANT_HEADER", "")
        .start()
        .await;
    let ann = api.owner_of("Acme").await;
    api.owner_of("Globex").await;
    for (host, status) in [
        ("acme.example.com", 200),
        ("ACME.example.com.:8443", 200),
        ("example.com", 200),
        ("[::1]:3000", 200),
        ("acme.example.org", 200),
        ("globex.example.com", 403),
        ("nowhere.example.com", 403),
        ("a.b.example.com", 400),
        (".example.com", 400),
    ] {
        // The header is switched off, so it names nothing.
        let headers = [("host", host), ("x-tenant-id", "globex")];
        let answer = ann.sends(Method::GET, "/tasks", &headers, None).await;
        assert_eq!(answer.status, status, "{host}: {}", answer.text());
    }
    assert_eq!(denials(&database).await, 1);

    // A login at a tenant's address is a login to that tenant.
    let login = async |host: &str, tenant: Option<&str>| {
        let mut body = json!({"email": ann.email, "password": PASSWORD});
        if let Some(tenant) = tenant {
            body["tenant"] = json!(tenant);
        }
        let request = api
            .request(Method::POST, "/auth/login")
            .header("host", host);
        Answer::to(request.json(&body)).await.status
    };
    assert_eq!(login("acme.example.com", None).await, 200);
    assert_eq!(login("acme.example.com", Some("acme")).await, 200);
    assert_eq!(login("globex.example.com", None).await, 403);
    assert_eq!(login("acme.example.com", Some("globex")).await, 400);
    assert_eq!(login("example.com", Some("acme")).await, 200);
}

#[tokio::test]
async fn where_the_dba_lets_them_a_person_chooses_between_their_tenants() {
    let world = World::new().await;
    let ann = world.api.owner_of("Acme").await;
    let bob = world.api.owner_of("Globex").await;
    bob.has_task("Of Globex").await;
    world.api.owner_of("Initech").await;
    let dba = world.database.superuser().await;
    let name = &world.database.name;
    dba.batch_execute(&format!(
        "insert into tenancy.memberships (tenant_id, user_id, role) values ('{}', '{}', 'member');
         alter database {name} set pg_tenancy.select_tenant = on",
        bob.tenant_id, ann.user_id
    ))
    .await
    .unwrap();
    let api = Api::on(&world.database).start().await;
    let ann = ann.at(&api);

    assert_eq!(ann.tasks().await, [""; 0]);
    assert_eq!(
        get(&ann, "/tasks", "globex")
            .await
            .with_status(200)
            .titles(),
        ["Of Globex"]
    );
    get(&ann, "/tasks", "initech").await.with_status(403);
    // Leaving is about the token's own tenant, which isn't the one that was named.
    let headers = [("x-tenant-id", "globex")];
    let leaving = ann
        .sends(Method::DELETE, "/members/me", &headers, None)
        .await;
    assert_eq!(leaving.with_status(403).code(), "TN026");
    get(&ann, "/tasks", "globex").await.with_status(200);
}
