//! Sealing this context, and entering with a capsule.
//!
//! A capsule says who; whether they may is looked at again when it is opened:
//! tenant, membership, role and API key as they are then, and that neither the
//! person nor the tenant has had all tokens revoked since it was sealed. The end of
//! the session that it was sealed in does not end it: a job outlives the browser.

mod look_up;

use std::time::{SystemTime, UNIX_EPOCH};

use pgrx::pg_sys;
use uuid::Uuid;

use self::look_up::{Again, find_key, look_up, look_up_again};
use super::api_key::no_good_key;
use super::named::Named;
use super::{become_sealed, not_a_member, require_active};
use crate::capsule::{self, Content};
use crate::context::{self, Context, Proof, Role, Sealed};
use crate::fault::Fault;
use crate::function::{Answer, argument, content, null, text_argument, text_datum};
use crate::readers;

pub use crate::capsule::PREFIX;

/// Microseconds of a day: none is made that lives longer.
const LONGEST: i64 = 86_400_000_000;

sql_function!(tenancy_seal, pg_finfo_tenancy_seal, seal);
sql_function!(
    tenancy_enter_sealed,
    pg_finfo_tenancy_enter_sealed,
    enter_sealed
);
sql_function!(
    tenancy_current_purpose,
    pg_finfo_tenancy_current_purpose,
    current_purpose
);

sql_function!(
    tenancy_require_good_context,
    pg_finfo_tenancy_require_good_context,
    require_good_context
);

/// For what lasts longer than this transaction.
fn require_good_context(call: pg_sys::FunctionCallInfo) -> Answer {
    let context = context::current().ok_or_else(readers::no_tenant)?;
    look_again(&context)?;
    Ok(null(call))
}

fn enter_sealed(call: pg_sys::FunctionCallInfo) -> Answer {
    enter(
        text_argument(call, 0)?,
        Some(text_argument(call, 1)?),
        &Named::Any,
    )
}

fn current_purpose(call: pg_sys::FunctionCallInfo) -> Answer {
    readers::required()?;
    let purpose = context::sealed().and_then(|sealed| sealed.purpose);
    Ok(purpose.map_or_else(|| null(call), |purpose| text_datum(&purpose)))
}

/// Enters with it. TN002, TN003, TN004, TN015, TN018, TN019, TN026.
pub fn enter(capsule: &str, purpose: Option<&str>, named: &Named) -> Answer {
    let content = open(capsule).ok_or_else(not_good)?;
    if now() >= content.exp || content.exp - content.iat > LONGEST {
        return Err(Fault::new("TN019", "the capsule has expired")
            .hint("Seal a new one, or seal with a longer lifetime."));
    }
    if purpose.is_some() && purpose != content.purpose.as_deref() {
        return Err(
            Fault::new("TN019", "the capsule was sealed for another purpose")
                .hint("It may be in the wrong queue."),
        );
    }
    let found = look_up(&content)?;
    let (proof, role) = match (content.proof.as_str(), content.user, content.proof_id) {
        ("token", Some(_), None) => (Proof::Token, Some(found.role.ok_or_else(not_a_member)?)),
        ("word", Some(_), None) => (Proof::Word, Some(found.role.ok_or_else(not_a_member)?)),
        ("word", None, None) => (Proof::Word, None),
        ("api_key", None, Some(id)) => {
            let role = found.key_role.ok_or_else(no_good_key)?;
            (Proof::ApiKey(id), Some(role))
        }
        _ => return Err(not_good()),
    };
    require_active(found.tenant_status.as_deref())?;
    if content.epochs != found.epochs {
        return Err(revoked("since it was sealed"));
    }
    named.require(content.tenant)?;
    let context = Context {
        tenant_id: content.tenant,
        user_id: content.user,
        role,
        session_id: None,
        proof,
        is_read_only: role == Some(Role::Viewer),
        epochs: found.epochs,
    };
    let sealed = Sealed {
        expires_at: content.exp,
        purpose: content.purpose,
    };
    become_sealed(context, Some(&sealed))
}

/// Seals this context for so many microseconds. `tenancy.seal()` has looked at both arguments.
fn seal(call: pg_sys::FunctionCallInfo) -> Answer {
    let lifetime = argument(call, 0).map_or(0, |datum| datum.value() as i64);
    // SAFETY: `sql/` declares it as a text.
    let purpose = argument(call, 1)
        .map(|datum| String::from_utf8_lossy(unsafe { content(datum) }).into_owned());
    let context = context::current().ok_or_else(readers::no_tenant)?;
    let (proof, proof_id) = match context.proof {
        Proof::Word => ("word", None),
        Proof::Token => ("token", None),
        Proof::ApiKey(id) => ("api_key", Some(id)),
        Proof::Support(_) => {
            return Err(Fault::new("TN207", "support access can't be sealed")
                .hint("It lasts as long as it was asked for, and no longer."));
        }
    };
    let sealed = context::sealed();
    let kept = sealed.as_ref().and_then(|sealed| sealed.purpose.clone());
    if kept.is_some() && purpose.is_some() && kept != purpose {
        return Err(Fault::new(
            "TN851",
            "the purpose of a capsule stays when it is sealed again",
        )
        .hint("Leave the purpose out, or give the same."));
    }
    let found = look_again(&context)?;
    let iat = now();
    let exp = iat.saturating_add(lifetime);
    // What was sealed once is not prolonged by sealing it again.
    let limit = sealed.map_or(exp, |sealed| sealed.expires_at);
    let content = Content {
        tenant: context.tenant_id,
        user: context.user_id,
        proof: proof.to_owned(),
        proof_id,
        purpose: kept.or(purpose),
        iat,
        exp: exp.min(limit),
        jti: Uuid::now_v7(),
        epochs: found.epochs,
    };
    let (number, key) = found
        .key
        .ok_or_else(|| Fault::internal("no key to seal with"))?;
    let capsule = capsule::seal(&content, number, &key)
        .ok_or_else(|| Fault::internal("a key that seals nothing"))?;
    Ok(text_datum(&capsule))
}

fn open(capsule: &str) -> Option<Content> {
    let closed = capsule::read(capsule)?;
    let number = i32::try_from(closed.key).ok()?;
    let key = find_key(number).ok()??;
    closed.open(&key)
}

/// Microseconds since 1970, by the server's clock, which also wrote what is compared.
fn now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_micros()).ok())
        .unwrap_or(i64::MAX)
}

/// The same whatever is wrong with it: who tries learns nothing.
fn not_good() -> Fault {
    Fault::new("TN019", "the capsule is not good")
        .hint("Seal a new one. The key that it was sealed with may have been replaced.")
}

fn revoked(since: &str) -> Fault {
    Fault::new(
        "TN015",
        format!("the person's or the tenant's tokens were revoked {since}"),
    )
    .hint("Log in again, and seal a new one.")
}

/// Whether who entered could still enter, as it is committed now: a transaction can be
/// left open, and what it makes would outlast a logout. TN002, TN004, TN015, TN018.
fn look_again(context: &Context) -> Result<Again, Fault> {
    let found = look_up_again(context)?;
    let found = found.ok_or_else(not_a_member)?;
    require_active(found.tenant_status.as_deref())?;
    let is_good = match (context.proof, context.session_id) {
        (Proof::ApiKey(_), _) => {
            return found.has_api_key.then_some(found).ok_or_else(no_good_key);
        }
        (_, Some(_)) => found.has_session,
        // Not by the clock: a revocation is dated when it begins, and holds when it is committed.
        (Proof::Token, None) => found.epochs == context.epochs,
        (Proof::Word | Proof::Support(_), None) => !found.is_revoked_since,
    };
    is_good
        .then_some(found)
        .ok_or_else(|| revoked("while this transaction ran"))
}
