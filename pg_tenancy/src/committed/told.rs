//! Word of what ends a proof, from the transaction that ends it to every backend.
//!
//! Every backend hears at once, in PostgreSQL's own way, which relations a transaction
//! has changed: after its changes are visible, before its COMMIT returns, also on a
//! standby and from a prepared transaction. REVOKE and DROP TABLE reach other backends
//! like this. A relation is named there by its OID and by nothing else, so triggers on
//! our tables name, in place of one, a number for the tenant, the person or the session
//! that has changed. The numbers are at the end of the range of OIDs. If there were a
//! relation with one of them, its entry in a cache would be made anew for nothing.
//!
//! Many ids share a number: who hears it forgets some for nothing, and never one too few.
//! A table says by its triggers whether it tells (`Telling`); no trigger is needed for
//! what changes tables, TRUNCATE among it, of which PostgreSQL tells itself.
//!
//! One thing is PostgreSQL's to lose. It takes a message off the queue, then does its own
//! part of it, which can mean to read the catalog, and tells us last. An error in its part
//! is the last that is heard of that message. So when a transaction or a savepoint ends by
//! an error in which messages were taken, all is forgotten.

use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int};

use pgrx::{pg_guard, pg_sys};
use uuid::Uuid;

use super::place;
use crate::backend;
use crate::boundary_first::find_function;
use crate::fault::Fault;
use crate::function::Answer;

sql_function!(tenancy_tell_of_end, pg_finfo_tenancy_tell_of_end, tell);

const NUMBERS: usize = 1024;
const FIRST: u32 = 0xFFFF_F000;
/// What concerns all ids.
const ALL: u32 = FIRST + NUMBERS as u32;

single! {
    static HEARD: [Cell<u32>; NUMBERS] = [const { Cell::new(0) }; NUMBERS];
    static HEARD_OF_ALL: Cell<u64> = Cell::new(0);
    /// How many messages had been taken when all of them had been heard.
    static TAKEN: Cell<u64> = Cell::new(0);
}

/// What a table's triggers must be, so that it tells.
pub struct Telling {
    /// `TRIGGER_TYPE_…`, all of them.
    pub events: u32,
    /// The column with the id, and others that matter when a row is updated; none: each
    /// change is about all ids.
    pub columns: &'static [&'static CStr],
}

/// How much was heard about some ids, and about the tables that tell. What was looked
/// up after one of these was taken is as it was for as long as another is the same.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    changes: u64,
    of_all: u64,
    of_ids: [u32; 3],
}

impl Heard {
    pub fn of(ids: [Option<Uuid>; 3]) -> Self {
        Self {
            changes: place::changes(),
            of_all: HEARD_OF_ALL.get(),
            of_ids: ids.map(|id| id.map_or(0, |id| HEARD[number(id.as_bytes())].get())),
        }
    }
}

/// The last two bytes are random in all versions that we or a DBA would use. Others
/// share more.
fn number(id: &[u8; 16]) -> usize {
    usize::from(u16::from_le_bytes([id[14], id[15]])) % NUMBERS
}

/// Hears what was told so far: all that was committed before now.
pub fn listen() {
    // SAFETY: within a transaction; an error becomes a panic that ends it.
    unsafe { pg_sys::AcceptInvalidationMessages() };
    all_is_heard();
}

/// For the end of a transaction without an error, too.
pub fn all_is_heard() {
    TAKEN.set(taken());
}

/// At the end of a transaction or savepoint by an error: whether a message may be lost.
pub fn may_have_missed_any() -> bool {
    TAKEN.get() != taken()
}

/// As if all there is had changed.
pub fn forget_all() {
    HEARD_OF_ALL.set(HEARD_OF_ALL.get() + 1);
    place::forget_all();
    all_is_heard();
}

fn taken() -> u64 {
    // SAFETY: PostgreSQL's count of this backend; it counts before it does its part.
    unsafe { pg_sys::SharedInvalidMessageCounter }
}

/// Whether this transaction may have written rows that are nobody else's yet. They
/// go with a rollback, of which nobody is told.
pub fn has_written() -> bool {
    backend::has_transaction_id()
}

/// Asks PostgreSQL to pass it on, once per backend.
pub fn watch() {
    // SAFETY: the callback has the type asked for and lives as long as the backend.
    unsafe {
        pg_sys::CacheRegisterRelcacheCallback(Some(on_change), pg_sys::Datum::null());
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn on_change(_argument: pg_sys::Datum, relation: pg_sys::Oid) {
    place::hear(relation);
    let oid = relation.to_u32();
    if (FIRST..ALL).contains(&oid) {
        let heard = &HEARD[(oid - FIRST) as usize];
        heard.set(heard.get().wrapping_add(1));
    } else if oid == ALL || relation == pg_sys::InvalidOid {
        HEARD_OF_ALL.set(HEARD_OF_ALL.get() + 1);
    }
}

/// The trigger, with the columns of `Telling`.
fn tell(call: pg_sys::FunctionCallInfo) -> Answer {
    // SAFETY: `sql/` declares it as a trigger, and has it called as one, for each row.
    unsafe {
        let data = (*call).context.cast::<pg_sys::TriggerData>();
        if data.is_null() || (*data).type_ != pg_sys::NodeTag::T_TriggerData {
            return Err(Fault::internal("called otherwise than as a trigger"));
        }
        let columns = arguments((*data).tg_trigger);
        let oid = match columns.first() {
            None => ALL,
            Some(_) if columns.len() > 1 && is_unchanged(data, columns)? => {
                return Ok(pg_sys::Datum::null());
            }
            Some(&id) => {
                let id = value(data, (*data).tg_trigtuple, id)?
                    .ok_or_else(|| Fault::internal("a row without an id"))?;
                FIRST + number(&*id.cast_mut_ptr::<[u8; 16]>()) as u32
            }
        };
        send(oid);
    }
    Ok(pg_sys::Datum::null())
}

unsafe extern "C-unwind" {
    fn datumIsEqual(
        one: pg_sys::Datum,
        other: pg_sys::Datum,
        is_by_value: bool,
        length: c_int,
    ) -> bool;
}

/// Whether it is an update that leaves these columns as they were.
unsafe fn is_unchanged(
    data: *const pg_sys::TriggerData,
    columns: &[*mut c_char],
) -> Result<bool, Fault> {
    // SAFETY: an update has both rows; the values are of the same type.
    unsafe {
        if (*data).tg_event & pg_sys::TRIGGER_EVENT_OPMASK != pg_sys::TRIGGER_EVENT_UPDATE {
            return Ok(false);
        }
        for &column in columns {
            let before = value(data, (*data).tg_trigtuple, column)?;
            let after = value(data, (*data).tg_newtuple, column)?;
            let is_same = match (before, after) {
                (Some(before), Some(after)) => {
                    let number = pg_sys::SPI_fnumber((*(*data).tg_relation).rd_att, column);
                    let kind = pg_sys::SPI_gettypeid((*(*data).tg_relation).rd_att, number);
                    let (mut length, mut is_value) = (0, false);
                    pg_sys::get_typlenbyval(kind, &raw mut length, &raw mut is_value);
                    datumIsEqual(before, after, is_value, length.into())
                }
                (None, None) => true,
                _ => false,
            };
            if !is_same {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// A column of one of the trigger's rows; `None` for NULL.
unsafe fn value(
    data: *const pg_sys::TriggerData,
    row: pg_sys::HeapTuple,
    column: *const c_char,
) -> Result<Option<pg_sys::Datum>, Fault> {
    // SAFETY: as above.
    unsafe {
        let descriptor = (*(*data).tg_relation).rd_att;
        let number = pg_sys::SPI_fnumber(descriptor, column);
        if number <= 0 {
            return Err(Fault::internal("a trigger's argument is no column"));
        }
        let mut is_null = false;
        let value = pg_sys::SPI_getbinval(row, descriptor, number, &raw mut is_null);
        Ok((!is_null).then_some(value))
    }
}

unsafe fn arguments<'trigger>(trigger: *const pg_sys::Trigger) -> &'trigger [*mut c_char] {
    // SAFETY: as many as it says; with none the pointer may be null.
    unsafe {
        match usize::try_from((*trigger).tgnargs) {
            Ok(0) | Err(_) => &[],
            Ok(number) => std::slice::from_raw_parts((*trigger).tgargs, number),
        }
    }
}

/// At the commit, or never.
unsafe fn send(oid: u32) {
    // PostgreSQL reads two fields of a row of pg_class: the OID, and that the relation
    // is this database's.
    const HEADER: usize = size_of::<pg_sys::HeapTupleHeaderData>().next_multiple_of(8);
    const ROW: usize = size_of::<pg_sys::FormData_pg_class>();
    // SAFETY: a row in memory of our own, as long as one of pg_class, zero but for that.
    unsafe {
        let memory = pg_sys::palloc0(HEADER + ROW).cast::<pg_sys::HeapTupleHeaderData>();
        (*memory).t_hoff = HEADER as u8;
        let row = memory.byte_add(HEADER).cast::<pg_sys::FormData_pg_class>();
        (*row).oid = pg_sys::Oid::from(oid);
        let mut tuple = pg_sys::HeapTupleData {
            t_len: (HEADER + ROW) as u32,
            t_data: memory,
            ..Default::default()
        };
        pg_sys::CacheInvalidateRelcacheByTuple(&raw mut tuple);
        pg_sys::pfree(memory.cast());
    }
}

/// Whether what `wanted` has is told of: for each row, whatever is in it, and also where
/// a session has turned triggers off, as replication does.
///
/// # Safety
/// The relation is open.
pub unsafe fn is_telling(relation: pg_sys::Relation, wanted: &Telling) -> bool {
    // SAFETY: the caller's promise.
    unsafe {
        // Before the triggers are looked at: it may read the catalog, hear of a change to
        // this relation, and have PostgreSQL put other triggers in the place of these.
        let function = find_function(c"tenancy_private", c"tell_of_end", &[]);
        let all = (*relation).trigdesc;
        if all.is_null() || function == pg_sys::InvalidOid {
            return false;
        }
        let number = usize::try_from((*all).numtriggers).unwrap_or(0);
        let told = std::slice::from_raw_parts((*all).triggers, number)
            .iter()
            .filter(|trigger| trigger.tgfoid == function && tells(trigger, wanted))
            .fold(0, |told, trigger| {
                told | u32::from(trigger.tgtype.cast_unsigned())
            });
        told & wanted.events == wanted.events
    }
}

unsafe fn tells(trigger: &pg_sys::Trigger, wanted: &Telling) -> bool {
    const NOT: u32 = pg_sys::TRIGGER_TYPE_BEFORE | pg_sys::TRIGGER_TYPE_INSTEAD;
    let kind = u32::from(trigger.tgtype.cast_unsigned());
    // SAFETY: the arguments are C strings.
    let given = unsafe { arguments(trigger) };
    trigger.tgenabled == pg_sys::TRIGGER_FIRES_ALWAYS as c_char
        && kind & pg_sys::TRIGGER_TYPE_ROW != 0
        && kind & NOT == 0
        // Not for some columns, nor under a condition.
        && trigger.tgnattr == 0
        && trigger.tgqual.is_null()
        && given.len() == wanted.columns.len()
        && given
            .iter()
            .zip(wanted.columns)
            .all(|(&given, &wanted)| unsafe { CStr::from_ptr(given) } == wanted)
}
