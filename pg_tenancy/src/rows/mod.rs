//! The row functions: an isolated table as JSON. `sql/16_rows.sql` says what
//! they promise; the way of a request is
//!
//! `relation` (what is there) → `input`, `query` (what is asked) → `statement`,
//! `plan` (SQL, planned once) → `bind` (values) → `json` (the answer), with
//! `explain` beside it for errors.

mod bind;
mod cache;
mod catalog;
mod explain;
mod filter;
mod input;
mod json;
mod plan;
mod query;
mod refusing;
mod relation;
mod resource;
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
use filter::Condition;
use input::Deed;
use json::Json;
use query::Query;
use relation::Relation;
use statement::{Shape, Verb};

pub use cache::watch_catalog;

sql_function!(tenancy_list_rows, pg_finfo_tenancy_list_rows, list_rows);
sql_function!(tenancy_get_row, pg_finfo_tenancy_get_row, get_row);
sql_function!(tenancy_insert_row, pg_finfo_tenancy_insert_row, insert_row);
sql_function!(tenancy_update_row, pg_finfo_tenancy_update_row, update_row);
sql_function!(tenancy_delete_row, pg_finfo_tenancy_delete_row, delete_row);

fn list_rows(call: pg_sys::FunctionCallInfo) -> Answer {
    let relation = relation_argument(call, Verb::List)?;
    let page = read_page(relation, text_argument(call, 1)?)?;
    // SAFETY: what is alive here has no destructor.
    Ok(unsafe { list(relation, page) })
}

fn get_row(call: pg_sys::FunctionCallInfo) -> Answer {
    by_id(call, Verb::Get)
}

fn delete_row(call: pg_sys::FunctionCallInfo) -> Answer {
    by_id(call, Verb::Delete)
}

fn insert_row(call: pg_sys::FunctionCallInfo) -> Answer {
    let relation = relation_argument(call, Verb::Insert)?;
    let values = input::fields(relation, text_argument(call, 1)?, Deed::Insert)?;
    let unread = bind(relation, shape_of(Verb::Insert, &values), values, &[], &[])?;
    // SAFETY: the values went into `bind`; what is alive here has no destructor.
    Ok(unsafe { one_row(call, relation, unread) })
}

fn update_row(call: pg_sys::FunctionCallInfo) -> Answer {
    let relation = relation_argument(call, Verb::Update)?;
    let id = one_id(call, relation)?;
    let values = input::fields(relation, text_argument(call, 2)?, Deed::Update)?;
    let unread = bind(relation, shape_of(Verb::Update, &values), values, &id, &[])?;
    // SAFETY: as above.
    Ok(unsafe { one_row(call, relation, unread) })
}

fn by_id(call: pg_sys::FunctionCallInfo, verb: Verb) -> Answer {
    let relation = relation_argument(call, verb)?;
    let unread = bind(
        relation,
        shape_of(verb, &[]),
        Vec::new(),
        &one_id(call, relation)?,
        &[],
    )?;
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
fn one_id(call: pg_sys::FunctionCallInfo, relation: &Relation) -> Result<[String; 1], Fault> {
    relation.only_key()?;
    Ok([text_argument(call, 1)?.to_owned()])
}

/// A page that is asked for, in PostgreSQL's memory.
struct Page {
    number: i64,
    limit: i64,
    rows: Unread,
    count: Option<Unread>,
}

fn read_page(relation: &'static Relation, json: &str) -> Result<Page, Fault> {
    let query = Query::parse(relation, json)?;
    let (number, limit, offset) = (query.page, query.limit, query.offset());
    let count = query
        .is_counted
        .then(|| {
            let shape = shape_of(Verb::Count, &query.filter);
            bind(relation, shape, query.filter.clone(), &[], &[])
        })
        .transpose()?;
    let shape = Shape {
        sort: query.sort,
        columns: query.fields,
        ..shape_of(Verb::List, &query.filter)
    };
    Ok(Page {
        number,
        limit,
        rows: bind(relation, shape, query.filter, &[], &[limit, offset])?,
        count,
    })
}

/// The shape of a statement with these terms, in no order of its own, with all columns.
fn shape_of(verb: Verb, terms: &[Condition]) -> Shape {
    Shape {
        verb,
        terms: terms
            .iter()
            .map(|term| (term.field, term.operator))
            .collect(),
        sort: Vec::new(),
        columns: None,
    }
}

/// # Safety
/// As `plan::run`.
unsafe fn list(relation: &'static Relation, page: Page) -> pg_sys::Datum {
    // SAFETY: the caller's promise; `page` and `json` have no destructor.
    unsafe {
        let mut json = Json::new();
        json.push(b"{\"data\":[");
        plan::run(page.rows.read(relation), relation, &mut json);
        json.push(b"],\"page\":");
        json.display(page.number);
        json.push(b",\"limit\":");
        json.display(page.limit);
        if let Some(count) = page.count {
            json.push(b",\"total\":");
            json.display(plan::count(count.read(relation), relation));
        }
        json.push(b"}");
        json.datum()
    }
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
        match run_one(relation, unread, &mut json) {
            true => json.datum(),
            false => null(call),
        }
    }
}

/// Whether there is such a row, which is written to `json`.
///
/// # Safety
/// As `plan::run`.
unsafe fn run_one(relation: &'static Relation, unread: Unread, json: &mut Json) -> bool {
    // SAFETY: the caller's promise.
    let number = unsafe { plan::run(unread.read(relation), relation, json) };
    if number > 1 {
        // Only a view's key can be of more: nobody answers for it but the DBA.
        Fault::new("21000", "more than one row has this id").raise();
    }
    number == 1
}
