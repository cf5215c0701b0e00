//! What a page's rows refer to, written into them: `"project": {…}`.
//!
//! One more statement for each reference, with the page's ids, and no join: the page
//! itself is planned as without. It runs as the caller, so what the caller may not
//! see is null.

use pgrx::pg_sys;

use crate::fault::{self, Fault};
use crate::rows::bind::bind;
use crate::rows::columns::in_postgres_memory;
use crate::rows::filter::{Condition, Operator};
use crate::rows::json::Json;
use crate::rows::ordering::Storage;
use crate::rows::plan::{Bound, Found, execute};
use crate::rows::reader::Reader;
use crate::rows::references::Include;
use crate::rows::relation::Relation;
use crate::rows::statement::{Shape, Verb};

/// What is included in the rows of a page, in PostgreSQL's memory.
#[derive(Clone, Copy)]
pub struct Includes {
    items: *mut Item,
    number: usize,
}

#[derive(Clone, Copy)]
struct Item {
    /// `,"project":`, which ends in NUL.
    label: *const std::ffi::c_char,
    /// Where the id is in the page's rows.
    column: usize,
    target: &'static Relation,
    bound: Bound,
    /// Where the id is in the target's rows.
    matched: usize,
    id: Id,
    /// What was found, and the ids in it.
    rows: Option<Reader>,
    ids: *mut pg_sys::Datum,
    number: usize,
}

/// The type of an id.
#[derive(Clone, Copy)]
struct Id {
    oid: pg_sys::Oid,
    length: i16,
    is_by_value: bool,
    alignment: std::ffi::c_char,
    /// By which two that differ in their bytes may be the same.
    equal: Option<pg_sys::Oid>,
    collation: pg_sys::Oid,
}

unsafe extern "C-unwind" {
    fn palloc(size: usize) -> *mut u8;
    fn SPI_getbinval(
        tuple: pg_sys::HeapTuple,
        descriptor: pg_sys::TupleDesc,
        column: std::ffi::c_int,
        is_null: *mut bool,
    ) -> pg_sys::Datum;
    fn construct_array(
        elements: *mut pg_sys::Datum,
        number: std::ffi::c_int,
        element: pg_sys::Oid,
        length: std::ffi::c_int,
        is_by_value: bool,
        alignment: std::ffi::c_char,
    ) -> *mut pg_sys::ArrayType;
    fn datum_image_eq(
        one: pg_sys::Datum,
        other: pg_sys::Datum,
        is_by_value: bool,
        length: std::ffi::c_int,
    ) -> bool;
    fn OidFunctionCall2Coll(
        function: pg_sys::Oid,
        collation: pg_sys::Oid,
        one: pg_sys::Datum,
        other: pg_sys::Datum,
    ) -> pg_sys::Datum;
}

impl Includes {
    pub fn none() -> Self {
        Self {
            items: std::ptr::null_mut(),
            number: 0,
        }
    }

    pub fn are_none(&self) -> bool {
        self.number == 0
    }

    /// For pages of rows with these columns, among which are those of the references.
    pub fn bind(wanted: &[Include], columns: &[usize]) -> Result<Self, Fault> {
        if wanted.is_empty() {
            return Ok(Self::none());
        }
        let mut items = Vec::new();
        for include in wanted {
            items.push(Item::bind(include, columns)?);
        }
        Ok(Self {
            items: in_postgres_memory(&items).as_ptr().cast_mut(),
            number: items.len(),
        })
    }

    /// Finds what these rows refer to.
    ///
    /// # Safety
    /// As `plan::execute`.
    pub unsafe fn load(&self, pages: &[Found]) {
        for i in 0..self.number {
            // SAFETY: the caller's promise; there are as many.
            unsafe { (*self.items.add(i)).load(pages) };
        }
    }

    /// Writes what the row refers to that the reader is at.
    ///
    /// # Safety
    /// After `load` of its page.
    pub unsafe fn write(&self, json: &mut Json, row: &Reader) {
        for i in 0..self.number {
            // SAFETY: the caller's promise.
            unsafe {
                let item = &mut *self.items.add(i);
                json.push(std::ffi::CStr::from_ptr(item.label).to_bytes());
                let place = row.value(item.column).and_then(|id| item.find(id));
                match (place, &mut item.rows) {
                    (Some(place), Some(rows)) => {
                        rows.read(place);
                        json.row(rows, Self::none());
                    }
                    _ => json.push(b"null"),
                }
            }
        }
    }
}

impl Item {
    fn bind(include: &Include, columns: &[usize]) -> Result<Self, Fault> {
        let target = include.target;
        let mut chosen = target.readable.clone();
        let matched = position_or_add(&mut chosen, include.matched);
        let condition = Condition {
            field: include.matched,
            operator: Operator::In,
            text: None,
        };
        let shape = Shape {
            columns: Some(chosen),
            ..Shape::of(Verb::Include, std::slice::from_ref(&condition))
        };
        let unread = bind(target, shape, vec![condition], &[], &[])?;
        let field = &target.fields[include.matched];
        let mut id = Id {
            oid: field.type_oid,
            length: 0,
            is_by_value: false,
            alignment: 0,
            equal: None,
            collation: include.collation,
        };
        let label = format!(",{}:", serde_json::Value::from(include.name.as_str()));
        // SAFETY: look-ups in the caches of the catalog. The one value of the
        // statement is put in by `load`.
        unsafe {
            pg_sys::get_typlenbyvalalign(
                id.oid,
                &raw mut id.length,
                &raw mut id.is_by_value,
                &raw mut id.alignment,
            );
            if !matches!(field.storage, Storage::ByValue | Storage::Fixed(_)) {
                let equal = pg_sys::TYPECACHE_EQ_OPR as i32;
                let known = pg_sys::lookup_type_cache(id.oid, equal);
                id.equal = Some(pg_sys::get_opcode((*known).eq_opr));
            }
            Ok(Self {
                label: fault::in_postgres_memory(&label),
                column: columns
                    .iter()
                    .position(|place| *place == include.field)
                    .ok_or_else(|| Fault::internal("an include without its reference"))?,
                target,
                bound: unread.telling(target.readable.len()).read(target),
                matched,
                id,
                rows: None,
                ids: std::ptr::null_mut(),
                number: 0,
            })
        }
    }

    unsafe fn load(&mut self, pages: &[Found]) {
        let rows: u64 = pages.iter().map(|page| page.number).sum();
        if rows == 0 {
            return;
        }
        // SAFETY: the arrays have a place for each row; what they hold are values of
        // rows that are there until SPI_finish.
        unsafe {
            let wanted: *mut pg_sys::Datum =
                palloc(rows as usize * size_of::<pg_sys::Datum>()).cast();
            let mut number = 0;
            for page in pages {
                for row in 0..page.number {
                    let Some(id) = value(*page, row, self.column) else {
                        continue;
                    };
                    let known = std::slice::from_raw_parts(wanted, number);
                    if !known.iter().any(|known| self.id.has_bytes(*known, id)) {
                        wanted.add(number).write(id);
                        number += 1;
                    }
                }
            }
            if number == 0 {
                return;
            }
            let id = self.id;
            let array = construct_array(
                wanted,
                number as std::ffi::c_int,
                id.oid,
                id.length.into(),
                id.is_by_value,
                id.alignment,
            );
            self.bound.values.write(pg_sys::Datum::from(array));
            self.bound.nulls.write(b' ' as std::ffi::c_char);
            let found = execute(self.bound, self.target);
            self.rows = Some(Reader::of(self.target, self.bound.columns, found));
            self.number = found.number as usize;
            self.ids = palloc(self.number * size_of::<pg_sys::Datum>()).cast();
            for row in 0..found.number {
                let id = value(found, row, self.matched).unwrap_or(pg_sys::Datum::null());
                self.ids.add(row as usize).write(id);
            }
        }
    }

    /// The row with that id.
    unsafe fn find(&self, id: pg_sys::Datum) -> Option<u64> {
        if self.number == 0 {
            return None;
        }
        // SAFETY: written by `load`, none of them NULL, because it is compared with.
        unsafe {
            let ids = std::slice::from_raw_parts(self.ids, self.number);
            let mut place = ids.iter().position(|found| self.id.has_bytes(*found, id));
            if let (None, Some(equal)) = (place, self.id.equal) {
                place = ids.iter().position(|found| {
                    OidFunctionCall2Coll(equal, self.id.collation, *found, id).value() & 1 == 1
                });
            }
            place.map(|place| place as u64)
        }
    }
}

impl Id {
    unsafe fn has_bytes(&self, one: pg_sys::Datum, other: pg_sys::Datum) -> bool {
        // SAFETY: both are values of the type.
        unsafe { datum_image_eq(one, other, self.is_by_value, self.length.into()) }
    }
}

/// The value in a column, from 0, of a row, from 0.
unsafe fn value(found: Found, row: u64, column: usize) -> Option<pg_sys::Datum> {
    // SAFETY: the caller's promise.
    unsafe {
        let tuple = *(*found.table).vals.add(row as usize);
        let mut is_null = false;
        let column = column as std::ffi::c_int + 1;
        let value = SPI_getbinval(tuple, (*found.table).tupdesc, column, &raw mut is_null);
        (!is_null).then_some(value)
    }
}

/// Where it is in the list, at whose end it is put if it isn't there.
pub fn position_or_add(places: &mut Vec<usize>, place: usize) -> usize {
    let known = places.iter().position(|known| *known == place);
    known.unwrap_or_else(|| {
        places.push(place);
        places.len() - 1
    })
}
