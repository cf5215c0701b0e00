//! What the DBA has exposed: resources and functions, as the database describes them.
//!
//! The service keeps the newest description it has seen, for the routes there are and
//! for their documentation. It may be older than the database's: whether a request is
//! good, the database says.

use std::sync::Arc;

use arc_swap::ArcSwap;
use serde::{Deserialize, Serialize};

/// The answer of `tenancy.resources()`. Sorted by name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Catalog {
    pub version: String,
    #[serde(default)]
    pub resources: Vec<Resource>,
    #[serde(default)]
    pub functions: Vec<Function>,
}

/// A table or view at `/{name}`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Resource {
    pub name: String,
    pub kind: Kind,
    pub comment: Option<String>,
    /// The fields that an id has, in the order of the path.
    pub key: Vec<String>,
    pub is_writable: bool,
    pub is_soft_deleted: bool,
    pub fields: Vec<Field>,
    pub includes: Vec<Include>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    #[default]
    Table,
    View,
    /// Reference data, the same for all tenants.
    Shared,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Field {
    /// As JSON has it.
    pub name: String,
    /// As the table has it.
    pub column: String,
    /// PostgreSQL's name of the built-in type underneath; `array` for one of `element_type`.
    #[serde(rename = "type")]
    pub kind: String,
    pub element_type: Option<String>,
    pub is_nullable: bool,
    pub has_default: bool,
    pub is_insertable: bool,
    pub is_updatable: bool,
    pub is_filterable: bool,
    pub is_sortable: bool,
    pub max_length: Option<u32>,
    pub choices: Option<Vec<String>>,
    pub comment: Option<String>,
}

/// A row that a row refers to, for `include=`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Include {
    pub name: String,
    pub resource: String,
    pub field: String,
}

/// A function at `/rpc/{name}`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Function {
    pub name: String,
    pub comment: Option<String>,
    pub is_reading: bool,
    pub arguments: Vec<Argument>,
    pub returns: Returns,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Argument {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub element_type: Option<String>,
    pub is_required: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Returns {
    #[serde(rename = "type")]
    pub kind: String,
    pub element_type: Option<String>,
    pub is_set: bool,
    /// Of a row.
    pub fields: Option<Vec<Returned>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Returned {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub element_type: Option<String>,
}

impl Catalog {
    /// Fails for what `tenancy.resources()` never answers.
    pub fn read(json: &[u8]) -> serde_json::Result<Self> {
        let mut catalog: Self = serde_json::from_slice(json)?;
        catalog.resources.sort_by(|a, b| a.name.cmp(&b.name));
        catalog.functions.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(catalog)
    }

    /// Whether the database has been asked yet.
    pub fn is_known(&self) -> bool {
        !self.version.is_empty()
    }

    pub fn resource(&self, name: &str) -> Option<&Resource> {
        Some(&self.resources[self.place_of_resource(name)?])
    }

    pub fn function(&self, name: &str) -> Option<&Function> {
        Some(&self.functions[self.place_of_function(name)?])
    }

    pub fn place_of_resource(&self, name: &str) -> Option<usize> {
        let order = |resource: &Resource| resource.name.as_str().cmp(name);
        self.resources.binary_search_by(order).ok()
    }

    pub fn place_of_function(&self, name: &str) -> Option<usize> {
        let order = |function: &Function| function.name.as_str().cmp(name);
        self.functions.binary_search_by(order).ok()
    }
}

/// The newest catalog, for whoever asks. Empty until the database has been asked.
#[derive(Default)]
pub struct CatalogHolder(ArcSwap<Catalog>);

impl CatalogHolder {
    pub fn get(&self) -> Arc<Catalog> {
        self.0.load_full()
    }

    pub fn set(&self, catalog: Catalog) {
        self.0.store(Arc::new(catalog));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = r#"{"version":"7",
        "resources":[
            {"name":"tasks","kind":"table","comment":null,"key":["id"],"isWritable":true,"isSoftDeleted":false,
             "fields":[{"name":"dueOn","column":"due_on","type":"date","elementType":null,"isNullable":true,
                "hasDefault":false,"isInsertable":true,"isUpdatable":true,"isFilterable":false,"isSortable":false,
                "maxLength":null,"choices":null,"comment":"When"}],
             "includes":[{"name":"project","resource":"projects","field":"projectId"}]},
            {"name":"countries","kind":"shared","key":["code"],"somethingNew":{}}],
        "functions":[{"name":"enrol","comment":null,"isReading":false,
            "arguments":[{"name":"studentId","type":"uuid","isRequired":true}],
            "returns":{"type":"json","isSet":false}}]}"#;

    #[test]
    fn a_resource_and_a_function_are_found_by_their_names() {
        let catalog = Catalog::read(ANSWER.as_bytes()).unwrap();
        assert_eq!(catalog.version, "7");
        let tasks = catalog.resource("tasks").unwrap();
        assert_eq!(tasks.fields[0].kind, "date");
        assert_eq!(tasks.includes[0].resource, "projects");
        assert_eq!(catalog.resource("countries").unwrap().kind, Kind::Shared);
        assert!(catalog.function("enrol").unwrap().arguments[0].is_required);
        for unknown in ["", "Tasks", "enrol", "tasks/"] {
            assert_eq!(catalog.resource(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn there_is_nothing_before_the_database_was_asked() {
        let holder = CatalogHolder::default();
        assert!(!holder.get().is_known());
        holder.set(Catalog::read(ANSWER.as_bytes()).unwrap());
        assert!(holder.get().is_known() && holder.get().resource("tasks").is_some());
    }

    #[test]
    fn what_is_no_catalog_is_refused() {
        for answer in ["", "[]", "{}", r#"{"version":1}"#] {
            assert!(Catalog::read(answer.as_bytes()).is_err(), "{answer}");
        }
    }
}
