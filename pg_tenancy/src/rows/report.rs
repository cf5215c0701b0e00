//! What PostgreSQL says of an error that is being raised, and what we say instead.

use std::ffi::{CStr, c_char};

use pgrx::{PgLogLevel, pg_sys};

use crate::fault::{in_postgres_memory, rewrite};

/// What PostgreSQL says of an error.
pub struct Report {
    pub message: Option<String>,
    pub schema: Option<String>,
    pub table: Option<String>,
    pub column: Option<String>,
    pub constraint: Option<String>,
}

/// Puts a code and words of ours into the error that is being raised, and the field that
/// it is about, if there is one.
///
/// # Safety
/// Only in the context callback.
pub unsafe fn say(code: &str, message: &str, field: &str) {
    let message = in_postgres_memory(message);
    let field = if field.is_empty() {
        std::ptr::null()
    } else {
        in_postgres_memory(field)
    };
    // SAFETY: the caller's promise.
    unsafe { rewrite(code, message, std::ptr::null(), field) };
}

/// The names in the error that is being raised; nothing for a mere notice.
///
/// # Safety
/// Only in the context callback.
pub unsafe fn report() -> Option<Report> {
    // SAFETY: the copy goes to memory that outlives this call, and is freed.
    unsafe {
        let before = pg_sys::MemoryContextSwitchTo(pg_sys::TopTransactionContext);
        let data = pg_sys::CopyErrorData();
        pg_sys::MemoryContextSwitchTo(before);
        let report = ((*data).elevel >= PgLogLevel::ERROR as i32).then(|| Report {
            message: text((*data).message),
            schema: text((*data).schema_name),
            table: text((*data).table_name),
            column: text((*data).column_name),
            constraint: text((*data).constraint_name),
        });
        pg_sys::FreeErrorData(data);
        report
    }
}

unsafe fn text(string: *const c_char) -> Option<String> {
    // SAFETY: null, or a C string of PostgreSQL's.
    unsafe { (!string.is_null()).then(|| CStr::from_ptr(string).to_string_lossy().into_owned()) }
}
