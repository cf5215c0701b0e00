//! The rows of a resource as schemas: as they are, as they are made, as they change.

use serde_json::{Map, Value, json};

use crate::catalog::Field;
use crate::openapi::resource::Described;
use crate::openapi::schema::{count, nullable, object, reference, text, with};
use crate::openapi::shape;
use crate::openapi::types::{self, Type};

impl Described<'_> {
    /// Each schema with its name.
    pub fn schemas(&self) -> Vec<(String, Value)> {
        let resource = self.resource;
        let read: Vec<(&str, Value)> = resource
            .fields
            .iter()
            .map(|field| (&*field.name, types::read(field)))
            .collect();
        let included: Vec<(&str, Value)> = self
            .included
            .iter()
            .map(|(name, schema)| (*name, nullable(reference(schema))))
            .collect();
        let one = object(&read, &[]);
        let one = match &resource.comment {
            Some(comment) => with(one, json!({"description": comment})),
            None => one,
        };
        let part = with(
            object(&[], &[&read[..], &included[..]].concat()),
            json!({"description": "All fields, unless `fields` asks for some; and what `include` asks for."}),
        );
        let mut schemas = vec![(self.name.one.clone(), one), (self.name.part(), part)];
        if resource.is_writable {
            schemas.push((self.name.new_one(), self.new_one()));
            schemas.push((self.name.change(), self.change()));
        }
        schemas
    }

    /// A page of them, and what is told about it.
    pub fn page(&self) -> Value {
        shape::page(
            reference(&self.name.part()),
            &[("limit", count())],
            &[
                (
                    "page",
                    with(count(), json!({"description": "Not with a cursor."})),
                ),
                (
                    "total",
                    with(count(), json!({"description": "Where it was asked for."})),
                ),
                ("totalIsEstimate", json!({"const": true})),
                (
                    "nextCursor",
                    with(
                        text(),
                        json!({"description": "For the next page; left out on the last."}),
                    ),
                ),
            ],
        )
    }

    fn new_one(&self) -> Value {
        let fields = |required: bool| -> Vec<(&str, Value)> {
            self.insertable()
                .filter(|field| is_required(field) == required)
                .map(|field| (&*field.name, types::written(field)))
                .collect()
        };
        object(&fields(true), &fields(false))
    }

    fn change(&self) -> Value {
        let updatable = self
            .resource
            .fields
            .iter()
            .filter(|field| field.is_updatable);
        let fields: Vec<(&str, Value)> = updatable
            .map(|field| (&*field.name, types::written(field)))
            .collect();
        with(object(&[], &fields), json!({"minProperties": 1}))
    }

    fn insertable(&self) -> impl Iterator<Item = &Field> {
        self.resource
            .fields
            .iter()
            .filter(|field| field.is_insertable)
    }

    pub fn examples_of_new(&self) -> Value {
        let row: Map<String, Value> = self
            .insertable()
            .filter(|field| is_required(field))
            .map(|field| (field.name.clone(), Type::from(field).example()))
            .collect();
        json!({
            "one": {"summary": "One row", "value": row},
            "several": {"summary": "Several rows", "value": [row]},
        })
    }

    pub fn example_of_change(&self) -> Value {
        let updatable = || {
            self.resource
                .fields
                .iter()
                .filter(|field| field.is_updatable)
        };
        // An id might lead somewhere, and an example leads nowhere.
        let is_plain = |field: &&Field| field.kind != "uuid";
        let field = updatable()
            .find(|field| is_plain(field) && is_required(field))
            .or_else(|| updatable().find(is_plain))
            .or_else(|| updatable().next());
        let row: Map<String, Value> = field
            .map(|field| (field.name.clone(), Type::from(field).example()))
            .into_iter()
            .collect();
        json!({"change": {"value": row}})
    }
}

fn is_required(field: &Field) -> bool {
    !field.is_nullable && !field.has_default
}
