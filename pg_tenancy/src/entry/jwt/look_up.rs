//! What the database knows about a token's key, and about whom it names.

use std::cell::Cell;
use std::ffi::CStr;

use pgrx::pg_sys;
use uuid::Uuid;

use crate::committed::{Plan, Question, Row};
use crate::context::{Epochs, Role};
use crate::fault::Fault;
use crate::function::{text_datum, uuid_datum};
use crate::token::{Algorithm, Claimed, Key, Verified};

/// How the person stands in the tenant, and whether tokens of that age are good.
#[derive(Default)]
pub struct Standing {
    pub tenant_status: Option<String>,
    /// Not by SQL.
    pub slug: Option<String>,
    pub role: Option<Role>,
    /// Looked up for tokens without a session.
    pub is_revoked: bool,
    pub epochs: Epochs,
}

impl Standing {
    fn read(row: Row, first: i32) -> Self {
        Self {
            tenant_status: row.text(first),
            slug: None,
            role: row.text(first + 1).and_then(|name| Role::parse(&name)),
            is_revoked: row.text(first + 2).is_some(),
            epochs: Epochs::of(row.text(first + 3), row.text(first + 4)),
        }
    }
}

/// An identity provider that the token's `iss` names.
pub struct Issuer {
    pub name: String,
    pub tenant_claim: Vec<String>,
    pub tenant_by: String,
    pub subject_by: String,
    pub only_tenant: Option<Uuid>,
}

/// What is known about a token's key, and about what it would say if it were one of
/// ours.
#[derive(Default)]
pub struct Found {
    pub key: Option<Key>,
    pub required_issuer: Option<String>,
    pub audience: Option<String>,
    pub issuer: Option<Issuer>,
    pub standing: Standing,
    pub has_session: bool,
    /// Of a session that lives; microseconds since 2000.
    pub session_expires_at: Option<i64>,
    /// Whether we will hear of what ends it: see `committed::told`. Never by SQL.
    pub is_told: bool,
}

/// One question in four forms: each table more costs three microseconds, so a token
/// is asked about what it names. One whose `iss` is an issuer's has that issuer's keys,
/// and none else.
macro_rules! question {
    ($plan:ident, $issuer:ident, $person:ident) => {{
        thread_local! {
            static $plan: Cell<pg_sys::SPIPlanPtr> = const { Cell::new(std::ptr::null_mut()) };
        }
        question(
            concat!(
                "select ", question!(@columns $issuer), ", t.status, m.role, ", question!(@columns $person),
                " from (select 1) as one", question!(@tables $issuer),
                " left join tenancy.tenants as t on t.id = $2
                  left join tenancy.memberships as m on m.tenant_id = t.id and m.user_id = $3",
                question!(@tables $person), "\0"
            ),
            &$plan,
        )
    }};
    (@columns ours) => {
        "k.algorithm, k.material, k.issuer, k.audience, null::text, null::text, null::text, null::text, null::text"
    };
    (@tables ours) => {
        " left join tenancy.signing_keys as k on k.kid = $1 and k.status in ('next', 'active')"
    };
    (@columns issued) => {
        "coalesce(k.algorithm, f.algorithm), coalesce(k.material, f.material),
         k.issuer, coalesce(k.audience, i.audience), i.issuer,
         pg_catalog.array_to_json(i.tenant_claim)::text, i.tenant_by, i.subject_by, i.only_tenant::text"
    };
    (@tables issued) => {
        " left join tenancy.issuers as i on i.issuer = $5
          left join tenancy.issuer_keys as f on f.issuer = i.issuer and f.kid = $1
          left join tenancy.signing_keys as k on k.kid = $1 and k.status in ('next', 'active') and i.issuer is null"
    };
    (@columns by_epoch) => {
        "case when pg_catalog.to_timestamp($6) < greatest(u.tokens_valid_from, t.tokens_valid_from) then 'revoked' end,
         pg_catalog.encode(pg_catalog.timestamptz_send(t.tokens_valid_from), 'hex'),
         pg_catalog.encode(pg_catalog.timestamptz_send(u.tokens_valid_from), 'hex'), null::text"
    };
    (@tables by_epoch) => {
        " left join tenancy.users as u on u.id = $3"
    };
    (@columns by_session) => {
        "null::text, null::text, null::text, case when s.id is not null then 'living' end"
    };
    (@tables by_session) => {
        " left join tenancy.sessions as s on s.tenant_id = $2 and s.id = $4 and s.user_id = $3
              and s.ended_at is null and s.expires_at > pg_catalog.clock_timestamp()"
    };
}

const fn question(sql: &'static str, plan: &'static Plan) -> Question {
    let Ok(sql) = CStr::from_bytes_with_nul(sql.as_bytes()) else {
        panic!("a question ends in NUL")
    };
    Question {
        sql,
        types: &[
            pg_sys::TEXTOID,
            pg_sys::UUIDOID,
            pg_sys::UUIDOID,
            pg_sys::UUIDOID,
            pg_sys::TEXTOID,
            pg_sys::INT8OID,
        ],
        plan,
    }
}

const OURS: Question = question!(OURS_PLAN, ours, by_epoch);
const OURS_IN_SESSION: Question = question!(OURS_IN_SESSION_PLAN, ours, by_session);
const ISSUED: Question = question!(ISSUED_PLAN, issued, by_epoch);
const ISSUED_IN_SESSION: Question = question!(ISSUED_IN_SESSION_PLAN, issued, by_session);

pub fn look_up(claimed: &Claimed<'_>) -> Result<Found, Fault> {
    let question = match (claimed.issuer(), claimed.session_id()) {
        (None, None) => &OURS,
        (None, Some(_)) => &OURS_IN_SESSION,
        (Some(_), None) => &ISSUED,
        (Some(_), Some(_)) => &ISSUED_IN_SESSION,
    };
    let arguments = [
        Some(text_datum(claimed.kid())),
        claimed.tenant_id().map(uuid_datum),
        claimed.user_id().map(uuid_datum),
        claimed.session_id().map(uuid_datum),
        claimed.issuer().map(text_datum),
        Some(pg_sys::Datum::from(moment(claimed.issued_at()))),
    ];
    question.ask(&arguments, |row| {
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
            has_session: row.text(15).is_some(),
            ..Found::default()
        }
    })
}

thread_local! {
    static FOREIGN_PLAN: Cell<pg_sys::SPIPlanPtr> = const { Cell::new(std::ptr::null_mut()) };
}

/// A link counts before an address, in whichever way subjects are mapped, but for
/// `id`, where the subject itself says who it is.
const FOREIGN: Question = Question {
    sql: c"
        select u.id::text, t.id::text,
            t.status, m.role,
            case when pg_catalog.to_timestamp($8) < greatest(u.tokens_valid_from, t.tokens_valid_from) then 'revoked' end,
            pg_catalog.encode(pg_catalog.timestamptz_send(t.tokens_valid_from), 'hex'),
            pg_catalog.encode(pg_catalog.timestamptz_send(u.tokens_valid_from), 'hex')
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

/// The person and the tenant here that an issuer's token is about.
pub fn find_foreign(
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
pub fn moment(seconds: u64) -> i64 {
    i64::try_from(seconds.min(253_402_300_799)).unwrap_or_default()
}
