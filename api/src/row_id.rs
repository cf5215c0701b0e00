//! A row's id in a path: the values of its key's columns, joined by commas, each
//! percent-encoded. Whether they are an id, the database says.

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::catalog::Resource;
use crate::db::Json;
use crate::percent::{self, Broken};
use crate::problem::{Problem, Result};

/// The values in one segment of a raw path. 400 for a broken escape, NUL, and what isn't UTF-8.
pub fn parse(segment: &str) -> Result<Vec<String>> {
    // Split first: a comma of a value is escaped.
    segment.split(',').map(decode).collect()
}

fn decode(part: &str) -> Result<String> {
    percent::decode(part).map_err(|broken| {
        let detail = match broken {
            Broken::Escape => "The path has a broken escape.",
            Broken::Nul => "The path must not contain a NUL character.",
        };
        Problem::bad_request("invalid_path", detail)
    })
}

/// The path of a row that was just made; `None` where the row doesn't show its key.
pub fn path_of(resource: &Resource, row: &Json) -> Option<String> {
    let parts: Option<Vec<String>> = key_values(resource, row.as_bytes())
        .into_iter()
        .map(|value| Some(percent::encode(&value?)))
        .collect();
    let id = parts?.join(",");
    // Nothing can stand for these in a path: clients take them for folders.
    if ["", ".", ".."].contains(&&*id) {
        return None;
    }
    Some(format!("/{}/{id}", resource.name))
}

/// The values of the key's fields as texts. What stands behind the last of them isn't read:
/// in a row no name stands twice.
fn key_values(resource: &Resource, row: &[u8]) -> Vec<Option<String>> {
    struct Key<'a>(&'a [String], &'a mut [Option<String>]);

    impl<'de> Visitor<'de> for Key<'_> {
        type Value = ();

        fn expecting(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
            formatter.write_str("a row")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut row: A) -> std::result::Result<(), A::Error> {
            let Self(key, values) = self;
            while values.iter().any(Option::is_none)
                && let Some(name) = row.next_key::<String>()?
            {
                match key.iter().position(|field| *field == name) {
                    Some(place) => values[place] = text(row.next_value()?),
                    None => {
                        row.next_value::<IgnoredAny>()?;
                    }
                }
            }
            Ok(())
        }
    }

    let mut values = vec![None; resource.key.len()];
    let mut row = serde_json::Deserializer::from_slice(row);
    // A row that wasn't read to its end is an error to the library; what was found, was found.
    let _ = row.deserialize_map(Key(&resource.key, &mut values));
    values
}

/// A string's content, or a number or boolean as it is written.
fn text(value: &RawValue) -> Option<String> {
    let raw = value.get();
    match raw.as_bytes().first()? {
        b'"' => String::deserialize(value).ok(),
        b'n' | b'{' | b'[' => None,
        _ => Some(raw.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_an_id_are_parted_before_they_are_decoded() {
        for (segment, id) in [
            ("7", &["7"][..]),
            ("a,b", &["a", "b"]),
            ("a%2Cb,c", &["a,b", "c"]),
            ("a%2fb", &["a/b"]),
            ("a+b%20c", &["a+b c"]),
            ("%C3%A9", &["é"]),
            ("a,", &["a", ""]),
        ] {
            assert_eq!(parse(segment).unwrap(), id, "{segment}");
        }
    }

    #[test]
    fn a_path_that_is_no_text_is_refused() {
        for segment in ["%", "%4", "%zz", "%ff", "a,%C3", "%00", "%+1"] {
            assert_eq!(
                parse(segment).unwrap_err().code,
                "invalid_path",
                "{segment}"
            );
        }
    }

    fn path(key: &[&str], row: &str) -> Option<String> {
        let resource = Resource {
            name: "grades".to_owned(),
            key: key.iter().map(|&field| field.to_owned()).collect(),
            ..Resource::default()
        };
        path_of(&resource, &Json::parse(row.as_bytes()).unwrap())
    }

    #[test]
    fn a_new_row_is_found_under_its_key() {
        let row = r#"{"title":{"id":0},"id":"0192-ab","classId":7,"isDone":true}"#;
        assert_eq!(path(&["id"], row).unwrap(), "/grades/0192-ab");
        assert_eq!(path(&["classId", "id"], row).unwrap(), "/grades/7,0192-ab");
        assert_eq!(path(&["isDone"], row).unwrap(), "/grades/true");
        assert_eq!(
            path(&["id"], r#"{"id":"a/b, c\u00e9"}"#).unwrap(),
            "/grades/a%2Fb%2C%20c%C3%A9"
        );
    }

    #[test]
    fn a_row_that_does_not_show_its_key_has_no_place() {
        for row in [
            r#"{}"#,
            r#"{"id":null}"#,
            r#"{"id":[1]}"#,
            r#"[]"#,
            r#""id""#,
        ] {
            assert_eq!(path(&["id"], row), None, "{row}");
        }
        for id in ["", ".", ".."] {
            let row = format!(r#"{{"id":"{id}"}}"#);
            assert_eq!(path(&["id"], &row), None, "{row}");
        }
        assert_eq!(path(&[], r#"{"id":1}"#), None);
        assert_eq!(path(&["id", "classId"], r#"{"id":1}"#), None);
    }

    #[test]
    fn a_path_leads_back_to_the_id_it_was_made_of() {
        for id in ["a,b", "é", "%", "a b", "/", "\u{1f600}"] {
            let row = serde_json::json!({ "id": id }).to_string();
            let path = path(&["id"], &row).unwrap();
            let segment = path.rsplit('/').next().unwrap();
            assert_eq!(parse(segment).unwrap(), [id]);
        }
    }
}
