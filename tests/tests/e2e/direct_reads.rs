//! What is read without PostgreSQL's executor, in places that only a connection of its
//! own comes to.

use tests::Database;

const THINGS: &str = "
    create table things (
        tenant_id uuid not null, id int, title text not null, primary key (tenant_id, id));
    select tenancy.isolate_table('things');
    select tenancy.expose_table('things', 'things');
    create domain known as bigint
        check (value is null
            or coalesce(tenancy.get_resource('things', '{7}') ->> 'title', 'none') <> '')";

/// A block that has just committed has no snapshot until a query takes one, and a domain
/// is checked without a query.
#[tokio::test]
async fn a_check_right_after_commit_can_read_a_row() {
    let database = Database::new().await;
    let dba = database.superuser().await;
    dba.batch_execute(THINGS).await.expect(THINGS);
    let login = database.login(&["tenancy_app"]).await;
    for how in ["never", "always"] {
        let settings = format!(
            "alter role {} set pg_tenancy.missing_context = empty;
             alter role {0} set pg_tenancy.direct_reads = {how}",
            login.name
        );
        dba.batch_execute(&settings).await.expect(&settings);
        let client = database.connect(&login).await;
        let block = "do $$
            declare number known;
            begin
                get diagnostics number = row_count;
                commit;
                get diagnostics number = row_count;
            end $$";
        client.batch_execute(block).await.expect(how);
    }
}
