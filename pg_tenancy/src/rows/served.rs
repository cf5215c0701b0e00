//! What is exposed under a name: `tenancy.exposed_resources`, as it is in force.

use pgrx::pg_sys;
use serde::Deserialize;

use crate::boundary_first::find_function;
use crate::fault::Fault;
use crate::function::{Answer, argument, content, text_argument, text_datum};
use crate::rows::relation::{Field, camel_case};

sql_function!(
    tenancy_forget_resources,
    pg_finfo_tenancy_forget_resources,
    forget_resources
);
sql_function!(tenancy_field_name, pg_finfo_tenancy_field_name, field_name);
sql_function!(tenancy_is_ordered, pg_finfo_tenancy_is_ordered, is_ordered);

/// What a relation is served as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// An isolated table.
    Table,
    /// Reference data: no tenant, reading only.
    Shared,
    View,
}

/// A resource, and what of its relation there is. Each list narrows what the caller
/// is granted; `None` doesn't.
#[derive(Deserialize)]
pub struct Served {
    pub relation: pg_sys::Oid,
    pub kind: Standing,
    pub tenant: Option<String>,
    columns: Option<Vec<String>>,
    pub insertable: Option<Vec<String>>,
    pub updatable: Option<Vec<String>>,
    filterable: Option<Vec<String>>,
    sortable: Option<Vec<String>>,
    /// Of a view.
    pub key: Option<Vec<String>>,
    /// The relations on which all this depends.
    pub rests_on: Vec<pg_sys::Oid>,
}

impl Served {
    /// What stands in the registry under that name and may be served, at this moment.
    pub fn find(name: &str) -> Result<Option<Self>, Fault> {
        // SAFETY: the function is ours, takes a text and answers with one, never NULL.
        // An error becomes a panic that ends the transaction, and with it the snapshot.
        let json = unsafe {
            let function =
                find_function(c"tenancy_private", c"served_resource", &[pg_sys::TEXTOID]);
            let name = text_datum(name);
            // The transaction's own snapshot may be old, and what is found is kept for
            // longer than that.
            pg_sys::PushActiveSnapshot(pg_sys::GetLatestSnapshot());
            let answer =
                pg_sys::OidFunctionCall1Coll(function, pg_sys::DEFAULT_COLLATION_OID, name);
            pg_sys::PopActiveSnapshot();
            content(answer)
        };
        serde_json::from_slice(json)
            .map_err(|error| Fault::internal(format!("reading a resource: {error}")))
    }

    /// Takes away the fields that are not shown.
    pub fn show(&self, fields: &mut Vec<Field>) {
        if let Some(columns) = &self.columns {
            fields.retain(|field| columns.contains(&field.column));
        }
    }

    /// Takes away what may not be done with those that are.
    pub fn narrow(&self, fields: &mut [Field]) {
        let is_in = |list: &Option<Vec<String>>, field: &Field| {
            list.as_ref().map(|list| list.contains(&field.column))
        };
        for field in fields {
            field.is_insertable &= is_in(&self.insertable, field).unwrap_or(true);
            field.is_updatable &= is_in(&self.updatable, field).unwrap_or(true);
            // These the DBA may also allow where no index helps.
            if let Some(is_listed) = is_in(&self.filterable, field) {
                field.is_filterable = is_listed;
            }
            if let Some(is_listed) = is_in(&self.sortable, field) {
                field.is_sortable = is_listed && field.is_ordered;
            }
        }
    }
}

/// Has every backend describe its resources anew, from the commit on.
fn forget_resources(call: pg_sys::FunctionCallInfo) -> Answer {
    let registry = oid_argument(call)?;
    // SAFETY: a relation that exists: the trigger's own. An error becomes a panic.
    unsafe { pg_sys::CacheInvalidateRelcacheByRelid(registry) };
    Ok(pg_sys::Datum::null())
}

fn field_name(call: pg_sys::FunctionCallInfo) -> Answer {
    Ok(text_datum(&camel_case(text_argument(call, 0)?)))
}

fn is_ordered(call: pg_sys::FunctionCallInfo) -> Answer {
    let type_oid = oid_argument(call)?;
    // SAFETY: a look-up in a cache of the catalog.
    let known = unsafe {
        let known = pg_sys::lookup_type_cache(type_oid, pg_sys::TYPECACHE_LT_OPR as i32);
        (*known).lt_opr != pg_sys::InvalidOid
    };
    Ok(pg_sys::Datum::from(known))
}

fn oid_argument(call: pg_sys::FunctionCallInfo) -> Result<pg_sys::Oid, Fault> {
    let datum = argument(call, 0).ok_or_else(|| Fault::internal("a NULL argument"))?;
    Ok(pg_sys::Oid::from(datum.value() as u32))
}
