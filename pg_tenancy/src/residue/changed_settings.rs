//! Settings that a transaction changes for the session. A function can do that, too,
//! so they are compared: as it entered, and before it commits.

use std::cell::RefCell;
use std::ffi::CStr;

use pgrx::pg_sys;

thread_local! {
    /// Settings that were changed for the session before the context was set, or
    /// before the first change that this transaction made in it.
    static BEFORE: RefCell<Option<Vec<Setting>>> = const { RefCell::new(None) };
}

#[derive(PartialEq)]
struct Setting {
    name: String,
    value: String,
}

/// Notes which settings this transaction has changed for the session until now.
/// The first time counts.
pub fn remember() {
    let is_known = BEFORE.with_borrow(Option::is_some);
    if !is_known {
        let changed = changed();
        BEFORE.set(Some(changed));
    }
}

/// The name of a setting that was changed since then, if one was.
pub fn added() -> Option<String> {
    // They stay noted: what is asked before the end may be changed after it.
    BEFORE.with_borrow(|before| {
        let before = before.as_ref()?;
        changed()
            .into_iter()
            .find(|setting| !before.contains(setting))
            .map(|setting| setting.name)
    })
}

/// For the end of a transaction.
pub fn forget() {
    BEFORE.set(None);
}

/// The settings that will keep a new value when this transaction commits.
fn changed() -> Vec<Setting> {
    // SAFETY: PostgreSQL's own array of its own length; the stack of a setting is
    // null where this transaction has not touched it.
    unsafe {
        #[cfg(feature = "pg15")]
        let (variables, number) = (pg_sys::get_guc_variables(), pg_sys::GetNumConfigOptions());
        #[cfg(not(feature = "pg15"))]
        let (variables, number) = {
            let mut number = 0;
            (pg_sys::get_guc_variables(&raw mut number), number)
        };
        let number = usize::try_from(number).unwrap_or(0);
        let variables = std::slice::from_raw_parts(variables, number);
        variables
            .iter()
            .filter(|&&variable| {
                let mut entry = (*variable).stack;
                let mut is_changed = false;
                while !entry.is_null() {
                    is_changed |= matches!(
                        (*entry).state,
                        pg_sys::GucStackState::GUC_SET | pg_sys::GucStackState::GUC_SET_LOCAL
                    );
                    entry = (*entry).prev;
                }
                is_changed
            })
            .map(|&variable| {
                let name = CStr::from_ptr((*variable).name);
                let value = pg_sys::GetConfigOption((*variable).name, true, false);
                Setting {
                    name: name.to_string_lossy().into_owned(),
                    value: if value.is_null() {
                        String::new()
                    } else {
                        CStr::from_ptr(value).to_string_lossy().into_owned()
                    },
                }
            })
            .collect()
    }
}
