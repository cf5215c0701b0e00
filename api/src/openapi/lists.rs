//! The parameters of a list of rows: pages, order, fields, and the filters of each field.

use serde_json::{Value, json};

use crate::catalog::{Field, Resource};
use crate::openapi::schema::{NO_NUL, array, one_of_texts, text, with};
use crate::openapi::types::Type;
use crate::query;

/// Parameters that are the same for all lists, by their names under `components`.
pub const SHARED: &[&str] = &["page", "limit", "count", "cursor"];

/// Those that depend on the resource.
pub fn parameters(resource: &Resource) -> Vec<Value> {
    let mut parameters = Vec::new();
    parameters.extend(sort(resource));
    parameters.extend(shape(resource));
    for field in &resource.fields {
        if field.is_filterable {
            parameters.extend(filters(field));
        }
    }
    parameters
}

/// `fields` and `include`, which reading one row takes, too.
pub fn shape(resource: &Resource) -> Vec<Value> {
    let fields: Vec<&str> = resource.fields.iter().map(|field| &*field.name).collect();
    let mut shape = vec![several(
        "fields",
        "The fields to answer, and no others.",
        json!({"items": {"enum": fields}, "uniqueItems": true, "minItems": 1}),
    )];
    if !resource.includes.is_empty() {
        let names: Vec<&str> = resource.includes.iter().map(|one| &*one.name).collect();
        shape.push(several(
            "include",
            "Rows that this one refers to, to be answered within it.",
            json!({"items": {"enum": names}, "uniqueItems": true, "minItems": 1}),
        ));
    }
    shape
}

fn sort(resource: &Resource) -> Option<Value> {
    let sortable = resource.fields.iter().filter(|field| field.is_sortable);
    let orders: Vec<String> = sortable
        .flat_map(|field| [field.name.clone(), format!("-{}", field.name)])
        .collect();
    if orders.is_empty() {
        return None;
    }
    Some(several(
        "sort",
        "The order, each field rising or, with a hyphen, falling; none of them twice. The key comes last.",
        json!({"items": {"enum": orders}, "uniqueItems": true, "minItems": 1, "maxItems": 4}),
    ))
}

fn filters(field: &Field) -> Vec<Value> {
    let kind = Type::from(field);
    let name = &field.name;
    let value = || kind.in_url();
    // A name that is an option's is none of a field.
    let equal = match query::OPTIONS.contains(&name.as_str()) {
        true => operator(name, "eq", "is that", value()),
        false => parameter(name, &format!("Only rows whose {name} is that."), value()),
    };
    let mut filters = vec![equal, operator(name, "ne", "is not that", value())];
    if field.is_sortable {
        filters.extend([
            operator(name, "gt", "is greater", value()),
            operator(name, "gte", "is that or greater", value()),
            operator(name, "lt", "is less", value()),
            operator(name, "lte", "is that or less", value()),
        ]);
    }
    if !kind.is_array() && !kind.is_json() {
        let choices = json!({"items": value(), "minItems": 1, "maxItems": 100});
        filters.push(several(
            &format!("{name}[in]"),
            &format!("Only rows whose {name} is one of these."),
            choices,
        ));
    }
    if kind.is_text() {
        let pattern =
            json!({"type": "string", "pattern": "^([^\\\\\\u0000]|\\\\[^\\u0000]){0,1000}$"});
        filters.extend([
            operator(name, "like", "is like that, with % and _", pattern.clone()),
            operator(name, "ilike", "is like that, in any case", pattern),
        ]);
    }
    filters.push(operator(
        name,
        "is",
        "is there or not",
        one_of_texts(&["null", "notNull"]),
    ));
    filters
}

fn operator(field: &str, operator: &str, what: &str, schema: Value) -> Value {
    parameter(
        &format!("{field}[{operator}]"),
        &format!("Only rows whose {field} {what}."),
        schema,
    )
}

fn parameter(name: &str, what: &str, schema: Value) -> Value {
    json!({"name": name, "in": "query", "description": what, "schema": schema})
}

/// Several values with commas.
fn several(name: &str, what: &str, members: Value) -> Value {
    let mut several = parameter(name, what, with(array(text()), members));
    several["style"] = "form".into();
    several["explode"] = false.into();
    several
}

/// `*`, or entity tags.
const TAGS: &str = "^([*]|(W/)?\"[!#-~]*\"(, ?(W/)?\"[!#-~]*\")*)$";

/// The shared parameters, for the document's `components`.
pub fn components() -> Value {
    let header = |name: &str, what: &str, schema: Value| json!({"name": name, "in": "header", "description": what, "schema": schema});
    let whole = |most: u32, default: u32| json!({"type": "integer", "minimum": 1, "maximum": most, "default": default});
    let tags = json!({"type": "string", "minLength": 1, "pattern": TAGS, "examples": ["\"Cz0JtyKeXMNj6Yw2y0mQ0w\""]});
    json!({
        "page": parameter("page", "Which page, from 1.", whole(1_000_000, 1)),
        "limit": parameter("limit", "Rows on a page.", whole(100, 20)),
        "countExact": parameter("count", "Adds `total`, which costs a count.", one_of_texts(&["exact"])),
        "count": parameter("count", "Adds `total`: counted, or as the planner estimates it.", one_of_texts(&["exact", "estimated"])),
        "cursor": parameter(
            "cursor",
            "The `nextCursor` of the page before, with the same sort and filters; instead of `page`.",
            json!({"type": "string", "minLength": 1, "pattern": NO_NUL}),
        ),
        "prefer": header(
            "Prefer",
            "`return=minimal` leaves the row out of the answer, `return=representation` asks for it. Anything else is passed over.",
            json!({"type": "string", "examples": ["return=minimal"]}),
        ),
        "ifMatch": header("If-Match", "Only if the row still has one of these tags; or `*`. Else 412.", tags.clone()),
        "ifNoneMatch": header("If-None-Match", "304 without a body if the row still has one of these tags.", tags),
        "idempotencyKey": header(
            "Idempotency-Key",
            "A word of your own for this request. Sent again with it within 24 hours, the request is not done again, and the first answer comes back.",
            json!({"type": "string", "pattern": "^[!-~]{1,255}$"}),
        ),
    })
}
