//! Entering with a signed token (JWT): of our own services, or of an issuer.
//!
//! What a token says of itself finds its key; with the key it is verified; what it
//! then says is looked at as it is committed at this moment. A token of our own
//! takes one query. Which claims count in an issuer's token is known only after the
//! first one, so that takes a second.

use std::cell::{Cell, RefCell};

use pgrx::pg_sys;
use uuid::Uuid;

use super::{not_a_member, require_active};
use crate::committed::{Question, Row};
use crate::context::{Context, Proof, Role};
use crate::fault::Fault;
use crate::function::{text_datum, uuid_datum};
use crate::token::{Algorithm, Claimed, Key, Refusal, Rules, Seen, Verified};

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
}

/// TN002, TN004, TN010 to TN015, TN021.
pub fn prove(token: &str) -> Result<Context, Fault> {
    let bearer = verify(token)?;
    if bearer.purpose.is_some() {
        return Err(
            Fault::new("TN010", "the token is a service's word, and opens nothing")
                .hint("Log in for a token."),
        );
    }
    if !bearer.names_tenant {
        return Err(Refusal::NO_TENANT.into());
    }
    let tenant_id = bearer.tenant_id.ok_or_else(not_a_member)?;
    let role = bearer.role.ok_or_else(not_a_member)?;
    require_active(bearer.tenant_status.as_deref())?;
    Ok(Context {
        tenant_id,
        user_id: Some(bearer.user_id),
        role: Some(role),
        session_id: bearer.session_id,
        proof: Proof::Token,
        is_read_only: role == Role::Viewer,
    })
}

/// What a token, or a word, says: key, signature, issuer, dates and session are good.
/// TN010 to TN015, TN021.
pub fn verify(token: &str) -> Result<Bearer, Fault> {
    let claimed = Claimed::read(token)?;
    let found = look_up(&claimed)?;
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
    })
}

fn session_ended() -> Fault {
    Fault::new("TN015", "the session has ended").hint("Log in again.")
}

fn nobody() -> Fault {
    Fault::new("TN021", "nobody here is that subject of that issuer").hint(
        "An operator links the two with tenancy.link_identity(), or believes the issuer's verified emails.",
    )
}

/// How the person stands in the tenant, and whether tokens of that age are good.
#[derive(Default)]
struct Standing {
    tenant_status: Option<String>,
    role: Option<Role>,
    is_revoked: bool,
}

impl Standing {
    fn read(row: Row, first: i32) -> Self {
        Self {
            tenant_status: row.text(first),
            role: row.text(first + 1).and_then(|name| Role::parse(&name)),
            is_revoked: row.text(first + 2).is_some(),
        }
    }
}

/// An identity provider that the token's `iss` names.
struct Issuer {
    name: String,
    tenant_claim: Vec<String>,
    tenant_by: String,
    subject_by: String,
    only_tenant: Option<Uuid>,
}

/// What the database knows about a token's key, and about what it would say if it were
/// one of ours.
#[derive(Default)]
struct Found {
    key: Option<Key>,
    required_issuer: Option<String>,
    audience: Option<String>,
    issuer: Option<Issuer>,
    standing: Standing,
    has_session: bool,
}

thread_local! {
    static LOOK_UP_PLAN: Cell<pg_sys::SPIPlanPtr> = const { Cell::new(std::ptr::null_mut()) };
    static FOREIGN_PLAN: Cell<pg_sys::SPIPlanPtr> = const { Cell::new(std::ptr::null_mut()) };
}

/// A token whose `iss` is an issuer's has that issuer's keys, and none else.
const LOOK_UP: Question = Question {
    sql: c"
        select coalesce(k.algorithm, f.algorithm), coalesce(k.material, f.material),
            k.issuer, coalesce(k.audience, i.audience),
            i.issuer, pg_catalog.array_to_json(i.tenant_claim)::text, i.tenant_by, i.subject_by, i.only_tenant::text,
            t.status, m.role,
            case when pg_catalog.to_timestamp($6) < greatest(u.tokens_valid_from, t.tokens_valid_from) then 'revoked' end,
            case when s.id is not null then 'living' end
        from (select 1) as one
        left join tenancy.issuers as i on i.issuer = $5
        left join tenancy.issuer_keys as f on f.issuer = i.issuer and f.kid = $1
        left join tenancy.signing_keys as k on k.kid = $1 and k.status in ('next', 'active') and i.issuer is null
        left join tenancy.tenants as t on t.id = $2
        left join tenancy.users as u on u.id = $3
        left join tenancy.memberships as m on m.tenant_id = t.id and m.user_id = u.id
        left join tenancy.sessions as s on s.tenant_id = $2 and s.id = $4 and s.user_id = $3
            and s.ended_at is null and s.expires_at > pg_catalog.clock_timestamp()",
    types: &[
        pg_sys::TEXTOID,
        pg_sys::UUIDOID,
        pg_sys::UUIDOID,
        pg_sys::UUIDOID,
        pg_sys::TEXTOID,
        pg_sys::INT8OID,
    ],
    plan: &LOOK_UP_PLAN,
};

fn look_up(claimed: &Claimed<'_>) -> Result<Found, Fault> {
    let arguments = [
        Some(text_datum(claimed.kid())),
        claimed.tenant_id().map(uuid_datum),
        claimed.user_id().map(uuid_datum),
        claimed.session_id().map(uuid_datum),
        claimed.issuer().map(text_datum),
        Some(pg_sys::Datum::from(moment(claimed.issued_at()))),
    ];
    LOOK_UP.ask(&arguments, |row| {
        let Some(row) = row else {
            return Found::default();
        };
        let algorithm = row.text(1).and_then(|name| Algorithm::parse(&name));
        let issuer = row.text(5).map(|name| Issuer {
            name,
            tenant_claim: row
                .text(6)
                .and_then(|path| serde_json::from_str(&path).ok())
                .unwrap_or_default(),
            tenant_by: row.text(7).unwrap_or_default(),
            subject_by: row.text(8).unwrap_or_default(),
            only_tenant: row.text(9).and_then(|id| Uuid::try_parse(&id).ok()),
        });
        Found {
            key: algorithm
                .zip(row.bytes(2))
                .map(|(algorithm, material)| Key::new(algorithm, material)),
            required_issuer: row.text(3),
            audience: row.text(4),
            issuer,
            standing: Standing::read(row, 10),
            has_session: row.text(13).is_some(),
        }
    })
}

/// A link counts before an address, in whichever way subjects are mapped, but for
/// `id`, where the subject itself says who it is.
const FOREIGN: Question = Question {
    sql: c"
        select u.id::text, t.id::text,
            t.status, m.role,
            case when pg_catalog.to_timestamp($8) < greatest(u.tokens_valid_from, t.tokens_valid_from) then 'revoked' end
        from (select
            case when $2 = 'id' then $5 else coalesce(
                (select l.user_id from tenancy.user_identities as l where l.issuer = $1 and l.subject = $3),
                (select v.id from tenancy.users as v
                 where $2 = 'verified_email' and pg_catalog.lower(v.email) = pg_catalog.lower($4)
                   and v.email_verified_at is not null)
            ) end as user_id,
            case $6
                when 'id' then $9
                when 'slug' then (select x.id from tenancy.tenants as x where x.slug = $7)
                when 'external' then (
                    select e.tenant_id from tenancy.issuer_tenants as e where e.issuer = $1 and e.external_id = $7)
            end as tenant_id
        ) as named
        left join tenancy.users as u on u.id = named.user_id
        left join tenancy.tenants as t on t.id = named.tenant_id
        left join tenancy.memberships as m on m.tenant_id = t.id and m.user_id = u.id",
    types: &[
        pg_sys::TEXTOID,
        pg_sys::TEXTOID,
        pg_sys::TEXTOID,
        pg_sys::TEXTOID,
        pg_sys::UUIDOID,
        pg_sys::TEXTOID,
        pg_sys::TEXTOID,
        pg_sys::INT8OID,
        pg_sys::UUIDOID,
    ],
    plan: &FOREIGN_PLAN,
};

fn find_foreign(
    verified: &Verified<'_>,
    issuer: &str,
    subject_by: &str,
    tenant_by: &str,
    tenant: Option<&str>,
) -> Result<(Option<Uuid>, Option<Uuid>, Standing), Fault> {
    let id = |text: &str| Uuid::try_parse(text).ok().map(uuid_datum);
    let arguments = [
        Some(text_datum(issuer)),
        Some(text_datum(subject_by)),
        Some(text_datum(verified.subject())),
        verified.verified_email().map(text_datum),
        id(verified.subject()),
        Some(text_datum(tenant_by)),
        tenant.map(text_datum),
        Some(pg_sys::Datum::from(moment(verified.issued_at()))),
        tenant.and_then(id),
    ];
    FOREIGN.ask(&arguments, |row| {
        let Some(row) = row else {
            return (None, None, Standing::default());
        };
        let id = |column| row.text(column).and_then(|id| Uuid::try_parse(&id).ok());
        (id(1), id(2), Standing::read(row, 3))
    })
}

/// Seconds since 1970, as PostgreSQL can take them for a time: not beyond the year 9999.
fn moment(seconds: u64) -> i64 {
    i64::try_from(seconds.min(253_402_300_799)).unwrap_or_default()
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        Self::new(refusal.code, refusal.message).hint("Log in again for a new one.")
    }
}
