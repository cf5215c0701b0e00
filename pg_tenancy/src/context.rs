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
use std::ptr;

use pgrx::{PgLogLevel, pg_guard, pg_sys};
use uuid::Uuid;

use crate::fault::{self, Fault};
use crate::function::{Answer, null, uuid_datum};

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

    fn name(self) -> &'static str {
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

thread_local! {
    static CURRENT: Cell<Option<Context>> = const { Cell::new(None) };
    /// The tenant's id as a datum, in the memory of this transaction: made at
    /// the first reading, so that a scan allocates nothing per row.
    static TENANT_DATUM: Cell<*mut c_void> = const { Cell::new(ptr::null_mut()) };
    static IS_WRITING: Cell<bool> = const { Cell::new(false) };
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
        return is_same.then_some(()).ok_or_else(|| {
            Fault::new(
                "TN003",
                "this transaction has entered a tenant already, and stays in it",
            )
            .hint("Commit or roll back, then enter the other tenant in a transaction of its own.")
        });
    }

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
    Ok(())
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

const NAME: &CStr = c"pg_tenancy.context";
const MISSING_IS_ERROR: c_int = 0;
const MISSING_IS_EMPTY: c_int = 1;

static mut CONTEXT_SETTING: *mut c_char = ptr::null_mut();
static mut MISSING_CONTEXT_SETTING: c_int = MISSING_IS_ERROR;

/// Defines the settings, once per backend.
pub fn define_settings() {
    /// An array that PostgreSQL reads and nobody writes.
    struct Options([pg_sys::config_enum_entry; 3]);
    // SAFETY: it is never written.
    unsafe impl Sync for Options {}
    static MISSING_CONTEXT: Options = Options([
        pg_sys::config_enum_entry {
            name: c"error".as_ptr(),
            val: MISSING_IS_ERROR,
            hidden: false,
        },
        pg_sys::config_enum_entry {
            name: c"empty".as_ptr(),
            val: MISSING_IS_EMPTY,
            hidden: false,
        },
        pg_sys::config_enum_entry {
            name: ptr::null(),
            val: 0,
            hidden: false,
        },
    ]);

    let flags = pg_sys::GUC_NO_RESET_ALL | pg_sys::GUC_NOT_IN_SAMPLE | pg_sys::GUC_DISALLOW_IN_FILE;
    // SAFETY: names and variables are static, the hooks have the types asked for.
    unsafe {
        pg_sys::DefineCustomStringVariable(
            NAME.as_ptr(),
            c"The tenant that this transaction has entered. Written by tenancy.enter() alone."
                .as_ptr(),
            ptr::null(),
            &raw mut CONTEXT_SETTING,
            c"".as_ptr(),
            pg_sys::GucContext::PGC_SUSET,
            flags as c_int,
            Some(check_context),
            Some(assign_context),
            None,
        );
        pg_sys::DefineCustomEnumVariable(
            c"pg_tenancy.missing_context".as_ptr(),
            c"What a query of isolated rows gives without a tenant: error (TN001), or empty."
                .as_ptr(),
            ptr::null(),
            &raw mut MISSING_CONTEXT_SETTING,
            MISSING_IS_ERROR,
            MISSING_CONTEXT.0.as_ptr(),
            pg_sys::GucContext::PGC_SUSET,
            0,
            None,
            None,
            None,
        );
        pg_sys::MarkGUCPrefixReserved(c"pg_tenancy".as_ptr());
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn check_context(
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

#[pg_guard]
unsafe extern "C-unwind" fn assign_context(value: *const c_char, _extra: *mut c_void) {
    // SAFETY: a C string or null.
    let text = unsafe { (!value.is_null()).then(|| CStr::from_ptr(value)) };
    CURRENT.set(text.and_then(|text| Context::parse(text.to_str().ok()?)));
    // Its memory goes with the transaction.
    TENANT_DATUM.set(ptr::null_mut());
}

sql_function!(
    tenancy_current_tenant_id,
    pg_finfo_tenancy_current_tenant_id,
    current_tenant_id
);
sql_function!(
    tenancy_current_user_id,
    pg_finfo_tenancy_current_user_id,
    current_user_id
);
sql_function!(
    tenancy_current_member_role,
    pg_finfo_tenancy_current_member_role,
    current_member_role
);
sql_function!(
    tenancy_context_user_id,
    pg_finfo_tenancy_context_user_id,
    context_user_id
);

fn current_tenant_id(call: pg_sys::FunctionCallInfo) -> Answer {
    let known = TENANT_DATUM.get();
    if !known.is_null() {
        return Ok(pg_sys::Datum::from(known));
    }
    let Some(context) = required()? else {
        return Ok(null(call));
    };
    // SAFETY: a context is there only within a transaction, which has this
    // memory; whoever keeps the datum longer than a statement copies it.
    let datum = unsafe {
        let before = pg_sys::MemoryContextSwitchTo(pg_sys::TopTransactionContext);
        let datum = uuid_datum(context.tenant_id);
        pg_sys::MemoryContextSwitchTo(before);
        datum
    };
    TENANT_DATUM.set(datum.cast_mut_ptr());
    Ok(datum)
}

fn current_user_id(call: pg_sys::FunctionCallInfo) -> Answer {
    let user = required()?.and_then(|context| context.user);
    Ok(user.map_or_else(|| null(call), |user| uuid_datum(user.user_id)))
}

fn current_member_role(call: pg_sys::FunctionCallInfo) -> Answer {
    let user = required()?.and_then(|context| context.user);
    Ok(user.map_or_else(
        || null(call),
        |user| {
            let name = fault::in_postgres_memory(user.role.name());
            // SAFETY: a C string.
            unsafe { pg_sys::Datum::from(pg_sys::cstring_to_text(name)) }
        },
    ))
}

fn context_user_id(call: pg_sys::FunctionCallInfo) -> Answer {
    let user = current().and_then(|context| context.user);
    Ok(user.map_or_else(|| null(call), |user| uuid_datum(user.user_id)))
}

/// The context, or what `pg_tenancy.missing_context` says: a fault or `None`.
pub fn required() -> Result<Option<Context>, Fault> {
    let context = CURRENT.get();
    // SAFETY: PostgreSQL writes it, in this thread.
    if context.is_none() && unsafe { MISSING_CONTEXT_SETTING } == MISSING_IS_ERROR {
        return Err(Fault::new("TN001", "no tenant has been entered")
            .hint("Call tenancy.enter(token) first, in the same transaction."));
    }
    Ok(context)
}
