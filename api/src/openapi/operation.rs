//! One operation of the document: what it takes, what it answers, what it fails with.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::openapi::codes;
use crate::openapi::problems::{self, BODY, DATABASE, TOKEN};

pub struct Operation {
    fields: Map<String, Value>,
    parameters: Vec<Value>,
    responses: Map<String, Value>,
    codes: BTreeSet<&'static str>,
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
            responses: Map::new(),
            codes: TOKEN.iter().chain(DATABASE).copied().collect(),
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

    /// An answer with a JSON body, and these headers of `components` beside the usual ones.
    pub fn answers(self, status: u16, what: &str, schema: Value, headers: &[&str]) -> Self {
        let content = json!({"application/json": {"schema": schema}});
        self.response(status, what, Some(content), headers)
    }

    /// An answer without a body.
    pub fn answers_nothing(self, status: u16, what: &str, headers: &[&str]) -> Self {
        self.response(status, what, None, headers)
    }

    pub fn response(
        mut self,
        status: u16,
        what: &str,
        content: Option<Value>,
        headers: &[&str],
    ) -> Self {
        let mut response = json!({"description": what, "headers": headers_of(headers)});
        if let Some(content) = content {
            response["content"] = content;
        }
        self.responses.insert(status.to_string(), response);
        self
    }

    /// The codes of problems.
    pub fn fails(mut self, codes: &[&'static str]) -> Self {
        debug_assert!(codes.iter().all(|code| codes::is_known(code)));
        self.codes.extend(codes);
        self
    }

    pub fn build(mut self) -> Value {
        for (status, answer) in problems::answers(self.codes.into_iter()) {
            self.responses.insert(status.to_string(), answer);
        }
        if !self.parameters.is_empty() {
            self.fields
                .insert("parameters".to_owned(), self.parameters.into());
        }
        self.fields
            .insert("responses".to_owned(), self.responses.into());
        self.fields.into()
    }
}

/// `X-Request-Id` and these. A header's name in an answer is its name here with hyphens.
fn headers_of(names: &[&str]) -> Value {
    let names = names.iter().chain(&["X-Request-Id"]);
    let headers: Map<String, Value> = names
        .map(|name| {
            let reference = json!({"$ref": format!("#/components/headers/{name}")});
            ((*name).to_owned(), reference)
        })
        .collect();
    headers.into()
}
