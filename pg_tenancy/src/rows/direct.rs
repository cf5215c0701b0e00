//! A statement that does nothing but walk along an index is run without an executor.
//!
//! To read one row by its key, PostgreSQL's executor spends most of its time on getting
//! ready: it makes nodes, expressions and slots of the plan, looks up the operators once
//! more, and copies what it finds. A get and a page of a list need none of it. What
//! stays is all that decides what is read: PostgreSQL's own plan, made with the policies
//! in it and checked for validity each time (GetCachedPlan, which also locks); the
//! privileges (with the hook of those who watch them); the index and the table by their
//! access methods, with the statement's snapshot.
//!
//! `way` tells whether a plan is such a walk. Whatever it doesn't know in every part,
//! the executor does, and also, unless a superuser says otherwise, whatever another
//! extension wants to see there (`pg_tenancy.direct_reads`).

mod way;

use std::ffi::{c_char, c_int};

use pgrx::pg_sys;

use crate::readers;
use crate::rows::explain::Explaining;
use crate::rows::plan::{Bound, GetCachedPlan, Plan, ReleaseCachedPlan};
use crate::rows::reader::Reader;
use crate::rows::relation::Relation;
use crate::rows::statement::Verb;
use crate::settings;
use crate::writing;

pub use way::Known;
use way::{Value, Way};

unsafe extern "C-unwind" {
    #[cfg(feature = "pg15")]
    fn ExecCheckRTPerms(table: *mut pg_sys::List, raises: bool) -> bool;
    #[cfg(not(feature = "pg15"))]
    fn ExecCheckPermissions(
        table: *mut pg_sys::List,
        permissions: *mut pg_sys::List,
        raises: bool,
    ) -> bool;
    fn table_open(table: pg_sys::Oid, lock: pg_sys::LOCKMODE) -> pg_sys::Relation;
    fn table_close(table: pg_sys::Relation, lock: pg_sys::LOCKMODE);
    fn index_open(index: pg_sys::Oid, lock: pg_sys::LOCKMODE) -> pg_sys::Relation;
    fn index_close(index: pg_sys::Relation, lock: pg_sys::LOCKMODE);
    fn table_slot_create(
        table: pg_sys::Relation,
        list: *mut *mut pg_sys::List,
    ) -> *mut pg_sys::TupleTableSlot;
    fn ExecDropSingleTupleTableSlot(slot: *mut pg_sys::TupleTableSlot);
    fn index_beginscan(
        table: pg_sys::Relation,
        index: pg_sys::Relation,
        snapshot: pg_sys::Snapshot,
        #[cfg(feature = "pg18")] instrument: *mut pg_sys::IndexScanInstrumentation,
        keys: c_int,
        orders: c_int,
    ) -> pg_sys::IndexScanDesc;
    fn index_rescan(
        scan: pg_sys::IndexScanDesc,
        keys: pg_sys::ScanKey,
        number: c_int,
        orders: pg_sys::ScanKey,
        orders_number: c_int,
    );
    fn index_getnext_slot(
        scan: pg_sys::IndexScanDesc,
        direction: pg_sys::ScanDirection::Type,
        slot: *mut pg_sys::TupleTableSlot,
    ) -> bool;
    fn index_endscan(scan: pg_sys::IndexScanDesc);
    fn slot_getsomeattrs_int(slot: *mut pg_sys::TupleTableSlot, last: c_int);
    fn GetActiveSnapshot() -> pg_sys::Snapshot;
    fn ActiveSnapshotSet() -> bool;
    fn ProcessInterrupts();
    fn palloc(size: usize) -> *mut u8;
    fn pfree(memory: *mut std::ffi::c_void);
}

#[cfg(any(test, feature = "pg_test"))]
single! {
    static WALKS: std::cell::Cell<u64> = std::cell::Cell::new(0);
}

/// How many statements of this connection were run so.
#[cfg(any(test, feature = "pg_test"))]
pub fn walks() -> u64 {
    WALKS.get()
}

/// Runs it if it is such a walk, hands on as many rows as are told, and answers how many
/// there are. `None` where nothing was done.
///
/// # Safety
/// As `plan::run`; that goes for what receives the rows, too.
pub unsafe fn walk(
    bound: Bound,
    relation: &'static Relation,
    told: u64,
    mut receive: impl FnMut(&Reader),
) -> Option<u64> {
    // SAFETY: the caller's promise. What is open is closed again; on an error PostgreSQL
    // closes it, by its resource owner, and resets the stack of explanations.
    unsafe {
        let plan = &*bound.plan;
        if !may_be(plan, bound.verb) {
            return None;
        }
        writing::keep_read_only();
        let mut explaining = Explaining::of_execution(relation, bound.verb);
        explaining.start();
        let owner = pg_sys::CurrentResourceOwner;
        let nothing = std::ptr::null_mut();
        let cached = GetCachedPlan(plan.source, nothing, owner, std::ptr::null_mut());
        explaining.end();
        let way = way::of(plan, cached, relation, bound);
        if way.is_null() {
            ReleaseCachedPlan(cached, owner);
            return None;
        }
        explaining.start();
        check_privileges(cached);
        let number = scan(&*way, bound, relation, told, &mut receive);
        ReleaseCachedPlan(cached, owner);
        explaining.end();
        #[cfg(any(test, feature = "pg_test"))]
        WALKS.set(WALKS.get() + 1);
        Some(number)
    }
}

/// Whether it is worth looking.
unsafe fn may_be(plan: &Plan, verb: Verb) -> bool {
    // SAFETY: the plan's source lives as long as the plan.
    unsafe {
        matches!(verb, Verb::Get | Verb::List)
            && !plan.way.get().is_none_of((*plan.source).generation)
            && settings::may_read_directly()
            // After COMMIT in a DO block there is none until SPI takes one.
            && ActiveSnapshotSet()
    }
}

unsafe fn check_privileges(cached: *mut pg_sys::CachedPlan) {
    // SAFETY: a plan of one statement.
    unsafe {
        let statement = way::statement(cached);
        #[cfg(feature = "pg15")]
        ExecCheckRTPerms((*statement).rtable, true);
        #[cfg(not(feature = "pg15"))]
        ExecCheckPermissions((*statement).rtable, (*statement).permInfos, true);
    }
}

unsafe fn scan(
    way: &Way,
    bound: Bound,
    relation: &'static Relation,
    told: u64,
    receive: &mut impl FnMut(&Reader),
) -> u64 {
    // SAFETY: the relations are locked; the way's lists have the lengths that it says.
    unsafe {
        let keys = keys(way, bound);
        let most = way.limit.map_or(i64::MAX, |at| number(bound, at));
        let mut skipped = way.offset.map_or(0, |at| number(bound, at));
        let table = table_open(way.table, pg_sys::NoLock as pg_sys::LOCKMODE);
        let index = index_open(way.index, way.lock);
        let slot = table_slot_create(table, std::ptr::null_mut());
        let scan = index_beginscan(
            table,
            index,
            GetActiveSnapshot(),
            #[cfg(feature = "pg18")]
            std::ptr::null_mut(),
            way.keys_number as c_int,
            0,
        );
        index_rescan(
            scan,
            keys,
            way.keys_number as c_int,
            std::ptr::null_mut(),
            0,
        );
        let mut reader = Reader::new(relation, bound.columns);
        let mut number = 0;
        while number < most {
            if pg_sys::InterruptPending != 0 {
                ProcessInterrupts();
            }
            if !index_getnext_slot(scan, way.direction, slot) {
                break;
            }
            if !passes(way, slot) {
                continue;
            }
            if skipped > 0 {
                skipped -= 1;
                continue;
            }
            if (number as u64) < told {
                get(slot, way.last);
                reader.take(slot, way.attributes());
                receive(&reader);
            }
            number += 1;
        }
        index_endscan(scan);
        ExecDropSingleTupleTableSlot(slot);
        let no_lock = pg_sys::NoLock as pg_sys::LOCKMODE;
        index_close(index, no_lock);
        table_close(table, no_lock);
        pfree(keys.cast());
        number as u64
    }
}

/// The keys to search by, with their values.
unsafe fn keys(way: &Way, bound: Bound) -> pg_sys::ScanKey {
    // SAFETY: as many are written as there is room for; a parameter's number was looked
    // at when the way was made.
    unsafe {
        let size = way.keys_number * size_of::<pg_sys::ScanKeyData>();
        let keys: pg_sys::ScanKey = palloc(size).cast();
        for i in 0..way.keys_number {
            let known = &*way.keys.add(i);
            let mut key = known.key;
            key.sk_func.fn_mcxt = pg_sys::CurrentMemoryContext;
            let value = match known.value {
                Value::Constant => None,
                Value::Tenant => Some(tenant()),
                Value::Parameter(at) => Some(parameter(bound, at)),
            };
            match value {
                None => {}
                Some(Some(value)) => key.sk_argument = value,
                Some(None) => key.sk_flags |= pg_sys::SK_ISNULL as c_int,
            }
            keys.add(i).write(key);
        }
        keys
    }
}

/// What `current_tenant_id()` says, with its faults.
fn tenant() -> Option<pg_sys::Datum> {
    match readers::tenant_datum() {
        Ok(datum) => datum,
        Err(fault) => fault.raise(),
    }
}

unsafe fn parameter(bound: Bound, at: usize) -> Option<pg_sys::Datum> {
    // SAFETY: there are as many values and marks.
    unsafe { (*bound.nulls.add(at) == b' ' as c_char).then(|| *bound.values.add(at)) }
}

unsafe fn number(bound: Bound, at: usize) -> i64 {
    // SAFETY: as above; limit and offset are numbers, and never NULL.
    unsafe { (*bound.values.add(at)).value() as i64 }
}

/// Whether all columns are NULL that have to be.
unsafe fn passes(way: &Way, slot: *mut pg_sys::TupleTableSlot) -> bool {
    // SAFETY: a slot of the table that the way is for.
    unsafe {
        way.nulls().iter().all(|&attribute| {
            get(slot, attribute);
            *(*slot).tts_isnull.add(attribute as usize - 1)
        })
    }
}

/// Has the slot's columns up to that one read.
unsafe fn get(slot: *mut pg_sys::TupleTableSlot, last: pg_sys::AttrNumber) {
    // SAFETY: the table has as many.
    unsafe {
        if (*slot).tts_nvalid < last {
            slot_getsomeattrs_int(slot, last.into());
        }
    }
}
