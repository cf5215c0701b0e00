//! What `look_up` finds about a token of our own, without SQL: see `committed::by_key`.
//!
//! The rules are the same, and the tests hold the two together. What isn't here
//! (issuers' tokens, tables that a DBA has changed) is `Unsuited`.

use std::cell::Cell;

use pgrx::pg_sys;
use uuid::Uuid;

use super::known::SECONDS_TO_2000;
use super::look_up::{Found, Standing, moment};
use crate::backend;
use crate::committed::by_key::{ByKey, Moment, Row, Unsuited};
use crate::committed::place::Place;
use crate::committed::told::Telling;
use crate::context::{Epochs, Role};
use crate::entry::named::Named;
use crate::function::text_datum;
use crate::token::{Algorithm, Claimed, Key};

macro_rules! table {
    ($name:ident, $place:ident, $table:literal, [$($key:literal $key_type:ident),*], [$($column:literal $type:ident),*], $events:ident [$($told:literal),*]) => {
        thread_local! {
            static $place: Cell<Option<Place>> = const { Cell::new(None) };
        }
        static $name: ByKey = ByKey {
            table: $table,
            key: &[$(($key, pg_sys::$key_type)),*],
            columns: &[$(($column, pg_sys::$type)),*],
            telling: Telling { events: $events, columns: &[$($told),*] },
            place: &$place,
        };
    };
}

const CHANGED: u32 = pg_sys::TRIGGER_TYPE_UPDATE | pg_sys::TRIGGER_TYPE_DELETE;
/// A token of ours stays one until there is an issuer of that name.
const ADDED: u32 = pg_sys::TRIGGER_TYPE_INSERT | pg_sys::TRIGGER_TYPE_UPDATE;

table!(KEYS, KEYS_PLACE, c"signing_keys", [c"kid" TEXTOID],
    [c"algorithm" TEXTOID, c"material" BYTEAOID, c"issuer" TEXTOID, c"audience" TEXTOID, c"status" TEXTOID], CHANGED []);
table!(ISSUERS, ISSUERS_PLACE, c"issuers", [c"issuer" TEXTOID], [], ADDED []);
table!(TENANTS, TENANTS_PLACE, c"tenants", [c"id" UUIDOID],
    [c"status" TEXTOID, c"tokens_valid_from" TIMESTAMPTZOID, c"slug" TEXTOID], CHANGED [c"id"]);
table!(MEMBERSHIPS, MEMBERSHIPS_PLACE, c"memberships", [c"tenant_id" UUIDOID, c"user_id" UUIDOID],
    [c"role" TEXTOID], CHANGED [c"user_id"]);
table!(USERS, USERS_PLACE, c"users", [c"id" UUIDOID],
    [c"tokens_valid_from" TIMESTAMPTZOID], CHANGED [c"id", c"tokens_valid_from"]);
table!(SESSIONS, SESSIONS_PLACE, c"sessions", [c"tenant_id" UUIDOID, c"id" UUIDOID],
    [c"user_id" UUIDOID, c"ended_at" TIMESTAMPTZOID, c"expires_at" TIMESTAMPTZOID],
    CHANGED [c"id", c"tenant_id", c"user_id", c"ended_at", c"expires_at"]);

/// What is known about a token's key, and about whom it names. It must lead to the
/// tenant that was named, if any; else SQL has to find out more.
pub fn look_up(claimed: &Claimed<'_>, named: &Named) -> Result<Found, Unsuited> {
    let lasting = if claimed.session_id().is_some() {
        &SESSIONS
    } else {
        &USERS
    };
    let tables = [&KEYS, &TENANTS, &MEMBERSHIPS, lasting, &ISSUERS];
    // The last is asked for an issuer's token alone.
    let number = tables.len() - usize::from(claimed.issuer().is_none());
    let now = Moment::of(&tables[..number])?;
    if let Some(issuer) = claimed.issuer()
        && ISSUERS.find(&now, &[text_datum(issuer)])?.is_some()
    {
        return Err(Unsuited);
    }
    let mut found = Found::default();
    if let Some(key) = KEYS.find(&now, &[text_datum(claimed.kid())])?
        && matches!(key.text(4), Some("next" | "active"))
    {
        found.key = key
            .text(0)
            .and_then(Algorithm::parse)
            .zip(key.bytes(1))
            .map(|(algorithm, material)| Key::new(algorithm, material.to_vec()));
        found.required_issuer = key.text(2).map(str::to_owned);
        found.audience = key.text(3).map(str::to_owned);
    }
    let (tenant_id, user_id) = (claimed.tenant_id(), claimed.user_id());
    let tenant = match &tenant_id {
        Some(id) => TENANTS.find(&now, &[datum(id)])?,
        None => None,
    };
    if !is_named(named, tenant_id, tenant.as_ref()) {
        return Err(Unsuited);
    }
    let membership = match (&tenant_id, &user_id) {
        (Some(tenant_id), Some(user_id)) if tenant.is_some() => {
            MEMBERSHIPS.find(&now, &[datum(tenant_id), datum(user_id)])?
        }
        _ => None,
    };
    found.standing = Standing {
        tenant_status: text(tenant.as_ref(), 0),
        slug: text(tenant.as_ref(), 2),
        role: membership.and_then(|row| Role::parse(row.text(0)?)),
        is_revoked: false,
        epochs: Epochs::default(),
    };
    // Without the person's row, which references keep where they are not turned off, its
    // coming could end the proof.
    let mut has_person = true;
    if let Some(session_id) = claimed.session_id() {
        found.session_expires_at = match &tenant_id {
            Some(tenant_id) => find_session(tenant_id, &session_id, user_id, &now)?,
            None => None,
        };
        found.has_session = found.session_expires_at.is_some();
    } else {
        let user = match &user_id {
            Some(id) => USERS.find(&now, &[datum(id)])?,
            None => None,
        };
        has_person = user.is_some();
        let tenant = tenant.and_then(|row| row.time(1));
        let user = user.and_then(|row| row.time(0));
        found.standing.is_revoked = tenant
            .max(user)
            .is_some_and(|from| since_2000(claimed.issued_at()) < from);
        // As PostgreSQL sends a time, which is how they are sealed.
        found.standing.epochs = Epochs {
            tenant: tenant.map(i64::cast_unsigned),
            user: user.map(i64::cast_unsigned),
        };
    }
    found.is_told = has_person && tables[..number].iter().all(|table| table.is_telling());
    Ok(found)
}

fn is_named(named: &Named, tenant_id: Option<Uuid>, tenant: Option<&Row>) -> bool {
    match named {
        Named::Any => true,
        Named::Id(id) => tenant_id == Some(*id),
        Named::Slug(slug) => tenant.and_then(|row| row.text(2)) == Some(slug),
    }
}

/// When the session expires, if it lives and is this person's in this tenant.
fn find_session(
    tenant_id: &Uuid,
    session_id: &Uuid,
    user_id: Option<Uuid>,
    now: &Moment,
) -> Result<Option<i64>, Unsuited> {
    let session = SESSIONS.find(now, &[datum(tenant_id), datum(session_id)])?;
    let clock = backend::now();
    Ok(session.and_then(|row| {
        let is_theirs = user_id.is_some() && row.uuid(0) == user_id;
        let lives = is_theirs && row.time(1).is_none();
        row.time(2)
            .filter(|&expires_at| lives && expires_at > clock)
    }))
}

fn text(row: Option<&Row>, column: usize) -> Option<String> {
    row?.text(column).map(str::to_owned)
}

/// It points to the id, which the caller keeps.
fn datum(id: &Uuid) -> pg_sys::Datum {
    pg_sys::Datum::from(id.as_bytes().as_ptr())
}

/// Seconds since 1970 as PostgreSQL has times: in microseconds, since 2000.
fn since_2000(seconds: u64) -> i64 {
    (moment(seconds) - SECONDS_TO_2000) * 1_000_000
}
