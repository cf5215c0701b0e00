//! The SQL of the row functions. Names are quoted, values are parameters.

use pgrx::pg_sys;

use crate::rows::relation::{Field, Relation};

/// What a statement does; with the fields it names, what tells plans apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    List,
    Count,
    Get,
    Insert,
    Update,
    Delete,
}

impl Verb {
    pub fn is_reading(self) -> bool {
        matches!(self, Self::List | Self::Count | Self::Get)
    }
}

/// A statement and the types of its parameters: first the fields, in their
/// order, then what the verb needs: the key, or limit and offset.
pub struct Statement {
    pub sql: String,
    pub types: Vec<pg_sys::Oid>,
}

impl Statement {
    pub fn new(relation: &Relation, verb: Verb, fields: &[usize]) -> Self {
        let name = &relation.name;
        let key = relation.key_field();
        let chosen: Vec<&Field> = fields
            .iter()
            .map(|&place| &relation.fields[place])
            .collect();
        let mut types: Vec<pg_sys::Oid> = chosen.iter().map(|field| field.type_oid).collect();
        let by_key = equals(key, chosen.len() + 1);
        let columns = list(relation.readable().map(|field| field.quoted.clone()));

        let sql = match verb {
            Verb::List => {
                types.extend([pg_sys::INT8OID, pg_sys::INT8OID]);
                let (limit, offset) = (chosen.len() + 1, chosen.len() + 2);
                format!(
                    "select {columns} from {name}{} order by {} desc limit ${limit} offset ${offset}",
                    matching(&chosen),
                    key.quoted,
                )
            }
            Verb::Count => format!("select count(*) from {name}{}", matching(&chosen)),
            Verb::Get => {
                types.push(key.type_oid);
                format!("select {columns} from {name} where {by_key}")
            }
            Verb::Insert if chosen.is_empty() => {
                format!("insert into {name} default values returning {columns}")
            }
            Verb::Insert => format!(
                "insert into {name} ({}) values ({}) returning {columns}",
                list(chosen.iter().map(|field| field.quoted.clone())),
                list((1..=chosen.len()).map(|number| format!("${number}"))),
            ),
            Verb::Update => {
                types.push(key.type_oid);
                let changes = chosen
                    .iter()
                    .enumerate()
                    .map(|(i, field)| format!("{} = ${}", field.quoted, i + 1));
                format!(
                    "update {name} set {} where {by_key} returning {columns}",
                    list(changes)
                )
            }
            Verb::Delete => {
                types.push(key.type_oid);
                format!("delete from {name} where {by_key} returning {columns}")
            }
        };
        Self { sql, types }
    }
}

fn list(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(", ")
}

fn matching(fields: &[&Field]) -> String {
    let conditions: Vec<String> = fields
        .iter()
        .enumerate()
        .map(|(i, field)| equals(field, i + 1))
        .collect();
    if conditions.is_empty() {
        String::new()
    } else {
        format!(" where {}", conditions.join(" and "))
    }
}

fn equals(field: &Field, number: usize) -> String {
    // A type of an extension has its own =, wherever that one was put.
    let operator = if field.is_builtin {
        "operator(pg_catalog.=)"
    } else {
        "="
    };
    format!("{} {operator} ${number}", field.quoted)
}
