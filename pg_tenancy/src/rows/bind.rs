//! From texts to PostgreSQL's values, each by its type's own reading.

use std::ffi::{c_char, c_int};

use pgrx::pg_sys;

use crate::fault::{Fault, in_postgres_memory};
use crate::rows::explain::Explaining;
use crate::rows::filter::{Condition, Operator, is_uuid};
use crate::rows::input::Wrong;
use crate::rows::plan::{Bound, Columns, Plans};
use crate::rows::relation::Relation;
use crate::rows::statement::{Shape, parameter};
use crate::rows::types::Kind;

/// A statement with its arguments, before their types have read them.
pub struct Unread {
    bound: Bound,
    number: usize,
    texts: *mut Text,
}

/// An argument in PostgreSQL's memory, so that an error while it is read leaves
/// nothing behind.
#[derive(Clone, Copy)]
struct Text {
    field: usize,
    text: *const c_char,
    input: pg_sys::Oid,
    parameter: pg_sys::Oid,
    modifier: i32,
}

/// Binds a statement of that shape to values for its terms, the parts of the row's id
/// where the verb takes one, and numbers where it takes limit and offset. TN405 for a
/// value that is none.
pub fn bind(
    relation: &'static Relation,
    shape: Shape,
    terms: Vec<Condition>,
    id: &[String],
    numbers: &[i64],
) -> Result<Unread, Fault> {
    let verb = shape.verb;
    let columns = match &shape.columns {
        Some(places) => Columns::copy(places),
        None => Columns::of(&relation.readable),
    };
    let plan = Plans::get(relation, shape)?;

    let id = relation.keys.iter().zip(id).map(|(&key, part)| Condition {
        field: key,
        operator: Operator::Equal,
        text: Some(part.clone()),
    });
    let values: Vec<Condition> = terms
        .into_iter()
        .filter(|term| term.operator.has_value())
        .chain(id)
        .collect();
    let number = values.len();
    let total = number + numbers.len();

    // SAFETY: palloc answers with that much memory, all of which is written.
    unsafe {
        let texts: *mut Text = pg_sys::palloc(number * size_of::<Text>()).cast();
        let datums: *mut pg_sys::Datum = pg_sys::palloc(total * size_of::<pg_sys::Datum>()).cast();
        let nulls: *mut c_char = pg_sys::palloc(total).cast();
        for (i, value) in values.iter().enumerate() {
            let field = &relation.fields[value.field];
            let oid = parameter(field, value.operator);
            if oid == pg_sys::UUIDOID && !value.text.as_deref().is_none_or(is_uuid) {
                return Err(Wrong::Type(Kind::Uuid).of(field));
            }
            let (mut input, mut io_parameter) = (pg_sys::InvalidOid, pg_sys::InvalidOid);
            pg_sys::getTypeInputInfo(oid, &raw mut input, &raw mut io_parameter);
            let text = value.text.as_deref();
            texts.add(i).write(Text {
                field: value.field,
                text: text.map_or(std::ptr::null(), in_postgres_memory),
                input,
                parameter: io_parameter,
                // A pattern is longer than what it matches.
                modifier: if oid == field.type_oid {
                    field.type_modifier
                } else {
                    -1
                },
            });
            nulls
                .add(i)
                .write(if text.is_some() { b' ' } else { b'n' } as c_char);
        }
        for (i, &value) in numbers.iter().enumerate() {
            datums.add(number + i).write(pg_sys::Datum::from(value));
            nulls.add(number + i).write(b' ' as c_char);
        }
        Ok(Unread {
            bound: Bound {
                plan,
                verb,
                values: datums,
                nulls,
                columns,
            },
            number,
            texts,
        })
    }
}

unsafe extern "C-unwind" {
    fn OidInputFunctionCall(
        function: pg_sys::Oid,
        text: *mut c_char,
        parameter: pg_sys::Oid,
        modifier: c_int,
    ) -> pg_sys::Datum;
}

impl Unread {
    /// Has each type read its text.
    ///
    /// # Safety
    /// An error leaves by longjmp: nothing with a destructor may be alive in the
    /// callers' frames.
    pub unsafe fn read(self, relation: &'static Relation) -> Bound {
        for i in 0..self.number {
            // SAFETY: `bind` has written as many.
            unsafe {
                let text = *self.texts.add(i);
                let datum = if text.text.is_null() {
                    pg_sys::Datum::null()
                } else {
                    let mut explaining = Explaining::of_conversion(relation, text.field);
                    explaining.start();
                    let datum = OidInputFunctionCall(
                        text.input,
                        text.text.cast_mut(),
                        text.parameter,
                        text.modifier,
                    );
                    explaining.end();
                    datum
                };
                self.bound.values.add(i).write(datum);
            }
        }
        self.bound
    }
}
