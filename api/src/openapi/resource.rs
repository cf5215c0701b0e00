//! A resource of the catalog: its paths, and the schemas of its rows.

use serde_json::{Value, json};

use crate::catalog::{Field, Resource};
use crate::openapi::lists;
use crate::openapi::names::Name;
use crate::openapi::operation::Operation;
use crate::openapi::schema::{array, reference, with};
use crate::openapi::shape::Shape;
use crate::openapi::types::Type;

/// What a request for rows may be refused for.
const ROWS: &[&str] = &["invalid_query", "TN402", "TN405", "TN406"];
const PATH: &[&str] = &["invalid_path", "not_found", "TN405"];
/// What a write of rows may be refused for. A rule that the table has, and its references,
/// are known to the database alone.
const WRITE: &[&str] = &[
    "forbidden",
    "conflict",
    "TN204",
    "TN402",
    "TN403",
    "TN405",
    "TN410",
    "TN411",
    "TN412",
    "TN413",
];

/// A resource and what it is called.
pub struct Described<'a> {
    pub resource: &'a Resource,
    pub name: Name,
    /// What the rows are called that it can include.
    pub included: Vec<(&'a str, String)>,
}

impl Described<'_> {
    /// Each path with its operations.
    pub fn paths(&self, shape: &Shape) -> Vec<(String, Value)> {
        let resource = self.resource;
        let mut rows = json!({"get": self.list().build(shape)});
        if resource.is_writable {
            rows["post"] = self.create().build(shape);
        }
        let mut paths = vec![(format!("/{}", resource.name), rows)];
        if resource.key.is_empty() {
            return paths;
        }

        let mut row = json!({"parameters": [self.id()], "get": self.get().build(shape)});
        if resource.is_writable {
            row["patch"] = self.update().build(shape);
            row["delete"] = self.delete().build(shape);
        }
        paths.push((format!("/{}/{{id}}", resource.name), row));
        if resource.is_writable && resource.is_soft_deleted {
            let restore = json!({"parameters": [self.id()], "post": self.restore().build(shape)});
            paths.push((format!("/{}/{{id}}/restore", resource.name), restore));
        }
        paths
    }

    fn operation(&self, id: &str, summary: &str) -> Operation {
        Operation::new(id, &self.resource.name, summary)
    }

    fn list(&self) -> Operation {
        let mut operation = self.operation(&self.name.list(), "A page of rows, newest first");
        for shared in lists::SHARED {
            operation = operation.takes(shared);
        }
        if self.resource.is_soft_deleted {
            operation = operation
                .parameter(json!({
                    "name": "deleted", "in": "query", "schema": {"enum": ["only"]},
                    "description": "The deleted rows and no others. For owners and admins.",
                }))
                .fails(&["TN203"]);
        }
        operation
            .parameters(lists::parameters(self.resource))
            .answers_page("A page.", self.page(), &["Link", "ETag"])
            .answers_nothing(304, "The page is as the client knows it.", &["ETag"])
            .fails(ROWS)
            .fails(&["TN415", "TN416"])
    }

    fn create(&self) -> Operation {
        let new = reference(&self.name.new_one());
        let one = reference(&self.name.one);
        let several = with(array(new.clone()), json!({"minItems": 1, "maxItems": 100}));
        self.operation(
            &self.name.operation("create"),
            "A new row, or several: all or nothing",
        )
        .takes("prefer")
        .takes("idempotencyKey")
        .body(json!({"anyOf": [new, several]}), self.examples_of_new())
        .answers(
            201,
            "Made. Without a body where the client prefers that.",
            json!({"anyOf": [one.clone(), array(one)]}),
            &["Location", "ETag", "Preference-Applied"],
        )
        .fails(WRITE)
        .fails(&["TN420", "TN417", "TN418", "TN419"])
    }

    fn get(&self) -> Operation {
        self.operation(&self.name.operation("get"), "One row")
            .takes("ifNoneMatch")
            .parameters(lists::shape(self.resource))
            .answers(200, "The row.", reference(&self.name.part()), &["ETag"])
            .answers_nothing(304, "The row is as the client knows it.", &["ETag"])
            .fails(PATH)
            .fails(ROWS)
    }

    fn update(&self) -> Operation {
        self.operation(&self.name.operation("update"), "Change fields of a row")
            .describe("Those that are given, to null too.")
            .takes("prefer")
            .takes("ifMatch")
            .body(reference(&self.name.change()), self.example_of_change())
            .answers(
                200,
                "The row.",
                reference(&self.name.one),
                &["ETag", "Preference-Applied"],
            )
            .answers_nothing(
                204,
                "Changed; the client prefers no answer.",
                &["ETag", "Preference-Applied"],
            )
            .fails(PATH)
            .fails(WRITE)
            .fails(&["TN404", "TN414"])
    }

    fn delete(&self) -> Operation {
        self.operation(&self.name.operation("delete"), "Delete a row")
            .takes("prefer")
            .takes("ifMatch")
            .answers(
                200,
                "The row that was, which the client prefers.",
                reference(&self.name.one),
                &["Preference-Applied"],
            )
            .answers_nothing(204, "Deleted.", &["Preference-Applied"])
            .fails(PATH)
            .fails(WRITE)
            .fails(&["TN414"])
    }

    fn restore(&self) -> Operation {
        self.operation(&self.name.operation("restore"), "Bring a deleted row back")
            .describe("For owners and admins.")
            .answers(200, "The row.", reference(&self.name.one), &["ETag"])
            .fails(PATH)
            .fails(WRITE)
            .fails(&["TN203"])
    }

    /// The id in the path: the key's one field, or its fields with commas.
    fn id(&self) -> Value {
        let names = &self.resource.key;
        let field = |name: &String| {
            self.resource
                .fields
                .iter()
                .find(|field| field.name == *name)
        };
        let parts: Vec<Value> = names.iter().filter_map(field).map(part_of_id).collect();
        let number = parts.len();
        let (schema, what) = match &parts[..] {
            [part] => (part.clone(), format!("Its {}.", names.join(", "))),
            _ => (
                json!({"type": "array", "prefixItems": parts, "minItems": number, "maxItems": number}),
                format!(
                    "Its {}, with commas, each percent-encoded.",
                    names.join(", ")
                ),
            ),
        };
        json!({
            "name": "id", "in": "path", "required": true, "style": "simple", "explode": false,
            "description": what, "schema": schema,
        })
    }
}

fn part_of_id(field: &Field) -> Value {
    let kind = Type::from(field);
    let schema = with(kind.in_url(), json!({"examples": [kind.example()]}));
    match kind.is_text() {
        true => with(schema, json!({"minLength": 1})),
        false => schema,
    }
}
