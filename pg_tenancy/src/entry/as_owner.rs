//! Entering with the owner's privileges, where SQL has to be asked.
//!
//! `tenancy_private.enter_as_owner` is the definer. No role may call it, or use its
//! schema: it is called from here, as PostgreSQL calls a function, with the owner and
//! the search path that it was declared with.

use std::ffi::CStr;

use pgrx::pg_sys;

use crate::fault::Fault;
use crate::function::{Answer, argument};

const SCHEMA: &CStr = c"tenancy_private";
const NAME: &CStr = c"enter_as_owner";

// Declared again, without pgrx's guard: it would give another code to what is raised.
unsafe extern "C-unwind" {
    fn OidFunctionCall1Coll(
        function: pg_sys::Oid,
        collation: pg_sys::Oid,
        first: pg_sys::Datum,
    ) -> pg_sys::Datum;
    fn OidFunctionCall2Coll(
        function: pg_sys::Oid,
        collation: pg_sys::Oid,
        first: pg_sys::Datum,
        second: pg_sys::Datum,
    ) -> pg_sys::Datum;
}

/// Calls it with the first one or two arguments of this call, which are no NULLs. An
/// error passes over the callers, who have nothing alive that has a destructor.
pub fn enter(call: pg_sys::FunctionCallInfo, arguments: i32) -> Answer {
    let function = find(arguments);
    if function == pg_sys::InvalidOid {
        return Err(Fault::internal("tenancy_private.enter_as_owner is gone"));
    }
    let missing = || Fault::internal("a NULL argument");
    let first = argument(call, 0).ok_or_else(missing)?;
    // SAFETY: as said above; the function takes so many texts.
    unsafe {
        if arguments == 1 {
            return Ok(OidFunctionCall1Coll(function, pg_sys::InvalidOid, first));
        }
        let second = argument(call, 1).ok_or_else(missing)?;
        Ok(OidFunctionCall2Coll(
            function,
            pg_sys::InvalidOid,
            first,
            second,
        ))
    }
}

fn find(arguments: i32) -> pg_sys::Oid {
    // SAFETY: look-ups in the catalog's caches, which ask for no privilege.
    unsafe {
        let schema = pg_sys::get_namespace_oid(SCHEMA.as_ptr(), true);
        let types = pg_sys::buildoidvector([pg_sys::TEXTOID; 2].as_ptr(), arguments);
        pg_sys::GetSysCacheOid(
            pg_sys::SysCacheIdentifier::PROCNAMEARGSNSP as i32,
            pg_sys::Anum_pg_proc_oid as pg_sys::AttrNumber,
            pg_sys::Datum::from(NAME.as_ptr()),
            pg_sys::Datum::from(types),
            pg_sys::Datum::from(schema),
            pg_sys::Datum::null(),
        )
    }
}
