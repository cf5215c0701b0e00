//! To-one references of a relation, and the names under which a list includes what
//! they lead to.
//!
//! A reference stays inside the tenant: `(tenant_id, project_id)` to a key of an
//! isolated table, or one column to a table of everybody's rows. Its name is the
//! field's without `Id`, or else that of the resource or table. What has no name of its own is not offered.

use std::cell::OnceCell;

use pgrx::pg_sys;
use serde::Deserialize;

use crate::boundary_first::find_function;
use crate::fault::Fault;
use crate::function::content;
use crate::rows::cache;
use crate::rows::query::refused;
use crate::rows::relation::{Relation, camel_case};
use crate::rows::served::Standing;

/// Each is one more statement.
const MAX_INCLUDES: usize = 8;

/// Foreign keys, read when first asked for.
#[derive(Default)]
pub struct References(OnceCell<Vec<Reference>>);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reference {
    column: String,
    collation: pg_sys::Oid,
    relation: pg_sys::Oid,
    target: String,
    /// Whether the tenant is part of it.
    has_tenant: bool,
    /// Under which the relation is served, if this is a resource.
    resources: Vec<String>,
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
        format!("\"{shown}\" can't be included in {}", relation.title),
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
    let field = place_of(relation, &reference.column)?;
    let (target, matched) = target_of(relation, reference)?;
    let (own, other) = (&relation.fields[field], &target.fields[matched]);
    let is_good = own.is_readable
        && other.is_readable
        && own.type_oid == other.type_oid
        && other.array_oid != pg_sys::InvalidOid;
    is_good.then(|| Include {
        name: match own.name.strip_suffix("Id") {
            Some(name) if !name.is_empty() => name.to_owned(),
            _ => camel_case(&target.title),
        },
        field,
        target,
        matched,
        collation: reference.collation,
    })
}

/// The relation as it is served in the same way, and the place of the column there.
fn target_of(relation: &Relation, reference: &Reference) -> Option<(&'static Relation, usize)> {
    // What isn't served can't be included.
    let is_good = |target: &&'static Relation| {
        let expected = if reference.has_tenant {
            Standing::Table
        } else {
            Standing::Shared
        };
        target.standing == expected
    };
    let find = |target: &'static Relation| Some((target, place_of(target, &reference.target)?));
    if relation.is_resource {
        let resources = reference.resources.iter();
        let mut served = resources.filter_map(|name| cache::find_resource(name, true).ok());
        return served.by_ref().filter(is_good).find_map(find);
    }
    let target = cache::find(reference.relation, true).ok();
    target.filter(is_good).and_then(find)
}

fn place_of(relation: &Relation, column: &str) -> Option<usize> {
    let mut fields = relation.fields.iter();
    fields.position(|field| field.column == column)
}

impl References {
    fn of(&self, relation: &Relation) -> Result<&[Reference], Fault> {
        if let Some(known) = self.0.get() {
            return Ok(known);
        }
        // SAFETY: the function is ours, takes an oid and answers with a text, never NULL.
        // An error becomes a panic that ends the transaction, and with it the snapshot.
        let json = unsafe {
            let function = find_function(c"tenancy_private", c"references_of", &[pg_sys::OIDOID]);
            let relation = pg_sys::Datum::from(relation.oid);
            // As for `Served::find`.
            pg_sys::PushActiveSnapshot(pg_sys::GetLatestSnapshot());
            let answer =
                pg_sys::OidFunctionCall1Coll(function, pg_sys::DEFAULT_COLLATION_OID, relation);
            pg_sys::PopActiveSnapshot();
            content(answer)
        };
        let references = serde_json::from_slice(json)
            .map_err(|error| Fault::internal(format!("reading references: {error}")))?;
        Ok(self.0.get_or_init(|| references))
    }
}
