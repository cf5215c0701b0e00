//! Descriptions of relations, kept per backend and role.
//!
//! One holds until the relation changes: PostgreSQL tells so (see
//! `watch_catalog`). One that is in use when that happens is kept to the end of
//! the transaction, so that a `&'static Relation` never dangles within one.

use std::cell::{Cell, RefCell};

use pgrx::{pg_guard, pg_sys};
use rustc_hash::{FxBuildHasher, FxHashMap, FxHashSet};

use crate::backend;
use crate::fault::Fault;
use crate::rows::plan;
use crate::rows::relation::{self, Relation, not_served};
use crate::rows::served::Served;

#[derive(Default)]
struct Known {
    /// By its oid and the role.
    relations: FxHashMap<(pg_sys::Oid, pg_sys::Oid), *const Relation>,
    /// By the role and its name.
    resources: FxHashMap<pg_sys::Oid, FxHashMap<String, *const Relation>>,
    /// All relations on which these rest.
    rests_on: FxHashSet<pg_sys::Oid>,
}

impl Known {
    fn all(&self) -> impl Iterator<Item = *const Relation> {
        let resources = self.resources.values().flat_map(FxHashMap::values);
        self.relations.values().chain(resources).copied()
    }
}

single! {
    static KNOWN: RefCell<Known> = RefCell::new(Known {
        relations: FxHashMap::with_hasher(FxBuildHasher),
        resources: FxHashMap::with_hasher(FxBuildHasher),
        rests_on: FxHashSet::with_hasher(FxBuildHasher),
    });
    /// Out of KNOWN, and freed when the transaction ends.
    static RETIRED: RefCell<Vec<*const Relation>> = RefCell::new(Vec::new());
    static HAS_CHANGED: Cell<bool> = Cell::new(false);
    /// One is being read, and isn't in KNOWN yet. Stays set after an error.
    static IS_DESCRIBING: Cell<bool> = Cell::new(false);
}

/// The relation with that oid, locked until the transaction ends: its columns
/// stay what they are. TN401 where the row functions can't serve it.
pub fn find(oid: pg_sys::Oid, is_reading: bool) -> Result<&'static Relation, Fault> {
    let role = backend::role();
    let kinds = [pg_sys::RELKIND_RELATION, pg_sys::RELKIND_PARTITIONED_TABLE];
    loop {
        forget_what_changed();
        if let Some(known) = KNOWN.with_borrow(|known| known.relations.get(&(oid, role)).copied()) {
            // SAFETY: freed only at the end of a transaction, after it left KNOWN.
            if let Some(relation) = unsafe { still_known(known, is_reading) } {
                return Ok(relation);
            }
            continue;
        }
        if !lock(oid, is_reading, &kinds) {
            return Err(not_served("it is not a table that your role may read"));
        }
        // With the lock came news, if there were any.
        forget_what_changed();
        IS_DESCRIBING.set(true);
        let relation: *const Relation = Box::into_raw(Box::new(relation::describe(oid, None)?));
        KNOWN.with_borrow_mut(|known| {
            known.rests_on.insert(oid);
            known.relations.insert((oid, role), relation);
        });
        IS_DESCRIBING.set(false);
        // SAFETY: as above.
        return Ok(unsafe { &*relation });
    }
}

/// A known relation, locked; `None` where news of a change came with the lock, of the
/// registry, too. Its kind and who may read it are part of what is known, and not asked
/// again.
///
/// # Safety
/// It was in KNOWN in this transaction.
unsafe fn still_known(known: *const Relation, is_reading: bool) -> Option<&'static Relation> {
    // SAFETY: the caller's promise.
    let relation = unsafe { &*known };
    take_lock(relation.oid, is_reading);
    (!HAS_CHANGED.get()).then_some(relation)
}

/// The relation that is served under that name, locked likewise. TN401 in the same
/// words where there is none, none that may be served, or none that the role may read.
pub fn find_resource(name: &str, is_reading: bool) -> Result<&'static Relation, Fault> {
    let role = backend::role();
    let kinds = [
        pg_sys::RELKIND_RELATION,
        pg_sys::RELKIND_PARTITIONED_TABLE,
        pg_sys::RELKIND_VIEW,
    ];
    loop {
        forget_what_changed();
        let known = KNOWN.with_borrow(|known| known.resources.get(&role)?.get(name).copied());
        if let Some(known) = known {
            // SAFETY: as in `find`.
            if let Some(relation) = unsafe { still_known(known, is_reading) } {
                return Ok(relation);
            }
            continue;
        }

        IS_DESCRIBING.set(true);
        let served = Served::find(name)?.ok_or_else(|| no_resource(name))?;
        if !lock(served.relation, is_reading, &kinds) {
            return Err(no_resource(name));
        }
        let relation = relation::describe(served.relation, Some((name, &served)));
        let relation = relation.map_err(|fault| match fault.code {
            "TN401" => no_resource(name),
            _ => fault,
        })?;
        let relation: *const Relation = Box::into_raw(Box::new(relation));
        KNOWN.with_borrow_mut(|known| {
            known.rests_on.extend(&served.rests_on);
            let resources = known.resources.entry(role).or_default();
            resources.insert(name.to_owned(), relation);
        });
        IS_DESCRIBING.set(false);
    }
}

fn no_resource(name: &str) -> Fault {
    // A long name would only be an echo.
    let shown: String = name.chars().take(64).collect();
    Fault::new("TN401", format!("there is no resource \"{shown}\""))
        .hint("tenancy.resources() tells which there are.")
}

/// Locks a relation of one of these kinds, until the transaction ends, for who may
/// read a column of it. Who may not has no business with its lock.
fn lock(oid: pg_sys::Oid, is_reading: bool, kinds: &[u8]) -> bool {
    // SAFETY: look-ups in the caches of the catalog.
    unsafe {
        let kind = pg_sys::get_rel_relkind(oid) as u8;
        let may_read = || {
            let role = backend::role();
            let read = pg_sys::ACL_SELECT as pg_sys::AclMode;
            let any = pg_sys::AclMaskHow::ACLMASK_ANY;
            pg_sys::pg_class_aclcheck(oid, role, read) == pg_sys::AclResult::ACLCHECK_OK
                || pg_sys::pg_attribute_aclcheck_all(oid, role, read, any)
                    == pg_sys::AclResult::ACLCHECK_OK
        };
        let may_lock = kinds.contains(&kind) && may_read();
        if may_lock {
            take_lock(oid, is_reading);
        }
        may_lock
    }
}

fn take_lock(oid: pg_sys::Oid, is_reading: bool) {
    let mode = if is_reading {
        pg_sys::AccessShareLock
    } else {
        pg_sys::RowExclusiveLock
    };
    // SAFETY: of a relation that is gone, too, there can be a lock.
    unsafe { pg_sys::LockRelationOid(oid, mode as pg_sys::LOCKMODE) };
}

/// Asks PostgreSQL to tell of changes, once per backend.
pub fn watch_catalog() {
    // SAFETY: the callbacks have the types asked for and live as long as the backend.
    unsafe {
        pg_sys::CacheRegisterRelcacheCallback(Some(on_relation_change), pg_sys::Datum::null());
        // Privileges also come by way of memberships, a relation's name has a schema,
        // which can be renamed without a word about the relation, and a view calls
        // functions, which can become definers, also in the checks of domains.
        for cache in [
            pg_sys::SysCacheIdentifier::AUTHMEMMEMROLE,
            pg_sys::SysCacheIdentifier::NAMESPACEOID,
            pg_sys::SysCacheIdentifier::PROCOID,
            pg_sys::SysCacheIdentifier::CONSTROID,
        ] {
            pg_sys::CacheRegisterSyscacheCallback(
                cache as i32,
                Some(on_other_change),
                pg_sys::Datum::null(),
            );
        }
        pg_sys::RegisterXactCallback(Some(on_transaction_end), std::ptr::null_mut());
    }
}

// PostgreSQL calls these at any moment, so they take no lock and free nothing.
#[pg_guard]
unsafe extern "C-unwind" fn on_relation_change(_argument: pg_sys::Datum, relation: pg_sys::Oid) {
    // In use, it is asked nothing.
    let is_known = relation == pg_sys::InvalidOid
        || KNOWN
            .try_borrow()
            .is_ok_and(|known| known.rests_on.contains(&relation));
    if IS_DESCRIBING.get() || is_known {
        HAS_CHANGED.set(true);
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn on_other_change(_argument: pg_sys::Datum, _cache: i32, _hash: u32) {
    HAS_CHANGED.set(true);
}

/// As if all had changed.
pub fn forget_all() {
    HAS_CHANGED.set(true);
}

fn forget_what_changed() {
    if HAS_CHANGED.replace(false) {
        let known = KNOWN.take();
        RETIRED.with_borrow_mut(|retired| retired.extend(known.all()));
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn on_transaction_end(
    event: pg_sys::XactEvent::Type,
    _argument: *mut std::ffi::c_void,
) {
    let has_ended = event == pg_sys::XactEvent::XACT_EVENT_COMMIT
        || event == pg_sys::XactEvent::XACT_EVENT_ABORT;
    if has_ended {
        if plan::are_too_many() {
            KNOWN.with_borrow(|known| {
                for relation in known.all() {
                    // SAFETY: it is known, so nobody has freed it; nor is anybody
                    // within a row function, whose transaction is over.
                    unsafe { (*relation).plans.trim() };
                }
            });
        }
        for relation in RETIRED.take() {
            // SAFETY: it came from Box::into_raw, left KNOWN, and the
            // transaction that could hold a reference is over.
            drop(unsafe { Box::from_raw(relation.cast_mut()) });
        }
    }
}
