//! Entering with a signed token (JWT).

use super::{look_up, not_a_member, require_active};
use crate::context::{Context, Proof, Role};
use crate::fault::Fault;
use crate::token::{self, Verified};

/// TN002, TN004, TN010 to TN014.
pub fn prove(token: &str) -> Result<Context, Fault> {
    let claimed = token::read(token)?;
    let found = look_up(Some(&claimed.kid), claimed.tenant_id, Some(claimed.user_id))?;
    let key = found.key.ok_or_else(token::unknown_key)?;
    let verified = token::verify(token, &key)?;
    if verified.purpose.is_some() {
        return Err(token::is_a_word());
    }

    let role = found.role.ok_or_else(not_a_member)?;
    require_active(found.tenant_status.as_deref())?;
    Ok(Context {
        tenant_id: verified.tenant_id,
        user_id: Some(verified.user_id),
        role: Some(role),
        session_id: verified.session_id,
        proof: Proof::Token,
        is_read_only: role == Role::Viewer,
    })
}

/// What a token says, or a word: key, signature and dates are good. TN010 to TN014.
pub fn verify(token: &str) -> Result<Verified, Fault> {
    let claimed = token::read(token)?;
    let found = look_up(Some(&claimed.kid), claimed.tenant_id, None)?;
    let key = found.key.ok_or_else(token::unknown_key)?;
    token::verify(token, &key)
}
