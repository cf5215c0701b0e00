//! Holds a transaction to `transaction_read_only` while its context can only read.
//!
//! PostgreSQL refuses SET TRANSACTION READ WRITE once a query has run, but not
//! RESET, SET … TO DEFAULT or `set_config(…, null, …)`: these take the value that
//! the setting was reset to, and ask no check hook. So for as long as the context
//! lasts that value is "on".

use std::cell::Cell;
use std::ffi::CStr;
use std::ptr;

use pgrx::pg_sys;

const NAME: &CStr = c"transaction_read_only";

single! {
    static SETTING: Cell<*mut pg_sys::config_bool> = Cell::new(ptr::null_mut());
    /// What a reset gave before; `None` while nothing is held.
    static RESET_BEFORE: Cell<Option<bool>> = Cell::new(None);
}

/// Holds it, or lets go. Called by the assign hook of the context, so it may not fail.
pub fn pin(is_read_only: bool) {
    let before = RESET_BEFORE.get();
    if is_read_only == before.is_some() {
        return;
    }
    let setting = setting();
    if setting.is_null() {
        return;
    }
    // SAFETY: PostgreSQL's own record of that setting, which stays where it is.
    unsafe {
        RESET_BEFORE.set(is_read_only.then_some((*setting).reset_val));
        (*setting).reset_val = before.unwrap_or(true);
    }
}

fn setting() -> *mut pg_sys::config_bool {
    if SETTING.get().is_null() {
        SETTING.set(look_for_setting());
    }
    SETTING.get()
}

fn look_for_setting() -> *mut pg_sys::config_bool {
    // SAFETY: PostgreSQL's own array of its own length; what has that name is a bool.
    unsafe {
        #[cfg(feature = "pg15")]
        let (variables, number) = (pg_sys::get_guc_variables(), pg_sys::GetNumConfigOptions());
        #[cfg(not(feature = "pg15"))]
        let (variables, number) = {
            let mut number = 0;
            (pg_sys::get_guc_variables(&raw mut number), number)
        };
        let variables = std::slice::from_raw_parts(variables, usize::try_from(number).unwrap_or(0));
        variables
            .iter()
            .find(|&&variable| CStr::from_ptr((*variable).name) == NAME)
            .map_or(ptr::null_mut(), |variable| variable.cast())
    }
}
