//! What a list is asked for: page, limit, count and filters.
//!
//! Everything may come as a string, because it comes from a URL.

use std::str::FromStr;

use serde_json::value::RawValue;

use crate::fault::Fault;
use crate::rows::input::{Value, Wrong, object, unknown};
use crate::rows::relation::Relation;

const DEFAULT_LIMIT: i64 = 20;
const MAX_LIMIT: i64 = 100;
/// Far beyond what anybody turns to, and `page * limit` stays a small number.
const MAX_PAGE: i64 = 1_000_000;

pub struct Query {
    pub page: i64,
    pub limit: i64,
    pub is_counted: bool,
    /// Equal to these, in the order of the columns.
    pub filter: Vec<Value>,
}

impl Query {
    /// TN402 unknown filter, TN405 a filter that can't be, TN406 anything else.
    pub fn parse(relation: &Relation, json: &str) -> Result<Self, Fault> {
        let mut query = Self {
            page: 1,
            limit: DEFAULT_LIMIT,
            is_counted: false,
            filter: Vec::new(),
        };
        for (name, raw) in object(json)? {
            match name.as_str() {
                "page" => query.page = number(&name, &raw, MAX_PAGE)?,
                "limit" => query.limit = number(&name, &raw, MAX_LIMIT)?,
                "count" => {
                    if plain(&raw) != "exact" {
                        return Err(refused(&name, "must be exact"));
                    }
                    query.is_counted = true;
                }
                "filter" => query.filter = filter(relation, raw.get())?,
                _ => return Err(refused(&name, "is not an option of a list")),
            }
        }
        Ok(query)
    }

    pub fn offset(&self) -> i64 {
        (self.page - 1) * self.limit
    }
}

fn filter(relation: &Relation, json: &str) -> Result<Vec<Value>, Fault> {
    let mut values = Vec::new();
    for (name, raw) in object(json)? {
        let place = relation
            .field(&name)
            .filter(|&place| {
                let field = &relation.fields[place];
                // Only what an index holds: a filter must not read all of a large tenant.
                field.is_readable && field.is_filterable && place != relation.tenant
            })
            .ok_or_else(|| {
                let names: Vec<&str> = relation
                    .fields
                    .iter()
                    .enumerate()
                    .filter(|(place, field)| {
                        field.is_readable && field.is_filterable && *place != relation.tenant
                    })
                    .map(|(_, field)| field.name.as_str())
                    .collect();
                unknown(relation, &name).hint(format!("Filters are {}.", names.join(", ")))
            })?;
        let text = plain(&raw);
        if text.contains('\0') {
            return Err(Wrong::Nul.of(&relation.fields[place]));
        }
        values.push(Value {
            field: place,
            text: Some(text),
        });
    }
    values.sort_by_key(|value| value.field);
    Ok(values)
}

fn number(name: &str, raw: &RawValue, most: i64) -> Result<i64, Fault> {
    i64::from_str(&plain(raw))
        .ok()
        .filter(|number| (1..=most).contains(number))
        .ok_or_else(|| refused(name, &format!("must be a whole number from 1 to {most}")))
}

/// A string's content, or the value as it is written.
fn plain(raw: &RawValue) -> String {
    serde_json::from_str(raw.get()).unwrap_or_else(|_| raw.get().to_owned())
}

fn refused(name: &str, what: &str) -> Fault {
    let shown: String = name.chars().take(64).collect();
    Fault::new("TN406", format!("\"{shown}\" {what}")).field(shown)
}
