//! One operation of the document: what it takes, what it answers, what it fails with.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::openapi::codes;
use crate::openapi::problems::{self, BODY, DATABASE, TOKEN};
use crate::openapi::shape::Shape;

pub struct Operation {
    fields: Map<String, Value>,
    parameters: Vec<Value>,
    answers: BTreeMap<u16, Answer>,
    codes: BTreeSet<&'static str>,
    takes_token: bool,
    is_raw: bool,
}

/// A good answer. The headers are of `components`, beside those that every answer has.
pub struct Answer {
    pub what: String,
    pub headers: Vec<&'static str>,
    pub content: Content,
}

pub enum Content {
    Nothing,
    Json(Value),
    /// `{"data": […]}`, and what is told of these.
    Page(Value),
}

impl Operation {
    /// One that needs a token and asks the database. The id is for generators of clients:
    /// camelCase, and it stays.
    pub fn new(id: &str, tag: &str, summary: &str) -> Self {
        let mut fields = Map::new();
        fields.insert("operationId".to_owned(), id.into());
        fields.insert("tags".to_owned(), json!([tag]));
        fields.insert("summary".to_owned(), summary.into());
        Self {
            fields,
            parameters: Vec::new(),
            answers: BTreeMap::new(),
            codes: TOKEN.iter().chain(DATABASE).copied().collect(),
            takes_token: true,
            is_raw: false,
        }
    }

    pub fn describe(mut self, description: &str) -> Self {
        self.fields
            .insert("description".to_owned(), description.into());
        self
    }

    /// One that takes no token.
    pub fn without_token(mut self) -> Self {
        self.fields.insert("security".to_owned(), json!([]));
        self.codes.retain(|code| !TOKEN.contains(code));
        self.takes_token = false;
        self
    }

    /// One that takes a token and works without it, too.
    pub fn token_is_optional(mut self) -> Self {
        self.fields
            .insert("security".to_owned(), json!([{}, {"bearer": []}]));
        self
    }

    /// One that asks nobody.
    pub fn without_database(mut self) -> Self {
        self.codes.retain(|code| !DATABASE.contains(code));
        self.fails(&["internal"])
    }

    /// One whose answers are in no envelope.
    pub fn raw(mut self) -> Self {
        self.is_raw = true;
        self
    }

    /// The name of a parameter under `components`.
    pub fn takes(self, name: &str) -> Self {
        self.parameter(json!({"$ref": format!("#/components/parameters/{name}")}))
    }

    pub fn parameter(mut self, parameter: Value) -> Self {
        self.parameters.push(parameter);
        self
    }

    pub fn parameters(mut self, parameters: impl IntoIterator<Item = Value>) -> Self {
        self.parameters.extend(parameters);
        self
    }

    pub fn body(mut self, schema: Value, examples: Value) -> Self {
        self.fields.insert(
            "requestBody".to_owned(),
            json!({
                "required": true,
                "content": {"application/json": {"schema": schema, "examples": examples}},
            }),
        );
        self.fails(BODY)
    }

    pub fn answers(self, status: u16, what: &str, schema: Value, headers: &[&'static str]) -> Self {
        self.answer(status, what, Content::Json(schema), headers)
    }

    pub fn answers_page(self, what: &str, schema: Value, headers: &[&'static str]) -> Self {
        self.answer(200, what, Content::Page(schema), headers)
    }

    pub fn answers_nothing(self, status: u16, what: &str, headers: &[&'static str]) -> Self {
        self.answer(status, what, Content::Nothing, headers)
    }

    fn answer(
        mut self,
        status: u16,
        what: &str,
        content: Content,
        headers: &[&'static str],
    ) -> Self {
        let answer = Answer {
            what: what.to_owned(),
            headers: headers.to_vec(),
            content,
        };
        self.answers.insert(status, answer);
        self
    }

    /// The codes of problems.
    pub fn fails(mut self, codes: &[&'static str]) -> Self {
        debug_assert!(codes.iter().all(|code| codes::is_known(code)));
        self.codes.extend(codes);
        self
    }

    pub fn build(mut self, shape: &Shape) -> Value {
        if self.takes_token && shape.tenant_header().is_some() {
            self = self.takes("tenant");
        }
        let plain = Shape::default();
        let shape = if self.is_raw { &plain } else { shape };
        let mut responses: Map<String, Value> = Map::new();
        for (status, answer) in shape.answers(self.answers) {
            responses.insert(status.to_string(), answer);
        }
        for (status, answer) in problems::answers(self.codes.into_iter(), shape) {
            responses.insert(status.to_string(), answer);
        }
        if !self.parameters.is_empty() {
            self.fields
                .insert("parameters".to_owned(), self.parameters.into());
        }
        self.fields.insert("responses".to_owned(), responses.into());
        self.fields.into()
    }
}
