//! Residue: what a transaction in a tenant could leave on its connection for the
//! next tenant to find.
//!
//! While a context is set it is refused (TN841), and a connection that carries
//! some already can't enter (TN843). PostgreSQL has no one place for all of it:
//! statements are seen by `hooks`, objects when they are made, and settings, which
//! also a function can change, at the end of the transaction.
//!
//! Entering must cost nothing where nothing happened. So the hooks note that there
//! may be residue, and only then does anybody look: on entering, and at the commit for
//! what the hooks missed. They miss the statement in which the library comes, and what
//! a statement does after it has entered when it was seen before. So what was seen in
//! a transaction is looked for until one has entered in which it wasn't; and on a
//! connection whose past is unknown, because the library came later, everything is.

mod changed_settings;
mod session_locks;
pub mod temporary;

use std::cell::Cell;

use pgrx::pg_sys;

use crate::committed::Question;
use crate::context;
use crate::fault::Fault;
use crate::function::{Answer, null};
use crate::objects;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    HeldCursor,
    TemporaryObject,
    PreparedTransaction,
    Listen,
    SessionSetting,
    SessionLock,
}

impl Kind {
    /// Each kind, as `pg_tenancy.allowed_residue` calls it.
    const NAMES: [(Self, &'static str); 6] = [
        (Self::HeldCursor, "held_cursor"),
        (Self::TemporaryObject, "temporary_object"),
        (Self::PreparedTransaction, "prepared_transaction"),
        (Self::Listen, "listen"),
        (Self::SessionSetting, "session_setting"),
        (Self::SessionLock, "session_lock"),
    ];

    pub fn parse(name: &str) -> Option<Self> {
        let mut names = Self::NAMES.iter();
        names
            .find(|(_, known)| *known == name)
            .map(|(kind, _)| *kind)
    }

    fn name(self) -> &'static str {
        Self::NAMES[self as usize].1
    }
}

/// A set of kinds.
#[derive(Clone, Copy, Default)]
pub struct Allowed(u8);

impl Allowed {
    pub fn with(self, kind: Kind) -> Self {
        Self(self.0 | 1 << kind as u8)
    }

    fn has(self, kind: Kind) -> bool {
        self.0 & 1 << kind as u8 != 0
    }
}

single! {
    static ALLOWED: Cell<Allowed> = Cell::new(Allowed(0));
    /// What may be on the connection: at first, whatever can be looked for.
    static SUSPECTED: Cell<Allowed> = Cell::new(LOOKED_FOR);
    /// What a hook has seen being made in this transaction.
    static SEEN: Cell<Allowed> = Cell::new(Allowed(0));
    /// The library came in this transaction, in the middle of a statement.
    static IS_FIRST: Cell<bool> = Cell::new(true);
}

const LOOKED_FOR: Allowed = Allowed(
    1 << Kind::HeldCursor as u8 | 1 << Kind::TemporaryObject as u8 | 1 << Kind::SessionLock as u8,
);

/// What the setting `pg_tenancy.allowed_residue` says now.
pub fn allow(kinds: Allowed) {
    ALLOWED.set(kinds);
}

/// Something of that kind is about to be made: TN841 in a context, and a note
/// for the next one outside.
pub fn about_to_leave(kind: Kind, what: &str) -> Result<(), Fault> {
    if ALLOWED.get().has(kind) {
        return Ok(());
    }
    if context::current().is_some() {
        return Err(would_stay(kind, what));
    }
    SUSPECTED.set(SUSPECTED.get().with(kind));
    SEEN.set(SEEN.get().with(kind));
    Ok(())
}

fn would_stay(kind: Kind, what: &str) -> Fault {
    Fault::new(
        "TN841",
        format!("{what} would outlive this transaction, and so the tenant that it is in"),
    )
    .hint(format!(
        "{} A superuser can allow it: pg_tenancy.allowed_residue = '{}'.",
        instead(kind),
        kind.name()
    ))
}

fn instead(kind: Kind) -> &'static str {
    match kind {
        Kind::HeldCursor => "Declare the cursor WITHOUT HOLD.",
        Kind::TemporaryObject => "Make a temporary table with ON COMMIT DROP.",
        Kind::PreparedTransaction => "Commit.",
        Kind::Listen => "Listen on a connection that enters no tenant.",
        Kind::SessionSetting => "Use SET LOCAL, or set_config(…, true).",
        Kind::SessionLock => "Use pg_advisory_xact_lock.",
    }
}

thread_local! {
    static CURSOR_PLAN: Cell<pg_sys::SPIPlanPtr> = const { Cell::new(std::ptr::null_mut()) };
}

const HELD_CURSOR: Question = Question {
    sql: c"select 'the held cursor ' || pg_catalog.quote_ident(c.name)
           from pg_catalog.pg_cursors as c where c.is_holdable",
    types: &[],
    plan: &CURSOR_PLAN,
};

fn is_looked_for(kind: Kind) -> bool {
    SUSPECTED.get().has(kind) && !ALLOWED.get().has(kind)
}

/// Whether entering has to look for some.
pub fn is_suspected() -> bool {
    SUSPECTED.get().0 & !ALLOWED.get().0 & LOOKED_FOR.0 != 0
}

/// TN843 where the connection carries residue of an earlier transaction.
pub fn refuse_to_enter_with_any() -> Result<(), Fault> {
    for (kind, look) in [
        (Kind::HeldCursor, held_cursor as fn() -> _),
        (Kind::TemporaryObject, temporary_object),
        (Kind::SessionLock, session_lock),
    ] {
        if !is_looked_for(kind) {
            continue;
        }
        if let Some(what) = look()? {
            return Err(Fault::new(
                "TN843",
                format!("this connection carries {what} from before this tenant"),
            )
            .hint(format!(
                "Close it first (DISCARD ALL closes everything), or take a new connection. A superuser can allow it: pg_tenancy.allowed_residue = '{}'.",
                kind.name()
            )));
        }
        if !IS_FIRST.get() && !SEEN.get().has(kind) {
            SUSPECTED.set(Allowed(SUSPECTED.get().0 & !(1 << kind as u8)));
        }
    }
    if IS_FIRST.get() || objects::has_seen_set_config() {
        changed_settings::remember();
    }
    Ok(())
}

fn held_cursor() -> Result<Option<String>, Fault> {
    HELD_CURSOR.ask(&[], |row| row.and_then(|row| row.text(1)))
}

fn temporary_object() -> Result<Option<String>, Fault> {
    // What this transaction made before the library came may go with it (ON COMMIT
    // DROP), which the commit will show; what it made since then was seen.
    let is_seen = SEEN.get().has(Kind::TemporaryObject);
    let found = temporary::any().filter(|object| is_seen || !object.is_new);
    Ok(found.map(|object| format!("the temporary {}", object.name)))
}

fn session_lock() -> Result<Option<String>, Fault> {
    Ok(session_locks::is_any().then(|| SESSION_LOCK.to_owned()))
}

const SESSION_LOCK: &str = "a session's advisory lock";

/// `set_config` is about to be called.
pub fn before_set_config() {
    if context::current().is_some() {
        changed_settings::remember();
    }
}

/// TN841 where a function has changed a setting for the session within the context, or
/// taken a lock that nobody saw.
fn refuse_to_leave_any() -> Result<(), Fault> {
    if context::current().is_some()
        && let Some(name) = changed_settings::added()
    {
        about_to_leave(Kind::SessionSetting, &format!("the setting {name}"))?;
    }
    // Also when a rollback to a savepoint has taken the context away: it takes no lock.
    if context::has_entered() && is_looked_for(Kind::SessionLock) && session_locks::is_any() {
        return Err(would_stay(Kind::SessionLock, SESSION_LOCK));
    }
    Ok(())
}

/// At the end of a transaction, before it commits: TN841 for what would stay of a tenant.
pub fn before_commit() -> Result<(), Fault> {
    refuse_to_leave_any()?;
    if context::has_entered() && is_looked_for(Kind::TemporaryObject) {
        // PostgreSQL's own next step: what goes with the commit is gone then.
        // SAFETY: as PostgreSQL calls it; the second time finds nothing to do.
        unsafe { pg_sys::PreCommit_on_commit_actions() };
        if let Some(object) = temporary::any() {
            let what = format!("the temporary {}", object.name);
            return Err(would_stay(Kind::TemporaryObject, &what));
        }
    }
    Ok(())
}

/// For the end of a transaction. What is suspected stays so: a lock outlives a rollback.
pub fn forget() {
    changed_settings::forget();
    SEEN.set(Allowed(0));
    IS_FIRST.set(false);
}

/// Makes this connection one that has entered before, and is clean.
#[cfg(any(test, feature = "pg_test"))]
pub fn count_as_clean() {
    refuse_to_enter_with_any().expect("nothing is left from another test");
    SUSPECTED.set(Allowed(0));
    IS_FIRST.set(false);
}

sql_function!(
    tenancy_refuse_residue,
    pg_finfo_tenancy_refuse_residue,
    refuse_residue
);

/// What the commit would say, for who wants to know before it.
fn refuse_residue(call: pg_sys::FunctionCallInfo) -> Answer {
    refuse_to_leave_any()?;
    Ok(null(call))
}
