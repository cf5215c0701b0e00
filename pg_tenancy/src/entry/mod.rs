//! Entering a tenant: by a proof, or by a gateway's word.
//!
//! Key, session, tenant and membership must be good in every transaction, as they are
//! committed at that moment. They are looked at, unless this connection did so before
//! and has heard of no change since (`jwt::known`): also in a transaction
//! whose snapshot is older: what was revoked is revoked.

mod api_key;
mod as_owner;
mod capsule;
mod jwt;
mod named;
mod support;

use std::cell::Cell;

use pgrx::pg_sys;
use uuid::Uuid;

use self::named::Named;
use crate::backend;
use crate::committed::Question;
use crate::context::{self, Context, Epochs, Proof, Role, Sealed};
use crate::fault::{self, Fault};
use crate::function::{
    Answer, argument, null, text_argument, text_datum, uuid_argument, uuid_datum,
};
use crate::{readers, residue};

sql_function!(tenancy_enter, pg_finfo_tenancy_enter, enter);
sql_function!(
    tenancy_enter_named,
    pg_finfo_tenancy_enter_named,
    enter_named
);
sql_function!(
    tenancy_enter_as_owner,
    pg_finfo_tenancy_enter_as_owner,
    enter_as_owner
);
sql_function!(
    tenancy_enter_named_as_owner,
    pg_finfo_tenancy_enter_named_as_owner,
    enter_named_as_owner
);
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
sql_function!(
    tenancy_require_word,
    pg_finfo_tenancy_require_word,
    require_word
);
sql_function!(tenancy_role_now, pg_finfo_tenancy_role_now, role_now);

/// Without SQL and as the caller where that can be done; else as the owner.
fn enter(call: pg_sys::FunctionCallInfo) -> Answer {
    match enter_by_index(text_argument(call, 0)?, &Named::Any)? {
        Some(tenant_id) => Ok(tenant_id),
        None => as_owner::enter(call, 1),
    }
}

fn enter_named(call: pg_sys::FunctionCallInfo) -> Answer {
    // As enter(), which is STRICT.
    if argument(call, 0).is_none() {
        return Ok(null(call));
    }
    if argument(call, 1).is_none() {
        return enter(call);
    }
    let entered = {
        let named = Named::read(text_argument(call, 1)?)?;
        enter_by_index(text_argument(call, 0)?, &named)?
    };
    match entered {
        Some(tenant_id) => Ok(tenant_id),
        None => as_owner::enter(call, 2),
    }
}

/// What `tenancy_private.enter_as_owner` does, with one argument or two.
fn enter_as_owner(call: pg_sys::FunctionCallInfo) -> Answer {
    enter_with(text_argument(call, 0)?, &Named::Any)
}

fn enter_named_as_owner(call: pg_sys::FunctionCallInfo) -> Answer {
    let named = Named::read(text_argument(call, 1)?)?;
    enter_with(text_argument(call, 0)?, &named)
}

/// With a token of our own, on a connection that is known to be clean.
fn enter_by_index(proof: &str, named: &Named) -> Result<Option<pg_sys::Datum>, Fault> {
    let is_token = !matches!(
        proof.get(..4),
        Some(api_key::PREFIX | capsule::PREFIX | support::PREFIX)
    );
    if !is_token || residue::is_suspected() {
        return Ok(None);
    }
    match jwt::prove_by_index(proof, named)? {
        Some(context) => become_context(context).map(Some),
        None => Ok(None),
    }
}

/// A proof says by its first letters what it is; without them it is a JWT.
fn enter_with(proof: &str, named: &Named) -> Answer {
    let context = match proof.get(..4) {
        Some(api_key::PREFIX) => api_key::prove(proof, named)?,
        Some(capsule::PREFIX) => return capsule::enter(proof, None, named),
        Some(support::PREFIX) => support::prove(proof, named)?,
        _ => jwt::prove(proof, named)?,
    };
    become_context(context)
}

fn set_tenant_context(call: pg_sys::FunctionCallInfo) -> Answer {
    let tenant_id = uuid_argument(call, 0).ok_or_else(not_a_member)?;
    let user_id = uuid_argument(call, 1);
    let found = look_up(tenant_id, user_id)?;

    let role = match user_id {
        None => None,
        Some(_) => Some(found.role.ok_or_else(not_a_member)?),
    };
    require_active(found.tenant_status.as_deref())?;
    become_context(Context {
        tenant_id,
        user_id,
        role,
        session_id: None,
        proof: Proof::Word,
        is_read_only: role == Some(Role::Viewer),
        epochs: Epochs::default(),
    })
}

fn verify_token(call: pg_sys::FunctionCallInfo) -> Answer {
    let bearer = jwt::verify(text_argument(call, 0)?)?;
    // Who asks this lets the person do what reaches beyond a tenant, such as ending
    // all sessions. A customer's own identity provider must not.
    if bearer.is_of_one_tenant {
        return Err(Fault::new(
            "TN014",
            "the token's issuer speaks for one tenant, not for the person",
        )
        .hint("Log in here for a token that does."));
    }
    Ok(text_datum(
        &serde_json::json!({
            "userId": bearer.user_id,
            "tenantId": bearer.tenant_id,
            "sessionId": bearer.session_id,
            "purpose": bearer.purpose,
            "issuer": bearer.issuer,
            "email": bearer.email,
        })
        .to_string(),
    ))
}

fn require_word(call: pg_sys::FunctionCallInfo) -> Answer {
    let bearer = jwt::verify(text_argument(call, 0)?)?;
    let purpose = text_argument(call, 1)?;
    // Nobody else speaks for our services.
    if bearer.issuer.is_some() || bearer.purpose.as_deref() != Some(purpose) {
        return Err(
            Fault::new("TN023", "the service's word is for another purpose").hint(format!(
                "The service signs a word of the purpose {purpose} with its own key."
            )),
        );
    }
    Ok(uuid_datum(bearer.user_id))
}

fn role_now(call: pg_sys::FunctionCallInfo) -> Answer {
    let role = match context::current() {
        Some(Context {
            tenant_id,
            user_id: Some(user_id),
            ..
        }) => look_up(tenant_id, Some(user_id))?.role,
        _ => None,
    };
    Ok(role.map_or_else(|| null(call), |role| text_datum(role.name())))
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
    become_sealed(context, None)
}

fn become_sealed(context: Context, sealed: Option<&Sealed>) -> Answer {
    context::set(context, sealed)?;
    warn_who_bypasses();
    Ok(readers::told(context.tenant_id))
}

/// Whoever bypasses row-level security sees all tenants, context or not. A DBA
/// who tries things out as a superuser should not take that for a leak.
fn warn_who_bypasses() {
    // SAFETY: look-ups in the role cache; within a definer function the outer
    // user is the caller.
    let bypasses = unsafe { pg_sys::has_bypassrls_privilege(backend::outer_role()) };
    if bypasses {
        fault::warn(
            "01000",
            "your role bypasses row-level security: you will see the rows of every tenant",
            "SET ROLE tenancy_app (or tenancy_gateway) shows what a tenant sees.",
        );
    }
}

/// How somebody stands in a tenant.
#[derive(Default)]
struct Found {
    tenant_status: Option<String>,
    role: Option<Role>,
}

thread_local! {
    static LOOK_UP_PLAN: Cell<pg_sys::SPIPlanPtr> = const { Cell::new(std::ptr::null_mut()) };
}

const LOOK_UP: Question = Question {
    sql: c"
        select t.status, m.role
        from tenancy.tenants as t
        left join tenancy.memberships as m on m.tenant_id = t.id and m.user_id = $2
        where t.id = $1",
    types: &[pg_sys::UUIDOID, pg_sys::UUIDOID],
    plan: &LOOK_UP_PLAN,
};

fn look_up(tenant_id: Uuid, user_id: Option<Uuid>) -> Result<Found, Fault> {
    let arguments = [Some(uuid_datum(tenant_id)), user_id.map(uuid_datum)];
    LOOK_UP.ask(&arguments, |row| {
        row.map_or_else(Found::default, |row| Found {
            tenant_status: row.text(1),
            role: row.text(2).and_then(|name| Role::parse(&name)),
        })
    })
}
