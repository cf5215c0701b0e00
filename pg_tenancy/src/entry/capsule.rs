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

use super::api_key::no_good_key;
use super::{become_sealed, not_a_member, require_active};
use crate::capsule::{self, Content};
use crate::committed::Question;
use crate::context::{self, Context, Epochs, Proof, Role, Sealed};
use crate::fault::Fault;
use crate::function::{Answer, argument, content, null, text_argument, text_datum, uuid_datum};
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
    epochs: Epochs,
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
            epochs: Epochs::of(row.text(4), row.text(5)),
        }
    })
}

const AGAIN: Question = Question {
    sql: c"
        select k.number::text, k.secret,
            encode(timestamptz_send(t.tokens_valid_from), 'hex'),
            encode(timestamptz_send(u.tokens_valid_from), 'hex'),
            t.status,
            case when greatest(t.tokens_valid_from, u.tokens_valid_from) > now() then 'since' end,
            (select 'living' from tenancy.sessions as s
             where s.tenant_id = t.id and s.id = $3 and s.ended_at is null and s.expires_at > clock_timestamp()),
            (select 'good' from tenancy.api_keys as a
             where a.tenant_id = t.id and a.id = $4 and a.revoked_at is null
               and (a.expires_at is null or a.expires_at > clock_timestamp()))
        from tenancy.tenants as t
        left join tenancy.users as u on u.id = $2
        left join tenancy.seal_keys as k on k.valid_until is null
        where t.id = $1
        order by k.number desc
        limit 1",
    types: &[
        pg_sys::UUIDOID,
        pg_sys::UUIDOID,
        pg_sys::UUIDOID,
        pg_sys::UUIDOID,
    ],
    plan: &SEAL_PLAN,
};

/// What is found when this context is looked at once more.
struct Again {
    key: Option<(u32, Vec<u8>)>,
    epochs: Epochs,
    tenant_status: Option<String>,
    is_revoked_since: bool,
    has_session: bool,
    has_api_key: bool,
}

/// Whether who entered could still enter, as it is committed now: a transaction can be
/// left open, and what it makes would outlast a logout. TN002, TN004, TN015, TN018.
fn look_again(context: &Context) -> Result<Again, Fault> {
    let arguments = [
        Some(uuid_datum(context.tenant_id)),
        context.user_id.map(uuid_datum),
        context.session_id.map(uuid_datum),
        context.proof.id().map(uuid_datum),
    ];
    let found = AGAIN.ask(&arguments, |row| {
        let row = row?;
        let number = row.text(1).and_then(|number| number.parse().ok());
        Some(Again {
            key: number.zip(row.bytes(2)),
            epochs: Epochs::of(row.text(3), row.text(4)),
            tenant_status: row.text(5),
            is_revoked_since: row.text(6).is_some(),
            has_session: row.text(7).is_some(),
            has_api_key: row.text(8).is_some(),
        })
    })?;
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
