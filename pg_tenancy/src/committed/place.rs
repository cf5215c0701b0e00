//! Where a table of ours and its index are, and whether they are as expected.
//!
//! Found by name and by columns, kept until PostgreSQL tells that the table has
//! changed. The index may have any name, may be rebuilt, and may be one that a DBA
//! has made; it is taken as the planner would: valid, of no old transaction's making,
//! and with the equality and the collation of the column.

use std::cell::Cell;
use std::ffi::CStr;

use pgrx::{pg_guard, pg_sys};

use super::by_key::{ByKey, Column, Unsuited};
use super::told;

pub const MOST_KEYS: usize = 2;
pub const MOST_COLUMNS: usize = 5;
pub const MOST_ATTRIBUTES: usize = 32;
/// More tables than are asked for.
const MOST_TABLES: usize = 16;

/// A table and an index of it.
#[derive(Clone, Copy)]
pub struct Place {
    pub relation: pg_sys::Oid,
    pub index: pg_sys::Oid,
    pub keys: [Part; MOST_KEYS],
    pub number_of_keys: usize,
    /// Of the columns that are read, from 0.
    pub columns: [usize; MOST_COLUMNS],
    /// Whether what ends a proof here is told of.
    pub is_telling: bool,
    /// How often one of the tables had changed before.
    changes: u64,
}

/// A column of the key, in the index's order.
#[derive(Clone, Copy)]
pub struct Part {
    pub column: pg_sys::AttrNumber,
    pub collation: pg_sys::Oid,
    pub equals: pg_sys::Oid,
    /// Which value of the caller's it is compared with.
    pub argument: usize,
}

single! {
    static CHANGES: Cell<u64> = Cell::new(0);
    static WATCHED: Cell<[pg_sys::Oid; MOST_TABLES]> =
        const { Cell::new([pg_sys::InvalidOid; MOST_TABLES]) };
}

const LOCK: pg_sys::LOCKMODE = pg_sys::AccessShareLock as pg_sys::LOCKMODE;

/// Asks PostgreSQL to tell of changes, once per backend; of relations `told` hears.
pub fn watch_catalog() {
    // SAFETY: the callback has the type asked for and lives as long as the backend.
    unsafe {
        // The schema may be given another name without a word about its tables.
        pg_sys::CacheRegisterSyscacheCallback(
            pg_sys::SysCacheIdentifier::NAMESPACEOID as i32,
            Some(on_schema_change),
            pg_sys::Datum::null(),
        );
    }
}

/// A relation has changed; InvalidOid: any.
pub fn hear(relation: pg_sys::Oid) {
    if relation == pg_sys::InvalidOid || WATCHED.get().contains(&relation) {
        forget_all();
    }
}

/// As if each of the tables had changed.
pub fn forget_all() {
    CHANGES.set(CHANGES.get() + 1);
}

// PostgreSQL calls it at any moment.
#[pg_guard]
unsafe extern "C-unwind" fn on_schema_change(_argument: pg_sys::Datum, _cache: i32, _hash: u32) {
    CHANGES.set(CHANGES.get() + 1);
}

/// Whether nothing has changed since it was found, as far as PostgreSQL has told. It
/// tells when a lock is taken.
pub fn is_right(place: &Place) -> bool {
    place.changes == CHANGES.get()
}

/// How often one of the tables has changed, as far as PostgreSQL has told.
pub fn changes() -> u64 {
    CHANGES.get()
}

/// Looks it up in the catalog.
pub fn look_for(wanted: &ByKey) -> Result<Place, Unsuited> {
    // SAFETY: look-ups in the catalog; an error in one becomes a panic that ends the
    // transaction, and with it the locks.
    unsafe {
        let schema = pg_sys::get_namespace_oid(c"tenancy".as_ptr(), true);
        let oid = pg_sys::get_relname_relid(wanted.table.as_ptr(), schema);
        watch(oid)?;
        let relation = pg_sys::try_relation_open(oid, LOCK);
        if relation.is_null() {
            return Err(Unsuited);
        }
        let changes = CHANGES.get();
        // With the lock it keeps its name; without, it may just have got another one.
        let schema = pg_sys::get_namespace_oid(c"tenancy".as_ptr(), true);
        let place = if pg_sys::get_relname_relid(wanted.table.as_ptr(), schema) == oid {
            examine(relation, wanted, changes)
        } else {
            Err(Unsuited)
        };
        pg_sys::relation_close(relation, LOCK);
        place
    }
}

fn watch(oid: pg_sys::Oid) -> Result<(), Unsuited> {
    if oid == pg_sys::InvalidOid {
        return Err(Unsuited);
    }
    let mut watched = WATCHED.get();
    if !watched.contains(&oid) {
        let free = watched
            .iter()
            .position(|&known| known == pg_sys::InvalidOid);
        // Tables that are gone leave no place; with all of them taken, forget all.
        if free.is_none() {
            watched = [pg_sys::InvalidOid; MOST_TABLES];
            CHANGES.set(CHANGES.get() + 1);
        }
        watched[free.unwrap_or(0)] = oid;
        WATCHED.set(watched);
    }
    Ok(())
}

unsafe fn examine(
    relation: pg_sys::Relation,
    wanted: &ByKey,
    changes: u64,
) -> Result<Place, Unsuited> {
    // SAFETY: the relation is open.
    unsafe {
        let about = (*relation).rd_rel;
        let attributes = usize::try_from((*about).relnatts).map_err(|_| Unsuited)?;
        // One with children has rows elsewhere, and SQL sees those.
        if (*about).relkind != pg_sys::RELKIND_RELATION as std::ffi::c_char
            || (*about).relhassubclass
            || attributes > MOST_ATTRIBUTES
            || wanted.key.len() > MOST_KEYS
            || wanted.columns.len() > MOST_COLUMNS
        {
            return Err(Unsuited);
        }
        let oid = (*relation).rd_id;
        let mut columns = [0; MOST_COLUMNS];
        for (at, column) in columns.iter_mut().zip(wanted.columns) {
            let (number, _) = find_column(oid, column)?;
            *at = usize::try_from(number - 1).map_err(|_| Unsuited)?;
        }
        let is_telling = told::is_telling(relation, &wanted.telling);
        let indexes = pg_sys::RelationGetIndexList(relation);
        let number = if indexes.is_null() {
            0
        } else {
            (*indexes).length
        };
        for i in 0..number {
            let index = pg_sys::index_open(pg_sys::list_nth_oid(indexes, i), LOCK);
            let keys = parts(index, oid, wanted.key);
            let place = keys.map(|keys| Place {
                relation: oid,
                index: (*index).rd_id,
                keys,
                number_of_keys: wanted.key.len(),
                columns,
                is_telling,
                changes,
            });
            pg_sys::index_close(index, LOCK);
            if let Some(place) = place {
                return Ok(place);
            }
        }
        Err(Unsuited)
    }
}

/// The column of that name and type: its number from 1 and its collation.
unsafe fn find_column(
    relation: pg_sys::Oid,
    &(name, wanted): &Column,
) -> Result<(pg_sys::AttrNumber, pg_sys::Oid), Unsuited> {
    let mut found = (pg_sys::InvalidOid, -1, pg_sys::InvalidOid);
    // SAFETY: look-ups in the catalog.
    let number = unsafe {
        let number = pg_sys::get_attnum(relation, CStr::as_ptr(name));
        if number <= 0 {
            return Err(Unsuited);
        }
        pg_sys::get_atttypetypmodcoll(
            relation,
            number,
            &raw mut found.0,
            &raw mut found.1,
            &raw mut found.2,
        );
        number
    };
    (found.0 == wanted)
        .then_some((number, found.2))
        .ok_or(Unsuited)
}

/// The parts of the key in the index's order, if the index begins with them and can
/// be used.
unsafe fn parts(
    index: pg_sys::Relation,
    relation: pg_sys::Oid,
    key: &[Column],
) -> Option<[Part; MOST_KEYS]> {
    // SAFETY: the index is open; its arrays have as many members as it has key columns.
    unsafe {
        let about = (*index).rd_index;
        let is_usable = (*about).indisvalid
            && (*about).indisready
            && (*about).indislive
            // Only for transactions that began later.
            && !(*about).indcheckxmin
            && (*(*index).rd_rel).relam == pg_sys::Oid::from(pg_sys::BuiltinOid::BTREE_AM_OID)
            && pg_sys::RelationGetIndexPredicate(index).is_null();
        let columns = usize::try_from((*about).indnkeyatts).ok()?;
        if !is_usable || columns < key.len() {
            return None;
        }
        let numbers = (*about).indkey.values.as_slice(columns);
        let mut parts = [Part {
            column: 0,
            collation: pg_sys::InvalidOid,
            equals: pg_sys::InvalidOid,
            argument: 0,
        }; MOST_KEYS];
        let mut sought: Vec<_> = Vec::new();
        for column in key {
            sought.push((find_column(relation, column).ok()?, column.1));
        }
        for (at, part) in parts[..key.len()].iter_mut().enumerate() {
            let argument = sought
                .iter()
                .position(|((number, _), _)| *number == numbers[at])?;
            let ((column, collation), kind) = sought[argument];
            if *(*index).rd_indcollation.add(at) != collation
                || *(*index).rd_opcintype.add(at) != kind
            {
                return None;
            }
            *part = Part {
                column,
                collation,
                equals: equality(*(*index).rd_opfamily.add(at), kind)?,
                argument,
            };
        }
        Some(parts)
    }
}

/// PostgreSQL's own function for `=` of that type, where the index goes by it.
unsafe fn equality(family: pg_sys::Oid, kind: pg_sys::Oid) -> Option<pg_sys::Oid> {
    let expected = pg_sys::Oid::from(match kind {
        pg_sys::UUIDOID => pg_sys::F_UUID_EQ,
        pg_sys::TEXTOID => pg_sys::F_TEXTEQ,
        _ => return None,
    });
    // SAFETY: look-ups in the catalog.
    let found = unsafe {
        let strategy = pg_sys::BTEqualStrategyNumber as i16;
        let operator = pg_sys::get_opfamily_member(family, kind, kind, strategy);
        if operator == pg_sys::InvalidOid {
            return None;
        }
        pg_sys::get_opcode(operator)
    };
    (found == expected).then_some(expected)
}
