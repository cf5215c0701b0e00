//! Where the context is kept: for one transaction, and never in another.
//!
//! Mostly here, with the transaction that it belongs to and the savepoint: it counts for
//! no other transaction, goes with a rollback to that savepoint, and is forgotten at the
//! end besides. And in the setting `pg_tenancy.context`, where PostgreSQL has to carry it:
//! to parallel workers, where a superuser takes it away and back again, and where somebody
//! maintains an index or a materialized view, into which its owner may have put what
//! enters. PostgreSQL takes a local setting back at the end of all these; its assign hook
//! keeps a parsed copy here. (All contexts were there once. A setting that was written
//! makes PostgreSQL look at each of its 350 settings at the end of the transaction, which
//! with the writing took a tenth of a request.)
//!
//! The setting is SUSET and spared by RESET ALL, but that is not the wall: the check hook
//! refuses every value that is not just being written here, whoever sets it, a superuser,
//! `alter role … set`, a connection option or a placeholder from before the library was
//! loaded. Nothing at all can be set by who has the right to: it hides the context.

use std::cell::{Cell, RefCell};
use std::ffi::{CStr, CString, c_char, c_void};

use pgrx::{pg_guard, pg_sys};

use super::{Context, Sealed, set_local};
use crate::fault::Fault;
use crate::{backend, read_only, readers};

/// The setting.
pub const NAME: &CStr = c"pg_tenancy.context";

/// What the setting says.
#[derive(Clone, Copy)]
enum Setting {
    Nothing,
    /// Somebody has set it to nothing.
    Nobody,
    Says(Context),
}

/// A context that isn't in the setting.
#[derive(Clone, Copy)]
struct Own {
    context: Context,
    /// The transaction's number on this backend.
    transaction: u32,
    /// The nesting level of the savepoint in which it was entered.
    level: i32,
}

single! {
    static SETTING: Cell<Setting> = Cell::new(Setting::Nothing);
    static OWN: Cell<Option<Own>> = Cell::new(None);
    /// What follows from these two: the context, and to which transaction it is bound; 0
    /// where PostgreSQL sees to that.
    static CURRENT: Cell<Option<Context>> = Cell::new(None);
    static BOUND_TO: Cell<u32> = Cell::new(0);
    /// For a context that came out of a capsule.
    static SEALED: RefCell<Option<Sealed>> = RefCell::new(None);
    static IS_WRITING: Cell<bool> = Cell::new(false);
    /// What is being written, so that it need not be read again at once.
    static WRITTEN: Cell<Option<Context>> = Cell::new(None);
    static SHOWN: RefCell<Option<CString>> = RefCell::new(None);
}

/// The context that this transaction has entered, if any.
pub fn current() -> Option<Context> {
    if is_current() { CURRENT.get() } else { None }
}

/// Whether there is one that can't be another before this transaction ends. (A rollback
/// to a savepoint may take it away, and with it all that has begun since.)
pub fn is_bound() -> bool {
    let bound_to = BOUND_TO.get();
    bound_to != 0 && bound_to == backend::transaction()
}

/// Whether what was the context is still that of this transaction.
pub fn is_current() -> bool {
    let bound_to = BOUND_TO.get();
    bound_to == 0 || bound_to == backend::transaction()
}

/// What a capsule added to it, if it came out of one.
pub fn sealed() -> Option<Sealed> {
    SEALED.with_borrow(Clone::clone)
}

/// Makes it the context. `is_bound`: for somebody whom it binds, who can't leave it.
pub fn keep(context: Context, sealed: Option<&Sealed>, is_bound: bool) -> Result<(), Fault> {
    let transaction = backend::transaction();
    let is_own = is_bound
        && sealed.is_none()
        && !backend::is_in_parallel_mode()
        && !backend::is_in_maintenance()
        && matches!(SETTING.get(), Setting::Nothing)
        && transaction != 0;
    if is_own {
        OWN.set(Some(Own {
            context,
            transaction,
            level: backend::nesting_level(),
        }));
        refresh();
        return Ok(());
    }
    write(context, sealed)
}

/// Puts it into the setting.
fn write(context: Context, sealed: Option<&Sealed>) -> Result<(), Fault> {
    let text = CString::new(text_of(context, sealed))
        .map_err(|_| Fault::internal("a context with a NUL"))?;
    let _writing = Writing::start(context, sealed);
    set_local(NAME, &text, pg_sys::GucContext::PGC_SUSET);
    Ok(())
}

fn text_of(context: Context, sealed: Option<&Sealed>) -> String {
    let text = context.write();
    match sealed {
        Some(sealed) => format!("{text}/{}", sealed.write()),
        None => text,
    }
}

/// Before something that may be done in parallel: the workers get what the setting says.
pub fn tell_workers() -> Result<(), Fault> {
    let is_told = BOUND_TO.get() == 0 || backend::is_in_parallel_mode();
    match current() {
        Some(context) if !is_told => write(context, None),
        _ => Ok(()),
    }
}

/// For the end of a transaction.
pub fn forget() {
    if OWN.take().is_some() {
        refresh();
    }
}

/// For the end of a savepoint of that nesting level, by an error or not.
pub fn end_of_savepoint(level: i32, by_an_error: bool) {
    match OWN.get() {
        Some(own) if own.level >= level && by_an_error => {
            OWN.set(None);
            refresh();
        }
        // It goes on as the outer one's.
        Some(own) if own.level >= level => OWN.set(Some(Own {
            level: level - 1,
            ..own
        })),
        _ => {}
    }
}

fn refresh() {
    let (context, bound_to) = match (SETTING.get(), OWN.get()) {
        (Setting::Says(context), _) => (Some(context), 0),
        (Setting::Nothing, Some(own)) => (Some(own.context), own.transaction),
        _ => (None, 0),
    };
    read_only::pin(context.is_some_and(|context| context.is_read_only));
    CURRENT.set(context);
    BOUND_TO.set(bound_to);
    readers::forget_datum();
}

/// While one of these lives, the check hook lets a value pass.
struct Writing;

impl Writing {
    fn start(context: Context, sealed: Option<&Sealed>) -> Self {
        IS_WRITING.set(true);
        WRITTEN.set(sealed.is_none().then_some(context));
        Self
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        IS_WRITING.set(false);
        WRITTEN.set(None);
    }
}

unsafe extern "C-unwind" {
    #[cfg(feature = "pg15")]
    fn malloc(size: usize) -> *mut c_void;
    #[cfg(not(feature = "pg15"))]
    fn guc_malloc(level: std::ffi::c_int, size: usize) -> *mut c_void;
}

/// Something that PostgreSQL keeps beside a value, and frees.
unsafe fn note() -> *mut c_void {
    // SAFETY: as PostgreSQL wants it of its version.
    unsafe {
        #[cfg(feature = "pg15")]
        let note = malloc(1);
        #[cfg(not(feature = "pg15"))]
        let note = guc_malloc(pgrx::PgLogLevel::LOG as std::ffi::c_int, 1);
        note
    }
}

/// The check hook of the setting.
#[pg_guard]
pub unsafe extern "C-unwind" fn check_context(
    value: *mut *mut c_char,
    extra: *mut *mut c_void,
    source: pg_sys::GucSource::Type,
) -> bool {
    // SAFETY: PostgreSQL passes a C string or null; in a parallel worker the
    // value is the leader's own, which was checked there.
    unsafe {
        let is_unset = (*value).is_null() || **value == 0;
        // The assign hook is to know it from the nothing that the setting begins with.
        if is_unset && source != pg_sys::GucSource::PGC_S_DEFAULT {
            *extra = note();
        }
        is_unset || IS_WRITING.get() || pg_sys::InitializingParallelWorker
    }
}

/// The assign hook of the setting.
#[pg_guard]
pub unsafe extern "C-unwind" fn assign_context(value: *const c_char, extra: *mut c_void) {
    // SAFETY: a C string or null.
    let text = unsafe { (!value.is_null()).then(|| CStr::from_ptr(value)) };
    let read = match WRITTEN.get() {
        Some(context) => Some((context, None)),
        None => text.and_then(|text| Context::parse(text.to_str().ok()?)),
    };
    let is_nothing = text.is_none_or(CStr::is_empty) && extra.is_null();
    let (setting, sealed) = match read {
        Some((context, sealed)) => (Setting::Says(context), sealed),
        None if is_nothing => (Setting::Nothing, None),
        None => (Setting::Nobody, None),
    };
    SETTING.set(setting);
    SEALED.set(sealed);
    refresh();
}

/// The show hook of the setting: the context, wherever it is kept.
#[pg_guard]
pub unsafe extern "C-unwind" fn show_context() -> *const c_char {
    let text = SEALED.with_borrow(|sealed| {
        current().map_or(String::new(), |context| text_of(context, sealed.as_ref()))
    });
    SHOWN.with_borrow_mut(|shown| {
        shown
            .insert(CString::new(text).unwrap_or_default())
            .as_ptr()
    })
}
