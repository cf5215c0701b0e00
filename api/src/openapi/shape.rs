//! What depends on settings: answers as they are or each in an envelope, and the header
//! that names a tenant.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::openapi::operation::{Answer, Content};
use crate::openapi::schema::{array, nullable, object, reference, text, time};
use crate::settings::{ResponseStyle, ShapeSettings};

/// The kind of body that a problem is, as it is.
const PROBLEM: &str = "application/problem+json";
const JSON: &str = "application/json";

/// Answers as they are, by default.
#[derive(Default)]
pub struct Shape {
    envelope: Option<Envelope>,
    tenant_header: Option<String>,
}

struct Envelope {
    /// What it tells beside the answer.
    more: Vec<(&'static str, Value)>,
}

impl Shape {
    pub fn new(settings: &ShapeSettings, tenant_header: &str) -> Self {
        let is_enveloped = settings.response_style == ResponseStyle::Envelope;
        Self {
            envelope: is_enveloped.then(|| Envelope::new(settings)),
            tenant_header: Some(tenant_header.to_owned()).filter(|name| !name.is_empty()),
        }
    }

    pub fn tenant_header(&self) -> Option<&str> {
        self.tenant_header.as_deref()
    }

    /// The good answers of an operation. In an envelope none is without a body, so 204 is
    /// 200 there.
    pub fn answers(&self, answers: BTreeMap<u16, Answer>) -> BTreeMap<u16, Value> {
        let Some(envelope) = &self.envelope else {
            return answers
                .into_iter()
                .map(|(status, answer)| (status, answer.plain()))
                .collect();
        };
        let mut shaped: BTreeMap<u16, Answer> = BTreeMap::new();
        for (status, answer) in answers {
            let (status, content) = match (status, answer.content) {
                (304, content) => (304, content),
                (204, Content::Nothing) => (200, Content::Json(json!({"type": "null"}))),
                (status, Content::Nothing) => (status, Content::Json(json!({"type": "null"}))),
                (status, content) => (status, content),
            };
            let answer = Answer { content, ..answer };
            match shaped.remove(&status) {
                Some(before) => shaped.insert(status, before.or(answer)),
                None => shaped.insert(status, answer),
            };
        }
        shaped
            .into_iter()
            .map(|(status, answer)| (status, envelope.around(status, answer)))
            .collect()
    }

    /// What kind of body a problem is, and its schema: of this status, with one of these codes.
    pub fn problem(&self, status: u16, codes: &[&str]) -> (&'static str, Value) {
        let Some(envelope) = &self.envelope else {
            let schema = json!({
                "allOf": [reference("Problem")],
                "properties": {"status": {"const": status}, "code": {"enum": codes}},
            });
            return (PROBLEM, schema);
        };
        let error = object(
            &[("code", json!({"enum": codes})), ("message", text())],
            &[("errors", array(reference("FieldError")))],
        );
        (
            JSON,
            envelope.members(status, "error", error, object(&[], &[])),
        )
    }
}

impl Envelope {
    fn new(settings: &ShapeSettings) -> Self {
        let more = [
            (settings.envelope_request_id, ("requestId", text())),
            (settings.envelope_timestamp, ("timestamp", time())),
            (settings.envelope_path, ("path", text())),
        ];
        let more = more.into_iter().filter(|(is_told, _)| *is_told);
        Self {
            more: more.map(|(_, member)| member).collect(),
        }
    }

    fn around(&self, status: u16, answer: Answer) -> Value {
        let nothing = object(&[], &[]);
        let (data, meta) = match answer.content {
            Content::Nothing => return answer.plain(),
            Content::Json(schema) => (schema, nothing),
            Content::Page(schema) => {
                let mut rest = schema.clone();
                let members = rest["properties"].as_object_mut();
                let data = members.and_then(|members| members.remove("data"));
                if let Some(Value::Array(required)) = rest.get_mut("required") {
                    required.retain(|name| name != "data");
                }
                (data.unwrap_or_default(), rest)
            }
        };
        Answer {
            content: Content::Json(self.members(status, "data", data, meta)),
            ..answer
        }
        .plain()
    }

    fn members(&self, status: u16, name: &str, content: Value, meta: Value) -> Value {
        let is_success = status < 400;
        let mut members = vec![
            ("success", json!({"const": is_success})),
            ("statusCode", json!({"const": status})),
            (name, content),
            ("meta", meta),
        ];
        members.extend(self.more.iter().cloned());
        object(&members, &[])
    }
}

impl Answer {
    fn plain(self) -> Value {
        let usual = ["X-Request-Id", "RateLimit", "RateLimit-Policy"];
        let names = self.headers.iter().chain(&usual);
        let headers: Map<String, Value> = names
            .map(|name| {
                let reference = json!({"$ref": format!("#/components/headers/{name}")});
                ((*name).to_owned(), reference)
            })
            .collect();
        let mut answer = json!({"description": self.what, "headers": headers});
        match self.content {
            Content::Nothing => {}
            Content::Json(schema) | Content::Page(schema) => {
                answer["content"] = json!({JSON: {"schema": schema}});
            }
        }
        answer
    }

    /// One of the two, under one status.
    fn or(self, other: Self) -> Self {
        let content = match (self.content, other.content) {
            (Content::Json(schema), Content::Json(null))
            | (Content::Json(null), Content::Json(schema))
                if null == json!({"type": "null"}) =>
            {
                Content::Json(nullable(schema))
            }
            (content, _) => content,
        };
        let mut headers = self.headers;
        headers.extend(other.headers);
        Self {
            what: format!("{} {}", self.what, other.what),
            headers,
            content,
        }
    }
}

/// A page's schema, of items of that schema.
pub fn page(items: Value, required: &[(&str, Value)], optional: &[(&str, Value)]) -> Value {
    let data = [("data", array(items))];
    object(&[&data[..], required].concat(), optional)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openapi::operation::Operation;

    fn envelope() -> Shape {
        Shape::new(
            &ShapeSettings {
                response_style: ResponseStyle::Envelope,
                envelope_timestamp: false,
                envelope_path: true,
                envelope_request_id: true,
            },
            "",
        )
    }

    fn schema(operation: Operation, status: &str) -> Value {
        let operation = operation.build(&envelope());
        let content = &operation["responses"][status]["content"];
        content["application/json"]["schema"].clone()
    }

    #[test]
    fn an_envelope_is_around_the_rows_and_what_is_told_of_them() {
        let page = page(text(), &[("limit", text())], &[("total", text())]);
        let schema = schema(
            Operation::new("a", "A", "A").answers_page("A page.", page, &[]),
            "200",
        );
        let members = &schema["properties"];
        assert_eq!(members["success"], json!({"const": true}));
        assert_eq!(members["data"], array(text()));
        assert_eq!(
            members["meta"],
            object(&[("limit", text())], &[("total", text())])
        );
        assert_eq!(
            schema["required"],
            json!(["success", "statusCode", "data", "meta", "requestId", "path"])
        );
    }

    #[test]
    fn nothing_is_null_in_an_envelope() {
        let operation = Operation::new("a", "A", "A").answers_nothing(204, "Done.", &[]);
        assert_eq!(
            schema(operation, "200")["properties"]["data"],
            json!({"type": "null"})
        );
        let operation = Operation::new("a", "A", "A")
            .answers(200, "The text.", text(), &[])
            .answers_nothing(204, "Done.", &[]);
        assert_eq!(
            schema(operation, "200")["properties"]["data"],
            json!({"type": ["string", "null"]})
        );
    }

    #[test]
    fn a_problem_is_an_error_in_an_envelope() {
        let error = schema(Operation::new("a", "A", "A").fails(&["TN201"]), "403");
        let codes = &error["properties"]["error"]["properties"]["code"]["enum"];
        assert!(codes.as_array().unwrap().contains(&json!("TN002")));
        assert_eq!(error["properties"]["statusCode"], json!({"const": 403}));
    }
}
