//! A school's administration that had no tenants: isolated, served, dumped, released.

use serde_json::json;
use tests::Person;

use crate::schemas::{Product, Session};

const TABLES: &[&str] = &[
    "school.teachers",
    "school.students",
    "school.classes",
    "school.enrolments",
    "school.grades",
];

async fn school() -> Product {
    let product = Product::new(TABLES).await;
    product.run(include_str!("schemas/school.sql")).await;
    product
}

#[tokio::test]
async fn three_schools_in_one_database_are_kept_apart() {
    let school = school().await;
    let mut heads = Vec::new();
    for code in ["oak", "elm", "fir"] {
        heads.push(school.world.api.owner_of(code).await);
    }
    school
        .run(include_str!("schemas/school_isolated.sql"))
        .await;
    assert_eq!(school.isolated().await.len(), TABLES.len());
    school.assert_sound().await;

    served(&school, &heads).await;

    let database = &school.world.database;
    for head in &heads {
        let mut session = Session::of(database, head).await;
        for (table, rows) in TABLES.iter().zip([3, 20, 3, 60, 60]) {
            let query = format!("select count(*) from {table}");
            assert_eq!(session.number(&query).await, rows, "{table}");
        }
        assert_eq!(
            session
                .number("select count(*) from school.report_cards")
                .await,
            60
        );
        assert_eq!(
            session.number("select count(*) from school.subjects").await,
            3
        );
        let students = session
            .answer(r#"tenancy.list_rows('school.students', '{"count":"exact","limit":5}')"#)
            .await;
        assert_eq!(students["total"], 20);
        assert_eq!(students["data"].as_array().map(Vec::len), Some(5));
    }

    let (oak, mut elm) = (
        Session::of(database, &heads[0]).await,
        Session::of(database, &heads[1]).await,
    );
    let fields = json!({
        "schoolId": 1, "fullName": "Nora New", "email": "student1@elm.example", "born": "2011-02-03",
    });
    // The address is taken at Elm, which is nobody's business here.
    let nora = oak
        .answer(&format!(
            "tenancy.insert_row('school.students', '{fields}')"
        ))
        .await;
    assert_eq!(nora["fullName"], "Nora New");
    let id = nora["id"].as_str().expect("an id");
    for call in [
        format!("tenancy.get_row('school.students', '{id}')"),
        format!(r#"tenancy.update_row('school.students', '{id}', '{{"email":"x@y.example"}}')"#),
        format!("tenancy.delete_row('school.students', '{id}')"),
    ] {
        assert_eq!(elm.answer(&call).await, json!(null), "{call}");
    }
    assert_eq!(
        elm.refusal(&format!(
            "insert into school.enrolments (student_id, class_id) select '{id}', min(id) from school.classes"
        ))
        .await,
        "23503"
    );
    // A key of two columns beside the tenant.
    let enrolments = elm
        .answer(r#"tenancy.list_rows('school.enrolments', '{"count":"exact"}')"#)
        .await;
    assert_eq!(enrolments["total"], 60);

    let restored = school.restored().await;
    let mut session = Session::of(&restored, &heads[0]).await;
    assert_eq!(
        session.number("select count(*) from school.students").await,
        21
    );
    school.release(&heads[0]).await;
}

/// Over HTTP, with no code of the school's own.
async fn served(school: &Product, heads: &[Person<'_>]) {
    school
        .run(
            "select tenancy.share_table('school.subjects');
             select tenancy.expose_table(t)
             from unnest('{school.students,school.enrolments,school.subjects}'::regclass[]) as t",
        )
        .await;
    for path in ["/students", "/enrolments", "/subjects"] {
        school.world.api.serves(path, true).await;
    }
    let mut students = Vec::new();
    for head in heads {
        let page = head.get("/students?count=exact&limit=1").await;
        let page = page.with_status(200).json();
        assert_eq!(page["total"], 20);
        students.push(page["data"][0]["id"].as_str().unwrap().to_owned());
        let subject = head.get("/subjects/MAT").await.with_status(200).json();
        assert_eq!(subject["title"], "Mathematics");
    }
    let enrolled = format!("/enrolments?studentId={}", students[0]);
    let enrolled = heads[0].get(&enrolled).await.with_status(200).json();
    let class = &enrolled["data"][0]["classId"];
    let enrolment = format!("/enrolments/{},{class}", students[0]);
    heads[0].get(&enrolment).await.with_status(200);
    for path in [enrolment, format!("/students/{}", students[0])] {
        heads[1].get(&path).await.with_status(404);
        heads[1].delete(&path).await.with_status(404);
    }
}

#[tokio::test]
async fn a_fault_that_somebody_makes_later_is_found() {
    let school = school().await;
    for code in ["oak", "elm", "fir"] {
        school.world.api.owner_of(code).await;
    }
    school
        .run(include_str!("schemas/school_isolated.sql"))
        .await;

    for (fault, table, attack) in [
        (
            "create view school.birthdays as select born from school.students;
             grant select on school.birthdays to tenancy_app",
            "school.students",
            "read through school.birthdays",
        ),
        (
            "create unique index one_name on school.students (\"fullName\")",
            "school.students",
            "probe for a value by one_name",
        ),
        (
            "alter table school.grades no force row level security",
            "school.grades",
            "read as the owner",
        ),
        (
            "alter table school.teachers add unique (id);
             alter table school.classes
                 drop constraint classes_teacher_id_fkey,
                 add constraint of_teacher foreign key (teacher_id)
                     references school.teachers (id) on delete cascade",
            "school.classes",
            "cascade over of_teacher to school.classes",
        ),
    ] {
        assert!(!broken(&school, table).await.contains(attack), "{attack}");
        school.run(fault).await;
        let found = broken(&school, table).await;
        assert!(found.contains(attack), "{attack}: {found}");
    }
}

/// The attacks that break through.
async fn broken(school: &Product, table: &str) -> String {
    let query = "select coalesce(string_agg(attack, ', '), '')
        from tenancy.assert_isolated($1::text::regclass) where outcome = 'broken'";
    let row = school.dba.query_one(query, &[&table]).await.expect(query);
    row.get(0)
}
