//! The settings of class `pg_tenancy`, and what they say at the moment.
//!
//! All are for superusers: an application must not choose how it is guarded.

mod options;

use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;

use pgrx::{pg_guard, pg_sys};

use self::options::{ON_DIRECT_READS, ON_EXPLAIN, ON_MISSING_CONTEXT, ON_NEW_TABLES};
use crate::context;
use crate::residue::{Allowed, Kind};
use crate::trust::Group;
use crate::watched;

const ERROR_OR_REFUSE: c_int = 0;
const EMPTY_OR_ALLOW: c_int = 1;

static mut CONTEXT: *mut c_char = ptr::null_mut();
static mut MISSING_CONTEXT: c_int = ERROR_OR_REFUSE;
static mut EXPLAIN: c_int = ERROR_OR_REFUSE;
static mut ALLOWED_RESIDUE: *mut c_char = ptr::null_mut();
static mut COMPAT_SETTING: *mut c_char = ptr::null_mut();
static mut TRUSTED_OPERATORS: *mut c_char = ptr::null_mut();
static mut SELECT_TENANT: bool = false;
static mut NEW_TABLES: c_int = NewTables::Warn as c_int;
static mut DIRECT_READS: c_int = DirectReads::Auto as c_int;
static mut NEW_TABLES_SCHEMAS: *mut c_char = ptr::null_mut();

/// What becomes of a table that somebody makes in a schema on the list.
#[derive(Clone, Copy)]
enum NewTables {
    Ignore,
    Warn,
    Refuse,
    Isolate,
}

/// Whether the row functions read without the executor.
#[derive(Clone, Copy)]
enum DirectReads {
    /// Where no other extension watches that.
    Auto,
    Always,
    Never,
}

/// Whether a query of isolated rows without a tenant is an error, or has no rows.
pub fn is_missing_context_an_error() -> bool {
    // SAFETY: PostgreSQL writes it, in this thread; so below.
    unsafe { MISSING_CONTEXT == ERROR_OR_REFUSE }
}

/// Whether EXPLAIN is refused to who is in a tenant.
pub fn is_explain_refused() -> bool {
    unsafe { EXPLAIN == ERROR_OR_REFUSE }
}

/// Whether what only walks along an index may be read without the executor.
pub fn may_read_directly() -> bool {
    unsafe {
        match DIRECT_READS {
            choice if choice == DirectReads::Always as c_int => true,
            choice if choice == DirectReads::Never as c_int => false,
            _ => !watched::is_watched(),
        }
    }
}

/// Whether a person's token may name another tenant of that person.
pub fn is_tenant_selected() -> bool {
    unsafe { SELECT_TENANT }
}

/// The plain setting that names the tenant as well, if any.
pub fn compat_setting() -> Option<&'static CStr> {
    // SAFETY: a C string, or null before the settings are defined.
    unsafe {
        let name = COMPAT_SETTING;
        (!name.is_null() && *name != 0).then(|| CStr::from_ptr(name))
    }
}

/// Defines them, once per backend.
pub fn define() {
    let context_flags =
        pg_sys::GUC_NO_RESET_ALL | pg_sys::GUC_NOT_IN_SAMPLE | pg_sys::GUC_DISALLOW_IN_FILE;
    // SAFETY: names and variables are static, the hooks have the types asked for.
    unsafe {
        pg_sys::DefineCustomStringVariable(
            context::NAME.as_ptr(),
            c"The tenant that this transaction has entered. Written by tenancy.enter() alone."
                .as_ptr(),
            ptr::null(),
            &raw mut CONTEXT,
            c"".as_ptr(),
            pg_sys::GucContext::PGC_SUSET,
            context_flags as c_int,
            Some(context::check_context),
            Some(context::assign_context),
            Some(context::show_context),
        );
        choice(
            c"pg_tenancy.missing_context",
            c"What a query of isolated rows gives without a tenant: error (TN001), or empty.",
            &raw mut MISSING_CONTEXT,
            ERROR_OR_REFUSE,
            &ON_MISSING_CONTEXT.0,
        );
        choice(
            c"pg_tenancy.explain",
            c"What EXPLAIN gives to who has entered a tenant: refuse (TN842), or allow.",
            &raw mut EXPLAIN,
            ERROR_OR_REFUSE,
            &ON_EXPLAIN.0,
        );
        choice(
            c"pg_tenancy.direct_reads",
            c"Whether pages and single rows are read without the executor: auto (unless another extension hooks into that), always, never.",
            &raw mut DIRECT_READS,
            DirectReads::Auto as c_int,
            &ON_DIRECT_READS.0,
        );
        choice(
            c"pg_tenancy.new_tables",
            c"What becomes of a new table in one of new_tables_schemas: ignore, warn, refuse (TN844), isolate.",
            &raw mut NEW_TABLES,
            NewTables::Warn as c_int,
            &ON_NEW_TABLES.0,
        );
        pg_sys::DefineCustomBoolVariable(
            c"pg_tenancy.select_tenant".as_ptr(),
            c"Whether a person's token lets enter(token, tenant) into each tenant that the person is a member of.".as_ptr(),
            ptr::null(),
            &raw mut SELECT_TENANT,
            false,
            pg_sys::GucContext::PGC_SUSET,
            0,
            None,
            None,
            None,
        );
        words(
            c"pg_tenancy.new_tables_schemas",
            c"The schemas that new_tables is about, separated by commas.",
            &raw mut NEW_TABLES_SCHEMAS,
            None,
            None,
        );
        words(
            c"pg_tenancy.allowed_residue",
            c"What a transaction in a tenant may leave on its connection, of: held_cursor, temporary_object, prepared_transaction, listen, session_setting, session_lock.",
            &raw mut ALLOWED_RESIDUE,
            Some(check_allowed_residue),
            Some(assign_allowed_residue),
        );
        words(
            c"pg_tenancy.compat_setting",
            c"A plain setting that names the tenant as well, while an application moves over. Anybody can set it: it is no wall.",
            &raw mut COMPAT_SETTING,
            None,
            None,
        );
        words(
            c"pg_tenancy.trusted_operators",
            c"Operators that may see a row before the boundary does, so that their indexes are used: all, or of: pattern, text_search, jsonb, range, array, numeric, enum, text.",
            &raw mut TRUSTED_OPERATORS,
            Some(check_trusted_operators),
            Some(assign_trusted_operators),
        );
        pg_sys::MarkGUCPrefixReserved(c"pg_tenancy".as_ptr());
    }
}

unsafe fn choice(
    name: &'static CStr,
    description: &'static CStr,
    variable: *mut c_int,
    default: c_int,
    options: &'static [pg_sys::config_enum_entry],
) {
    // SAFETY: all of it is static.
    unsafe {
        pg_sys::DefineCustomEnumVariable(
            name.as_ptr(),
            description.as_ptr(),
            ptr::null(),
            variable,
            default,
            options.as_ptr(),
            pg_sys::GucContext::PGC_SUSET,
            0,
            None,
            None,
            None,
        );
    }
}

unsafe fn words(
    name: &'static CStr,
    description: &'static CStr,
    variable: *mut *mut c_char,
    check: pg_sys::GucStringCheckHook,
    assign: pg_sys::GucStringAssignHook,
) {
    // SAFETY: all of it is static.
    unsafe {
        pg_sys::DefineCustomStringVariable(
            name.as_ptr(),
            description.as_ptr(),
            ptr::null(),
            variable,
            c"".as_ptr(),
            pg_sys::GucContext::PGC_SUSET,
            0,
            check,
            assign,
            None,
        );
    }
}

single! {
    static TRUSTED: Cell<[bool; Group::ALL.len()]> = Cell::new([false; Group::ALL.len()]);
}

/// Which groups of operators are trusted, in the order of `Group::ALL`.
pub fn trusted_operators() -> [bool; Group::ALL.len()] {
    TRUSTED.get()
}

/// The groups in a list with commas; `None` where one is unknown.
unsafe fn groups(value: *const c_char) -> Option<[bool; Group::ALL.len()]> {
    // SAFETY: PostgreSQL passes a C string or null.
    let text = unsafe { (!value.is_null()).then(|| CStr::from_ptr(value)) };
    let names = text.map_or(Ok(""), CStr::to_str).ok()?.split(',');
    let mut trusted = [false; Group::ALL.len()];
    for name in names.map(str::trim).filter(|name| !name.is_empty()) {
        if name == "all" {
            trusted.fill(true);
        } else {
            trusted[Group::parse(name)? as usize] = true;
        }
    }
    Some(trusted)
}

#[pg_guard]
unsafe extern "C-unwind" fn check_trusted_operators(
    value: *mut *mut c_char,
    _extra: *mut *mut c_void,
    _source: pg_sys::GucSource::Type,
) -> bool {
    // SAFETY: as PostgreSQL calls it.
    unsafe { groups(*value).is_some() }
}

#[pg_guard]
unsafe extern "C-unwind" fn assign_trusted_operators(value: *const c_char, _extra: *mut c_void) {
    // SAFETY: as above.
    let trusted = unsafe { groups(value) }.unwrap_or_default();
    if TRUSTED.replace(trusted) != trusted {
        // Plans that were made by other rules go.
        // SAFETY: it marks them, and frees nothing.
        unsafe { pg_sys::ResetPlanCache() };
    }
}

/// The kinds in a list with commas; `None` where one is unknown.
unsafe fn kinds(value: *const c_char) -> Option<Allowed> {
    // SAFETY: PostgreSQL passes a C string or null.
    let text = unsafe { (!value.is_null()).then(|| CStr::from_ptr(value)) };
    let names = text.map_or(Ok(""), CStr::to_str).ok()?.split(',');
    names
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .try_fold(Allowed::default(), |allowed, name| {
            Kind::parse(name).map(|kind| allowed.with(kind))
        })
}

#[pg_guard]
unsafe extern "C-unwind" fn check_allowed_residue(
    value: *mut *mut c_char,
    _extra: *mut *mut c_void,
    _source: pg_sys::GucSource::Type,
) -> bool {
    // SAFETY: as PostgreSQL calls it.
    unsafe { kinds(*value).is_some() }
}

#[pg_guard]
unsafe extern "C-unwind" fn assign_allowed_residue(value: *const c_char, _extra: *mut c_void) {
    // SAFETY: as above.
    crate::residue::allow(unsafe { kinds(value) }.unwrap_or_default());
}
