//! From a request's JSON to the texts that PostgreSQL's types read.
//!
//! Strict where JavaScript would shrug: a number is no string, a field given
//! twice is a mistake, and NUL has no place in a text of PostgreSQL.

use std::collections::HashSet;
use std::fmt;

use pgrx::pg_sys;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::fault::Fault;
use crate::rows::filter::{Condition, Operator};
use crate::rows::relation::{Field, Relation};
use crate::rows::types::Kind;

/// More than a table has columns.
const MOST_MEMBERS: usize = 2_000;
/// So many are compared, more are looked up.
const FEW: usize = 32;
/// Each step of a row makes a copy of it.
const LONGEST: usize = 32 << 20;
/// That are inserted at once.
const MOST_ROWS: usize = 100;
/// As deep as PostgreSQL's arrays go (MAXDIM).
const MOST_DIMENSIONS: usize = 6;

/// What is done with the fields.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    Insert,
    Update,
}

/// The fields of a JSON object, in the order of the columns. TN402 unknown,
/// TN403 not writable, TN404 none to change, TN405 a wrong type.
pub fn fields(relation: &Relation, json: &str, deed: Deed) -> Result<Vec<Condition>, Fault> {
    let mut values = Vec::new();
    for (name, raw) in object(json)? {
        let place = relation
            .field(&name)
            .ok_or_else(|| unknown(relation, &name))?;
        let field = &relation.fields[place];
        let is_writable = match deed {
            Deed::Insert => field.is_insertable,
            Deed::Update => field.is_updatable,
        };
        if Some(place) == relation.tenant {
            return Err(
                Fault::new("TN403", format!("\"{name}\" is not yours to choose"))
                    .hint("Leave it out: the row belongs to the tenant that you have entered.")
                    .field(name),
            );
        }
        if !is_writable {
            // Not even that there is such a column, to who may not see it.
            return Err(if field.is_readable {
                Fault::new("TN403", format!("\"{name}\" can't be set"))
                    .hint("Leave it out: the database keeps it.")
                    .field(name)
            } else {
                unknown(relation, &name)
            });
        }
        let text = text_of(field.kind, raw.get()).map_err(|wrong| wrong.of(field))?;
        values.push(Condition {
            field: place,
            operator: Operator::Equal,
            text,
        });
    }
    if values.is_empty() && deed == Deed::Update {
        return Err(Fault::new("TN404", "there is nothing to change")
            .hint("Send an object with at least one field."));
    }
    values.sort_by_key(|value| value.field);
    Ok(values)
}

/// The items of a JSON array, 1 to 100. TN420.
pub fn rows(json: &str) -> Result<Vec<Box<RawValue>>, Fault> {
    struct Items;

    impl<'json> Visitor<'json> for Items {
        type Value = Vec<Box<RawValue>>;

        fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
            formatter.write_str("a JSON array")
        }

        fn visit_seq<S: SeqAccess<'json>>(self, mut items: S) -> Result<Self::Value, S::Error> {
            let mut rows = Vec::new();
            while let Some(row) = items.next_element()? {
                rows.push(row);
                // One too many, to tell by. What follows is none of our memory's.
                if rows.len() > MOST_ROWS {
                    while items.next_element::<IgnoredAny>()?.is_some() {}
                }
            }
            Ok(rows)
        }
    }

    if json.len() > LONGEST {
        return Err(Fault::new("TN405", "the JSON is larger than 32 MiB"));
    }
    let rows = serde_json::Deserializer::from_str(json)
        .deserialize_seq(Items)
        .map_err(|_| Fault::new("TN405", "a JSON object or an array of objects is needed"))?;
    if (1..=MOST_ROWS).contains(&rows.len()) {
        return Ok(rows);
    }
    Err(
        Fault::new("TN420", format!("an array holds 1 to {MOST_ROWS} rows"))
            .hint("Send the rest with another request."),
    )
}

/// The members of a JSON object, none of them twice.
pub fn object(json: &str) -> Result<Vec<(String, Box<RawValue>)>, Fault> {
    struct Members;

    impl<'json> Visitor<'json> for Members {
        type Value = Result<Vec<(String, Box<RawValue>)>, String>;

        fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
            formatter.write_str("a JSON object")
        }

        fn visit_map<M: MapAccess<'json>>(self, mut map: M) -> Result<Self::Value, M::Error> {
            let mut members: Vec<(String, Box<RawValue>)> = Vec::new();
            let mut names = HashSet::new();
            while let Some((name, value)) = map.next_entry::<String, Box<RawValue>>()? {
                if members.len() == MOST_MEMBERS {
                    return Err(M::Error::custom("too many members"));
                }
                let is_known = if members.len() < FEW {
                    members.iter().any(|(known, _)| *known == name)
                } else {
                    if names.is_empty() {
                        names.extend(members.iter().map(|(known, _)| known.clone()));
                    }
                    !names.insert(name.clone())
                };
                if is_known {
                    while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                    return Ok(Err(name));
                }
                members.push((name, value));
            }
            Ok(Ok(members))
        }
    }

    if json.len() > LONGEST {
        return Err(Fault::new("TN405", "the JSON is larger than 32 MiB"));
    }
    let mut reader = serde_json::Deserializer::from_str(json);
    let members = reader
        .deserialize_map(Members)
        // PostgreSQL has read it as JSON already: behind a repeated name stands more of it.
        .map_err(|_| {
            Fault::new("TN405", "a JSON object is needed").hint("Like {\"title\": \"…\"}.")
        })?;
    members.map_err(|name| Fault::new("TN405", format!("\"{name}\" is given twice")).field(name))
}

pub fn unknown(relation: &Relation, name: &str) -> Fault {
    // A long name would only be an echo.
    let shown: String = name.chars().take(64).collect();
    Fault::new(
        "TN402",
        format!("\"{shown}\" is not a field of {}", relation.title),
    )
    .field(shown)
}

/// Why a value doesn't fit.
pub enum Wrong {
    Type(Kind),
    Nul,
}

impl Wrong {
    pub fn of(self, field: &Field) -> Fault {
        self.about(&field.name)
    }

    /// For a field or argument of that name.
    pub fn about(self, name: &str) -> Fault {
        let message = match self {
            Self::Type(kind) => format!("\"{name}\" must be {}", kind.expected()),
            Self::Nul => format!("\"{name}\" must not contain a NUL character"),
        };
        Fault::new("TN405", message).field(name)
    }
}

/// A value's text; `None` for null.
pub fn text_of(kind: Kind, json: &str) -> Result<Option<String>, Wrong> {
    let first = json.bytes().next();
    let is_number = first.is_some_and(|byte| byte == b'-' || byte.is_ascii_digit());
    let text = match kind {
        // A JSON column takes null as SQL's, like every other.
        _ if first == Some(b'n') => return Ok(None),
        Kind::Json => {
            if has_nul(json) {
                return Err(Wrong::Nul);
            }
            json.to_owned()
        }
        Kind::Bool if matches!(json, "true" | "false") => json.to_owned(),
        Kind::Int16 | Kind::Int32 | Kind::Int64 | Kind::Float | Kind::Numeric if is_number => {
            json.to_owned()
        }
        Kind::Array(element) if first == Some(b'[') => array_literal(element, json, 1)?,
        // Numbers that a double can't hold come as strings.
        Kind::Int64
        | Kind::Numeric
        | Kind::Text
        | Kind::Uuid
        | Kind::Other
        | Kind::TimestampTz
        | Kind::Timestamp
        | Kind::Date
            if first == Some(b'"') =>
        {
            let text: String = serde_json::from_str(json).map_err(|_| Wrong::Type(kind))?;
            if text.contains('\0') {
                return Err(Wrong::Nul);
            }
            text
        }
        _ => return Err(Wrong::Type(kind)),
    };
    Ok(Some(text))
}

/// Whether a string in this JSON holds NUL, written `\u0000`: json would store
/// it and jsonb refuse it. After an escaped backslash the same letters are text.
fn has_nul(json: &str) -> bool {
    json.match_indices("\\u0000").any(|(at, _)| {
        let before = json[..at].bytes().rev().take_while(|byte| *byte == b'\\');
        before.count() % 2 == 0
    })
}

/// A JSON array as PostgreSQL writes one: `{"a",NULL,{"b"}}`.
fn array_literal(element: pg_sys::Oid, json: &str, depth: usize) -> Result<String, Wrong> {
    if depth > MOST_DIMENSIONS {
        return Err(Wrong::Type(Kind::Array(element)));
    }
    let kind = Kind::of(element, pg_sys::InvalidOid);
    let items: Vec<&RawValue> =
        serde_json::from_str(json).map_err(|_| Wrong::Type(Kind::Array(element)))?;
    let mut literal = String::from("{");
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            literal.push(',');
        }
        if item.get().starts_with('[') && kind != Kind::Json {
            literal.push_str(&array_literal(element, item.get(), depth + 1)?);
            continue;
        }
        match text_of(kind, item.get())? {
            None => literal.push_str("NULL"),
            Some(text) => push_element(&mut literal, &text),
        }
    }
    literal.push('}');
    Ok(literal)
}

fn push_element(literal: &mut String, text: &str) {
    literal.push('"');
    literal.push_str(&text.replace('\\', "\\\\").replace('"', "\\\""));
    literal.push('"');
}

/// Texts as an array of PostgreSQL: `{"a","b"}`.
pub fn array_of(texts: &[String]) -> String {
    let mut literal = String::from("{");
    for (i, text) in texts.iter().enumerate() {
        if i > 0 {
            literal.push(',');
        }
        push_element(&mut literal, text);
    }
    literal.push('}');
    literal
}
