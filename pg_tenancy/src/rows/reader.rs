//! Rows of a result, read one after the other.
//!
//! PostgreSQL is called without pgrx's guard (see `plan`): nothing here has a
//! destructor.

use pgrx::pg_sys;

use crate::rows::columns::Columns;
use crate::rows::cursor;
use crate::rows::json::Json;
use crate::rows::ordering::Storage;
use crate::rows::plan::{Found, changed_under_way};
use crate::rows::relation::{Field, Relation};
use crate::rows::values::output;

unsafe extern "C-unwind" {
    fn palloc(size: usize) -> *mut u8;
    fn heap_deform_tuple(
        tuple: pg_sys::HeapTuple,
        descriptor: pg_sys::TupleDesc,
        values: *mut pg_sys::Datum,
        nulls: *mut bool,
    );
    fn SPI_gettypeid(descriptor: pg_sys::TupleDesc, column: std::ffi::c_int) -> pg_sys::Oid;
}

/// Where one is in a result.
#[derive(Clone, Copy)]
pub struct Reader {
    pub relation: &'static Relation,
    pub chosen: Columns,
    table: *mut pg_sys::SPITupleTable,
    values: *mut pg_sys::Datum,
    nulls: *mut bool,
}

impl Reader {
    /// Of rows that come one by one, see `take`.
    ///
    /// # Safety
    /// As `Json::rows`.
    pub unsafe fn new(relation: &'static Relation, chosen: Columns) -> Self {
        let places = chosen.as_slice();
        // SAFETY: the caller's promise; the arrays have a place for each column.
        unsafe {
            Self {
                relation,
                chosen,
                table: std::ptr::null_mut(),
                values: palloc(size_of_val(places)).cast(),
                nulls: palloc(places.len()).cast(),
            }
        }
    }

    /// # Safety
    /// As `Json::rows`.
    pub unsafe fn of(relation: &'static Relation, chosen: Columns, found: Found) -> Self {
        let places = chosen.as_slice();
        // SAFETY: the caller's promise; the arrays have a place for each column.
        unsafe {
            // A value must not be read as what its column was.
            let descriptor = (*found.table).tupdesc;
            let mut types = places.iter().zip(1..);
            if (*descriptor).natts as usize != places.len()
                || !types.all(|(&place, column)| {
                    SPI_gettypeid(descriptor, column) == relation.fields[place].declared_oid
                })
            {
                changed_under_way();
            }
            Self {
                table: found.table,
                ..Self::new(relation, chosen)
            }
        }
    }

    /// Takes these columns of a table's row, for those that were chosen.
    ///
    /// # Safety
    /// There are as many, and they have been read.
    pub unsafe fn take(
        &mut self,
        slot: *mut pg_sys::TupleTableSlot,
        attributes: &[pg_sys::AttrNumber],
    ) {
        for (column, &attribute) in attributes.iter().enumerate() {
            let at = attribute as usize - 1;
            // SAFETY: the caller's promise.
            unsafe {
                self.values.add(column).write(*(*slot).tts_values.add(at));
                self.nulls.add(column).write(*(*slot).tts_isnull.add(at));
            }
        }
    }

    /// Goes to the row of that number, from 0.
    ///
    /// # Safety
    /// There is one, of those found.
    pub unsafe fn read(&mut self, row: u64) {
        // SAFETY: the tuples are the table's own.
        unsafe {
            let table = self.table;
            let tuple = *(*table).vals.add(row as usize);
            heap_deform_tuple(tuple, (*table).tupdesc, self.values, self.nulls);
        }
    }

    /// The value in the column of that number, from 0; `None` for NULL.
    pub fn value(&self, column: usize) -> Option<pg_sys::Datum> {
        assert!(column < self.chosen.as_slice().len());
        // SAFETY: written by `read`.
        unsafe { (!*self.nulls.add(column)).then(|| *self.values.add(column)) }
    }
}

impl Json {
    /// A value of a row by which lists are sorted, as a cursor has it.
    ///
    /// # Safety
    /// As `rows`; the value is of that field.
    pub unsafe fn sort_value(&mut self, field: &Field, value: Option<pg_sys::Datum>) {
        let Some(value) = value else {
            self.push(&[cursor::NULL]);
            return;
        };
        // SAFETY: the caller's promise.
        unsafe {
            let own = value.value().to_ne_bytes();
            let (kind, bytes) = match field.storage {
                Storage::ByValue => (cursor::RAW, &own[..]),
                Storage::Fixed(length) => {
                    let memory: *const u8 = value.cast_mut_ptr();
                    (cursor::RAW, std::slice::from_raw_parts(memory, length))
                }
                Storage::Text | Storage::TextBySettings => {
                    (cursor::TEXT, output(field.type_oid, value))
                }
            };
            self.push(&[kind]);
            self.push(&(bytes.len() as u32).to_le_bytes());
            self.push(bytes);
        }
    }
}
