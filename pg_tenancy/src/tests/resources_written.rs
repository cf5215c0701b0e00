//! Rows of resources that are added together, and changed as they were seen.

#[pgrx::pg_schema]
mod tests {
    use pgrx::prelude::*;

    use crate::tests::resources::{call, id_of, students, tag};
    use crate::tests::support::*;

    #[pg_test]
    fn an_array_is_added_whole_or_not_at_all() {
        students();
        let made = answer(&call(
            "insert",
            r#"'students', ' [{"fullName":"Ada","email":"a@x"},{"fullName":"Bo"},{"fullName":"Cy","status":"away"}]'"#,
        ));
        let names: Vec<_> = made
            .as_array()
            .expect("rows")
            .iter()
            .map(|row| row["fullName"].clone())
            .collect();
        assert_eq!(names, ["Ada", "Bo", "Cy"]);
        for (rows, expected) in [
            (
                r#"[{"fullName":"D"},{"fullName":""}]"#,
                "TN410 1.fullName: row 1: \"fullName\" must not be empty",
            ),
            (
                r#"[{"fullName":"D"},{"fullName":"E"},{}]"#,
                "TN410 2.fullName: row 2: \"fullName\" is required",
            ),
            (
                r#"[{"fullName":"D"},{"nothing":1}]"#,
                "TN402 1.nothing: row 1: \"nothing\" is not a field of students",
            ),
            (
                r#"[{"fullName":"D"},7]"#,
                "TN405 1: row 1: a JSON object is needed",
            ),
            (
                r#"[{"fullName":"D","email":"d@x"},{"fullName":"E","email":"d@x"}]"#,
                "TN412 1.email: row 1: \"email\" is taken",
            ),
            (
                r#"[{"fullName":"D","classId":"7"}]"#,
                "TN405 0.classId: row 0: \"classId\" must be a UUID in a string",
            ),
            (
                r#"[{"fullName":"D","email":"01234567890123456789012345678901234567890"}]"#,
                "TN405 0.email: row 0: \"email\" is too long",
            ),
            (
                r#"[{"fullName":"D","classId":"0190ab12-3456-7890-abcd-ef0123456789"}]"#,
                "TN411 0.classId: row 0: \"classId\" must be that of a row in this tenant",
            ),
            ("[]", "TN420 : an array holds 1 to 100 rows"),
        ] {
            assert_eq!(
                complaint(&call("insert", &format!("'students', '{rows}'"))),
                expected,
                "{rows}"
            );
        }
        let rows = |number: usize| {
            format!(
                "'students', '[{}]'",
                vec![r#"{"fullName":"D"}"#; number].join(",")
            )
        };
        assert_eq!(outcome(&call("insert", &rows(101))), "TN420");
        assert_eq!(outcome(&call("insert", &rows(5000))), "TN420");
        assert_eq!(
            answer(&call("list", r#"'students', '{"count":"exact"}'"#))["total"],
            3
        );
        assert_eq!(
            answer(&call("insert", &rows(100))).as_array().map(Vec::len),
            Some(100)
        );
    }

    #[pg_test]
    fn a_change_is_for_the_version_that_was_seen() {
        students();
        let made =
            text(r#"select tenancy.insert_resource('students', '{"fullName":"Ada"}')::text"#);
        let id = id_of(&serde_json::from_str(&made).expect("JSON"));
        let get = format!("select tenancy.get_resource('students', '{{{id}}}')::text");
        assert_eq!(text(&get), made);
        let first = tag(&made);
        assert_eq!(first.len(), 22);
        let update = |name: &str, tags: &str| {
            call(
                "update",
                &format!(r#"'students', '{{{id}}}', '{{"fullName":"{name}"}}', {tags}"#),
            )
        };
        for bad in ["'{}'", "'{x}'", "array['']", "array[upper('aB')]"] {
            let said = complaint(&update("Bo", bad));
            assert_eq!(
                said, "TN414 : the row is another than you have seen",
                "{bad}"
            );
            assert_eq!(
                outcome(&call("delete", &format!("'students', '{{{id}}}', {bad}"))),
                "TN414"
            );
        }
        assert_eq!(text(&get), made);
        let changed = answer(&update("Bo", &format!("array['other', '{first}']")));
        assert_eq!(changed["fullName"], "Bo");
        assert_eq!(
            outcome(&update("Cy", &format!("array['{first}']"))),
            "TN414"
        );
        assert_eq!(answer(&update("Cy", "'{*}'"))["fullName"], "Cy");
        assert_eq!(answer(&update("Di", "null"))["fullName"], "Di");
        let last = tag(&text(&get));
        assert_eq!(
            outcome(&call(
                "delete",
                &format!("'students', '{{{id}}}', array['{first}']")
            )),
            "TN414"
        );
        assert_eq!(
            answer(&call(
                "delete",
                &format!("'students', '{{{id}}}', array['{last}']")
            ))["fullName"],
            "Di"
        );
    }

    /// Who may delete and not change is not asked to lock.
    #[pg_test]
    fn a_deletion_for_a_version_needs_no_right_to_change() {
        let acme = students();
        let made = answer(&call("insert", r#"'students', '{"fullName":"Ada"}'"#));
        become_dba();
        run("revoke update on school.students from tenancy_app");
        become_app_of(&acme);
        let id = id_of(&made);
        assert_eq!(
            outcome(&call(
                "update",
                &format!(r#"'students', '{{{id}}}', '{{"fullName":"x"}}', '{{*}}'"#)
            )),
            "TN403"
        );
        assert_eq!(
            outcome(&call("delete", &format!("'students', '{{{id}}}', '{{x}}'"))),
            "TN414"
        );
        assert_eq!(
            answer(&call("delete", &format!("'students', '{{{id}}}', '{{*}}'"))),
            made
        );
    }
}
