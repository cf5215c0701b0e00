//! The arguments of an exposed function: from a JSON object to the texts that their
//! types read, and the statement that takes them.

use std::ffi::c_char;

use pgrx::pg_sys;
use serde::Deserialize;

use crate::fault::{Fault, in_postgres_memory};
use crate::rows::filter::is_uuid;
use crate::rows::input::{Wrong, object, text_of};
use crate::rows::refusing::Refusing;
use crate::rows::relation::camel_case;
use crate::rows::types::Kind;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Function {
    pub oid: pg_sys::Oid,
    /// With its arguments and what it returns.
    pub identity: String,
    /// With its schema, quoted.
    name: String,
    is_set: bool,
    /// The name of the only column of a table.
    column: Option<String>,
    arguments: Vec<Argument>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Argument {
    name: String,
    type_oid: pg_sys::Oid,
    type_name: String,
    /// As SQL.
    default: Option<String>,
}

/// A call, all of it in PostgreSQL's memory.
#[derive(Clone, Copy)]
pub struct Call {
    pub function: pg_sys::Oid,
    pub sql: *const c_char,
    pub number: usize,
    pub texts: *mut Text,
    pub types: *mut pg_sys::Oid,
    pub values: *mut pg_sys::Datum,
    pub nulls: *mut c_char,
    pub is_set: bool,
    pub column: *const c_char,
}

#[derive(Clone, Copy)]
pub struct Text {
    pub text: *const c_char,
    pub type_oid: pg_sys::Oid,
    pub refusing: Refusing,
}

/// TN402 an unknown argument, TN405 a value that is none, TN410 an argument is missing.
pub fn prepare(function: &Function, called: &str, json: &str) -> Result<Call, Fault> {
    let mut given = object(json)?;
    let mut texts: Vec<Text> = Vec::new();
    let mut sql: Vec<String> = Vec::new();
    for wanted in &function.arguments {
        let name = &wanted.name;
        let place = given.iter().position(|(given, _)| given == name);
        let type_name = &wanted.type_name;
        match (place, &wanted.default) {
            (Some(place), _) => {
                let (_, raw) = given.swap_remove(place);
                let kind = kind_of(wanted.type_oid);
                let text = text_of(kind, raw.get()).map_err(|wrong| wrong.about(name))?;
                if kind == Kind::Uuid && !text.as_deref().is_none_or(is_uuid) {
                    return Err(Wrong::Type(kind).about(name));
                }
                texts.push(Text {
                    text: text.as_deref().map_or(std::ptr::null(), in_postgres_memory),
                    type_oid: wanted.type_oid,
                    refusing: Refusing::new(name, kind, type_name),
                });
                sql.push(format!("${}", texts.len()));
            }
            // In full, so that no other function of that name fits better.
            (None, Some(default)) => sql.push(format!("cast(({default}) as {type_name})")),
            (None, None) => {
                return Err(
                    Fault::new("TN410", format!("\"{name}\" is required")).field(name.clone())
                );
            }
        }
    }
    if let Some((name, _)) = given.first() {
        let shown: String = name.chars().take(64).collect();
        let names: Vec<&str> = function.arguments.iter().map(|a| a.name.as_str()).collect();
        let hint = match names.as_slice() {
            [] => "It takes none.".to_owned(),
            names => format!("Arguments are {}.", names.join(", ")),
        };
        return Err(Fault::new(
            "TN402",
            format!("\"{shown}\" is not an argument of {called}"),
        )
        .hint(hint)
        .field(shown));
    }
    let number = texts.len();
    let sql = format!("select {}({})", function.name, sql.join(", "));
    // SAFETY: palloc answers with that much memory, which is written here or in `run`.
    unsafe {
        let call = Call {
            function: function.oid,
            sql: in_postgres_memory(&sql),
            number,
            texts: pg_sys::palloc(number * size_of::<Text>()).cast(),
            types: pg_sys::palloc(number * size_of::<pg_sys::Oid>()).cast(),
            values: pg_sys::palloc(number * size_of::<pg_sys::Datum>()).cast(),
            nulls: pg_sys::palloc(number).cast(),
            is_set: function.is_set,
            column: function
                .column
                .as_deref()
                .map_or(std::ptr::null(), |column| {
                    in_postgres_memory(&camel_case(column))
                }),
        };
        for (i, text) in texts.into_iter().enumerate() {
            call.types.add(i).write(text.type_oid);
            call.texts.add(i).write(text);
        }
        Ok(call)
    }
}

pub fn kind_of(oid: pg_sys::Oid) -> Kind {
    // SAFETY: look-ups in the caches of the catalog.
    unsafe {
        let base = pg_sys::getBaseType(oid);
        Kind::of(base, pg_sys::get_element_type(base))
    }
}
