//! What a relation is made of, read from the catalog.

use std::cell::Cell;

use pgrx::pg_sys;
use serde::Deserialize;

use crate::committed::Question;
use crate::fault::Fault;
use crate::rows::plan::Plans;
use crate::rows::types::Kind;

/// A relation that the row functions serve, as one role sees it.
pub struct Relation {
    pub oid: pg_sys::Oid,
    pub schema: String,
    pub table: String,
    /// Schema and table, quoted.
    pub name: String,
    pub fields: Vec<Field>,
    /// The places of those that can be read.
    pub readable: Vec<usize>,
    /// The place of the tenant's column in `fields`; `None` where rows are everybody's.
    pub tenant: Option<usize>,
    /// The places of the key's other columns, in the order of its index.
    pub keys: Vec<usize>,
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
    /// What stands before the value in a row's JSON: `"title":`.
    #[serde(skip)]
    pub label: String,
    #[serde(skip)]
    pub kind: Kind,
    pub column: String,
    /// The column, quoted.
    pub quoted: String,
    /// The type's oid; of a domain, that of the type below.
    pub type_oid: pg_sys::Oid,
    /// The type's oid as the column has it.
    pub declared_oid: pg_sys::Oid,
    pub type_modifier: i32,
    /// The type as SQL writes it.
    pub type_name: String,
    element_oid: pg_sys::Oid,
    pub is_builtin: bool,
    is_boundary: bool,
    /// Its place in the primary key.
    key_place: Option<i32>,
    pub is_readable: bool,
    pub is_insertable: bool,
    pub is_updatable: bool,
    pub is_filterable: bool,
    /// Whether lists can be sorted by it.
    #[serde(skip)]
    pub is_sortable: bool,
    /// The type of its arrays; invalid where there is none.
    #[serde(skip, default = "no_type")]
    pub array_oid: pg_sys::Oid,
    /// Whether its type has an order.
    #[serde(skip)]
    pub is_ordered: bool,
}

fn no_type() -> pg_sys::Oid {
    pg_sys::InvalidOid
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

/// Reads it. TN401 where the row functions can't serve it.
pub fn describe(oid: pg_sys::Oid) -> Result<Relation, Fault> {
    // No row: it was dropped just now.
    let json = DESCRIBE
        .ask(&[Some(pg_sys::Datum::from(oid))], |row| row?.text(1))?
        .ok_or_else(|| not_served("it is not a table"))?;
    let mut found: Description = serde_json::from_str(&json)
        .map_err(|error| Fault::internal(format!("describing a relation: {error}")))?;

    if !found.is_isolated {
        return Err(not_served(&format!(
            "{} is not an isolated table",
            found.name
        )));
    }
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
        field.label = format!("{}:", serde_json::Value::from(name.as_str()));
        // SAFETY: look-ups in the caches of the catalog.
        unsafe {
            field.array_oid = pg_sys::get_array_type(field.type_oid);
            let known = pg_sys::lookup_type_cache(field.type_oid, pg_sys::TYPECACHE_LT_OPR as i32);
            field.is_ordered = (*known).lt_opr != pg_sys::InvalidOid;
        }
        field.is_sortable = field.is_filterable && field.is_ordered;
        field.name = name;
    }
    let tenant = only(&found.fields, |field| field.is_boundary);
    let keys = keys(&found.fields);
    if tenant.is_none() || keys.is_empty() {
        return Err(not_served(&format!(
            "the primary key of {} is not the tenant and one column or more",
            found.name
        )));
    }
    if !keys.iter().all(|&key| found.fields[key].is_readable) {
        return Err(not_served(&format!(
            "your role may not read the key of {}",
            found.name
        )));
    }
    let readable = (0..found.fields.len())
        .filter(|&place| found.fields[place].is_readable)
        .collect();
    Ok(Relation {
        oid,
        readable,
        schema: found.schema,
        table: found.table,
        name: found.name,
        fields: found.fields,
        tenant,
        keys,
        constraints: found.constraints,
        plans: Plans::default(),
    })
}

/// The place of the one field that is it.
fn only(fields: &[Field], is_it: impl Fn(&Field) -> bool) -> Option<usize> {
    let mut places = (0..fields.len()).filter(|&place| is_it(&fields[place]));
    places.next().filter(|_| places.next().is_none())
}

/// The places of the primary key's columns beside the tenant, in its order.
fn keys(fields: &[Field]) -> Vec<usize> {
    let mut keys: Vec<usize> = (0..fields.len())
        .filter(|&place| fields[place].key_place.is_some() && !fields[place].is_boundary)
        .collect();
    keys.sort_by_key(|&place| fields[place].key_place);
    keys
}

pub fn not_served(why: &str) -> Fault {
    Fault::new("TN401", format!("not served: {why}")).hint(
        "The row functions serve isolated tables whose primary key is the tenant and one column or more.",
    )
}

impl Relation {
    /// The one column of the key beside the tenant. TN401 where there are more.
    pub fn only_key(&self) -> Result<usize, Fault> {
        match self.keys[..] {
            [key] => Ok(key),
            _ => Err(not_served(&format!(
                "the key of {} has {} columns beside the tenant, and this function takes one id",
                self.name,
                self.keys.len()
            ))
            .hint("Expose the table: tenancy.get_resource() and its like take an id of several parts.")),
        }
    }

    pub fn field(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|field| field.name == name)
    }
}

/// `created_at` as `createdAt`. Only an underscore between a letter or digit and
/// a small letter or digit goes: other names stay as they are.
pub fn camel_case(column: &str) -> String {
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

// Tables, types and functions are named with their schema: the search path is
// the caller's. One row of JSON, so that it is one query and one reading.
thread_local! {
    static DESCRIBE_PLAN: Cell<pg_sys::SPIPlanPtr> = const { Cell::new(std::ptr::null_mut()) };
}

const DESCRIBE: Question = Question {
    types: &[pg_sys::OIDOID],
    plan: &DESCRIBE_PLAN,
    sql: c"
select pg_catalog.json_build_object(
    'schema', n.nspname,
    'table', c.relname,
    'name', pg_catalog.format('%I.%I', n.nspname, c.relname),
    'isIsolated', c.relrowsecurity and c.relforcerowsecurity and exists (
        select from pg_catalog.pg_policy as p
        where p.polrelid = c.oid and p.polname = 'tenant_boundary'
          and not p.polpermissive and p.polcmd = '*' and p.polroles = '{0}'),
    'fields', coalesce((
        select pg_catalog.json_agg(pg_catalog.json_build_object(
            'column', a.attname,
            'quoted', pg_catalog.quote_ident(a.attname),
            'typeOid', b.oid::pg_catalog.int8,
            'declaredOid', t.oid::pg_catalog.int8,
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
            'keyPlace', (
                select u.place from pg_catalog.pg_index as i,
                    pg_catalog.unnest(i.indkey) with ordinality as u (number, place)
                where i.indrelid = c.oid and i.indisprimary
                  and u.number = a.attnum and u.place <= i.indnkeyatts),
            'isReadable', coalesce(pg_catalog.has_column_privilege(c.oid, a.attnum, 'SELECT'), false),
            'isInsertable', a.attgenerated = '' and a.attidentity <> 'a'
                and coalesce(pg_catalog.has_column_privilege(c.oid, a.attnum, 'INSERT'), false),
            'isUpdatable', a.attgenerated = '' and a.attidentity <> 'a'
                and coalesce(pg_catalog.has_column_privilege(c.oid, a.attnum, 'UPDATE'), false),
            'isFilterable', exists (
                select from pg_catalog.pg_index as i
                where i.indrelid = c.oid and i.indisvalid and i.indpred is null
                  and a.attnum = any (i.indkey)))
            order by a.attnum)
        from pg_catalog.pg_attribute as a
        join pg_catalog.pg_type as t on t.oid = a.atttypid
        join pg_catalog.pg_type as b
          on b.oid = case when t.typtype = 'd' then t.typbasetype else t.oid end
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped), '[]'),
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
where c.oid = $1 and c.relkind in ('r', 'p')",
};
