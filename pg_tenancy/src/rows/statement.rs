//! The SQL of the row functions. Names are quoted, values are parameters.

use pgrx::pg_sys;

use crate::rows::after::{Range, Step};
use crate::rows::conditions::{IS_DELETED, by_key, conditions, list, matching, order};
use crate::rows::filter::{Condition, Operator};
use crate::rows::relation::{Field, Relation};
use crate::rows::served::Standing;

/// What a statement does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    List,
    Count,
    /// Nothing of so many rows at most: to count them.
    Few,
    /// How many of so many rows, the first in the order of lists, meet the terms.
    Sample,
    /// For its plan alone: how many rows PostgreSQL expects.
    Expect,
    /// The rows that a page's rows refer to.
    Include,
    Get,
    /// As Get, and nobody changes the row until the transaction ends.
    Lock,
    Insert,
    Update,
    Delete,
    /// As List and Count, of rows that were deleted softly.
    ListDeleted,
    CountDeleted,
    Restore,
}

impl Verb {
    pub fn is_reading(self) -> bool {
        !matches!(
            self,
            Self::Lock | Self::Insert | Self::Update | Self::Delete | Self::Restore
        )
    }

    /// Whether it is for rows that are hidden from all others.
    pub fn is_of_deleted(self) -> bool {
        matches!(self, Self::ListDeleted | Self::CountDeleted | Self::Restore)
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
    /// What else must hold where a list goes on from a cursor.
    pub after: Option<Range>,
    /// The places of the columns that come back; `None` for all that can be read.
    pub columns: Option<Vec<usize>>,
}

impl Shape {
    /// Of a statement with these terms, in no order of its own, with all columns.
    pub fn of(verb: Verb, terms: &[Condition]) -> Self {
        Self {
            verb,
            terms: terms
                .iter()
                .map(|term| (term.field, term.operator))
                .collect(),
            sort: Vec::new(),
            after: None,
            columns: None,
        }
    }

    /// Whether its rows are the next ones in the order of the key, whichever they are.
    /// The key's index has them, however few rows the tenant has that it is planned for.
    pub fn is_by_key(&self, relation: &Relation) -> bool {
        let is_all = match self.verb {
            Verb::List => {
                let steps = self.after.as_deref().unwrap_or_default();
                self.terms.is_empty() && matches!(steps, [] | [Step::Behind { .. }])
            }
            Verb::Sample => true,
            _ => false,
        };
        is_all && self.sort.is_empty() && relation.standing != Standing::View
    }
}

/// A statement and the types of its parameters: first the terms' values, in their
/// order, then those of a cursor, then what the verb needs: the key, or limit and offset.
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
        let steps = shape.after.as_deref().unwrap_or_default();
        let matching = matching(relation, shape, steps);
        let after = steps.iter().flat_map(Step::with_value);
        types.extend(after.map(|&place| relation.fields[place].type_oid));
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
            Verb::List | Verb::ListDeleted => {
                types.push(pg_sys::INT8OID);
                // Who goes on from a cursor leaves out nothing.
                let offset = if shape.after.is_none() {
                    types.push(pg_sys::INT8OID);
                    format!(" offset ${}", next + 1)
                } else {
                    String::new()
                };
                format!(
                    "select {columns} from {name}{matching} order by {} limit ${next}{offset}",
                    order(relation, &shape.sort),
                )
            }
            Verb::Count | Verb::CountDeleted => format!("select count(*) from {name}{matching}"),
            Verb::Few => {
                types.push(pg_sys::INT8OID);
                format!("select from {name}{matching} limit ${next}")
            }
            Verb::Sample => {
                types.push(pg_sys::INT8OID);
                format!(
                    "select count(*) filter (where sampled.is_met), count(*) from (
                        select {} as is_met from {name} order by {} limit ${next}) as sampled",
                    conditions(relation, &shape.terms, &[]).join(" and "),
                    order(relation, &[]),
                )
            }
            Verb::Expect => format!("select from {name}"),
            Verb::Include => format!("select {columns} from {name}{matching}"),
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
            Verb::Restore => {
                types.extend(key_types);
                format!(
                    "update {name} set deleted_at = null where {by_key} and {IS_DELETED} returning {columns}"
                )
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
