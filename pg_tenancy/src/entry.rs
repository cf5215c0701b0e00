//! Entering a tenant: by a token, or by a gateway's word.
//!
//! The database looks at key, tenant and membership in every transaction, in
//! one query, and sees what is committed at that moment, also in a transaction
//! whose snapshot is older: what was revoked is revoked.

use std::cell::Cell;
use std::ffi::CStr;

use pgrx::pg_sys;
use uuid::Uuid;

use crate::context::{self, Context, Member, Role};
use crate::fault::{self, Fault};
use crate::function::{Answer, text_argument, uuid_argument, uuid_datum};
use crate::token::{self, Key};

sql_function!(tenancy_enter, pg_finfo_tenancy_enter, enter);
sql_function!(
    tenancy_set_tenant_context,
    pg_finfo_tenancy_set_tenant_context,
    set_tenant_context
);
sql_function!(
    tenancy_verify_token,
    pg_finfo_tenancy_verify_token,
    verify_token
);

fn enter(call: pg_sys::FunctionCallInfo) -> Answer {
    let token = text_argument(call, 0)?;
    let claimed = token::read(token)?;
    let found = look_up(Some(&claimed.kid), claimed.tenant_id, Some(claimed.user_id))?;
    let key = found.key.ok_or_else(token::unknown_key)?;
    let verified = token::verify(token, &key)?;

    let role = found.role.ok_or_else(not_a_member)?;
    require_active(found.tenant_status.as_deref())?;
    become_context(Context {
        tenant_id: verified.tenant_id,
        user: Some(Member {
            user_id: verified.user_id,
            role,
        }),
    })
}

fn set_tenant_context(call: pg_sys::FunctionCallInfo) -> Answer {
    let tenant_id = uuid_argument(call, 0).ok_or_else(not_a_member)?;
    let user_id = uuid_argument(call, 1);
    let found = look_up(None, tenant_id, user_id)?;

    let user = match user_id {
        None => None,
        Some(user_id) => Some(Member {
            user_id,
            role: found.role.ok_or_else(not_a_member)?,
        }),
    };
    require_active(found.tenant_status.as_deref())?;
    become_context(Context { tenant_id, user })
}

fn verify_token(call: pg_sys::FunctionCallInfo) -> Answer {
    let token = text_argument(call, 0)?;
    let claimed = token::read(token)?;
    let found = look_up(Some(&claimed.kid), claimed.tenant_id, None)?;
    let key = found.key.ok_or_else(token::unknown_key)?;
    token::verify(token, &key)?;
    Ok(pg_sys::Datum::null())
}

/// The same for a tenant that isn't there: who may not see it can't tell.
fn not_a_member() -> Fault {
    Fault::new("TN002", "not a member of that tenant")
        .hint("Ask an owner of the tenant to invite you, or enter another one.")
}

fn require_active(status: Option<&str>) -> Result<(), Fault> {
    match status {
        Some("active") => Ok(()),
        Some(_) => Err(Fault::new("TN004", "the tenant is suspended")
            .hint("Ask the operator of this service.")),
        None => Err(not_a_member()),
    }
}

fn become_context(context: Context) -> Answer {
    context::set(context)?;
    warn_who_bypasses();
    Ok(uuid_datum(context.tenant_id))
}

/// Whoever bypasses row-level security sees all tenants, context or not. A DBA
/// who tries things out as a superuser should not take that for a leak.
fn warn_who_bypasses() {
    // SAFETY: look-ups in the role cache; within a definer function the outer
    // user is the caller.
    let bypasses = unsafe { pg_sys::has_bypassrls_privilege(pg_sys::GetOuterUserId()) };
    if bypasses {
        fault::warn(
            "01000",
            "your role bypasses row-level security: you will see the rows of every tenant",
            "SET ROLE tenancy_app (or tenancy_gateway) shows what a tenant sees.",
        );
    }
}

/// What the database knows about a token's key, tenant and user.
#[derive(Default)]
struct Found {
    key: Option<Key>,
    tenant_status: Option<String>,
    role: Option<Role>,
}

const LOOK_UP: &CStr = c"
    select k.algorithm, k.secret, k.issuer, k.audience, t.status, m.role
    from (select 1) as one
    left join tenancy.signing_keys as k on k.kid = $1 and k.status = 'active'
    left join tenancy.tenants as t on t.id = $2
    left join tenancy.memberships as m on m.tenant_id = t.id and m.user_id = $3";

thread_local! {
    // PostgreSQL plans it once per backend, and again when a table changes.
    static PLAN: Cell<pg_sys::SPIPlanPtr> = const { Cell::new(std::ptr::null_mut()) };
}

fn look_up(kid: Option<&str>, tenant_id: Uuid, user_id: Option<Uuid>) -> Result<Found, Fault> {
    let kid_datum = kid.map(|kid| {
        let kid = fault::in_postgres_memory(kid);
        // SAFETY: a C string.
        unsafe { pg_sys::Datum::from(pg_sys::cstring_to_text(kid)) }
    });
    let arguments = [
        kid_datum,
        Some(uuid_datum(tenant_id)),
        user_id.map(uuid_datum),
    ];
    let mut values = arguments.map(|argument| argument.unwrap_or(pg_sys::Datum::null()));
    let nulls = arguments.map(|argument| if argument.is_some() { b' ' } else { b'n' } as i8);

    // SAFETY: the calls are in SPI's order, and an error in one of them becomes
    // a panic that ends the transaction. The results are copied before
    // SPI_finish frees them.
    unsafe {
        if pg_sys::SPI_connect() != pg_sys::SPI_OK_CONNECT as i32 {
            return Err(Fault::internal("SPI_connect failed"));
        }
        let plan = plan()?;
        pg_sys::SPI_execute_snapshot(
            plan,
            values.as_mut_ptr(),
            nulls.as_ptr(),
            // What is committed now, not when this transaction took its snapshot.
            pg_sys::GetLatestSnapshot(),
            std::ptr::null_mut(),
            true,
            false,
            1,
        );
        let found = found(pg_sys::SPI_tuptable)?;
        pg_sys::SPI_finish();
        Ok(found)
    }
}

unsafe fn plan() -> Result<pg_sys::SPIPlanPtr, Fault> {
    let known = PLAN.get();
    if !known.is_null() {
        return Ok(known);
    }
    let mut types = [pg_sys::TEXTOID, pg_sys::UUIDOID, pg_sys::UUIDOID];
    // SAFETY: within SPI_connect and SPI_finish; a kept plan lives on.
    unsafe {
        let plan = pg_sys::SPI_prepare_cursor(
            LOOK_UP.as_ptr(),
            types.len() as i32,
            types.as_mut_ptr(),
            // Always by the three primary keys: nothing to plan anew.
            pg_sys::CURSOR_OPT_GENERIC_PLAN as i32,
        );
        if plan.is_null() || pg_sys::SPI_keepplan(plan) != 0 {
            return Err(Fault::internal(
                "the look-up of a token could not be planned",
            ));
        }
        PLAN.set(plan);
        Ok(plan)
    }
}

unsafe fn found(table: *mut pg_sys::SPITupleTable) -> Result<Found, Fault> {
    // SAFETY: the table of a SELECT with the columns of LOOK_UP.
    unsafe {
        if table.is_null() || (*table).numvals != 1 {
            return Err(Fault::internal("the look-up of a token gave no row"));
        }
        let row = *(*table).vals;
        let column = |number: i32| {
            let mut is_null = false;
            let datum = pg_sys::SPI_getbinval(row, (*table).tupdesc, number, &raw mut is_null);
            (!is_null).then_some(datum)
        };
        let text = |number| column(number).and_then(|datum| String::from_utf8(bytes(datum)).ok());
        let key = match (text(1), column(2)) {
            (Some(algorithm), Some(secret)) => Some(Key {
                algorithm,
                secret: bytes(secret),
                issuer: text(3),
                audience: text(4),
            }),
            _ => None,
        };
        Ok(Found {
            key,
            tenant_status: text(5),
            role: text(6).and_then(|name| Role::parse(&name)),
        })
    }
}

/// The bytes of a text or bytea.
unsafe fn bytes(datum: pg_sys::Datum) -> Vec<u8> {
    // SAFETY: the caller has a varlena that is not NULL.
    unsafe {
        let varlena = pg_sys::pg_detoast_datum_packed(datum.cast_mut_ptr());
        let length = pgrx::varsize_any_exhdr(varlena);
        std::slice::from_raw_parts(pgrx::vardata_any(varlena).cast::<u8>(), length).to_vec()
    }
}
