//! Whether a condition can tell of rows that it is not asked about.
//!
//! The rules are those of PostgreSQL's own contain_leaked_vars() (clauses.c): a
//! function that sees a column must be leakproof, and what isn't known leaks. To
//! the leakproof functions come the vetted ones, where their condition holds.

use std::ffi::{CStr, c_char, c_void};

use pgrx::pg_sys::NodeTag;
use pgrx::{pg_guard, pg_sys};

use crate::boundary_first::expression_tree_walker;

use super::vetted::{Condition, Group, VETTED, Vetted};

/// As many as people write, and few enough that the stack has room for them.
pub const MOST_WILDCARDS: usize = 16;
/// A document to search for has this many bytes at most, and so is not deep.
const LARGEST_DOCUMENT: usize = 1024;

/// What has been found while looking.
#[derive(Clone, Copy)]
pub struct Look {
    /// Trusted groups, by their place in `Group::ALL`.
    pub trusts: [bool; Group::ALL.len()],
    /// Places (list cells) of patterns that are known only when the query runs.
    pub late_patterns: *mut pg_sys::List,
    /// The values that the plan is made for, or null.
    pub params: pg_sys::ParamListInfo,
}

impl Look {
    fn vetted(&self, function: pg_sys::Oid) -> Option<&'static Vetted> {
        VETTED.iter().find(|vetted| {
            vetted.function == function.to_u32() && self.trusts[vetted.group as usize]
        })
    }
}

/// Whether an expression, or a list of them, leaks.
///
/// # Safety
/// A valid tree of a query that isn't planned yet.
pub unsafe fn leaks(node: *mut pg_sys::Node, look: &mut Look) -> bool {
    // SAFETY: the caller's promise.
    unsafe { walk(node, (&raw mut *look).cast()) }
}

#[pg_guard]
unsafe extern "C-unwind" fn walk(node: *mut pg_sys::Node, look: *mut c_void) -> bool {
    if node.is_null() {
        return false;
    }
    // SAFETY: a node of the tree, and the `Look` that `leaks` was given.
    unsafe {
        let is_harmless = match (*node).type_ {
            NodeTag::T_Var
            | NodeTag::T_Const
            | NodeTag::T_Param
            | NodeTag::T_ArrayExpr
            | NodeTag::T_BoolExpr
            | NodeTag::T_RelabelType
            | NodeTag::T_CollateExpr
            | NodeTag::T_NullTest
            | NodeTag::T_BooleanTest
            | NodeTag::T_List => true,
            NodeTag::T_OpExpr | NodeTag::T_DistinctExpr => {
                let call = node.cast::<pg_sys::OpExpr>();
                is_builtin((*call).opno)
                    && is_harmless_call(node, (*call).args, (*call).inputcollid, look)
            }
            NodeTag::T_FuncExpr => {
                let call = node.cast::<pg_sys::FuncExpr>();
                is_harmless_call(node, (*call).args, (*call).inputcollid, look)
            }
            NodeTag::T_ScalarArrayOpExpr => {
                let call = node.cast::<pg_sys::ScalarArrayOpExpr>();
                // Without arguments, which excludes conditions: `like any (…)`.
                let none = std::ptr::null_mut();
                is_builtin((*call).opno) && is_harmless_call(node, none, (*call).inputcollid, look)
            }
            // As a list goes on from a cursor: (created_at, id) < ($1, $2).
            NodeTag::T_RowCompareExpr => {
                let operators = (*node.cast::<pg_sys::RowCompareExpr>()).opnos;
                (0..length(operators)).all(|i| {
                    let operator = pg_sys::list_nth_oid(operators, i);
                    is_builtin(operator) && pg_sys::get_func_leakproof(pg_sys::get_opcode(operator))
                })
            }
            // CASE, COALESCE and the like decide by a row whether something is run, or
            // hide the column that an operator sees.
            _ => false,
        };
        !is_harmless || expression_tree_walker(node, walk, look)
    }
}

/// PostgreSQL's own, whose negators, commutators and estimates are so, too: the
/// planner puts those in its place, and runs them on values of all tenants.
fn is_builtin(object: pg_sys::Oid) -> bool {
    object.to_u32() < pg_sys::FirstNormalObjectId
}

/// Whether a call with these arguments can meet rows of other tenants. One that sees
/// no column can, too: whether it happens may depend on a row.
unsafe fn is_harmless_call(
    node: *mut pg_sys::Node,
    arguments: *mut pg_sys::List,
    collation: pg_sys::Oid,
    look: *mut c_void,
) -> bool {
    // SAFETY: as in `walk`.
    unsafe {
        let look = look.cast::<Look>();
        if !pg_sys::contain_var_clause(node) {
            return is_known_beforehand(node, (*look).params);
        }
        let mut call = Call {
            arguments,
            collation,
            look,
        };
        !pg_sys::check_functions_in_node(node, Some(is_leaky), (&raw mut call).cast())
    }
}

/// Whether the planner computes it, and so no row decides on it: of constants, by
/// functions that always give the same. Or it is who has entered, which cannot fail
/// once somebody has.
unsafe fn is_known_beforehand(node: *mut pg_sys::Node, params: pg_sys::ParamListInfo) -> bool {
    // SAFETY: as in `walk`.
    unsafe {
        let mut params = params;
        let is_context = (*node).type_ == NodeTag::T_FuncExpr
            && crate::boundary_first::is_current_tenant_id(
                (*node.cast::<pg_sys::FuncExpr>()).funcid,
            );
        is_context
            || !pg_sys::contain_mutable_functions(node)
                && !has_unknown_param(node, (&raw mut params).cast())
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn has_unknown_param(
    node: *mut pg_sys::Node,
    params: *mut c_void,
) -> bool {
    if node.is_null() {
        return false;
    }
    // SAFETY: as in `walk`; the list of parameters is null or has as many as it says.
    unsafe {
        if (*node).type_ != NodeTag::T_Param {
            return expression_tree_walker(node, has_unknown_param, params);
        }
        bound_value(node.cast(), *params.cast::<pg_sys::ParamListInfo>()).is_none()
    }
}

/// The value of a parameter that the plan is made for, and for no other: with
/// whether it is NULL.
unsafe fn bound_value(
    param: *mut pg_sys::Param,
    params: pg_sys::ParamListInfo,
) -> Option<(pg_sys::Datum, bool)> {
    // SAFETY: as above; PostgreSQL's planner reads them so (eval_const_expressions).
    unsafe {
        let number = (*param).paramid;
        if (*param).paramkind != pg_sys::ParamKind::PARAM_EXTERN
            || params.is_null()
            || number < 1
            || number > (*params).numParams
        {
            return None;
        }
        let mut workspace = pg_sys::ParamExternData::default();
        let bound = match (*params).paramFetch {
            Some(fetch) => fetch(params, number, true, &raw mut workspace),
            None => (*params).params.as_mut_ptr().add(number as usize - 1),
        };
        let is_constant = u32::from((*bound).pflags) & pg_sys::PARAM_FLAG_CONST != 0
            && (*bound).ptype == (*param).paramtype;
        is_constant.then_some(((*bound).value, (*bound).isnull))
    }
}

/// A constant's value, or that of a parameter that the plan is made for.
unsafe fn known_value(
    node: *mut pg_sys::Node,
    params: pg_sys::ParamListInfo,
) -> Option<(pg_sys::Datum, bool)> {
    // SAFETY: as above.
    unsafe {
        match (*node).type_ {
            NodeTag::T_Const => {
                let constant = node.cast::<pg_sys::Const>();
                Some(((*constant).constvalue, (*constant).constisnull))
            }
            NodeTag::T_Param => bound_value(node.cast(), params),
            _ => None,
        }
    }
}

struct Call {
    arguments: *mut pg_sys::List,
    collation: pg_sys::Oid,
    look: *mut Look,
}

#[pg_guard]
unsafe extern "C-unwind" fn is_leaky(function: pg_sys::Oid, call: *mut c_void) -> bool {
    // SAFETY: the `Call` of `is_harmless_call`.
    unsafe {
        if is_builtin(function) && pg_sys::get_func_leakproof(function) {
            return false;
        }
        let Call {
            arguments,
            collation,
            look,
        } = *call.cast::<Call>();
        let Some(vetted) = (*look).vetted(function) else {
            return true;
        };
        let is_met = match vetted.condition {
            Condition::None => true,
            Condition::Collation => is_sound_collation(collation),
            Condition::Pattern => {
                is_sound_collation(collation) && is_sound_pattern(arguments, &mut *look)
            }
            Condition::SmallDocument => has_small_document(arguments, (*look).params),
            Condition::BuiltinRange => any_is_of(arguments, BUILTIN_RANGES),
            Condition::PlainArray => {
                any_is_of(arguments, PLAIN_ARRAYS)
                    || any_is_of(arguments, TEXT_ARRAYS) && is_sound_collation(collation)
            }
        };
        !is_met
    }
}

const BUILTIN_RANGES: &[pg_sys::Oid] = &[
    pg_sys::INT4RANGEOID,
    pg_sys::INT8RANGEOID,
    pg_sys::NUMRANGEOID,
    pg_sys::DATERANGEOID,
    pg_sys::TSRANGEOID,
    pg_sys::TSTZRANGEOID,
];

const TEXT_ARRAYS: &[pg_sys::Oid] = &[pg_sys::TEXTARRAYOID, pg_sys::VARCHARARRAYOID];

const PLAIN_ARRAYS: &[pg_sys::Oid] = &[
    pg_sys::INT2ARRAYOID,
    pg_sys::INT4ARRAYOID,
    pg_sys::INT8ARRAYOID,
    pg_sys::UUIDARRAYOID,
    pg_sys::BOOLARRAYOID,
    pg_sys::DATEARRAYOID,
    pg_sys::TIMESTAMPARRAYOID,
    pg_sys::TIMESTAMPTZARRAYOID,
    pg_sys::NUMERICARRAYOID,
];

/// Whether one of a call's arguments has one of these types; the other argument's
/// type then follows, because the functions are polymorphic.
unsafe fn any_is_of(arguments: *mut pg_sys::List, types: &[pg_sys::Oid]) -> bool {
    // SAFETY: null, or the list of a call.
    unsafe {
        (0..length(arguments)).any(|i| {
            let argument = pg_sys::list_nth(arguments, i).cast::<pg_sys::Node>();
            types.contains(&pg_sys::exprType(argument))
        })
    }
}

/// One collation, which compares as the bytes do: without one, or with one that
/// takes different texts for the same, there is an error when a row is reached.
unsafe fn is_sound_collation(collation: pg_sys::Oid) -> bool {
    // SAFETY: a look-up in the caches of the catalog.
    unsafe { collation != pg_sys::InvalidOid && pg_sys::get_collation_isdeterministic(collation) }
}

/// Whether one of the arguments is known, and a small document.
unsafe fn has_small_document(arguments: *mut pg_sys::List, params: pg_sys::ParamListInfo) -> bool {
    // SAFETY: the two arguments of a comparison of jsonb, which is a varlena.
    unsafe {
        (0..length(arguments)).any(|i| {
            known_value(pg_sys::list_nth(arguments, i).cast(), params).is_some_and(
                |(value, is_null)| {
                    is_null || crate::function::content(value).len() <= LARGEST_DOCUMENT
                },
            )
        })
    }
}

/// Whether the second argument is a pattern that can't fail on some texts and pass
/// on others. One that isn't known yet is noted, to be looked at when it is.
unsafe fn is_sound_pattern(arguments: *mut pg_sys::List, look: &mut Look) -> bool {
    // SAFETY: null, or the list of a call; a text is a varlena.
    unsafe {
        if length(arguments) != 2 {
            return false;
        }
        let pattern = pg_sys::list_nth(arguments, 1).cast::<pg_sys::Node>();
        match ((*pattern).type_, known_value(pattern, look.params)) {
            (_, Some((value, is_null))) => is_null || is_sound(crate::function::content(value)),
            (NodeTag::T_Param, None) => {
                let cell = (*arguments).elements.add(1);
                look.late_patterns = pg_sys::lappend(look.late_patterns, cell.cast());
                true
            }
            _ => false,
        }
    }
}

/// An escape at the end of a pattern is an error for the texts that match so far,
/// and for no other: `like 'secret\'` would tell whether somebody has a text that
/// begins so. And many wildcards can exhaust the stack, on some texts.
pub fn is_sound(pattern: &[u8]) -> bool {
    let escapes = pattern.iter().rev().take_while(|byte| **byte == b'\\');
    let wildcards = pattern.iter().filter(|byte| **byte == b'%');
    escapes.count() % 2 == 0 && wildcards.count() <= MOST_WILDCARDS
}

pub unsafe fn length(list: *mut pg_sys::List) -> i32 {
    // SAFETY: null is the empty list.
    unsafe { if list.is_null() { 0 } else { (*list).length } }
}

/// Whether a relation has the boundary, and so is ours to look after.
pub unsafe fn has_boundary(relation: pg_sys::Oid) -> bool {
    // SAFETY: the query has locked it.
    unsafe { has_policy(relation, c"tenant_boundary") }
}

/// Whether a relation has a restrictive policy of that name.
///
/// # Safety
/// A relation that is locked.
pub unsafe fn has_policy(relation: pg_sys::Oid, wanted: &CStr) -> bool {
    // SAFETY: the caller's promise; a C string is compared.
    unsafe {
        has_policy_where(relation, |policy| {
            let name: *const c_char = policy.policy_name;
            CStr::from_ptr(name) == wanted && !policy.permissive
        })
    }
}

/// Whether a relation has a policy for which that holds.
///
/// # Safety
/// A relation that is locked.
pub unsafe fn has_policy_where(
    relation: pg_sys::Oid,
    holds: impl Fn(&pg_sys::RowSecurityPolicy) -> bool,
) -> bool {
    // SAFETY: the caller's promise.
    unsafe {
        let opened = pg_sys::RelationIdGetRelation(relation);
        if opened.is_null() {
            return false;
        }
        let security = (*opened).rd_rsdesc;
        let policies = if security.is_null() {
            std::ptr::null_mut()
        } else {
            (*security).policies
        };
        let is_any = (0..length(policies)).any(|i| {
            let policy = pg_sys::list_nth(policies, i).cast::<pg_sys::RowSecurityPolicy>();
            holds(&*policy)
        });
        pg_sys::RelationClose(opened);
        is_any
    }
}
