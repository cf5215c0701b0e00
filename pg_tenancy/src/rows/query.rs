//! What a list is asked for: page or cursor, limit, count, fields, includes, order
//! and filters.
//!
//! Everything may come as a string, because it comes from a URL.

use std::str::FromStr;

use serde_json::value::RawValue;

use crate::fault::Fault;
use crate::rows::count::Precision;
use crate::rows::filter::{self, Condition};
use crate::rows::input::{object, unknown};
use crate::rows::references::{self, Include};
use crate::rows::relation::{Field, Relation};
use crate::rows::statement::Sort;

const DEFAULT_LIMIT: i64 = 20;
const MAX_LIMIT: i64 = 100;
/// Far beyond what anybody turns to, and `page * limit` stays a small number.
const MAX_PAGE: i64 = 1_000_000;
/// Each is a column of a sort.
const MAX_SORTS: usize = 4;

pub struct Query {
    pub page: Option<i64>,
    pub limit: i64,
    /// Where the last page ended, sealed.
    pub cursor: Option<String>,
    pub count: Option<Precision>,
    /// In the order of the columns.
    pub filter: Vec<Condition>,
    /// Before the key, which is always the last.
    pub sort: Vec<Sort>,
    /// Places of the fields in the order asked for; `None` for all.
    pub fields: Option<Vec<usize>>,
    pub includes: Vec<Include>,
    /// Of rows that were deleted softly, and no others.
    pub is_of_deleted: bool,
}

impl Query {
    /// TN402 a field that isn't there or can't be used so, TN405 a value that can't
    /// be, TN406 anything else.
    pub fn parse(relation: &'static Relation, json: &str) -> Result<Self, Fault> {
        let mut query = Self::default();
        for (name, raw) in object(json)? {
            match name.as_str() {
                "page" => query.page = Some(number(&name, &raw, MAX_PAGE)?),
                "limit" => query.limit = number(&name, &raw, MAX_LIMIT)?,
                "cursor" => query.cursor = Some(plain(&raw)),
                "count" => {
                    query.count = Some(match plain(&raw).as_str() {
                        "exact" => Precision::Exact,
                        "estimated" => Precision::Estimated,
                        _ => return Err(refused(&name, "must be exact or estimated")),
                    });
                }
                "sort" => query.sort = sort(relation, &plain(&raw))?,
                "deleted" => {
                    if plain(&raw) != "only" {
                        return Err(refused(&name, "must be only"));
                    }
                    query.is_of_deleted = true;
                }
                "filter" => query.filter = filter::parse(relation, raw.get())?,
                _ if query.read_shape(relation, &name, &raw)? => {}
                _ => return Err(refused(&name, "is not an option of a list")),
            }
        }
        if query.cursor.is_some() && query.page.is_some() {
            return Err(refused("page", "has no place beside a cursor"));
        }
        Ok(query)
    }

    /// What one row is asked for: fields and includes. Errors as for a list.
    pub fn parse_of_one(relation: &'static Relation, json: &str) -> Result<Self, Fault> {
        let mut query = Self::default();
        if json == "{}" {
            return Ok(query);
        }
        for (name, raw) in object(json)? {
            if !query.read_shape(relation, &name, &raw)? {
                return Err(refused(&name, "is not an option of a row"));
            }
        }
        Ok(query)
    }

    /// Reads what decides on a row's form; whether the option is one that does.
    fn read_shape(
        &mut self,
        relation: &'static Relation,
        name: &str,
        raw: &RawValue,
    ) -> Result<bool, Fault> {
        match name {
            "fields" => self.fields = Some(fields(relation, &plain(raw))?),
            "include" => self.includes = references::wanted(relation, &plain(raw))?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl Default for Query {
    fn default() -> Self {
        Self {
            page: None,
            limit: DEFAULT_LIMIT,
            cursor: None,
            count: None,
            filter: Vec::new(),
            sort: Vec::new(),
            fields: None,
            includes: Vec::new(),
            is_of_deleted: false,
        }
    }
}

/// `-createdAt,title`: each field that an index holds, once.
fn sort(relation: &Relation, text: &str) -> Result<Vec<Sort>, Fault> {
    let mut sorts: Vec<Sort> = Vec::new();
    for part in text.split(',') {
        let (name, is_descending) = match part.strip_prefix('-') {
            Some(name) => (name, true),
            None => (part, false),
        };
        let can_sort = |field: &Field| field.is_readable && field.is_sortable;
        let place = find(relation, name, can_sort, "Lists can be sorted by")?;
        if sorts.iter().any(|sort| sort.field == place) {
            return Err(refused("sort", "names a field twice"));
        }
        sorts.push(Sort {
            field: place,
            is_descending,
        });
        // What comes after the whole key has nothing left to order.
        let is_sorted = |key: &usize| sorts.iter().any(|sort| sort.field == *key);
        if relation.keys.iter().all(is_sorted) {
            break;
        }
    }
    if sorts.len() > MAX_SORTS {
        return Err(refused(
            "sort",
            &format!("must name at most {MAX_SORTS} fields"),
        ));
    }
    Ok(sorts)
}

/// `id,title`: each field once.
fn fields(relation: &Relation, text: &str) -> Result<Vec<usize>, Fault> {
    let mut places = Vec::new();
    for name in text.split(',') {
        let place = find(relation, name, |field| field.is_readable, "Fields are")?;
        if places.contains(&place) {
            return Err(refused("fields", "names a field twice"));
        }
        places.push(place);
    }
    Ok(places)
}

/// The place of a field that can be used so. TN402, with a hint that names those
/// that can, and never the tenant, who is always the same.
pub fn find(
    relation: &Relation,
    name: &str,
    is_good: impl Fn(&Field) -> bool,
    hint: &str,
) -> Result<usize, Fault> {
    let place = relation.field(name).filter(|&place| {
        is_good(&relation.fields[place]) && (Some(place) != relation.tenant || hint == "Fields are")
    });
    place.ok_or_else(|| {
        let names: Vec<&str> = (0..relation.fields.len())
            .filter(|&place| is_good(&relation.fields[place]) && Some(place) != relation.tenant)
            .map(|place| relation.fields[place].name.as_str())
            .collect();
        unknown(relation, name).hint(format!("{hint} {}.", names.join(", ")))
    })
}

fn number(name: &str, raw: &RawValue, most: i64) -> Result<i64, Fault> {
    i64::from_str(&plain(raw))
        .ok()
        .filter(|number| (1..=most).contains(number))
        .ok_or_else(|| refused(name, &format!("must be a whole number from 1 to {most}")))
}

/// A string's content, or the value as it is written.
pub fn plain(raw: &RawValue) -> String {
    let text = raw.get();
    // Nothing else begins so, and an error would be written in vain.
    let content = text.starts_with('"').then(|| serde_json::from_str(text));
    match content {
        Some(Ok(content)) => content,
        _ => text.to_owned(),
    }
}

pub fn refused(name: &str, what: &str) -> Fault {
    let shown: String = name.chars().take(64).collect();
    Fault::new("TN406", format!("\"{shown}\" {what}")).field(shown)
}
