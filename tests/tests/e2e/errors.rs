//! The register of errors: every TN code that the database can raise stands in the
//! extension's README and in the API's match, and neither has one too many. Tables name each once.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The codes, TN and three digits, in all files of this kind below the path.
fn codes(path: &str, extension: &str) -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut codes = BTreeSet::new();
    collect(&root.join(path), extension, &mut codes);
    assert!(!codes.is_empty(), "there is no code in {path}");
    codes
}

fn collect(path: &Path, extension: &str, codes: &mut BTreeSet<String>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            collect(&entry.unwrap().path(), extension, codes);
        }
        return;
    }
    if path.extension().is_none_or(|found| found != extension) {
        return;
    }
    let text = fs::read_to_string(path).unwrap();
    let found = text
        .match_indices("TN")
        .filter_map(|(start, _)| text.get(start..start + 5));
    codes.extend(
        found
            .filter(|code| code.bytes().skip(2).all(|byte| byte.is_ascii_digit()))
            .map(str::to_owned),
    );
}

#[test]
fn the_readme_and_the_api_know_every_error_and_no_other() {
    let mut raised = codes("sql", "sql");
    raised.extend(codes("pg_tenancy/src", "rs"));
    assert_eq!(
        raised,
        codes("pg_tenancy/README.md", "md"),
        "raised, and in pg_tenancy/README.md"
    );
    assert_eq!(
        raised,
        codes("api/src/error.rs", "rs"),
        "raised, and in api/src/error.rs"
    );
}

#[test]
fn the_tables_of_errors_name_each_code_once_and_in_order() {
    for path in ["pg_tenancy/README.md", "api/README.md"] {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let text = fs::read_to_string(root.join(path)).unwrap();
        let rows = text.lines().filter_map(|line| line.strip_prefix("| TN"));
        let listed: Vec<&str> = rows.filter_map(|row| row.get(..3)).collect();
        assert!(!listed.is_empty(), "{path} has no table of errors");
        for pair in listed.windows(2) {
            assert!(
                pair[0] < pair[1],
                "{path}: TN{} after TN{}",
                pair[1],
                pair[0]
            );
        }
    }
}
