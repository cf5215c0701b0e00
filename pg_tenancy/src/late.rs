//! Plans that were made before the library was loaded.
//!
//! A connection loads it at the first call of one of its functions, and planning a
//! query of isolated rows calls one: that query itself is planned without `planner`,
//! so with other conditions before the boundary. In mode `error` planning it fails; in
//! mode `empty` its plan is put in order here before it starts, and it finds no row,
//! for no tenant can be entered until its transaction is over.

use std::cell::Cell;
use std::ffi::c_int;

use pgrx::pg_sys;

use crate::backend;
use crate::boundary_first::{current_tenant_id, put_first};
use crate::context;
use crate::fault::Fault;
use crate::trust::{self, length};

/// What a plan that `planner` has seen carries: a bit that PostgreSQL has no use for,
/// in a field that goes with the plan's copies and to parallel workers.
const MARK: c_int = 1 << 30;

single! {
    /// This transaction has started a plan that was made too early.
    static HAS_STARTED: Cell<bool> = Cell::new(false);
}

/// Once per backend, when the library is loaded: plans that are kept are made again.
pub fn forget_plans() {
    // SAFETY: it marks them, and frees nothing; without a transaction there are none.
    unsafe {
        if pg_sys::IsTransactionState() {
            pg_sys::ResetPlanCache();
        }
    }
}

/// Notes that `planner` has seen to a plan.
///
/// # Safety
/// A plan that was just made.
pub unsafe fn mark(plan: *mut pg_sys::PlannedStmt) {
    // SAFETY: the caller's promise.
    unsafe { (*plan).jitFlags |= MARK };
}

/// Before a statement starts: puts in order what was planned too early, or TN001.
///
/// # Safety
/// A query that isn't started yet.
pub unsafe fn before_start(query: *mut pg_sys::QueryDesc) -> Result<(), Fault> {
    // SAFETY: the caller's promise.
    unsafe {
        let plan = (*query).plannedstmt;
        if !is_late(plan) {
            return Ok(());
        }
        // The boundary of `tenancy.users`, a subquery, is known by `boundary_first`'s mark alone.
        if context::current().is_some() || has_policy_where(plan, |policy| policy.hassublinks) {
            return Err(too_early());
        }
        put_first(plan);
        HAS_STARTED.set(true);
        mark(plan);
    }
    Ok(())
}

/// Before a statement runs: TN001 where `before_start` came too late for it. A scan's
/// estimate loads the library, so that is for what only writes, which goes on.
///
/// # Safety
/// A query that was started.
pub unsafe fn before_run(query: *mut pg_sys::QueryDesc) -> Result<(), Fault> {
    // SAFETY: the caller's promise; what is in order already stays as it is.
    unsafe {
        let plan = (*query).plannedstmt;
        if is_late(plan) && put_first(plan) {
            return Err(too_early());
        }
    }
    Ok(())
}

/// TN001 in a transaction that has started such a plan: it may still be under way.
pub fn refuse_to_enter() -> Result<(), Fault> {
    if HAS_STARTED.get() {
        return Err(too_early());
    }
    Ok(())
}

/// For the end of a transaction.
pub fn forget() {
    HAS_STARTED.set(false);
}

fn too_early() -> Fault {
    Fault::new(
        "TN001",
        "a query of isolated rows came before this connection had loaded pg_tenancy",
    )
    .hint("Run the transaction again, and enter first. With pg_tenancy in session_preload_libraries this doesn't happen.")
}

/// Whether it asks for the tenant, of tables with policies, and `planner` hasn't seen it.
unsafe fn is_late(plan: *mut pg_sys::PlannedStmt) -> bool {
    // SAFETY: a plan; then look-ups in the caches of the catalog.
    unsafe {
        (*plan).jitFlags & MARK == 0
            && !pg_sys::has_bypassrls_privilege(backend::role())
            && calls(plan, current_tenant_id())
            && has_policy_where(plan, |_| true)
    }
}

/// Plans know the functions that they call by a hash, so that they are made again when
/// one is replaced.
unsafe fn calls(plan: *mut pg_sys::PlannedStmt, function: pg_sys::Oid) -> bool {
    let functions = pg_sys::SysCacheIdentifier::PROCOID as i32;
    let none = pg_sys::Datum::null();
    // SAFETY: a list of such items.
    unsafe {
        let hash = pg_sys::GetSysCacheHashValue(functions, function.into(), none, none, none);
        let items = (*plan).invalItems;
        (0..length(items)).any(|i| {
            let item = pg_sys::list_nth(items, i).cast::<pg_sys::PlanInvalItem>();
            (*item).cacheId == functions && (*item).hashValue == hash
        })
    }
}

unsafe fn has_policy_where(
    plan: *mut pg_sys::PlannedStmt,
    holds: impl Fn(&pg_sys::RowSecurityPolicy) -> bool,
) -> bool {
    // SAFETY: a plan's relations are locked when it starts.
    unsafe {
        let relations = (*plan).relationOids;
        (0..length(relations))
            .any(|i| trust::has_policy_where(pg_sys::list_nth_oid(relations, i), &holds))
    }
}
