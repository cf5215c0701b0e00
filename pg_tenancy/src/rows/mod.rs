//! The row functions: an isolated table as JSON. `sql/16_rows.sql` says what
//! they promise; the way of a request is
//!
//! `relation` (what is there) → `input`, `query` (what is asked) → `statement`,
//! `plan` (SQL, planned once) → `bind` (values) → `json` (the answer), with
//! `explain` beside it for errors. A `list` has more to it: a `cursor` to go on from,
//! by the ranges `after` it, a `count`, and what is to `include`.

mod after;
mod arguments;
mod bind;
mod cache;
pub mod call;
mod catalog;
mod columns;
mod composite;
mod conditions;
mod count;
mod cursor;
mod deleted;
mod direct;
mod explain;
mod filter;
mod going_on;
mod include;
mod input;
mod json;
mod list;
mod ordering;
mod plan;
mod planning;
mod query;
mod reader;
mod references;
mod refusing;
mod relation;
mod report;
pub mod resource;
mod seal_keys;
mod served;
mod statement;
mod tag;
mod times;
mod types;
mod values;

use pgrx::pg_sys;

use crate::context;
use crate::fault::Fault;
use crate::function::{Answer, argument, null, text_argument};
use crate::readers;
use bind::{Unread, bind};
use include::Includes;
use input::Deed;
use json::Json;
use list::One;
use relation::Relation;
use statement::{Shape, Verb};

pub use cache::watch_catalog;
#[cfg(any(test, feature = "pg_test"))]
pub use direct::walks;
pub use seal_keys::watch as watch_seal_keys;

/// As if all that is known of the catalog and of keys had changed.
pub fn forget_all() {
    cache::forget_all();
    seal_keys::forget_all();
}

sql_function!(tenancy_list_rows, pg_finfo_tenancy_list_rows, list_rows);
sql_function!(tenancy_get_row, pg_finfo_tenancy_get_row, get_row);
sql_function!(tenancy_insert_row, pg_finfo_tenancy_insert_row, insert_row);
sql_function!(tenancy_update_row, pg_finfo_tenancy_update_row, update_row);
sql_function!(tenancy_delete_row, pg_finfo_tenancy_delete_row, delete_row);

fn list_rows(call: pg_sys::FunctionCallInfo) -> Answer {
    let relation = relation_argument(call, Verb::List)?;
    list::answer(relation, text_argument(call, 1)?)
}

fn get_row(call: pg_sys::FunctionCallInfo) -> Answer {
    let relation = relation_argument(call, Verb::Get)?;
    let row = One::read(relation, &one_id(call, relation)?, "{}")?;
    // SAFETY: what is alive here has no destructor.
    Ok(unsafe { row.answer(call, relation) })
}

fn delete_row(call: pg_sys::FunctionCallInfo) -> Answer {
    let relation = relation_argument(call, Verb::Delete)?;
    let unread = bind(
        relation,
        Shape::of(Verb::Delete, &[]),
        Vec::new(),
        &one_id(call, relation)?,
        &[],
    )?;
    // SAFETY: what is alive here has no destructor.
    Ok(unsafe { one_row(call, relation, unread) })
}

fn insert_row(call: pg_sys::FunctionCallInfo) -> Answer {
    let relation = relation_argument(call, Verb::Insert)?;
    let values = input::fields(relation, text_argument(call, 1)?, Deed::Insert)?;
    let unread = bind(relation, Shape::of(Verb::Insert, &values), values, &[], &[])?;
    // SAFETY: the values went into `bind`; what is alive here has no destructor.
    Ok(unsafe { one_row(call, relation, unread) })
}

fn update_row(call: pg_sys::FunctionCallInfo) -> Answer {
    let relation = relation_argument(call, Verb::Update)?;
    let id = one_id(call, relation)?;
    let values = input::fields(relation, text_argument(call, 2)?, Deed::Update)?;
    let unread = bind(relation, Shape::of(Verb::Update, &values), values, &id, &[])?;
    // SAFETY: as above.
    Ok(unsafe { one_row(call, relation, unread) })
}

fn relation_argument(
    call: pg_sys::FunctionCallInfo,
    verb: Verb,
) -> Result<&'static Relation, Fault> {
    // Here, and not only in the policy, which the planner asks as well: through
    // pgrx, where the error would lose its code.
    readers::required()?;
    if !verb.is_reading() {
        context::refuse_to_write_if_read_only()?;
    }
    let datum = argument(call, 0).ok_or_else(|| Fault::internal("a NULL argument"))?;
    cache::find(pg_sys::Oid::from(datum.value() as u32), verb.is_reading())
}

/// The id that is asked for, of a relation whose key is one column beside the tenant.
fn one_id<'call>(
    call: pg_sys::FunctionCallInfo,
    relation: &Relation,
) -> Result<[&'call str; 1], Fault> {
    relation.only_key()?;
    Ok([text_argument(call, 1)?])
}

/// The row that a statement gives, or NULL.
///
/// # Safety
/// As `plan::run`.
unsafe fn one_row(
    call: pg_sys::FunctionCallInfo,
    relation: &'static Relation,
    unread: Unread,
) -> pg_sys::Datum {
    // SAFETY: the caller's promise.
    unsafe {
        let mut json = Json::new();
        match run_one(relation, unread, Includes::none(), &mut json) {
            true => json.datum(),
            false => null(call),
        }
    }
}

/// Whether there is such a row, which is written to `json`.
///
/// # Safety
/// As `plan::run`.
unsafe fn run_one(
    relation: &'static Relation,
    unread: Unread,
    includes: Includes,
    json: &mut Json,
) -> bool {
    // SAFETY: the caller's promise.
    let number = unsafe { plan::run(unread.read(relation), relation, includes, json) };
    if number > 1 {
        // Only a view's key can be of more: nobody answers for it but the DBA.
        Fault::new("21000", "more than one row has this id").raise();
    }
    number == 1
}
