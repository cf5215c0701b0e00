//! The boundary is asked first.
//!
//! PostgreSQL lets a leakproof condition that is cheap go before a policy, and takes
//! a function that sees no column for harmless, whatever it does. Together they tell
//! of other tenants' rows, with row-level security on and nothing of the attacker's
//! own: in `title < 'm' or pg_try_advisory_xact_lock(7)`, and in `title = 'secret' and
//! n = 1 / $1`, what is right of the comparison happens for the rows that pass it.
//!
//! So once a query is planned, wherever the boundary is among a scan's conditions, it
//! is put before the others. It is leakproof, costs next to nothing, and what comes
//! after it sees the tenant's own rows alone. What an index finds by another column is
//! not a condition that is asked: that has its comparison values before it begins.

use std::ffi::{CStr, c_void};

use pgrx::pg_sys;
use pgrx::pg_sys::NodeTag;

use crate::backend;
use crate::trust::length;

/// Where a boundary comes from in the text of a query, which nothing else does: a
/// mark that stays with a condition while it is planned.
const MARK: i32 = -7_377;

/// Marks the boundaries of a query, before it is planned. Whether there are any:
/// most queries of a database have none, and nothing to put first.
///
/// # Safety
/// A query that is about to be planned, and is nobody else's.
pub unsafe fn mark(query: *mut pg_sys::Query) -> bool {
    let mut has_any = false;
    // SAFETY: the caller's promise.
    unsafe { walk_query(query.cast(), (&raw mut has_any).cast()) };
    has_any
}

unsafe extern "C-unwind" {
    // From 16 on each is a macro around the second name, for type checks in C.
    #[cfg_attr(not(feature = "pg15"), link_name = "query_tree_walker_impl")]
    fn query_tree_walker(
        query: *mut pg_sys::Query,
        walker: unsafe extern "C-unwind" fn(*mut pg_sys::Node, *mut c_void) -> bool,
        context: *mut c_void,
        flags: i32,
    ) -> bool;
    #[cfg_attr(not(feature = "pg15"), link_name = "expression_tree_walker_impl")]
    pub fn expression_tree_walker(
        node: *mut pg_sys::Node,
        walker: unsafe extern "C-unwind" fn(*mut pg_sys::Node, *mut c_void) -> bool,
        context: *mut c_void,
    ) -> bool;
}

/// All levels of a query, also those within its policies.
unsafe extern "C-unwind" fn walk_query(node: *mut pg_sys::Node, has_any: *mut c_void) -> bool {
    if node.is_null() {
        return false;
    }
    // SAFETY: a node of the tree, and the flag of `mark`.
    unsafe {
        if (*node).type_ != NodeTag::T_Query {
            return expression_tree_walker(node, walk_query, has_any);
        }
        let query = node.cast::<pg_sys::Query>();
        let table = (*query).rtable;
        for i in 0..length(table) {
            let entry = pg_sys::list_nth(table, i).cast::<pg_sys::RangeTblEntry>();
            let conditions = (*entry).securityQuals;
            for i in 0..length(conditions) {
                if mark_condition(pg_sys::list_nth(conditions, i).cast()) {
                    *has_any.cast::<bool>() = true;
                }
            }
        }
        query_tree_walker(query, walk_query, has_any, 0)
    }
}

/// A comparison whose function is leakproof, as the boundaries are. Policies of other
/// kinds stay where PostgreSQL puts them. Whether it is one.
unsafe fn mark_condition(node: *mut pg_sys::Node) -> bool {
    // SAFETY: a node of the tree; each has the type that its tag says.
    unsafe {
        let (function, location) = match (*node).type_ {
            NodeTag::T_OpExpr => {
                let compares = node.cast::<pg_sys::OpExpr>();
                pg_sys::set_opfuncid(compares);
                ((*compares).opfuncid, &raw mut (*compares).location)
            }
            NodeTag::T_ScalarArrayOpExpr => {
                let compares = node.cast::<pg_sys::ScalarArrayOpExpr>();
                pg_sys::set_sa_opfuncid(compares);
                ((*compares).opfuncid, &raw mut (*compares).location)
            }
            _ => return false,
        };
        let is_boundary = function == pg_sys::Oid::from(pg_sys::F_UUID_EQ);
        if is_boundary {
            *location = MARK;
        }
        is_boundary
    }
}

/// Puts the boundaries first, in each scan of a plan. Whether there are any.
///
/// # Safety
/// A plan that was just made, and isn't used yet.
pub unsafe fn put_first(plan: *mut pg_sys::PlannedStmt) -> bool {
    // SAFETY: the caller's promise.
    unsafe {
        let current = current_tenant_id();
        order(current, (*plan).planTree) | order_each(current, (*plan).subplans)
    }
}

unsafe fn order_each(current: pg_sys::Oid, plans: *mut pg_sys::List) -> bool {
    // SAFETY: a list of plans.
    unsafe {
        (0..length(plans)).fold(false, |has_any, i| {
            order(current, pg_sys::list_nth(plans, i).cast()) | has_any
        })
    }
}

unsafe fn order(current: pg_sys::Oid, plan: *mut pg_sys::Plan) -> bool {
    // SAFETY: a plan, whose type its tag says.
    unsafe {
        if plan.is_null() {
            return false;
        }
        let mut has_any = partition((*plan).qual, |condition| is_boundary(current, condition));
        has_any |= order(current, (*plan).lefttree);
        has_any |= order(current, (*plan).righttree);
        has_any
            | match (*plan).type_ {
                NodeTag::T_Append => {
                    order_each(current, (*plan.cast::<pg_sys::Append>()).appendplans)
                }
                NodeTag::T_MergeAppend => {
                    order_each(current, (*plan.cast::<pg_sys::MergeAppend>()).mergeplans)
                }
                NodeTag::T_SubqueryScan => {
                    order(current, (*plan.cast::<pg_sys::SubqueryScan>()).subplan)
                }
                NodeTag::T_CustomScan => {
                    order_each(current, (*plan.cast::<pg_sys::CustomScan>()).custom_plans)
                }
                NodeTag::T_BitmapAnd => {
                    // It stops at the first that finds nothing, which then is the tenant's.
                    let parts = (*plan.cast::<pg_sys::BitmapAnd>()).bitmapplans;
                    order_each(current, parts)
                        | partition(parts, |part| searches_tenant(current, part))
                }
                NodeTag::T_BitmapOr => {
                    order_each(current, (*plan.cast::<pg_sys::BitmapOr>()).bitmapplans)
                }
                _ => false,
            }
    }
}

unsafe fn searches_tenant(current: pg_sys::Oid, plan: *mut pg_sys::Node) -> bool {
    // SAFETY: a plan, whose type its tag says.
    unsafe {
        if (*plan).type_ != NodeTag::T_BitmapIndexScan {
            return false;
        }
        let conditions = (*plan.cast::<pg_sys::BitmapIndexScan>()).indexqual;
        (0..length(conditions))
            .any(|i| is_boundary(current, pg_sys::list_nth(conditions, i).cast()))
    }
}

/// One that was marked, or one that the planner made of it, for a join.
unsafe fn is_boundary(current: pg_sys::Oid, node: *mut pg_sys::Node) -> bool {
    // SAFETY: a node of a plan.
    unsafe {
        match (*node).type_ {
            NodeTag::T_ScalarArrayOpExpr => {
                (*node.cast::<pg_sys::ScalarArrayOpExpr>()).location == MARK
            }
            NodeTag::T_OpExpr => {
                let compares = node.cast::<pg_sys::OpExpr>();
                let is_derived = (*compares).opfuncid == pg_sys::Oid::from(pg_sys::F_UUID_EQ)
                    && (0..length((*compares).args)).any(|i| {
                        let side = pg_sys::list_nth((*compares).args, i).cast::<pg_sys::Node>();
                        (*side).type_ == NodeTag::T_FuncExpr
                            && (*side.cast::<pg_sys::FuncExpr>()).funcid == current
                    });
                (*compares).location == MARK || is_derived
            }
            _ => false,
        }
    }
}

/// Those for which it holds first, each half in the order that it had. Whether there are any.
unsafe fn partition(list: *mut pg_sys::List, holds: impl Fn(*mut pg_sys::Node) -> bool) -> bool {
    // SAFETY: null or a list of nodes; places within it are exchanged.
    unsafe {
        let mut first = 0;
        for i in 0..length(list) as usize {
            let cells = (*list).elements;
            let node = (*cells.add(i)).ptr_value;
            if !holds(node.cast()) {
                continue;
            }
            for place in (first..i).rev() {
                (*cells.add(place + 1)).ptr_value = (*cells.add(place)).ptr_value;
            }
            (*cells.add(first)).ptr_value = node;
            first += 1;
        }
        first > 0
    }
}

/// Whether it is the function that the boundaries compare with.
pub unsafe fn is_current_tenant_id(function: pg_sys::Oid) -> bool {
    // SAFETY: look-ups in the caches of the catalog.
    unsafe { function != pg_sys::InvalidOid && function == current_tenant_id() }
}

pub unsafe fn current_tenant_id() -> pg_sys::Oid {
    // SAFETY: as `find_function`.
    unsafe { find_function(c"tenancy", c"current_tenant_id", &[]) }
}

/// A function of ours, by the caches of the catalog: a look-up by name would ask for
/// the caller's right to the schema. InvalidOid where the extension isn't there.
pub unsafe fn find_function(schema: &CStr, name: &CStr, arguments: &[pg_sys::Oid]) -> pg_sys::Oid {
    // SAFETY: C strings that live long enough; within a transaction.
    unsafe {
        let schema = pg_sys::get_namespace_oid(schema.as_ptr(), true);
        let arguments = pg_sys::buildoidvector(arguments.as_ptr(), arguments.len() as i32);
        pg_sys::GetSysCacheOid(
            pg_sys::SysCacheIdentifier::PROCNAMEARGSNSP as i32,
            pg_sys::Anum_pg_proc_oid as pg_sys::AttrNumber,
            pg_sys::Datum::from(name.as_ptr()),
            pg_sys::Datum::from(arguments),
            pg_sys::Datum::from(schema),
            pg_sys::Datum::null(),
        )
    }
}

/// Whether the role of this moment may call it.
pub unsafe fn may_call(function: pg_sys::Oid) -> bool {
    // SAFETY: a look-up in the caches of the catalog.
    unsafe {
        let role = backend::role();
        let execute = pg_sys::ACL_EXECUTE as pg_sys::AclMode;
        #[cfg(feature = "pg15")]
        let answer = pg_sys::pg_proc_aclcheck(function, role, execute);
        #[cfg(not(feature = "pg15"))]
        let answer = pg_sys::object_aclcheck(pg_sys::ProcedureRelationId, function, role, execute);
        answer == pg_sys::AclResult::ACLCHECK_OK
    }
}
