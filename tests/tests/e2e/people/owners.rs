//! Owners and members who act at the same moment.

use super::*;

#[tokio::test]
async fn two_owners_who_demote_themselves_at_once_leave_one() {
    for (isolation, refused) in ISOLATIONS.into_iter().zip(["TN202", "40001"]) {
        let office = Office::new().await;
        let bob = office.with("bob", "owner").await;
        let alice = office.alice.clone();
        let one = office.enters(&alice, isolation).await;
        let other = office.enters(&bob, isolation).await;
        let deed = |person: &str| format!("select tenancy.set_member_role('{person}', 'member')");
        assert_eq!(
            at_once(&office, (&one, &deed(&alice)), (other, deed(&bob))).await,
            refused,
            "{isolation}"
        );
        assert_eq!(office.owners().await, 1);
    }
}

#[tokio::test]
async fn two_owners_who_remove_each_other_at_once_leave_one() {
    for (isolation, refused) in ISOLATIONS.into_iter().zip(["TN203", "40001"]) {
        for deed in ["remove_member('{}')", "set_member_role('{}', 'viewer')"] {
            let office = Office::new().await;
            let bob = office.with("bob", "owner").await;
            let alice = office.alice.clone();
            let one = office.enters(&alice, isolation).await;
            let other = office.enters(&bob, isolation).await;
            let deed = |person: &str| format!("select tenancy.{}", deed.replace("{}", person));
            assert_eq!(
                at_once(&office, (&one, &deed(&bob)), (other, deed(&alice))).await,
                refused,
                "{isolation}"
            );
            assert_eq!(office.owners().await, 1);
        }
    }
}

#[tokio::test]
async fn two_owners_who_leave_at_once_leave_one() {
    for (isolation, refused) in ISOLATIONS.into_iter().zip(["TN202", "40001"]) {
        let office = Office::new().await;
        let bob = office.with("bob", "owner").await;
        let mut leaving = Vec::new();
        for person in [&office.alice, &bob] {
            let client = office.database.connect(&office.login).await;
            client
                .batch_execute(&format!("begin isolation level {isolation}; select 1"))
                .await
                .unwrap();
            let token = office.token_of(person).await;
            leaving.push((client, format!("select tenancy.leave_tenant('{token}')")));
        }
        let second = leaving.pop().unwrap();
        let first = leaving.pop().unwrap();
        assert_eq!(
            at_once(&office, (&first.0, &first.1), second).await,
            refused,
            "{isolation}"
        );
        assert_eq!(office.owners().await, 1);
    }
}

/// Who was no owner when he began to leave, and is one when his row is free.
#[tokio::test]
async fn who_is_made_the_only_owner_while_leaving_stays() {
    for (isolation, refused) in ISOLATIONS.into_iter().zip(["TN202", "40001"]) {
        let office = Office::new().await;
        let bob = office.with("bob", "member").await;
        let owner = office.enters(&office.alice, isolation).await;
        let handing_over = format!(
            "select tenancy.set_member_role('{bob}', 'owner');
             select tenancy.set_member_role('{}', 'admin')",
            office.alice
        );
        let leaver = office.database.connect(&office.login).await;
        leaver
            .batch_execute(&format!("begin isolation level {isolation}; select 1"))
            .await
            .unwrap();
        let leaving = format!(
            "select tenancy.leave_tenant('{}')",
            office.token_of(&bob).await
        );
        assert_eq!(
            at_once(&office, (&owner, &handing_over), (leaver, leaving)).await,
            refused,
            "{isolation}"
        );
        assert_eq!(office.owners().await, 1);
    }
}

#[tokio::test]
async fn who_leaves_at_that_moment_is_made_no_owner() {
    for (isolation, refused) in ISOLATIONS.into_iter().zip(["TN205", "40001"]) {
        let office = Office::new().await;
        let bob = office.with("bob", "member").await;
        let owner = office.enters(&office.alice, isolation).await;
        let leaver = office.database.connect(&office.login).await;
        let leaving = format!(
            "begin; select tenancy.leave_tenant('{}')",
            office.token_of(&bob).await
        );
        let raising = format!("select tenancy.set_member_role('{bob}', 'owner')");
        assert_eq!(
            at_once(&office, (&leaver, &leaving), (owner, raising)).await,
            refused,
            "{isolation}"
        );
        assert_eq!(office.owners().await, 1);
    }
}

#[tokio::test]
async fn a_viewer_who_leaves_and_never_commits_holds_up_nobody_else() {
    let office = Office::new().await;
    let [vera, bob] = [
        office.with("vera", "viewer").await,
        office.with("bob", "member").await,
    ];
    let (key, _) = office.api_key("member").await;
    let leaver = office.database.connect(&office.login).await;
    leaver
        .batch_execute(&format!(
            "begin; select tenancy.leave_tenant('{}')",
            office.token_of(&vera).await
        ))
        .await
        .unwrap();
    for deed in [
        format!("set_member_role('{bob}', 'admin')"),
        format!("revoke_api_key('{key}')"),
        format!("remove_member('{bob}')"),
    ] {
        let owner = office.enters(&office.alice, "read committed").await;
        let doing = format!("set local statement_timeout = '5s'; select tenancy.{deed}; commit");
        assert_eq!(outcome(&owner, &doing).await, "00000", "{deed}");
    }
}

#[tokio::test]
async fn an_admin_who_is_being_removed_lets_nobody_in_any_more() {
    for (isolation, refused) in ISOLATIONS.into_iter().zip(["TN203", "40001"]) {
        for deed in [
            "select tenancy.invite_member('eve@acme.example', 'admin')",
            "select tenancy.create_api_key('Back door', 'admin')",
        ] {
            let office = Office::new().await;
            let bob = office.with("bob", "admin").await;
            let owner = office.enters(&office.alice, isolation).await;
            let admin = office.enters(&bob, isolation).await;
            let removal = format!("select tenancy.remove_member('{bob}')");
            assert_eq!(
                at_once(&office, (&owner, &removal), (admin, deed.to_owned())).await,
                refused,
                "{isolation}: {deed}"
            );
        }
    }
}

#[tokio::test]
async fn a_tenant_is_suspended_while_its_people_change() {
    let office = Office::new().await;
    let bob = office.with("bob", "member").await;
    let owner = office.enters(&office.alice, "read committed").await;
    owner
        .batch_execute(&format!("select tenancy.set_member_role('{bob}', 'admin')"))
        .await
        .unwrap();
    let dba = office.database.superuser().await;
    let suspension = format!(
        "set statement_timeout = '5s'; select tenancy.suspend_tenant('{}', 'unpaid')",
        office.tenant
    );
    assert_eq!(outcome(&dba, &suspension).await, "00000");
    let client = office.database.connect(&office.login).await;
    let token = office.token_of(&bob).await;
    let entering = format!("select tenancy.enter('{token}')");
    assert_eq!(outcome(&client, &entering).await, "TN004");
    assert_eq!(outcome(&owner, "commit").await, "00000");
}

#[tokio::test]
async fn a_viewer_writes_by_no_order_of_statements() {
    let office = Office::new().await;
    let vera = office.with("vera", "viewer").await;
    let token = office.token_of(&vera).await;
    let enter = format!("select tenancy.enter('{token}')");
    let write = "insert into tenancy.tasks (title) values ('x')";
    let client = office.database.connect(&office.login).await;
    client
        .batch_execute(&format!("prepare earlier as {write}"))
        .await
        .unwrap();
    let prepared = client.prepare(write).await.unwrap();
    let both =
        format!("insert into tenancy.tasks (title) select 'x' from tenancy.enter('{token}')");
    for attempt in [
        both.clone(),
        format!("begin; {enter}; {write}"),
        format!("begin read write; {enter}; {write}"),
        format!("begin; {enter}; set transaction read write; {write}"),
        format!("begin; {enter}; reset transaction_read_only; {write}"),
        format!("begin; {enter}; execute earlier"),
        format!("begin; savepoint a; {enter}; release a; {write}"),
        format!("begin; savepoint a; savepoint b; {enter}; release b; release a; {write}"),
        format!("begin; savepoint a; {enter}; release a; set transaction read write; {write}"),
        format!("begin; savepoint a; {enter}; release a; update tenancy.tasks set title = 'x'"),
        format!("begin; {enter}; savepoint a; set transaction read only; release a; {write}"),
        format!("begin; {enter}; savepoint a; rollback to a; {write}"),
        format!("begin; savepoint a; {enter}; rollback to a; {write}"),
        format!("begin; {enter}; copy tenancy.tasks (title) from stdin"),
        format!(
            "begin; declare c cursor for select * from tenancy.enter('{token}'); fetch c; {write}"
        ),
        format!(
            "do $$ begin begin perform tenancy.enter('{token}'); exception when others then raise; end; {write}; end $$"
        ),
        format!("do $$ begin perform tenancy.enter('{token}'); commit and chain; {write}; end $$"),
    ] {
        assert_ne!(outcome(&client, &attempt).await, "00000", "{attempt}");
        client.batch_execute("rollback").await.unwrap();
    }
    // With the library loaded for the first time by that very statement.
    let fresh = office.database.connect(&office.login).await;
    assert_eq!(outcome(&fresh, &both).await, "TN204");
    let fresh = office.database.connect(&office.login).await;
    let within = format!("do $$ begin {both}; end $$");
    assert_eq!(outcome(&fresh, &within).await, "TN204");
    // In the extended protocol.
    client
        .batch_execute(&format!("begin; {enter}"))
        .await
        .unwrap();
    let refused = client.execute(&prepared, &[]).await.unwrap_err();
    assert_eq!(sqlstate(&refused), "25006");
    client.batch_execute("rollback").await.unwrap();
    // Behind a savepoint reading goes on.
    client
        .batch_execute(&format!(
            "begin; savepoint a; {enter}; release a; select * from tenancy.tasks; commit"
        ))
        .await
        .unwrap();
    assert_eq!(office.database.count("tenancy.tasks", "true").await, 0);
    // And the connection is as before for the next one.
    let alice = office.token_of(&office.alice).await;
    client
        .batch_execute(&format!(
            "begin; select tenancy.enter('{alice}'); {write}; commit"
        ))
        .await
        .unwrap();
}
