//! The people of a tenant: who they are, who may change that, and when it counts.

use serde_json::{Value, json};
use tests::{Answer, Api, Person, World};

async fn set_role(by: &Person<'_>, of: &Person<'_>, role: &str) -> Answer {
    by.patch(&format!("/members/{}", of.user_id), json!({"role": role}))
        .await
}

async fn remove(by: &Person<'_>, of: &Person<'_>) -> Answer {
    by.delete(&format!("/members/{}", of.user_id)).await
}

async fn people(of: &Person<'_>) -> Vec<(String, String)> {
    let list = of.get("/members").await.with_status(200).json();
    let mut people: Vec<_> = list["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            let text = |name: &str| one[name].as_str().unwrap().to_owned();
            (text("email"), text("role"))
        })
        .collect();
    people.sort();
    people
}

fn named(people: &[(&str, &str)]) -> Vec<(String, String)> {
    let people = people.iter();
    people
        .map(|(email, role)| ((*email).to_owned(), (*role).to_owned()))
        .collect()
}

#[tokio::test]
async fn a_person_sees_the_people_of_the_tenant_that_they_are_in() {
    let (world, mailbox) = World::with_mail().await;
    let alice = world.api.owner_of("Acme").await;
    let bob = alice.invites(&mailbox, "bob@acme.example", "viewer").await;
    let mallory = world.api.owner_of("Globex").await;
    let acme = named(&[
        ("bob@acme.example", "viewer"),
        ("owner@acme.example", "owner"),
    ]);
    assert_eq!(people(&alice).await, acme);
    assert_eq!(people(&bob).await, acme);
    assert_eq!(
        people(&mallory).await,
        named(&[("owner@globex.example", "owner")])
    );

    let page = alice.get("/members?limit=1&count=exact").await.json();
    assert_eq!(page["data"].as_array().unwrap().len(), 1);
    assert_eq!((&page["limit"], &page["total"]), (&json!(1), &json!(2)));
    let bad = alice.get("/members?limit=-1").await.with_status(400);
    assert_eq!(bad.code(), "TN406");
}

#[tokio::test]
async fn roles_are_given_by_who_may_and_count_from_the_next_request() {
    let (world, mailbox) = World::with_mail().await;
    let other_api = Api::on(&world.database).start().await;
    let alice = world.api.owner_of("Acme").await;
    let adam = alice.invites(&mailbox, "adam@acme.example", "admin").await;
    let mia = alice.invites(&mailbox, "mia@acme.example", "member").await;

    mia.has_task("Hers").await;
    let changed = set_role(&adam, &mia, "viewer").await.with_status(200);
    assert_eq!(changed.json()["role"], "viewer");
    let body = json!({"title": "No more"});
    let refused = mia.at(&other_api).post("/tasks", body).await;
    assert_eq!(refused.with_status(403).code(), "TN204");
    assert_eq!(mia.tasks().await, ["Hers"]);

    let code = async |answer: Answer, status| answer.with_status(status).code();
    assert_eq!(
        code(set_role(&mia, &mia, "owner").await, 403).await,
        "TN203"
    );
    assert_eq!(
        code(set_role(&adam, &mia, "owner").await, 403).await,
        "TN201"
    );
    assert_eq!(
        code(set_role(&adam, &adam, "owner").await, 403).await,
        "TN201"
    );
    assert_eq!(
        code(set_role(&adam, &alice, "member").await, 403).await,
        "TN201"
    );
    assert_eq!(
        code(set_role(&alice, &mia, "king").await, 400).await,
        "TN206"
    );
    assert_eq!(
        code(set_role(&alice, &alice, "member").await, 409).await,
        "TN202"
    );
    set_role(&alice, &adam, "owner").await.with_status(200);
    set_role(&alice, &alice, "member").await.with_status(200);
    assert_eq!(
        code(set_role(&alice, &mia, "member").await, 403).await,
        "TN203"
    );
}

#[tokio::test]
async fn who_is_removed_is_out_at_the_next_request_and_a_stranger_removes_nobody() {
    let (world, mailbox) = World::with_mail().await;
    let other_api = Api::on(&world.database).start().await;
    let alice = world.api.owner_of("Acme").await;
    let mia = alice.invites(&mailbox, "mia@acme.example", "member").await;
    let mallory = world.api.owner_of("Globex").await;
    for answer in [
        remove(&mallory, &mia).await,
        set_role(&mallory, &mia, "viewer").await,
        mallory.delete("/members/nonsense").await,
    ] {
        answer.is_problem(404);
    }
    assert_eq!(remove(&mia, &alice).await.with_status(403).code(), "TN203");

    mia.at(&other_api).get("/tasks").await.with_status(200);
    remove(&alice, &mia).await.with_status(204);
    let refused = mia.at(&other_api).get("/tasks").await;
    assert!([401, 403].contains(&refused.status), "{}", refused.text());
    mia.refresh().await.with_status(401);
    assert_eq!(remove(&alice, &mia).await.with_status(404).code(), "TN205");
    assert_eq!(
        people(&alice).await,
        named(&[("owner@acme.example", "owner")])
    );
}

#[tokio::test]
async fn anybody_may_leave_but_the_last_owner() {
    let (world, mailbox) = World::with_mail().await;
    let alice = world.api.owner_of("Acme").await;
    let vera = alice.invites(&mailbox, "vera@acme.example", "viewer").await;
    vera.delete("/members/me").await.with_status(204);
    let refused = vera.get("/tasks").await;
    assert!([401, 403].contains(&refused.status));
    let refused = alice.delete("/members/me").await.with_status(409);
    assert_eq!(refused.code(), "TN202");
    alice.get("/tasks").await.with_status(200);
}

#[tokio::test]
async fn of_two_owners_who_leave_at_once_one_stays() {
    let (world, mailbox) = World::with_mail().await;
    let other_api = Api::on(&world.database).start().await;
    let alice = world.api.owner_of("Acme").await;
    for round in 0..5 {
        let email = format!("bob{round}@acme.example");
        let owners: Vec<Value> = {
            let list = alice.get("/members").await;
            if list.status != 200 {
                break;
            }
            let list = list.json();
            let owners = list["data"].as_array().unwrap().iter();
            owners
                .filter(|one| one["role"] == "owner")
                .cloned()
                .collect()
        };
        assert_eq!(owners.len(), 1, "{owners:?}");
        let bob = alice.invites(&mailbox, &email, "owner").await;
        let bob_there = bob.at(&other_api);
        let (one, other) =
            tokio::join!(alice.delete("/members/me"), bob_there.delete("/members/me"));
        let mut statuses = [one.status, other.status];
        statuses.sort();
        assert_eq!(statuses, [204, 409], "{} {}", one.text(), other.text());
    }
    let owners = format!("tenant_id = '{}' and role = 'owner'", alice.tenant_id);
    assert_eq!(
        world.database.count("tenancy.memberships", &owners).await,
        1
    );
}
