//! Each error of the database has its answer, and the README says which.

use super::*;

#[test]
fn each_sqlstate_has_the_status_of_the_readme() {
    for (sqlstate, expected) in [
        ("TN001", 401),
        ("TN002", 403),
        ("TN012", 401),
        ("TN101", 409),
        ("TN104", 400),
        ("TN210", 403),
        ("TN401", 404),
        ("TN405", 400),
        ("TN410", 400),
        ("TN412", 409),
        ("TN417", 422),
        ("TN418", 409),
        ("TN424", 404),
        ("P0001", 400),
        ("42501", 403),
        ("23505", 409),
        ("23503", 400),
        ("22P02", 400),
        ("22021", 400),
        ("54001", 400),
        ("40P01", 409),
        ("57014", 503),
        ("57P03", 503),
        ("53300", 503),
        ("08006", 503),
    ] {
        assert_eq!(status(sqlstate).unwrap(), expected, "{sqlstate}");
    }
}

#[test]
fn the_readme_lists_each_code_with_its_status_and_no_other() {
    let readme = include_str!("../../README.md");
    for code in (0..1000).map(|number| format!("TN{number:03}")) {
        let row = readme
            .lines()
            .find(|line| line.starts_with(&format!("| {code} |")));
        let listed = row.and_then(|row| row.split('|').nth(2)?.trim().parse().ok());
        let known = status(&code).map(|status| status.as_u16());
        assert_eq!(listed, known, "{code}");
    }
}

#[test]
fn a_refusal_has_the_status_of_its_code() {
    for (code, expected) in [
        ("TN016", 401),
        ("TN017", 401),
        ("TN002", 403),
        ("TN004", 403),
    ] {
        let problem = refused(code.to_owned());
        assert_eq!((problem.status.as_u16(), &*problem.code), (expected, code));
        let is_challenged = problem
            .headers
            .iter()
            .any(|(name, _)| name == "www-authenticate");
        assert_eq!(is_challenged, expected == 401);
    }
    assert_eq!(refused("nonsense".to_owned()).status, 500);
}

#[test]
fn what_nobody_foresaw_is_no_status() {
    for sqlstate in ["XX000", "42883", "TNxyz", "", "é"] {
        assert_eq!(status(sqlstate), None, "{sqlstate}");
    }
}

#[test]
fn a_functions_author_may_use_a_code_that_is_nobodys() {
    for (sqlstate, expected) in [
        ("P0001", true),
        ("TN777", true),
        ("TN201", false),
        ("23505", false),
        ("XX000", false),
    ] {
        assert_eq!(is_of_its_author(sqlstate), expected, "{sqlstate}");
    }
}

#[test]
fn a_challenge_is_a_header_whatever_the_message() {
    let problem = bad_token("TN010", "a \"quoted\" \\ té\r\nxt");
    assert_eq!(
        problem.headers[0].1,
        "Bearer error=\"invalid_token\", error_description=\"a ?quoted? ? t???xt\""
    );
}
