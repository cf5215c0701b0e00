//! The service's own description, OpenAPI 3.1: the routes that are always there, and
//! those of what the DBA has exposed.
//!
//! It is made when the catalog has changed and somebody asks, and kept. It tells columns
//! that the service's role may use, and nothing of any tenant, so it is for everybody.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;
use serde_json::{Map, Value, json};

use crate::catalog::Catalog;
use crate::db::Json;
use crate::etag::Tag;
use crate::openapi::names::Names;
use crate::openapi::resource::Described;
use crate::openapi::shape::Shape;
use crate::settings::ShapeSettings;

mod codes;
mod components;
mod fixed;
mod function;
mod lists;
mod names;
mod operation;
mod problems;
mod resource;
mod row;
mod schema;
mod shape;
mod types;

/// A document, as it is sent.
pub struct Document {
    catalog: Arc<Catalog>,
    pub content: Json,
    pub tag: Tag,
}

/// The newest document, and what documents say beside the catalog.
pub struct Documents {
    newest: ArcSwapOption<Document>,
    making: Mutex<()>,
    shape: Shape,
}

impl Documents {
    pub fn new(shape: &ShapeSettings, tenant_header: &str) -> Self {
        Self {
            newest: ArcSwapOption::empty(),
            making: Mutex::default(),
            shape: Shape::new(shape, tenant_header),
        }
    }

    /// The document of that catalog. Making one takes a while, so it is for a thread that may wait.
    pub fn of(&self, catalog: &Arc<Catalog>) -> serde_json::Result<Arc<Document>> {
        if let Some(document) = self.made(catalog) {
            return Ok(document);
        }
        // Whoever comes meanwhile waits for this one. A panic has left nothing half done.
        let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(document) = self.made(catalog) {
            return Ok(document);
        }
        let content = Json::of(&self.describe(catalog))?;
        let document = Arc::new(Document {
            catalog: catalog.clone(),
            tag: Tag::of(&content),
            content,
        });
        self.newest.store(Some(document.clone()));
        Ok(document)
    }

    /// The same, if it was made before.
    pub fn made(&self, catalog: &Arc<Catalog>) -> Option<Arc<Document>> {
        let newest = self.newest.load_full();
        newest.filter(|document| Arc::ptr_eq(&document.catalog, catalog))
    }

    /// The document of what that catalog exposes.
    fn describe(&self, catalog: &Catalog) -> Value {
        let mut tags = fixed::tags();
        let mut paths: Map<String, Value> = Map::new();
        let mut schemas = fixed::schemas();
        let mut taken: BTreeSet<String> = schemas.keys().cloned().collect();
        for (path, method, operation) in fixed::routes() {
            let operation = operation.build(&self.shape);
            taken.extend(operation["operationId"].as_str().map(str::to_owned));
            paths.entry(path).or_insert_with(|| json!({}))[method] = operation;
        }

        let mut names = Names::new(taken);
        let named: Vec<_> = catalog
            .resources
            .iter()
            .map(|resource| (resource, names.of_resource(&resource.name)))
            .collect();
        for (resource, name) in &named {
            let included = resource.includes.iter().filter_map(|include| {
                let (_, of) = named.iter().find(|(one, _)| one.name == include.resource)?;
                Some((include.name.as_str(), of.one.clone()))
            });
            let described = Described {
                resource,
                name: name.clone(),
                included: included.collect(),
            };
            let comment = resource.comment.as_deref().unwrap_or("Rows of the tenant.");
            tags.push(json!({"name": resource.name, "description": comment}));
            paths.extend(described.paths(&self.shape));
            schemas.extend(described.schemas());
        }
        if !catalog.functions.is_empty() {
            tags.push(json!({"name": "Functions", "description": "Functions of the database."}));
        }
        for function in &catalog.functions {
            let id = names.of_function(&function.name);
            let operation = function::operation(function, &id, &self.shape);
            paths.insert(
                format!("/rpc/{}", function.name),
                json!({"post": operation}),
            );
        }

        json!({
            "openapi": "3.1.0",
            "jsonSchemaDialect": "https://spec.openapis.org/oas/3.1/dialect/base",
            "info": components::info(),
            "servers": [{"url": "/"}],
            "security": [{"bearer": []}],
            "tags": tags,
            "paths": paths,
            "components": components::components(schemas, &self.shape),
        })
    }
}

#[cfg(test)]
mod tests;
