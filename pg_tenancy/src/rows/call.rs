//! Calls of exposed functions (see `arguments`), and what comes back as JSON.
//! `sql/80_functions.sql` says which functions, `sql/83_calls.sql` what a call gives.
//!
//! The function's own errors have to reach the client as they are, so PostgreSQL is
//! called without pgrx's guard, and nothing that has a destructor is alive then.
//!
//! No plan is kept: a function that is IMMUTABLE is computed while its call is
//! planned, and what it gave for one tenant must not be there for the next.

use std::ffi::{c_char, c_int, c_long};

use pgrx::pg_sys;

use crate::fault::Fault;
use crate::function::{Answer, argument, content, text_argument, text_datum};
use crate::invoke::{find, invoke};
use crate::readers;
use crate::rows::arguments::{Call, Function, kind_of, prepare};
use crate::rows::json::Json;

/// As many rows as a call answers.
const MOST_ROWS: u64 = 1_000;

sql_function!(
    tenancy_call_function,
    pg_finfo_tenancy_call_function,
    call_function
);

fn call_function(call: pg_sys::FunctionCallInfo) -> Answer {
    let call = {
        let found = found(call)?;
        prepare(&found, text_argument(call, 0)?, text_argument(call, 1)?)?
    };
    // SAFETY: what is alive here has no destructor.
    unsafe { run(call) }
}

/// What the answer to a call shows, by name; or the error that the call would be.
pub fn shown(call: pg_sys::FunctionCallInfo) -> Result<Vec<String>, Fault> {
    let function = found(call)?;
    let asked = [pg_sys::OIDOID, pg_sys::TEXTOID];
    // SAFETY: a look-up in a cache of the catalog.
    let schema = unsafe { pg_sys::get_func_namespace(function.oid) };
    for (question, oid, privilege) in [
        (c"has_schema_privilege", schema, "usage"),
        (c"has_function_privilege", function.oid, "execute"),
    ] {
        let question = find(c"pg_catalog", question, &asked)?;
        // SAFETY: it takes an oid and a text. An error becomes a panic.
        let may = unsafe {
            let (oid, privilege) = (pg_sys::Datum::from(oid), text_datum(privilege));
            pg_sys::OidFunctionCall2Coll(question, pg_sys::InvalidOid, oid, privilege)
        };
        if may.value() == 0 {
            let called = text_argument(call, 0)?;
            return Err(Fault::new(
                "42501",
                format!("permission denied for the function \"{called}\""),
            ));
        }
    }
    Ok(vec![function.identity])
}

/// The function that the call names. TN001 without a context, TN424 there is none.
fn found(call: pg_sys::FunctionCallInfo) -> Result<Function, Fault> {
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
    // SAFETY: a json of a function of ours.
    serde_json::from_slice(unsafe { content(found) })
        .map_err(|error| Fault::internal(format!("describing a function: {error}")))
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
