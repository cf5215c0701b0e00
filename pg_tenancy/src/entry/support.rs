//! Entering for support, with what impersonate() gave.
//!
//! Every transaction that does so is in the audit log, committed, before it gets
//! anything: it stays when the transaction rolls back or its backend dies.

use std::cell::Cell;

use pgrx::pg_sys;
use uuid::Uuid;

use super::named::Named;
use super::require_active;
use crate::backend;
use crate::committed::Question;
use crate::context::{self, Context, Epochs, Proof, Role};
use crate::fault::Fault;
use crate::function::{text_datum, uuid_datum};

/// What it begins with.
pub const PREFIX: &str = "pgs_";
/// With the prefix.
const LENGTH: usize = 47;

/// TN004, TN020, TN026; 53400 and 58000 where the audit log can't be written.
pub fn prove(proof: &str, named: &Named) -> Result<Context, Fault> {
    if proof.len() != LENGTH {
        return Err(not_good());
    }
    let access = look_up(proof)?.ok_or_else(not_good)?;
    require_active(Some(&access.tenant_status))?;
    // Before the audit: nothing was entered.
    named.require(access.tenant_id)?;
    // The first one stays, so that a second is no new look, or refused.
    if context::current().is_none() {
        let arguments = [
            Some(uuid_datum(access.id)),
            Some(uuid_datum(access.tenant_id)),
        ];
        AUDIT.ask(&arguments, |_| ())?;
    }
    Ok(Context {
        tenant_id: access.tenant_id,
        user_id: None,
        role: Some(if access.is_read_only {
            Role::Viewer
        } else {
            Role::Admin
        }),
        session_id: None,
        proof: Proof::Support(access.id),
        is_read_only: access.is_read_only,
        epochs: Epochs::default(),
    })
}

fn not_good() -> Fault {
    Fault::new("TN020", "the support access is unknown, ended or expired")
        .hint("An operator can make another one; it is good from the commit of that on.")
}

struct Access {
    tenant_id: Uuid,
    id: Uuid,
    is_read_only: bool,
    tenant_status: String,
}

thread_local! {
    static FIND_PLAN: Cell<pg_sys::SPIPlanPtr> = const { Cell::new(std::ptr::null_mut()) };
    static AUDIT_PLAN: Cell<pg_sys::SPIPlanPtr> = const { Cell::new(std::ptr::null_mut()) };
}

const FIND: Question = Question {
    sql: c"
        select a.tenant_id::text, a.id::text, a.read_only::text, t.status, a.xmin::text
        from tenancy.support_access as a
        join tenancy.tenants as t on t.id = a.tenant_id
        where a.digest = tenancy_private.digest_of($1)
          and a.ended_at is null and a.expires_at > clock_timestamp()",
    types: &[pg_sys::TEXTOID],
    plan: &FIND_PLAN,
};

const AUDIT: Question = Question {
    sql: c"select tenancy_private.audit_support($1, $2)",
    types: &[pg_sys::UUIDOID, pg_sys::UUIDOID],
    plan: &AUDIT_PLAN,
};

fn look_up(proof: &str) -> Result<Option<Access>, Fault> {
    let found = FIND.ask(&[Some(text_datum(proof))], |row| {
        let row = row?;
        let access = Access {
            tenant_id: row.text(1)?.parse().ok()?,
            id: row.text(2)?.parse().ok()?,
            is_read_only: row.text(3)? == "true",
            tenant_status: row.text(4)?,
        };
        let made_by: u32 = row.text(5)?.parse().ok()?;
        Some((access, made_by))
    })?;
    Ok(found
        .filter(|&(_, made_by)| is_committed(made_by))
        .map(|(access, _)| access))
}

/// Not just made by this very transaction: who could use it and roll back would
/// leave nothing for the tenant's owners to see. (A superuser's session may.)
fn is_committed(made_by: u32) -> bool {
    // SAFETY: reads the state of this backend.
    unsafe {
        backend::is_superusers()
            || !pg_sys::TransactionIdIsCurrentTransactionId(pg_sys::TransactionId::from(made_by))
    }
}
