//! What PostgreSQL tells while statements run: the eyes of `residue`, and the
//! guard of EXPLAIN.
//!
//! A hook is called in the middle of PostgreSQL, and an error in what it calls
//! passes over it by longjmp. So it holds nothing with a destructor then.

use std::cell::{Cell, RefCell};
use std::ffi::{c_char, c_int, c_void};

use pgrx::{pg_guard, pg_sys};

use crate::context;
use crate::fault::Fault;
use crate::residue::{self, Kind};
use crate::settings;

thread_local! {
    static NEXT_UTILITY: Cell<pg_sys::ProcessUtility_hook_type> = const { Cell::new(None) };
    static NEXT_ACCESS: Cell<pg_sys::object_access_hook_type> = const { Cell::new(None) };
    /// The statement that runs makes temporary tables that go at commit.
    static IS_DROPPED_AT_COMMIT: Cell<bool> = const { Cell::new(false) };
    static IS_EXPLAINING: Cell<bool> = const { Cell::new(false) };
    /// How many savepoints there were when it began.
    static EXPLAINING_SINCE: Cell<i32> = const { Cell::new(0) };
    static HAS_SEEN_SET_CONFIG: Cell<bool> = const { Cell::new(false) };
    /// Relations and functions that the statement has made, by catalog and oid.
    static NEW_OBJECTS: RefCell<Vec<(pg_sys::Oid, pg_sys::Oid)>> = const { RefCell::new(Vec::new()) };
}

/// Puts the hooks in place, once per backend.
pub fn install() {
    // SAFETY: the functions have the types asked for; who was there before is called.
    unsafe {
        NEXT_UTILITY.set(pg_sys::ProcessUtility_hook);
        pg_sys::ProcessUtility_hook = Some(on_utility);
        NEXT_ACCESS.set(pg_sys::object_access_hook);
        pg_sys::object_access_hook = Some(on_access);
        pg_sys::RegisterXactCallback(Some(on_transaction), std::ptr::null_mut());
        pg_sys::RegisterSubXactCallback(Some(on_subtransaction), std::ptr::null_mut());
    }
}

/// Whether this transaction has called `set_config`, which may change a setting
/// for the session.
pub fn has_seen_set_config() -> bool {
    HAS_SEEN_SET_CONFIG.get()
}

/// TN842 while EXPLAIN runs: its numbers would be about a tenant.
pub fn refuse_to_enter_while_explaining() -> Result<(), Fault> {
    if IS_EXPLAINING.get() {
        return Err(no_explain());
    }
    Ok(())
}

fn no_explain() -> Fault {
    Fault::new(
        "TN842",
        "EXPLAIN would tell what other tenants have: estimates and counts of rows are about all of them",
    )
    .hint("A DBA can explain it, or allow it: pg_tenancy.explain = 'allow'.")
}

unsafe extern "C-unwind" {
    #[link_name = "standard_ProcessUtility"]
    fn standard_utility(
        statement: *mut pg_sys::PlannedStmt,
        text: *const c_char,
        is_read_only: bool,
        context: pg_sys::ProcessUtilityContext::Type,
        params: pg_sys::ParamListInfo,
        environment: *mut pg_sys::QueryEnvironment,
        destination: *mut pg_sys::DestReceiver,
        completion: *mut pg_sys::QueryCompletion,
    );
}

#[pg_guard]
#[allow(clippy::too_many_arguments)] // They are PostgreSQL's.
unsafe extern "C-unwind" fn on_utility(
    statement: *mut pg_sys::PlannedStmt,
    text: *const c_char,
    is_read_only: bool,
    context: pg_sys::ProcessUtilityContext::Type,
    params: pg_sys::ParamListInfo,
    environment: *mut pg_sys::QueryEnvironment,
    destination: *mut pg_sys::DestReceiver,
    completion: *mut pg_sys::QueryCompletion,
) {
    // SAFETY: the statement is a parsed one; the others are passed on as they are.
    unsafe {
        let node = (*statement).utilityStmt;
        if let Err(fault) = look_at(node) {
            fault.raise();
        }
        let before = (IS_DROPPED_AT_COMMIT.get(), IS_EXPLAINING.get());
        // A key or a serial column of such a table is made by a statement within.
        let is_part = context == pg_sys::ProcessUtilityContext::PROCESS_UTILITY_SUBCOMMAND;
        IS_DROPPED_AT_COMMIT.set(drops_at_commit(node) || (is_part && before.0));
        if !before.1 && is_guarded_explain(node) {
            IS_EXPLAINING.set(true);
            EXPLAINING_SINCE.set(pg_sys::GetCurrentTransactionNestLevel());
        }

        let next = NEXT_UTILITY.get();
        match next {
            Some(next) => next(
                statement,
                text,
                is_read_only,
                context,
                params,
                environment,
                destination,
                completion,
            ),
            None => standard_utility(
                statement,
                text,
                is_read_only,
                context,
                params,
                environment,
                destination,
                completion,
            ),
        }
        IS_DROPPED_AT_COMMIT.set(before.0);
        IS_EXPLAINING.set(before.1);
        if let Err(fault) = look_at_new_objects() {
            fault.raise();
        }
    }
}

unsafe fn look_at(node: *mut pg_sys::Node) -> Result<(), Fault> {
    // SAFETY: each tag says which statement the node is.
    unsafe {
        match (*node).type_ {
            pg_sys::NodeTag::T_DeclareCursorStmt => {
                let declared = node.cast::<pg_sys::DeclareCursorStmt>();
                if (*declared).options as u32 & pg_sys::CURSOR_OPT_HOLD != 0 {
                    residue::about_to_leave(Kind::HeldCursor, "a cursor WITH HOLD")?;
                }
            }
            pg_sys::NodeTag::T_ListenStmt => {
                residue::about_to_leave(Kind::Listen, "LISTEN")?;
            }
            pg_sys::NodeTag::T_VariableSetStmt => {
                let set = node.cast::<pg_sys::VariableSetStmt>();
                let is_a_value = matches!(
                    (*set).kind,
                    pg_sys::VariableSetKind::VAR_SET_VALUE
                        | pg_sys::VariableSetKind::VAR_SET_CURRENT
                        | pg_sys::VariableSetKind::VAR_SET_MULTI
                );
                // SET TRANSACTION has no LOCAL and is local all the same. Only the
                // grammar makes such a name of this kind: a setting can be called so, too.
                let is_of_transaction = (*set).kind == pg_sys::VariableSetKind::VAR_SET_MULTI
                    && matches!(
                        std::ffi::CStr::from_ptr((*set).name).to_bytes(),
                        b"TRANSACTION" | b"TRANSACTION SNAPSHOT"
                    );
                if is_a_value && !(*set).is_local && !is_of_transaction {
                    residue::about_to_leave(Kind::SessionSetting, "SET without LOCAL")?;
                }
            }
            // For every connection to come, this tenant's or not.
            pg_sys::NodeTag::T_AlterRoleSetStmt | pg_sys::NodeTag::T_AlterDatabaseSetStmt
                if context::current().is_some() =>
            {
                residue::about_to_leave(Kind::SessionSetting, "a setting of a role or database")?;
            }
            pg_sys::NodeTag::T_ExplainStmt
                if context::current().is_some() && is_guarded_explain(node) =>
            {
                return Err(no_explain());
            }
            _ => {}
        }
    }
    Ok(())
}

/// EXPLAIN by somebody whom row-level security binds, where it isn't allowed.
unsafe fn is_guarded_explain(node: *mut pg_sys::Node) -> bool {
    // SAFETY: a node; the role is looked up in a cache.
    unsafe {
        (*node).type_ == pg_sys::NodeTag::T_ExplainStmt
            && settings::is_explain_refused()
            && !pg_sys::has_bypassrls_privilege(pg_sys::GetUserId())
    }
}

unsafe fn drops_at_commit(node: *mut pg_sys::Node) -> bool {
    // SAFETY: each tag says which statement the node is.
    let action = unsafe {
        match (*node).type_ {
            pg_sys::NodeTag::T_CreateStmt => (*node.cast::<pg_sys::CreateStmt>()).oncommit,
            pg_sys::NodeTag::T_CreateTableAsStmt => {
                let into = (*node.cast::<pg_sys::CreateTableAsStmt>()).into;
                (*into).onCommit
            }
            _ => return false,
        }
    };
    action == pg_sys::OnCommitAction::ONCOMMIT_DROP
}

/// `pg_advisory_lock` and its sisters that lock for the session, by their oids
/// in pg_proc.dat, which never change.
pub const SESSION_LOCKS: [u32; 8] = [2880, 2881, 2882, 2883, 2886, 2887, 2888, 2889];
pub const SET_CONFIG: u32 = 2078;

#[pg_guard]
unsafe extern "C-unwind" fn on_access(
    access: pg_sys::ObjectAccessType::Type,
    class: pg_sys::Oid,
    object: pg_sys::Oid,
    part: c_int,
    argument: *mut c_void,
) {
    let seen = match access {
        pg_sys::ObjectAccessType::OAT_FUNCTION_EXECUTE => on_function(object),
        pg_sys::ObjectAccessType::OAT_POST_CREATE => {
            // PostgreSQL's own helpers, such as the copy that a rewrite makes, go by
            // themselves.
            // SAFETY: with this access the argument is null or says so.
            let is_internal = unsafe {
                argument
                    .cast::<pg_sys::ObjectAccessPostCreate>()
                    .as_ref()
                    .is_some_and(|made| made.is_internal)
            };
            if !is_internal {
                on_new_object(class, object);
            }
            Ok(())
        }
        _ => Ok(()),
    };
    if let Err(fault) = seen {
        fault.raise();
    }
    let next = NEXT_ACCESS.get();
    if let Some(next) = next {
        // SAFETY: as PostgreSQL would have called it.
        unsafe { next(access, class, object, part, argument) };
    }
}

/// Before a query calls the function; once per query, not per row.
fn on_function(function: pg_sys::Oid) -> Result<(), Fault> {
    let function = u32::from(function);
    if SESSION_LOCKS.contains(&function) {
        residue::about_to_leave(Kind::SessionLock, "a session's advisory lock")?;
    } else if function == SET_CONFIG {
        HAS_SEEN_SET_CONFIG.set(true);
        if context::current().is_some() {
            residue::remember_settings();
        }
    }
    Ok(())
}

/// Notes what is new. Its row can't be read yet: `look_at_new_objects` does that,
/// when the statement has ended.
fn on_new_object(class: pg_sys::Oid, object: pg_sys::Oid) {
    let is_looked_at = class == pg_sys::RelationRelationId || class == pg_sys::ProcedureRelationId;
    if is_looked_at && !IS_DROPPED_AT_COMMIT.get() {
        NEW_OBJECTS.with_borrow_mut(|objects| objects.push((class, object)));
    }
}

fn look_at_new_objects() -> Result<(), Fault> {
    let objects = NEW_OBJECTS.take();
    if objects.is_empty() {
        return Ok(());
    }
    // SAFETY: between two commands; then look-ups in the caches of the catalog.
    let is_any_temporary = unsafe {
        pg_sys::CommandCounterIncrement();
        objects.into_iter().any(|(class, object)| {
            let namespace = match class {
                pg_sys::RelationRelationId => {
                    // An index holds what its table holds, which was looked at.
                    let kind = pg_sys::get_rel_relkind(object) as u8;
                    if matches!(kind, b'i' | b'I') {
                        return false;
                    }
                    pg_sys::get_rel_namespace(object)
                }
                _ => pg_sys::get_func_namespace(object),
            };
            namespace != pg_sys::InvalidOid && pg_sys::isTempNamespace(namespace)
        })
    };
    if is_any_temporary {
        residue::about_to_leave(Kind::TemporaryObject, "a temporary object")?;
    }
    Ok(())
}

#[pg_guard]
unsafe extern "C-unwind" fn on_transaction(event: pg_sys::XactEvent::Type, _argument: *mut c_void) {
    let checked = match event {
        pg_sys::XactEvent::XACT_EVENT_PRE_COMMIT => residue::check_settings(),
        pg_sys::XactEvent::XACT_EVENT_PRE_PREPARE => {
            residue::about_to_leave(Kind::PreparedTransaction, "a prepared transaction")
        }
        _ => Ok(()),
    };
    if let Err(fault) = checked {
        fault.raise();
    }
    let has_ended = matches!(
        event,
        pg_sys::XactEvent::XACT_EVENT_ABORT
            | pg_sys::XactEvent::XACT_EVENT_COMMIT
            | pg_sys::XactEvent::XACT_EVENT_PREPARE
    );
    if has_ended {
        IS_DROPPED_AT_COMMIT.set(false);
        IS_EXPLAINING.set(false);
        HAS_SEEN_SET_CONFIG.set(false);
        NEW_OBJECTS.set(Vec::new());
        residue::forget_settings();
        context::forget_first();
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn on_subtransaction(
    event: pg_sys::SubXactEvent::Type,
    _id: pg_sys::SubTransactionId,
    _parent: pg_sys::SubTransactionId,
    _argument: *mut c_void,
) {
    // An error has passed over what would have ended these.
    if event == pg_sys::SubXactEvent::SUBXACT_EVENT_ABORT_SUB {
        IS_DROPPED_AT_COMMIT.set(false);
        // Unless the savepoint was within what is explained.
        // SAFETY: reads the state of this backend.
        if unsafe { pg_sys::GetCurrentTransactionNestLevel() } <= EXPLAINING_SINCE.get() {
            IS_EXPLAINING.set(false);
        }
        NEW_OBJECTS.set(Vec::new());
    }
}
