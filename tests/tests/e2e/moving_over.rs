//! A database that was kept apart by hand, as the tutorials do it, comes under the
//! wall while its application goes on as it is.

use tests::{Database, Login};
use tokio_postgres::Client;

const A: &str = "0a000000-0000-4000-8000-00000000000a";
const B: &str = "0b000000-0000-4000-8000-00000000000b";

/// The tutorial's schema, with the rows of two tenants, and its application's login.
async fn by_hand() -> (Database, Client, Login) {
    let database = Database::new().await;
    let dba = database.superuser().await;
    let login = database.login(&["tenancy_app"]).await;
    let app = &login.name;
    dba.batch_execute(&format!(
        "create table public.companies (id uuid primary key, name text);
         create table public.docs (id serial primary key, tenant_id uuid not null references companies, title text not null);
         create table public.comments (id serial primary key, tenant_id uuid not null, doc_id int not null references docs on delete cascade, body text);
         alter table docs enable row level security;
         alter table comments enable row level security;
         create policy tenant_isolation on docs using (tenant_id = current_setting('app.current_tenant_id', true)::uuid);
         create policy tenant_isolation on comments using (tenant_id = current_setting('app.current_tenant_id', true)::uuid);
         grant select, insert, update, delete on docs, comments to {app};
         grant usage on all sequences in schema public to {app};
         insert into companies values ('{A}', 'Acme'), ('{B}', 'Globex');
         insert into docs (tenant_id, title) values ('{A}', 'a one'), ('{A}', 'a two'), ('{B}', 'b one');
         insert into comments (tenant_id, doc_id, body) values ('{A}', 1, 'a says'), ('{B}', 3, 'b says')"
    ))
    .await
    .unwrap();
    (database, dba, login)
}

/// What the unchanged application does with a pooled connection.
async fn titles(app: &Client, tenant: &str) -> String {
    app.batch_execute(&format!(
        "begin; select set_config('app.current_tenant_id', '{tenant}', true)"
    ))
    .await
    .unwrap();
    let sql = "select coalesce(string_agg(title, ', ' order by title), '') from docs";
    let titles = app.query_one(sql, &[]).await.unwrap().get(0);
    app.batch_execute("commit").await.unwrap();
    titles
}

async fn sqlstate(client: &Client, sql: &str) -> String {
    let error = client.batch_execute(sql).await.expect_err(sql);
    error
        .code()
        .map(|code| code.code().to_owned())
        .unwrap_or_default()
}

async fn lint(dba: &Client, rule: &str) -> i64 {
    let sql = "select count(*) from tenancy.lint() where rule = $1";
    dba.query_one(sql, &[&rule]).await.unwrap().get(0)
}

#[tokio::test]
async fn the_application_goes_on_while_the_wall_is_built() {
    let (database, dba, login) = by_hand().await;
    let app = database.connect(&login).await;
    assert_eq!(titles(&app, A).await, "a one, a two");

    // One and two: the tenants, and the setting that the application sets.
    dba.batch_execute(
        "insert into tenancy.tenants (id, slug, name) select id, lower(name), name from companies",
    )
    .await
    .unwrap();
    dba.batch_execute(&format!(
        "alter database {} set pg_tenancy.compat_setting = 'app.current_tenant_id'",
        database.name
    ))
    .await
    .unwrap();

    // Three: parents first. The references can't cross any more.
    dba.batch_execute(
        "select tenancy.isolate_table('public.docs', replace_policies => true);
         select tenancy.isolate_table('public.comments', replace_policies => true)",
    )
    .await
    .unwrap();
    let app = database.connect(&login).await;
    assert_eq!(titles(&app, A).await, "a one, a two");
    assert_eq!(titles(&app, B).await, "b one");
    assert_eq!(titles(&app, A).await, "a one, a two");
    assert_eq!(sqlstate(&app, "select * from docs").await, "TN001");
    let crossing = format!(
        "begin; select set_config('app.current_tenant_id', '{A}', true);
         insert into comments (doc_id, body) values (3, 'on their document')"
    );
    assert_eq!(sqlstate(&app, &crossing).await, "23503");
    app.batch_execute("rollback").await.unwrap();
    assert_eq!(lint(&database.superuser().await, "compat_setting").await, 1);

    // Four: the changed application enters, and its setting is not looked at.
    let changed = database
        .connect(&database.login(&["tenancy_gateway"]).await)
        .await;
    changed
        .batch_execute(&format!(
            "begin; select tenancy.set_tenant_context('{B}'); select set_config('app.current_tenant_id', '{A}', true)"
        ))
        .await
        .unwrap();
    let seen: String = changed
        .query_one("select string_agg(title, ', ') from docs", &[])
        .await
        .unwrap()
        .get(0);
    assert_eq!(seen, "b one");
    changed.batch_execute("commit").await.unwrap();

    // Five: the setting is one like any other again, and opens nothing.
    dba.batch_execute(&format!(
        "alter database {} reset pg_tenancy.compat_setting",
        database.name
    ))
    .await
    .unwrap();
    let app = database.connect(&login).await;
    let forged = format!(
        "begin; select set_config('app.current_tenant_id', '{A}', true); select * from docs"
    );
    assert_eq!(sqlstate(&app, &forged).await, "TN001");
    let dba = database.superuser().await;
    assert_eq!(lint(&dba, "compat_setting").await, 0);
    for table in ["docs", "comments"] {
        let broken: i64 = dba
            .query_one(
                "select count(*) from tenancy.assert_isolated($1::text::regclass) where outcome = 'broken'",
                &[&table],
            )
            .await
            .unwrap()
            .get(0);
        assert_eq!(broken, 0, "{table}");
    }
}
