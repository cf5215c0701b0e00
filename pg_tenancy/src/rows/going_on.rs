//! Where a cursor leads: what it is good for, and the rows after it.

use std::ffi::CStr;

use pgrx::pg_sys;

use crate::fault::Fault;
use crate::readers;
use crate::rows::after::{self, Column, Step};
use crate::rows::bind::{Unread, bind_after};
use crate::rows::cursor::{self, Scope, Value};
use crate::rows::filter::Condition;
use crate::rows::ordering::Storage;
use crate::rows::relation::Relation;
use crate::rows::statement::{Shape, Sort};

/// Statements of that shape for the rows after these values, one behind the other.
pub fn go_on(
    relation: &'static Relation,
    shape: &Shape,
    order: &[Sort],
    filter: &[Condition],
    values: &[Value],
    most: i64,
) -> Result<Vec<Unread>, Fault> {
    if values.len() != order.len() {
        return Err(cursor::not_good());
    }
    let columns: Vec<Column> = order
        .iter()
        .map(|sort| {
            let field = &relation.fields[sort.field];
            Column {
                field: sort.field,
                is_descending: sort.is_descending,
                is_nullable: field.is_nullable,
                is_plain: field.operators.is_plain,
            }
        })
        .collect();
    let is_null: Vec<bool> = values.iter().map(|value| *value == Value::Null).collect();
    let value_of = |field: usize| {
        let place = order.iter().position(|sort| sort.field == field);
        place.map(|place| (field, &values[place]))
    };
    let ranges = after::ranges(&columns, &is_null).into_iter().map(|range| {
        let fields = range.iter().flat_map(Step::with_value);
        let after: Vec<_> = fields.filter_map(|&field| value_of(field)).collect();
        let shape = Shape {
            after: Some(range),
            ..shape.clone()
        };
        bind_after(relation, shape, filter.to_vec(), &after, &[most])
    });
    ranges.collect()
}

/// What a cursor of a list is good for.
pub fn scope(relation: &Relation, order: &[Sort], filter: &[Condition]) -> Result<Scope, Fault> {
    let mut scope = Scope::default();
    let tenant = readers::required()?.map(|context| context.tenant_id);
    scope.add(tenant.as_ref().map_or(&[], |id| id.as_bytes()));
    scope.add(relation.name.as_bytes());
    scope.add(&[order.len() as u8]);
    let mut are_by_settings = false;
    for sort in order {
        let field = &relation.fields[sort.field];
        scope.add(field.column.as_bytes());
        scope.add(field.whole_type_name.as_bytes());
        scope.add(&[sort.is_descending.into()]);
        are_by_settings |= field.storage == Storage::TextBySettings;
    }
    scope.add(&[filter.len() as u8]);
    for condition in filter {
        scope.add(relation.fields[condition.field].column.as_bytes());
        scope.add(condition.operator.sql().as_bytes());
        scope.add(condition.text.as_deref().unwrap_or_default().as_bytes());
    }
    if are_by_settings {
        SETTINGS.iter().for_each(|name| scope.add(setting(name)));
    }
    Ok(scope)
}

/// Those that decide how values are written which have no form of their own here.
const SETTINGS: [&CStr; 6] = [
    c"DateStyle",
    c"TimeZone",
    c"IntervalStyle",
    c"extra_float_digits",
    c"bytea_output",
    c"lc_monetary",
];

fn setting(name: &CStr) -> &'static [u8] {
    // SAFETY: a setting of PostgreSQL's own, whose value is copied before another is read.
    unsafe { CStr::from_ptr(pg_sys::GetConfigOption(name.as_ptr(), false, false)).to_bytes() }
}
