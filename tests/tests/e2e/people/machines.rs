//! API keys that are used, and revoked, at the same moment.

use super::*;

#[tokio::test]
async fn a_key_is_revoked_while_others_change_people_and_never_by_who_was_demoted() {
    for isolation in ISOLATIONS {
        let office = Office::new().await;
        let [bob, carol] = [
            office.with("bob", "admin").await,
            office.with("carol", "member").await,
        ];
        let (key, _) = office.api_key("member").await;
        let revoking =
            format!("set local statement_timeout = '5s'; select tenancy.revoke_api_key('{key}')");
        let manager = office.enters(&office.alice, "read committed").await;
        let admin = office.enters(&bob, isolation).await;
        manager
            .batch_execute(&format!(
                "select tenancy.set_member_role('{carol}', 'viewer')"
            ))
            .await
            .unwrap();
        // While all owners are locked, by another owner's deed, too.
        let owner = office.enters(&office.alice, isolation).await;
        assert_eq!(outcome(&owner, &revoking).await, "00000", "{isolation}");
        owner.batch_execute("rollback").await.unwrap();
        manager
            .batch_execute(&format!(
                "select tenancy.set_member_role('{bob}', 'member'); commit"
            ))
            .await
            .unwrap();
        assert_eq!(outcome(&admin, &revoking).await, "TN203", "{isolation}");
    }
}

#[tokio::test]
async fn a_key_is_revoked_at_once_for_everybody_even_while_it_is_in_use() {
    let office = Office::new().await;
    let (id, key) = office.api_key("member").await;
    let entering = format!("select tenancy.enter('{key}')");
    // One that is in, has noted its use, and stays; and one whose snapshot is from before.
    let machine = office.database.connect(&office.login).await;
    machine
        .batch_execute(&format!("begin; {entering}"))
        .await
        .unwrap();
    let late = office.database.connect(&office.login).await;
    late.batch_execute("begin isolation level repeatable read; select 1")
        .await
        .unwrap();

    let owner = office.enters(&office.alice, "read committed").await;
    owner
        .batch_execute(&format!(
            "set local statement_timeout = '5s'; select tenancy.revoke_api_key('{id}'); commit"
        ))
        .await
        .expect("nobody is waited for");
    assert_eq!(outcome(&late, &entering).await, "TN018");
    let next = office.database.connect(&office.login).await;
    assert_eq!(outcome(&next, &entering).await, "TN018");
    machine.batch_execute("commit").await.unwrap();
    assert_eq!(outcome(&machine, &entering).await, "TN018");
}

/// Whoever changes people holds up nobody but who changes people, too.
#[tokio::test]
async fn a_machine_that_invites_and_never_commits_can_be_shut_out() {
    let office = Office::new().await;
    let (id, key) = office.api_key("admin").await;
    let machine = office.database.connect(&office.login).await;
    machine
        .batch_execute(&format!(
            "begin; select tenancy.enter('{key}'); select tenancy.invite_member('mole@evil.example', 'admin')"
        ))
        .await
        .unwrap();
    let owner = office.enters(&office.alice, "read committed").await;
    let revoking = format!(
        "set local statement_timeout = '5s'; select tenancy.revoke_api_key('{id}'); commit"
    );
    assert_eq!(outcome(&owner, &revoking).await, "00000");
    let again = "select tenancy.invite_member('more@evil.example', 'admin')";
    assert_eq!(outcome(&machine, again).await, "TN018");
}

#[tokio::test]
async fn machines_of_one_key_never_wait_for_each_other() {
    let office = Office::new().await;
    for isolation in ["read committed", "repeatable read", "serializable"] {
        let (id, key) = office.api_key("member").await;
        let entering = format!("select tenancy.enter('{key}')");
        // Their snapshots are all from before the first use is noted.
        let mut machines = Vec::new();
        for _ in 0..10 {
            let client = office.database.connect(&office.login).await;
            client
                .batch_execute(&format!(
                    "begin isolation level {isolation}; set local lock_timeout = '1s'; select 1"
                ))
                .await
                .unwrap();
            machines.push(client);
        }
        for (number, machine) in machines.iter().enumerate() {
            assert_eq!(outcome(machine, &entering).await, "00000", "{isolation}");
            let work = "insert into tenancy.tasks (title) values ('By a machine')";
            assert_eq!(outcome(machine, work).await, "00000", "{isolation}");
            if number == 0 {
                continue;
            }
            assert_eq!(outcome(machine, "commit").await, "00000", "{isolation}");
        }
        assert_eq!(outcome(&machines[0], "commit").await, "00000");
        let noted = format!("key_id = '{id}' and last_used_at is not null");
        assert_eq!(
            office.database.count("tenancy.api_key_uses", &noted).await,
            i64::from(isolation != "serializable"),
            "{isolation}"
        );
    }
    // And where the first has committed its note before the second enters.
    let (_, key) = office.api_key("member").await;
    let late = office.database.connect(&office.login).await;
    late.batch_execute("begin isolation level repeatable read; select 1")
        .await
        .unwrap();
    let entering = format!("select tenancy.enter('{key}')");
    let first = office.database.connect(&office.login).await;
    assert_eq!(outcome(&first, &entering).await, "00000");
    let dba = office.database.superuser().await;
    dba.batch_execute(
        "update tenancy.api_key_uses set last_used_at = last_used_at - interval '2 minutes'",
    )
    .await
    .unwrap();
    assert_eq!(outcome(&late, &entering).await, "00000");
    assert_eq!(outcome(&late, "commit").await, "00000");
}

#[tokio::test]
async fn a_key_and_an_invitation_are_good_in_a_restored_database() {
    let office = Office::new().await;
    let (_, key) = office.api_key("viewer").await;
    let invitation = office.invitation("bob@acme.example", "member").await;
    let backup = office.database.login(&["tenancy_backup"]).await;
    let dump = office.database.dump(&backup);
    let restored = Database::empty(office.database.cluster).await;
    restored.restore(&dump);

    let client = restored.connect(&office.login).await;
    assert_eq!(
        value(&client, &format!("select tenancy.enter('{key}')::text")).await,
        Ok(office.tenant.clone())
    );
    let accepting =
        format!("select role from tenancy.accept_invitation('{invitation}', null, '{HASH}')");
    assert_eq!(value(&client, &accepting).await, Ok("member".to_owned()));
}
