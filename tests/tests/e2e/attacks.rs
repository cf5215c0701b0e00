//! Attacks that went through once, with a second connection or real commits. Each
//! stays here, so that none goes through twice.

use tests::{Cluster, Database};
use tokio_postgres::{Client, Error};

/// A tenant of that name, made by the DBA; its id.
async fn tenant(dba: &Client, name: &str) -> String {
    let sql = "select (tenancy.register_tenant($1, null, $1 || '@example.com')).tenant_id::text";
    dba.query_one(sql, &[&name]).await.unwrap().get(0)
}

fn code(error: &Error) -> &str {
    error.code().map_or("", |code| code.code())
}

pub async fn refused(client: &Client, sql: &str) -> String {
    match client.batch_execute(sql).await {
        Ok(()) => panic!("not refused: {sql}"),
        Err(error) => code(&error).to_owned(),
    }
}

/// What the first row's first column says, as text.
pub async fn text(client: &Client, sql: &str) -> String {
    let rows = client
        .query(sql, &[])
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    rows.first().map_or(String::new(), |row| row.get(0))
}

/// Two tenants with a note each, in a table that a DBA has isolated, and a gateway.
pub async fn notes() -> (Database, Client, Client, [String; 2]) {
    let database = Database::new().await;
    let dba = database.superuser().await;
    let tenants = [tenant(&dba, "acme").await, tenant(&dba, "globex").await];
    dba.batch_execute(&format!(
        "create schema crm;
         create table crm.notes (
             tenant_id uuid not null default tenancy.current_tenant_id(),
             id int not null, body text, n text, primary key (tenant_id, id));
         alter table crm.notes enable row level security, force row level security;
         create policy tenant_boundary on crm.notes as restrictive for all to public
             using (tenant_id = tenancy.current_tenant_id()) with check (tenant_id = tenancy.current_tenant_id());
         create policy all_in_tenant on crm.notes to tenancy_app using (true) with check (true);
         grant usage on schema crm to tenancy_app;
         grant select, insert, update, delete on crm.notes to tenancy_app;
         insert into crm.notes values ('{}', 1, 'ours', '5'), ('{}', 2, 'theirs', '6')",
        tenants[0], tenants[1]
    ))
    .await
    .unwrap();
    let gateway = database
        .connect(&database.login(&["tenancy_gateway"]).await)
        .await;
    (database, dba, gateway, tenants)
}

fn listing(tenant: &str) -> String {
    format!(
        "select tenancy.list_rows('crm.notes')::text from tenancy.set_tenant_context('{tenant}')"
    )
}

#[tokio::test]
async fn a_column_that_changes_its_type_under_a_row_function_is_read_as_it_is() {
    let (database, dba, gateway, [acme, _]) = notes().await;
    assert!(text(&gateway, &listing(&acme)).await.contains(r#""n":"5""#));

    // The row function waits for the change, and then sees it.
    dba.batch_execute("begin; alter table crm.notes alter n type int using n::int")
        .await
        .unwrap();
    let update = format!(
        "select tenancy.update_row('crm.notes', '1', '{{\"body\":\"x\"}}')::text from tenancy.set_tenant_context('{acme}')"
    );
    let waiting = tokio::spawn(async move { (text(&gateway, &update).await, gateway) });
    let waits = "select from pg_locks where not granted";
    while dba.query(waits, &[]).await.unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    dba.batch_execute("commit").await.unwrap();
    let (row, gateway) = waiting.await.unwrap();
    assert!(row.contains(r#""n":5"#), "{row}");

    // A transaction whose snapshot is older than the change sees no rows of a table
    // that was written anew, and reads none by what it was.
    gateway
        .batch_execute("begin isolation level repeatable read; select 1")
        .await
        .unwrap();
    dba.batch_execute("alter table crm.notes alter n type text using n::text")
        .await
        .unwrap();
    assert!(
        text(&gateway, &listing(&acme))
            .await
            .starts_with(r#"{"data":[]"#)
    );
    gateway.batch_execute("rollback").await.unwrap();
    assert!(text(&gateway, &listing(&acme)).await.contains(r#""n":"5""#));
    drop(database);
}

#[tokio::test]
async fn a_table_whose_wall_has_gone_is_served_no_more() {
    let (_database, dba, gateway, [acme, _]) = notes().await;
    gateway
        .batch_execute("begin isolation level repeatable read; select 1")
        .await
        .unwrap();
    dba.batch_execute("drop policy tenant_boundary on crm.notes")
        .await
        .unwrap();
    assert_eq!(refused(&gateway, &listing(&acme)).await, "TN401");
    gateway.batch_execute("rollback").await.unwrap();
    assert_eq!(refused(&gateway, &listing(&acme)).await, "TN401");
}

#[tokio::test]
async fn a_right_that_somebody_takes_back_is_gone_on_every_connection() {
    let (_database, dba, gateway, [acme, _]) = notes().await;
    for _ in 0..3 {
        assert!(text(&gateway, &listing(&acme)).await.contains("ours"));
        dba.batch_execute("revoke select on crm.notes from tenancy_app")
            .await
            .unwrap();
        assert_eq!(refused(&gateway, &listing(&acme)).await, "TN401");
        dba.batch_execute("grant select on crm.notes to tenancy_app")
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_schema_of_the_same_name_does_not_stand_in_for_the_table() {
    let (_database, dba, gateway, [acme, globex]) = notes().await;
    let oid = text(&dba, "select 'crm.notes'::regclass::oid::text").await;
    let listing = format!(
        "select tenancy.list_rows({oid}::oid::regclass)::text from tenancy.set_tenant_context('{acme}')"
    );
    assert!(text(&gateway, &listing).await.contains("ours"));
    dba.batch_execute(&format!(
        "alter schema crm rename to crm_old; create schema crm;
         create table crm.notes (like crm_old.notes including all);
         insert into crm.notes values ('{globex}', 9, 'open', '7');
         grant usage on schema crm to tenancy_app; grant select on crm.notes to tenancy_app"
    ))
    .await
    .unwrap();
    let page = text(&gateway, &listing).await;
    assert!(page.contains("ours") && !page.contains("open"), "{page}");
}

/// A cursor goes on with its tenant's rows after a rollback to a savepoint. So
/// nobody else may come into that transaction.
#[tokio::test]
async fn a_cursor_hands_no_rows_over_to_another_tenant() {
    let (_database, _dba, gateway, [acme, globex]) = notes().await;
    gateway
        .batch_execute(&format!(
            "begin; savepoint s; select tenancy.set_tenant_context('{acme}'); rollback to s"
        ))
        .await
        .unwrap();
    let enter = format!("savepoint t; select tenancy.set_tenant_context('{globex}')");
    assert_eq!(refused(&gateway, &enter).await, "TN003");
    gateway
        .batch_execute(&format!(
            "rollback to t; select tenancy.set_tenant_context('{acme}'); commit"
        ))
        .await
        .unwrap();
    gateway
        .batch_execute(&format!(
            "begin; select tenancy.set_tenant_context('{globex}'); commit"
        ))
        .await
        .unwrap();
}

/// The argument of a procedure that commits lives longer than its transaction.
#[tokio::test]
async fn the_tenants_id_stays_what_it_was_across_a_commit() {
    let (_database, dba, gateway, [acme, _]) = notes().await;
    dba.batch_execute(
        "create procedure public.across(entered uuid, told uuid) language plpgsql as $$
         begin
             commit;
             perform count(*) from (select repeat(md5(i::text), 100) as x from generate_series(1, 2000) as i order by 1) as s;
             if told <> entered then raise 'told %, entered %', told, entered; end if;
         end $$",
    )
    .await
    .unwrap();
    gateway
        .batch_execute(&format!(
            "call public.across(tenancy.set_tenant_context('{acme}'), tenancy.current_tenant_id())"
        ))
        .await
        .unwrap();
}

/// The audit worker starts as a superuser, with settings that the database's owner
/// chooses.
#[tokio::test]
async fn the_owner_of_the_database_gets_no_code_into_the_audit_worker() {
    let database = Database::new().await;
    let dba = database.superuser().await;
    let owner = database.login(&["tenancy_reporter"]).await;
    let (name, login) = (&database.name, &owner.name);
    dba.batch_execute(&format!("alter database {name} owner to {login}"))
        .await
        .unwrap();
    let client = database.connect(&owner).await;
    client
        .batch_execute(&format!(
            "create schema evil; grant usage on schema evil to public;
             create function evil.pwn(v pg_catalog.jsonb) returns bool language plpgsql as
                 $$begin execute 'reset role'; execute 'alter role {login} superuser'; return true; end$$;
             create domain evil.jsonb as pg_catalog.jsonb check (evil.pwn(value));
             create domain evil.text as pg_catalog.text check (evil.pwn('1'));
             create domain evil.uuid as pg_catalog.uuid check (evil.pwn('1'));
             alter database {name} set search_path = evil, pg_catalog"
        ))
        .await
        .unwrap();
    let client = database.connect(&owner).await;
    client
        .batch_execute("select * from tenancy.report_tenants()")
        .await
        .unwrap();
    let sql = format!("select rolsuper::text from pg_roles where rolname = '{login}'");
    assert_eq!(text(&dba, &sql).await, "false");
    assert_eq!(
        database
            .count("tenancy.audit_log", "action = 'report_tenants'")
            .await,
        1
    );
}

/// Who adds a key, enters with it and rolls back has left a trace.
#[tokio::test]
async fn a_key_that_is_rolled_back_is_in_the_log() {
    let database = Database::new().await;
    let admin = database
        .connect(&database.login(&["tenancy_admin"]).await)
        .await;
    admin
        .batch_execute("begin; select tenancy.add_signing_key('a secret of thirty-two bytes, or more', 'evil'); rollback")
        .await
        .unwrap();
    assert_eq!(
        database.count("tenancy.signing_keys", "kid = 'evil'").await,
        0
    );
    assert_eq!(
        database
            .count("tenancy.audit_log", "arguments ->> 'kid' = 'evil'")
            .await,
        1
    );
}

#[tokio::test]
async fn default_privileges_from_before_open_nothing() {
    let database = Database::empty(Cluster::shared()).await;
    let dba = database.superuser().await;
    let app = database.login(&["tenancy_app"]).await;
    let login = &app.name;
    dba.batch_execute(&format!(
        "alter default privileges grant all on tables to {login}, public;
         alter default privileges grant execute on functions to {login};
         alter default privileges grant all on schemas to {login};
         alter default privileges grant all on types to {login};
         create extension pg_tenancy"
    ))
    .await
    .unwrap();
    let tenant = tenant(&dba, "acme").await;
    let client = database.connect(&app).await;
    for attempt in [
        format!("select tenancy.set_tenant_context('{tenant}')"),
        "truncate tenancy.audit_log".to_owned(),
        "truncate tenancy.tasks".to_owned(),
        "create trigger t before insert on tenancy.projects execute function public.f()".to_owned(),
        "create table tenancy.mine (id int)".to_owned(),
        "select tenancy_private.slug_of('x')".to_owned(),
    ] {
        assert_eq!(refused(&client, &attempt).await, "42501", "{attempt}");
    }
    // The planner asks for the tenant before the executor asks for the right.
    let read = refused(&client, "select password_hash from tenancy.users").await;
    assert_eq!(read, "TN001");
    let granted = "select count(*)::text from pg_class as c, aclexplode(c.relacl) as a
        where c.relnamespace in ('tenancy'::regnamespace, 'tenancy_private'::regnamespace)
          and a.grantee in (0, $1::text::regrole)";
    let granted: String = dba.query_one(granted, &[login]).await.unwrap().get(0);
    assert_eq!(granted, "0");
}

#[tokio::test]
async fn a_dba_who_leaves_does_not_take_the_tenants_along() {
    let database = Database::empty(Cluster::shared()).await;
    let dba = database.superuser().await;
    let leaving = database.login(&["tenancy_admin"]).await.name;
    dba.batch_execute(&format!(
        "alter role {leaving} superuser; set session authorization {leaving};
         create extension pg_tenancy; reset session authorization"
    ))
    .await
    .unwrap();
    tenant(&dba, "acme").await;
    for attempt in [
        format!("drop owned by {leaving}"),
        format!("drop owned by {leaving} cascade"),
        "drop extension pg_tenancy".to_owned(),
        "drop extension plpgsql cascade".to_owned(),
    ] {
        assert_eq!(refused(&dba, &attempt).await, "TN901", "{attempt}");
    }
    assert_eq!(database.count("tenancy.tenants", "true").await, 1);
    // The boundary of a table would go, and what lets the application in would stay.
    let cascade = "drop extension pg_tenancy cascade";
    dba.batch_execute(
        "create table notes (id integer primary key); select tenancy.isolate_table('notes')",
    )
    .await
    .unwrap();
    assert_eq!(refused(&dba, cascade).await, "TN901");
    dba.batch_execute("select tenancy.release_table('notes')")
        .await
        .unwrap();
    dba.batch_execute(cascade).await.unwrap();
    assert_eq!(dba.query("select from notes", &[]).await.unwrap().len(), 0);

    // Without tenants it goes as every extension does.
    dba.batch_execute("create extension pg_tenancy; drop extension pg_tenancy")
        .await
        .unwrap();
}

#[tokio::test]
async fn a_squatted_schema_is_refused() {
    for schema in ["tenancy", "tenancy_private"] {
        let database = Database::empty(Cluster::shared()).await;
        let dba = database.superuser().await;
        dba.batch_execute(&format!("create schema {schema}"))
            .await
            .unwrap();
        assert_eq!(refused(&dba, "create extension pg_tenancy").await, "TN902");
    }
}

/// What would outlive the transaction, where only its end can show it.
#[tokio::test]
async fn a_transaction_in_a_tenant_leaves_nothing_behind() {
    let (_database, _dba, gateway, [acme, _]) = notes().await;
    let within =
        |work: &str| format!("begin; select tenancy.set_tenant_context('{acme}'); {work}; commit");
    for residue in [
        "select set_config('app.note', 'secret', false)",
        "do $$ begin perform set_config('application_name', 'secret', false); end $$",
        "update pg_settings set setting = 'secret' where name = 'application_name'",
    ] {
        assert_eq!(
            refused(&gateway, &within(residue)).await,
            "TN841",
            "{residue}"
        );
        gateway.batch_execute("rollback").await.unwrap();
    }
    let prepare =
        format!("begin; select tenancy.set_tenant_context('{acme}'); prepare transaction 'x'");
    assert_eq!(refused(&gateway, &prepare).await, "TN841");
    gateway.batch_execute("rollback").await.unwrap();
    assert_eq!(
        text(
            &gateway,
            "select coalesce(current_setting('app.note', true), '')"
        )
        .await,
        ""
    );

    // What was set before, and what ends with the transaction, is fine.
    gateway
        .batch_execute(&format!(
            "begin; set work_mem = '5MB'; select set_config('app.note', 'mine', false);
             select tenancy.set_tenant_context('{acme}'); select set_config('app.other', 'x', true); commit"
        ))
        .await
        .unwrap();
    assert_eq!(
        text(&gateway, "select current_setting('app.note')").await,
        "mine"
    );

    // A connection that brings something along is told what.
    gateway
        .batch_execute("begin; declare kept cursor with hold for select 1; commit")
        .await
        .unwrap();
    assert_eq!(refused(&gateway, &within("select 1")).await, "TN843");
    gateway.batch_execute("rollback; close kept").await.unwrap();
    gateway.batch_execute(&within("select 1")).await.unwrap();
}
