//! The functions that tell the context: `current_tenant_id()` and its sisters.
//!
//! Policies call them once per row, so they are short, and allocate nothing on
//! the way.

use std::cell::{Cell, RefCell};
use std::ffi::CStr;
use std::ptr;

use pgrx::pg_sys;
use rustc_hash::{FxBuildHasher, FxHashSet};
use uuid::Uuid;

use crate::context::{self, Context, Epochs, Proof};
use crate::fault::Fault;
use crate::function::{Answer, null, text_datum, uuid_datum};
use crate::settings;

single! {
    /// The tenant's id of this context as a datum, made at the first reading.
    static TENANT_DATUM: Cell<*const [u8; 16]> = Cell::new(ptr::null());
    /// Every tenant's id that this backend has told. A datum points to one, and may
    /// be kept longer than its transaction (an argument of a procedure that commits),
    /// so none is ever freed or changed: 16 bytes and an entry for each tenant.
    static TOLD: RefCell<FxHashSet<Told>> = RefCell::new(FxHashSet::with_hasher(FxBuildHasher));
    /// One of them, which is probably the next to be told.
    static EXPECTED: Cell<Option<Told>> = Cell::new(None);
}

/// A tenant's id that lasts as long as this backend.
pub type Told = &'static [u8; 16];

/// For when the context changes.
pub fn forget_datum() {
    TENANT_DATUM.set(ptr::null());
}

/// For who is about to enter a tenant and has kept this: it saves the search for it, which
/// in a backend that serves a thousand tenants waits for memory three times.
pub fn expect(told: Told) {
    EXPECTED.set(Some(told));
}

/// A tenant's id as a datum that lasts.
pub fn told(id: Uuid) -> pg_sys::Datum {
    pg_sys::Datum::from(ptr::from_ref(lasting(id)))
}

pub fn lasting(id: Uuid) -> Told {
    if let Some(expected) = EXPECTED.get()
        && expected == id.as_bytes()
    {
        return expected;
    }
    TOLD.with_borrow_mut(|told| {
        let known = told.get(id.as_bytes()).copied();
        known.unwrap_or_else(|| {
            let bytes: Told = Box::leak(Box::new(id.into_bytes()));
            told.insert(bytes);
            bytes
        })
    })
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
sql_function!(
    tenancy_context_proof,
    pg_finfo_tenancy_context_proof,
    context_proof
);
sql_function!(
    tenancy_context_proof_id,
    pg_finfo_tenancy_context_proof_id,
    context_proof_id
);

fn current_tenant_id(call: pg_sys::FunctionCallInfo) -> Answer {
    Ok(tenant_datum()?.unwrap_or_else(|| null(call)))
}

/// What `current_tenant_id()` answers: `None` for NULL.
pub fn tenant_datum() -> Result<Option<pg_sys::Datum>, Fault> {
    let known = TENANT_DATUM.get();
    if !known.is_null() && context::is_current() {
        return Ok(Some(pg_sys::Datum::from(known)));
    }
    let Some(context) = required()? else {
        return Ok(None);
    };
    // What another setting says may change from one row to the next.
    if context::current().is_none() {
        return Ok(Some(uuid_datum(context.tenant_id)));
    }
    let bytes = lasting(context.tenant_id);
    TENANT_DATUM.set(bytes);
    Ok(Some(pg_sys::Datum::from(ptr::from_ref(bytes))))
}

fn current_user_id(call: pg_sys::FunctionCallInfo) -> Answer {
    let user = required()?.and_then(|context| context.user_id);
    Ok(user.map_or_else(|| null(call), uuid_datum))
}

fn current_member_role(call: pg_sys::FunctionCallInfo) -> Answer {
    let role = required()?.and_then(|context| context.role);
    Ok(role.map_or_else(|| null(call), |role| text_datum(role.name())))
}

fn context_user_id(call: pg_sys::FunctionCallInfo) -> Answer {
    let user = context::current().and_then(|context| context.user_id);
    Ok(user.map_or_else(|| null(call), uuid_datum))
}

fn context_proof(call: pg_sys::FunctionCallInfo) -> Answer {
    let proof = context::current().map(|context| context.proof);
    Ok(proof.map_or_else(|| null(call), |proof| text_datum(proof.name())))
}

fn context_proof_id(call: pg_sys::FunctionCallInfo) -> Answer {
    let id = context::current().and_then(|context| context.proof.id());
    Ok(id.map_or_else(|| null(call), uuid_datum))
}

/// The context, or what `pg_tenancy.missing_context` says: a fault or `None`.
pub fn required() -> Result<Option<Context>, Fault> {
    let context = context::current().or_else(by_plain_setting);
    if context.is_none() && settings::is_missing_context_an_error() {
        return Err(no_tenant());
    }
    Ok(context)
}

pub fn no_tenant() -> Fault {
    Fault::new("TN001", "no tenant has been entered")
        .hint("Call tenancy.enter(token) first, in the same transaction.")
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
        user_id: None,
        role: None,
        session_id: None,
        proof: Proof::Word,
        is_read_only: false,
        epochs: Epochs::default(),
    })
}
