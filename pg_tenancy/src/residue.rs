//! Residue: what a transaction in a tenant could leave on its connection for the
//! next tenant to find.
//!
//! While a context is set it is refused (TN841), and a connection that carries
//! some already can't enter (TN843). PostgreSQL has no one place for all of it:
//! statements are seen by `hooks`, objects when they are made, and settings, which
//! also a function can change, at the end of the transaction.
//!
//! Entering must cost nothing where nothing happened. So the hooks note that there
//! may be residue, and only then is the catalog asked. A connection whose past is
//! unknown, because the library came later, is asked once.

use std::cell::{Cell, RefCell};

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

thread_local! {
    static ALLOWED: Cell<Allowed> = const { Cell::new(Allowed(0)) };
    /// What may be on the connection. At first what can be found without a doubt:
    /// of an advisory lock nobody can tell whether it is the session's.
    static SUSPECTED: Cell<Allowed> = const {
        Cell::new(Allowed(1 << Kind::HeldCursor as u8 | 1 << Kind::TemporaryObject as u8))
    };
    /// What a hook has seen being made.
    static SEEN: Cell<Allowed> = const { Cell::new(Allowed(0)) };
    /// Settings that were changed for the session before the context was set, or
    /// before the first change that this transaction made in it.
    static SETTINGS_BEFORE: RefCell<Option<Vec<Setting>>> = const { RefCell::new(None) };
}

#[derive(PartialEq)]
struct Setting {
    name: String,
    value: String,
}

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
        return Err(Fault::new(
            "TN841",
            format!("{what} would outlive this transaction, and so the tenant that it is in"),
        )
        .hint(format!(
            "{} A superuser can allow it: pg_tenancy.allowed_residue = '{}'.",
            instead(kind),
            kind.name()
        )));
    }
    SUSPECTED.set(SUSPECTED.get().with(kind));
    SEEN.set(SEEN.get().with(kind));
    Ok(())
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
    static OBJECT_PLAN: Cell<pg_sys::SPIPlanPtr> = const { Cell::new(std::ptr::null_mut()) };
    static LOCK_PLAN: Cell<pg_sys::SPIPlanPtr> = const { Cell::new(std::ptr::null_mut()) };
}

const WHERE_TO_LOOK: [(Kind, Question); 3] = [
    (
        Kind::HeldCursor,
        Question {
            sql: c"select 'the held cursor ' || pg_catalog.quote_ident(c.name), 'old'
                   from pg_catalog.pg_cursors as c where c.is_holdable",
            types: &[],
            plan: &CURSOR_PLAN,
        },
    ),
    (
        Kind::TemporaryObject,
        Question {
            sql: c"select 'the temporary object ' || pg_catalog.quote_ident(o.name),
                       case when o.made_by = pg_catalog.pg_current_xact_id_if_assigned()::pg_catalog.xid
                           then 'new' else 'old' end as age
                   from (
                       select c.relname::text as name, c.xmin as made_by from pg_catalog.pg_class as c
                       where c.relnamespace = pg_catalog.pg_my_temp_schema() and c.relkind <> 'i'
                       union all
                       select p.proname, p.xmin from pg_catalog.pg_proc as p
                       where p.pronamespace = pg_catalog.pg_my_temp_schema()
                   ) as o
                   where pg_catalog.pg_my_temp_schema() <> 0
                   order by age desc",
            types: &[],
            plan: &OBJECT_PLAN,
        },
    ),
    (
        Kind::SessionLock,
        Question {
            sql: c"select 'an advisory lock', 'old' from pg_catalog.pg_locks as l
                   where l.locktype = 'advisory' and l.pid = pg_catalog.pg_backend_pid()",
            types: &[],
            plan: &LOCK_PLAN,
        },
    ),
];

/// Whether entering has to look for some.
pub fn is_suspected() -> bool {
    WHERE_TO_LOOK
        .iter()
        .any(|&(kind, _)| SUSPECTED.get().has(kind) && !ALLOWED.get().has(kind))
}

/// TN843 where the connection carries residue of an earlier transaction.
pub fn refuse_to_enter_with_any() -> Result<(), Fault> {
    let suspected = SUSPECTED.get();
    for (kind, question) in WHERE_TO_LOOK {
        if !suspected.has(kind) || ALLOWED.get().has(kind) {
            continue;
        }
        let found = question.ask(&[], |row| row.map(|row| (row.text(1), row.text(2))))?;
        // What this transaction made before the library came may go with it (ON
        // COMMIT DROP); what it made since then was seen.
        let found = found.filter(|(_, age)| SEEN.get().has(kind) || age.as_deref() != Some("new"));
        if let Some((Some(what), _)) = found {
            return Err(Fault::new(
                "TN843",
                format!("this connection carries {what} from before this tenant"),
            )
            .hint(format!(
                "Close it first (DISCARD ALL closes everything), or take a new connection. A superuser can allow it: pg_tenancy.allowed_residue = '{}'.",
                kind.name()
            )));
        }
        SUSPECTED.set(Allowed(SUSPECTED.get().0 & !(1 << kind as u8)));
        SEEN.set(Allowed(SEEN.get().0 & !(1 << kind as u8)));
    }
    if objects::has_seen_set_config() {
        remember_settings();
    }
    Ok(())
}

/// Notes which settings this transaction has changed for the session until now.
/// The first time counts.
pub fn remember_settings() {
    let is_known = SETTINGS_BEFORE.with_borrow(Option::is_some);
    if !is_known {
        let changed = changed_settings();
        SETTINGS_BEFORE.set(Some(changed));
    }
}

/// At the end of a transaction, before it commits: TN841 where a function has
/// changed a setting for the session within the context.
pub fn check_settings() -> Result<(), Fault> {
    if context::current().is_none() {
        return Ok(());
    }
    // They stay noted: what is asked before the end may be changed after it.
    let added = SETTINGS_BEFORE.with_borrow(|before| {
        let before = before.as_ref()?;
        changed_settings()
            .into_iter()
            .find(|setting| !before.contains(setting))
    });
    added.map_or(Ok(()), |setting| {
        about_to_leave(
            Kind::SessionSetting,
            &format!("the setting {}", setting.name),
        )
    })
}

sql_function!(
    tenancy_refuse_residue,
    pg_finfo_tenancy_refuse_residue,
    refuse_residue
);

/// What the commit would say, for who wants to know before it.
fn refuse_residue(call: pg_sys::FunctionCallInfo) -> Answer {
    check_settings()?;
    Ok(null(call))
}

/// Nothing of an aborted transaction counts.
pub fn forget_settings() {
    SETTINGS_BEFORE.set(None);
}

/// The settings that will keep a new value when this transaction commits.
fn changed_settings() -> Vec<Setting> {
    // SAFETY: PostgreSQL's own array of its own length; the stack of a setting is
    // null where this transaction has not touched it.
    unsafe {
        #[cfg(feature = "pg15")]
        let (variables, number) = (pg_sys::get_guc_variables(), pg_sys::GetNumConfigOptions());
        #[cfg(not(feature = "pg15"))]
        let (variables, number) = {
            let mut number = 0;
            (pg_sys::get_guc_variables(&raw mut number), number)
        };
        let number = usize::try_from(number).unwrap_or(0);
        let variables = std::slice::from_raw_parts(variables, number);
        variables
            .iter()
            .filter(|&&variable| {
                let mut entry = (*variable).stack;
                let mut is_changed = false;
                while !entry.is_null() {
                    is_changed |= matches!(
                        (*entry).state,
                        pg_sys::GucStackState::GUC_SET | pg_sys::GucStackState::GUC_SET_LOCAL
                    );
                    entry = (*entry).prev;
                }
                is_changed
            })
            .map(|&variable| {
                let name = std::ffi::CStr::from_ptr((*variable).name);
                let value = pg_sys::GetConfigOption((*variable).name, true, false);
                Setting {
                    name: name.to_string_lossy().into_owned(),
                    value: if value.is_null() {
                        String::new()
                    } else {
                        std::ffi::CStr::from_ptr(value)
                            .to_string_lossy()
                            .into_owned()
                    },
                }
            })
            .collect()
    }
}
