//! The words that a setting takes, in the form in which PostgreSQL reads them.

use std::ffi::{CStr, c_int};
use std::ptr;

use pgrx::pg_sys;

use super::{DirectReads, EMPTY_OR_ALLOW, ERROR_OR_REFUSE, NewTables};

/// Arrays for PostgreSQL, which reads them as long as the backend lives.
pub struct Options<const LENGTH: usize>(pub [pg_sys::config_enum_entry; LENGTH]);
// SAFETY: they are never written.
unsafe impl<const LENGTH: usize> Sync for Options<LENGTH> {}

const fn option(name: &'static CStr, value: c_int) -> pg_sys::config_enum_entry {
    pg_sys::config_enum_entry {
        name: name.as_ptr(),
        val: value,
        hidden: false,
    }
}

const END: pg_sys::config_enum_entry = pg_sys::config_enum_entry {
    name: ptr::null(),
    val: 0,
    hidden: false,
};

pub static ON_MISSING_CONTEXT: Options<3> = Options([
    option(c"error", ERROR_OR_REFUSE),
    option(c"empty", EMPTY_OR_ALLOW),
    END,
]);
pub static ON_EXPLAIN: Options<3> = Options([
    option(c"refuse", ERROR_OR_REFUSE),
    option(c"allow", EMPTY_OR_ALLOW),
    END,
]);
pub static ON_DIRECT_READS: Options<4> = Options([
    option(c"auto", DirectReads::Auto as c_int),
    option(c"always", DirectReads::Always as c_int),
    option(c"never", DirectReads::Never as c_int),
    END,
]);
pub static ON_NEW_TABLES: Options<5> = Options([
    option(c"ignore", NewTables::Ignore as c_int),
    option(c"warn", NewTables::Warn as c_int),
    option(c"refuse", NewTables::Refuse as c_int),
    option(c"isolate", NewTables::Isolate as c_int),
    END,
]);
