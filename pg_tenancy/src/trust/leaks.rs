//! Whether a condition can tell of rows that it is not asked about.
//!
//! The rules are those of PostgreSQL's own contain_leaked_vars() (clauses.c): a
//! function that sees a column must be leakproof, and what isn't known leaks. To
//! the leakproof functions come the vetted ones, where their condition holds.

use std::ffi::{CStr, c_char, c_void};

use pgrx::pg_sys::NodeTag;
use pgrx::{pg_guard, pg_sys};

use super::vetted::{Condition, Group, VETTED, Vetted};

/// More wildcards than anybody writes, and far fewer than the stack has room for.
pub const MOST_WILDCARDS: usize = 1000;

/// What has been found while looking.
#[derive(Clone, Copy)]
pub struct Look {
    /// Trusted groups, by their place in `Group::ALL`.
    pub trusts: [bool; Group::ALL.len()],
    /// Places (list cells) of patterns that are known only when the query runs.
    pub late_patterns: *mut pg_sys::List,
}

impl Look {
    fn vetted(&self, function: pg_sys::Oid) -> Option<&'static Vetted> {
        VETTED.iter().find(|vetted| {
            vetted.function == function.to_u32() && self.trusts[vetted.group as usize]
        })
    }
}

unsafe extern "C-unwind" {
    // From 16 on it is a macro around the second name, for type checks in C.
    #[cfg_attr(not(feature = "pg15"), link_name = "expression_tree_walker_impl")]
    fn expression_tree_walker(
        node: *mut pg_sys::Node,
        walker: unsafe extern "C-unwind" fn(*mut pg_sys::Node, *mut c_void) -> bool,
        context: *mut c_void,
    ) -> bool;
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
            | NodeTag::T_FieldSelect
            | NodeTag::T_NamedArgExpr
            | NodeTag::T_BoolExpr
            | NodeTag::T_RelabelType
            | NodeTag::T_CollateExpr
            | NodeTag::T_CaseExpr
            | NodeTag::T_CaseWhen
            | NodeTag::T_CaseTestExpr
            | NodeTag::T_CoalesceExpr
            | NodeTag::T_RowExpr
            | NodeTag::T_SQLValueFunction
            | NodeTag::T_NullTest
            | NodeTag::T_BooleanTest
            | NodeTag::T_List => true,
            NodeTag::T_OpExpr => {
                let call = node.cast::<pg_sys::OpExpr>();
                is_harmless_call(node, (*call).args, look)
            }
            NodeTag::T_FuncExpr => {
                let call = node.cast::<pg_sys::FuncExpr>();
                is_harmless_call(node, (*call).args, look)
            }
            NodeTag::T_ScalarArrayOpExpr
            | NodeTag::T_DistinctExpr
            | NodeTag::T_NullIfExpr
            | NodeTag::T_CoerceViaIO
            | NodeTag::T_ArrayCoerceExpr => is_harmless_call(node, std::ptr::null_mut(), look),
            _ => false,
        };
        !is_harmless || expression_tree_walker(node, walk, look)
    }
}

/// Whether a call with these arguments (null: a form whose arguments aren't looked
/// at, which excludes conditions) is of leakproof or vetted functions, or sees no column.
unsafe fn is_harmless_call(
    node: *mut pg_sys::Node,
    arguments: *mut pg_sys::List,
    look: *mut c_void,
) -> bool {
    // SAFETY: as in `walk`.
    unsafe {
        if !pg_sys::contain_var_clause(node) {
            return true;
        }
        let mut call = Call {
            arguments,
            look: look.cast(),
        };
        !pg_sys::check_functions_in_node(node, Some(is_leaky), (&raw mut call).cast())
    }
}

struct Call {
    arguments: *mut pg_sys::List,
    look: *mut Look,
}

#[pg_guard]
unsafe extern "C-unwind" fn is_leaky(function: pg_sys::Oid, call: *mut c_void) -> bool {
    // SAFETY: the `Call` of `is_harmless_call`.
    unsafe {
        if pg_sys::get_func_leakproof(function) {
            return false;
        }
        let Call { arguments, look } = *call.cast::<Call>();
        let Some(vetted) = (*look).vetted(function) else {
            return true;
        };
        let is_met = match vetted.condition {
            Condition::None => true,
            Condition::Pattern => is_sound_pattern(arguments, &mut *look),
            Condition::BuiltinRange => any_is_of(arguments, BUILTIN_RANGES),
            Condition::PlainArray => any_is_of(arguments, PLAIN_ARRAYS),
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

const PLAIN_ARRAYS: &[pg_sys::Oid] = &[
    pg_sys::TEXTARRAYOID,
    pg_sys::VARCHARARRAYOID,
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

/// Whether the second argument is a pattern that can't fail on some texts and pass
/// on others. One that isn't known yet is noted, to be looked at when it is.
unsafe fn is_sound_pattern(arguments: *mut pg_sys::List, look: &mut Look) -> bool {
    // SAFETY: null, or the list of a call; a constant of a text type holds a varlena.
    unsafe {
        if length(arguments) != 2 {
            return false;
        }
        let pattern = pg_sys::list_nth(arguments, 1).cast::<pg_sys::Node>();
        if pg_sys::contain_var_clause(pattern) {
            return false;
        }
        if (*pattern).type_ == NodeTag::T_Const {
            let constant = pattern.cast::<pg_sys::Const>();
            return (*constant).constisnull
                || is_sound(crate::function::content((*constant).constvalue));
        }
        let cell = (*arguments).elements.add(1);
        look.late_patterns = pg_sys::lappend(look.late_patterns, cell.cast());
        true
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
    // SAFETY: the query has locked it; a C string is compared.
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
        let is_ours = (0..length(policies)).any(|i| {
            let policy = pg_sys::list_nth(policies, i).cast::<pg_sys::RowSecurityPolicy>();
            let name: *const c_char = (*policy).policy_name;
            CStr::from_ptr(name) == c"tenant_boundary" && !(*policy).permissive
        });
        pg_sys::RelationClose(opened);
        is_ours
    }
}
