//! The keys that cursors are sealed with, kept per backend: reading them costs a
//! query, and nearly every list needs one.
//!
//! Whoever changes them (`rotate_seal_key`, a restored dump) tells all backends, by
//! a trigger; PostgreSQL hands that on as it does changes of the catalog.

use std::cell::{Cell, RefCell};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use pgrx::{pg_guard, pg_sys};
use serde::Deserialize;

use crate::boundary_first::find_function;
use crate::committed::Question;
use crate::fault::Fault;
use crate::function::Answer;
use crate::rows::cursor::Key;

sql_function!(
    tenancy_read_seal_keys,
    pg_finfo_tenancy_read_seal_keys,
    read_seal_keys
);
sql_function!(
    tenancy_forget_seal_keys,
    pg_finfo_tenancy_forget_seal_keys,
    forget_seal_keys
);

#[derive(Clone, Copy)]
struct Known {
    key: Key,
    /// Microseconds since 1970; `None` for the one that seals.
    valid_until: Option<i64>,
}

single! {
    static KNOWN: RefCell<Vec<Known>> = RefCell::new(Vec::new());
    static TABLE: Cell<pg_sys::Oid> = Cell::new(pg_sys::InvalidOid);
    static HAS_CHANGED: Cell<bool> = Cell::new(false);
}

thread_local! {
    static PLAN: Cell<pg_sys::SPIPlanPtr> = const { Cell::new(std::ptr::null_mut()) };
}

/// The key that seals.
pub fn sealing() -> Result<Key, Fault> {
    find(|known| known.valid_until.is_none())?.ok_or_else(|| Fault::internal("no key to seal with"))
}

/// The key of that number, where it opens what it has sealed.
pub fn opening(number: u32) -> Result<Option<Key>, Fault> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(i64::MAX, |since| since.as_micros() as i64);
    find(|known| {
        known.key.number == number && known.valid_until.is_none_or(|closing| closing > now)
    })
}

fn find(is_it: impl Fn(&Known) -> bool) -> Result<Option<Key>, Fault> {
    if HAS_CHANGED.get() || KNOWN.with_borrow(Vec::is_empty) {
        read()?;
    }
    Ok(KNOWN.with_borrow(|known| {
        known
            .iter()
            .find(|known| is_it(known))
            .map(|known| known.key)
    }))
}

/// By way of a definer: nobody may read the keys.
fn read() -> Result<(), Fault> {
    // SAFETY: a function of ours without arguments; it is called as the caller may
    // not call it, and as PostgreSQL calls a definer.
    unsafe {
        let function = find_function(c"tenancy_private", c"read_seal_keys", &[]);
        if function == pg_sys::InvalidOid {
            return Err(Fault::internal("no function that reads the keys"));
        }
        pg_sys::OidFunctionCall0Coll(function, pg_sys::InvalidOid);
    }
    Ok(())
}

#[derive(Deserialize)]
struct Row {
    number: u32,
    secret: String,
    until: Option<i64>,
    table: pg_sys::Oid,
}

const KEYS: Question = Question {
    sql: c"
        select json_agg(json_build_object('number', k.number, 'secret', encode(k.secret, 'base64'),
            'until', (extract(epoch from k.valid_until) * 1000000)::bigint, 'table', k.tableoid::bigint))::text
        from tenancy.seal_keys as k
        where k.secret <> ''",
    types: &[],
    plan: &PLAN,
};

fn read_seal_keys(_call: pg_sys::FunctionCallInfo) -> Answer {
    // Before they are read: a change at that moment must not be lost.
    HAS_CHANGED.set(false);
    KNOWN.take();
    let rows = KEYS.ask(&[], |row| row?.text(1))?.unwrap_or_default();
    let rows: Vec<Row> = serde_json::from_str(&rows).unwrap_or_default();
    let known = rows.iter().filter_map(|row| {
        let secret = BASE64_STANDARD.decode(&row.secret).ok()?;
        Some(Known {
            key: Key::derive(row.number, &secret)?,
            valid_until: row.until,
        })
    });
    KNOWN.set(known.collect());
    TABLE.set(rows.first().map_or(pg_sys::InvalidOid, |row| row.table));
    // A void, which isn't NULL.
    Ok(pg_sys::Datum::null())
}

/// The trigger on the table of the keys.
fn forget_seal_keys(call: pg_sys::FunctionCallInfo) -> Answer {
    // SAFETY: `sql/` declares it as a trigger, and has it called as one.
    unsafe {
        let trigger = (*call).context.cast::<pg_sys::TriggerData>();
        if trigger.is_null() || (*trigger).type_ != pg_sys::NodeTag::T_TriggerData {
            return Err(Fault::internal("called otherwise than as a trigger"));
        }
        let table = (*(*trigger).tg_relation).rd_id;
        pg_sys::CacheInvalidateRelcacheByRelid(table);
    }
    Ok(pg_sys::Datum::null())
}

/// As if they had changed.
pub fn forget_all() {
    HAS_CHANGED.set(true);
}

/// Asks PostgreSQL to tell of changes, once per backend.
pub fn watch() {
    // SAFETY: the callback has the type asked for and lives as long as the backend.
    unsafe {
        pg_sys::CacheRegisterRelcacheCallback(Some(on_change), pg_sys::Datum::null());
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn on_change(_argument: pg_sys::Datum, relation: pg_sys::Oid) {
    let table = TABLE.get();
    if relation == table || relation == pg_sys::InvalidOid || table == pg_sys::InvalidOid {
        HAS_CHANGED.set(true);
    }
}
