//! A statement of isolated rows starts without what it never asks, and with its tenant
//! as a constant (see `tenant`).
//!
//! For each scan of an index PostgreSQL readies the conditions of the index twice: as
//! keys to search by, and as conditions to ask of a row again, where the index is lossy
//! or somebody has changed the row meanwhile. A B-tree is never lossy, and the rows that
//! were changed are asked by an executor of its own, made from the plan at that moment
//! (EvalPlanQualStart). With the boundary in it, which calls a function whose right is
//! looked up, this second copy costs a tenth of a query by the primary key.
//!
//! So while the statement is started, and only then, its plan lacks the second copy; it
//! is a copy of the plan, which is this execution's own, and complete again before a row
//! is read, for that other executor, for parallel workers and for EXPLAIN. An error on
//! the way leaves a copy that nobody has.

mod nodes;
mod tenant;

use std::cell::Cell;
use std::ffi::c_int;

use pgrx::pg_sys::NodeTag;
use pgrx::{pg_guard, pg_sys};

use nodes::{Found, conditions, look, size};

/// What a plan carries that can be started so: a bit that PostgreSQL has no use for (see
/// `late`).
const MARK: c_int = 1 << 29;
/// What only a copy of such a plan carries.
const COPIED: c_int = 1 << 28;

single! {
    static NEXT_END: Cell<pg_sys::ExecutorEnd_hook_type> = Cell::new(None);
}

/// Puts the hook in place, once per backend.
pub fn install() {
    // SAFETY: the function has the type asked for; who was there before is called.
    unsafe {
        NEXT_END.set(pg_sys::ExecutorEnd_hook);
        pg_sys::ExecutorEnd_hook = Some(on_end);
    }
    tenant::watch();
}

/// A plan of one execution, and the one that it was made of.
#[repr(C)]
struct Copy {
    statement: pg_sys::PlannedStmt,
    whole: *mut pg_sys::PlannedStmt,
}

/// Notes on a plan whether it can be started so.
///
/// # Safety
/// A plan that was just made.
pub unsafe fn mark(plan: *mut pg_sys::PlannedStmt) {
    // SAFETY: the caller's promise.
    unsafe {
        if look((*plan).planTree) == Found::BTrees {
            (*plan).jitFlags |= MARK;
            mark_tenant((*plan).planTree);
        }
    }
}

unsafe fn mark_tenant(plan: *mut pg_sys::Plan) {
    // SAFETY: as `look`.
    unsafe {
        if plan.is_null() || size(plan).is_none() {
            return;
        }
        match conditions(plan) {
            Some(conditions) => tenant::mark(*conditions),
            None => {
                mark_tenant((*plan).lefttree);
                mark_tenant((*plan).righttree);
            }
        }
    }
}

/// Before a statement starts. `end` must follow, unless an error does.
///
/// # Safety
/// A query that isn't started yet.
pub unsafe fn begin(query: *mut pg_sys::QueryDesc) {
    // SAFETY: the caller's promise. The copies live as long as the query itself.
    unsafe {
        let whole = (*query).plannedstmt;
        if (*whole).jitFlags & MARK == 0 {
            return;
        }
        let memory = pg_sys::GetMemoryChunkContext(query.cast());
        let copied = pg_sys::MemoryContextAlloc(memory, size_of::<Copy>()).cast::<Copy>();
        copied.write(Copy {
            statement: *whole,
            whole,
        });
        (*copied).statement.jitFlags |= COPIED;
        let tenant = tenant::of_this_execution();
        (*copied).statement.planTree = take_off((*whole).planTree, tenant, memory);
        (*query).plannedstmt = copied.cast();
    }
}

/// After it has started: its plan is complete again.
///
/// # Safety
/// After `begin`.
pub unsafe fn end(query: *mut pg_sys::QueryDesc) {
    // SAFETY: the caller's promise.
    unsafe {
        if let Some(copied) = copy_of(query) {
            let whole = (*copied).whole;
            put_back((*copied).statement.planTree, (*whole).planTree);
        }
    }
}

unsafe fn copy_of(query: *mut pg_sys::QueryDesc) -> Option<*mut Copy> {
    // SAFETY: a query after `begin`, which is the only one to make what is marked so:
    // where a marked plan comes from another process, it was copied once more.
    unsafe {
        let statement = (*query).plannedstmt;
        ((*statement).jitFlags & COPIED != 0).then(|| statement.cast())
    }
}

unsafe extern "C-unwind" {
    #[link_name = "standard_ExecutorEnd"]
    fn standard_end(query: *mut pg_sys::QueryDesc);
}

#[pg_guard]
unsafe extern "C-unwind" fn on_end(query: *mut pg_sys::QueryDesc) {
    // SAFETY: a query that is over; nobody has its copy any more.
    unsafe {
        match NEXT_END.get() {
            Some(next) => next(query),
            None => standard_end(query),
        }
        if let Some(copied) = copy_of(query) {
            (*query).plannedstmt = (*copied).whole;
            free((*copied).statement.planTree);
            pg_sys::pfree(copied.cast());
        }
    }
}

unsafe fn copy<T>(node: *mut T, size: usize, memory: pg_sys::MemoryContext) -> *mut T {
    // SAFETY: that much memory is answered with; the node has that size.
    unsafe {
        let copied = pg_sys::MemoryContextAlloc(memory, size).cast::<u8>();
        std::ptr::copy_nonoverlapping(node.cast::<u8>(), copied, size);
        copied.cast()
    }
}

unsafe fn take_off(
    plan: *mut pg_sys::Plan,
    tenant: Option<pg_sys::Datum>,
    memory: pg_sys::MemoryContext,
) -> *mut pg_sys::Plan {
    // SAFETY: as `look`; only copies are changed.
    unsafe {
        if plan.is_null() {
            return plan;
        }
        let Some(size) = size(plan) else {
            return plan;
        };
        let copied = copy(plan, size, memory);
        if let (Some(tenant), Some(conditions)) = (tenant, conditions(copied)) {
            *conditions = tenant::put_in(*conditions, tenant, memory);
        }
        match (*copied).type_ {
            NodeTag::T_IndexScan => {
                (*copied.cast::<pg_sys::IndexScan>()).indexqualorig = std::ptr::null_mut();
            }
            NodeTag::T_IndexOnlyScan => {
                (*copied.cast::<pg_sys::IndexOnlyScan>()).recheckqual = std::ptr::null_mut();
            }
            _ => {
                (*copied).lefttree = take_off((*plan).lefttree, tenant, memory);
                (*copied).righttree = take_off((*plan).righttree, tenant, memory);
            }
        }
        copied
    }
}

/// What `take_off` has made.
unsafe fn free(copied: *mut pg_sys::Plan) {
    // SAFETY: it copies what has a size, and of an index scan nothing below.
    unsafe {
        if copied.is_null() || size(copied).is_none() {
            return;
        }
        if !matches!(
            (*copied).type_,
            NodeTag::T_IndexScan | NodeTag::T_IndexOnlyScan
        ) {
            free((*copied).lefttree);
            free((*copied).righttree);
        }
        pg_sys::pfree(copied.cast());
    }
}

unsafe fn put_back(copied: *mut pg_sys::Plan, whole: *mut pg_sys::Plan) {
    // SAFETY: `take_off` has made the one of the other.
    unsafe {
        // What was left as it is, is one and the same.
        if copied == whole {
            return;
        }
        if let (Some(now), Some(before)) = (conditions(copied), conditions(whole))
            && *now != *before
        {
            pg_sys::pfree((*now).cast());
            *now = *before;
        }
        match (*copied).type_ {
            NodeTag::T_IndexScan => {
                (*copied.cast::<pg_sys::IndexScan>()).indexqualorig =
                    (*whole.cast::<pg_sys::IndexScan>()).indexqualorig;
            }
            NodeTag::T_IndexOnlyScan => {
                (*copied.cast::<pg_sys::IndexOnlyScan>()).recheckqual =
                    (*whole.cast::<pg_sys::IndexOnlyScan>()).recheckqual;
            }
            _ => {
                put_back((*copied).lefttree, (*whole).lefttree);
                put_back((*copied).righttree, (*whole).righttree);
            }
        }
    }
}
