//! The tenant context of this transaction.
//!
//! `kept` keeps it, for as long as the transaction or savepoint lasts in which it was
//! entered, so that reading it, once per row, is a load from memory. Nobody else writes it.

mod kept;
mod text;

use std::cell::Cell;
use std::ffi::{CStr, c_int};

use pgrx::{PgLogLevel, pg_sys};
use uuid::Uuid;

use crate::fault::Fault;
use crate::{backend, hooks, late, residue, writing};

pub use kept::{
    NAME, assign_context, check_context, current, end_of_savepoint, is_bound, is_current, sealed,
    show_context, tell_workers,
};

/// Who this transaction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context {
    pub tenant_id: Uuid,
    /// `None` for a machine, for support, and where a gateway entered for nobody in particular.
    pub user_id: Option<Uuid>,
    /// What it may do in the tenant; `None` where a gateway entered for nobody.
    pub role: Option<Role>,
    /// The session that the token belongs to, if it names one.
    pub session_id: Option<Uuid>,
    pub proof: Proof,
    /// The transaction can write nothing: for viewers, and for support that only looks.
    pub is_read_only: bool,
    /// What was looked at on entering, where no session says whether it still holds.
    pub epochs: Epochs,
}

/// `tokens_valid_from` of a tenant and of a person, as PostgreSQL sends a time. They
/// are compared, not read: another one means that tokens were revoked in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Epochs {
    pub tenant: Option<u64>,
    pub user: Option<u64>,
}

impl Epochs {
    /// From what `encode(timestamptz_send(…), 'hex')` writes.
    pub fn of(tenant: Option<String>, user: Option<String>) -> Self {
        let number = |hex: Option<String>| u64::from_str_radix(&hex?, 16).ok();
        Self {
            tenant: number(tenant),
            user: number(user),
        }
    }
}

/// What it was entered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// A gateway's word.
    Word,
    /// A signed token.
    Token,
    /// The API key with that id.
    ApiKey(Uuid),
    /// The support access with that id.
    Support(Uuid),
}

impl Proof {
    pub fn name(self) -> &'static str {
        match self {
            Self::Word => "word",
            Self::Token => "token",
            Self::ApiKey(_) => "api_key",
            Self::Support(_) => "support",
        }
    }

    pub fn id(self) -> Option<Uuid> {
        match self {
            Self::Word | Self::Token => None,
            Self::ApiKey(id) | Self::Support(id) => Some(id),
        }
    }
}

/// What a membership says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Owner,
    Admin,
    Member,
    Viewer,
}

impl Role {
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Owner, Self::Admin, Self::Member, Self::Viewer]
            .into_iter()
            .find(|role| role.name() == name)
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Admin => "admin",
            Self::Member => "member",
            Self::Viewer => "viewer",
        }
    }
}

/// What a context that came out of a capsule has beside the one that went in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// Microseconds since 1970; what is sealed again lives no longer.
    pub expires_at: i64,
    /// Without slashes, and no hyphen alone.
    pub purpose: Option<String>,
}

impl Context {
    /// The same person, or the same machine, in the same tenant.
    fn is_same_as(self, other: Self) -> bool {
        self.tenant_id == other.tenant_id
            && self.user_id == other.user_id
            && self.proof == other.proof
    }
}

single! {
    /// The tenant that this transaction entered first; a rollback to a savepoint
    /// takes the context away, and not this.
    static FIRST_TENANT: Cell<Option<Uuid>> = Cell::new(None);
}

/// Whether this transaction has entered a tenant, also if a rollback to a savepoint has
/// taken it out again.
pub fn has_entered() -> bool {
    FIRST_TENANT.get().is_some()
}

/// Makes `context` the one of this transaction. The first one stays: the same
/// person in the same tenant again is no change, anything else is TN003, and so is
/// a capsule for another purpose.
pub fn set(context: Context, sealed: Option<&Sealed>) -> Result<(), Fault> {
    if let Some(current) = current() {
        let purpose = sealed.and_then(|sealed| sealed.purpose.as_deref());
        let is_same = current.is_same_as(context)
            && (purpose.is_none() || purpose == self::sealed().and_then(|s| s.purpose).as_deref());
        return is_same.then_some(()).ok_or_else(another);
    }
    // A cursor that was opened before the savepoint goes on with the first
    // tenant's rows. Who bypasses row-level security sees them anyway, and may try
    // several tenants in one transaction, as assert_isolated() does.
    let is_bound = !backend::is_superusers();
    let first = FIRST_TENANT.get();
    if is_bound && first.is_some_and(|first| first != context.tenant_id) {
        return Err(another());
    }

    hooks::refuse_to_enter_while_explaining()?;
    late::refuse_to_enter()?;
    residue::refuse_to_enter_with_any()?;
    if context.is_read_only {
        writing::refuse_to_enter_while_writing()?;
    }
    kept::keep(context, sealed, is_bound)?;
    // PostgreSQL's own switch, which holds for every statement, function and table,
    // and can't be turned back: not by SET once a query has run, as the one that
    // enters has, and not by RESET (see `read_only`).
    if context.is_read_only {
        set_local(
            c"transaction_read_only",
            c"on",
            pg_sys::GucContext::PGC_USERSET,
        );
    }
    FIRST_TENANT.set(Some(context.tenant_id));
    Ok(())
}

/// Sets a setting until the end of the transaction or savepoint.
fn set_local(name: &CStr, value: &CStr, context: pg_sys::GucContext::Type) {
    // SAFETY: both strings end in NUL; an error becomes a panic.
    unsafe {
        pg_sys::set_config_option(
            name.as_ptr(),
            value.as_ptr(),
            context,
            pg_sys::GucSource::PGC_S_SESSION,
            pg_sys::GucAction::GUC_ACTION_LOCAL,
            true,
            PgLogLevel::ERROR as c_int,
            false,
        );
    }
}

/// The fault for a write in a transaction that can only read, if it is one.
pub fn refuse_to_write_if_read_only() -> Result<(), Fault> {
    let Some(context) = current().filter(|context| context.is_read_only) else {
        return Ok(());
    };
    let fault = match context.proof {
        Proof::Support(_) => Fault::new("TN204", "this support access can only read")
            .hint("Ask for one that may write: read_only => false."),
        _ => Fault::new("TN204", "a viewer can only read")
            .hint("Ask an admin of the tenant for another role."),
    };
    Err(fault)
}

fn another() -> Fault {
    Fault::new(
        "TN003",
        "this transaction has entered a tenant already, and stays in it",
    )
    .hint("Commit or roll back, then enter the other tenant in a transaction of its own.")
}

/// For the end of a transaction: the next one may enter any tenant.
pub fn forget() {
    kept::forget();
    FIRST_TENANT.set(None);
}
