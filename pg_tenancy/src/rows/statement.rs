//! The SQL of the row functions. Names are quoted, values are parameters.

use pgrx::pg_sys;

use crate::rows::filter::Operator;
use crate::rows::relation::{Field, Relation};

/// What a statement does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    List,
    Count,
    Get,
    /// As Get, and nobody changes the row until the transaction ends.
    Lock,
    Insert,
    Update,
    Delete,
}

impl Verb {
    pub fn is_reading(self) -> bool {
        matches!(self, Self::List | Self::Count | Self::Get)
    }
}

/// One column of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sort {
    pub field: usize,
    pub is_descending: bool,
}

/// All that a statement's text depends on: what tells plans apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Shape {
    pub verb: Verb,
    /// What is compared, or set, in the order of its parameters.
    pub terms: Vec<(usize, Operator)>,
    pub sort: Vec<Sort>,
    /// The places of the columns that come back; `None` for all that can be read.
    pub columns: Option<Vec<usize>>,
}

/// A statement and the types of its parameters: first the terms' values, in their
/// order, then what the verb needs: the key, or limit and offset.
pub struct Statement {
    pub sql: String,
    pub types: Vec<pg_sys::Oid>,
}

impl Statement {
    pub fn new(relation: &Relation, shape: &Shape) -> Self {
        let name = &relation.name;
        let with_value = shape
            .terms
            .iter()
            .filter(|(_, operator)| operator.has_value());
        let mut types: Vec<pg_sys::Oid> = with_value
            .map(|&(place, operator)| parameter(&relation.fields[place], operator))
            .collect();
        let next = types.len() + 1;
        let by_key = by_key(relation, next);
        let key_types = relation
            .keys
            .iter()
            .map(|&key| relation.fields[key].type_oid);
        let places = shape.columns.as_ref().unwrap_or(&relation.readable);
        let columns = list(places.iter().map(|&i| relation.fields[i].quoted.clone()));
        let set: Vec<&str> = shape
            .terms
            .iter()
            .map(|&(place, _)| relation.fields[place].quoted.as_str())
            .collect();

        let sql = match shape.verb {
            Verb::List => {
                types.extend([pg_sys::INT8OID, pg_sys::INT8OID]);
                format!(
                    "select {columns} from {name}{} order by {} limit ${next} offset ${}",
                    matching(relation, &shape.terms),
                    order(relation, &shape.sort),
                    next + 1,
                )
            }
            Verb::Count => format!(
                "select count(*) from {name}{}",
                matching(relation, &shape.terms)
            ),
            Verb::Get => {
                types.extend(key_types);
                format!("select {columns} from {name} where {by_key}")
            }
            Verb::Lock => {
                types.extend(key_types);
                // Not `for update`: a reference to the row may be checked meanwhile.
                format!("select {columns} from {name} where {by_key} for no key update")
            }
            Verb::Insert if set.is_empty() => {
                format!("insert into {name} default values returning {columns}")
            }
            Verb::Insert => format!(
                "insert into {name} ({}) values ({}) returning {columns}",
                set.join(", "),
                list((1..next).map(|number| format!("${number}"))),
            ),
            Verb::Update => {
                types.extend(key_types);
                let changes = set
                    .iter()
                    .enumerate()
                    .map(|(i, column)| format!("{column} = ${}", i + 1));
                format!(
                    "update {name} set {} where {by_key} returning {columns}",
                    list(changes)
                )
            }
            Verb::Delete => {
                types.extend(key_types);
                format!("delete from {name} where {by_key} returning {columns}")
            }
        };
        Self { sql, types }
    }
}

/// The type of a term's parameter.
pub fn parameter(field: &Field, operator: Operator) -> pg_sys::Oid {
    match operator {
        Operator::In => field.array_oid,
        Operator::Like | Operator::Ilike => pg_sys::TEXTOID,
        _ => field.type_oid,
    }
}

fn list(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(", ")
}

/// The key is the last, so that every order is one, from page to page.
fn order(relation: &Relation, sort: &[Sort]) -> String {
    // Ids sort by time: without a wish, the newest comes first.
    let is_descending = sort.first().is_none_or(|first| first.is_descending);
    let is_sorted = |key: usize| sort.iter().any(|sort| sort.field == key);
    let rest = relation.keys.iter().filter(|&&key| !is_sorted(key));
    let rest = rest.map(|&key| Sort {
        field: key,
        is_descending,
    });
    list(sort.iter().copied().chain(rest).map(|sort| {
        let direction = if sort.is_descending { " desc" } else { "" };
        format!("{}{direction}", relation.fields[sort.field].quoted)
    }))
}

/// The row with the id whose parts are the parameters from this number on.
fn by_key(relation: &Relation, first: usize) -> String {
    let keys = relation.keys.iter().zip(first..);
    let parts: Vec<String> = keys
        .map(|(&key, number)| compares(&relation.fields[key], Operator::Equal, number))
        .collect();
    parts.join(" and ")
}

fn matching(relation: &Relation, terms: &[(usize, Operator)]) -> String {
    let mut number = 0;
    let conditions: Vec<String> = terms
        .iter()
        .map(|&(place, operator)| {
            number += usize::from(operator.has_value());
            compares(&relation.fields[place], operator, number)
        })
        .collect();
    if conditions.is_empty() {
        String::new()
    } else {
        format!(" where {}", conditions.join(" and "))
    }
}

fn compares(field: &Field, operator: Operator, number: usize) -> String {
    let (column, sql) = (&field.quoted, operator.sql());
    if !operator.has_value() {
        return format!("{column} {sql}");
    }
    // A type of an extension has its own operators, wherever they were put.
    let sql = if field.is_builtin {
        format!("operator(pg_catalog.{sql})")
    } else {
        sql.to_owned()
    };
    match operator {
        Operator::In => format!("{column} {sql} any (${number})"),
        _ => format!("{column} {sql} ${number}"),
    }
}
