//! Who can only read writes nothing, by no order of things.
//!
//! PostgreSQL asks whether a transaction may write when a statement starts. A
//! statement that enters and writes in one (`insert … select … from enter(…)`) has
//! been asked before it entered, so it is refused. And what entering has set is
//! taken back by RELEASE of the savepoint, or the end of the function with a setting
//! of its own, in which it was set, while the context goes on: so it is set again
//! before each statement.

use std::cell::{Cell, RefCell};
use std::ffi::c_int;

use pgrx::{pg_guard, pg_sys};

use crate::backend;
use crate::context;
use crate::fault::Fault;
use crate::trust::length;
use crate::{late, lean};

single! {
    static NEXT_START: Cell<pg_sys::ExecutorStart_hook_type> = Cell::new(None);
    static NEXT_RUN: Cell<pg_sys::ExecutorRun_hook_type> = Cell::new(None);
    /// The statements that write and are under way, each as the number of savepoints
    /// there were when it started.
    static WRITING: RefCell<Vec<i32>> = RefCell::new(Vec::new());
}

/// Puts the hooks in place, once per backend.
pub fn install() {
    // SAFETY: the functions have the types asked for; who was there before is called.
    unsafe {
        NEXT_START.set(pg_sys::ExecutorStart_hook);
        pg_sys::ExecutorStart_hook = Some(on_start);
        NEXT_RUN.set(pg_sys::ExecutorRun_hook);
        pg_sys::ExecutorRun_hook = Some(on_run);
    }
}

/// TN204 where the statement that enters also writes.
pub fn refuse_to_enter_while_writing() -> Result<(), Fault> {
    if WRITING.with_borrow(Vec::is_empty) {
        return Ok(());
    }
    Err(Fault::new(
        "TN204",
        "who can only read can't enter by a statement that writes",
    )
    .hint("Enter first, in a statement of its own."))
}

/// Before a statement: what can only read stays so.
pub fn keep_read_only() {
    if context::current().is_some_and(|context| context.is_read_only) {
        // SAFETY: a flag of this backend, which goes with the transaction.
        unsafe { pg_sys::XactReadOnly = true };
    }
}

/// For the end of a savepoint by an error: what was started in it is over.
pub fn forget_since(level: i32) {
    WRITING.with_borrow_mut(|writing| writing.retain(|&started| started < level));
}

/// For the end of a transaction.
pub fn forget() {
    WRITING.with_borrow_mut(Vec::clear);
}

unsafe extern "C-unwind" {
    #[link_name = "standard_ExecutorStart"]
    fn standard_start(query: *mut pg_sys::QueryDesc, flags: c_int);
    #[link_name = "standard_ExecutorRun"]
    fn standard_run(
        query: *mut pg_sys::QueryDesc,
        direction: pg_sys::ScanDirection::Type,
        count: u64,
        #[cfg(not(feature = "pg18"))] is_once: bool,
    );
}

#[pg_guard]
unsafe extern "C-unwind" fn on_start(query: *mut pg_sys::QueryDesc, flags: c_int) {
    keep_read_only();
    // SAFETY: the arguments are passed on as they are.
    unsafe {
        if let Err(fault) = late::before_start(query) {
            fault.raise();
        }
        lean::begin(query);
        match NEXT_START.get() {
            Some(next) => next(query, flags),
            None => standard_start(query, flags),
        }
        lean::end(query);
    }
}

#[cfg(not(feature = "pg18"))]
#[pg_guard]
unsafe extern "C-unwind" fn on_run(
    query: *mut pg_sys::QueryDesc,
    direction: pg_sys::ScanDirection::Type,
    count: u64,
    is_once: bool,
) {
    // SAFETY: a query that has been started; the arguments are passed on as they are.
    unsafe {
        if let Err(fault) = late::before_run(query) {
            fault.raise();
        }
        if (*(*query).plannedstmt).parallelModeNeeded
            && let Err(fault) = context::tell_workers()
        {
            fault.raise();
        }
        let before = begin(query);
        match NEXT_RUN.get() {
            Some(next) => next(query, direction, count, is_once),
            None => standard_run(query, direction, count, is_once),
        }
        end(before);
    }
}

#[cfg(feature = "pg18")]
#[pg_guard]
unsafe extern "C-unwind" fn on_run(
    query: *mut pg_sys::QueryDesc,
    direction: pg_sys::ScanDirection::Type,
    count: u64,
) {
    // SAFETY: as above.
    unsafe {
        if let Err(fault) = late::before_run(query) {
            fault.raise();
        }
        if (*(*query).plannedstmt).parallelModeNeeded
            && let Err(fault) = context::tell_workers()
        {
            fault.raise();
        }
        let before = begin(query);
        match NEXT_RUN.get() {
            Some(next) => next(query, direction, count),
            None => standard_run(query, direction, count),
        }
        end(before);
    }
}

/// How many statements that write are under way without this one; `None` for one
/// that doesn't.
unsafe fn begin(query: *mut pg_sys::QueryDesc) -> Option<usize> {
    // SAFETY: a started query has a plan.
    let (is_writing, level) = unsafe {
        let plan = (*query).plannedstmt;
        (
            (*query).operation != pg_sys::CmdType::CMD_SELECT
                || (*plan).hasModifyingCTE
                || locks_rows(plan),
            backend::nesting_level(),
        )
    };
    is_writing.then(|| {
        WRITING.with_borrow_mut(|writing| {
            writing.push(level);
            writing.len() - 1
        })
    })
}

/// FOR UPDATE and its sisters: a lock is written to the row, and holds up who writes it.
unsafe fn locks_rows(plan: *mut pg_sys::PlannedStmt) -> bool {
    // SAFETY: the marks of a plan.
    unsafe {
        let marks = (*plan).rowMarks;
        (0..length(marks)).any(|i| {
            let mark = pg_sys::list_nth(marks, i).cast::<pg_sys::PlanRowMark>();
            (*mark).markType < pg_sys::RowMarkType::ROW_MARK_REFERENCE
        })
    }
}

fn end(before: Option<usize>) {
    if let Some(before) = before {
        WRITING.with_borrow_mut(|writing| writing.truncate(before));
    }
}
