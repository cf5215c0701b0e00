//! The functions that tell the context: `current_tenant_id()` and its sisters.
//!
//! Policies call them once per row, so they are short, and allocate nothing on
//! the way.

use std::cell::Cell;
use std::ffi::{CStr, c_void};
use std::ptr;

use pgrx::pg_sys;
use uuid::Uuid;

use crate::context::{self, Context};
use crate::fault::{self, Fault};
use crate::function::{Answer, null, uuid_datum};
use crate::settings;

thread_local! {
    /// The tenant's id as a datum, in the memory of this transaction: made at
    /// the first reading, so that a scan allocates nothing per row.
    static TENANT_DATUM: Cell<*mut c_void> = const { Cell::new(ptr::null_mut()) };
}

/// For when the context changes: the datum's memory goes with the transaction.
pub fn forget_datum() {
    TENANT_DATUM.set(ptr::null_mut());
}

sql_function!(
    tenancy_current_tenant_id,
    pg_finfo_tenancy_current_tenant_id,
    current_tenant_id
);
sql_function!(
    tenancy_current_user_id,
    pg_finfo_tenancy_current_user_id,
    current_user_id
);
sql_function!(
    tenancy_current_member_role,
    pg_finfo_tenancy_current_member_role,
    current_member_role
);
sql_function!(
    tenancy_context_user_id,
    pg_finfo_tenancy_context_user_id,
    context_user_id
);

fn current_tenant_id(call: pg_sys::FunctionCallInfo) -> Answer {
    let known = TENANT_DATUM.get();
    if !known.is_null() {
        return Ok(pg_sys::Datum::from(known));
    }
    let Some(context) = required()? else {
        return Ok(null(call));
    };
    // What another setting says may change from one row to the next.
    if context::current().is_none() {
        return Ok(uuid_datum(context.tenant_id));
    }
    // SAFETY: a context is there only within a transaction, which has this
    // memory; whoever keeps the datum longer than a statement copies it.
    let datum = unsafe {
        let before = pg_sys::MemoryContextSwitchTo(pg_sys::TopTransactionContext);
        let datum = uuid_datum(context.tenant_id);
        pg_sys::MemoryContextSwitchTo(before);
        datum
    };
    TENANT_DATUM.set(datum.cast_mut_ptr());
    Ok(datum)
}

fn current_user_id(call: pg_sys::FunctionCallInfo) -> Answer {
    let user = required()?.and_then(|context| context.user);
    Ok(user.map_or_else(|| null(call), |user| uuid_datum(user.user_id)))
}

fn current_member_role(call: pg_sys::FunctionCallInfo) -> Answer {
    let user = required()?.and_then(|context| context.user);
    Ok(user.map_or_else(
        || null(call),
        |user| {
            let name = fault::in_postgres_memory(user.role.name());
            // SAFETY: a C string.
            unsafe { pg_sys::Datum::from(pg_sys::cstring_to_text(name)) }
        },
    ))
}

fn context_user_id(call: pg_sys::FunctionCallInfo) -> Answer {
    let user = context::current().and_then(|context| context.user);
    Ok(user.map_or_else(|| null(call), |user| uuid_datum(user.user_id)))
}

/// The context, or what `pg_tenancy.missing_context` says: a fault or `None`.
pub fn required() -> Result<Option<Context>, Fault> {
    let context = context::current().or_else(by_plain_setting);
    if context.is_none() && settings::is_missing_context_an_error() {
        return Err(Fault::new("TN001", "no tenant has been entered")
            .hint("Call tenancy.enter(token) first, in the same transaction."));
    }
    Ok(context)
}

/// The tenant that a plain setting names, for an application that moves over
/// from hand-made row-level security and still sets that. Anybody can set it, so
/// it is no wall: `pg_tenancy.compat_setting` is empty unless a superuser says so.
fn by_plain_setting() -> Option<Context> {
    let name = settings::compat_setting()?;
    // SAFETY: a C string; a setting that isn't there gives null.
    let value = unsafe {
        let value = pg_sys::GetConfigOption(name.as_ptr(), true, false);
        (!value.is_null()).then(|| CStr::from_ptr(value))
    }?;
    let tenant_id = Uuid::try_parse_ascii(value.to_bytes()).ok()?;
    Some(Context {
        tenant_id,
        user: None,
    })
}
