//! Deleted rows that are kept, as several connections see them, and in a dump.

use tests::Database;
use tokio_postgres::Client;

const NOTES: &str = "
    create schema desk;
    grant usage on schema desk to tenancy_app;
    create table desk.notes (tenant_id uuid not null, id int, title text not null, primary key (tenant_id, id));
    select tenancy.isolate_table('desk.notes');
    select tenancy.enable_soft_delete('desk.notes', '1 day');
    select tenancy.expose_table('desk.notes');";

struct Desk {
    database: Database,
    acme: String,
    owner: String,
}

impl Desk {
    async fn new() -> Self {
        let database = Database::new().await;
        let dba = database.superuser().await;
        dba.batch_execute(NOTES).await.expect(NOTES);
        let register = "select tenant_id::text, user_id::text from tenancy.register_tenant('Acme', null, 'owner@acme.example')";
        let row = dba.query_one(register, &[]).await.expect(register);
        let (acme, owner): (String, String) = (row.get(0), row.get(1));
        let notes = format!(
            "insert into desk.notes (tenant_id, id, title) select '{acme}', n, 'note ' || n from generate_series(1, 6) as n"
        );
        dba.batch_execute(&notes).await.expect(&notes);
        Self {
            database,
            acme,
            owner,
        }
    }

    /// A connection that has entered, in a transaction.
    async fn entered(&self) -> Client {
        let login = self.database.login(&["tenancy_gateway"]).await;
        let client = self.database.connect(&login).await;
        self.enter(&client).await;
        client
    }

    async fn enter(&self, client: &Client) {
        let enter = format!(
            "begin; select tenancy.set_tenant_context('{}', '{}')",
            self.acme, self.owner
        );
        client.batch_execute(&enter).await.expect(&enter);
    }

    async fn deleted(&self) -> i64 {
        let condition = "deleted_at is not null";
        self.database.count("desk.notes", condition).await
    }
}

async fn until_blocked_by(dba: &Client, pid: i32) {
    let query = "select exists (select from pg_stat_activity as a where $1 = any (pg_blocking_pids(a.pid)))";
    while !dba
        .query_one(query, &[&pid])
        .await
        .expect(query)
        .get::<_, bool>(0)
    {
        tokio::task::yield_now().await;
    }
}

async fn pid(client: &Client) -> i32 {
    let row = client.query_one("select pg_backend_pid()", &[]).await;
    row.unwrap().get(0)
}

#[tokio::test]
async fn a_driver_counts_what_it_deletes() {
    let desk = Desk::new().await;
    let client = desk.entered().await;
    let statement = client
        .prepare("delete from desk.notes where id = $1")
        .await
        .unwrap();
    assert_eq!(client.execute(&statement, &[&1]).await.unwrap(), 1);
    assert_eq!(client.execute(&statement, &[&1]).await.unwrap(), 0);
    let rows = client
        .query("delete from desk.notes where id < 4 returning id", &[])
        .await
        .unwrap();
    assert_eq!(rows.len(), 2);
    client.batch_execute("commit").await.unwrap();
    assert_eq!(desk.deleted().await, 3);
}

#[tokio::test]
async fn of_two_who_delete_or_restore_a_row_one_does() {
    let desk = Desk::new().await;
    let dba = desk.database.superuser().await;
    for (statement, deleted) in [
        ("delete from desk.notes where id = 1 returning id", 1),
        (
            "select 1 where tenancy.restore_resource('notes', '{1}') is not null",
            0,
        ),
    ] {
        let [one, other] = [desk.entered().await, desk.entered().await];
        assert_eq!(one.query(statement, &[]).await.unwrap().len(), 1);
        let blocker = pid(&one).await;
        let waiting = tokio::spawn(async move {
            let rows = other.query(statement, &[]).await.unwrap().len();
            other.batch_execute("commit").await.unwrap();
            rows
        });
        until_blocked_by(&dba, blocker).await;
        one.batch_execute("commit").await.unwrap();
        assert_eq!(waiting.await.unwrap(), 0, "{statement}");
        assert_eq!(desk.deleted().await, deleted);
    }
}

#[tokio::test]
async fn two_purges_at_once_share_the_work_and_leave_what_is_being_restored() {
    let desk = Desk::new().await;
    let dba = desk.database.superuser().await;
    dba.batch_execute("update desk.notes set deleted_at = now() - interval '2 days'")
        .await
        .unwrap();
    let login = desk.database.login(&["tenancy_admin"]).await;
    let [one, other] = [
        desk.database.connect(&login).await,
        desk.database.connect(&login).await,
    ];
    let purge = async |client: &Client, most: i32| -> i64 {
        let query = "select tenancy.purge_deleted($1)";
        client.query_one(query, &[&most]).await.unwrap().get(0)
    };
    let restoring = desk.entered().await;
    let restore = "select tenancy.restore_resource('notes', '{6}')";
    restoring.batch_execute(restore).await.unwrap();
    one.batch_execute("begin").await.unwrap();
    assert_eq!(purge(&one, 2).await, 2);
    // What the first has fetched to look at next is locked, too.
    let second = purge(&other, 100).await;
    one.batch_execute("commit").await.unwrap();
    restoring.batch_execute("commit").await.unwrap();
    assert_eq!(purge(&other, 100).await, 3 - second);
    assert_eq!(desk.database.count("desk.notes", "true").await, 1);
    assert_eq!(desk.deleted().await, 0);
}

#[tokio::test]
async fn soft_delete_goes_with_a_dump_and_a_new_name() {
    let desk = Desk::new().await;
    let client = desk.entered().await;
    client
        .batch_execute("delete from desk.notes where id < 3; commit")
        .await
        .unwrap();
    let backup = desk.database.login(&["tenancy_backup"]).await;
    let dump = desk.database.dump(&backup);
    let restored = Database::empty(desk.database.cluster).await;
    restored.restore(&dump);
    let dba = restored.superuser().await;
    let found = dba
        .query(
            "select from tenancy.lint() where rule = 'soft_delete_broken'",
            &[],
        )
        .await
        .unwrap();
    assert_eq!(found.len(), 0);
    dba.batch_execute("alter table desk.notes rename to jottings")
        .await
        .unwrap();

    let desk = Desk {
        database: restored,
        ..desk
    };
    let client = desk.entered().await;
    let seen = client
        .query("select from desk.jottings", &[])
        .await
        .unwrap();
    assert_eq!(seen.len(), 4);
    client
        .batch_execute("delete from desk.jottings; commit")
        .await
        .unwrap();
    let kept = desk
        .database
        .count("desk.jottings", "deleted_at is not null");
    assert_eq!(kept.await, 6);
}

/// The first statement of a connection loads the library only while it is planned.
#[tokio::test]
async fn a_delete_that_enters_by_itself_deletes_nothing_for_good() {
    let desk = Desk::new().await;
    let login = desk.database.login(&["tenancy_gateway"]).await;
    let client = desk.database.connect(&login).await;
    let query = format!(
        "with entered as materialized (select tenancy.set_tenant_context('{}', '{}') as id)
         delete from desk.notes as n using entered as e where n.tenant_id = e.id",
        desk.acme, desk.owner
    );
    let refused = client.execute(&query, &[]).await.expect_err("no tenant");
    assert_eq!(refused.code().map(|code| code.code()), Some("TN001"));
    assert_eq!(desk.database.count("desk.notes", "true").await, 6);
    // In the statement after the one that enters.
    desk.enter(&client).await;
    let gone = client.execute("delete from desk.notes", &[]).await;
    assert_eq!(gone.unwrap(), 6);
    client.batch_execute("commit").await.unwrap();
    assert_eq!(desk.deleted().await, 6);
}
