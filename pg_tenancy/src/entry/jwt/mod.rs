//! Entering with a signed token (JWT): of our own services, or of an issuer.
//!
//! What a token says of itself finds its key; with the key it is verified; what it
//! then says is looked at as it is committed at this moment. A token of our own
//! takes one query. Which claims count in an issuer's token is known only after the
//! first one, so that takes a second. A token of our own that was good on this
//! connection is so again for as long as we hear of no change (`known`).

mod by_index;
mod known;
mod look_up;

use std::cell::RefCell;
use std::ops::Range;

use uuid::Uuid;

use self::look_up::{Found, Issuer, Standing, find_foreign, look_up};
use super::named::{self, Meant, Named};
use super::{not_a_member, require_active};
use crate::committed::by_key::Unsuited;
use crate::context::{Context, Epochs, Proof, Role};
use crate::fault::Fault;
use crate::settings;
use crate::token::{Claimed, Refusal, Rules, Seen, Verified};

/// Whose token it is, and where it leads: all of it looked up here.
pub struct Bearer {
    pub user_id: Uuid,
    /// `None` where the token names none, or none that is known.
    pub tenant_id: Option<Uuid>,
    /// Of a token of our own, which names one; it lives.
    pub session_id: Option<Uuid>,
    /// Of a service's word.
    pub purpose: Option<String>,
    /// The identity provider; `None` for a token of our own.
    pub issuer: Option<String>,
    pub email: Option<String>,
    /// By an identity provider that speaks for one tenant: not for the person beyond it.
    pub is_of_one_tenant: bool,
    names_tenant: bool,
    tenant_status: Option<String>,
    role: Option<Role>,
    epochs: Epochs,
    issued_at: u64,
    /// In seconds since 1970, by the token's dates.
    good: Range<u64>,
}

/// The same without SQL, and so without a privilege; `None` where that can't be done.
pub fn prove_by_index(token: &str, named: &Named) -> Result<Option<Context>, Fault> {
    let digest = known::digest(token);
    if let Some(context) = known::find(&digest, named) {
        return Ok(Some(context));
    }
    let claimed = Claimed::read(token)?;
    // Before anything is looked at: what ends meanwhile is heard of after this.
    let heard = known::heard(claimed.tenant_id(), claimed.user_id(), claimed.session_id());
    let Ok(found) = by_index::look_up(&claimed, named) else {
        return Ok(None);
    };
    let is_told = found.is_told;
    let session_expires_at = found.session_expires_at;
    let slug = found.standing.slug.clone();
    let bearer = judge(claimed, found)?;
    require_no_word(&bearer)?;
    let context = lead(&bearer)?;
    if is_told {
        let good = bearer.good.clone();
        known::keep(digest, context, slug, good, session_expires_at, heard);
    }
    Ok(Some(context))
}

/// TN002, TN004, TN010 to TN015, TN021, TN026.
pub fn prove(token: &str, named: &Named) -> Result<Context, Fault> {
    // By SQL at once: what can be looked up by index was, before it came to this.
    let claimed = Claimed::read(token)?;
    let found = look_up(&claimed)?;
    let bearer = judge(claimed, found)?;
    require_no_word(&bearer)?;
    if let Some(tenant_id) = selected(&bearer, named)? {
        return prove_member(&bearer, tenant_id);
    }
    let context = lead(&bearer)?;
    named.require(context.tenant_id)?;
    Ok(context)
}

fn require_no_word(bearer: &Bearer) -> Result<(), Fault> {
    if bearer.purpose.is_none() {
        return Ok(());
    }
    Err(
        Fault::new("TN010", "the token is a service's word, and opens nothing")
            .hint("Log in for a token."),
    )
}

/// Into the tenant that the token names.
fn lead(bearer: &Bearer) -> Result<Context, Fault> {
    if !bearer.names_tenant {
        return Err(Refusal::NO_TENANT.into());
    }
    let tenant_id = bearer.tenant_id.ok_or_else(not_a_member)?;
    let role = bearer.role.ok_or_else(not_a_member)?;
    require_active(bearer.tenant_status.as_deref())?;
    Ok(bearer.context(tenant_id, role, bearer.epochs))
}

/// The tenant that was named in place of the token's own, where that is let. Not by the
/// token of an issuer that speaks for one tenant. TN026 where there is none of that name.
fn selected(bearer: &Bearer, named: &Named) -> Result<Option<Uuid>, Fault> {
    if matches!(named, Named::Any) || !settings::is_tenant_selected() || bearer.is_of_one_tenant {
        return Ok(None);
    }
    match named.id()? {
        Meant::One(id) if bearer.tenant_id != Some(id) => Ok(Some(id)),
        Meant::None => Err(named::another_tenant()),
        _ => Ok(None),
    }
}

/// Into a tenant that is not the token's own, as what the person is there. The session
/// lives, and the token's own tenant lets nobody in: it may be suspended.
/// TN004, TN015, TN026.
fn prove_member(bearer: &Bearer, tenant_id: Uuid) -> Result<Context, Fault> {
    let member = named::find_member(
        tenant_id,
        bearer.user_id,
        bearer.tenant_id.zip(bearer.session_id),
        look_up::moment(bearer.issued_at),
    )?
    .ok_or_else(named::another_tenant)?;
    let role = member.role.ok_or_else(named::another_tenant)?;
    require_active(member.tenant_status.as_deref())?;
    if member.is_revoked {
        return Err(session_ended());
    }
    Ok(bearer.context(tenant_id, role, member.epochs))
}

impl Bearer {
    fn context(&self, tenant_id: Uuid, role: Role, epochs: Epochs) -> Context {
        Context {
            tenant_id,
            user_id: Some(self.user_id),
            role: Some(role),
            session_id: self.session_id,
            proof: Proof::Token,
            is_read_only: role == Role::Viewer,
            epochs,
        }
    }
}

/// What a token, or a word, says: key, signature, issuer, dates and session are good.
/// TN010 to TN015, TN021.
pub fn verify(token: &str) -> Result<Bearer, Fault> {
    let claimed = Claimed::read(token)?;
    let found = match by_index::look_up(&claimed, &Named::Any) {
        Ok(found) => found,
        Err(Unsuited) => look_up(&claimed)?,
    };
    judge(claimed, found)
}

fn judge(claimed: Claimed<'_>, found: Found) -> Result<Bearer, Fault> {
    let key = found.key.ok_or(Refusal::SIGNATURE)?;
    let rules = Rules {
        issuer: found.required_issuer.as_deref(),
        audience: found.audience.as_deref(),
    };
    let now = jsonwebtoken::get_current_timestamp();
    let verified = SEEN.with_borrow_mut(|seen| claimed.verify(&key, &rules, now, seen))?;
    match found.issuer {
        None => ours(&verified, found.standing, found.has_session),
        Some(issuer) => foreign(&verified, issuer),
    }
}

thread_local! {
    /// The signatures that this connection has verified.
    static SEEN: RefCell<Seen> = RefCell::default();
}

/// A token of one of our own services.
fn ours(verified: &Verified<'_>, standing: Standing, has_session: bool) -> Result<Bearer, Fault> {
    let tenant_id = verified.id("tenantId")?;
    let purpose = verified.purpose()?.map(str::to_owned);
    let session_id = verified.id("sid")?;
    let is_over = match (&purpose, session_id) {
        // A word is fresh, and of no session.
        (Some(_), _) => false,
        (None, Some(_)) => !has_session,
        (None, None) => standing.is_revoked,
    };
    if is_over {
        return Err(session_ended());
    }
    Ok(Bearer {
        user_id: verified.user_id()?,
        tenant_id,
        session_id: session_id.filter(|_| purpose.is_none()),
        purpose,
        issuer: None,
        email: verified.email().map(str::to_owned),
        is_of_one_tenant: false,
        names_tenant: tenant_id.is_some(),
        tenant_status: standing.tenant_status,
        role: standing.role,
        epochs: standing.epochs,
        issued_at: verified.issued_at(),
        good: verified.good(),
    })
}

/// A token of an identity provider: its subject, its tenant and its session are names
/// of its own.
fn foreign(verified: &Verified<'_>, issuer: Issuer) -> Result<Bearer, Fault> {
    let purpose = verified.purpose()?.map(str::to_owned);
    let named = verified.at(&issuer.tenant_claim)?;
    let (tenant_by, tenant) = match (&named, issuer.only_tenant) {
        (None, Some(only)) => ("id".to_owned(), Some(only.to_string())),
        (named, _) => (issuer.tenant_by, named.clone()),
    };
    let (user_id, found_id, standing) = find_foreign(
        verified,
        &issuer.name,
        &issuer.subject_by,
        &tenant_by,
        tenant.as_deref(),
    )?;
    let user_id = user_id.ok_or_else(nobody)?;
    if standing.is_revoked {
        return Err(session_ended());
    }
    let is_allowed = issuer.only_tenant.is_none() || issuer.only_tenant == found_id;
    Ok(Bearer {
        user_id,
        tenant_id: found_id.filter(|_| is_allowed),
        session_id: None,
        purpose,
        issuer: Some(issuer.name),
        email: verified.email().map(str::to_owned),
        is_of_one_tenant: issuer.only_tenant.is_some(),
        names_tenant: tenant.is_some(),
        tenant_status: standing.tenant_status,
        role: standing.role,
        epochs: standing.epochs,
        issued_at: verified.issued_at(),
        good: verified.good(),
    })
}

fn session_ended() -> Fault {
    Fault::new("TN015", "the session has ended").hint("Log in again.")
}

fn nobody() -> Fault {
    Fault::new("TN021", "nobody here is that subject of that issuer")
        .hint("Ask the operator of this service to link that account to a person.")
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        Self::new(refusal.code, refusal.message).hint("Log in again for a new one.")
    }
}
