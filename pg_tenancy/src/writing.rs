//! Who can only read writes nothing, by no order of things.
//!
//! PostgreSQL asks whether a transaction may write when a statement starts. A
//! statement that enters and writes in one (`insert … select … from enter(…)`) has
//! been asked before it entered. And a function that carries a setting of its own
//! takes it back when it ends, together with what was set inside.

use std::cell::{Cell, RefCell};

use pgrx::{pg_guard, pg_sys};

use crate::context;
use crate::fault::Fault;

thread_local! {
    static NEXT: Cell<pg_sys::ExecutorRun_hook_type> = const { Cell::new(None) };
    /// The statements that write and are under way, each as the number of savepoints
    /// there were when it started.
    static WRITING: RefCell<Vec<i32>> = const { RefCell::new(Vec::new()) };
}

/// Puts the hook in place, once per backend.
pub fn install() {
    // SAFETY: the function has the type asked for; who was there before is called.
    unsafe {
        NEXT.set(pg_sys::ExecutorRun_hook);
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

/// TN204 where the transaction has become one that writes again.
pub fn refuse_if_made_writable() -> Result<(), Fault> {
    // SAFETY: reads a flag of this backend.
    let is_writable = !unsafe { pg_sys::XactReadOnly };
    if is_writable {
        return context::refuse_to_write_if_read_only();
    }
    Ok(())
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
    #[link_name = "standard_ExecutorRun"]
    fn standard_run(
        query: *mut pg_sys::QueryDesc,
        direction: pg_sys::ScanDirection::Type,
        count: u64,
        #[cfg(not(feature = "pg18"))] is_once: bool,
    );
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
        let before = start(query);
        match NEXT.get() {
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
        let before = start(query);
        match NEXT.get() {
            Some(next) => next(query, direction, count),
            None => standard_run(query, direction, count),
        }
        end(before);
    }
}

/// How many statements that write are under way without this one; `None` for one
/// that doesn't.
unsafe fn start(query: *mut pg_sys::QueryDesc) -> Option<usize> {
    if let Err(fault) = refuse_if_made_writable() {
        fault.raise();
    }
    // SAFETY: a started query has a plan.
    let (is_writing, level) = unsafe {
        (
            (*query).operation != pg_sys::CmdType::CMD_SELECT
                || (*(*query).plannedstmt).hasModifyingCTE,
            pg_sys::GetCurrentTransactionNestLevel(),
        )
    };
    is_writing.then(|| {
        WRITING.with_borrow_mut(|writing| {
            writing.push(level);
            writing.len() - 1
        })
    })
}

fn end(before: Option<usize>) {
    if let Some(before) = before {
        WRITING.with_borrow_mut(|writing| writing.truncate(before));
    }
}
