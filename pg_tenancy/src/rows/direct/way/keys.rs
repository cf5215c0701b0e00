//! The keys by which an index is searched, made once for a plan.

use std::ffi::c_int;

use pgrx::pg_sys;
use pgrx::pg_sys::NodeTag;

use super::{column, parameter};
use crate::boundary_first::{current_tenant_id, may_call};
use crate::rows::plan::Bound;
use crate::trust::length;

/// A key to search by, without its value unless that is a constant.
#[derive(Clone, Copy)]
pub struct Key {
    pub key: pg_sys::ScanKeyData,
    pub value: Value,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Value {
    Constant,
    Tenant,
    /// By its place among the values.
    Parameter(usize),
}

/// The keys by which a plan searches its index; `None` where they are more than plain
/// comparisons.
///
/// # Safety
/// A scan of a plan, whose table is locked.
pub unsafe fn keys(
    scan: *mut pg_sys::IndexScan,
    lock: pg_sys::LOCKMODE,
    bound: Bound,
    memory: pg_sys::MemoryContext,
) -> Option<Vec<Key>> {
    // SAFETY: the index is open while its properties are read.
    unsafe {
        let index = pg_sys::index_open((*scan).indexid, lock);
        let conditions = (*scan).indexqual;
        let is_btree =
            (*(*index).rd_rel).relam == pg_sys::Oid::from(pg_sys::BuiltinOid::BTREE_AM_OID);
        let keys = (0..length(conditions))
            .map(|i| key(pg_sys::list_nth(conditions, i).cast(), index, bound, memory))
            .collect();
        pg_sys::index_close(index, pg_sys::NoLock as pg_sys::LOCKMODE);
        if is_btree { keys } else { None }
    }
}

/// As ExecIndexBuildScanKeys makes one of a plain comparison.
unsafe fn key(
    node: *mut pg_sys::Node,
    index: pg_sys::Relation,
    bound: Bound,
    memory: pg_sys::MemoryContext,
) -> Option<Key> {
    // SAFETY: a condition of the index; the key's function lives in the plan's memory.
    unsafe {
        let compares = node.cast::<pg_sys::OpExpr>();
        if (*node).type_ != NodeTag::T_OpExpr || length((*compares).args) != 2 {
            return None;
        }
        let left = without_label(pg_sys::list_nth((*compares).args, 0).cast());
        let right = without_label(pg_sys::list_nth((*compares).args, 1).cast());
        let attribute = column(left, pg_sys::INDEX_VAR)?;
        if attribute < 1 || attribute > (*(*index).rd_index).indnkeyatts {
            return None;
        }
        let (value, constant) = value(right, bound)?;
        let family = *(*index).rd_opfamily.add(attribute as usize - 1);
        let (mut strategy, mut left_type, mut right_type) =
            (0, pg_sys::InvalidOid, pg_sys::InvalidOid);
        pg_sys::get_op_opfamily_properties(
            (*compares).opno,
            family,
            false,
            &raw mut strategy,
            &raw mut left_type,
            &raw mut right_type,
        );
        let mut key = pg_sys::ScanKeyData {
            sk_flags: 0,
            sk_attno: attribute,
            sk_strategy: strategy as pg_sys::StrategyNumber,
            sk_subtype: right_type,
            sk_collation: (*compares).inputcollid,
            ..Default::default()
        };
        match constant {
            Some(constant) if (*constant).constisnull => key.sk_flags = pg_sys::SK_ISNULL as c_int,
            Some(constant) => key.sk_argument = (*constant).constvalue,
            None => {}
        }
        pg_sys::fmgr_info_cxt((*compares).opfuncid, &raw mut key.sk_func, memory);
        Some(Key { key, value })
    }
}

/// What is compared with.
unsafe fn value(
    node: *mut pg_sys::Node,
    bound: Bound,
) -> Option<(Value, Option<*mut pg_sys::Const>)> {
    // SAFETY: a node of the plan, whose constants live as long as that.
    unsafe {
        match (*node).type_ {
            NodeTag::T_Const => Some((Value::Constant, Some(node.cast()))),
            NodeTag::T_Param => Some((Value::Parameter(parameter(node, bound)?), None)),
            NodeTag::T_FuncExpr => {
                let function = (*node.cast::<pg_sys::FuncExpr>()).funcid;
                // Without the right to call it, the executor says so.
                let is_tenant = function == current_tenant_id() && may_call(function);
                is_tenant.then_some((Value::Tenant, None))
            }
            _ => None,
        }
    }
}

unsafe fn without_label(node: *mut pg_sys::Node) -> *mut pg_sys::Node {
    // SAFETY: a node of the plan.
    unsafe {
        match (*node).type_ {
            NodeTag::T_RelabelType => (*node.cast::<pg_sys::RelabelType>()).arg.cast(),
            _ => node,
        }
    }
}
