//! Small pieces of JSON Schema, as OpenAPI 3.1 has it.
//!
//! Objects are closed: the document is made by what answers, so a field that it doesn't
//! know is a defect.

use serde_json::{Value, json};

/// PostgreSQL's texts hold every character but one.
pub const NO_NUL: &str = "^[^\\u0000]*$";

pub fn text() -> Value {
    json!({"type": "string"})
}

/// A text that a body may hold.
pub fn given_text() -> Value {
    json!({"type": "string", "pattern": NO_NUL})
}

pub fn uuid() -> Value {
    json!({"type": "string", "format": "uuid"})
}

pub fn time() -> Value {
    json!({"type": "string", "format": "date-time"})
}

pub fn boolean() -> Value {
    json!({"type": "boolean"})
}

pub fn count() -> Value {
    json!({"type": "integer", "minimum": 0})
}

pub fn one_of_texts(choices: &[&str]) -> Value {
    json!({"type": "string", "enum": choices})
}

pub fn array(items: Value) -> Value {
    json!({"type": "array", "items": items})
}

pub fn reference(schema: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{schema}")})
}

/// The schema with these members too, which win.
pub fn with(mut schema: Value, members: Value) -> Value {
    if let (Value::Object(schema), Value::Object(members)) = (&mut schema, members) {
        schema.extend(members);
    }
    schema
}

/// The same, or null.
pub fn nullable(mut schema: Value) -> Value {
    if schema["type"]
        .as_array()
        .is_some_and(|types| types.contains(&"null".into()))
    {
        return schema;
    }
    if let Some(Value::Array(choices)) = schema.get_mut("enum") {
        choices.push(Value::Null);
    }
    if schema.get("$ref").is_some() || schema.get("anyOf").is_some() {
        return json!({"anyOf": [schema, {"type": "null"}]});
    }
    match schema.get_mut("type") {
        Some(Value::Array(types)) => types.push("null".into()),
        Some(kind) => *kind = json!([kind.take(), "null"]),
        // Any JSON at all.
        None => {}
    }
    schema
}

/// An object of these members and no others.
pub fn object(required: &[(&str, Value)], optional: &[(&str, Value)]) -> Value {
    let properties: serde_json::Map<String, Value> = required
        .iter()
        .chain(optional)
        .map(|(name, schema)| ((*name).to_owned(), schema.clone()))
        .collect();
    let names: Vec<&str> = required.iter().map(|(name, _)| *name).collect();
    let mut schema = json!({
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    });
    if !names.is_empty() {
        schema["required"] = json!(names);
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_is_a_type_among_others() {
        assert_eq!(
            nullable(one_of_texts(&["a"])),
            json!({"type": ["string", "null"], "enum": ["a", null]})
        );
        assert_eq!(
            nullable(reference("Task")),
            json!({"anyOf": [{"$ref": "#/components/schemas/Task"}, {"type": "null"}]})
        );
        assert_eq!(nullable(json!({})), json!({}));
        assert_eq!(nullable(nullable(text())), nullable(text()));
    }
}
