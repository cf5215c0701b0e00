//! To-one references of a relation, and the names under which a list includes what
//! they lead to.
//!
//! A reference stays inside the tenant: `(tenant_id, project_id)` to a key of an
//! isolated table, or one column to a table of everybody's rows. Its name is the
//! field's without `Id`, or else the table's. What has no name of its own is not offered.

use std::cell::{Cell, OnceCell};

use pgrx::pg_sys;
use serde::Deserialize;

use crate::committed::Question;
use crate::fault::Fault;
use crate::rows::cache;
use crate::rows::query::refused;
use crate::rows::relation::{Relation, camel_case};

/// Each is one more statement.
const MAX_INCLUDES: usize = 8;

/// Foreign keys, read when first asked for.
#[derive(Default)]
pub struct References(OnceCell<Vec<Reference>>);

#[derive(Deserialize)]
struct Reference {
    relation: pg_sys::Oid,
    table: String,
    /// The columns here and there.
    pairs: Vec<(String, String)>,
    /// Of the column here that has one.
    collation: pg_sys::Oid,
}

/// A reference that can be included.
#[derive(Clone)]
pub struct Include {
    pub name: String,
    /// The place of the field that refers.
    pub field: usize,
    pub target: &'static Relation,
    /// The place of the target's field that it refers to.
    pub matched: usize,
    pub collation: pg_sys::Oid,
}

/// `project,assignee`: each once. TN402 one that isn't there, TN406 too many.
pub fn wanted(relation: &'static Relation, text: &str) -> Result<Vec<Include>, Fault> {
    let offered = offered(relation)?;
    let mut wanted: Vec<Include> = Vec::new();
    for name in text.split(',') {
        let Some(include) = offered.iter().find(|include| include.name == name) else {
            return Err(unknown(relation, name, &offered));
        };
        if wanted.iter().any(|known| known.name == name) {
            return Err(refused("include", "names a reference twice"));
        }
        wanted.push(include.clone());
    }
    if wanted.len() > MAX_INCLUDES {
        return Err(refused(
            "include",
            &format!("must name at most {MAX_INCLUDES} references"),
        ));
    }
    Ok(wanted)
}

fn unknown(relation: &Relation, name: &str, offered: &[Include]) -> Fault {
    let shown: String = name.chars().take(64).collect();
    let names: Vec<&str> = offered
        .iter()
        .map(|include| include.name.as_str())
        .collect();
    let hint = if names.is_empty() {
        "It refers to nothing that can be included.".to_owned()
    } else {
        format!("Includes are {}.", names.join(", "))
    };
    Fault::new(
        "TN402",
        format!("\"{shown}\" can't be included in {}", relation.table),
    )
    .hint(hint)
    .field("include")
}

/// All that can be included, in the order of the fields that refer.
pub fn offered(relation: &'static Relation) -> Result<Vec<Include>, Fault> {
    let mut all: Vec<Include> = Vec::new();
    for reference in relation.references.of(relation)? {
        let Some(include) = include_of(relation, reference) else {
            continue;
        };
        let is_known = all.iter().any(|known| {
            (known.field, known.target.oid, known.matched)
                == (include.field, include.target.oid, include.matched)
        });
        if !is_known {
            all.push(include);
        }
    }
    let names: Vec<String> = all.iter().map(|include| include.name.clone()).collect();
    all.retain(|include| {
        let is_alone = names.iter().filter(|name| **name == include.name).count() == 1;
        is_alone && relation.field(&include.name).is_none()
    });
    all.sort_by_key(|include| include.field);
    Ok(all)
}

fn include_of(relation: &'static Relation, reference: &Reference) -> Option<Include> {
    let place_of = |relation: &Relation, column: &str| {
        let mut fields = relation.fields.iter();
        fields.position(|field| field.column == column)
    };
    // What isn't served can't be included.
    let target = cache::find(reference.relation, true).ok()?;
    let mut pairs = reference
        .pairs
        .iter()
        .map(|(own, other)| Some((place_of(relation, own)?, place_of(target, other)?)));
    let (first, second) = (pairs.next()??, pairs.next());
    let is_tenant = |&(own, other): &(usize, usize)| {
        Some(own) == relation.tenant && Some(other) == target.tenant
    };
    let (field, matched) = match (second, pairs.next()) {
        (None, _) if target.tenant.is_none() => first,
        (Some(second), None) if is_tenant(&first) => second?,
        (Some(second), None) if is_tenant(&second?) => first,
        _ => return None,
    };
    let (own, other) = (&relation.fields[field], &target.fields[matched]);
    let is_good = own.is_readable
        && other.is_readable
        && own.type_oid == other.type_oid
        && other.array_oid != pg_sys::InvalidOid;
    is_good.then(|| Include {
        name: match own.name.strip_suffix("Id") {
            Some(name) if !name.is_empty() => name.to_owned(),
            _ => camel_case(&reference.table),
        },
        field,
        target,
        matched,
        collation: reference.collation,
    })
}

impl References {
    fn of(&self, relation: &Relation) -> Result<&[Reference], Fault> {
        if let Some(known) = self.0.get() {
            return Ok(known);
        }
        let json = REFERENCES.ask(&[Some(pg_sys::Datum::from(relation.oid))], |row| {
            row?.text(1)
        })?;
        let references = serde_json::from_str(&json.unwrap_or_default())
            .map_err(|error| Fault::internal(format!("reading references: {error}")))?;
        Ok(self.0.get_or_init(|| references))
    }
}

thread_local! {
    static PLAN: Cell<pg_sys::SPIPlanPtr> = const { Cell::new(std::ptr::null_mut()) };
}

// A partitioned table that is referred to has a constraint more for each partition.
const REFERENCES: Question = Question {
    types: &[pg_sys::OIDOID],
    plan: &PLAN,
    sql: c"
select coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
    'relation', k.confrelid::pg_catalog.int8,
    'table', t.relname,
    'pairs', (
        select pg_catalog.json_agg(pg_catalog.json_build_array(a.attname, b.attname) order by u.place)
        from rows from (pg_catalog.unnest(k.conkey), pg_catalog.unnest(k.confkey))
            with ordinality as u (own, other, place)
        join pg_catalog.pg_attribute as a on a.attrelid = k.conrelid and a.attnum = u.own
        join pg_catalog.pg_attribute as b on b.attrelid = k.confrelid and b.attnum = u.other),
    'collation', (
        select pg_catalog.max(a.attcollation::pg_catalog.int8)
        from pg_catalog.pg_attribute as a
        where a.attrelid = k.conrelid and a.attnum = any (k.conkey)))
    order by k.conname), '[]')::pg_catalog.text
from pg_catalog.pg_constraint as k
join pg_catalog.pg_class as t on t.oid = k.confrelid
where k.conrelid = $1 and k.contype = 'f' and not exists (
    select from pg_catalog.pg_constraint as p
    where p.oid = k.conparentid and p.conrelid = k.conrelid)",
};
