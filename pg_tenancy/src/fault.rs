//! Errors of our own: an SQLSTATE of class TN, and a sentence for a person.
//!
//! pgrx knows PostgreSQL's codes alone, and what it catches on the way it raises
//! again without the names of constraint and column. So a fault goes to
//! `ereport` directly. That ends in a longjmp to PostgreSQL's own handler, past
//! all Rust frames below it: nothing that has a destructor may be alive there.
//!
//! Every code stands in the register in `pg_tenancy/README.md`.

use std::borrow::Cow;
use std::ffi::{CStr, CString, c_char, c_int};

use pgrx::{PgLogLevel, pg_sys};

/// Why a call is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub code: &'static str,
    pub message: Cow<'static, str>,
    pub hint: Option<Cow<'static, str>>,
    /// The JSON field that it is about.
    pub field: Option<String>,
}

impl Fault {
    pub fn new(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            message: message.into(),
            hint: None,
            field: None,
        }
    }

    /// Something that can't happen, unless this crate is wrong.
    pub fn internal(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new("XX000", message)
    }

    pub fn hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub fn field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// Says that it is about the row of that place among several.
    pub fn in_row(mut self, row: usize) -> Self {
        self.message = format!("row {row}: {}", self.message).into();
        self.field = Some(match self.field {
            Some(field) => format!("{row}.{field}"),
            None => row.to_string(),
        });
        self
    }

    /// Raises it as an error of PostgreSQL.
    pub fn raise(self) -> ! {
        let code = self.code;
        let message = in_postgres_memory(&self.message);
        let hint = self
            .hint
            .as_deref()
            .map_or(std::ptr::null(), in_postgres_memory);
        let field = self
            .field
            .as_deref()
            .map_or(std::ptr::null(), in_postgres_memory);
        // Everything above is copied; nothing with a destructor is left.
        drop(self);
        // SAFETY: the strings live in PostgreSQL's memory and end in NUL.
        unsafe { report(PgLogLevel::ERROR as c_int, code, message, hint, field) }
        unreachable!("an error came back")
    }
}

/// Tells the client a warning, and goes on.
pub fn warn(code: &'static str, message: &str, hint: &str) {
    let (message, hint) = (in_postgres_memory(message), in_postgres_memory(hint));
    // SAFETY: as above.
    unsafe {
        report(
            PgLogLevel::WARNING as c_int,
            code,
            message,
            hint,
            std::ptr::null(),
        )
    }
}

/// The number that PostgreSQL packs a code of five characters into.
pub fn sqlstate(code: &str) -> c_int {
    code.bytes()
        .take(5)
        .enumerate()
        .fold(0, |packed, (i, byte)| {
            packed | (c_int::from(byte.wrapping_sub(b'0') & 0x3F) << (6 * i))
        })
}

/// A copy that ends in NUL, freed with the current memory context.
pub fn in_postgres_memory(text: &str) -> *const c_char {
    let text = CString::new(text.replace('\0', "\u{fffd}")).unwrap_or_default();
    // SAFETY: pstrdup copies a C string.
    unsafe { pg_sys::pstrdup(text.as_ptr()) }
}

// Declared again, without the guard that pgrx puts around them: that one turns
// an error into a panic, and drops what it can't hold.
unsafe extern "C-unwind" {
    fn errstart(elevel: c_int, domain: *const c_char) -> bool;
    fn errcode(sqlerrcode: c_int) -> c_int;
    fn errmsg_internal(format: *const c_char, ...) -> c_int;
    fn errhidestmt(hide_stmt: bool) -> c_int;
    fn errhint(format: *const c_char, ...) -> c_int;
    fn err_generic_string(field: c_int, text: *const c_char) -> c_int;
    fn errfinish(file: *const c_char, line: c_int, function: *const c_char);
}

const AS_IT_IS: &CStr = c"%s";
/// `PG_DIAG_COLUMN_NAME` of postgres_ext.h.
const COLUMN_NAME: c_int = b'c' as c_int;

unsafe fn report(
    level: c_int,
    code: &'static str,
    message: *const c_char,
    hint: *const c_char,
    field: *const c_char,
) {
    // SAFETY: the order that ereport() has; the format takes one string.
    unsafe {
        if errstart(level, std::ptr::null()) {
            rewrite(code, message, hint, field);
            // The text of a call that was given a key may hold one.
            if code.starts_with("TN50") {
                errhidestmt(true);
            }
            errfinish(c"pg_tenancy".as_ptr(), 0, std::ptr::null());
        }
    }
}

/// Puts another code and other words into the error that is being raised.
///
/// # Safety
/// Only between `errstart` and the end of `errfinish`, thus also in an error
/// context callback. The strings end in NUL; those that are null are left alone.
pub unsafe fn rewrite(
    code: &str,
    message: *const c_char,
    hint: *const c_char,
    field: *const c_char,
) {
    // SAFETY: the caller's promise.
    unsafe {
        errcode(sqlstate(code));
        reword(message, hint, field);
    }
}

/// Puts other words into the error that is being raised.
///
/// # Safety
/// As `rewrite`.
pub unsafe fn reword(message: *const c_char, hint: *const c_char, field: *const c_char) {
    // SAFETY: the caller's promise.
    unsafe {
        errmsg_internal(AS_IT_IS.as_ptr(), message);
        if !hint.is_null() {
            errhint(AS_IT_IS.as_ptr(), hint);
        }
        if !field.is_null() {
            err_generic_string(COLUMN_NAME, field);
        }
    }
}
