//! Sessions from two connections at once: one wins, and what has ended has ended
//! for everybody.

use std::sync::Arc;

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use tests::{Database, token_now};
use tokio::task::JoinHandle;
use tokio_postgres::Client;

const HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$aGFzaA";
const OTHER: &str = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$b3RoZXI";
const REFRESH: &str = "select coalesce(refused, refresh_token) from tenancy.refresh_session($1)";
const START: &str =
    "select concat_ws(' ', session_id, refresh_token) from tenancy.start_session($1)";
const SWITCH: &str = "select session_id::text from tenancy.switch_tenant($1, 'acme')";
const LOGOUT: &str = "select tenancy.end_session($1)::text";
const LOGOUT_ALL: &str = "select tenancy.end_all_sessions($1)::text";

/// A tenant, its owner Ann, and the service's key.
struct Acme {
    database: Database,
    header: Header,
    tenant_id: String,
    ann: String,
}

/// Ann's session.
struct Session {
    token: String,
    refresh: String,
}

impl Acme {
    async fn new() -> Self {
        let database = Database::new().await;
        let row = database
            .superuser()
            .await
            .query_one(
                "select tenant_id::text, user_id::text, (select kid from tenancy.signing_keys)
                 from tenancy.register_tenant('Acme', null, 'ann@acme.example', $1)",
                &[&HASH],
            )
            .await
            .unwrap();
        let mut header = Header::new(Algorithm::HS256);
        header.kid = row.get(2);
        Self {
            database,
            header,
            tenant_id: row.get(0),
            ann: row.get(1),
        }
    }

    fn sign(&self, tenant_id: &str, name: &str, value: &str) -> String {
        let mut claims = json!({
            "sub": self.ann, "tenantId": tenant_id, "iat": token_now(),
            "exp": token_now() + 60, "jti": uuid::Uuid::new_v4(),
        });
        claims[name] = Value::from(value);
        let key = EncodingKey::from_secret(self.database.cluster.jwt_secret.as_bytes());
        jsonwebtoken::encode(&self.header, &claims, &key).unwrap()
    }

    /// The service's word on Ann, a new one each time.
    fn word(&self, purpose: &str) -> String {
        self.sign(&uuid::Uuid::nil().to_string(), "purpose", purpose)
    }

    /// A connection of the service.
    async fn service(&self) -> Arc<Client> {
        Arc::new(self.database.connect(&self.database.api_login).await)
    }

    async fn log_in(&self) -> Session {
        let told = ask(&*self.service().await, START, &[&self.word("session")])
            .await
            .unwrap();
        let (id, refresh) = told.split_once(' ').unwrap();
        Session {
            token: self.sign(&self.tenant_id, "sid", id),
            refresh: refresh.to_owned(),
        }
    }

    async fn living(&self) -> i64 {
        self.database
            .count("tenancy.sessions", "ended_at is null")
            .await
    }

    /// Asks on a connection of its own, and comes back when that waits for somebody.
    async fn waiting(
        &self,
        sql: &'static str,
        arguments: &[&str],
    ) -> JoinHandle<Result<String, String>> {
        let client = self.service().await;
        let pid: i32 = client
            .query_one("select pg_backend_pid()", &[])
            .await
            .unwrap()
            .get(0);
        let arguments: Vec<String> = arguments.iter().map(|one| (*one).to_owned()).collect();
        let asked = tokio::spawn(async move {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            ask(&client, sql, &arguments).await
        });
        let dba = self.database.superuser().await;
        while !dba
            .query_one("select cardinality(pg_blocking_pids($1)) > 0", &[&pid])
            .await
            .unwrap()
            .get::<_, bool>(0)
        {
            assert!(!asked.is_finished(), "it should wait: {sql}");
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        asked
    }
}

/// The text that a call answers (empty for none), or its SQLSTATE.
async fn ask(client: &Client, sql: &str, arguments: &[&str]) -> Result<String, String> {
    let arguments: Vec<_> = arguments
        .iter()
        .map(|one| one as &(dyn tokio_postgres::types::ToSql + Sync))
        .collect();
    match client.query_one(sql, &arguments).await {
        Ok(row) => Ok(row.get::<_, Option<String>>(0).unwrap_or_default()),
        Err(error) => Err(error.code().expect("an SQLSTATE").code().to_owned()),
    }
}

async fn run(client: &Client, sql: &str) {
    client.batch_execute(sql).await.unwrap();
}

#[tokio::test]
async fn of_two_refreshes_at_once_one_wins_and_the_session_is_over() {
    let acme = Acme::new().await;
    let session = acme.log_in().await;
    let first = acme.service().await;
    run(&first, "begin").await;
    let next = ask(&first, REFRESH, &[&session.refresh]).await.unwrap();
    assert!(next.starts_with("pgr_"), "{next}");
    let second = acme.waiting(REFRESH, &[&session.refresh]).await;
    run(&first, "commit").await;
    assert_eq!(second.await.unwrap().unwrap(), "TN017");
    // Committed, though the second was refused.
    assert_eq!(acme.living().await, 0);
    assert_eq!(ask(&first, REFRESH, &[&next]).await.unwrap(), "TN016");
}

#[tokio::test]
async fn a_refresh_that_is_rolled_back_was_none() {
    let acme = Acme::new().await;
    let session = acme.log_in().await;
    let first = acme.service().await;
    run(&first, "begin").await;
    let lost = ask(&first, REFRESH, &[&session.refresh]).await.unwrap();
    let second = acme.waiting(REFRESH, &[&session.refresh]).await;
    run(&first, "rollback").await;
    let next = second.await.unwrap().unwrap();
    assert!(next.starts_with("pgr_") && next != lost, "{next}");
    assert_eq!(ask(&first, REFRESH, &[&lost]).await.unwrap(), "TN016");
    assert_eq!(acme.living().await, 1);
}

#[tokio::test]
async fn of_twenty_refreshes_at_once_at_most_one_gets_a_token() {
    let acme = Acme::new().await;
    let session = acme.log_in().await;
    let mut asked = Vec::new();
    for _ in 0..20 {
        let (client, token) = (acme.service().await, session.refresh.clone());
        asked.push(tokio::spawn(async move {
            ask(&client, REFRESH, &[&token]).await.unwrap()
        }));
    }
    let mut told = Vec::new();
    for one in asked {
        told.push(one.await.unwrap());
    }
    told.sort();
    let count = |start: &str| told.iter().filter(|one| one.starts_with(start)).count();
    assert_eq!(
        (count("pgr_"), count("TN017"), count("TN016")),
        (1, 1, 18),
        "{told:?}"
    );
    assert_eq!(acme.living().await, 0);
}

/// Its snapshot shows the token as unused; what is locked has changed since.
#[tokio::test]
async fn a_transaction_that_sees_yesterday_refreshes_nothing() {
    let acme = Acme::new().await;
    let [session, ended] = [acme.log_in().await, acme.log_in().await];
    let service = acme.service().await;
    let olds = [acme.service().await, acme.service().await];
    for old in &olds {
        run(old, "begin isolation level repeatable read; select 1").await;
    }
    let next = ask(&service, REFRESH, &[&session.refresh]).await.unwrap();
    ask(&service, LOGOUT, &[&ended.token]).await.unwrap();

    for (old, token) in olds.iter().zip([&session.refresh, &ended.refresh]) {
        assert_eq!(ask(old, REFRESH, &[token]).await.unwrap_err(), "40001");
        run(old, "rollback").await;
    }
    // Again, as one does after 40001: now it is seen for what it is.
    assert_eq!(
        ask(&olds[0], REFRESH, &[&session.refresh]).await.unwrap(),
        "TN017"
    );
    assert_eq!(ask(&service, REFRESH, &[&next]).await.unwrap(), "TN016");
}

#[tokio::test]
async fn a_login_that_is_under_way_ends_with_all_others() {
    for (login, ends, argument) in [
        (START, LOGOUT_ALL, "a token"),
        (START, "select tenancy.revoke_tenant($1::text::uuid, 'stolen')::text", "the tenant"),
        (START, "select tenancy.change_password($1, $2)::text", "a word"),
        (
            START,
            "with gone as (delete from tenancy.memberships where tenant_id = $1::text::uuid returning user_id, tenant_id)
             select tenancy_private.end_sessions(tenant_id, user_id, 'removed')::text from gone",
            "the tenant as the DBA",
        ),
        (SWITCH, LOGOUT_ALL, "a token"),
    ] {
        let acme = Acme::new().await;
        let session = acme.log_in().await;
        let first = acme.service().await;
        run(&first, "begin").await;
        let proof = if login == START { acme.word("session") } else { session.token.clone() };
        ask(&first, login, &[&proof]).await.unwrap();

        let end = match argument {
            "a token" => acme.waiting(ends, &[&session.token]).await,
            "a word" => acme.waiting(ends, &[&acme.word("password"), OTHER]).await,
            _ => {
                let dba = acme.database.superuser().await;
                let tenant = acme.tenant_id.clone();
                tokio::spawn(async move { ask(&dba, ends, &[&tenant]).await })
            }
        };
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        assert!(!end.is_finished(), "{ends}");
        run(&first, "commit").await;
        end.await.unwrap().unwrap();
        assert_eq!(acme.living().await, 0, "{ends}");
    }
}

/// Who has the database's password could keep a login open for as long as they like.
#[tokio::test]
async fn a_login_that_is_under_way_holds_up_no_suspension() {
    let acme = Acme::new().await;
    let session = acme.log_in().await;
    let first = acme.service().await;
    run(&first, "begin").await;
    ask(&first, START, &[&acme.word("session")]).await.unwrap();
    ask(&first, SWITCH, &[&session.token]).await.unwrap();
    ask(&first, REFRESH, &[&session.refresh]).await.unwrap();
    let dba = acme.database.superuser().await;
    run(&dba, "set lock_timeout = '1 s'").await;
    let suspend = "select tenancy.suspend_tenant($1::text::uuid, 'unpaid')::text";
    ask(&dba, suspend, &[&acme.tenant_id]).await.unwrap();
    run(&first, "rollback").await;
    assert_eq!(
        ask(&first, REFRESH, &[&session.refresh]).await.unwrap(),
        "TN004"
    );
}

#[tokio::test]
async fn a_switch_that_waited_for_a_logout_comes_too_late() {
    for end in [LOGOUT, LOGOUT_ALL] {
        let acme = Acme::new().await;
        let session = acme.log_in().await;
        let first = acme.service().await;
        run(&first, "begin").await;
        ask(&first, end, &[&session.token]).await.unwrap();
        if end == LOGOUT_ALL {
            let second = acme.waiting(SWITCH, &[&session.token]).await;
            run(&first, "commit").await;
            assert_eq!(second.await.unwrap().unwrap_err(), "TN015");
        } else {
            run(&first, "commit").await;
            let second = acme.service().await;
            assert_eq!(
                ask(&second, SWITCH, &[&session.token]).await.unwrap_err(),
                "TN015"
            );
        }
        assert_eq!(acme.living().await, 0);
    }
}

#[tokio::test]
async fn a_word_is_spent_once_also_at_once() {
    let acme = Acme::new().await;
    let word = acme.word("session");
    let first = acme.service().await;
    run(&first, "begin").await;
    ask(&first, START, &[&word]).await.unwrap();
    let second = acme.waiting(START, &[&word]).await;
    run(&first, "commit").await;
    assert_eq!(second.await.unwrap().unwrap_err(), "TN023");
    assert_eq!(acme.living().await, 1);
}

#[tokio::test]
async fn of_two_resets_at_once_one_sets_the_password() {
    let acme = Acme::new().await;
    let first = acme.service().await;
    let token = ask(
        &first,
        "select reset_token from tenancy.start_password_reset($1, 'ann@acme.example')",
        &[&acme.word("reset")],
    )
    .await
    .unwrap();
    let finish = "select tenancy.finish_password_reset($1, $2)::text";
    run(&first, "begin").await;
    ask(&first, finish, &[&token, OTHER]).await.unwrap();
    let second = acme.waiting(finish, &[&token, HASH]).await;
    run(&first, "commit").await;
    assert_eq!(second.await.unwrap().unwrap_err(), "TN022");
    assert_eq!(
        acme.database
            .count("tenancy.users", &format!("password_hash = '{OTHER}'"))
            .await,
        1
    );
}

#[tokio::test]
async fn a_logout_is_seen_by_another_connection_in_its_next_transaction() {
    let acme = Acme::new().await;
    let [session, other] = [acme.log_in().await, acme.log_in().await];
    let [here, there] = [acme.service().await, acme.service().await];
    for look in [
        "select tenancy.find_password_hash($1)",
        "select tenancy.list_sessions($1)::text",
        "select tenancy.enter($1)::text",
    ] {
        ask(&there, look, &[&session.token]).await.unwrap();
    }
    // A transaction that sees yesterday is refused all the same.
    let old = acme.service().await;
    run(&old, "begin isolation level repeatable read; select 1").await;
    ask(&here, LOGOUT, &[&session.token]).await.unwrap();
    for look in [
        "select tenancy.find_password_hash($1)",
        "select tenancy.list_sessions($1)::text",
        "select tenancy.enter($1)::text",
        SWITCH,
        LOGOUT_ALL,
    ] {
        assert_eq!(
            ask(&there, look, &[&session.token]).await.unwrap_err(),
            "TN015",
            "{look}"
        );
        assert_eq!(
            ask(&old, look, &[&session.token]).await.unwrap_err(),
            "TN015",
            "{look}"
        );
        run(
            &old,
            "rollback; begin isolation level repeatable read; select 1",
        )
        .await;
    } // What has ended ends nothing else; what lives does, and then all is said.
    assert_eq!(acme.living().await, 1);
    for _ in 0..2 {
        ask(&here, LOGOUT_ALL, &[&other.token]).await.unwrap();
        ask(&here, LOGOUT_ALL, &[&session.token]).await.unwrap();
    }
    assert_eq!(acme.living().await, 0);
}

#[tokio::test]
async fn a_restored_database_knows_which_sessions_live_and_which_tokens_were_used() {
    let acme = Acme::new().await;
    let [living, ended, stolen] = [
        acme.log_in().await,
        acme.log_in().await,
        acme.log_in().await,
    ];
    let service = acme.service().await;
    ask(&service, LOGOUT, &[&ended.token]).await.unwrap();
    ask(&service, REFRESH, &[&stolen.refresh]).await.unwrap();
    let word = acme.word("session");
    ask(&service, START, &[&word]).await.unwrap();

    let backup = acme.database.login(&["tenancy_backup"]).await;
    let dump = acme.database.dump(&backup);
    let restored = Database::empty(acme.database.cluster).await;
    restored.restore(&dump);

    let service = restored.connect(&restored.api_login).await;
    let next = ask(&service, REFRESH, &[&living.refresh]).await.unwrap();
    assert!(next.starts_with("pgr_"), "{next}");
    assert_eq!(
        ask(&service, REFRESH, &[&ended.refresh]).await.unwrap(),
        "TN016"
    );
    assert_eq!(
        ask(&service, REFRESH, &[&stolen.refresh]).await.unwrap(),
        "TN017"
    );
    assert_eq!(ask(&service, START, &[&word]).await.unwrap_err(), "TN023");
    // After an old dump: whoever logged out since then is in again, until all are out.
    restored
        .superuser()
        .await
        .execute(
            "select tenancy.revoke_tenant(id, 'restored') from tenancy.tenants",
            &[],
        )
        .await
        .unwrap();
    assert_eq!(ask(&service, REFRESH, &[&next]).await.unwrap(), "TN016");
}

const SEAL: &str = "select tenancy.seal()";
const ENTER: &str = "select tenancy.enter($1)::text";

/// A revocation is dated when it begins and holds when it is committed. Who keeps it
/// waiting and enters meanwhile must not come away with a capsule from after it.
#[tokio::test]
async fn who_enters_while_a_revocation_waits_seals_nothing_after_it() {
    let acme = Acme::new().await;
    let session = acme.log_in().await;
    let thief = acme.service().await;
    run(&thief, "begin").await;
    ask(&thief, ENTER, &[&session.token]).await.unwrap();
    let sealed = ask(&thief, SEAL, &[]).await.unwrap();
    run(&thief, "commit").await;

    // The end of the session's row is held open, and the change of password waits for it.
    let holder = acme.database.superuser().await;
    run(&holder, "begin; select from tenancy.sessions for update").await;
    let change = "select tenancy.change_password($1, $2)::text";
    let changing = acme.waiting(change, &[&acme.word("password"), OTHER]).await;
    run(&thief, "begin").await;
    ask(&thief, ENTER, &[&sealed]).await.unwrap();
    run(&holder, "rollback").await;
    changing.await.unwrap().unwrap();

    assert_eq!(ask(&thief, SEAL, &[]).await.unwrap_err(), "TN015");
    run(&thief, "rollback").await;
    assert_eq!(ask(&thief, ENTER, &[&sealed]).await.unwrap_err(), "TN015");
}

/// What lasts is not made in a transaction that was left open over the end.
#[tokio::test]
async fn an_open_transaction_makes_nothing_that_outlasts_its_session() {
    let acme = Acme::new().await;
    let dba = acme.database.superuser().await;
    for (ending, code) in [
        ("logout", "TN015"),
        ("password", "TN015"),
        ("suspension", "TN004"),
    ] {
        let session = acme.log_in().await;
        let thief = acme.service().await;
        for deed in [
            "select tenancy.create_api_key('backdoor', 'admin')::text",
            "select email from tenancy.invite_member('more@evil.example', 'admin')",
            "select tenancy.seal()",
        ] {
            let session = if ending == "suspension" {
                &session
            } else {
                &acme.log_in().await
            };
            run(&thief, "begin").await;
            ask(&thief, ENTER, &[&session.token]).await.unwrap();
            match ending {
                "logout" => {
                    let service = acme.service().await;
                    ask(&service, LOGOUT, &[&session.token]).await.unwrap();
                }
                "password" => {
                    let service = acme.service().await;
                    let change = "select tenancy.change_password($1, $2)::text";
                    let word = acme.word("password");
                    ask(&service, change, &[&word, OTHER]).await.unwrap();
                }
                _ => {
                    dba.batch_execute(
                        "select tenancy.suspend_tenant(id, 'test') from tenancy.tenants",
                    )
                    .await
                    .unwrap();
                }
            }
            assert_eq!(
                ask(&thief, deed, &[]).await.unwrap_err(),
                code,
                "{ending}: {deed}"
            );
            run(&thief, "rollback").await;
            dba.batch_execute("select tenancy.resume_tenant(id) from tenancy.tenants")
                .await
                .unwrap();
        }
    }
    assert_eq!(acme.database.count("tenancy.api_keys", "true").await, 0);
    assert_eq!(acme.database.count("tenancy.invitations", "true").await, 0);
}
