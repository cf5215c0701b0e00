//! The conditions and the order of a statement.

use crate::rows::after::Step;
use crate::rows::filter::Operator;
use crate::rows::relation::{Field, Relation};
use crate::rows::statement::{Shape, Sort};

pub const IS_DELETED: &str = "deleted_at is not null";

pub fn list(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(", ")
}

/// All columns of a list's order. The key is the last, so that every order is one,
/// from page to page.
pub fn whole_order(relation: &Relation, sort: &[Sort]) -> Vec<Sort> {
    // Ids sort by time: without a wish, the newest comes first.
    let is_descending = sort.first().is_none_or(|first| first.is_descending);
    let is_sorted = |key: usize| sort.iter().any(|sort| sort.field == key);
    let rest = relation.keys.iter().filter(|&&key| !is_sorted(key));
    let rest = rest.map(|&key| Sort {
        field: key,
        is_descending,
    });
    sort.iter().copied().chain(rest).collect()
}

pub fn order(relation: &Relation, sort: &[Sort]) -> String {
    list(whole_order(relation, sort).iter().map(|sort| {
        let direction = if sort.is_descending { " desc" } else { "" };
        format!("{}{direction}", relation.fields[sort.field].quoted)
    }))
}

/// The row with the id whose parts are the parameters from this number on.
pub fn by_key(relation: &Relation, first: usize) -> String {
    let keys = relation.keys.iter().zip(first..);
    let parts: Vec<String> = keys
        .map(|(&key, number)| compares(&relation.fields[key], Operator::Equal, number))
        .collect();
    parts.join(" and ")
}

pub fn matching(relation: &Relation, shape: &Shape, steps: &[Step]) -> String {
    let mut conditions = conditions(relation, &shape.terms, steps);
    if shape.verb.is_of_deleted() {
        conditions.push(IS_DELETED.to_owned());
    }
    if conditions.is_empty() {
        String::new()
    } else {
        format!(" where {}", conditions.join(" and "))
    }
}

pub fn conditions(relation: &Relation, terms: &[(usize, Operator)], steps: &[Step]) -> Vec<String> {
    let mut number = 0;
    let terms = terms.iter().map(|&(place, operator)| {
        number += usize::from(operator.has_value());
        compares(&relation.fields[place], operator, number)
    });
    let mut conditions: Vec<String> = terms.collect();
    for step in steps {
        conditions.push(comes_after(relation, step, number + 1));
        number += step.with_value().len();
    }
    conditions
}

/// With the operators of the order itself.
fn comes_after(relation: &Relation, step: &Step, first: usize) -> String {
    let columns = |places: &[usize]| {
        let places = places.iter();
        list(places.map(|&place| relation.fields[place].quoted.clone()))
    };
    match step {
        Step::Same(place) => {
            let field = &relation.fields[*place];
            format!("{} {} ${first}", field.quoted, field.operators.equal)
        }
        Step::IsNull(place) => format!("{} is null", columns(&[*place])),
        Step::IsNotNull(place) => format!("{} is not null", columns(&[*place])),
        Step::Behind {
            fields,
            is_descending,
        } => {
            let operators = &relation.fields[fields[0]].operators;
            let operator = if *is_descending {
                &operators.less
            } else {
                &operators.greater
            };
            let values = list((first..).take(fields.len()).map(|n| format!("${n}")));
            format!("row({}) {operator} row({values})", columns(fields))
        }
    }
}

fn compares(field: &Field, operator: Operator, number: usize) -> String {
    let column = &field.quoted;
    if !operator.has_value() {
        return format!("{column} {}", operator.sql());
    }
    let sql = operator.of(&field.operators);
    match operator {
        Operator::In => format!("{column} {sql} any (${number})"),
        _ => format!("{column} {sql} ${number}"),
    }
}
