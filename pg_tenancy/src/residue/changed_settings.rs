//! Settings that a transaction changes for the session. A function can do that, too,
//! so they are compared: as it entered, and before it commits.

use std::cell::RefCell;
use std::ffi::CStr;

use pgrx::pg_sys;

single! {
    /// Settings that were changed for the session before the context was set, or
    /// before the first change that this transaction made in it.
    static BEFORE: RefCell<Option<Vec<Setting>>> = RefCell::new(None);
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
            .filter_map(|&variable| {
                let name = CStr::from_ptr((*variable).name);
                Some(Setting {
                    value: lasting(variable)?,
                    name: name.to_string_lossy().into_owned(),
                })
            })
            .collect()
    }
}

/// The value that the session will have, if this transaction has changed it: a SET LOCAL
/// that came later hides it until then. What RESET gives is no news.
unsafe fn lasting(variable: *mut pg_sys::config_generic) -> Option<String> {
    // SAFETY: the stack of a setting, its latest change first.
    unsafe {
        let mut shown = None;
        let mut change = (*variable).stack;
        while let Some(entry) = change.as_ref() {
            let value = match entry.state {
                pg_sys::GucStackState::GUC_SET => shown,
                pg_sys::GucStackState::GUC_SET_LOCAL => Some(entry.masked.val),
                _ => {
                    shown = Some(entry.prior.val);
                    change = entry.prev;
                    continue;
                }
            };
            let kind = (*variable).vartype;
            let (current, reset) = current_and_reset(variable);
            let value = written(kind, value.unwrap_or(current));
            return (value != written(kind, reset)).then_some(value);
        }
        None
    }
}

type Value = pg_sys::config_var_val;

unsafe fn current_and_reset(variable: *mut pg_sys::config_generic) -> (Value, Value) {
    // SAFETY: the kind says which of these the setting is.
    unsafe {
        match (*variable).vartype {
            pg_sys::config_type::PGC_BOOL => {
                let own = &*variable.cast::<pg_sys::config_bool>();
                let value = |boolval| Value { boolval };
                (value(*own.variable), value(own.reset_val))
            }
            pg_sys::config_type::PGC_INT => {
                let own = &*variable.cast::<pg_sys::config_int>();
                let value = |intval| Value { intval };
                (value(*own.variable), value(own.reset_val))
            }
            pg_sys::config_type::PGC_REAL => {
                let own = &*variable.cast::<pg_sys::config_real>();
                let value = |realval| Value { realval };
                (value(*own.variable), value(own.reset_val))
            }
            pg_sys::config_type::PGC_STRING => {
                let own = &*variable.cast::<pg_sys::config_string>();
                let value = |stringval| Value { stringval };
                (value(*own.variable), value(own.reset_val))
            }
            _ => {
                let own = &*variable.cast::<pg_sys::config_enum>();
                let value = |enumval| Value { enumval };
                (value(*own.variable), value(own.reset_val))
            }
        }
    }
}

/// To compare it with another of the same kind.
unsafe fn written(kind: pg_sys::config_type::Type, value: Value) -> String {
    // SAFETY: as above; a string is a C string or null.
    unsafe {
        match kind {
            pg_sys::config_type::PGC_BOOL => value.boolval.to_string(),
            pg_sys::config_type::PGC_INT => value.intval.to_string(),
            pg_sys::config_type::PGC_REAL => value.realval.to_string(),
            pg_sys::config_type::PGC_STRING if value.stringval.is_null() => String::new(),
            pg_sys::config_type::PGC_STRING => CStr::from_ptr(value.stringval)
                .to_string_lossy()
                .into_owned(),
            _ => value.enumval.to_string(),
        }
    }
}
