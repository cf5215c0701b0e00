//! Rows of our own tables by their key, without SQL.
//!
//! What enter() looks at is always the same: four rows by their keys. As a query that took nine tenths of its instructions, most of them to
//! set the executor up, and a role that may read the tables. Here the index itself is
//! asked, with a snapshot of this moment. No privilege and no policy is looked at, and
//! no code runs but the comparisons that PostgreSQL has for uuid and text: what a
//! caller comes to know is what the caller's function lets out.
//!
//! The tables and their indexes are a DBA's to change. Where one isn't as `place`
//! needs it, the answer is `Unsuited`, and the caller asks in SQL.

use std::cell::Cell;
use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::thread::LocalKey;

use pgrx::pg_sys;

use super::place::{self, MOST_COLUMNS, MOST_KEYS, Place};
use super::told::Telling;
use crate::function::content;

/// A column, and the type that it must have.
pub type Column = (&'static CStr, pg_sys::Oid);

/// A table of the extension, how a row of it is found, and what is read of it.
pub struct ByKey {
    pub table: &'static CStr,
    /// Of type uuid or text.
    pub key: &'static [Column],
    pub columns: &'static [Column],
    /// What can end a proof that was good by this table.
    pub telling: Telling,
    /// Where it was found last.
    pub place: &'static LocalKey<Cell<Option<Place>>>,
}

/// Not a table that can be read this way.
#[derive(Debug, Clone, Copy)]
pub struct Unsuited;

/// What is committed at one moment, and what this transaction has done itself.
pub struct Moment {
    snapshot: pg_sys::Snapshot,
    locked: Vec<pg_sys::Oid>,
}

/// A row, copied; its values are numbered as the columns that were asked for, from 0.
pub struct Row([Option<pg_sys::Datum>; MOST_COLUMNS]);

// Declared again, without the guard that pgrx puts around each of them: there is one
// around all.
unsafe extern "C-unwind" {
    fn GetLatestSnapshot() -> pg_sys::Snapshot;
    fn RegisterSnapshot(snapshot: pg_sys::Snapshot) -> pg_sys::Snapshot;
    fn UnregisterSnapshot(snapshot: pg_sys::Snapshot);
    fn LockRelationOid(relation: pg_sys::Oid, mode: pg_sys::LOCKMODE);
    fn UnlockRelationOid(relation: pg_sys::Oid, mode: pg_sys::LOCKMODE);
    fn try_relation_open(relation: pg_sys::Oid, mode: pg_sys::LOCKMODE) -> pg_sys::Relation;
    fn relation_close(relation: pg_sys::Relation, mode: pg_sys::LOCKMODE);
    fn ScanKeyEntryInitialize(
        entry: pg_sys::ScanKey,
        flags: std::ffi::c_int,
        attribute: pg_sys::AttrNumber,
        strategy: pg_sys::StrategyNumber,
        subtype: pg_sys::Oid,
        collation: pg_sys::Oid,
        procedure: pg_sys::RegProcedure,
        argument: pg_sys::Datum,
    );
    fn systable_beginscan(
        relation: pg_sys::Relation,
        index: pg_sys::Oid,
        uses_index: bool,
        snapshot: pg_sys::Snapshot,
        number: std::ffi::c_int,
        keys: pg_sys::ScanKey,
    ) -> pg_sys::SysScanDesc;
    fn systable_getnext(scan: pg_sys::SysScanDesc) -> pg_sys::HeapTuple;
    fn systable_endscan(scan: pg_sys::SysScanDesc);
    fn heap_copytuple(tuple: pg_sys::HeapTuple) -> pg_sys::HeapTuple;
    fn heap_deform_tuple(
        tuple: pg_sys::HeapTuple,
        descriptor: pg_sys::TupleDesc,
        values: *mut pg_sys::Datum,
        nulls: *mut bool,
    );
}

const LOCK: pg_sys::LOCKMODE = pg_sys::AccessShareLock as pg_sys::LOCKMODE;

impl Moment {
    /// The moment at which all of these tables can be read. Who has waited for one of
    /// them sees what it was waited for.
    pub fn of(tables: &[&'static ByKey]) -> Result<Self, Unsuited> {
        let mut locked = Vec::with_capacity(tables.len());
        for table in tables {
            let place = table.place()?;
            // SAFETY: an error becomes a panic, and gives the locks back; so does the
            // end of the transaction.
            unsafe { guarded(|| LockRelationOid(place.relation, LOCK)) };
            locked.push(place.relation);
        }
        // SAFETY: an error becomes a panic; the snapshot is given back by drop.
        let snapshot = unsafe { guarded(|| RegisterSnapshot(GetLatestSnapshot())) };
        Ok(Self { snapshot, locked })
    }
}

impl Drop for Moment {
    fn drop(&mut self) {
        let (snapshot, locked) = (self.snapshot, self.locked.as_slice());
        // SAFETY: registered and locked above, by this resource owner.
        unsafe {
            guarded(|| {
                UnregisterSnapshot(snapshot);
                for &relation in locked {
                    UnlockRelationOid(relation, LOCK);
                }
            });
        }
    }
}

enum Scanned {
    Row(Row),
    Nothing,
    /// The place isn't known to be right any more.
    Moved,
}

impl ByKey {
    /// The row with that key, if there is one.
    pub fn find(
        &'static self,
        moment: &Moment,
        key: &[pg_sys::Datum],
    ) -> Result<Option<Row>, Unsuited> {
        // Who changes tables without pause is waited for by SQL.
        for _ in 0..3 {
            let place = self.place()?;
            match scan(&place, moment, key) {
                Scanned::Row(row) => return Ok(Some(row)),
                Scanned::Nothing => return Ok(None),
                Scanned::Moved => self.place.set(None),
            }
        }
        Err(Unsuited)
    }

    /// Whether what ends a proof here is told to all backends: see `told`.
    pub fn is_telling(&self) -> bool {
        self.place
            .get()
            .is_some_and(|place| place.is_telling && place::is_right(&place))
    }

    fn place(&self) -> Result<Place, Unsuited> {
        let place = match self.place.get() {
            Some(place) => place,
            None => place::look_for(self)?,
        };
        self.place.set(Some(place));
        Ok(place)
    }
}

fn scan(place: &Place, moment: &Moment, key: &[pg_sys::Datum]) -> Scanned {
    // SAFETY: opened and closed in PostgreSQL's order, and nothing in between has a
    // destructor; an error becomes a panic. With its lock the table stays what the place
    // says, unless a change was told of meanwhile.
    unsafe {
        guarded(|| {
            let relation = try_relation_open(place.relation, LOCK);
            if relation.is_null() {
                return Scanned::Moved;
            }
            if !place::is_right(place) {
                relation_close(relation, LOCK);
                return Scanned::Moved;
            }
            let scanned = scan_open(place, relation, moment, key);
            relation_close(relation, LOCK);
            scanned
        })
    }
}

unsafe fn scan_open(
    place: &Place,
    relation: pg_sys::Relation,
    moment: &Moment,
    key: &[pg_sys::Datum],
) -> Scanned {
    // SAFETY: as above; the place's columns are the relation's.
    unsafe {
        let mut entries = [const { MaybeUninit::<pg_sys::ScanKeyData>::zeroed() }; MOST_KEYS];
        let number = place.number_of_keys;
        for (entry, part) in entries.iter_mut().zip(&place.keys[..number]) {
            ScanKeyEntryInitialize(
                entry.as_mut_ptr(),
                0,
                part.column,
                pg_sys::BTEqualStrategyNumber as pg_sys::StrategyNumber,
                pg_sys::InvalidOid,
                part.collation,
                part.equals,
                key[part.argument],
            );
        }
        let scan = systable_beginscan(
            relation,
            place.index,
            true,
            moment.snapshot,
            number as std::ffi::c_int,
            entries.as_mut_ptr().cast(),
        );
        let tuple = systable_getnext(scan);
        let scanned = if tuple.is_null() {
            Scanned::Nothing
        } else {
            Scanned::Row(read(place, heap_copytuple(tuple), (*relation).rd_att))
        };
        systable_endscan(scan);
        scanned
    }
}

unsafe fn read(place: &Place, tuple: pg_sys::HeapTuple, descriptor: pg_sys::TupleDesc) -> Row {
    let mut values = [pg_sys::Datum::null(); place::MOST_ATTRIBUTES];
    let mut nulls = [true; place::MOST_ATTRIBUTES];
    // SAFETY: `look_for` takes no table with more attributes than these hold.
    unsafe { heap_deform_tuple(tuple, descriptor, values.as_mut_ptr(), nulls.as_mut_ptr()) };
    let mut row = Row([None; MOST_COLUMNS]);
    for (value, &at) in row.0.iter_mut().zip(&place.columns) {
        *value = (!nulls[at]).then_some(values[at]);
    }
    row
}

unsafe fn guarded<T>(calls: impl FnOnce() -> T) -> T {
    // SAFETY: the caller's promise: no destructors, no panic.
    unsafe { pg_sys::ffi::pg_guard_ffi_boundary(calls) }
}

impl Row {
    /// A text, or `None` for NULL. It lives as long as the memory of this call.
    pub fn text(&self, column: usize) -> Option<&str> {
        std::str::from_utf8(self.bytes(column)?).ok()
    }

    pub fn bytes(&self, column: usize) -> Option<&[u8]> {
        // SAFETY: `look_for` has seen that it is a text or bytea, of a copy of ours.
        self.0[column].map(|datum| unsafe { content(datum) })
    }

    pub fn uuid(&self, column: usize) -> Option<uuid::Uuid> {
        // SAFETY: as above: a uuid is a pointer to 16 bytes.
        self.0[column].map(|datum| unsafe { uuid::Uuid::from_bytes(*datum.cast_mut_ptr()) })
    }

    /// Microseconds since 2000, as PostgreSQL has times.
    pub fn time(&self, column: usize) -> Option<i64> {
        self.0[column].map(|datum| datum.value() as i64)
    }
}
