//! What a relation is made of, read from the catalog.

use pgrx::pg_sys;
use serde::Deserialize;

use crate::fault::Fault;
use crate::rows::catalog::DESCRIBE;
use crate::rows::ordering::{Operators, Storage};
use crate::rows::plan::Plans;
use crate::rows::references::References;
use crate::rows::served::{Served, Standing};
use crate::rows::types::Kind;

/// A relation that the row functions serve, as one role sees it.
pub struct Relation {
    pub oid: pg_sys::Oid,
    pub schema: String,
    pub table: String,
    /// Schema and table, quoted.
    pub name: String,
    /// What the caller calls it.
    pub title: String,
    pub is_resource: bool,
    pub standing: Standing,
    pub fields: Vec<Field>,
    /// The places of those that can be read.
    pub readable: Vec<usize>,
    /// The place of the tenant's column in `fields`; `None` where rows are everybody's.
    pub tenant: Option<usize>,
    /// The places of the key's other columns, in the order of its index.
    pub keys: Vec<usize>,
    /// Whether the DBA lets rows be added, changed and deleted. Grants say the rest.
    pub allows_insert: bool,
    pub allows_update: bool,
    pub allows_delete: bool,
    pub is_soft_deleted: bool,
    pub constraints: Vec<Constraint>,
    pub references: References,
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
    /// The same with its schema, whatever the search path.
    pub whole_type_name: String,
    element_oid: pg_sys::Oid,
    pub is_builtin: bool,
    pub is_nullable: bool,
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
    /// By which it is ordered.
    #[serde(skip)]
    pub operators: Operators,
    #[serde(skip)]
    pub storage: Storage,
}

fn no_type() -> pg_sys::Oid {
    pg_sys::InvalidOid
}

/// A rule that a value can break, and how to say so.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Constraint {
    pub name: String,
    pub is_check: bool,
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
    is_soft_deleted: bool,
    fields: Vec<Field>,
    constraints: Vec<Constraint>,
}

/// Reads it, for a resource of that name or under its own name. TN401 where the row
/// functions can't serve it.
pub fn describe(oid: pg_sys::Oid, resource: Option<(&str, &Served)>) -> Result<Relation, Fault> {
    // No row: it was dropped just now.
    let json = DESCRIBE
        .ask(&[Some(pg_sys::Datum::from(oid))], |row| row?.text(1))?
        .ok_or_else(|| not_served("it is not a table"))?;
    let mut found: Description = serde_json::from_str(&json)
        .map_err(|error| Fault::internal(format!("describing a relation: {error}")))?;
    let served = resource.map(|(_, served)| served);

    if !found.is_isolated && served.is_none() {
        return Err(not_served(&format!(
            "{} is not an isolated table",
            found.name
        )));
    }
    // Before any is taken away: of a key that is shown in part there is none.
    let key = key_columns(&found.fields, served);
    if let Some(served) = served {
        served.show(&mut found.fields);
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
        if found.is_soft_deleted && field.column == "deleted_at" {
            (field.is_insertable, field.is_updatable) = (false, false);
        }
        field.kind = Kind::of(field.type_oid, field.element_oid);
        field.label = format!("{}:", serde_json::Value::from(name.as_str()));
        // SAFETY: a look-up in the caches of the catalog.
        field.array_oid = unsafe { pg_sys::get_array_type(field.type_oid) };
        field.operators = Operators::of(field.type_oid);
        field.is_ordered = field.operators.have_order();
        field.storage = Storage::of(field.type_oid, field.kind, field.is_builtin);
        field.is_sortable = field.is_filterable && field.is_ordered;
        field.name = name;
    }
    if let Some(served) = served {
        served.narrow(&mut found.fields);
    }
    let tenant = match served {
        None => only(&found.fields, |field| field.is_boundary),
        Some(served) => only(&found.fields, |field| {
            served.tenant.as_ref() == Some(&field.column)
        }),
    };
    let place = |column: &String| found.fields.iter().position(|f| f.column == *column);
    let keys: Vec<usize> = key
        .iter()
        .map(place)
        .collect::<Option<_>>()
        .unwrap_or_default();
    if keys.is_empty() || (tenant.is_none() && served.is_none()) {
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
    let is_some = |list: fn(&Served) -> &Option<Vec<String>>| {
        served.is_none_or(|served| list(served).as_ref().is_none_or(|list| !list.is_empty()))
    };
    let allows_insert = is_some(|served| &served.insertable);
    let allows_update = is_some(|served| &served.updatable);
    let standing = served.map_or(Standing::Table, |served| served.kind);
    Ok(Relation {
        oid,
        readable,
        title: resource.map_or_else(|| found.table.clone(), |(name, _)| name.to_owned()),
        is_resource: resource.is_some(),
        standing,
        schema: found.schema,
        table: found.table,
        name: found.name,
        fields: found.fields,
        tenant,
        keys,
        allows_insert,
        allows_update,
        allows_delete: standing == Standing::Table
            || (standing == Standing::View && (allows_insert || allows_update)),
        is_soft_deleted: found.is_soft_deleted,
        constraints: found.constraints,
        references: References::default(),
        plans: Plans::default(),
    })
}

/// The place of the one field that is it.
fn only(fields: &[Field], is_it: impl Fn(&Field) -> bool) -> Option<usize> {
    let mut places = (0..fields.len()).filter(|&place| is_it(&fields[place]));
    places.next().filter(|_| places.next().is_none())
}

/// The columns that an id is made of: those of a view's key, or of the primary key
/// beside the tenant, in its order.
fn key_columns(fields: &[Field], served: Option<&Served>) -> Vec<String> {
    if let Some(key) = served.and_then(|served| served.key.clone()) {
        return key;
    }
    let mut keys: Vec<&Field> = fields
        .iter()
        .filter(|field| field.key_place.is_some() && !field.is_boundary)
        .collect();
    keys.sort_by_key(|field| field.key_place);
    keys.iter().map(|field| field.column.clone()).collect()
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
