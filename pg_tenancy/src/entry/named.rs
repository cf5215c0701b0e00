//! The tenant that a caller names beside the proof.
//!
//! A service that is asked at acme.example.com, or with a header, says so, and the proof
//! must lead there. What has the form of a UUID is an id, whoever has chosen such a
//! slug. Of a tenant that isn't meant nothing is told, not even whether there is one.

use std::cell::Cell;

use pgrx::pg_sys;
use uuid::Uuid;

use crate::committed::Question;
use crate::context::{Epochs, Role};
use crate::fault::Fault;
use crate::function::{text_datum, uuid_datum};

/// Which tenant it must be.
pub enum Named {
    /// Whichever the proof leads to.
    Any,
    Id(Uuid),
    Slug(String),
}

/// As PostgreSQL holds the slugs to.
const LONGEST_SLUG: usize = 63;
const UUID_LENGTH: usize = 36;

impl Named {
    /// TN027 for what can't be the name of a tenant.
    pub fn read(name: &str) -> Result<Self, Fault> {
        if name.len() == UUID_LENGTH
            && let Ok(id) = Uuid::try_parse(name)
        {
            return Ok(Self::Id(id));
        }
        is_slug(name)
            .then(|| Self::Slug(name.to_owned()))
            .ok_or_else(|| {
                Fault::new("TN027", "that can't be the name of a tenant")
                    .hint("Name it by its id, or by its slug: a to z, 0 to 9 and inner hyphens.")
            })
    }

    /// That it is this one. TN026.
    pub fn require(&self, tenant_id: Uuid) -> Result<(), Fault> {
        match self.id()? {
            Meant::Any => Ok(()),
            Meant::One(id) if id == tenant_id => Ok(()),
            _ => Err(another_tenant()),
        }
    }

    /// What is there by that name, as it is committed now.
    pub fn id(&self) -> Result<Meant, Fault> {
        match self {
            Self::Any => Ok(Meant::Any),
            Self::Id(id) => Ok(Meant::One(*id)),
            Self::Slug(slug) => BY_SLUG.ask(&[Some(text_datum(slug))], |row| {
                row.and_then(|row| row.text(1)?.parse().ok())
                    .map_or(Meant::None, Meant::One)
            }),
        }
    }
}

/// Whom a name means.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Meant {
    Any,
    One(Uuid),
    None,
}

fn is_slug(name: &str) -> bool {
    (1..=LONGEST_SLUG).contains(&name.len())
        && !name.starts_with('-')
        && !name.ends_with('-')
        && name
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

/// The same for a tenant that isn't there, and whatever keeps this proof out of it.
pub fn another_tenant() -> Fault {
    Fault::new("TN026", "this doesn't lead to the tenant that was named")
        .hint("Name the tenant that it is for, or none, or log in to the other one.")
}

thread_local! {
    static BY_SLUG_PLAN: Cell<pg_sys::SPIPlanPtr> = const { Cell::new(std::ptr::null_mut()) };
    static MEMBER_PLAN: Cell<pg_sys::SPIPlanPtr> = const { Cell::new(std::ptr::null_mut()) };
}

const BY_SLUG: Question = Question {
    sql: c"select t.id::text from tenancy.tenants as t where t.slug = $1",
    types: &[pg_sys::TEXTOID],
    plan: &BY_SLUG_PLAN,
};

/// How a person stands in a tenant that is not the token's own.
pub struct Member {
    pub role: Option<Role>,
    pub tenant_status: Option<String>,
    /// Everybody there, or the person, has had to log in again since.
    pub is_revoked: bool,
    pub epochs: Epochs,
}

/// A session is as old as its login, however often it was refreshed.
const MEMBER: Question = Question {
    sql: c"
        select m.role, t.status,
            case when coalesce(s.created_at, pg_catalog.to_timestamp($5))
                < greatest(t.tokens_valid_from, u.tokens_valid_from) then 'revoked' end,
            pg_catalog.encode(pg_catalog.timestamptz_send(t.tokens_valid_from), 'hex'),
            pg_catalog.encode(pg_catalog.timestamptz_send(u.tokens_valid_from), 'hex')
        from tenancy.memberships as m
        join tenancy.tenants as t on t.id = m.tenant_id
        join tenancy.users as u on u.id = m.user_id
        left join tenancy.sessions as s on s.tenant_id = $3 and s.id = $4 and s.user_id = u.id
        where m.tenant_id = $1 and m.user_id = $2",
    types: &[
        pg_sys::UUIDOID,
        pg_sys::UUIDOID,
        pg_sys::UUIDOID,
        pg_sys::UUIDOID,
        pg_sys::INT8OID,
    ],
    plan: &MEMBER_PLAN,
};

/// The person as a member of that tenant, with a token of that session (of which
/// tenant), or from that moment; `None` for a stranger, and where there is no tenant.
pub fn find_member(
    tenant_id: Uuid,
    user_id: Uuid,
    session: Option<(Uuid, Uuid)>,
    issued_at: i64,
) -> Result<Option<Member>, Fault> {
    let arguments = [
        Some(uuid_datum(tenant_id)),
        Some(uuid_datum(user_id)),
        session.map(|(tenant, _)| uuid_datum(tenant)),
        session.map(|(_, session)| uuid_datum(session)),
        Some(pg_sys::Datum::from(issued_at)),
    ];
    MEMBER.ask(&arguments, |row| {
        row.map(|row| Member {
            role: row.text(1).and_then(|name| Role::parse(&name)),
            tenant_status: row.text(2),
            is_revoked: row.text(3).is_some(),
            epochs: Epochs::of(row.text(4), row.text(5)),
        })
    })
}
