//! Rows as JSON, written from PostgreSQL's tuples.
//!
//! PostgreSQL's json_agg took longer for a page of twenty rows than the query
//! itself. The common types are written here; every other one by its own output
//! function, as a string.
//!
//! PostgreSQL is called without pgrx's guard (see `plan`): nothing here has a
//! destructor.

use pgrx::pg_sys;

use crate::rows::columns::Columns;
use crate::rows::include::Includes;
use crate::rows::json::Json;
use crate::rows::plan::Found;
use crate::rows::reader::Reader;
use crate::rows::relation::{Field, Relation};
use crate::rows::times;
use crate::rows::types::Kind;

unsafe extern "C-unwind" {
    fn pg_detoast_datum_packed(datum: *mut pg_sys::varlena) -> *mut pg_sys::varlena;
    fn pg_detoast_datum(datum: *mut pg_sys::varlena) -> *mut pg_sys::varlena;
    fn OidOutputFunctionCall(function: pg_sys::Oid, value: pg_sys::Datum) -> *mut std::ffi::c_char;
    fn numeric_out(call: pg_sys::FunctionCallInfo) -> pg_sys::Datum;
    fn float8out(call: pg_sys::FunctionCallInfo) -> pg_sys::Datum;
    fn float4out(call: pg_sys::FunctionCallInfo) -> pg_sys::Datum;
    fn DirectFunctionCall1Coll(
        function: unsafe extern "C-unwind" fn(pg_sys::FunctionCallInfo) -> pg_sys::Datum,
        collation: pg_sys::Oid,
        argument: pg_sys::Datum,
    ) -> pg_sys::Datum;
    fn getTypeOutputInfo(oid: pg_sys::Oid, function: *mut pg_sys::Oid, is_varlena: *mut bool);
    fn get_typlenbyvalalign(
        oid: pg_sys::Oid,
        length: *mut i16,
        is_by_value: *mut bool,
        alignment: *mut std::ffi::c_char,
    );
    fn deconstruct_array(
        array: *mut pg_sys::ArrayType,
        element: pg_sys::Oid,
        length: std::ffi::c_int,
        is_by_value: bool,
        alignment: std::ffi::c_char,
        values: *mut *mut pg_sys::Datum,
        nulls: *mut *mut bool,
        number: *mut std::ffi::c_int,
    );
}

impl Json {
    /// The rows of a result of these columns of the relation, with commas, and in each
    /// what its references lead to.
    ///
    /// # Safety
    /// As for `plan::run`; `found` holds such rows.
    pub unsafe fn rows(
        &mut self,
        relation: &'static Relation,
        chosen: Columns,
        found: Found,
        includes: Includes,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            let mut reader = Reader::of(relation, chosen, found);
            for row in 0..found.number {
                if row > 0 {
                    self.push(b",");
                }
                reader.read(row);
                self.row(&reader, includes);
            }
        }
    }

    /// The one that the reader is at.
    ///
    /// # Safety
    /// As `rows`.
    pub unsafe fn row(&mut self, reader: &Reader, includes: Includes) {
        // SAFETY: the caller's promise.
        unsafe {
            for (column, &place) in reader.chosen.told().iter().enumerate() {
                let field = &reader.relation.fields[place];
                self.push(if column == 0 { b"{" } else { b"," });
                self.push(field.label.as_bytes());
                match reader.value(column) {
                    Some(value) => self.field(field, value),
                    None => self.push(b"null"),
                }
            }
            includes.write(self, reader);
            self.push(b"}");
        }
    }

    unsafe fn field(&mut self, field: &Field, value: pg_sys::Datum) {
        // SAFETY: the value is of that column's type.
        unsafe { self.value(field.kind, field.type_oid, value) }
    }

    /// # Safety
    /// `value` is of type `oid`, of that kind, and not NULL.
    pub unsafe fn value(&mut self, kind: Kind, oid: pg_sys::Oid, value: pg_sys::Datum) {
        // SAFETY: the caller's promise; by-value types are in the datum itself.
        unsafe {
            match kind {
                Kind::Text => {
                    let bytes = content(value);
                    self.string(bytes);
                }
                Kind::Uuid => {
                    let id = uuid::Uuid::from_bytes(*value.cast_mut_ptr::<[u8; 16]>());
                    let mut text = [0; 36];
                    id.hyphenated().encode_lower(&mut text);
                    self.quoted(&text);
                }
                Kind::Bool => self.push(if value.value() & 1 == 1 {
                    b"true"
                } else {
                    b"false"
                }),
                Kind::Int16 => self.number(value.value() as i16),
                Kind::Int32 => self.number(value.value() as i32),
                Kind::Int64 => self.number(value.value() as i64),
                Kind::TimestampTz => match times::instant(value.value() as i64) {
                    Some(time) => self.quoted(&time.utc()),
                    None => self.by_output(oid, value),
                },
                Kind::Timestamp => match times::instant(value.value() as i64) {
                    Some(time) => self.quoted(&time.digits()),
                    None => self.by_output(oid, value),
                },
                Kind::Date => match times::day(value.value() as i32) {
                    Some(day) => self.quoted(&day.digits()),
                    None => self.by_output(oid, value),
                },
                Kind::Float | Kind::Numeric => {
                    let text = number(oid, value);
                    // NaN and the infinities are no numbers in JSON.
                    if text.last().is_some_and(u8::is_ascii_digit) {
                        self.push(text);
                    } else {
                        self.string(text);
                    }
                }
                Kind::Json if oid == pg_sys::JSONOID => {
                    let bytes = content(value);
                    self.push(bytes);
                }
                Kind::Json => self.push(output(oid, value)),
                Kind::Array(element) => self.array(element, value),
                Kind::Other => self.by_output(oid, value),
            }
        }
    }

    unsafe fn by_output(&mut self, oid: pg_sys::Oid, value: pg_sys::Datum) {
        // SAFETY: as `value`.
        let text = unsafe { output(oid, value) };
        self.string(text);
    }

    unsafe fn array(&mut self, element: pg_sys::Oid, value: pg_sys::Datum) {
        // SAFETY: the value is an array of that element type.
        unsafe {
            let array: *mut pg_sys::ArrayType = pg_detoast_datum(value.cast_mut_ptr()).cast();
            let (mut length, mut is_by_value, mut alignment) = (0, false, 0);
            get_typlenbyvalalign(
                element,
                &raw mut length,
                &raw mut is_by_value,
                &raw mut alignment,
            );
            let mut values = std::ptr::null_mut();
            let mut nulls = std::ptr::null_mut();
            let mut number = 0;
            deconstruct_array(
                array,
                element,
                length.into(),
                is_by_value,
                alignment,
                &raw mut values,
                &raw mut nulls,
                &raw mut number,
            );
            let dimensions = (*array).ndim as usize;
            if dimensions == 0 {
                self.push(b"[]");
                return;
            }
            // The lengths of the dimensions follow the header.
            let lengths: *const i32 = array.add(1).cast();
            let kind = Kind::of(element, pg_sys::InvalidOid);
            for i in 0..number as usize {
                // Where an element begins or ends an inner array, its brackets stand.
                let mut size = 1;
                let mut depth = 0;
                for dimension in (0..dimensions).rev() {
                    size *= *lengths.add(dimension) as usize;
                    depth += usize::from(i % size == 0);
                }
                if i > 0 {
                    self.push(b",");
                }
                (0..depth).for_each(|_| self.push(b"["));
                if *nulls.add(i) {
                    self.push(b"null");
                } else {
                    self.value(kind, element, *values.add(i));
                }
                let mut size = 1;
                for dimension in (0..dimensions).rev() {
                    size *= *lengths.add(dimension) as usize;
                    if (i + 1) % size == 0 {
                        self.push(b"]");
                    }
                }
            }
        }
    }
}

/// What a text or json holds.
unsafe fn content<'row>(value: pg_sys::Datum) -> &'row [u8] {
    // SAFETY: the caller has a varlena; the bytes live as long as the result.
    unsafe {
        let varlena = pg_detoast_datum_packed(value.cast_mut_ptr());
        std::slice::from_raw_parts(
            pgrx::vardata_any(varlena).cast::<u8>(),
            pgrx::varsize_any_exhdr(varlena),
        )
    }
}

/// The same for PostgreSQL's own types of numbers, whose function need not be looked up.
unsafe fn number<'row>(oid: pg_sys::Oid, value: pg_sys::Datum) -> &'row [u8] {
    let function = match oid {
        pg_sys::NUMERICOID => numeric_out,
        pg_sys::FLOAT8OID => float8out,
        _ => float4out,
    };
    // SAFETY: as `output`.
    unsafe {
        let text = DirectFunctionCall1Coll(function, pg_sys::InvalidOid, value);
        std::ffi::CStr::from_ptr(text.cast_mut_ptr()).to_bytes()
    }
}

/// What the type's own output function writes.
pub unsafe fn output<'row>(oid: pg_sys::Oid, value: pg_sys::Datum) -> &'row [u8] {
    // SAFETY: the caller has a value of that type; the answer ends in NUL.
    unsafe {
        let (mut function, mut is_varlena) = (pg_sys::InvalidOid, false);
        getTypeOutputInfo(oid, &raw mut function, &raw mut is_varlena);
        std::ffi::CStr::from_ptr(OidOutputFunctionCall(function, value)).to_bytes()
    }
}
