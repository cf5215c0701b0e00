//! People and machines of a tenant, two or more at the same moment.

use std::time::Duration;

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::json;
use tests::{Database, Login, token_now};
use tokio_postgres::Client;

const HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaA";
const ISOLATIONS: [&str; 2] = ["read committed", "repeatable read"];

/// A tenant with people in it, and a login that may enter as any of them.
struct Office {
    database: Database,
    login: Login,
    tenant: String,
    alice: String,
}

impl Office {
    /// Of Alice alone, who owns it.
    async fn new() -> Self {
        let database = Database::new().await;
        let login = database
            .login(&["tenancy_gateway", "tenancy_authenticator"])
            .await;
        let dba = database.superuser().await;
        let made = dba
            .query_one(
                "select tenant_id::text, user_id::text
                 from tenancy.register_tenant('Acme', null, 'alice@acme.example')",
                &[],
            )
            .await
            .unwrap();
        Self {
            database,
            login,
            tenant: made.get(0),
            alice: made.get(1),
        }
    }

    async fn with(&self, name: &str, role: &str) -> String {
        let statement = format!(
            "with u as (insert into tenancy.users (email) values ('{name}@acme.example') returning id)
             insert into tenancy.memberships (tenant_id, user_id, role)
             select '{}', u.id, '{role}' from u returning user_id::text",
            self.tenant
        );
        value(&self.database.superuser().await, &statement)
            .await
            .unwrap()
    }

    /// A transaction of that person, whose snapshot is taken.
    async fn enters(&self, person: &str, isolation: &str) -> Client {
        let client = self.database.connect(&self.login).await;
        client
            .batch_execute(&format!(
                "begin isolation level {isolation};
                 select tenancy.set_tenant_context('{}', '{person}')",
                self.tenant
            ))
            .await
            .unwrap();
        client
    }

    async fn token_of(&self, person: &str) -> String {
        let dba = self.database.superuser().await;
        let mut header = Header::new(Algorithm::HS256);
        header.kid = value(&dba, "select kid from tenancy.signing_keys")
            .await
            .ok();
        let now = token_now();
        let claims = json!({"sub": person, "tenantId": self.tenant, "iat": now, "exp": now + 600});
        let secret = self.database.cluster.jwt_secret.as_bytes();
        encode(&header, &claims, &EncodingKey::from_secret(secret)).unwrap()
    }

    /// The key that a statement of Alice's makes.
    async fn api_key(&self, role: &str) -> (String, String) {
        let client = self.enters(&self.alice, "read committed").await;
        let row = client
            .query_one(
                &format!(
                    "select k ->> 'id', k ->> 'key' from tenancy.create_api_key('Importer', '{role}') as k"
                ),
                &[],
            )
            .await
            .unwrap();
        client.batch_execute("commit").await.unwrap();
        (row.get(0), row.get(1))
    }

    /// The token of an invitation that Alice makes.
    async fn invitation(&self, email: &str, role: &str) -> String {
        let client = self.enters(&self.alice, "read committed").await;
        let statement = format!("select token from tenancy.invite_member('{email}', '{role}')");
        let token = value(&client, &statement).await.unwrap();
        client.batch_execute("commit").await.unwrap();
        token
    }

    async fn owners(&self) -> i64 {
        self.database
            .count("tenancy.memberships", "role = 'owner'")
            .await
    }
}

/// The one value of a query, or the SQLSTATE that it ends with.
async fn value(client: &Client, statement: &str) -> Result<String, String> {
    match client.query_one(statement, &[]).await {
        Ok(row) => Ok(row.get(0)),
        Err(error) => Err(sqlstate(&error)),
    }
}

fn sqlstate(error: &tokio_postgres::Error) -> String {
    error
        .code()
        .unwrap_or_else(|| panic!("{error}"))
        .code()
        .to_owned()
}

/// How a statement ends: its SQLSTATE, or 00000.
async fn outcome(client: &Client, statement: &str) -> String {
    match client.batch_execute(statement).await {
        Ok(()) => "00000".to_owned(),
        Err(error) => sqlstate(&error),
    }
}

/// `first` acts, `second` acts and has to wait, `first` commits: how it ends for the second.
async fn at_once(office: &Office, first: (&Client, &str), second: (Client, String)) -> String {
    assert_eq!(outcome(first.0, first.1).await, "00000");
    let (client, statement) = second;
    let waiting = tokio::spawn(async move {
        let ended = outcome(&client, &statement).await;
        let _ = client.batch_execute("commit").await;
        ended
    });
    let dba = office.database.superuser().await;
    let waits = "select exists (select from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock')::text";
    for _ in 0..500 {
        if value(&dba, waits).await.unwrap() == "true" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    first.0.batch_execute("commit").await.unwrap();
    waiting.await.unwrap()
}

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
