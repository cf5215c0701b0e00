//! The query string of a list, on its way to the database.
//!
//! Options such as `page` and `sort` are passed on as they came, and everything else is a
//! filter; a field that is called like an option is filtered by as `page[eq]=1`. Whether
//! they make sense, the database says. Here it is only made sure that the string is what
//! it seems: no broken escape, no parameter twice.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::db::Json;
use crate::percent::{self, Broken};
use crate::problem::{Problem, Result};

/// What a list is asked for beside its filters.
pub const OPTIONS: [&str; 8] = [
    "page", "limit", "cursor", "count", "sort", "fields", "include", "deleted",
];

#[derive(Default, Serialize)]
struct Query {
    #[serde(flatten)]
    options: Map<String, Value>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    filter: Map<String, Value>,
}

/// The query of `list_rows`. Fails for bad percent-encoding, NUL, and a parameter given twice.
pub fn parse(raw: &str) -> Result<Json> {
    let mut query = Query::default();
    for pair in raw.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (decode(name)?, decode(value)?);
        let twice = || Problem::bad_field(&name, "is given twice");
        match name.as_str() {
            option if OPTIONS.contains(&option) => {
                if query.options.insert(name.clone(), value.into()).is_some() {
                    return Err(twice());
                }
            }
            _ => add_filter(&mut query.filter, &name, value).ok_or_else(twice)?,
        }
    }
    Json::of(&query)
        .map_err(|error| Problem::internal(format!("can't write a query as JSON: {error}")))
}

/// `status=todo` is `{"status":"todo"}`, and `dueOn[lt]=…` is `{"dueOn":{"lt":"…"}}`.
/// `None` where the same stands there already.
fn add_filter(filter: &mut Map<String, Value>, name: &str, value: String) -> Option<()> {
    let (field, operator) = name
        .strip_suffix(']')
        .and_then(|name| name.split_once('['))
        .unwrap_or((name, "eq"));
    let value = Value::from(value);
    match filter.get_mut(field) {
        None if operator == "eq" => {
            filter.insert(field.to_owned(), value);
        }
        None => {
            filter.insert(
                field.to_owned(),
                Map::from_iter([(operator.to_owned(), value)]).into(),
            );
        }
        Some(Value::Object(operators)) => {
            if operators.insert(operator.to_owned(), value).is_some() {
                return None;
            }
        }
        Some(_) if operator == "eq" => return None,
        Some(equal) => {
            let both = [
                ("eq".to_owned(), equal.take()),
                (operator.to_owned(), value),
            ];
            *equal = Map::from_iter(both).into();
        }
    }
    Some(())
}

fn decode(text: &str) -> Result<String> {
    percent::decode(&text.replace('+', " ")).map_err(|broken| {
        let detail = match broken {
            Broken::Escape => "The query string has a broken escape.",
            Broken::Nul => "The query string must not contain a NUL character.",
        };
        Problem::bad_request("invalid_query", detail)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn parameters_become_options_and_filters_and_stay_texts() {
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
            (
                "sort=-dueOn,title&fields=id,title",
                json!({"sort": "-dueOn,title", "fields": "id,title"}),
            ),
            (
                "dueOn[gte]=1&dueOn%5Blt%5D=2&id[eq]=x",
                json!({"filter": {"dueOn": {"gte": "1", "lt": "2"}, "id": "x"}}),
            ),
            (
                "cursor=c&include=project&deleted=only",
                json!({"cursor": "c", "include": "project", "deleted": "only"}),
            ),
            (
                "page=2&page[eq]=1&sort[gt]=a",
                json!({"page": "2", "filter": {"page": "1", "sort": {"gt": "a"}}}),
            ),
            (
                "a[ne]=1&a=2&b=3&b[ne]=4",
                json!({"filter": {"a": {"ne": "1", "eq": "2"}, "b": {"eq": "3", "ne": "4"}}}),
            ),
            (
                "a[=1&b]=2&[x]=3&c[][]=4",
                json!({"filter": {"a[": "1", "b]": "2", "": {"x": "3"}, "c": {"][": "4"}}}),
            ),
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
            ("a[ne]=1&a[ne]=2", "a[ne]"),
            ("a=1&a[ne]=2&a=3", "a"),
            ("a[eq]=1&a=2", "a"),
            ("sort=a&sort=b", "sort"),
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
