//! What statements make and call, as PostgreSQL tells by its object access hook:
//! temporary objects, session locks, and `set_config`.

use std::cell::{Cell, RefCell};
use std::ffi::{c_int, c_void};

use pgrx::{pg_guard, pg_sys};

use crate::fault::Fault;
use crate::residue::{self, Kind};
use crate::writing;

single! {
    static NEXT: Cell<pg_sys::object_access_hook_type> = Cell::new(None);
    /// The statement that runs makes temporary tables that go at commit.
    static IS_DROPPED_AT_COMMIT: Cell<bool> = Cell::new(false);
    static HAS_SEEN_SET_CONFIG: Cell<bool> = Cell::new(false);
    /// What the statement has made, by catalog and oid.
    static NEW: RefCell<Vec<(pg_sys::Oid, pg_sys::Oid)>> = RefCell::new(Vec::new());
}

/// Puts the hook in place, once per backend.
pub fn install() {
    // SAFETY: the function has the type asked for; who was there before is called.
    unsafe {
        NEXT.set(pg_sys::object_access_hook);
        pg_sys::object_access_hook = Some(on_access);
    }
}

pub fn is_dropped_at_commit() -> bool {
    IS_DROPPED_AT_COMMIT.get()
}

pub fn set_dropped_at_commit(is_dropped: bool) {
    IS_DROPPED_AT_COMMIT.set(is_dropped);
}

/// Whether this transaction has called `set_config`, which may change a setting
/// for the session.
pub fn has_seen_set_config() -> bool {
    HAS_SEEN_SET_CONFIG.get()
}

/// For the end of a transaction.
pub fn forget() {
    IS_DROPPED_AT_COMMIT.set(false);
    NEW.set(Vec::new());
    HAS_SEEN_SET_CONFIG.set(false);
}

/// `pg_advisory_lock` and its sisters that lock for the session, by their oids
/// in pg_proc.dat, which never change.
pub const SESSION_LOCKS: [u32; 8] = [2880, 2881, 2882, 2883, 2886, 2887, 2888, 2889];
pub const SET_CONFIG: u32 = 2078;

#[pg_guard]
unsafe extern "C-unwind" fn on_access(
    access: pg_sys::ObjectAccessType::Type,
    class: pg_sys::Oid,
    object: pg_sys::Oid,
    part: c_int,
    argument: *mut c_void,
) {
    let seen = match access {
        pg_sys::ObjectAccessType::OAT_FUNCTION_EXECUTE => on_function(object),
        pg_sys::ObjectAccessType::OAT_POST_CREATE => {
            // PostgreSQL's own helpers, such as the copy that a rewrite makes, go by
            // themselves.
            // SAFETY: with this access the argument is null or says so.
            let is_internal = unsafe {
                argument
                    .cast::<pg_sys::ObjectAccessPostCreate>()
                    .as_ref()
                    .is_some_and(|made| made.is_internal)
            };
            if !is_internal {
                on_new_object(class, object);
            }
            Ok(())
        }
        _ => Ok(()),
    };
    if let Err(fault) = seen {
        fault.raise();
    }
    let next = NEXT.get();
    if let Some(next) = next {
        // SAFETY: as PostgreSQL would have called it.
        unsafe { next(access, class, object, part, argument) };
    }
}

/// Before a query calls the function; once per query, not per row.
fn on_function(function: pg_sys::Oid) -> Result<(), Fault> {
    // Some write by themselves, such as nextval.
    writing::keep_read_only();
    let function = u32::from(function);
    if SESSION_LOCKS.contains(&function) {
        residue::about_to_leave(Kind::SessionLock, "a session's advisory lock")?;
    } else if function == SET_CONFIG {
        HAS_SEEN_SET_CONFIG.set(true);
        residue::before_set_config();
    }
    Ok(())
}

/// Notes what is new. Its row can't be read yet: `look_at_new` does that,
/// when the statement has ended.
fn on_new_object(class: pg_sys::Oid, object: pg_sys::Oid) {
    if !IS_DROPPED_AT_COMMIT.get() {
        NEW.with_borrow_mut(|objects| objects.push((class, object)));
    }
}

/// After a statement: TN841 where it made something temporary in a context. What a
/// rollback to a savepoint took away again isn't there.
pub fn look_at_new() -> Result<(), Fault> {
    let objects = NEW.take();
    if objects.is_empty() {
        return Ok(());
    }
    // SAFETY: between two commands.
    unsafe { pg_sys::CommandCounterIncrement() };
    let mut objects = objects.into_iter();
    if objects.any(|(class, object)| residue::temporary::has(class, object)) {
        residue::about_to_leave(Kind::TemporaryObject, "a temporary object")?;
    }
    Ok(())
}
