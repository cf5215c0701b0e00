//! The row functions by the name of a resource: `sql/78_resource_rows.sql` says what
//! they promise.

use pgrx::pg_sys;

use super::{list, one_row, run_one};
use crate::context;
use crate::fault::Fault;
use crate::function::{Answer, argument, null, text_argument, texts_argument};
use crate::readers;
use crate::rows::bind::{Unread, bind};
use crate::rows::cache;
use crate::rows::explain::Explaining;
use crate::rows::include::Includes;
use crate::rows::input::{self, Deed};
use crate::rows::json::Json;
use crate::rows::list::One;
use crate::rows::relation::Relation;
use crate::rows::statement::{Shape, Verb};
use crate::rows::tag::Tags;

sql_function!(
    tenancy_list_resource,
    pg_finfo_tenancy_list_resource,
    list_resource
);
sql_function!(
    tenancy_get_resource,
    pg_finfo_tenancy_get_resource,
    get_resource
);
sql_function!(
    tenancy_insert_resource,
    pg_finfo_tenancy_insert_resource,
    insert_resource
);
sql_function!(
    tenancy_update_resource,
    pg_finfo_tenancy_update_resource,
    update_resource
);
sql_function!(
    tenancy_delete_resource,
    pg_finfo_tenancy_delete_resource,
    delete_resource
);

fn list_resource(call: pg_sys::FunctionCallInfo) -> Answer {
    let relation = resource(call, Verb::List)?;
    list::answer(relation, text_argument(call, 1)?)
}

fn get_resource(call: pg_sys::FunctionCallInfo) -> Answer {
    let relation = resource(call, Verb::Get)?;
    let row = One::read(relation, &id(call, relation)?, text_argument(call, 2)?)?;
    // SAFETY: as above.
    Ok(unsafe { row.answer(call, relation) })
}

fn insert_resource(call: pg_sys::FunctionCallInfo) -> Answer {
    let relation = resource(call, Verb::Insert)?;
    let body = text_argument(call, 1)?;
    if !body.trim_start().starts_with('[') {
        let unread = insertion(relation, body)?;
        // SAFETY: as above.
        return Ok(unsafe { one_row(call, relation, unread) });
    }
    let rows = input::rows(body)?;
    let number = rows.len();
    // SAFETY: palloc answers with that much memory, all of which is written.
    let unread = unsafe { pg_sys::palloc(number * size_of::<Unread>()).cast::<Unread>() };
    for (place, row) in rows.iter().enumerate() {
        let one = insertion(relation, row.get()).map_err(|fault| fault.in_row(place))?;
        // SAFETY: as above.
        unsafe { unread.add(place).write(one) };
    }
    drop(rows);
    // SAFETY: what is alive here has no destructor.
    Ok(unsafe { insert_all(relation, unread, number) })
}

fn update_resource(call: pg_sys::FunctionCallInfo) -> Answer {
    if (0..3).any(|index| argument(call, index).is_none()) {
        return Ok(null(call));
    }
    let relation = resource(call, Verb::Update)?;
    let id = id(call, relation)?;
    let values = input::fields(relation, text_argument(call, 2)?, Deed::Update)?;
    let tags = tags(call, 3)?;
    let lock = match tags {
        Some(_) => Some(by_id(relation, Verb::Lock, &id)?),
        None => None,
    };
    let unread = bind(relation, Shape::of(Verb::Update, &values), values, &id, &[])?;
    drop(id);
    // SAFETY: as above.
    Ok(unsafe {
        if let (Some(tags), Some(lock)) = (tags, lock) {
            let mut json = Json::new();
            if !run_one(relation, lock, Includes::none(), &mut json) {
                return Ok(null(call));
            }
            tags.require(json.written());
        }
        one_row(call, relation, unread)
    })
}

fn delete_resource(call: pg_sys::FunctionCallInfo) -> Answer {
    if (0..2).any(|index| argument(call, index).is_none()) {
        return Ok(null(call));
    }
    let relation = resource(call, Verb::Delete)?;
    let tags = tags(call, 2)?;
    let id = id(call, relation)?;
    // A row that is deleted softly comes back as it is then.
    let lock = match tags {
        Some(_) if relation.is_soft_deleted => Some(by_id(relation, Verb::Lock, &id)?),
        _ => None,
    };
    let unread = by_id(relation, Verb::Delete, &id)?;
    drop(id);
    // SAFETY: as above.
    Ok(unsafe {
        let mut json = Json::new();
        if let (Some(tags), Some(lock)) = (tags, lock) {
            if !run_one(relation, lock, Includes::none(), &mut json) {
                return Ok(null(call));
            }
            tags.require(json.written());
            return Ok(one_row(call, relation, unread));
        }
        if !run_one(relation, unread, Includes::none(), &mut json) {
            return Ok(null(call));
        }
        // This is the row that was deleted, in its newest version; an error brings it
        // back. To lock it first, the role would need the right to change it.
        if let Some(tags) = tags {
            tags.require(json.written());
        }
        json.datum()
    })
}

/// The resource that the call names. TN001 without a context, TN204 for who can only
/// read, 42501 where the DBA lets nobody do this.
pub fn resource(call: pg_sys::FunctionCallInfo, verb: Verb) -> Result<&'static Relation, Fault> {
    readers::required()?;
    if !verb.is_reading() {
        context::refuse_to_write_if_read_only()?;
    }
    let relation = cache::find_resource(text_argument(call, 0)?, verb.is_reading())?;
    let (is_allowed, deed) = match verb {
        Verb::Insert => (relation.allows_insert, "added"),
        Verb::Update => (relation.allows_update, "changed"),
        Verb::Delete => (relation.allows_delete, "deleted"),
        Verb::Restore => (relation.allows_delete, "restored"),
        _ => (true, ""),
    };
    if is_allowed {
        return Ok(relation);
    }
    let message = format!("rows of {} can't be {deed}", relation.title);
    Err(Fault::new("42501", message).hint("The resource is for reading, or the DBA has said so."))
}

/// What the answer to an insertion shows, by name; or the error that it would be.
pub fn shown(call: pg_sys::FunctionCallInfo) -> Result<Vec<String>, Fault> {
    let relation = resource(call, Verb::Insert)?;
    let fields = relation
        .readable
        .iter()
        .map(|&place| &relation.fields[place]);
    let columns = fields.map(|field| format!("column {}", field.column));
    Ok(columns
        .chain([format!("relation {}", relation.name)])
        .collect())
}

/// The id that is asked for, the second argument. TN405 where it has not as many parts
/// as the key.
pub fn id<'call>(
    call: pg_sys::FunctionCallInfo,
    relation: &Relation,
) -> Result<Vec<&'call str>, Fault> {
    let parts = texts(call, 1)?.unwrap_or_default();
    if parts.len() == relation.keys.len() {
        return Ok(parts);
    }
    let keys = relation.keys.iter();
    let names: Vec<&str> = keys
        .map(|&key| relation.fields[key].name.as_str())
        .collect();
    Err(
        Fault::new("TN405", format!("an id has {} parts", names.len()))
            .hint(format!("They are {}, in this order.", names.join(", "))),
    )
}

fn tags(call: pg_sys::FunctionCallInfo, index: usize) -> Result<Option<Tags>, Fault> {
    Ok(texts(call, index)?.map(|tags| Tags::new(&tags)))
}

/// The texts of an array that is an argument; `None` for SQL's NULL.
fn texts<'call>(
    call: pg_sys::FunctionCallInfo,
    index: usize,
) -> Result<Option<Vec<&'call str>>, Fault> {
    let Some(texts) = texts_argument(call, index)? else {
        return Ok(None);
    };
    let texts = texts.into_iter().collect::<Option<_>>();
    texts
        .map(Some)
        .ok_or_else(|| Fault::new("TN405", "NULL is no part of an id, nor a tag"))
}

fn insertion(relation: &'static Relation, json: &str) -> Result<Unread, Fault> {
    let values = input::fields(relation, json, Deed::Insert)?;
    bind(relation, Shape::of(Verb::Insert, &values), values, &[], &[])
}

pub fn by_id(relation: &'static Relation, verb: Verb, id: &[&str]) -> Result<Unread, Fault> {
    bind(relation, Shape::of(verb, &[]), Vec::new(), id, &[])
}

/// The rows that as many statements add, as a JSON array.
///
/// # Safety
/// As `plan::run`; there are that many.
unsafe fn insert_all(
    relation: &'static Relation,
    unread: *const Unread,
    number: usize,
) -> pg_sys::Datum {
    // SAFETY: the caller's promise. An error leaves the explanation to PostgreSQL,
    // which resets the stack it stands on.
    unsafe {
        let mut json = Json::new();
        json.push(b"[");
        for place in 0..number {
            if place > 0 {
                json.push(b",");
            }
            let mut explaining = Explaining::of_row(place);
            explaining.start();
            run_one(
                relation,
                unread.add(place).read(),
                Includes::none(),
                &mut json,
            );
            explaining.end();
        }
        json.push(b"]");
        json.datum()
    }
}
