use super::*;
use crate::settings::ResponseStyle;

fn documents() -> Documents {
    let shape = ShapeSettings {
        response_style: ResponseStyle::Plain,
        envelope_timestamp: true,
        envelope_path: true,
        envelope_request_id: true,
    };
    Documents::new(&shape, "X-Tenant-Id")
}

fn catalog() -> Arc<Catalog> {
    Arc::new(Catalog::read(include_bytes!("../../tests/catalog.json")).unwrap())
}

fn document() -> Value {
    documents().describe(&catalog())
}

fn operations(document: &Value) -> Vec<(String, String, &Value)> {
    let mut operations = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            if method != "parameters" {
                operations.push((path.clone(), method.clone(), operation));
            }
        }
    }
    operations
}

#[test]
fn every_operation_has_a_name_of_its_own() {
    let document = document();
    let mut seen = BTreeSet::new();
    for (path, method, operation) in operations(&document) {
        let id = operation["operationId"].as_str().unwrap();
        assert!(
            id.starts_with(|first: char| first.is_ascii_lowercase()),
            "{id}"
        );
        assert!(id.chars().all(|sign| sign.is_ascii_alphanumeric()), "{id}");
        assert!(seen.insert(id.to_owned()), "{id} at {method} {path}");
    }
    for id in [
        "listStudents",
        "createStudent",
        "getTask",
        "callEnrol",
        "login",
    ] {
        assert!(seen.contains(id), "{id}");
    }
}

#[test]
fn every_reference_leads_somewhere() {
    fn check(document: &Value, value: &Value) {
        match value {
            Value::Object(members) => {
                if let Some(Value::String(reference)) = members.get("$ref") {
                    let pointer = reference.strip_prefix('#').unwrap();
                    assert!(document.pointer(pointer).is_some(), "{reference}");
                }
                members.values().for_each(|value| check(document, value));
            }
            Value::Array(items) => items.iter().for_each(|value| check(document, value)),
            _ => {}
        }
    }
    let document = document();
    check(&document, &document);
}

#[test]
fn a_read_only_resource_has_no_writing_operations() {
    let document = document();
    let countries = &document["paths"]["/countries"];
    assert!(countries["get"].is_object());
    assert!(countries["post"].is_null());
    assert!(document["paths"]["/countries/{id}"]["patch"].is_null());
    assert!(document["paths"]["/countries/{id}/restore"].is_null());
    assert!(document["paths"]["/students/{id}/restore"]["post"].is_object());
}

#[test]
fn a_body_says_which_fields_it_must_have() {
    let document = document();
    let new = &document["components"]["schemas"]["NewTask"];
    assert_eq!(new["required"], json!(["title"]));
    assert_eq!(new["additionalProperties"], false);
    assert!(new["properties"]["createdAt"].is_null());
    let change = &document["components"]["schemas"]["TaskChange"];
    assert_eq!(change["minProperties"], 1);
    assert!(change["required"].is_null());
}

#[test]
fn a_list_says_its_filters_and_orders() {
    let document = document();
    let parameters = document["paths"]["/tasks"]["get"]["parameters"]
        .as_array()
        .unwrap();
    let named = |name: &str| parameters.iter().find(|one| one["name"] == name);
    assert_eq!(
        named("status[in]").unwrap()["schema"]["items"]["enum"],
        json!(["todo", "in_progress", "done"])
    );
    assert!(named("status[like]").is_some() && named("projectId[like]").is_none());
    assert!(named("title").is_none(), "no index holds it");
    let orders = &named("sort").unwrap()["schema"]["items"]["enum"];
    assert!(orders.as_array().unwrap().contains(&json!("-status")));
}

#[test]
fn the_document_is_made_once_for_a_catalog() {
    let documents = documents();
    let empty = Arc::new(Catalog::default());
    let first = documents.of(&empty).unwrap();
    assert!(Arc::ptr_eq(&first, &documents.made(&empty).unwrap()));
    let second = documents.of(&catalog()).unwrap();
    assert_ne!(first.tag, second.tag);
}

#[test]
fn a_field_that_is_called_like_an_option_is_filtered_by_its_operator() {
    let mut catalog = Catalog::clone(&catalog());
    let tasks = catalog.resources.iter_mut().find(|one| one.name == "tasks");
    let status = tasks
        .unwrap()
        .fields
        .iter_mut()
        .find(|one| one.name == "status");
    status.unwrap().name = "limit".to_owned();
    let document = documents().describe(&catalog);
    let parameters = document["paths"]["/tasks"]["get"]["parameters"]
        .as_array()
        .unwrap();
    let named = |name: &str| parameters.iter().any(|one| one["name"] == name);
    assert!(named("limit[eq]") && named("limit[ne]"));
    assert!(!named("limit"), "the option stands among the shared ones");
}

#[test]
fn every_fixed_route_is_described() {
    let source = include_str!("../routes.rs");
    let served: BTreeSet<&str> = source
        .split('"')
        .filter(|text| text.starts_with('/') && !text.contains(' '))
        .collect();
    let described: BTreeSet<&str> = fixed::routes().into_iter().map(|(path, ..)| path).collect();
    assert_eq!(described, served);
}
