//! The tenant context of this transaction.
//!
//! It is kept in the setting `pg_tenancy.context`. PostgreSQL takes a local
//! setting back at the end of a transaction or savepoint and hands it to
//! parallel workers; its assign hook keeps a parsed copy here, so that reading
//! it, once per row, is a load from memory.
//!
//! Nobody else writes it. The setting is SUSET and spared by RESET ALL, but that
//! is not the wall: the check hook refuses every value that `enter` below is not
//! just writing, whoever sets it, a superuser, `alter role … set`, a connection
//! option or a placeholder from before the library was loaded.

use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int, c_void};

use pgrx::{PgLogLevel, pg_guard, pg_sys};
use uuid::Uuid;

use crate::fault::Fault;
use crate::{hooks, readers, residue};

/// Who this transaction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context {
    pub tenant_id: Uuid,
    /// `None` where a gateway entered for nobody in particular.
    pub user: Option<Member>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    pub user_id: Uuid,
    pub role: Role,
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

/// How the setting is written: `tenant`, or `tenant/user/role`.
impl Context {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('/');
        let tenant_id = Uuid::try_parse(parts.next()?).ok()?;
        let user = match (parts.next(), parts.next()) {
            (None, None) => None,
            (Some(user_id), Some(role)) => Some(Member {
                user_id: Uuid::try_parse(user_id).ok()?,
                role: Role::parse(role)?,
            }),
            _ => return None,
        };
        parts.next().is_none().then_some(Self { tenant_id, user })
    }

    fn write(self) -> String {
        match self.user {
            None => self.tenant_id.to_string(),
            Some(Member { user_id, role }) => {
                format!("{}/{user_id}/{}", self.tenant_id, role.name())
            }
        }
    }
}

/// The setting that holds it.
pub const NAME: &CStr = c"pg_tenancy.context";

thread_local! {
    static CURRENT: Cell<Option<Context>> = const { Cell::new(None) };
    static IS_WRITING: Cell<bool> = const { Cell::new(false) };
    /// The tenant that this transaction entered first; a rollback to a savepoint
    /// takes the context away, and not this.
    static FIRST_TENANT: Cell<Option<Uuid>> = const { Cell::new(None) };
}

/// The context that this transaction has entered, if any.
pub fn current() -> Option<Context> {
    CURRENT.get()
}

/// Makes `context` the one of this transaction. The first one stays: the same
/// person in the same tenant again is no change, anything else is TN003.
pub fn set(context: Context) -> Result<(), Fault> {
    if let Some(current) = CURRENT.get() {
        let is_same = current.tenant_id == context.tenant_id
            && current.user.map(|user| user.user_id) == context.user.map(|user| user.user_id);
        return is_same.then_some(()).ok_or_else(another);
    }
    // A cursor that was opened before the savepoint goes on with the first
    // tenant's rows. Who bypasses row-level security sees them anyway, and may try
    // several tenants in one transaction, as assert_isolated() does.
    // SAFETY: reads a global of this backend.
    let is_bound = !unsafe { pg_sys::GetSessionUserIsSuperuser() };
    let first = FIRST_TENANT.get();
    if is_bound && first.is_some_and(|first| first != context.tenant_id) {
        return Err(another());
    }

    hooks::refuse_to_enter_while_explaining()?;
    residue::refuse_to_enter_with_any()?;
    let text = std::ffi::CString::new(context.write())
        .map_err(|_| Fault::internal("a context with a NUL"))?;
    let _writing = Writing::start();
    // SAFETY: both strings end in NUL; an error becomes a panic, which ends
    // `_writing`.
    unsafe {
        pg_sys::set_config_option(
            NAME.as_ptr(),
            text.as_ptr(),
            pg_sys::GucContext::PGC_SUSET,
            pg_sys::GucSource::PGC_S_SESSION,
            pg_sys::GucAction::GUC_ACTION_LOCAL,
            true,
            PgLogLevel::ERROR as c_int,
            false,
        );
    }
    FIRST_TENANT.set(Some(context.tenant_id));
    Ok(())
}

fn another() -> Fault {
    Fault::new(
        "TN003",
        "this transaction has entered a tenant already, and stays in it",
    )
    .hint("Commit or roll back, then enter the other tenant in a transaction of its own.")
}

/// For the end of a transaction: the next one may enter any tenant.
pub fn forget_first() {
    FIRST_TENANT.set(None);
}

/// While one of these lives, the check hook lets a value pass.
struct Writing;

impl Writing {
    fn start() -> Self {
        IS_WRITING.set(true);
        Self
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        IS_WRITING.set(false);
    }
}

/// The check hook of the setting.
#[pg_guard]
pub unsafe extern "C-unwind" fn check_context(
    value: *mut *mut c_char,
    _extra: *mut *mut c_void,
    _source: pg_sys::GucSource::Type,
) -> bool {
    // SAFETY: PostgreSQL passes a C string or null; in a parallel worker the
    // value is the leader's own, which was checked there.
    unsafe {
        let is_unset = (*value).is_null() || **value == 0;
        is_unset || IS_WRITING.get() || pg_sys::InitializingParallelWorker
    }
}

/// The assign hook of the setting.
#[pg_guard]
pub unsafe extern "C-unwind" fn assign_context(value: *const c_char, _extra: *mut c_void) {
    // SAFETY: a C string or null.
    let text = unsafe { (!value.is_null()).then(|| CStr::from_ptr(value)) };
    CURRENT.set(text.and_then(|text| Context::parse(text.to_str().ok()?)));
    readers::forget_datum();
}
