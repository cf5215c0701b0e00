//! What is committed about who is in a capsule, and about who seals one.

use std::cell::Cell;

use pgrx::pg_sys;

use crate::capsule::Content;
use crate::committed::Question;
use crate::context::{Context, Epochs, Role};
use crate::fault::Fault;
use crate::function::uuid_datum;

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

/// The key of that number, if it still opens.
pub fn find_key(number: i32) -> Result<Option<Vec<u8>>, Fault> {
    KEY.ask(&[Some(pg_sys::Datum::from(number))], |row| row?.bytes(1))
}

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

/// How who was sealed stands today.
#[derive(Default)]
pub struct Found {
    pub tenant_status: Option<String>,
    pub role: Option<Role>,
    pub key_role: Option<Role>,
    pub epochs: Epochs,
}

pub fn look_up(content: &Content) -> Result<Found, Fault> {
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
             where s.user_id = u.id and s.id = $3 and s.ended_at is null and s.expires_at > clock_timestamp()
               -- One of another tenant, from which this one was selected, is not ended by revoke_tenant().
               and (s.tenant_id = t.id or s.created_at >= coalesce(t.tokens_valid_from, s.created_at))),
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
pub struct Again {
    pub key: Option<(u32, Vec<u8>)>,
    pub epochs: Epochs,
    pub tenant_status: Option<String>,
    pub is_revoked_since: bool,
    pub has_session: bool,
    pub has_api_key: bool,
}

/// `None` where the tenant is gone.
pub fn look_up_again(context: &Context) -> Result<Option<Again>, Fault> {
    let arguments = [
        Some(uuid_datum(context.tenant_id)),
        context.user_id.map(uuid_datum),
        context.session_id.map(uuid_datum),
        context.proof.id().map(uuid_datum),
    ];
    AGAIN.ask(&arguments, |row| {
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
    })
}
