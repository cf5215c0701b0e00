//! What holds for the source: SQL stands in one place.

use std::fs;
use std::path::{Path, PathBuf};

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}

#[test]
fn no_sql_stands_outside_of_db() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    files(&source, &mut found);
    let (db, others): (Vec<_>, Vec<_>) = found
        .into_iter()
        .partition(|path| path.starts_with(source.join("db")) || path.ends_with("src/db.rs"));
    let has_sql = |path: &PathBuf| {
        let text = fs::read_to_string(path).unwrap();
        ["select", "insert", "update", "delete", "call", "with"]
            .iter()
            .any(|verb| text.contains(&format!("\"{verb} ")))
    };
    assert!(
        db.iter().any(has_sql),
        "this test knows SQL when it sees some"
    );
    for path in others {
        assert!(!has_sql(&path), "{}", path.display());
    }
}
