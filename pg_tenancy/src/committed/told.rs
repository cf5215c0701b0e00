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
//! A table says by its triggers whether it tells (`is_telling`); no trigger is needed
//! for what changes tables, TRUNCATE among it, of which PostgreSQL tells itself.

use std::cell::Cell;
use std::ffi::{CStr, c_char};

use pgrx::{pg_guard, pg_sys};
use uuid::Uuid;

use super::place;
use crate::boundary_first::find_function;
use crate::fault::Fault;
use crate::function::Answer;

sql_function!(tenancy_tell_of_end, pg_finfo_tenancy_tell_of_end, tell);

const NUMBERS: usize = 1024;
const FIRST: u32 = 0xFFFF_F000;
/// What concerns all ids.
const ALL: u32 = FIRST + NUMBERS as u32;

thread_local! {
    static HEARD: [Cell<u32>; NUMBERS] = const { [const { Cell::new(0) }; NUMBERS] };
    static HEARD_OF_ALL: Cell<u64> = const { Cell::new(0) };
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
            of_ids: HEARD
                .with(|heard| ids.map(|id| id.map_or(0, |id| heard[number(id.as_bytes())].get()))),
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
}

/// Whether this transaction may have written rows that are nobody else's yet. They
/// go with a rollback, of which nobody is told.
pub fn has_written() -> bool {
    // SAFETY: reads the state of this backend.
    unsafe { pg_sys::GetTopTransactionIdIfAny() != pg_sys::InvalidTransactionId }
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
    let oid = relation.to_u32();
    if (FIRST..ALL).contains(&oid) {
        HEARD.with(|heard| {
            let heard = &heard[(oid - FIRST) as usize];
            heard.set(heard.get().wrapping_add(1));
        });
    } else if oid == ALL || relation == pg_sys::InvalidOid {
        HEARD_OF_ALL.set(HEARD_OF_ALL.get() + 1);
    }
}

/// The trigger. Its argument names the column with the id; without, it is about all.
fn tell(call: pg_sys::FunctionCallInfo) -> Answer {
    // SAFETY: `sql/` declares it as a trigger, and has it called as one, for each row;
    // the old row of an update or delete is there.
    unsafe {
        let data = (*call).context.cast::<pg_sys::TriggerData>();
        if data.is_null() || (*data).type_ != pg_sys::NodeTag::T_TriggerData {
            return Err(Fault::internal("called otherwise than as a trigger"));
        }
        let trigger = (*data).tg_trigger;
        let oid = if (*trigger).tgnargs == 0 {
            ALL
        } else {
            let id = old_id(data, *(*trigger).tgargs)
                .ok_or_else(|| Fault::internal("a trigger's argument is no column with an id"))?;
            FIRST + number(&id) as u32
        };
        send(oid);
    }
    Ok(pg_sys::Datum::null())
}

unsafe fn old_id(data: *const pg_sys::TriggerData, column: *const c_char) -> Option<[u8; 16]> {
    // SAFETY: as above; a uuid is a pointer to 16 bytes.
    unsafe {
        let descriptor = (*(*data).tg_relation).rd_att;
        let number = pg_sys::SPI_fnumber(descriptor, column);
        if number <= 0 || pg_sys::SPI_gettypeid(descriptor, number) != pg_sys::UUIDOID {
            return None;
        }
        let mut is_null = false;
        let value =
            pg_sys::SPI_getbinval((*data).tg_trigtuple, descriptor, number, &raw mut is_null);
        (!is_null).then(|| *value.cast_mut_ptr::<[u8; 16]>())
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

/// Whether each insert, update or delete of a row, as far as `events` has them
/// (`TRIGGER_TYPE_…`), is told of: also where a session has turned triggers off, as
/// replication does.
///
/// # Safety
/// The relation is open.
pub unsafe fn is_telling(relation: pg_sys::Relation, events: u32) -> bool {
    const FUNCTION: (&CStr, &CStr) = (c"tenancy_private", c"tell_of_end");
    const NOT: u32 = pg_sys::TRIGGER_TYPE_BEFORE | pg_sys::TRIGGER_TYPE_INSTEAD;
    // SAFETY: the caller's promise; the array has as many members as it says.
    unsafe {
        let all = (*relation).trigdesc;
        if all.is_null() {
            return false;
        }
        let function = find_function(FUNCTION.0, FUNCTION.1, &[]);
        let number = usize::try_from((*all).numtriggers).unwrap_or(0);
        let told = std::slice::from_raw_parts((*all).triggers, number)
            .iter()
            .filter(|trigger| {
                let kind = u32::from(trigger.tgtype.cast_unsigned());
                function != pg_sys::InvalidOid
                    && trigger.tgfoid == function
                    && trigger.tgenabled == pg_sys::TRIGGER_FIRES_ALWAYS as c_char
                    // Not for some columns only.
                    && trigger.tgnattr == 0
                    && kind & pg_sys::TRIGGER_TYPE_ROW != 0
                    && kind & NOT == 0
            })
            .fold(0, |told, trigger| {
                told | u32::from(trigger.tgtype.cast_unsigned())
            });
        told & events == events
    }
}
