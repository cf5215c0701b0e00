//! The purge of one table, with no rights but those of a role that the table's code may
//! have: triggers, rules and the functions of indexes run as who deletes.

use std::ffi::CStr;

use pgrx::pg_sys;

use crate::fault::Fault;
use crate::function::{Answer, argument};

const SCHEMA: &CStr = c"tenancy_private";
const NAME: &CStr = c"purge_table";

// Declared again, without pgrx's guard: it would give another code to what is raised.
unsafe extern "C-unwind" {
    fn OidFunctionCall3Coll(
        function: pg_sys::Oid,
        collation: pg_sys::Oid,
        first: pg_sys::Datum,
        second: pg_sys::Datum,
        third: pg_sys::Datum,
    ) -> pg_sys::Datum;
}

sql_function!(
    tenancy_purge_table_as,
    pg_finfo_tenancy_purge_table_as,
    purge_table_as
);

/// As PostgreSQL does its own work on others' tables: as their owner, in a restricted
/// operation. So nothing is left behind that would run later, as somebody else:
/// neither deferred triggers, nor temporary objects, nor settings.
fn purge_table_as(call: pg_sys::FunctionCallInfo) -> Answer {
    let missing = || Fault::internal("a NULL argument");
    let role = argument(call, 0).ok_or_else(missing)?;
    let table = argument(call, 1).ok_or_else(missing)?;
    let before = argument(call, 2).ok_or_else(missing)?;
    let most = argument(call, 3).ok_or_else(missing)?;
    let function = find();
    if function == pg_sys::InvalidOid {
        return Err(Fault::internal("tenancy_private.purge_table is gone"));
    }
    // SAFETY: the function takes these three. An error passes over this frame, which
    // has nothing alive that has a destructor; who catches it is in the
    // subtransaction's beginning, with the user and settings of that time.
    unsafe {
        let mut user = pg_sys::InvalidOid;
        let mut context = 0;
        pg_sys::GetUserIdAndSecContext(&raw mut user, &raw mut context);
        let settings = pg_sys::NewGUCNestLevel();
        pg_sys::SetUserIdAndSecContext(
            pg_sys::Oid::from(role.value() as u32),
            context
                | (pg_sys::SECURITY_LOCAL_USERID_CHANGE
                    | pg_sys::SECURITY_RESTRICTED_OPERATION
                    | pg_sys::SECURITY_NOFORCE_RLS) as i32,
        );
        let purged = OidFunctionCall3Coll(function, pg_sys::InvalidOid, table, before, most);
        pg_sys::AtEOXact_GUC(false, settings);
        pg_sys::SetUserIdAndSecContext(user, context);
        Ok(purged)
    }
}

fn find() -> pg_sys::Oid {
    let types = [pg_sys::REGCLASSOID, pg_sys::TIMESTAMPTZOID, pg_sys::INT8OID];
    // SAFETY: look-ups in the catalog's caches, which ask for no privilege.
    unsafe {
        let schema = pg_sys::get_namespace_oid(SCHEMA.as_ptr(), true);
        let types = pg_sys::buildoidvector(types.as_ptr(), types.len() as i32);
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
