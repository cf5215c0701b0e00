//! An operator suspends a tenant: from its next request on it is out, and back in
//! when it is resumed.

use tests::World;
use tokio_postgres::types::ToSql;

/// Calls a function as a member of tenancy_admin, which is all an operator is.
async fn operator(world: &World, function: &str, arguments: &[&(dyn ToSql + Sync)]) {
    let login = world.database.login(&["tenancy_admin"]).await;
    let client = world.database.connect(&login).await;
    client
        .execute(&format!("select tenancy.{function}"), arguments)
        .await
        .unwrap();
}

async fn suspend(world: &World, tenant_id: &str) {
    let statement = format!("suspend_tenant('{tenant_id}', $1)");
    operator(world, &statement, &[&"has not paid"]).await;
}

#[tokio::test]
async fn a_suspended_tenant_is_refused_at_its_next_request_and_resumed_at_the_one_after() {
    let world = World::new().await;
    let alice = world.api.owner_of("Acme").await;
    let bob = world.api.owner_of("Globex").await;
    alice.has_task("Plan").await;

    suspend(&world, &alice.tenant_id).await;
    for path in ["/tasks", "/me", "/projects"] {
        assert_eq!(
            alice.get(path).await.with_status(403).code(),
            "TN004",
            "{path}"
        );
    }
    assert_eq!(
        world.api.login(&alice.email).await.with_status(403).code(),
        "TN004"
    );
    assert!(bob.tasks().await.is_empty());

    operator(
        &world,
        &format!("resume_tenant('{}')", alice.tenant_id),
        &[],
    )
    .await;
    assert_eq!(alice.tasks().await, ["Plan"]);
    world.api.person(&alice.email).await;
}

#[tokio::test]
async fn both_deeds_are_in_the_audit_log() {
    let world = World::new().await;
    let alice = world.api.owner_of("Acme").await;
    suspend(&world, &alice.tenant_id).await;
    operator(
        &world,
        &format!("resume_tenant('{}')", alice.tenant_id),
        &[],
    )
    .await;
    let why = "action = 'suspend_tenant' and arguments ->> 'reason' = 'has not paid'";
    assert_eq!(world.database.count("tenancy.audit_log", why).await, 1);
    assert_eq!(
        world
            .database
            .count("tenancy.audit_log", "action = 'resume_tenant'")
            .await,
        1
    );
}

#[tokio::test]
async fn the_service_itself_can_suspend_nobody() {
    let world = World::new().await;
    let alice = world.api.owner_of("Acme").await;
    let client = world.database.connect(&world.database.api_login).await;
    let statement = format!(
        "select tenancy.suspend_tenant('{}', 'malice')",
        alice.tenant_id
    );
    let refused = client.execute(&statement, &[]).await.unwrap_err();
    assert_eq!(refused.code().unwrap().code(), "42501");
    alice.get("/me").await.with_status(200);
}
