//! What a relation is made of, read from the catalog, once per backend and role.
//!
//! A description holds until the relation changes: PostgreSQL tells so (see
//! `watch_catalog`). One that is in use when that happens is kept to the end of
//! the transaction, so that a `&'static Relation` never dangles within one.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use pgrx::{Spi, pg_guard, pg_sys};
use serde::Deserialize;

use crate::fault::Fault;
use crate::rows::plan::Plans;
use crate::rows::types::Kind;

/// A relation that the row functions serve, as one role sees it.
pub struct Relation {
    pub schema: String,
    pub table: String,
    /// Schema and table, quoted.
    pub name: String,
    pub fields: Vec<Field>,
    /// The place of the tenant's column in `fields`.
    pub tenant: usize,
    /// The place of the key's other column.
    pub key: usize,
    pub constraints: Vec<Constraint>,
    pub plans: Plans,
}

/// A column, and the JSON field that stands for it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Field {
    /// The name in JSON.
    #[serde(skip)]
    pub name: String,
    /// What stands before the value in a row's JSON.
    #[serde(skip)]
    pub label: String,
    #[serde(skip)]
    pub kind: Kind,
    pub column: String,
    /// The column, quoted.
    pub quoted: String,
    /// The type's oid; of a domain, that of the type below.
    pub type_oid: pg_sys::Oid,
    pub type_modifier: i32,
    /// The type as SQL writes it.
    pub type_name: String,
    element_oid: pg_sys::Oid,
    pub is_builtin: bool,
    is_boundary: bool,
    is_key: bool,
    pub is_readable: bool,
    pub is_insertable: bool,
    pub is_updatable: bool,
    pub is_filterable: bool,
}

/// A rule that a value can break, and how to say so.
#[derive(Deserialize)]
pub struct Constraint {
    pub name: String,
    /// Its columns.
    pub columns: Vec<String>,
    /// `comment on constraint`: what must be, in words.
    pub rule: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Description {
    schema: String,
    table: String,
    name: String,
    is_isolated: bool,
    fields: Vec<Field>,
    constraints: Vec<Constraint>,
}

/// The relation with that oid. TN401 where the row functions can't serve it.
pub fn find(oid: pg_sys::Oid) -> Result<&'static Relation, Fault> {
    forget_what_changed();
    // SAFETY: reads a global of this backend.
    let role = unsafe { pg_sys::GetUserId() };
    if let Some(known) = KNOWN.with_borrow(|known| known.get(&(oid, role)).copied()) {
        // SAFETY: freed only at the end of a transaction, after it left KNOWN.
        return Ok(unsafe { &*known });
    }
    let relation: *const Relation = Box::into_raw(Box::new(describe(oid)?));
    KNOWN.with_borrow_mut(|known| known.insert((oid, role), relation));
    // SAFETY: as above.
    Ok(unsafe { &*relation })
}

fn describe(oid: pg_sys::Oid) -> Result<Relation, Fault> {
    let json = match Spi::get_one_with_args::<String>(DESCRIBE, &[oid.into()]) {
        Ok(Some(json)) => json,
        // No row: an index or a view, or nothing at all.
        Ok(None) | Err(pgrx::spi::Error::InvalidPosition) => {
            return Err(not_served("it is not a table"));
        }
        Err(error) => {
            return Err(Fault::internal(format!("describing a relation: {error}")));
        }
    };
    let mut found: Description = serde_json::from_str(&json)
        .map_err(|error| Fault::internal(format!("describing a relation: {error}")))?;

    if !found.is_isolated {
        return Err(not_served(&format!(
            "{} is not an isolated table",
            found.name
        )));
    }
    let mut is_first_readable = true;
    for i in 0..found.fields.len() {
        let name = camel_case(&found.fields[i].column);
        if found.fields[..i].iter().any(|field| field.name == name) {
            return Err(not_served(&format!(
                "two columns of {} are both \"{name}\" in JSON",
                found.name
            )));
        }
        let field = &mut found.fields[i];
        field.kind = Kind::of(field.type_oid, field.element_oid);
        if field.is_readable {
            let start = if is_first_readable { '{' } else { ',' };
            field.label = format!("{start}{}:", serde_json::Value::from(name.as_str()));
            is_first_readable = false;
        }
        field.name = name;
    }
    let only = |is_it: fn(&Field) -> bool| {
        let mut places = (0..found.fields.len()).filter(|&i| is_it(&found.fields[i]));
        places.next().filter(|_| places.next().is_none())
    };
    let (Some(tenant), Some(key)) = (
        only(|field| field.is_boundary),
        only(|field| field.is_key && !field.is_boundary),
    ) else {
        return Err(not_served(&format!(
            "the primary key of {} is not the tenant and one column more",
            found.name
        )));
    };
    if !found.fields[key].is_readable {
        return Err(not_served(&format!(
            "your role may not read the key of {}",
            found.name
        )));
    }
    Ok(Relation {
        schema: found.schema,
        table: found.table,
        name: found.name,
        fields: found.fields,
        tenant,
        key,
        constraints: found.constraints,
        plans: Plans::default(),
    })
}

fn not_served(why: &str) -> Fault {
    Fault::new("TN401", format!("not served: {why}")).hint(
        "The row functions serve isolated tables whose primary key is the tenant and one column.",
    )
}

impl Relation {
    pub fn key_field(&self) -> &Field {
        &self.fields[self.key]
    }

    pub fn field(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|field| field.name == name)
    }

    pub fn readable(&self) -> impl Iterator<Item = &Field> {
        self.fields.iter().filter(|field| field.is_readable)
    }
}

/// `created_at` as `createdAt`. Only an underscore between a letter or digit and
/// a small letter or digit goes: other names stay as they are.
fn camel_case(column: &str) -> String {
    let mut name = String::with_capacity(column.len());
    let mut letters = column.chars().peekable();
    while let Some(letter) = letters.next() {
        let next = letters
            .peek()
            .copied()
            .filter(|next| next.is_ascii_lowercase() || next.is_ascii_digit());
        match next {
            Some(next) if letter == '_' && name.chars().last().is_some_and(|last| last != '_') => {
                name.push(next.to_ascii_uppercase());
                letters.next();
            }
            _ => name.push(letter),
        }
    }
    name
}

type Known = HashMap<(pg_sys::Oid, pg_sys::Oid), *const Relation>;

thread_local! {
    static KNOWN: RefCell<Known> = RefCell::default();
    /// Out of KNOWN, and freed when the transaction ends.
    static RETIRED: RefCell<Vec<*const Relation>> = const { RefCell::new(Vec::new()) };
    static HAS_CHANGED: Cell<bool> = const { Cell::new(false) };
}

/// Asks PostgreSQL to tell of changes, once per backend.
pub fn watch_catalog() {
    // SAFETY: the callbacks have the types asked for and live as long as the backend.
    unsafe {
        pg_sys::CacheRegisterRelcacheCallback(Some(on_relation_change), pg_sys::Datum::null());
        // Privileges also come by way of memberships.
        pg_sys::CacheRegisterSyscacheCallback(
            pg_sys::SysCacheIdentifier::AUTHMEMMEMROLE as i32,
            Some(on_membership_change),
            pg_sys::Datum::null(),
        );
        pg_sys::RegisterXactCallback(Some(on_transaction_end), std::ptr::null_mut());
    }
}

// PostgreSQL calls these at any moment, so they take no lock and free nothing.
#[pg_guard]
unsafe extern "C-unwind" fn on_relation_change(_argument: pg_sys::Datum, relation: pg_sys::Oid) {
    let is_known = KNOWN.try_with(|known| {
        known.try_borrow().is_ok_and(|known| {
            relation == pg_sys::InvalidOid || known.keys().any(|(oid, _)| *oid == relation)
        })
    });
    // Borrowed just now: somebody is adding one, and it may be this one.
    if is_known.unwrap_or(true) {
        HAS_CHANGED.set(true);
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn on_membership_change(
    _argument: pg_sys::Datum,
    _cache: i32,
    _hash: u32,
) {
    HAS_CHANGED.set(true);
}

fn forget_what_changed() {
    if HAS_CHANGED.replace(false) {
        let known = KNOWN.take();
        RETIRED.with_borrow_mut(|retired| retired.extend(known.into_values()));
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
        for relation in RETIRED.take() {
            // SAFETY: it came from Box::into_raw, left KNOWN, and the
            // transaction that could hold a reference is over.
            drop(unsafe { Box::from_raw(relation.cast_mut()) });
        }
    }
}

// Tables, types and functions are named with their schema: the search path is
// the caller's. One row of JSON, so that it is one query and one reading.
const DESCRIBE: &str = "
select pg_catalog.json_build_object(
    'schema', n.nspname,
    'table', c.relname,
    'name', pg_catalog.format('%I.%I', n.nspname, c.relname),
    'isIsolated', c.relrowsecurity and c.relforcerowsecurity and exists (
        select from pg_catalog.pg_policy as p
        where p.polrelid = c.oid and p.polname = 'tenant_boundary'
          and not p.polpermissive and p.polcmd = '*' and p.polroles = '{0}'),
    'fields', (
        select pg_catalog.json_agg(pg_catalog.json_build_object(
            'column', a.attname,
            'quoted', pg_catalog.quote_ident(a.attname),
            'typeOid', b.oid::pg_catalog.int8,
            'typeModifier', case when t.typtype = 'd' then t.typtypmod else a.atttypmod end,
            'typeName', pg_catalog.format_type(t.oid, null),
            'elementOid', case when b.typcategory = 'A' then b.typelem else 0 end::pg_catalog.int8,
            'isBuiltin', b.typnamespace = 'pg_catalog'::pg_catalog.regnamespace,
            'isBoundary', exists (
                select from pg_catalog.pg_policy as p
                join pg_catalog.pg_depend as d
                  on d.classid = 'pg_catalog.pg_policy'::pg_catalog.regclass and d.objid = p.oid
                where p.polrelid = c.oid and p.polname = 'tenant_boundary'
                  and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
                  and d.refobjid = c.oid and d.refobjsubid = a.attnum),
            'isKey', exists (
                select from pg_catalog.pg_index as i
                where i.indrelid = c.oid and i.indisprimary and a.attnum = any (i.indkey)),
            'isReadable', pg_catalog.has_column_privilege(c.oid, a.attnum, 'SELECT'),
            'isInsertable', a.attgenerated = '' and a.attidentity <> 'a'
                and pg_catalog.has_column_privilege(c.oid, a.attnum, 'INSERT'),
            'isUpdatable', a.attgenerated = '' and a.attidentity <> 'a'
                and pg_catalog.has_column_privilege(c.oid, a.attnum, 'UPDATE'),
            'isFilterable', exists (
                select from pg_catalog.pg_index as i
                where i.indrelid = c.oid and i.indisvalid and i.indpred is null
                  and a.attnum = any (i.indkey)))
            order by a.attnum)
        from pg_catalog.pg_attribute as a
        join pg_catalog.pg_type as t on t.oid = a.atttypid
        join pg_catalog.pg_type as b
          on b.oid = case when t.typtype = 'd' then t.typbasetype else t.oid end
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped),
    'constraints', coalesce((
        select pg_catalog.json_agg(pg_catalog.json_build_object(
            'name', k.conname,
            'columns', array(
                select a.attname from pg_catalog.unnest(k.conkey) with ordinality as u (number, place)
                join pg_catalog.pg_attribute as a on a.attrelid = c.oid and a.attnum = u.number
                order by u.place),
            'rule', pg_catalog.obj_description(k.oid, 'pg_constraint')))
        from pg_catalog.pg_constraint as k
        where k.conrelid = c.oid), '[]'))::pg_catalog.text
from pg_catalog.pg_class as c
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
where c.oid = $1 and c.relkind in ('r', 'p')";
