//! Isolating tables of one's own, as far as it takes commits and more than one
//! connection: two DBAs at once, a failure halfway, a plan that is run by hand,
//! and a backfill that is stopped.

use tests::Database;
use tokio_postgres::{Client, SimpleQueryMessage};

/// A school with 30,000 marks, and two tenants.
const SCHOOL: &str = "
    insert into tenancy.tenants (slug, name) values ('north', 'North'), ('south', 'South');
    create table students (id serial primary key, email text unique, town text not null);
    create table courses (id integer primary key, code text not null unique, town text not null);
    create table marks (
        id bigint generated always as identity primary key,
        student_id integer not null references students on delete cascade,
        course_id integer references courses on delete set null,
        follows bigint references marks,
        changed_at timestamptz
    );
    create view roll as select * from students;
    create table visits (id bigserial, on_day date, student_id integer references students,
        primary key (id, on_day)) partition by range (on_day);
    create table visits_2025 partition of visits for values from ('2025-01-01') to ('2026-01-01');
    insert into students (email, town) select n || '@school.example', case when n % 2 = 0 then 'north' else 'south' end
        from generate_series(1, 100) as n;
    insert into courses values (1, 'm', 'north'), (2, 'm2', 'south');
    insert into marks (student_id, course_id) select n % 100 + 1, 2 - (n % 100 + 1) % 2 * 0 - case when (n % 100 + 1) % 2 = 0 then 1 else 0 end
        from generate_series(1, 30000) as n;
    insert into visits (on_day, student_id) values ('2025-05-05', 1);
    create table remarks (id integer primary key, visit_id bigint, on_day date,
        constraint of_visit foreign key (visit_id, on_day) references visits on delete cascade,
        constraint of_year foreign key (visit_id, on_day) references visits_2025);
    insert into remarks values (1, 1, '2025-05-05');";

const BY_TOWN: &str = "mapping => 'select slug, id from tenancy.tenants', mapping_column => 'town'";

async fn school() -> Database {
    let database = Database::new().await;
    run(&database.superuser().await, SCHOOL).await;
    database
}

async fn run(client: &Client, sql: &str) {
    client
        .batch_execute(sql)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
}

/// The first value of the first row, as text.
async fn text(client: &Client, sql: &str) -> String {
    values(client, sql).await.swap_remove(0)
}

async fn values(client: &Client, sql: &str) -> Vec<String> {
    let messages = client
        .simple_query(sql)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    messages
        .iter()
        .filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or_default().to_owned()),
            _ => None,
        })
        .collect()
}

async fn sqlstate(client: &Client, sql: &str) -> String {
    let error = client.batch_execute(sql).await.expect_err(sql);
    error
        .code()
        .map(|code| code.code().to_owned())
        .unwrap_or_default()
}

/// What pg_dump says of the tables: all that can be seen of them, and their rows.
fn picture(database: &Database) -> String {
    let output = database
        .program("pg_dump", None)
        .args(["--schema=public", "--exclude-table-data=*"])
        .output()
        .expect("pg_dump can be started");
    let dump = String::from_utf8(output.stdout).expect("a dump is text");
    assert!(output.status.success());
    // Newer patch releases of pg_dump write a key of their own into each dump.
    dump.lines()
        .filter(|line| !line.starts_with("\\restrict") && !line.starts_with("\\unrestrict"))
        .collect::<Vec<_>>()
        .join("\n")
}

#[tokio::test]
async fn of_ten_calls_at_once_one_isolates_the_table() {
    let database = school().await;
    let mut calls = Vec::new();
    for _ in 0..10 {
        let client = database.superuser().await;
        calls.push(tokio::spawn(async move {
            text(
                &client,
                &format!("select tenancy.isolate_table('students', {BY_TOWN})"),
            )
            .await
        }));
    }
    let mut now = 0;
    for call in calls {
        let said = call.await.unwrap();
        assert!(said.contains("now") || said.contains("already"), "{said}");
        now += usize::from(said.contains("now"));
    }
    assert_eq!(now, 1);
}

#[tokio::test]
async fn tables_that_refer_to_each_other_can_be_isolated_at_once() {
    let database = Database::new().await;
    let dba = database.superuser().await;
    run(
        &dba,
        "create table a (id integer primary key);
         create table b (id integer primary key, a integer references a);
         alter table a add column b integer references b",
    )
    .await;
    let mut calls = Vec::new();
    for table in ["a", "b", "a", "b", "b", "a"] {
        let client = database.superuser().await;
        calls.push(tokio::spawn(async move {
            text(&client, &format!("select tenancy.isolate_table('{table}')")).await
        }));
    }
    for call in calls {
        call.await.unwrap();
    }
    // Whichever came first, both have the tenant everywhere.
    assert_eq!(
        values(
            &dba,
            "select pg_get_constraintdef(oid) from pg_constraint
             where conrelid in ('a'::regclass, 'b'::regclass) and contype in ('p', 'f')
               and not pg_get_constraintdef(oid) like '%(tenant_id%'",
        )
        .await,
        Vec::<String>::new()
    );
}

#[tokio::test]
async fn a_failure_halfway_leaves_the_table_as_it_was() {
    let database = school().await;
    let dba = database.superuser().await;
    run(
        &dba,
        "create function public.fail() returns event_trigger language plpgsql as
         $$ begin raise exception 'the disk is full' using errcode = '53100'; end $$;",
    )
    .await;
    let before = picture(&database);
    for tag in ["CREATE POLICY", "ALTER TABLE", "GRANT"] {
        run(
            &dba,
            &format!("create event trigger fail on ddl_command_end when tag in ('{tag}') execute function public.fail()"),
        )
        .await;
        let call = format!("select tenancy.isolate_table('students', {BY_TOWN})");
        assert_eq!(sqlstate(&dba, &call).await, "53100", "{tag}");
        run(&dba, "drop event trigger fail").await;
        assert_eq!(picture(&database), before, "{tag}");
    }
    assert_eq!(text(&dba, "show session_replication_role").await, "origin");
}

/// Isolates the school in three ways that must come to the same.
#[tokio::test]
async fn a_plan_that_is_run_by_hand_comes_to_the_same() {
    let tables = [
        (
            "students",
            format!("{BY_TOWN}, unique_per_tenant => '{{*}}'"),
        ),
        ("courses", BY_TOWN.to_owned()),
        ("marks", "parent => 'student_id'".to_owned()),
        ("visits", "parent => 'visits_student_id_fkey'".to_owned()),
        ("remarks", "parent => 'of_visit'".to_owned()),
    ];
    let mut pictures = Vec::new();
    for way in ["call", "plan", "online"] {
        let database = school().await;
        let dba = database.superuser().await;
        for (table, arguments) in &tables {
            if way == "call" {
                text(
                    &dba,
                    &format!("select tenancy.isolate_table('{table}', {arguments})"),
                )
                .await;
                continue;
            }
            let online = way == "online";
            let plan = values(
                &dba,
                &format!("select statement from tenancy.plan_isolate_table('{table}', {arguments}, online => {online})"),
            )
            .await;
            if online {
                for statement in &plan {
                    run(&dba, statement).await;
                }
            } else {
                run(&dba, &format!("begin; {}; commit", plan.join("; "))).await;
            }
            assert_eq!(
                text(
                    &dba,
                    &format!("select count(*) from tenancy.plan_isolate_table('{table}')")
                )
                .await,
                "0",
                "{way}: {table}"
            );
        }
        assert_eq!(
            text(
                &dba,
                "select count(*) from marks as m join students as s on s.id = m.student_id
                 join tenancy.tenants as t on t.id = m.tenant_id where t.slug = s.town and m.tenant_id = s.tenant_id",
            )
            .await,
            "30000",
            "{way}"
        );
        pictures.push(picture(&database));
    }
    assert!(pictures[0].contains("FOREIGN KEY (tenant_id, student_id)"));
    assert_eq!(pictures[0], pictures[1]);
    assert_eq!(pictures[0], pictures[2]);
}

#[tokio::test]
async fn a_backfill_commits_as_it_goes_and_goes_on_where_it_stopped() {
    let database = school().await;
    let [dba, other] = [database.superuser().await, database.superuser().await];
    run(&dba, "select tenancy.isolate_table('students', mapping => 'select slug, id from tenancy.tenants', mapping_column => 'town')").await;
    run(
        &dba,
        "create function public.touch() returns trigger language plpgsql as
         $$ begin new.changed_at := now(); return new; end $$;
         create trigger touch before update on marks for each row execute function public.touch();
         alter table marks add column tenant_id uuid",
    )
    .await;
    let call = "call tenancy.backfill_tenant('marks', parent => 'student_id', batch_size => 2000)";

    // Somebody holds a row of the last block, so it can't get to the end.
    run(
        &other,
        "begin; select * from marks where id = 30000 for update",
    )
    .await;
    run(&dba, "set lock_timeout = '200ms'").await;
    assert_eq!(sqlstate(&dba, call).await, "55P03");
    let filled: i64 = database.count("marks", "tenant_id is not null").await;
    assert!((1..30000).contains(&filled), "{filled}");
    assert_eq!(
        text(
            &dba,
            "select concat(rows_filled, ' ', percent between 1 and 99, ' ', finished_at is null)
             from tenancy.backfill_progress where relation = 'marks'::regclass",
        )
        .await,
        format!("{filled} t t")
    );

    run(&other, "commit").await;
    run(&dba, call).await;
    assert_eq!(
        text(
            &dba,
            "select concat(rows_filled, ' ', percent, ' ', finished_at is not null)
             from tenancy.backfill_progress where relation = 'marks'::regclass",
        )
        .await,
        "30000 100.0 t"
    );
    assert_eq!(
        database
            .count("marks", "tenant_id is null or changed_at is not null")
            .await,
        0
    );
    run(&dba, "select tenancy.isolate_table('marks')").await;
}

#[tokio::test]
async fn a_backfill_catches_rows_that_are_changed_meanwhile() {
    let database = school().await;
    let [dba, other] = [database.superuser().await, database.superuser().await];
    run(&dba, "select tenancy.isolate_table('students', mapping => 'select slug, id from tenancy.tenants', mapping_column => 'town')").await;
    run(&dba, "alter table marks add column tenant_id uuid").await;
    let writer = tokio::spawn(async move {
        for round in 0..200 {
            // A batch and a writer may meet in a circle; then one of them tries again.
            let _ = other
                .batch_execute(&format!(
                    "update marks set changed_at = now() where id % 200 = {round};
                     insert into marks (student_id) values (1)"
                ))
                .await;
        }
    });
    let call = "call tenancy.backfill_tenant('marks', parent => 'student_id', batch_size => 500)";
    while dba.batch_execute(call).await.is_err() {}
    writer.await.unwrap();
    run(&dba, call).await;
    assert_eq!(database.count("marks", "tenant_id is null").await, 0);
}

#[tokio::test]
async fn a_backfill_says_which_rows_nothing_gives_a_tenant() {
    let database = school().await;
    let dba = database.superuser().await;
    run(&dba, "alter table students add column tenant_id uuid").await;
    let call = "call tenancy.backfill_tenant('students', mapping => 'select slug, id from tenancy.tenants where slug = ''north''', mapping_column => 'town')";
    assert_eq!(sqlstate(&dba, call).await, "TN703");
    assert_eq!(
        database.count("students", "tenant_id is not null").await,
        50
    );
    for (call, expected) in [
        (
            "begin; call tenancy.backfill_tenant('students', tenant => (null))",
            "TN705",
        ),
        (
            "call tenancy.backfill_tenant('courses', mapping => 'select slug, id from tenancy.tenants', mapping_column => 'town')",
            "TN702",
        ),
        (
            "call tenancy.backfill_tenant('roll', parent => 'x')",
            "TN701",
        ),
        (
            "call tenancy.backfill_tenant('students', parent => 'x')",
            "TN705",
        ),
        (
            "begin; call tenancy.backfill_tenant('students', mapping => 'select slug, id from tenancy.tenants', mapping_column => 'town')",
            "2D000",
        ),
    ] {
        assert_eq!(sqlstate(&dba, call).await, expected, "{call}");
        run(&dba, "rollback").await;
    }
}
