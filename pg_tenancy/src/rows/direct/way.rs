//! Whether a plan is a walk along an index, and which.
//!
//! Each part of the plan is named here, or the answer is no: an index scan of a table by
//! a B-tree, at most with a limit above it, whose conditions compare the index's columns
//! with parameters, constants and the tenant, which asks else only whether columns are
//! NULL, and gives columns as they are.

mod keys;

use std::ffi::c_int;

use pgrx::pg_sys;
use pgrx::pg_sys::NodeTag;

use crate::rows::plan::{Bound, Plan};
use crate::rows::relation::Relation;
use crate::trust::length;
use keys::keys;

pub use keys::{Key, Value};

/// How a plan is walked. It is in the memory of the plan, and gone with it.
#[derive(Clone, Copy)]
pub struct Way {
    pub table: pg_sys::Oid,
    pub index: pg_sys::Oid,
    /// For the index; the table has it already.
    pub lock: pg_sys::LOCKMODE,
    pub direction: pg_sys::ScanDirection::Type,
    pub keys: *const Key,
    pub keys_number: usize,
    /// The columns that come back, and the last of them.
    attributes: *const pg_sys::AttrNumber,
    attributes_number: usize,
    pub last: pg_sys::AttrNumber,
    /// Columns that must be NULL.
    nulls: *const pg_sys::AttrNumber,
    nulls_number: usize,
    /// Which parameters say so.
    pub limit: Option<usize>,
    pub offset: Option<usize>,
}

impl Way {
    pub fn attributes(&self) -> &[pg_sys::AttrNumber] {
        // SAFETY: `read` has written as many.
        unsafe { std::slice::from_raw_parts(self.attributes, self.attributes_number) }
    }

    pub fn nulls(&self) -> &[pg_sys::AttrNumber] {
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts(self.nulls, self.nulls_number) }
    }
}

/// What is known of a statement's plan, by that plan's generation.
#[derive(Clone, Copy)]
pub struct Known {
    generation: c_int,
    way: *const Way,
}

impl Known {
    pub const NOTHING: Self = Self {
        generation: -1,
        way: std::ptr::null(),
    };

    /// Whether it is known that this plan isn't a walk.
    pub fn is_none_of(self, generation: c_int) -> bool {
        self.generation == generation && self.way.is_null()
    }
}

/// The way of a plan, which lives as long as that; null where there is none.
///
/// # Safety
/// The cached plan is one of the plan's, and held.
pub unsafe fn of(
    plan: &Plan,
    cached: *mut pg_sys::CachedPlan,
    relation: &Relation,
    bound: Bound,
) -> *const Way {
    // SAFETY: the caller's promise. Of a plan with that generation there is only one.
    unsafe {
        let generation = (*cached).generation;
        let known = plan.way.get();
        if known.generation == generation {
            return known.way;
        }
        let memory = (*cached).context;
        let way = read(statement(cached), plan, relation, bound, memory)
            .map_or(std::ptr::null(), |way| keep(memory, &[way]));
        plan.way.set(Known { generation, way });
        way
    }
}

/// The one statement of a plan.
///
/// # Safety
/// A plan of one statement that is no command.
pub unsafe fn statement(cached: *mut pg_sys::CachedPlan) -> *mut pg_sys::PlannedStmt {
    // SAFETY: the caller's promise.
    unsafe { (*(*(*cached).stmt_list).elements).ptr_value.cast() }
}

/// A copy in that memory.
unsafe fn keep<T: Copy>(memory: pg_sys::MemoryContext, items: &[T]) -> *const T {
    // SAFETY: it answers with that much, aligned for whatever it is.
    unsafe {
        let kept: *mut T = pg_sys::MemoryContextAlloc(memory, size_of_val(items)).cast();
        std::ptr::copy_nonoverlapping(items.as_ptr(), kept, items.len());
        kept
    }
}

unsafe fn read(
    statement: *mut pg_sys::PlannedStmt,
    plan: &Plan,
    relation: &Relation,
    bound: Bound,
    memory: pg_sys::MemoryContext,
) -> Option<Way> {
    // SAFETY: a plan, whose nodes have the types that their tags say.
    unsafe {
        let is_plain = (*statement).commandType == pg_sys::CmdType::CMD_SELECT
            && !(*statement).hasModifyingCTE
            && !(*statement).parallelModeNeeded
            && (*statement).subplans.is_null()
            && (*statement).rowMarks.is_null()
            && (*statement).paramExecTypes.is_null()
            && pg_sys::list_member_oid((*plan.source).relationOids, relation.oid);
        if !is_plain {
            return None;
        }
        let top = (*statement).planTree;
        let (limit, scan) = match (*top).type_ {
            NodeTag::T_Limit => (top.cast::<pg_sys::Limit>(), (*top).lefttree),
            _ => (std::ptr::null_mut(), top),
        };
        if (*scan).type_ != NodeTag::T_IndexScan || !(*top).initPlan.is_null() {
            return None;
        }
        let scan = scan.cast::<pg_sys::IndexScan>();
        let node = &(*scan).scan;
        let is_walk = (*scan).indexorderby.is_null()
            && node.plan.initPlan.is_null()
            && node.plan.lefttree.is_null()
            && node.plan.righttree.is_null()
            && (*scan).indexorderdir != pg_sys::ScanDirection::NoMovementScanDirection;
        if !is_walk {
            return None;
        }
        let entry = pg_sys::list_nth((*statement).rtable, node.scanrelid as c_int - 1)
            .cast::<pg_sys::RangeTblEntry>();
        if (*entry).rtekind != pg_sys::RTEKind::RTE_RELATION
            || (*entry).relkind as u8 != pg_sys::RELKIND_RELATION
        {
            return None;
        }
        let (limit, offset) = numbers(limit, bound)?;
        let attributes = attributes(top, scan, relation, bound)?;
        let nulls = nulls(scan)?;
        let keys = keys(scan, (*entry).rellockmode, bound, memory)?;
        Some(Way {
            table: (*entry).relid,
            index: (*scan).indexid,
            lock: (*entry).rellockmode,
            direction: (*scan).indexorderdir,
            keys: keep(memory, &keys),
            keys_number: keys.len(),
            attributes: keep(memory, &attributes),
            attributes_number: attributes.len(),
            last: attributes.iter().copied().max().unwrap_or(0),
            nulls: keep(memory, &nulls),
            nulls_number: nulls.len(),
            limit,
            offset,
        })
    }
}

/// Limit and offset of a plan that has them, as places among the values.
unsafe fn numbers(
    limit: *mut pg_sys::Limit,
    bound: Bound,
) -> Option<(Option<usize>, Option<usize>)> {
    // SAFETY: null or a node of the plan.
    unsafe {
        if limit.is_null() {
            return Some((None, None));
        }
        if (*limit).limitOption != pg_sys::LimitOption::LIMIT_OPTION_COUNT {
            return None;
        }
        let count = parameter((*limit).limitCount, bound)?;
        if (*limit).limitOffset.is_null() {
            return Some((Some(count), None));
        }
        let offset = parameter((*limit).limitOffset, bound)?;
        Some((Some(count), Some(offset)))
    }
}

/// The place among the values of what is a parameter.
unsafe fn parameter(node: *mut pg_sys::Node, bound: Bound) -> Option<usize> {
    // SAFETY: null or a node of the plan.
    unsafe {
        if node.is_null() || (*node).type_ != NodeTag::T_Param {
            return None;
        }
        let param = node.cast::<pg_sys::Param>();
        let at = usize::try_from((*param).paramid).ok()?.checked_sub(1)?;
        let is_given = (*param).paramkind == pg_sys::ParamKind::PARAM_EXTERN && at < bound.total;
        is_given.then_some(at)
    }
}

/// The table's columns that the statement gives, if they are what they are taken for.
unsafe fn attributes(
    top: *mut pg_sys::Plan,
    scan: *mut pg_sys::IndexScan,
    relation: &Relation,
    bound: Bound,
) -> Option<Vec<pg_sys::AttrNumber>> {
    // SAFETY: target lists of the plan.
    unsafe {
        let below = (*scan).scan.plan.targetlist;
        let mut attributes = Vec::new();
        let places = bound.columns.as_slice();
        for i in 0..length((*top).targetlist) {
            let mut entry = pg_sys::list_nth((*top).targetlist, i).cast::<pg_sys::TargetEntry>();
            if (*entry).resjunk {
                continue;
            }
            if top != scan.cast() {
                let passed = column((*entry).expr.cast(), pg_sys::OUTER_VAR)?;
                if passed < 1 || i32::from(passed) > length(below) {
                    return None;
                }
                entry = pg_sys::list_nth(below, i32::from(passed) - 1).cast();
            }
            let expression = (*entry).expr.cast();
            let attribute = column(expression, (*scan).scan.scanrelid as c_int)?;
            let field = &relation.fields[*places.get(attributes.len())?];
            if attribute < 1 || (*expression.cast::<pg_sys::Var>()).vartype != field.declared_oid {
                return None;
            }
            attributes.push(attribute);
        }
        (attributes.len() == places.len()).then_some(attributes)
    }
}

/// The number of a column of that table, or what stands for one.
unsafe fn column(node: *mut pg_sys::Node, table: c_int) -> Option<pg_sys::AttrNumber> {
    // SAFETY: a node of the plan.
    unsafe {
        let column = node.cast::<pg_sys::Var>();
        ((*node).type_ == NodeTag::T_Var
            && i64::from((*column).varno) == i64::from(table)
            && (*column).varlevelsup == 0)
            .then(|| (*column).varattno)
    }
}

/// What the rows are asked: columns that must be NULL, or nothing.
unsafe fn nulls(scan: *mut pg_sys::IndexScan) -> Option<Vec<pg_sys::AttrNumber>> {
    // SAFETY: conditions of the plan.
    unsafe {
        let conditions = (*scan).scan.plan.qual;
        let table = (*scan).scan.scanrelid as c_int;
        (0..length(conditions))
            .map(|i| {
                let test = pg_sys::list_nth(conditions, i).cast::<pg_sys::NullTest>();
                let is_test = (*test).xpr.type_ == NodeTag::T_NullTest
                    && (*test).nulltesttype == pg_sys::NullTestType::IS_NULL
                    && !(*test).argisrow;
                let attribute = is_test.then(|| column((*test).arg.cast(), table))??;
                (attribute > 0).then_some(attribute)
            })
            .collect()
    }
}
