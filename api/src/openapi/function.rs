//! A function of the catalog, at `/rpc/{name}`.

use serde_json::{Map, Value, json};

use crate::catalog::Function;
use crate::openapi::operation::Operation;
use crate::openapi::schema::{array, nullable, object};
use crate::openapi::shape::Shape;
use crate::openapi::types::Type;

/// The operation that calls it, under that id.
pub fn operation(function: &Function, id: &str, shape: &Shape) -> Value {
    let arguments = |is_required: bool| -> Vec<(&str, Value)> {
        let chosen = function.arguments.iter();
        chosen
            .filter(|argument| argument.is_required == is_required)
            .map(|argument| (&*argument.name, nullable(Type::from(argument).written())))
            .collect()
    };
    let example: Map<String, Value> = function
        .arguments
        .iter()
        .filter(|argument| argument.is_required)
        .map(|argument| (argument.name.clone(), Type::from(argument).example()))
        .collect();
    let operation = Operation::new(id, "Functions", &format!("Call {}", function.name))
        .takes("idempotencyKey")
        .body(
            object(&arguments(true), &arguments(false)),
            json!({"call": {"value": example}}),
        )
        .answers(200, "What it returns.", returns(function), &[])
        .answers_nothing(204, "Done; it returns nothing.", &[])
        .fails(&[
            "forbidden",
            "conflict",
            "TN204",
            "TN402",
            "TN405",
            "TN410",
            "TN411",
            "TN412",
            "TN413",
            "TN417",
            "TN418",
            "TN419",
            "TN423",
            "TN424",
        ]);
    match &function.comment {
        Some(comment) => operation.describe(comment).build(shape),
        None => operation.build(shape),
    }
}

fn returns(function: &Function) -> Value {
    let returns = &function.returns;
    let one = match &returns.fields {
        Some(columns) => {
            let fields: Vec<(&str, Value)> = columns
                .iter()
                .map(|column| (&*column.name, nullable(Type::from(column).read())))
                .collect();
            nullable(object(&fields, &[]))
        }
        None if returns.kind == "void" => json!({"type": "null"}),
        None => nullable(Type::from(returns).read()),
    };
    if returns.is_set { array(one) } else { one }
}
