//! What is asked for twice under one idempotency key is done once. `sql/81_idempotency.sql`
//! says what is promised.
//!
//! The work is a function that the caller may call, and runs as the caller. First of all
//! it is asked what it would show now, with the errors that the work would give. Before
//! it the key is locked, without waiting, and its answer looked for; after it the
//! answer is kept. Those two run as the owner, and take tenant and person from the
//! context.

use std::ffi::CStr;

use aws_lc_rs::digest::{SHA256, digest};
use pgrx::{IntoDatum, pg_sys};
use uuid::Uuid;

use crate::context::Context;
use crate::fault::Fault;
use crate::function::{Answer, argument, text_argument, text_datum};
use crate::invoke::{find, invoke};
use crate::readers;
use crate::rows::{call, resource};

sql_function!(
    tenancy_insert_resource_once,
    pg_finfo_tenancy_insert_resource_once,
    insert_resource_once
);
sql_function!(
    tenancy_call_function_once,
    pg_finfo_tenancy_call_function_once,
    call_function_once
);

fn insert_resource_once(call: pg_sys::FunctionCallInfo) -> Answer {
    let shown = resource::shown(call)?;
    once(call, c"insert_resource", shown)
}

fn call_function_once(call: pg_sys::FunctionCallInfo) -> Answer {
    let shown = call::shown(call)?;
    once(call, c"call_function", shown)
}

/// A request, in PostgreSQL's memory.
struct Request {
    target: pg_sys::Datum,
    route: pg_sys::Datum,
    body: pg_sys::Datum,
    key: pg_sys::Datum,
    /// What the answer shows, by name.
    shown: pg_sys::Datum,
}

/// The functions that it takes.
struct Deeds {
    work: pg_sys::Oid,
    look_up: pg_sys::Oid,
    keep: pg_sys::Oid,
}

fn once(call: pg_sys::FunctionCallInfo, work: &'static CStr, shown: Vec<String>) -> Answer {
    use pg_sys::{JSONOID, TEXTARRAYOID, TEXTOID};

    let context = readers::required()?.ok_or_else(readers::no_tenant)?;
    let key = text_argument(call, 2)?;
    check(key)?;
    let not_null = |index| argument(call, index).ok_or_else(|| Fault::internal("a NULL argument"));
    let route = text_datum(&format!(
        "{} {}",
        work.to_string_lossy(),
        text_argument(call, 0)?
    ));
    let request = Request {
        target: not_null(0)?,
        route,
        body: not_null(1)?,
        key: not_null(2)?,
        shown: shown
            .into_datum()
            .ok_or_else(|| Fault::internal("no array"))?,
    };
    let private = c"tenancy_private";
    let deeds = Deeds {
        work: find(c"tenancy", work, &[TEXTOID, JSONOID])?,
        look_up: find(
            private,
            c"kept_answer",
            &[TEXTOID, JSONOID, TEXTOID, TEXTARRAYOID],
        )?,
        keep: find(
            private,
            c"keep_answer",
            &[TEXTOID, JSONOID, TEXTOID, JSONOID, TEXTARRAYOID],
        )?,
    };
    let lock = if context.is_read_only {
        Lock::NotNeeded
    } else {
        lock(context, key)
    };
    // SAFETY: what is alive here has no destructor.
    unsafe { run(&request, &deeds, lock) }
}

/// # Safety
/// Nothing with a destructor may be alive in the callers' frames.
unsafe fn run(request: &Request, deeds: &Deeds, lock: Lock) -> Answer {
    let Request {
        target,
        route,
        body,
        key,
        shown,
    } = *request;
    let nothing = || Fault::internal("a function of the database that always answers did not");
    // SAFETY: the arguments are of the types that the functions were found by.
    unsafe {
        if lock == Lock::NotNeeded {
            return invoke(deeds.work, &[target, body]).ok_or_else(nothing);
        }
        // Also where somebody else has the lock, who may be fetching the answer, too.
        if let Some(kept) = invoke(deeds.look_up, &[route, body, key, shown]) {
            return Ok(kept);
        }
        if lock != Lock::Taken {
            return Err(under_way());
        }
        let answer = invoke(deeds.work, &[target, body]).ok_or_else(nothing)?;
        invoke(deeds.keep, &[route, body, key, answer, shown]);
        Ok(answer)
    }
}

fn check(key: &str) -> Result<(), Fault> {
    if (1..=255).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(());
    }
    Err(Fault::new("TN419", "the idempotency key is not good").hint(
        "It has 1 to 255 visible ASCII characters, no space among them; a UUID is a good one.",
    ))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Lock {
    Taken,
    /// Another transaction has it, or this one had it already: the work calls itself.
    Held,
    /// What can only read keeps no answer, and does no harm when it comes again.
    NotNeeded,
}

/// Locks the key until the transaction ends, and waits for nobody.
fn lock(context: Context, key: &str) -> Lock {
    let actor = context.user_id.or(context.proof.id());
    let mut name = Vec::with_capacity(32 + key.len());
    name.extend_from_slice(context.tenant_id.as_bytes());
    name.extend_from_slice(actor.unwrap_or(Uuid::nil()).as_bytes());
    name.extend_from_slice(key.as_bytes());
    let digest = digest(&SHA256, &name);
    let part = |at: usize| {
        let bytes = digest
            .as_ref()
            .get(at..at + 4)
            .and_then(|b| b.try_into().ok());
        u32::from_ne_bytes(bytes.unwrap_or_default())
    };
    // A kind of lock that SQL has no function for, so that nobody holds a key they don't
    // use, and that is none of the advisory locks that `residue` looks for.
    let tag = pg_sys::LOCKTAG {
        // SAFETY: reads a global of this backend.
        locktag_field1: unsafe { pg_sys::MyDatabaseId }.to_u32(),
        locktag_field2: part(0),
        locktag_field3: part(4),
        locktag_field4: 0,
        locktag_type: pg_sys::LockTagType::LOCKTAG_USERLOCK as u8,
        locktag_lockmethodid: pg_sys::USER_LOCKMETHOD as u8,
    };
    let mode = pg_sys::ExclusiveLock as pg_sys::LOCKMODE;
    // SAFETY: a tag of a lock method that there is; it doesn't wait.
    let result = unsafe { pg_sys::LockAcquire(&raw const tag, mode, false, true) };
    if result == pg_sys::LockAcquireResult::LOCKACQUIRE_OK {
        Lock::Taken
    } else {
        Lock::Held
    }
}

fn under_way() -> Fault {
    Fault::new(
        "TN418",
        "the first request with this idempotency key is under way",
    )
    .hint("Send it again in a moment.")
}
