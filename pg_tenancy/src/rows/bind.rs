//! From texts to PostgreSQL's values, each by its type's own reading.

use std::ffi::{c_char, c_int};

use pgrx::pg_sys;

use crate::fault::{Fault, in_postgres_memory};
use crate::function::{text_datum, uuid_datum};
use crate::rows::columns::Columns;
use crate::rows::cursor::{Value, not_good};
use crate::rows::explain::Explaining;
use crate::rows::filter::{Condition, Operator, is_uuid};
use crate::rows::input::Wrong;
use crate::rows::plan::{Bound, Plans};
use crate::rows::relation::Relation;
use crate::rows::statement::{Shape, parameter};
use crate::rows::types::Kind;

/// A statement with its arguments, before their types have read them.
#[derive(Clone, Copy)]
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
    is_of_cursor: bool,
    /// It is bound already: no type has to read it.
    is_read: bool,
}

/// Binds a statement of that shape to values for its terms, the parts of the row's id
/// where the verb takes one, and numbers where it takes limit and offset. TN405 for a
/// value that is none.
pub fn bind(
    relation: &'static Relation,
    shape: Shape,
    terms: Vec<Condition>,
    id: &[&str],
    numbers: &[i64],
) -> Result<Unread, Fault> {
    let id = relation.keys.iter().zip(id).map(|(&key, part)| Condition {
        field: key,
        operator: Operator::Equal,
        text: Some((*part).to_owned()),
    });
    let values = terms.into_iter().chain(id).collect();
    bind_all(relation, shape, values, &[], numbers)
}

/// The same for a list that goes on from these values of a cursor, which come with
/// their fields, in the order of the shape's steps.
pub fn bind_after(
    relation: &'static Relation,
    shape: Shape,
    terms: Vec<Condition>,
    after: &[(usize, &Value)],
    numbers: &[i64],
) -> Result<Unread, Fault> {
    bind_all(relation, shape, terms, after, numbers)
}

fn bind_all(
    relation: &'static Relation,
    shape: Shape,
    values: Vec<Condition>,
    after: &[(usize, &Value)],
    numbers: &[i64],
) -> Result<Unread, Fault> {
    let verb = shape.verb;
    let columns = match &shape.columns {
        Some(places) => Columns::copy(places),
        None => Columns::of(&relation.readable),
    };
    let plan = Plans::get(relation, shape)?;
    let values: Vec<Condition> = values
        .into_iter()
        .filter(|value| value.operator.has_value())
        .collect();
    let number = values.len() + after.len();
    let total = number + numbers.len();

    // SAFETY: palloc answers with that much memory, all of which is written. What is
    // aligned like a pointer comes first.
    unsafe {
        let size = number * size_of::<Text>() + total * (size_of::<pg_sys::Datum>() + 1);
        let texts: *mut Text = pg_sys::palloc(size).cast();
        let datums: *mut pg_sys::Datum = texts.add(number).cast();
        let nulls: *mut c_char = datums.add(total).cast();
        for (i, value) in values.iter().enumerate() {
            let field = &relation.fields[value.field];
            let oid = parameter(field, value.operator);
            let text = value.text.as_deref();
            if oid == pg_sys::UUIDOID && !text.is_none_or(is_uuid) {
                return Err(Wrong::Type(Kind::Uuid).of(field));
            }
            if let Some(datum) = text.and_then(|text| read_here(oid, text)) {
                datums.add(i).write(datum);
                nulls.add(i).write(b' ' as c_char);
                texts.add(i).write(Text::read(value.field));
                continue;
            }
            // A pattern is longer than what it matches.
            let modifier = if oid == field.type_oid {
                field.type_modifier
            } else {
                -1
            };
            let text = Text::new(value.field, oid, text, modifier);
            nulls
                .add(i)
                .write(if text.text.is_null() { b'n' } else { b' ' } as c_char);
            texts.add(i).write(text);
        }
        for (i, &(place, value)) in (values.len()..).zip(after) {
            let oid = relation.fields[place].type_oid;
            let text = match value {
                Value::Raw(bytes) => {
                    datums
                        .add(i)
                        .write(from_raw(oid, bytes).ok_or_else(not_good)?);
                    Text::read(place)
                }
                Value::Text(text) => Text::new(place, oid, Some(text), -1),
                _ => Text::new(place, oid, None, -1),
            };
            texts.add(i).write(Text {
                is_of_cursor: true,
                ..text
            });
            nulls.add(i).write(b' ' as c_char);
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
                total,
                numbers: number,
                columns,
            },
            number,
            texts,
        })
    }
}

impl Text {
    fn new(field: usize, oid: pg_sys::Oid, text: Option<&str>, modifier: i32) -> Self {
        let (mut input, mut parameter) = (pg_sys::InvalidOid, pg_sys::InvalidOid);
        // SAFETY: a look-up in the caches of the catalog.
        unsafe { pg_sys::getTypeInputInfo(oid, &raw mut input, &raw mut parameter) };
        Self {
            field,
            text: text.map_or(std::ptr::null(), in_postgres_memory),
            input,
            parameter,
            modifier,
            is_of_cursor: false,
            is_read: false,
        }
    }

    /// One that is bound already.
    fn read(field: usize) -> Self {
        Self {
            field,
            text: std::ptr::null(),
            input: pg_sys::InvalidOid,
            parameter: pg_sys::InvalidOid,
            modifier: -1,
            is_of_cursor: false,
            is_read: true,
        }
    }
}

/// The value of the types that most ids and fields have, whose own reading takes longer
/// and gives the same; `None` for the others.
fn read_here(oid: pg_sys::Oid, text: &str) -> Option<pg_sys::Datum> {
    match oid {
        pg_sys::UUIDOID => uuid::Uuid::try_parse(text).ok().map(uuid_datum),
        // In a C string, as the type reads it, a NUL would be the end.
        pg_sys::TEXTOID if !text.contains('\0') => Some(text_datum(text)),
        _ => None,
    }
}

/// A value as PostgreSQL keeps it; `None` for bytes that are none of that type.
fn from_raw(oid: pg_sys::Oid, bytes: &[u8]) -> Option<pg_sys::Datum> {
    let (mut length, mut is_by_value) = (0, false);
    // SAFETY: a look-up in the caches of the catalog.
    unsafe { pg_sys::get_typlenbyval(oid, &raw mut length, &raw mut is_by_value) };
    if is_by_value {
        let bytes = bytes.try_into().ok()?;
        return Some(pg_sys::Datum::from(usize::from_ne_bytes(bytes)));
    }
    if usize::try_from(length) != Ok(bytes.len()) {
        return None;
    }
    // SAFETY: palloc answers with that much memory.
    unsafe {
        let memory: *mut u8 = pg_sys::palloc(bytes.len()).cast();
        std::ptr::copy_nonoverlapping(bytes.as_ptr(), memory, bytes.len());
        Some(pg_sys::Datum::from(memory))
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
    /// Tells no more than so many of the columns.
    pub fn telling(mut self, told: usize) -> Self {
        self.bound.columns = self.bound.columns.telling(told);
        self
    }

    pub fn columns(&self) -> Columns {
        self.bound.columns
    }

    /// Has each type read its text.
    ///
    /// # Safety
    /// An error leaves by longjmp: nothing with a destructor may be alive in the
    /// callers' frames.
    pub unsafe fn read(&self, relation: &'static Relation) -> Bound {
        for i in 0..self.number {
            // SAFETY: `bind` has written as many.
            unsafe {
                let text = *self.texts.add(i);
                if text.is_read {
                    continue;
                }
                let datum = if text.text.is_null() {
                    pg_sys::Datum::null()
                } else {
                    let mut explaining = if text.is_of_cursor {
                        Explaining::of_cursor()
                    } else {
                        Explaining::of_conversion(relation, text.field)
                    };
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
