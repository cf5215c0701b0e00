//! How a function declared in `sql/` gets its C symbols.
//!
//! pgrx would generate the SQL, too, and convert arguments and errors. Here the
//! SQL is written by hand, where what is dangerous is read first; and errors go
//! to PostgreSQL whole (see `fault`), which needs plain functions.

/// Exports `$body` as the C function `$symbol`, with the record that
/// PostgreSQL looks for beside it.
///
/// `$body` takes the call and returns `Result<Datum, Fault>`. A fault is raised
/// as an error with its own SQLSTATE, a panic as an internal error.
macro_rules! sql_function {
    ($symbol:ident, $finfo:ident, $body:path) => {
        #[unsafe(no_mangle)]
        #[pgrx::pg_guard]
        pub extern "C-unwind" fn $symbol(
            call: pgrx::pg_sys::FunctionCallInfo,
        ) -> pgrx::pg_sys::Datum {
            match $body(call) {
                Ok(datum) => datum,
                Err(fault) => fault.raise(),
            }
        }

        #[unsafe(no_mangle)]
        pub extern "C" fn $finfo() -> &'static pgrx::pg_sys::Pg_finfo_record {
            const RECORD: pgrx::pg_sys::Pg_finfo_record =
                pgrx::pg_sys::Pg_finfo_record { api_version: 1 };
            &RECORD
        }
    };
}

use std::ffi::c_char;

use pgrx::pg_sys;

use crate::fault::Fault;

/// What a function of `sql_function!` returns.
pub type Answer = Result<pg_sys::Datum, Fault>;

/// SQL's NULL, as the answer to `call`.
pub fn null(call: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    // SAFETY: PostgreSQL hands a valid, exclusive call to each function.
    unsafe { (*call).isnull = true };
    pg_sys::Datum::null()
}

/// The argument at `index`, or `None` for SQL's NULL.
pub fn argument(call: pg_sys::FunctionCallInfo, index: usize) -> Option<pg_sys::Datum> {
    // SAFETY: as above, with as many arguments as `sql/` declares; a wrong
    // index would be a mistake in this crate.
    unsafe {
        assert!(index < usize::try_from((*call).nargs).unwrap_or(0));
        let argument = (*call).args.as_slice((*call).nargs as usize)[index];
        (!argument.isnull).then_some(argument.value)
    }
}

/// The text (or json) argument at `index`, which must not be NULL: the function
/// is STRICT.
pub fn text_argument<'call>(
    call: pg_sys::FunctionCallInfo,
    index: usize,
) -> Result<&'call str, Fault> {
    let datum = argument(call, index).ok_or_else(|| Fault::internal("a NULL argument"))?;
    // SAFETY: `sql/` declares it as a varlena; what detoasting makes lives in
    // the memory of this call.
    unsafe { text(datum) }
}

/// The elements of the text[] argument at `index`, of all its dimensions, each `None` for
/// NULL; `None` for an argument that is NULL itself. (pgrx's own reading looks the type up
/// and copies each text, which took a fortieth of reading a row by its id.)
pub fn texts_argument<'call>(
    call: pg_sys::FunctionCallInfo,
    index: usize,
) -> Result<Option<Vec<Option<&'call str>>>, Fault> {
    let Some(datum) = argument(call, index) else {
        return Ok(None);
    };
    // SAFETY: `sql/` declares it as text[]; PostgreSQL allocates as many elements and marks
    // as it says, in the memory of this call.
    unsafe {
        let mut array: *mut pg_sys::varlena = datum.cast_mut_ptr();
        if !pgrx::varatt_is_4b_u(array) {
            array = pg_sys::pg_detoast_datum(array);
        }
        let mut elements = std::ptr::null_mut();
        let mut nulls = std::ptr::null_mut();
        let mut number = 0;
        pg_sys::deconstruct_array(
            array.cast(),
            pg_sys::TEXTOID,
            -1,
            false,
            pg_sys::TYPALIGN_INT as c_char,
            &raw mut elements,
            &raw mut nulls,
            &raw mut number,
        );
        let read = |i| match *nulls.add(i) {
            true => Ok(None),
            false => text(*elements.add(i)).map(Some),
        };
        (0..number as usize)
            .map(read)
            .collect::<Result<_, _>>()
            .map(Some)
    }
}

/// # Safety
/// As `content`.
unsafe fn text<'datum>(datum: pg_sys::Datum) -> Result<&'datum str, Fault> {
    // SAFETY: the caller's promise.
    let bytes = unsafe { content(datum) };
    // The install script refuses databases in other encodings than UTF-8.
    std::str::from_utf8(bytes).map_err(|_| Fault::internal("text that is not UTF-8"))
}

/// What a text, json or bytea holds, through pgrx's guard. (`rows::values` has its
/// own, without: there nothing may unwind.)
///
/// # Safety
/// The datum is one of these and not NULL; the bytes live as long as it does, or
/// as the current memory context.
pub unsafe fn content<'datum>(datum: pg_sys::Datum) -> &'datum [u8] {
    // SAFETY: the caller's promise.
    unsafe {
        let mut varlena: *mut pg_sys::varlena = datum.cast_mut_ptr();
        // What lies there as it is, as short texts do, needs no call.
        if pgrx::varatt_is_1b_e(varlena) || pgrx::varatt_is_4b_c(varlena) {
            varlena = pg_sys::pg_detoast_datum_packed(varlena);
        }
        let length = pgrx::varsize_any_exhdr(varlena);
        std::slice::from_raw_parts(pgrx::vardata_any(varlena).cast::<u8>(), length)
    }
}

/// The uuid argument at `index`, or `None` for SQL's NULL.
pub fn uuid_argument(call: pg_sys::FunctionCallInfo, index: usize) -> Option<uuid::Uuid> {
    // SAFETY: `sql/` declares it as a uuid: a pointer to 16 bytes.
    argument(call, index)
        .map(|datum| uuid::Uuid::from_bytes(unsafe { *datum.cast_mut_ptr::<[u8; 16]>() }))
}

/// A uuid as a datum, in the current memory context.
pub fn uuid_datum(id: uuid::Uuid) -> pg_sys::Datum {
    // SAFETY: palloc answers with that much memory, or doesn't return.
    unsafe {
        let memory = pg_sys::palloc(16).cast::<[u8; 16]>();
        memory.write(id.into_bytes());
        pg_sys::Datum::from(memory)
    }
}

/// A text as a datum, in the current memory context.
pub fn text_datum(text: &str) -> pg_sys::Datum {
    // PostgreSQL's texts hold no NUL.
    if text.contains('\0') {
        return text_datum(&text.replace('\0', "\u{fffd}"));
    }
    // SAFETY: as many bytes as the text has, of which a text can't have too many.
    unsafe {
        let text = pg_sys::cstring_to_text_with_len(text.as_ptr().cast(), text.len() as i32);
        pg_sys::Datum::from(text)
    }
}
