//! Exposed functions: named arguments from JSON, and what comes back as JSON.
//! `sql/78_functions.sql` says which functions, `sql/81_calls.sql` what a call gives.
//!
//! The function's own errors have to reach the client as they are, so PostgreSQL is
//! called without pgrx's guard, and nothing that has a destructor is alive then.
//!
//! No plan is kept: a function that is IMMUTABLE is computed while its call is
//! planned, and what it gave for one tenant must not be there for the next.

use std::ffi::{c_char, c_int, c_long};

use pgrx::pg_sys;
use serde::Deserialize;

use crate::fault::{Fault, in_postgres_memory};
use crate::function::{Answer, argument, content, text_argument, text_datum};
use crate::invoke::{find, invoke};
use crate::readers;
use crate::rows::filter::is_uuid;
use crate::rows::input::{Wrong, object, text_of};
use crate::rows::json::Json;
use crate::rows::refusing::Refusing;
use crate::rows::relation::camel_case;
use crate::rows::types::Kind;

/// As many rows as a call answers.
const MOST_ROWS: u64 = 1_000;

sql_function!(
    tenancy_call_function,
    pg_finfo_tenancy_call_function,
    call_function
);
sql_function!(tenancy_json_name, pg_finfo_tenancy_json_name, json_name);

fn json_name(call: pg_sys::FunctionCallInfo) -> Answer {
    Ok(text_datum(&camel_case(text_argument(call, 0)?)))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Function {
    oid: pg_sys::Oid,
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
struct Call {
    function: pg_sys::Oid,
    sql: *const c_char,
    number: usize,
    texts: *mut Text,
    types: *mut pg_sys::Oid,
    values: *mut pg_sys::Datum,
    nulls: *mut c_char,
    is_set: bool,
    column: *const c_char,
}

#[derive(Clone, Copy)]
struct Text {
    text: *const c_char,
    type_oid: pg_sys::Oid,
    refusing: Refusing,
}

fn call_function(call: pg_sys::FunctionCallInfo) -> Answer {
    readers::required()?.ok_or_else(readers::no_tenant)?;
    let name = argument(call, 0).ok_or_else(|| Fault::internal("a NULL argument"))?;
    let look_up = find(c"tenancy_private", c"callable_function", &[pg_sys::TEXTOID])?;
    // SAFETY: a text; what is alive here has no destructor.
    let found = unsafe { invoke(look_up, &[name]) };
    let Some(found) = found else {
        let shown: String = text_argument(call, 0)?.chars().take(64).collect();
        return Err(
            Fault::new("TN424", format!("there is no function \"{shown}\""))
                .hint("A DBA lets clients call one with tenancy.expose_function()."),
        );
    };
    let call = {
        // SAFETY: a json of a function of ours.
        let found: Function = serde_json::from_slice(unsafe { content(found) })
            .map_err(|error| Fault::internal(format!("describing a function: {error}")))?;
        prepare(&found, text_argument(call, 0)?, text_argument(call, 1)?)?
    };
    // SAFETY: what is alive here has no destructor.
    unsafe { run(call) }
}

/// TN402 an unknown argument, TN405 a value that is none, TN410 an argument is missing.
fn prepare(function: &Function, called: &str, json: &str) -> Result<Call, Fault> {
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

fn kind_of(oid: pg_sys::Oid) -> Kind {
    // SAFETY: look-ups in the caches of the catalog.
    unsafe {
        let base = pg_sys::getBaseType(oid);
        Kind::of(base, pg_sys::get_element_type(base))
    }
}

unsafe extern "C-unwind" {
    fn OidInputFunctionCall(
        function: pg_sys::Oid,
        text: *mut c_char,
        parameter: pg_sys::Oid,
        modifier: c_int,
    ) -> pg_sys::Datum;
    fn SPI_connect() -> c_int;
    fn SPI_prepare(
        sql: *const c_char,
        number: c_int,
        types: *mut pg_sys::Oid,
    ) -> pg_sys::SPIPlanPtr;
    fn SPI_execute_plan(
        plan: pg_sys::SPIPlanPtr,
        values: *mut pg_sys::Datum,
        nulls: *const c_char,
        read_only: bool,
        count: c_long,
    ) -> c_int;
    fn SPI_plan_get_plan_sources(plan: pg_sys::SPIPlanPtr) -> *mut pg_sys::List;
    fn SPI_finish() -> c_int;
}

/// # Safety
/// Nothing with a destructor may be alive in the callers' frames.
unsafe fn run(call: Call) -> Answer {
    // SAFETY: the calls are in SPI's order; the rows are written, to memory that was
    // got before, ere SPI_finish frees them.
    unsafe {
        let mut json = Json::new();
        read_values(call);
        SPI_connect();
        let plan = SPI_prepare(call.sql, call.number as c_int, call.types);
        if plan.is_null() || !calls(plan, call.function) {
            return Err(changed_under_way());
        }
        let limit = if call.is_set { MOST_ROWS + 1 } else { 0 };
        SPI_execute_plan(plan, call.values, call.nulls, false, limit as c_long);
        if !calls(plan, call.function) {
            return Err(changed_under_way());
        }
        let number = pg_sys::SPI_processed;
        if call.is_set && number > MOST_ROWS {
            return Err(
                Fault::new("TN423", format!("there are more than {MOST_ROWS} rows"))
                    .hint("Ask for fewer, by an argument that the function has for it."),
            );
        }
        write(&mut json, call, number);
        SPI_finish();
        Ok(json.datum())
    }
}

unsafe fn read_values(call: Call) {
    for i in 0..call.number {
        // SAFETY: `prepare` has written as many.
        unsafe {
            let mut text = *call.texts.add(i);
            call.nulls
                .add(i)
                .write(if text.text.is_null() { b'n' } else { b' ' } as c_char);
            call.values.add(i).write(pg_sys::Datum::null());
            if text.text.is_null() {
                continue;
            }
            let (mut input, mut parameter) = (pg_sys::InvalidOid, pg_sys::InvalidOid);
            pg_sys::getTypeInputInfo(text.type_oid, &raw mut input, &raw mut parameter);
            text.refusing.start();
            let value = OidInputFunctionCall(input, text.text.cast_mut(), parameter, -1);
            text.refusing.end();
            call.values.add(i).write(value);
        }
    }
}

/// Whether the statement's only column is a call of that function: a name may have
/// come to mean another one.
unsafe fn calls(plan: pg_sys::SPIPlanPtr, function: pg_sys::Oid) -> bool {
    // SAFETY: a plan of one statement, which is a query with one column.
    unsafe {
        let source: *mut pg_sys::CachedPlanSource =
            pg_sys::list_nth(SPI_plan_get_plan_sources(plan), 0).cast();
        let query: *mut pg_sys::Query = pg_sys::list_nth((*source).query_list, 0).cast();
        let column: *mut pg_sys::TargetEntry = pg_sys::list_nth((*query).targetList, 0).cast();
        let called: *mut pg_sys::FuncExpr = (*column).expr.cast();
        (*called).xpr.type_ == pg_sys::NodeTag::T_FuncExpr && (*called).funcid == function
    }
}

fn changed_under_way() -> Fault {
    Fault::new("40001", "the function was changed at this moment").hint("Try again.")
}

/// # Safety
/// As `run`; SPI's result is that of the call.
unsafe fn write(json: &mut Json, call: Call, number: u64) {
    // SAFETY: SPI's result has one column.
    unsafe {
        let table = pg_sys::SPI_tuptable;
        let oid = pg_sys::SPI_gettypeid((*table).tupdesc, 1);
        let base = pg_sys::getBaseType(oid);
        let is_row = pg_sys::type_is_rowtype(base);
        let kind = kind_of(base);
        if call.is_set {
            json.push(b"[");
        }
        for i in 0..number as usize {
            if i > 0 {
                json.push(b",");
            }
            if !call.column.is_null() {
                json.push(b"{");
                json.string(std::ffi::CStr::from_ptr(call.column).to_bytes());
                json.push(b":");
            }
            let mut is_null = false;
            let tuple = *(*table).vals.add(i);
            let value = pg_sys::SPI_getbinval(tuple, (*table).tupdesc, 1, &raw mut is_null);
            if is_null || oid == pg_sys::VOIDOID {
                json.push(b"null");
            } else if is_row {
                json.composite(value);
            } else {
                json.value(kind, base, value);
            }
            if !call.column.is_null() {
                json.push(b"}");
            }
        }
        if call.is_set {
            json.push(b"]");
        }
    }
}
