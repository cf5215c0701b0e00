//! What PostgreSQL tells while statements run: with `objects` the eyes of
//! `residue`, and the guard of EXPLAIN.
//!
//! A hook is called in the middle of PostgreSQL, and an error in what it calls
//! passes over it by longjmp. So it holds nothing with a destructor then.

use std::cell::Cell;
use std::ffi::{c_char, c_void};

use pgrx::{pg_guard, pg_sys};

use crate::committed::told;
use crate::fault::Fault;
use crate::residue::{self, Kind};
use crate::settings;
use crate::{backend, context, late, objects, rows, soft_delete, writing};

single! {
    static NEXT_UTILITY: Cell<pg_sys::ProcessUtility_hook_type> = Cell::new(None);
    static IS_EXPLAINING: Cell<bool> = Cell::new(false);
    /// How many savepoints there were when it began.
    static EXPLAINING_SINCE: Cell<i32> = Cell::new(0);
}

/// Puts the hooks in place, once per backend.
pub fn install() {
    // SAFETY: the functions have the types asked for; who was there before is called.
    unsafe {
        NEXT_UTILITY.set(pg_sys::ProcessUtility_hook);
        pg_sys::ProcessUtility_hook = Some(on_utility);
        pg_sys::RegisterXactCallback(Some(on_transaction), std::ptr::null_mut());
        pg_sys::RegisterSubXactCallback(Some(on_subtransaction), std::ptr::null_mut());
    }
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
        if builds_an_index(node)
            && let Err(fault) = context::tell_workers()
        {
            fault.raise();
        }
        let before = (objects::is_dropped_at_commit(), IS_EXPLAINING.get());
        // A key or a serial column of such a table is made by a statement within.
        let is_part = context == pg_sys::ProcessUtilityContext::PROCESS_UTILITY_SUBCOMMAND;
        objects::set_dropped_at_commit(drops_at_commit(node) || (is_part && before.0));
        if !before.1 && is_guarded_explain(node) {
            IS_EXPLAINING.set(true);
            EXPLAINING_SINCE.set(backend::nesting_level());
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
        objects::set_dropped_at_commit(before.0);
        IS_EXPLAINING.set(before.1);
        if let Err(fault) = objects::look_at_new() {
            fault.raise();
        }
    }
}

/// Whether it may start workers of its own; those of queries are `writing`'s.
unsafe fn builds_an_index(node: *mut pg_sys::Node) -> bool {
    // SAFETY: a node.
    matches!(
        unsafe { (*node).type_ },
        pg_sys::NodeTag::T_IndexStmt
            | pg_sys::NodeTag::T_ReindexStmt
            | pg_sys::NodeTag::T_AlterTableStmt
            | pg_sys::NodeTag::T_ClusterStmt
            | pg_sys::NodeTag::T_RefreshMatViewStmt
            | pg_sys::NodeTag::T_VacuumStmt
    )
}

unsafe fn look_at(node: *mut pg_sys::Node) -> Result<(), Fault> {
    // SAFETY: each tag says which statement the node is.
    unsafe {
        writing::keep_read_only();
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
            && !pg_sys::has_bypassrls_privilege(backend::role())
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

#[pg_guard]
unsafe extern "C-unwind" fn on_transaction(event: pg_sys::XactEvent::Type, _argument: *mut c_void) {
    let checked = match event {
        pg_sys::XactEvent::XACT_EVENT_PRE_COMMIT => residue::before_commit(),
        pg_sys::XactEvent::XACT_EVENT_PRE_PREPARE => {
            residue::about_to_leave(Kind::PreparedTransaction, "a prepared transaction")
                .and_then(|()| residue::before_commit())
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
    match event {
        pg_sys::XactEvent::XACT_EVENT_COMMIT => told::all_is_heard(),
        pg_sys::XactEvent::XACT_EVENT_ABORT => forget_what_may_be_missed(),
        _ => {}
    }
    if has_ended {
        IS_EXPLAINING.set(false);
        objects::forget();
        residue::forget();
        context::forget();
        writing::forget();
        late::forget();
        soft_delete::hide();
    }
}

/// An error may have come between a message of PostgreSQL's and us: see `told`.
fn forget_what_may_be_missed() {
    if told::may_have_missed_any() {
        told::forget_all();
        rows::forget_all();
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn on_subtransaction(
    event: pg_sys::SubXactEvent::Type,
    _id: pg_sys::SubTransactionId,
    _parent: pg_sys::SubTransactionId,
    _argument: *mut c_void,
) {
    let level = backend::nesting_level();
    if event == pg_sys::SubXactEvent::SUBXACT_EVENT_COMMIT_SUB {
        context::end_of_savepoint(level, false);
    }
    // An error has passed over what would have ended these.
    if event == pg_sys::SubXactEvent::SUBXACT_EVENT_ABORT_SUB {
        context::end_of_savepoint(level, true);
        forget_what_may_be_missed();
        objects::set_dropped_at_commit(false);
        soft_delete::hide();
        writing::forget_since(level);
        // Unless the savepoint was within what is explained.
        if level <= EXPLAINING_SINCE.get() {
            IS_EXPLAINING.set(false);
        }
    }
}
