//! A column's type as JSON Schema: what an answer holds, what a body and a filter may.
//!
//! A type that the row functions don't know is a string, in the form that PostgreSQL
//! writes.

use serde_json::{Value, json};

use crate::catalog::{Argument, Field, Returned, Returns};
use crate::openapi::schema::{given_text, nullable, text, time, uuid, with};

/// What is known of a value.
#[derive(Clone, Copy, Default)]
pub struct Type<'a> {
    kind: &'a str,
    element: Option<&'a str>,
    max_length: Option<u32>,
    choices: Option<&'a [String]>,
}

impl<'a> From<&'a Field> for Type<'a> {
    fn from(field: &'a Field) -> Self {
        Self {
            kind: &field.kind,
            element: field.element_type.as_deref(),
            max_length: field.max_length,
            choices: field.choices.as_deref(),
        }
    }
}

impl<'a> From<&'a Argument> for Type<'a> {
    fn from(argument: &'a Argument) -> Self {
        Self {
            kind: &argument.kind,
            element: argument.element_type.as_deref(),
            ..Self::default()
        }
    }
}

impl<'a> From<&'a Returned> for Type<'a> {
    fn from(column: &'a Returned) -> Self {
        Self {
            kind: &column.kind,
            element: column.element_type.as_deref(),
            ..Self::default()
        }
    }
}

impl<'a> From<&'a Returns> for Type<'a> {
    fn from(returns: &'a Returns) -> Self {
        Self {
            kind: &returns.kind,
            element: returns.element_type.as_deref(),
            ..Self::default()
        }
    }
}

impl<'a> Type<'a> {
    fn of_element(self) -> Self {
        Self {
            kind: self.element.unwrap_or_default(),
            ..Self::default()
        }
    }

    pub fn is_text(self) -> bool {
        matches!(self.kind, "text" | "varchar" | "bpchar")
    }

    pub fn is_json(self) -> bool {
        matches!(self.kind, "json" | "jsonb")
    }

    pub fn is_array(self) -> bool {
        self.kind == "array"
    }

    /// In an answer.
    pub fn read(self) -> Value {
        match self.kind {
            "uuid" => uuid(),
            "bool" => json!({"type": "boolean"}),
            "int2" | "int4" | "int8" => whole(self.kind),
            "float4" | "float8" | "numeric" => json!({
                "anyOf": [{"type": "number"}, {"enum": ["NaN", "Infinity", "-Infinity"]}],
            }),
            "timestamptz" => time(),
            "timestamp" => json!({
                "type": "string",
                "description": "A time without a zone, as ISO 8601 writes it.",
            }),
            "date" => json!({"type": "string", "format": "date"}),
            "json" | "jsonb" => json!({"description": "Any JSON."}),
            "array" => json!({"type": "array", "items": items(nullable(self.of_element().read()))}),
            _ => self.chosen(text()),
        }
    }

    /// In a body. What else a value must be, a CHECK of the table says.
    pub fn written(self) -> Value {
        match self.kind {
            "bool" => json!({"type": "boolean"}),
            "int2" | "int4" => whole(self.kind),
            // What a double can't hold comes as a string.
            "int8" => json!({
                "anyOf": [whole("int8"), {"type": "string", "pattern": "^-?[0-9]{1,18}$"}],
            }),
            "numeric" => json!({
                "anyOf": [{"type": "number"}, {"type": "string", "pattern": "^-?[0-9]{1,18}([.][0-9]{1,18})?$"}],
            }),
            "float4" | "float8" => json!({"type": "number"}),
            "json" | "jsonb" => json!({
                "type": ["object", "array", "string", "number", "boolean"],
                "description": "Any JSON without NUL.",
            }),
            "array" => {
                json!({"type": "array", "items": items(nullable(self.of_element().written()))})
            }
            _ => self.value(),
        }
    }

    /// As the value of a filter, a key or another thing in a URL.
    pub fn in_url(self) -> Value {
        match self.kind {
            "int2" | "int4" | "int8" => whole(self.kind),
            "bool" => json!({"type": "boolean"}),
            "float4" | "float8" | "numeric" => json!({"type": "number"}),
            _ => self.value(),
        }
    }

    fn value(self) -> Value {
        match self.kind {
            "uuid" => uuid(),
            "timestamptz" => with(time(), json!({"pattern": ZONED})),
            "timestamp" => json!({"type": "string", "pattern": UNZONED}),
            "date" => json!({"type": "string", "format": "date", "pattern": "^(?!0000)"}),
            _ => self.chosen(given_text()),
        }
    }

    fn chosen(self, schema: Value) -> Value {
        match (self.choices, self.max_length) {
            (Some(choices), _) => json!({"type": "string", "enum": choices}),
            (None, Some(most)) => with(schema, json!({"maxLength": most})),
            (None, None) => schema,
        }
    }

    /// A value that such a column takes, as far as the catalog tells.
    pub fn example(self) -> Value {
        match self.kind {
            "uuid" => "01890a5d-ac96-774b-bcce-b302099a8057".into(),
            "bool" => true.into(),
            "int2" | "int4" | "int8" => 1.into(),
            "float4" | "float8" | "numeric" => json!(1.5),
            "timestamptz" => "2026-01-31T12:00:00Z".into(),
            "timestamp" => "2026-01-31T12:00:00".into(),
            "date" => "2026-01-31".into(),
            "time" | "timetz" => "12:00:00".into(),
            "interval" => "1 day".into(),
            "inet" => "192.0.2.1".into(),
            "cidr" => "192.0.2.0/24".into(),
            "macaddr" => "00:00:5e:00:53:01".into(),
            "bytea" => "\\x00ff".into(),
            "json" | "jsonb" => json!({"a": 1}),
            "array" => json!([self.of_element().example()]),
            _ => match (self.choices, self.max_length) {
                (Some([first, ..]), _) => first.as_str().into(),
                (_, Some(most)) => {
                    let most = "Example".len().min(most as usize);
                    "Example"[..most].into()
                }
                _ => "Example".into(),
            },
        }
    }
}

/// An hour's offset is what PostgreSQL takes: less than sixteen.
const ZONED: &str = "^(?!0000)[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,6})?([Zz]|[+-](0[0-9]|1[0-5]):[0-5][0-9])$";
const UNZONED: &str = "^(?!0000)[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]{1,6})?$";

/// PostgreSQL's arrays have as many dimensions as a value has, whatever the column says.
fn items(element: Value) -> Value {
    json!({"anyOf": [element, {"type": "array", "description": "Of an array of arrays."}]})
}

fn whole(kind: &str) -> Value {
    let (format, least, most) = match kind {
        "int2" => ("int32", i64::from(i16::MIN), i64::from(i16::MAX)),
        "int4" => ("int32", i64::from(i32::MIN), i64::from(i32::MAX)),
        _ => ("int64", i64::MIN, i64::MAX),
    };
    json!({"type": "integer", "format": format, "minimum": least, "maximum": most})
}

/// A field of an answer, with its comment.
pub fn read(field: &Field) -> Value {
    commented(field, Type::from(field).read(), field.is_nullable)
}

/// A field of a body.
pub fn written(field: &Field) -> Value {
    commented(field, Type::from(field).written(), field.is_nullable)
}

fn commented(field: &Field, schema: Value, is_nullable: bool) -> Value {
    let schema = if is_nullable {
        nullable(schema)
    } else {
        schema
    };
    match &field.comment {
        Some(comment) => with(schema, json!({"description": comment})),
        None => schema,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openapi::schema::NO_NUL;

    fn field(kind: &str) -> Field {
        Field {
            kind: kind.to_owned(),
            ..Field::default()
        }
    }

    #[test]
    fn a_type_that_nobody_knows_is_a_string() {
        assert_eq!(read(&field("tsvector")), json!({"type": "string"}));
        assert_eq!(
            written(&field("tsvector")),
            json!({"type": "string", "pattern": NO_NUL})
        );
    }

    #[test]
    fn a_nullable_field_has_null_among_its_types() {
        let status = Field {
            is_nullable: true,
            choices: Some(vec!["todo".to_owned(), "done".to_owned()]),
            comment: Some("How far it is.".to_owned()),
            ..field("text")
        };
        assert_eq!(
            read(&status),
            json!({"type": ["string", "null"], "enum": ["todo", "done", null], "description": "How far it is."})
        );
    }

    #[test]
    fn a_length_is_told_and_kept_by_the_example() {
        let code = Field {
            max_length: Some(2),
            ..field("varchar")
        };
        assert_eq!(written(&code)["maxLength"], 2);
        assert_eq!(Type::from(&code).example(), "Ex");
    }

    #[test]
    fn what_a_double_cannot_hold_may_come_as_a_string() {
        let schema = written(&field("int8"));
        assert_eq!(schema["anyOf"][0]["maximum"], i64::MAX);
        assert_eq!(schema["anyOf"][1]["type"], "string");
    }
}
