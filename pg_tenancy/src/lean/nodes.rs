//! The nodes of a plan that can be started without something, and what is in them.

use pgrx::pg_sys;
use pgrx::pg_sys::NodeTag;

/// What kinds of index scans there are, as far as `size` goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Found {
    None,
    BTrees,
    Others,
}

/// What there is from that node on.
///
/// # Safety
/// A plan, or null.
pub unsafe fn look(plan: *mut pg_sys::Plan) -> Found {
    // SAFETY: a plan, whose type its tag says.
    unsafe {
        if plan.is_null() || size(plan).is_none() {
            return Found::None;
        }
        let index = match (*plan).type_ {
            NodeTag::T_IndexScan => (*plan.cast::<pg_sys::IndexScan>()).indexid,
            NodeTag::T_IndexOnlyScan => (*plan.cast::<pg_sys::IndexOnlyScan>()).indexid,
            _ => {
                return match [look((*plan).lefttree), look((*plan).righttree)] {
                    [Found::Others, _] | [_, Found::Others] => Found::Others,
                    [Found::None, Found::None] => Found::None,
                    _ => Found::BTrees,
                };
            }
        };
        if is_btree(index) {
            Found::BTrees
        } else {
            Found::Others
        }
    }
}

unsafe fn is_btree(index: pg_sys::Oid) -> bool {
    let relations = pg_sys::SysCacheIdentifier::RELOID as i32;
    // SAFETY: a look-up in a cache of the catalog, which is released.
    unsafe {
        let tuple = pg_sys::SearchSysCache1(relations, index.into());
        if tuple.is_null() {
            return false;
        }
        let class = pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_class>();
        let is_btree = (*class).relam == pg_sys::Oid::from(pg_sys::BuiltinOid::BTREE_AM_OID);
        pg_sys::ReleaseSysCache(tuple);
        is_btree
    }
}

/// How large a node is; `None` for one that is left as it is, with all below.
///
/// # Safety
/// As `look`, and not null.
pub unsafe fn size(plan: *mut pg_sys::Plan) -> Option<usize> {
    // SAFETY: as `look`.
    match unsafe { (*plan).type_ } {
        NodeTag::T_IndexScan => Some(size_of::<pg_sys::IndexScan>()),
        NodeTag::T_IndexOnlyScan => Some(size_of::<pg_sys::IndexOnlyScan>()),
        NodeTag::T_Agg => Some(size_of::<pg_sys::Agg>()),
        NodeTag::T_Limit => Some(size_of::<pg_sys::Limit>()),
        NodeTag::T_LockRows => Some(size_of::<pg_sys::LockRows>()),
        NodeTag::T_ModifyTable => Some(size_of::<pg_sys::ModifyTable>()),
        NodeTag::T_NestLoop => Some(size_of::<pg_sys::NestLoop>()),
        NodeTag::T_Sort => Some(size_of::<pg_sys::Sort>()),
        _ => None,
    }
}

/// The conditions of a scan of an index.
///
/// # Safety
/// As `size`.
pub unsafe fn conditions(plan: *mut pg_sys::Plan) -> Option<*mut *mut pg_sys::List> {
    // SAFETY: as `look`.
    unsafe {
        match (*plan).type_ {
            NodeTag::T_IndexScan => Some(&raw mut (*plan.cast::<pg_sys::IndexScan>()).indexqual),
            NodeTag::T_IndexOnlyScan => {
                Some(&raw mut (*plan.cast::<pg_sys::IndexOnlyScan>()).indexqual)
            }
            _ => None,
        }
    }
}
