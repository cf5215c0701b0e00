//! Entering with an API key.
//!
//! A key is found by its digest, in one look-up. When it was last used is noted
//! about once a minute, where that can be done without waiting.

use std::cell::Cell;

use pgrx::{Spi, pg_sys};
use uuid::Uuid;

use super::named::Named;
use super::require_active;
use crate::backend;
use crate::committed::Question;
use crate::context::{Context, Epochs, Proof, Role};
use crate::fault::Fault;
use crate::function::text_datum;

/// What it begins with.
pub const PREFIX: &str = "pgt_";

/// The whole: `pgt_`, 12 characters, `_`, 43 characters.
const LENGTH: usize = 60;

thread_local! {
    static PLAN: Cell<pg_sys::SPIPlanPtr> = const { Cell::new(std::ptr::null_mut()) };
}

const LOOK_UP: Question = Question {
    sql: c"
        select k.tenant_id::text, k.id::text, k.role, t.status,
            case when u.last_used_at > pg_catalog.clock_timestamp() - interval '1 minute'
                then 'noted' else 'old' end
        from tenancy.api_keys as k
        join tenancy.tenants as t on t.id = k.tenant_id
        left join tenancy.api_key_uses as u on u.tenant_id = k.tenant_id and u.key_id = k.id
        where k.digest = tenancy_private.digest_of($1)
          and k.revoked_at is null
          and (k.expires_at is null or k.expires_at > pg_catalog.clock_timestamp())",
    types: &[pg_sys::TEXTOID],
    plan: &PLAN,
};

struct Found {
    tenant_id: Uuid,
    id: Uuid,
    role: Role,
    tenant_status: Option<String>,
    is_noted: bool,
}

/// TN004, TN018, TN026.
pub fn prove(key: &str, named: &Named) -> Result<Context, Fault> {
    if key.len() != LENGTH {
        return Err(no_good_key());
    }
    let found = LOOK_UP
        .ask(&[Some(text_datum(key))], |row| {
            let row = row?;
            Some(Found {
                tenant_id: row.text(1)?.parse().ok()?,
                id: row.text(2)?.parse().ok()?,
                role: Role::parse(&row.text(3)?)?,
                tenant_status: row.text(4),
                is_noted: row.text(5).as_deref() == Some("noted"),
            })
        })?
        .ok_or_else(no_good_key)?;
    require_active(found.tenant_status.as_deref())?;
    named.require(found.tenant_id)?;
    if !found.is_noted && can_write() {
        note_use(&found)?;
    }
    Ok(Context {
        tenant_id: found.tenant_id,
        user_id: None,
        role: Some(found.role),
        session_id: None,
        proof: Proof::ApiKey(found.id),
        is_read_only: found.role == Role::Viewer,
        epochs: Epochs::default(),
    })
}

/// The same for one that never was, and whatever is wrong with it.
pub fn no_good_key() -> Fault {
    Fault::new("TN018", "the API key is unknown, revoked or expired")
        .hint("Ask an owner or admin of the tenant for a new one.")
}

/// Whether this transaction may write, and a note would not make it fail later:
/// a SERIALIZABLE one could for what another has noted.
fn can_write() -> bool {
    // SAFETY: these read the state of this backend.
    unsafe {
        !pg_sys::XactReadOnly
            && !pg_sys::RecoveryInProgress()
            && !backend::is_in_parallel_mode()
            && pg_sys::XactIsoLevel != pg_sys::XACT_SERIALIZABLE as i32
    }
}

fn note_use(found: &Found) -> Result<(), Fault> {
    Spi::run_with_args(
        "select tenancy_private.note_use($1::text::uuid, $2::text::uuid)",
        &[
            found.tenant_id.to_string().into(),
            found.id.to_string().into(),
        ],
    )
    .map_err(|error| Fault::internal(format!("a use can't be noted: {error}")))
}
