//! A row that a function returns, as JSON.

use std::ffi::CStr;

use pgrx::pg_sys;

use crate::rows::json::Json;
use crate::rows::relation::camel_case;
use crate::rows::types::Kind;

unsafe extern "C-unwind" {
    fn palloc(size: usize) -> *mut u8;
    fn pg_detoast_datum(datum: *mut pg_sys::varlena) -> *mut pg_sys::varlena;
    fn lookup_rowtype_tupdesc_copy(oid: pg_sys::Oid, modifier: i32) -> pg_sys::TupleDesc;
    fn heap_deform_tuple(
        tuple: pg_sys::HeapTuple,
        descriptor: pg_sys::TupleDesc,
        values: *mut pg_sys::Datum,
        nulls: *mut bool,
    );
}

impl Json {
    /// An object, its fields named as the row functions name columns.
    ///
    /// # Safety
    /// The value is a row. Nothing with a destructor may be alive in the callers'
    /// frames.
    pub unsafe fn composite(&mut self, value: pg_sys::Datum) {
        // SAFETY: a row has a header that says of which type it is; the arrays have a
        // place for each of its columns.
        unsafe {
            let header: pg_sys::HeapTupleHeader = pg_detoast_datum(value.cast_mut_ptr()).cast();
            let fields = (*header).t_choice.t_datum;
            let descriptor = lookup_rowtype_tupdesc_copy(fields.datum_typeid, fields.datum_typmod);
            let number = (*descriptor).natts as usize;
            let mut tuple = pg_sys::HeapTupleData {
                t_len: pgrx::varsize_any(header.cast()) as u32,
                t_data: header,
                ..Default::default()
            };
            let values: *mut pg_sys::Datum = palloc(number * size_of::<pg_sys::Datum>()).cast();
            let nulls: *mut bool = palloc(number).cast();
            heap_deform_tuple(&raw mut tuple, descriptor, values, nulls);

            let mut separator: &[u8] = b"{";
            for i in 0..number {
                #[cfg(not(feature = "pg18"))]
                let column = &(*descriptor).attrs.as_slice(number)[i];
                #[cfg(feature = "pg18")]
                let column = &*pg_sys::TupleDescAttr(descriptor, i as i32);
                if column.attisdropped {
                    continue;
                }
                self.push(separator);
                separator = b",";
                self.label(CStr::from_ptr(column.attname.data.as_ptr()));
                if *nulls.add(i) {
                    self.push(b"null");
                } else {
                    let base = pg_sys::getBaseType(column.atttypid);
                    let kind = Kind::of(base, pg_sys::get_element_type(base));
                    self.value(kind, base, *values.add(i));
                }
            }
            self.push(if separator == b"{" { b"{}" } else { b"}" });
        }
    }

    fn label(&mut self, column: &CStr) {
        let name = camel_case(&column.to_string_lossy());
        self.string(name.as_bytes());
        self.push(b":");
    }
}
