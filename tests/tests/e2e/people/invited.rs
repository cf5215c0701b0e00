//! Invitations that several accept, or revoke, at the same moment.

use super::*;

#[tokio::test]
async fn twenty_who_accept_one_invitation_at_once_are_one() {
    let office = Office::new().await;
    let invitation = office.invitation("bob@acme.example", "member").await;
    let statement =
        format!("select role from tenancy.accept_invitation('{invitation}', null, '{HASH}')");
    let mut attempts = Vec::new();
    for _ in 0..20 {
        let client = office.database.connect(&office.login).await;
        let statement = statement.clone();
        attempts.push(tokio::spawn(
            async move { value(&client, &statement).await },
        ));
    }
    let mut won = 0;
    for attempt in attempts {
        match attempt.await.unwrap() {
            Ok(role) => {
                assert_eq!(role, "member");
                won += 1;
            }
            Err(code) => assert_eq!(code, "TN303"),
        }
    }
    assert_eq!(won, 1);
    assert_eq!(
        office.database.count("tenancy.memberships", "true").await,
        2
    );
    assert_eq!(office.database.count("tenancy.users", "true").await, 2);
}

#[tokio::test]
async fn an_invitation_that_is_revoked_at_that_moment_is_not_accepted() {
    let office = Office::new().await;
    let invitation = office.invitation("bob@acme.example", "member").await;
    let owner = office.enters(&office.alice, "read committed").await;
    let revocation = "select tenancy.revoke_invitation((i ->> 'id')::uuid)
        from json_array_elements(tenancy.list_invitations() -> 'data') as i";
    let accepting = format!("select tenancy.accept_invitation('{invitation}', null, '{HASH}')");
    let client = office.database.connect(&office.login).await;
    assert_eq!(
        at_once(&office, (&owner, revocation), (client, accepting)).await,
        "TN303"
    );
    assert_eq!(office.database.count("tenancy.users", "true").await, 1);
}

/// Of two tenants, so no lock of a tenant keeps them apart.
#[tokio::test]
async fn one_address_that_accepts_twice_at_once_is_one_person() {
    let office = Office::new().await;
    let dba = office.database.superuser().await;
    let other = value(
        &dba,
        "select tenant_id::text from tenancy.register_tenant('Globex', null, 'carol@globex.example')",
    )
    .await
    .unwrap();
    let ours = office.invitation("bob@acme.example", "member").await;
    let client = office.database.connect(&office.login).await;
    client
        .batch_execute(&format!(
            "begin; select tenancy.set_tenant_context('{other}',
                 (select user_id from tenancy.find_credentials('carol@globex.example')))"
        ))
        .await
        .unwrap();
    let theirs = value(
        &client,
        "select token from tenancy.invite_member('BOB@acme.example', 'viewer')",
    )
    .await
    .unwrap();
    client.batch_execute("commit").await.unwrap();

    let accepting =
        |token: &str| format!("select tenancy.accept_invitation('{token}', null, '{HASH}')");
    client.batch_execute("begin").await.unwrap();
    let second = office.database.connect(&office.login).await;
    assert_eq!(
        at_once(
            &office,
            (&client, &accepting(&ours)),
            (second, accepting(&theirs))
        )
        .await,
        "TN304"
    );
    assert_eq!(office.database.count("tenancy.users", "true").await, 3);
}
