//! The query string of a list, on its way to the database.
//!
//! `page`, `limit` and `count` are passed on as they came, and everything else is a
//! filter. Whether they make sense, the database says. Here it is only made sure that
//! the string is what it seems: no broken escape, no parameter twice.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::db::Json;
use crate::problem::{Problem, Result};

#[derive(Default, Serialize)]
struct Query {
    #[serde(flatten)]
    page: Map<String, Value>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    filter: Map<String, Value>,
}

/// The query of `list_rows`. Fails for bad percent-encoding, NUL, and a parameter given twice.
pub fn parse(raw: &str) -> Result<Json> {
    let mut query = Query::default();
    for pair in raw.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (decode(name)?, decode(value)?);
        let part = match name.as_str() {
            "page" | "limit" | "count" => &mut query.page,
            _ => &mut query.filter,
        };
        if part.contains_key(&name) {
            return Err(Problem::bad_field(&name, "is given twice"));
        }
        part.insert(name, value.into());
    }
    Json::of(&query)
        .map_err(|error| Problem::internal(format!("can't write a query as JSON: {error}")))
}

fn decode(text: &str) -> Result<String> {
    let broken = || Problem::bad_request("invalid_query", "The query string has a broken escape.");
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let (Some(high), Some(low)) = (digit(bytes.next()), digit(bytes.next())) else {
                    return Err(broken());
                };
                high << 4 | low
            }
            byte => byte,
        });
    }
    if decoded.contains(&0) {
        return Err(Problem::bad_request(
            "invalid_query",
            "The query string must not contain a NUL character.",
        ));
    }
    String::from_utf8(decoded).map_err(|_| broken())
}

fn digit(byte: Option<u8>) -> Option<u8> {
    let digit = char::from(byte?).to_digit(16)?;
    u8::try_from(digit).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn parameters_become_a_page_and_filters_and_stay_texts() {
        for (raw, expected) in [
            ("", json!({})),
            ("&&", json!({})),
            ("page=2&limit=-1", json!({"page": "2", "limit": "-1"})),
            (
                "count=exact&status=in_progress&projectId=7",
                json!({"count": "exact", "filter": {"status": "in_progress", "projectId": "7"}}),
            ),
            (
                "title=a+b%26c%C3%A9",
                json!({"filter": {"title": "a b&cé"}}),
            ),
            ("a=b=c&d", json!({"filter": {"a": "b=c", "d": ""}})),
            ("filter=x&=y", json!({"filter": {"filter": "x", "": "y"}})),
        ] {
            let query = parse(raw).unwrap();
            let query: Value = serde_json::from_slice(query.as_bytes()).unwrap();
            assert_eq!(query, expected, "{raw}");
        }
    }

    #[test]
    fn a_parameter_given_twice_is_named() {
        for (raw, name) in [
            ("page=1&page=2", "page"),
            ("status=todo&stat%75s=done", "status"),
        ] {
            assert_eq!(parse(raw).unwrap_err().errors[0].field, name);
        }
    }

    #[test]
    fn a_broken_escape_is_refused() {
        for raw in ["a=%", "a=%4", "a=%zz", "%ff=1", "a=%C3", "a=%00", "a=%+1"] {
            assert_eq!(parse(raw).unwrap_err().code, "invalid_query", "{raw}");
        }
    }
}
