//! Sealing this context, and entering with a capsule.
//!
//! A capsule says who; whether they may is looked at again when it is opened:
//! tenant, membership, role and API key as they are then, and that neither the
//! person nor the tenant has had all tokens revoked since it was sealed. The end of
//! the session that it was sealed in does not end it: a job outlives the browser.

use std::cell::Cell;
use std::time::{SystemTime, UNIX_EPOCH};

use pgrx::pg_sys;
use uuid::Uuid;

use super::{become_sealed, not_a_member, require_active};
use crate::capsule::{self, Content};
use crate::committed::Question;
use crate::context::{self, Context, Proof, Role, Sealed};
use crate::fault::Fault;
use crate::function::{Answer, argument, content, null, text_argument, text_datum, uuid_datum};
use crate::readers;

pub use crate::capsule::PREFIX;

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

fn enter_sealed(call: pg_sys::FunctionCallInfo) -> Answer {
    enter(text_argument(call, 0)?, Some(text_argument(call, 1)?))
}

fn current_purpose(call: pg_sys::FunctionCallInfo) -> Answer {
    readers::required()?;
    let purpose = context::sealed().and_then(|sealed| sealed.purpose);
    Ok(purpose.map_or_else(|| null(call), |purpose| text_datum(&purpose)))
}

/// Enters with it. TN002, TN003, TN004, TN015, TN018, TN019.
pub fn enter(capsule: &str, purpose: Option<&str>) -> Answer {
    let content = open(capsule).ok_or_else(not_good)?;
    if now() >= content.exp {
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
            let role = found.key_role.ok_or_else(|| {
                Fault::new("TN018", "the API key is unknown, revoked or expired")
                    .hint("Ask an admin of the tenant for another one.")
            })?;
            (Proof::ApiKey(id), Some(role))
        }
        _ => return Err(not_good()),
    };
    require_active(found.tenant_status.as_deref())?;
    if (&content.tenant_epoch, &content.user_epoch) != (&found.tenant_epoch, &found.user_epoch) {
        return Err(revoked("since it was sealed"));
    }
    let context = Context {
        tenant_id: content.tenant,
        user_id: content.user,
        role,
        session_id: None,
        proof,
        is_read_only: role == Some(Role::Viewer),
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
    let found = look_for_key(&context)?.ok_or_else(not_a_member)?;
    if !found.is_unrevoked {
        return Err(revoked("while this transaction ran"));
    }
    let iat = now();
    let exp = iat.saturating_add(lifetime);
    // What was sealed once is not prolonged by sealing it again.
    let limit = context::sealed().map_or(exp, |sealed| sealed.expires_at);
    let content = Content {
        tenant: context.tenant_id,
        user: context.user_id,
        proof: proof.to_owned(),
        proof_id,
        purpose,
        iat,
        exp: exp.min(limit),
        jti: Uuid::now_v7(),
        tenant_epoch: found.tenant_epoch,
        user_epoch: found.user_epoch,
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
    let key = KEY
        .ask(&[Some(pg_sys::Datum::from(number))], |row| row?.bytes(1))
        .ok()??;
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

thread_local! {
    static KEY_PLAN: Cell<pg_sys::SPIPlanPtr> = const { Cell::new(std::ptr::null_mut()) };
    static OPEN_PLAN: Cell<pg_sys::SPIPlanPtr> = const { Cell::new(std::ptr::null_mut()) };
    static SEAL_PLAN: Cell<pg_sys::SPIPlanPtr> = const { Cell::new(std::ptr::null_mut()) };
}

const KEY: Question = Question {
    sql: c"
        select k.secret from tenancy.seal_keys as k
        where k.number = $1 and (k.valid_until is null or k.valid_until > clock_timestamp())",
    types: &[pg_sys::INT4OID],
    plan: &KEY_PLAN,
};

const FOR_OPENING: Question = Question {
    sql:
        c"
        select t.status, m.role, k.role,
            encode(timestamptz_send(t.tokens_valid_from), 'hex'),
            encode(timestamptz_send(u.tokens_valid_from), 'hex')
        from (select 1) as one
        left join tenancy.tenants as t on t.id = $1
        left join tenancy.users as u on u.id = $2
        left join tenancy.memberships as m on m.tenant_id = t.id and m.user_id = u.id
        left join tenancy.api_keys as k on k.tenant_id = t.id and k.id = $3
            and k.revoked_at is null and (k.expires_at is null or k.expires_at > clock_timestamp())",
    types: &[pg_sys::UUIDOID, pg_sys::UUIDOID, pg_sys::UUIDOID],
    plan: &OPEN_PLAN,
};

#[derive(Default)]
struct Found {
    tenant_status: Option<String>,
    role: Option<Role>,
    key_role: Option<Role>,
    tenant_epoch: Option<String>,
    user_epoch: Option<String>,
}

fn look_up(content: &Content) -> Result<Found, Fault> {
    let arguments = [
        Some(uuid_datum(content.tenant)),
        content.user.map(uuid_datum),
        content.proof_id.map(uuid_datum),
    ];
    FOR_OPENING.ask(&arguments, |row| {
        let Some(row) = row else {
            return Found::default();
        };
        let role = |column| row.text(column).and_then(|name| Role::parse(&name));
        Found {
            tenant_status: row.text(1),
            role: role(2),
            key_role: role(3),
            tenant_epoch: row.text(4),
            user_epoch: row.text(5),
        }
    })
}

// Revoked meanwhile: committed since this transaction began, or with the session
// that it entered by.
const FOR_SEALING: Question = Question {
    sql: c"
        select k.number::text, k.secret,
            encode(timestamptz_send(t.tokens_valid_from), 'hex'),
            encode(timestamptz_send(u.tokens_valid_from), 'hex'),
            (coalesce(greatest(t.tokens_valid_from, u.tokens_valid_from) <= now(), true)
                and ($3 is null or exists (
                    select from tenancy.sessions as s
                    where s.tenant_id = t.id and s.id = $3 and s.ended_at is null)))::text
        from tenancy.tenants as t
        left join tenancy.users as u on u.id = $2
        left join tenancy.seal_keys as k on k.valid_until is null
        where t.id = $1
        order by k.number desc
        limit 1",
    types: &[pg_sys::UUIDOID, pg_sys::UUIDOID, pg_sys::UUIDOID],
    plan: &SEAL_PLAN,
};

struct ForSealing {
    key: Option<(u32, Vec<u8>)>,
    tenant_epoch: Option<String>,
    user_epoch: Option<String>,
    is_unrevoked: bool,
}

fn look_for_key(context: &Context) -> Result<Option<ForSealing>, Fault> {
    let arguments = [
        Some(uuid_datum(context.tenant_id)),
        context.user_id.map(uuid_datum),
        context.session_id.map(uuid_datum),
    ];
    FOR_SEALING.ask(&arguments, |row| {
        let row = row?;
        let number = row.text(1).and_then(|number| number.parse().ok());
        Some(ForSealing {
            key: number.zip(row.bytes(2)),
            tenant_epoch: row.text(3),
            user_epoch: row.text(4),
            is_unrevoked: row.text(5).as_deref() == Some("true"),
        })
    })
}
