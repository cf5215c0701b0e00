//! A row that meets the boundary anyway is not asked again whether it does.
//!
//! PostgreSQL asks WITH CHECK of each row that is written. Two kinds of rows meet a
//! boundary, `tenant_id = current_tenant_id()`, by the way they are made, where nothing
//! can change them between (no BEFORE trigger for rows, no partitions or children, no
//! ON CONFLICT, no MERGE) and where one transaction has one tenant (see `context`):
//!
//! - An UPDATE that doesn't set the boundary's column: the row it found had to meet the
//!   same condition, as USING, also in the version that somebody else has just made.
//! - An INSERT of one row whose column, which is NOT NULL, is set to
//!   `current_tenant_id()` itself, mostly because that is its default.
//!
//! Each was a third of what the boundary costs such a statement. Triggers, columns,
//! children and policies that change make PostgreSQL plan anew, so what held when the
//! plan was made holds when it runs.

use pgrx::pg_sys;
use pgrx::pg_sys::NodeTag;

use crate::boundary_first::current_tenant_id;
use crate::settings;
use crate::trust::length;

/// Takes the boundaries' checks off that are met.
///
/// # Safety
/// A query that is about to be planned, and is nobody else's; its policies are where
/// PostgreSQL has put them.
pub unsafe fn take_off(query: *mut pg_sys::Query) {
    // SAFETY: the caller's promise; an index counts from one.
    unsafe {
        if (*query).withCheckOptions.is_null() || !(*query).onConflict.is_null() {
            return;
        }
        let entry = pg_sys::list_nth((*query).rtable, (*query).resultRelation - 1)
            .cast::<pg_sys::RangeTblEntry>();
        if !is_written_as_it_is(query, entry) {
            return;
        }
        let mut kept = std::ptr::null_mut();
        let checks = (*query).withCheckOptions;
        for i in 0..length(checks) {
            let check = pg_sys::list_nth(checks, i).cast::<pg_sys::WithCheckOption>();
            if !is_met(query, entry, check) {
                kept = pg_sys::lappend(kept, check.cast());
            }
        }
        (*query).withCheckOptions = kept;
    }
}

/// Whether what the statement makes is what comes into the table.
unsafe fn is_written_as_it_is(
    query: *mut pg_sys::Query,
    entry: *mut pg_sys::RangeTblEntry,
) -> bool {
    // SAFETY: the query has locked the relation, which is closed again.
    unsafe {
        if (*entry).rtekind != pg_sys::RTEKind::RTE_RELATION
            || (*entry).relkind as u8 != pg_sys::RELKIND_RELATION
        {
            return false;
        }
        let relation = pg_sys::RelationIdGetRelation((*entry).relid);
        if relation.is_null() {
            return false;
        }
        let triggers = (*relation).trigdesc;
        let is_changed = !triggers.is_null()
            && if (*query).commandType == pg_sys::CmdType::CMD_INSERT {
                (*triggers).trig_insert_before_row || (*triggers).trig_insert_instead_row
            } else {
                (*triggers).trig_update_before_row || (*triggers).trig_update_instead_row
            };
        // Children have triggers of their own. It stays true when they are gone.
        let has_children = (*(*relation).rd_rel).relhassubclass;
        pg_sys::RelationClose(relation);
        !is_changed && !has_children
    }
}

unsafe fn is_met(
    query: *mut pg_sys::Query,
    entry: *mut pg_sys::RangeTblEntry,
    check: *mut pg_sys::WithCheckOption,
) -> bool {
    // SAFETY: a check of this query.
    unsafe {
        let Some(column) = boundary_column((*check).qual, (*query).resultRelation) else {
            return false;
        };
        match (*query).commandType {
            pg_sys::CmdType::CMD_UPDATE => {
                let conditions = (*entry).securityQuals;
                (*check).kind == pg_sys::WCOKind::WCO_RLS_UPDATE_CHECK
                    && value_of(query, column).is_null()
                    && pg_sys::get_attgenerated((*entry).relid, column) == 0
                    && (0..length(conditions)).any(|i| {
                        let condition = pg_sys::list_nth(conditions, i);
                        pg_sys::equal(condition.cast(), (*check).qual.cast())
                    })
            }
            pg_sys::CmdType::CMD_INSERT => {
                let value = value_of(query, column);
                (*check).kind == pg_sys::WCOKind::WCO_RLS_INSERT_CHECK
                    && (*(*query).jointree).fromlist.is_null()
                    && !value.is_null()
                    && is_current_tenant(value)
                    && is_not_null((*entry).relid, column)
                    // Without a tenant it is the policy that refuses, and not NOT NULL.
                    && settings::is_missing_context_an_error()
            }
            _ => false,
        }
    }
}

/// The column of a condition that is `column = current_tenant_id()` of that table.
unsafe fn boundary_column(node: *mut pg_sys::Node, table: i32) -> Option<pg_sys::AttrNumber> {
    // SAFETY: null or a node of the tree; each has the type that its tag says.
    unsafe {
        if node.is_null() || (*node).type_ != NodeTag::T_OpExpr {
            return None;
        }
        let compares = node.cast::<pg_sys::OpExpr>();
        pg_sys::set_opfuncid(compares);
        if (*compares).opfuncid != pg_sys::Oid::from(pg_sys::F_UUID_EQ)
            || length((*compares).args) != 2
        {
            return None;
        }
        let column = pg_sys::list_nth((*compares).args, 0).cast::<pg_sys::Var>();
        let is_column = (*column).xpr.type_ == NodeTag::T_Var
            && i64::from((*column).varno) == i64::from(table)
            && (*column).varlevelsup == 0
            && (*column).varattno > 0;
        let is_boundary =
            is_column && is_current_tenant(pg_sys::list_nth((*compares).args, 1).cast());
        is_boundary.then(|| (*column).varattno)
    }
}

unsafe fn is_current_tenant(node: *mut pg_sys::Node) -> bool {
    // SAFETY: a node; look-ups in the caches of the catalog.
    unsafe {
        (*node).type_ == NodeTag::T_FuncExpr
            && (*node.cast::<pg_sys::FuncExpr>()).funcid == current_tenant_id()
    }
}

/// What the statement sets a column to; null where it doesn't.
unsafe fn value_of(query: *mut pg_sys::Query, column: pg_sys::AttrNumber) -> *mut pg_sys::Node {
    // SAFETY: a list of such entries.
    unsafe {
        let targets = (*query).targetList;
        (0..length(targets))
            .map(|i| pg_sys::list_nth(targets, i).cast::<pg_sys::TargetEntry>())
            .find(|target| !(**target).resjunk && (**target).resno == column)
            .map_or(std::ptr::null_mut(), |target| (*target).expr.cast())
    }
}

unsafe fn is_not_null(relation: pg_sys::Oid, column: pg_sys::AttrNumber) -> bool {
    let columns = pg_sys::SysCacheIdentifier::ATTNUM as i32;
    // SAFETY: a look-up in a cache of the catalog, which is released.
    unsafe {
        let tuple = pg_sys::SearchSysCache2(columns, relation.into(), column.into());
        if tuple.is_null() {
            return false;
        }
        let attribute = pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_attribute>();
        let is_not_null = (*attribute).attnotnull;
        pg_sys::ReleaseSysCache(tuple);
        is_not_null
    }
}
