//! What stands in this connection's temporary schema.
//!
//! `pg_depend` has a row for whatever stands in a schema, of any kind. It is read as
//! PostgreSQL reads it, without SQL: so it can be asked at a commit, and by who may
//! not read the catalog. Indexes and row types are part of their table, and not in it.

use std::ffi::CStr;
use std::mem::MaybeUninit;

use pgrx::pg_sys;

/// An object, as messages call it.
pub struct Object {
    pub name: String,
    /// Whether this transaction made it.
    pub is_new: bool,
}

// By pg_depend.h; none of it ever changes.
const DEPENDENCIES: pg_sys::Oid = pg_sys::Oid::from_u32(2608);
const BY_OBJECT: pg_sys::Oid = pg_sys::Oid::from_u32(2673);
const BY_REFERENCED: pg_sys::Oid = pg_sys::Oid::from_u32(2674);

/// The columns that a row starts with.
#[repr(C)]
struct Dependency {
    class: pg_sys::Oid,
    object: pg_sys::Oid,
    part: i32,
    referenced_class: pg_sys::Oid,
    referenced: pg_sys::Oid,
}

/// One of the objects there; one of an earlier transaction before one of this.
pub fn any() -> Option<Object> {
    let mut schema = pg_sys::InvalidOid;
    let mut toast_schema = pg_sys::InvalidOid;
    // SAFETY: it writes both; they are invalid while there is no such schema.
    unsafe { pg_sys::GetTempNamespaceState(&raw mut schema, &raw mut toast_schema) };
    if schema == pg_sys::InvalidOid {
        return None;
    }
    let mut found: Option<(pg_sys::Oid, pg_sys::Oid, bool)> = None;
    scan(
        BY_REFERENCED,
        [(4, pg_sys::NamespaceRelationId), (5, schema)],
        |row, is_new| {
            if found.is_none() || !is_new {
                found = Some((row.class, row.object, is_new));
            }
            !is_new
        },
    );
    let (class, object, is_new) = found?;
    // SAFETY: the object is there; PostgreSQL gives a C string.
    let name = unsafe { CStr::from_ptr(pg_sys::getObjectDescriptionOids(class, object)) };
    Some(Object {
        name: name.to_string_lossy().into_owned(),
        is_new,
    })
}

/// Whether the object stands in a temporary schema of this connection.
pub fn has(class: pg_sys::Oid, object: pg_sys::Oid) -> bool {
    let mut is_there = false;
    scan(BY_OBJECT, [(1, class), (2, object)], |row, _| {
        // SAFETY: compares oids.
        is_there = row.referenced_class == pg_sys::NamespaceRelationId
            && unsafe { pg_sys::isTempNamespace(row.referenced) };
        is_there
    });
    is_there
}

/// Reads rows of `pg_depend` by two columns of an index, until `read` says that it is
/// enough. It is told whether this transaction wrote the row.
fn scan(
    index: pg_sys::Oid,
    key: [(pg_sys::AttrNumber, pg_sys::Oid); 2],
    mut read: impl FnMut(&Dependency, bool) -> bool,
) {
    // SAFETY: the calls are in PostgreSQL's order, with its own table and index; a row
    // starts with these columns, none of which is ever NULL, and is there until the next.
    unsafe {
        let mut entries = [const { MaybeUninit::<pg_sys::ScanKeyData>::zeroed() }; 2];
        for (entry, (column, oid)) in entries.iter_mut().zip(key) {
            pg_sys::ScanKeyInit(
                entry.as_mut_ptr(),
                column,
                pg_sys::BTEqualStrategyNumber as pg_sys::StrategyNumber,
                pg_sys::Oid::from_u32(pg_sys::F_OIDEQ),
                pg_sys::Datum::from(oid),
            );
        }
        let lock = pg_sys::AccessShareLock as pg_sys::LOCKMODE;
        let relation = pg_sys::table_open(DEPENDENCIES, lock);
        let rows = pg_sys::systable_beginscan(
            relation,
            index,
            true,
            std::ptr::null_mut(),
            2,
            entries.as_mut_ptr().cast(),
        );
        loop {
            let row = pg_sys::systable_getnext(rows);
            if row.is_null() {
                break;
            }
            let made_by = (*(*row).t_data).t_choice.t_heap.t_xmin;
            let is_new = pg_sys::TransactionIdIsCurrentTransactionId(made_by);
            if read(&*pg_sys::GETSTRUCT(row).cast::<Dependency>(), is_new) {
                break;
            }
        }
        pg_sys::systable_endscan(rows);
        pg_sys::table_close(relation, lock);
    }
}
