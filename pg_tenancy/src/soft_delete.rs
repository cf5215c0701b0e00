//! Soft delete, in queries. `sql/82_soft_delete.sql` says what it promises.
//!
//! A table that asks for it has a restrictive policy `deleted_at is null`, which is
//! all that its reads need: a plain condition, beside which indexes, estimates and
//! trusted operators are what they were. Two things are done to queries, after their
//! policies are in them and before they are planned:
//!
//! - A DELETE that this policy holds for becomes an UPDATE of `deleted_at`. It asks the
//!   privileges and policies of DELETE, counts and returns its rows; an UPDATE of its
//!   own would be refused by the policy that hides what it makes.
//! - For the one statement of the row functions that lists or restores what is
//!   deleted, the policy's condition is taken off.
//!
//! Whom no policy holds (superusers, cascades, the purge) deletes for good.

use std::cell::RefCell;
use std::ffi::{CStr, c_char, c_void};

use pgrx::pg_sys;
use pgrx::pg_sys::NodeTag;

use crate::fault::Fault;
use crate::function::Answer;
use crate::trust::{has_policy, length};

const POLICY: &CStr = c"without_deleted";
const COLUMN: &CStr = c"deleted_at";

single! {
    /// The statement that sees deleted rows, and of which relation.
    static SHOWN: RefCell<Option<Shown>> = RefCell::new(None);
}

struct Shown {
    relation: pg_sys::Oid,
    sql: Vec<u8>,
}

/// From here on to `hide`, a statement of exactly this text sees the deleted rows of
/// that relation; the statements within it (of triggers, say) don't.
pub fn show(relation: pg_sys::Oid, sql: &CStr) {
    SHOWN.set(Some(Shown {
        relation,
        sql: sql.to_bytes().to_vec(),
    }));
}

/// Also for the end of a transaction or savepoint, where an error has passed `hide` over.
pub fn hide() {
    SHOWN.set(None);
}

/// Does both to a query.
///
/// # Safety
/// A query that is about to be planned, and is nobody else's.
pub unsafe fn prepare(query: *mut pg_sys::Query, text: *const c_char) {
    // SAFETY: the caller's promise; a text ends in NUL.
    unsafe {
        soften(query);
        let parts = (*query).cteList;
        for i in 0..length(parts) {
            let part = pg_sys::list_nth(parts, i).cast::<pg_sys::CommonTableExpr>();
            if (*(*part).ctequery).type_ == NodeTag::T_Query {
                soften((*part).ctequery.cast());
            }
        }
        let shown = SHOWN.with_borrow(|shown| {
            let shown = shown.as_ref()?;
            let is_it = !text.is_null() && CStr::from_ptr(text).to_bytes() == shown.sql;
            is_it.then_some(shown.relation)
        });
        if let Some(relation) = shown {
            uncover(query, relation);
        }
    }
}

/// Makes a DELETE of what the policy shows an UPDATE.
unsafe fn soften(query: *mut pg_sys::Query) {
    // SAFETY: as `prepare`; an index counts from one.
    unsafe {
        if (*query).commandType != pg_sys::CmdType::CMD_DELETE {
            return;
        }
        let index = (*query).resultRelation;
        let entry = pg_sys::list_nth((*query).rtable, index - 1).cast::<pg_sys::RangeTblEntry>();
        let Some(column) = hidden_by((*entry).relid) else {
            return;
        };
        let conditions = (*entry).securityQuals;
        if !(0..length(conditions))
            .any(|i| is_filter(pg_sys::list_nth(conditions, i).cast(), index, column))
        {
            return;
        }

        let now = pg_sys::makeFuncExpr(
            pg_sys::Oid::from(pg_sys::F_NOW),
            pg_sys::TIMESTAMPTZOID,
            std::ptr::null_mut(),
            pg_sys::InvalidOid,
            pg_sys::InvalidOid,
            pg_sys::CoercionForm::COERCE_EXPLICIT_CALL,
        );
        let name = pg_sys::pstrdup(COLUMN.as_ptr());
        let change = pg_sys::makeTargetEntry(now.cast(), column, name, false);
        (*query).targetList = pg_sys::lappend(std::ptr::null_mut(), change.cast());
        (*query).commandType = pg_sys::CmdType::CMD_UPDATE;

        // What is asked for stays the right to delete.
        #[cfg(feature = "pg15")]
        let updated = &raw mut (*entry).updatedCols;
        #[cfg(not(feature = "pg15"))]
        let updated =
            &raw mut (*pg_sys::getRTEPermissionInfo((*query).rteperminfos, entry)).updatedCols;
        let place = i32::from(column) - pg_sys::FirstLowInvalidHeapAttributeNumber;
        *updated = pg_sys::bms_add_member(*updated, place);
    }
}

/// Takes the condition off the first place where the relation is read.
unsafe fn uncover(query: *mut pg_sys::Query, relation: pg_sys::Oid) {
    // SAFETY: as `prepare`.
    unsafe {
        let Some(column) = hidden_by(relation) else {
            return;
        };
        let table = (*query).rtable;
        for i in 0..length(table) {
            let entry = pg_sys::list_nth(table, i).cast::<pg_sys::RangeTblEntry>();
            if (*entry).rtekind != pg_sys::RTEKind::RTE_RELATION || (*entry).relid != relation {
                continue;
            }
            let mut kept = std::ptr::null_mut();
            let conditions = (*entry).securityQuals;
            for place in 0..length(conditions) {
                let condition = pg_sys::list_nth(conditions, place);
                if !is_filter(condition.cast(), i + 1, column) {
                    kept = pg_sys::lappend(kept, condition);
                }
            }
            (*entry).securityQuals = kept;
            return;
        }
    }
}

/// The number of `deleted_at` in a table that has the policy.
unsafe fn hidden_by(relation: pg_sys::Oid) -> Option<pg_sys::AttrNumber> {
    // SAFETY: the query has locked it; look-ups in the caches of the catalog.
    unsafe {
        if relation == pg_sys::InvalidOid || !has_policy(relation, POLICY) {
            return None;
        }
        let column = pg_sys::get_attnum(relation, COLUMN.as_ptr());
        (column > 0).then_some(column)
    }
}

/// `deleted_at is null`, of that table in the query.
unsafe fn is_filter(node: *mut pg_sys::Node, index: i32, column: pg_sys::AttrNumber) -> bool {
    // SAFETY: a node of the tree; each has the type that its tag says.
    unsafe {
        if (*node).type_ != NodeTag::T_NullTest {
            return false;
        }
        let test = node.cast::<pg_sys::NullTest>();
        let tested = (*test).arg.cast::<pg_sys::Var>();
        (*test).nulltesttype == pg_sys::NullTestType::IS_NULL
            && (*tested).xpr.type_ == NodeTag::T_Var
            && i64::from((*tested).varno) == i64::from(index)
            && (*tested).varattno == column
    }
}

sql_function!(
    tenancy_guard_soft_delete,
    pg_finfo_tenancy_guard_soft_delete,
    guard
);

/// The trigger: a row is about to be deleted for good. TN422 for whom the policy
/// holds, whose DELETE came by a way that is not made soft.
fn guard(call: pg_sys::FunctionCallInfo) -> Answer {
    // SAFETY: PostgreSQL calls a trigger's function with what happened.
    unsafe {
        let context: *mut c_void = (*call).context.cast();
        if context.is_null() || (*(*call).context).type_ != NodeTag::T_TriggerData {
            return Err(Fault::internal("not called as a trigger"));
        }
        let data = context.cast::<pg_sys::TriggerData>();
        let relation = (*(*data).tg_relation).rd_id;
        let security = pg_sys::check_enable_rls(relation, pg_sys::InvalidOid, true);
        if security == pg_sys::CheckEnableRlsResult::RLS_ENABLED as i32 {
            return Err(
                Fault::new("TN422", "this would delete a row for good").hint(
                    "Use DELETE, in a statement after the one that enters: of this table it keeps the row, as deleted. MERGE can't.",
                ),
            );
        }
        Ok(pg_sys::Datum::from((*data).tg_trigtuple))
    }
}
