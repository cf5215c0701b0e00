//! Indexes under row-level security.
//!
//! PostgreSQL runs a condition before a policy only if its functions are marked
//! LEAKPROOF, which most aren't. So `title ilike '%x%'` reads all of a tenant and
//! leaves its trigram index alone, however large the tenant is.
//!
//! Marking built-in functions in the catalog would be a change to every database
//! object that relies on row-level security, and a dump wouldn't carry it. Instead,
//! where the DBA opts in (`pg_tenancy.trusted_operators`), a query all of whose
//! conditions are leakproof or vetted (`vetted`) has the boundary planned as what it
//! is, one more condition beside the others. Nothing about it is left out: only the
//! order of evaluation is the planner's to choose.
//!
//! Only queries in which every condition that can meet the rows is in plain sight:
//! no subqueries, no CTEs, no functions in FROM. In others the planner merges levels
//! and moves expressions, and what is a result today may be a condition tomorrow.

mod leaks;
mod vetted;

use pgrx::pg_sys;
use pgrx::pg_sys::NodeTag;

use crate::boundary_first::{find_function, may_call};
use crate::function::{Answer, null, text_argument, text_datum};
use crate::settings;
use leaks::{Look, has_boundary, leaks};
use vetted::{REFUSED, VETTED};

pub use leaks::{has_policy, has_policy_where, is_sound, length};
pub use vetted::Group;

sql_function!(
    tenancy_operator_trust,
    pg_finfo_tenancy_operator_trust,
    operator_trust
);
sql_function!(
    tenancy_like_pattern,
    pg_finfo_tenancy_like_pattern,
    like_pattern
);

/// What is vetted and what is refused, as JSON.
fn operator_trust(_call: pg_sys::FunctionCallInfo) -> Answer {
    let trusted = settings::trusted_operators();
    let vetted = VETTED.iter().map(|vetted| {
        serde_json::json!({
            "function": vetted.function, "group": vetted.group.name(),
            "trusted": trusted[vetted.group as usize], "reason": vetted.reason,
        })
    });
    let refused = REFUSED.iter().map(|(function, reason)| {
        serde_json::json!({"function": function, "trusted": false, "reason": reason})
    });
    let all: Vec<_> = vetted.chain(refused).collect();
    Ok(text_datum(&serde_json::Value::from(all).to_string()))
}

/// The pattern, or NULL for one that can fail on some texts and pass on others. No
/// error: whether it is raised could depend on what another index has found.
fn like_pattern(call: pg_sys::FunctionCallInfo) -> Answer {
    let pattern = text_argument(call, 0)?;
    if !leaks::is_sound(pattern.as_bytes()) {
        return Ok(null(call));
    }
    Ok(text_datum(pattern))
}

/// Puts the boundary beside the conditions, where these can be trusted with it.
///
/// # Safety
/// A query that is about to be planned, and is nobody else's.
pub unsafe fn plan_beside(query: *mut pg_sys::Query, params: pg_sys::ParamListInfo) {
    let trusts = settings::trusted_operators();
    // SAFETY: the caller's promise.
    unsafe {
        if !(*query).hasRowSecurity || !trusts.contains(&true) || !is_in_plain_sight(query) {
            return;
        }
        let mut look = Look {
            trusts,
            late_patterns: std::ptr::null_mut(),
            params,
        };
        if conditions_leak(query, &mut look) || !check_patterns_late(look.late_patterns) {
            return;
        }
        let jointree = (*query).jointree;
        move_boundaries(query, jointree);
    }
}

unsafe fn is_in_plain_sight(query: *mut pg_sys::Query) -> bool {
    // SAFETY: the caller's promise.
    unsafe {
        let is_plain = matches!(
            (*query).commandType,
            pg_sys::CmdType::CMD_SELECT | pg_sys::CmdType::CMD_UPDATE | pg_sys::CmdType::CMD_DELETE
        ) && !(*query).hasSubLinks
            && !(*query).hasModifyingCTE
            && (*query).cteList.is_null()
            && (*query).setOperations.is_null();
        is_plain
            && entries(query).all(|entry| match (*entry).rtekind {
                pg_sys::RTEKind::RTE_RELATION => (*entry).tablesample.is_null(),
                // Its quals would have to hold for each side by itself.
                pg_sys::RTEKind::RTE_JOIN => (*entry).jointype != pg_sys::JoinType::JOIN_FULL,
                pg_sys::RTEKind::RTE_RESULT => true,
                _ => false,
            })
    }
}

unsafe fn entries(query: *mut pg_sys::Query) -> impl Iterator<Item = *mut pg_sys::RangeTblEntry> {
    // SAFETY: the caller's promise.
    unsafe {
        let table = (*query).rtable;
        (0..length(table)).map(move |i| pg_sys::list_nth(table, i).cast())
    }
}

/// Whether a condition of this query leaks. HAVING is one: without aggregates it
/// goes to the scan. So are the columns that USING merges, which may be casts.
unsafe fn conditions_leak(query: *mut pg_sys::Query, look: &mut Look) -> bool {
    // SAFETY: the caller's promise.
    unsafe {
        if tree_leaks((*query).jointree.cast(), look) || leaks((*query).havingQual, look) {
            return true;
        }
        entries(query).any(|entry| {
            leaks((*entry).joinaliasvars.cast(), look) || leaks((*entry).securityQuals.cast(), look)
        })
    }
}

unsafe fn tree_leaks(node: *mut pg_sys::Node, look: &mut Look) -> bool {
    // SAFETY: a node of the jointree.
    unsafe {
        match (*node).type_ {
            NodeTag::T_RangeTblRef => false,
            NodeTag::T_FromExpr => {
                let from = node.cast::<pg_sys::FromExpr>();
                let items = (*from).fromlist;
                leaks((*from).quals, look)
                    || (0..length(items))
                        .any(|i| tree_leaks(pg_sys::list_nth(items, i).cast(), look))
            }
            NodeTag::T_JoinExpr => {
                let join = node.cast::<pg_sys::JoinExpr>();
                leaks((*join).quals, look)
                    || tree_leaks((*join).larg, look)
                    || tree_leaks((*join).rarg, look)
            }
            _ => true,
        }
    }
}

/// Patterns that come as parameters are looked at when the query runs, before a
/// row is. False where the caller may not run what looks.
unsafe fn check_patterns_late(cells: *mut pg_sys::List) -> bool {
    // SAFETY: cells of argument lists of this query.
    unsafe {
        if length(cells) == 0 {
            return true;
        }
        let check = find_function(c"tenancy_private", c"like_pattern", &[pg_sys::TEXTOID]);
        if check == pg_sys::InvalidOid || !may_call(check) {
            return false;
        }
        for i in 0..length(cells) {
            let cell = pg_sys::list_nth(cells, i).cast::<pg_sys::ListCell>();
            let pattern = (*cell).ptr_value.cast::<pg_sys::Node>();
            let collation = pg_sys::exprCollation(pattern);
            let arguments = pg_sys::lappend(std::ptr::null_mut(), pattern.cast());
            let checked = pg_sys::makeFuncExpr(
                check,
                pg_sys::TEXTOID,
                arguments,
                collation,
                collation,
                pg_sys::CoercionForm::COERCE_EXPLICIT_CALL,
            );
            (*cell).ptr_value = checked.cast();
        }
        true
    }
}

/// Moves the boundary of each table of ours to where the table is named.
unsafe fn move_boundaries(query: *mut pg_sys::Query, from: *mut pg_sys::FromExpr) {
    // SAFETY: the query's own jointree, whose kinds of nodes have been looked at.
    unsafe {
        for i in 0..length((*from).fromlist) {
            let cell = (*(*from).fromlist).elements.add(i as usize);
            let item = (*cell).ptr_value.cast::<pg_sys::Node>();
            match (*item).type_ {
                NodeTag::T_RangeTblRef => {
                    let boundary = take_boundary(query, item.cast());
                    if !boundary.is_null() {
                        let both = pg_sys::lcons((*from).quals.cast(), std::ptr::null_mut());
                        let all = if (*from).quals.is_null() {
                            boundary
                        } else {
                            pg_sys::list_concat(boundary, both)
                        };
                        (*from).quals = pg_sys::make_ands_explicit(all).cast();
                    }
                }
                NodeTag::T_FromExpr => move_boundaries(query, item.cast()),
                _ => move_within_join(query, item.cast()),
            }
        }
    }
}

/// A side of a join gets a level of its own, with the boundary as its condition,
/// as a subquery would: it holds before the join, whichever kind that is.
unsafe fn move_within_join(query: *mut pg_sys::Query, join: *mut pg_sys::JoinExpr) {
    // SAFETY: as above.
    unsafe {
        for side in [&raw mut (*join).larg, &raw mut (*join).rarg] {
            let item = *side;
            match (*item).type_ {
                NodeTag::T_RangeTblRef => {
                    let boundary = take_boundary(query, item.cast());
                    if !boundary.is_null() {
                        let items = pg_sys::lappend(std::ptr::null_mut(), item.cast());
                        let condition = pg_sys::make_ands_explicit(boundary);
                        *side = pg_sys::makeFromExpr(items, condition.cast()).cast();
                    }
                }
                NodeTag::T_FromExpr => move_boundaries(query, item.cast()),
                _ => move_within_join(query, item.cast()),
            }
        }
    }
}

/// The policies' conditions of a table of ours, out of its entry.
unsafe fn take_boundary(
    query: *mut pg_sys::Query,
    item: *mut pg_sys::RangeTblRef,
) -> *mut pg_sys::List {
    // SAFETY: as above; an index counts from one.
    unsafe {
        let entry =
            pg_sys::list_nth((*query).rtable, (*item).rtindex - 1).cast::<pg_sys::RangeTblEntry>();
        if (*entry).rtekind != pg_sys::RTEKind::RTE_RELATION
            || (*entry).securityQuals.is_null()
            || !has_boundary((*entry).relid)
        {
            return std::ptr::null_mut();
        }
        std::mem::replace(&mut (*entry).securityQuals, std::ptr::null_mut())
    }
}
